/* SPDX-License-Identifier: Apache-2.0
 * Every system call fails in turn: allocations, opens, reads, writes, syncs, renames, mappings, HDF5's own
 * writes; during a short training from nothing, its resumption from a checkpoint, and an import. Owns: the
 * failing table. HDF5 writes behind ada_os's back, by pwrite and ftruncate: this program defines these two
 * itself, and the dynamic linker lets libhdf5 find these, so that its k-th write can be refused, too.
 * Invariant, for each fault: the session answers the right status and a message; what it opened is closed and
 * what it allocated is released (and LeakSanitizer agrees); every file that stands is whole; going on without
 * faults ends in the bits of a run that never met one; the cache of features is never a reason to fail. */
#include "engine/adalink.h"
#include "engine/matmul.h"
#include "io/os.h"
#include "io/replace.h"
#include "tests/bases.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { STEPS = 4, STOP = 2, RANK = 4 }; /* a run of STEPS steps; the one to be resumed stops after STOP */

/* ---- the failing table ---- */
enum kind { NONE, ALLOC, OPEN, READ, WRITE, SYNC, RENAME, FOLDER, MAP, H5_WRITE, KINDS };
static const struct {
    const char *name;
    ada_status status; /* expected */
    bool tolerable;    /* a session may do without, if what it makes is right all the same */
    int error;
    int every; /* going on is tried after each, or after every n-th: files rarely change between allocations
                */
} kinds[KINDS] = {
    [ALLOC] = {"allocation", ADA_ENOMEM, true, ENOMEM,
               50}, /* PCRE2's compiler to machine code, old checkpoints */
    [OPEN] = {"open", ADA_EIO, true, EACCES, 1},
    [READ] = {"read", ADA_EIO, true, EIO, 1},
    [WRITE] = {"write", ADA_EIO, false, ENOSPC, 1},
    [SYNC] = {"fsync", ADA_EIO, false, EIO, 1},
    [RENAME] = {"rename", ADA_EIO, false, EIO, 1},
    [FOLDER] = {"mkdir", ADA_EIO, false, EACCES, 1},
    [MAP] = {"map", ADA_EIO, true, ENOMEM, 1},
    [H5_WRITE] = {"write of HDF5", ADA_EIO, false, ENOSPC, 1},
};
static struct ada_os real;
static struct {
    enum kind kind;
    bool lasting; /* the k-th call and all after it: a full disk stays full */
    long at, calls[KINDS];
    bool in_cache, outside; /* where it struck: in the cache of features, or elsewhere */
} fault;
static long blocks, fds, maps; /* held now */

static const char features_mark[] = ".features"; /* in the name of a folder for a cache */

static bool strikes(enum kind k, const char *path) {
    long call = ++fault.calls[k];
    if (fault.kind != k || (fault.lasting ? call < fault.at : call != fault.at)) return false;
    *(path != NULL && strstr(path, features_mark) != NULL ? &fault.in_cache : &fault.outside) = true;
    errno = kinds[k].error;
    return true;
}

static bool strikes_at(enum kind k, int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    path[n > 0 ? n : 0] = 0;
    return strikes(k, path);
}

