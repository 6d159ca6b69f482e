/* SPDX-License-Identifier: Apache-2.0
 * kill -9 at random moments: kill MODEL ADALINK. Fifty times a training that saves at every step is killed,
 * looked at, and resumed by `adalink train --resume FOLDER` until it is done. Owns: the moments, drawn from a
 * seed over the length of a run that nobody kills. Invariant: at each moment every file in the folder is
 * whole; the newest checkpoint is at most one step behind the last step told in metrics.jsonl; the adapter at
 * the end has the bits of the run that was never killed. */
#include "engine/adalink.h"
#include "engine/rng.h"
#include "io/h5.h"
#include "io/os.h"
#include "io/replace.h"
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { KILLS = 50, STEPS = 40, MOST = 1 << 16 };
static char place[1024];
static const char *model, *command;

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

static pid_t train(const char *folder, bool resume) {
    char data[1100], steps[16];
    snprintf(data, sizeof data, "%s/rows.jsonl", place);
    snprintf(steps, sizeof steps, "%d", STEPS);
    if (resume) return start((const char *const[]){"adalink", "train", "--resume", folder, "-q", NULL});
    return start((const char *const[]){"adalink", "train", "-m", model, "-d", data, "-o", folder, "--steps",
                                       steps, "--batch", "2", "--rank", "4", "--save-every", "1", "-q",
                                       NULL});
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

/* The weights at the end; their number, 0 if there are none. */
static size_t weights(const char *folder, float w[2 * MOST]) {
    static const char *const names[] = {"/adapter/text/down", "/adapter/text/up"};
    char path[1200];
    snprintf(path, sizeof path, "%s/adapter.h5", folder);
    ada_h5_in *f = NULL;
    size_t n = 0;
    bool ok = ada_h5_open(&f, path, true) == ADA_OK;
    for (int i = 0; ok && i < 2; i++) {
        ada_dtype type;
        int ndim;
        int64_t shape[ADA_MAX_DIMS];
        ok = ada_h5_shape(f, names[i], &type, &ndim, shape) == ADA_OK && shape[0] * shape[1] <= MOST &&
             ada_h5_get_f32(f, names[i], (size_t)(shape[0] * shape[1]), w + n) == ADA_OK;
        if (ok) n += (size_t)(shape[0] * shape[1]);
    }
    ada_h5_close(&f);
    return ok ? n : 0;
}

static void show_log(void) {
    char path[1100], *text = NULL;
    size_t n;
    snprintf(path, sizeof path, "%s/log", place);
    if (ada_read_file(path, &text, &n) == ADA_OK) printf("%s", text);
    ada_os.release(text);
}

int main(int argc, char **argv) {
    static float want[2 * MOST], got[2 * MOST];
    char whole[1100], folder[1200], data[4000] = "", path[1100];
    const char *tmp = getenv("TMPDIR");
    if (argc < 3) return 2;
    model = argv[1], command = argv[2];
    snprintf(place, sizeof place, "%s/ada-kill-XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(place) == NULL) return 99;
    snprintf(path, sizeof path, "%s/rows.jsonl", place);
    for (int i = 0; i < 9; i++)
        snprintf(data + strlen(data), sizeof data - strlen(data),
                 "{\"prompt\": \"row %d is a\", \"completion\": \" %s\"}\n", i, i % 2 ? "fruit" : "tool");
    if (ada_replace_bytes(path, data, strlen(data)) != ADA_OK) return 99;
    snprintf(whole, sizeof whole, "%s/whole", place);
    int status, wrong = 0, kills = 0, runs = 0, lost = 0;
    double began = ada_os.now();
    waitpid(train(whole, false), &status, 0);
    double length = ada_os.now() - began;
    size_t n = weights(whole, want);
    if (status != 0 || n == 0) {
        show_log();
        printf("the run that nobody kills fails (status %d): %s\n", status, ada_error());
        return 1;
    }
    while (kills < KILLS && wrong < 5) {
        snprintf(folder, sizeof folder, "%s/run%d", place, runs++);
        for (bool done = false, begun = false; !done && wrong < 5;) {
            pid_t pid = train(folder, begun);
            if (kills < KILLS) {
                nap(length * ada_rng_uniform(1, ADA_RNG_BENCH, (uint64_t)kills));
                kill(pid, SIGKILL);
                kills++;
            }
            waitpid(pid, &status, 0);
            wrong += broken_files(folder);
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
        if (wrong == 0 && (weights(folder, got) != n || memcmp(want, got, n * sizeof *got) != 0))
            wrong++, printf("the end of '%s' has other bits\n", folder);
    }
    printf("%d kills in %d runs of %.2f s; a step was lost %d times; %d wrong\n", kills, runs, length, lost,
           wrong);
    if (wrong == 0) {
        char remove[1100];
        snprintf(remove, sizeof remove, "rm -rf '%s'", place);
        if (system(remove) != 0) return 99;
    }
    return wrong != 0;
}
