/* SPDX-License-Identifier: Apache-2.0
 * kill -9 at random moments: kill MODEL ADALINK. Fifty times a training that saves at every step, of one base
 * after the other, is killed, looked at, and resumed by `adalink train --resume FOLDER` until it is done.
 * Owns: the moments, drawn from a seed over the length of a run that nobody kills. Invariant: at each moment
 * every file in the folder is whole; the newest checkpoint is at most one step behind the last step told in
 * metrics.jsonl; the adapter at the end has the bits of the run that was never killed. */
#include "engine/adalink.h"
#include "engine/rng.h"
#include "io/os.h"
#include "tests/bases.h"
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { KILLS = 50, STEPS = 40, ROWS = 9 };
static char place[1024];
static const char *command;
static const struct base *base;
static char model[4096];

static pid_t start(const char *const *args) {
    pid_t pid = fork();
    if (pid != 0) return pid;
    int null = open("/dev/null", O_RDWR);
    char log[1100];
    snprintf(log, sizeof log, "%s/log", place);
    int err = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (null < 0 || err < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(err, 2) < 0) _exit(98);
    execv(command, (char *const *)(uintptr_t)args);
    _exit(99);
}

static void features_of(const char *folder, char out[1300]) {
    snprintf(out, 1300, "%s.features", folder);
}

static pid_t train(const char *folder, bool resume) {
    char data[1100], steps[16], features[1300];
    features_of(folder, features);
    snprintf(data, sizeof data, "%s/rows.jsonl", place);
    snprintf(steps, sizeof steps, "%d", STEPS);
    if (resume) return start((const char *const[]){"adalink", "train", "--resume", folder, "-q", NULL});
    const char *args[24] = {"adalink", "train", "-m",           model, "-d",      data,
                            "-o",      folder,  "--steps",      steps, "--batch", "2",
                            "--rank",  "4",     "--save-every", "1",   "-q"};
    size_t n = 17;
    if (base->site != NULL) args[n++] = "--site", args[n++] = base->site;
    if (base->sees) args[n++] = "--features", args[n++] = features;
    return start(args);
}

static void nap(double seconds) {
    struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    while (nanosleep(&t, &t) != 0) continue;
}

/* The last step told, 0 if none. */
static long last_told(const char *folder) {
    char path[1300], *text = NULL;
    size_t n;
    snprintf(path, sizeof path, "%s/metrics.jsonl", folder);
    if (ada_read_file(path, &text, &n) != ADA_OK) return 0;
    long told = 0;
    for (const char *at = text; (at = strstr(at, "\"step\": ")) != NULL; at++) {
        long step = strtol(at + 8, NULL, 10);
        if (strchr(at, '\n') != NULL) told = step;
    }
    ada_os.release(text);
    return told;
}

static long last_saved(const char *folder) {
    ada_buf path = {0};
    ada_json *settings = NULL;
    long step = 0;
    if (ada_checkpoint_find(folder, &path, &settings) == ADA_OK) {
        const char *at = strstr(path.data, "checkpoint-");
        if (at != NULL) step = strtol(at + 11, NULL, 10);
    }
    ada_json_close(&settings);
    ada_buf_free(&path);
    return step;
}

static int broken_files(const char *folder) {
    DIR *d = opendir(folder);
    int broken = 0;
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        size_t n = strlen(e->d_name);
        if (n < 4 || strcmp(e->d_name + n - 3, ".h5") != 0) continue;
        char path[2048];
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        ada_h5_in *f = NULL;
        if (ada_h5_open(&f, path, true) != ADA_OK) broken++, printf("%s\n", ada_error());
        ada_h5_close(&f);
    }
    if (d != NULL) closedir(d);
    return broken;
}

/* At the end. */
static bool weights(const char *folder, struct weights *w) {
    char path[1300];
    snprintf(path, sizeof path, "%s/adapter.h5", folder);
    return base_weights(base, path, w);
}

static void show_log(void) {
    char path[1100], *text = NULL;
    size_t n;
    snprintf(path, sizeof path, "%s/log", place);
    if (ada_read_file(path, &text, &n) == ADA_OK) printf("%s", text);
    ada_os.release(text);
}

static int wrong, kills, runs, lost;

/* One run, killed until `most` kills are done, resumed until it is whole; length: of one that nobody kills.
 */
static void run_killed(const char *folder, double length, int most, const struct weights *want) {
    static struct weights got;
    char features[1300];
    int status;
    features_of(folder, features);
    for (bool done = false, begun = false; !done && wrong < 5;) {
        pid_t pid = train(folder, begun);
        if (kills < most) {
            nap(length * ada_rng_uniform(1, ADA_RNG_BENCH, (uint64_t)kills));
            kill(pid, SIGKILL);
            kills++;
        }
        waitpid(pid, &status, 0);
        wrong += broken_files(folder) + broken_files(features);
        long told = last_told(folder), saved = last_saved(folder);
        if (saved < told - 1) wrong++, printf("step %ld was told, step %ld is saved\n", told, saved);
        lost += told > saved;
        done = WIFEXITED(status) && WEXITSTATUS(status) == 0;
        if (!done && !WIFSIGNALED(status)) {
            wrong++;
            show_log();
            printf("%s ends with status %d\n", begun ? "resuming" : "beginning", status);
        }
        begun = saved > 0;
    }
    if (wrong == 0 && (!weights(folder, &got) || !same_weights(&got, want)))
        wrong++, printf("the end of '%s' has other bits\n", folder);
}

/* Runs of one base in a place of their own, until `most` kills are done. */
static void base_killed(const char *tiny, const char *all, int most) {
    static struct weights want;
    char whole[1100], folder[1200], rows[1100];
    int status;
    snprintf(place, sizeof place, "%.900s/%d", all, (int)(base - bases));
    snprintf(rows, sizeof rows, "%s/rows.jsonl", place);
    snprintf(whole, sizeof whole, "%s/whole", place);
    base_model(base, tiny, model);
    if (mkdir(place, 0777) != 0 || !base_rows(base, model, ROWS, rows)) exit(99);
    double began = ada_os.now();
    waitpid(train(whole, false), &status, 0);
    double length = ada_os.now() - began;
    if (status != 0 || !weights(whole, &want)) {
        show_log();
        wrong++, printf("the run that nobody kills fails (status %d): %s\n", status, ada_error());
        return;
    }
    for (int k0 = kills, r0 = runs; kills < most && wrong < 5;) {
        snprintf(folder, sizeof folder, "%s/run%d", place, runs++);
        run_killed(folder, length, most, &want);
        if (kills == most)
            printf("%s: %d kills in %d runs of %.2f s\n", base->name, kills - k0, runs - r0, length);
    }
}

int main(int argc, char **argv) {
    char all[900];
    const char *tmp = getenv("TMPDIR");
    if (argc < 3) return 2;
    command = argv[2];
    snprintf(all, sizeof all, "%s/ada-kill-XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(all) == NULL) return 99;
    for (int i = 0; i < BASES && wrong == 0; i++) {
        base = &bases[i];
        base_killed(argv[1], all, KILLS * (i + 1) / BASES);
    }
    printf("a step was lost %d times; %d wrong\n", lost, wrong);
    if (wrong == 0) {
        char remove[1100];
        snprintf(remove, sizeof remove, "rm -rf '%s'", all);
        if (system(remove) != 0) return 99;
    }
    return wrong != 0;
}