static void *failing_alloc(size_t bytes) {
    void *p = strikes(ALLOC, NULL) ? NULL : real.alloc(bytes);
    blocks += p != NULL;
    return p;
}
static void *failing_resize(void *p, size_t old, size_t bytes) {
    void *q = strikes(ALLOC, NULL) ? NULL : real.resize(p, old, bytes);
    blocks += q != NULL && p == NULL;
    return q;
}
static void failing_release(void *p) {
    blocks -= p != NULL;
    real.release(p);
}
static int failing_open(const char *path, int flags, int mode) {
    int fd = strikes(OPEN, path) ? -1 : real.open(path, flags, mode);
    fds += fd >= 0;
    return fd;
}
static int failing_close(int fd) {
    fds--;
    return real.close(fd);
}
static ssize_t failing_pread(int fd, void *buf, size_t n, off_t at) {
    return strikes_at(READ, fd) ? -1 : real.pread(fd, buf, n, at);
}
static ssize_t failing_write(int fd, const void *buf, size_t n) {
    return strikes_at(WRITE, fd) ? -1 : real.write(fd, buf, n);
}
static int failing_fsync(int fd) {
    return strikes_at(SYNC, fd) ? -1 : real.fsync(fd);
}
static int failing_rename(const char *from, const char *to) {
    return strikes(RENAME, to) ? -1 : real.rename(from, to);
}
static int failing_mkdir(const char *path, int mode) {
    return strikes(FOLDER, path) ? -1 : real.mkdir(path, mode);
}
static void *failing_map(int fd, size_t bytes) {
    void *p = strikes_at(MAP, fd) ? NULL : real.map(fd, bytes);
    maps += p != NULL;
    return p;
}
static void failing_unmap(void *p, size_t bytes) {
    maps--;
    real.unmap(p, bytes);
}

static void table_swap(void) {
    real = ada_os;
    ada_os.alloc = failing_alloc;
    ada_os.resize = failing_resize;
    ada_os.release = failing_release;
    ada_os.open = failing_open;
    ada_os.close = failing_close;
    ada_os.pread = failing_pread;
    ada_os.write = failing_write;
    ada_os.fsync = failing_fsync;
    ada_os.rename = failing_rename;
    ada_os.mkdir = failing_mkdir;
    ada_os.map = failing_map;
    ada_os.unmap = failing_unmap;
}

/* What libhdf5 calls to write, by the linker's names: with 64-bit offsets, or where all are. */
#define AS(symbol) __asm__(symbol) __attribute__((visibility("default")))
ssize_t h5_pwrite64(int fd, const void *buf, size_t n, off_t at) AS("pwrite64");
ssize_t h5_pwrite(int fd, const void *buf, size_t n, off_t at) AS("pwrite");
int h5_ftruncate64(int fd, off_t n) AS("ftruncate64");
int h5_ftruncate(int fd, off_t n) AS("ftruncate");
ssize_t h5_pwrite64(int fd, const void *buf, size_t n, off_t at) {
    return strikes_at(H5_WRITE, fd) ? -1 : (ssize_t)syscall(SYS_pwrite64, fd, buf, n, at);
}
ssize_t h5_pwrite(int fd, const void *buf, size_t n, off_t at) {
    return h5_pwrite64(fd, buf, n, at);
}
int h5_ftruncate64(int fd, off_t n) {
    return strikes_at(H5_WRITE, fd) ? -1 : (int)syscall(SYS_ftruncate, fd, n);
}
int h5_ftruncate(int fd, off_t n) {
    return h5_ftruncate64(fd, n);
}

/* ---- whose sessions ---- */
static const struct base *base;
/* Of a decoder each call is refused; of the others, which share most of these, every so-many-th. */
static const long sample[KINDS] = {[ALLOC] = 17, [H5_WRITE] = 5};

/* ---- a session: train from nothing or resume, to the end, then save the adapter; or import the model ----
 */
enum scene { TRAIN, RESUME, IMPORT };
static const char *const scenes[] = {"train", "resume", "import"};
static char place[4096], model_path[4096], data_path[4200];
static char cache[4200], warm[4200]; /* of features: the sessions' own, and as it is after half a run */

struct session {
    ada_model *m;
    ada_adapter *a;
    ada_trainer *t;
    ada_buf checkpoint;
    ada_json *settings;
};

static ada_status session_in(struct session *s, const char *folder, enum scene scene, int stop) {
    char final[4300];
    bool resume = scene == RESUME;
    snprintf(final, sizeof final, "%s/%s.h5", folder, scene == IMPORT ? "base" : "final");
    if (scene == IMPORT) return ada_model_import(model_path, NULL, final, ADA_F32);
    ada_train_opts o = {.data = data_path,
                        .out = folder,
                        .model = model_path,
                        .features = base->sees ? cache : NULL,
                        .steps = STEPS,
                        .batch = 2,
                        .save_every = 1,
                        .keep = 2,
                        .lr = 0.01};
    if (resume) ADA_TRY(ada_checkpoint_find(folder, &s->checkpoint, &s->settings));
    ADA_TRY(ada_model_open(&s->m, model_path, &(ada_model_opts){.f32 = true, .threads = 1}));
    if (resume) {
        o = (ada_train_opts){.resume = s->checkpoint.data, .out = folder};
        ADA_TRY(ada_adapter_open(&s->a, s->m, s->checkpoint.data));
    } else {
        ADA_TRY(ada_adapter_new(&s->a, s->m, &(ada_adapter_opts){.rank = RANK, .site = base->site}));
    }
    ADA_TRY(ada_trainer_open(&s->t, s->m, s->a, &o));
    ada_report rep;
    ada_status st = ADA_OK;
    for (int i = 0; st == ADA_OK && i != stop; i++) st = ada_trainer_step(s->t, &rep);
    if (st != ADA_OK && st != ADA_DONE) return st;
    return ada_adapter_save(s->a, final);
}

static ada_status session(const char *folder, enum scene scene, int stop) {
    struct session s = {0};
    ada_error_clear();
    ada_status st = session_in(&s, folder, scene, stop);
    ada_trainer_close(&s.t);
    ada_adapter_close(&s.a);
    ada_model_close(&s.m);
    ada_json_close(&s.settings);
    ada_buf_free(&s.checkpoint);
    ada_matmul_release();
    return st;
}

/* ---- folders ---- */
typedef void (*file_fn)(const char *path, const char *name, const char *other);
static void each_file(const char *folder, file_fn fn, const char *other) {
    DIR *d = opendir(folder);
    if (d == NULL) return;
    char path[4700];
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (e->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        fn(path, e->d_name, other);
    }
    closedir(d);
}

static void remove_file(const char *path, const char *name, const char *other) {
    (void)name, (void)other;
    unlink(path);
}

static void copy_file(const char *path, const char *name, const char *to) {
    char copy[4700], *bytes;
    size_t n;
    snprintf(copy, sizeof copy, "%s/%s", to, name);
    if (ada_read_file(path, &bytes, &n) != ADA_OK || ada_replace_bytes(copy, bytes, n) != ADA_OK) abort();
    ada_os.release(bytes);
}

static void folder_copy(const char *from, const char *to) {
    mkdir(to, 0777);
    each_file(to, remove_file, NULL);
    each_file(from, copy_file, to);
}

static void folder_remove(const char *folder) {
    each_file(folder, remove_file, NULL);
    rmdir(folder);
}

/* A run's folder; training begins without a cache of features, resuming finds one. */
static void begin_in(const char *folder, const char *template, enum scene scene) {
    folder_copy(template, folder);
    folder_remove(cache);
    if (scene == RESUME && base->sees) folder_copy(warm, cache);
}

/* ---- what must hold ---- */
static enum scene now;
static int wrong, unneeded; /* unneeded: faults that a session could do without */

static void complain(const char *what, const char *which) {
    const char *name = fault.kind == NONE ? "no fault" : kinds[fault.kind].name;
    printf("%s, %s, %s %s%ld: %s %s [%s]\n", base->name, scenes[now], name, fault.lasting ? "from " : "",
           fault.at, what, which, ada_error());
    wrong++;
}

static bool same_bytes(const char *a, const char *b) {
    char *x = NULL, *y = NULL;
    size_t n = 0, m = 0;
    bool same = ada_read_file(a, &x, &n) == ADA_OK && ada_read_file(b, &y, &m) == ADA_OK && n == m &&
                memcmp(x, y, n) == 0;
    ada_os.release(x);
    ada_os.release(y);
    return same;
}

static char imported[4300]; /* a base.h5 that met no fault */
static void check_whole(const char *path, const char *name, const char *other) {
    (void)other;
    if (strstr(name, ".tmp") != NULL) complain("a temporary file is left:", name);
    if (strstr(name, ".h5") == NULL) return;
    ada_h5_in *f = NULL;
    if (strcmp(name, "base.h5") == 0) {
        if (!same_bytes(path, imported)) complain("a file is not whole:", name);
    } else if (ada_h5_open(&f, path, true) != ADA_OK) {
        complain("a file is not whole:", name);
    }
    ada_h5_close(&f);
}

static bool weights_read(const char *folder, struct weights *w) {
    char path[4700];
    snprintf(path, sizeof path, "%s/final.h5", folder);
    return base_weights(base, path, w);
}
static struct weights reference, earlier, found; /* after all steps; before them */
/* The session's status, in the light of what was refused it. */
static void check_status(enum kind k, ada_status st, const char *message) {
    bool writes = k == WRITE || k == SYNC || k == RENAME || k == H5_WRITE, cache_only = !fault.outside;
    if (!fault.outside && !fault.in_cache) complain("was never reached", "");
    if (st == ADA_OK && !kinds[k].tolerable && !(writes && cache_only)) complain("went unnoticed", "");
    if (st != ADA_OK && writes && cache_only) complain("in the cache of features ends the run", "");
    if (st == ADA_OK) unneeded++;
    if (st != ADA_OK && st != kinds[k].status) complain("has the wrong status:", ada_status_name(st));
    if (st != ADA_OK && message[0] == 0) complain("has no message", "");
}

/* One fault in a copy of `template`, and what follows. */
static void one(const char *template, const char *folder) {
    long held[3] = {blocks, fds, maps};
    enum kind k = fault.kind;
    fault.kind = NONE;
    begin_in(folder, template, now);
    memset(fault.calls, 0, sizeof fault.calls);
    fault.in_cache = fault.outside = false;
    fault.kind = k;
    ada_status st = session(folder, now, -1);
    fault.kind = NONE;
    char message[300];
    snprintf(message, sizeof message, "%s", ada_error());
    check_status(k, st, message);
    if (blocks != held[0]) complain("leaks memory", message);
    if (fds != held[1]) complain("leaks a file descriptor", message);
    if (maps != held[2]) complain("leaks a mapping", message);
    each_file(folder, check_whole, NULL);
    each_file(cache, check_whole, NULL);
    if (!weights_read(folder, &found))
        complain("lost the last good file", "");
    else if (!same_weights(&found, &earlier) && !same_weights(&found, &reference))
        complain("changed the last good file", "");
    if (now != IMPORT && st == ADA_OK && !same_weights(&found, &reference))
        complain("changed the result", "");
    if (now != IMPORT && st != ADA_OK && fault.at % kinds[k].every == 0) {
        ada_buf path = {0};
        ada_json *settings = NULL;
        bool any = ada_checkpoint_find(folder, &path, &settings) == ADA_OK;
        ada_json_close(&settings);
        ada_buf_free(&path);
        st = session(folder, any ? RESUME : TRAIN, -1);
        if (st != ADA_OK)
            complain("cannot go on", ada_status_name(st));
        else if (!weights_read(folder, &found) || !same_weights(&found, &reference))
            complain("went on to other bits", "");
    }
    fault.kind = k;
}

static void all(enum scene scene, const char *template) {
    char folder[4300];
    long calls[KINDS];
    now = scene;
    snprintf(folder, sizeof folder, "%s/run", place);
    begin_in(folder, template, scene);
    memset(fault.calls, 0, sizeof fault.calls);
    if (session(folder, scene, -1) != ADA_OK) complain("fails without a fault:", ada_error());
    memcpy(calls, fault.calls, sizeof calls);
    for (enum kind k = ALLOC; k < KINDS; k++) {
        for (int lasting = 0; lasting < 2; lasting++) {
            if (lasting && k != WRITE && k != SYNC && k != H5_WRITE) continue;
            long every = base != bases && sample[k] ? sample[k] : 1;
            for (long at = 1; at <= calls[k] && wrong < 20; at += every) {
                fault.kind = k, fault.lasting = lasting, fault.at = at;
                one(template, folder);
            }
        }
        fault.kind = NONE;
        printf("%s, %s: %ld × %s, %d of no consequence\n", base->name, scenes[scene], calls[k], kinds[k].name,
               unneeded);
        unneeded = 0;
    }
}

/* A step that saves nothing allocates nothing. */
static void steady(void) {
    struct session s = {0};
    ada_train_opts o = {.data = data_path, .steps = 6, .batch = 2};
    ada_adapter_opts site = {.site = base->site};
    ada_report rep;
    if (ada_model_open(&s.m, model_path, NULL) != ADA_OK || ada_adapter_new(&s.a, s.m, &site) != ADA_OK ||
        ada_trainer_open(&s.t, s.m, s.a, &o) != ADA_OK)
        complain("cannot begin", ada_error());
    for (int i = 0; s.t != NULL && i < 6; i++) {
        long before = fault.calls[ALLOC];
        if (ada_trainer_step(s.t, &rep) != ADA_OK) complain("a step fails", ada_error());
        if (fault.calls[ALLOC] != before) complain("a step allocates", "");
    }
    ada_trainer_close(&s.t);
    ada_adapter_close(&s.a);
    ada_model_close(&s.m);
    ada_matmul_release();
}

/* A file that HDF5 could not flush stays open inside HDF5: what it then keeps is its own and cannot be
 * released by a caller. What we allocate ourselves is counted above. */
const char *__lsan_default_suppressions(void);
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void) {
    return "leak:libhdf5";
}

/* half: stopped after STOP steps, with its checkpoints and final.h5. fresh: that final.h5 alone. */
static void base_all(const char *tiny) {
    char fresh[4300], half[4300], run[4300], from[4700];
    base_model(base, tiny, model_path);
    snprintf(data_path, sizeof data_path, "%s/rows.jsonl", place);
    snprintf(half, sizeof half, "%s/half", place);
    snprintf(fresh, sizeof fresh, "%s/fresh", place);
    snprintf(run, sizeof run, "%s/run", place);
    snprintf(cache, sizeof cache, "%s/cache%s", place, features_mark);
    snprintf(warm, sizeof warm, "%s/warm%s", place, features_mark);
    mkdir(half, 0777), mkdir(fresh, 0777);
    if (!base_rows(base, model_path, 7, data_path) || session(half, TRAIN, STOP) != ADA_OK ||
        !weights_read(half, &earlier))
        complain("fails", "");
    snprintf(from, sizeof from, "%s/final.h5", half);
    copy_file(from, "final.h5", fresh);
    if (base->sees) folder_copy(cache, warm);
    begin_in(run, half, RESUME);
    if (session(run, RESUME, -1) != ADA_OK || !weights_read(run, &reference)) complain("cannot resume", "");
    if (same_weights(&reference, &earlier)) complain("two more steps change nothing", "");
    snprintf(imported, sizeof imported, "%s/base.h5", place);
    if (session(place, IMPORT, -1) != ADA_OK) complain("cannot import", "");
    if (wrong == 0) {
        steady();
        all(TRAIN, fresh);
        all(RESUME, half);
        all(IMPORT, fresh);
    }
    const char *const folders[] = {half, fresh, run, cache, warm};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) folder_remove(folders[i]);
    each_file(place, remove_file, NULL);
}

int main(int argc, char **argv) {
    const char *tmp = getenv("TMPDIR");
    snprintf(place, sizeof place, "%s/ada-faults-XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (argc < 2 || mkdtemp(place) == NULL) return 99;
    setvbuf(stdout, NULL, _IOLBF, 0);
    table_swap();
    for (base = bases; base < bases + BASES; base++) base_all(argv[1]);
    rmdir(place);
    printf("%d wrong\n", wrong);
    return wrong != 0;
}
