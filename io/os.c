/* SPDX-License-Identifier: Apache-2.0
 * The default table of system calls. Owns: the one place where libc's are named.
 * Must not know: who calls, or what a failure means. Invariant: no function here has state of its own. */
#include "io/os.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { HUGE_PAGE = 2 << 20 };

static void *os_alloc(size_t bytes) {
    if (bytes >= (size_t)1 << 40) return NULL; /* no machine's; sanitizers end the process on such a size */
    size_t align = bytes < 2 * (size_t)HUGE_PAGE ? 64 : HUGE_PAGE;
    size_t whole = bytes == 0 ? 64 : (bytes + align - 1) & ~(align - 1);
    void *p = aligned_alloc(align, whole);
    /* weights and activations are walked in strides that small pages' translations do not cover */
    if (p != NULL && align == HUGE_PAGE) (void)madvise(p, bytes & ~(align - 1), MADV_HUGEPAGE);
    return p;
}

static void *os_resize(void *p, size_t old, size_t bytes) {
    void *q = os_alloc(bytes);
    if (q == NULL || p == NULL) return q;
    memcpy(q, p, old < bytes ? old : bytes);
    free(p);
    return q;
}

static int os_open(const char *path, int flags, int mode) {
    return open(path, flags | O_CLOEXEC, mode);
}

static ssize_t os_pread(int fd, void *buf, size_t n, off_t at) {
    ssize_t got = pread(fd, buf, n, at);
    return got < 0 && errno == ESPIPE ? read(fd, buf, n) : got;
}

static int64_t os_size(int fd) {
    struct stat s;
    if (fstat(fd, &s) != 0) return -1;
    if (S_ISREG(s.st_mode)) return (int64_t)s.st_size;
    errno = S_ISDIR(s.st_mode) ? EISDIR : ENODEV;
    return -1;
}

static int os_mkdir(const char *path, int mode) {
    return mkdir(path, (mode_t)mode);
}

static int os_lock(int fd) {
    return flock(fd, LOCK_EX | LOCK_NB);
}

static void *os_map(int fd, size_t bytes) {
    void *p = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    return p == MAP_FAILED ? NULL : p;
}

static void os_unmap(void *p, size_t bytes) {
    (void)munmap(p, bytes);
}

static int os_list(const char *path, void (*fn)(void *ctx, const char *name), void *ctx) {
    DIR *dir = opendir(path);
    if (dir == NULL) return -1;
    for (struct dirent *e; (e = readdir(dir)) != NULL;) fn(ctx, e->d_name);
    (void)closedir(dir);
    return 0;
}

static double os_now(void) {
    struct timespec t;
    if (clock_gettime(CLOCK_MONOTONIC, &t) != 0) return 0;
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct ada_os ada_os = {
    .alloc = os_alloc,
    .resize = os_resize,
    .release = free,
    .open = os_open,
    .close = close,
    .pread = os_pread,
    .size = os_size,
    .write = write,
    .fsync = fsync,
    .rename = rename,
    .unlink = unlink,
    .mkdir = os_mkdir,
    .lock = os_lock,
    .map = os_map,
    .unmap = os_unmap,
    .list = os_list,
    .now = os_now,
};

/* The text of a file of /proc; "" where it is not there. */
static void proc_text(const char *path, char *text, size_t room) {
    text[0] = 0;
    int fd = ada_os.open(path, O_RDONLY, 0);
    if (fd < 0) return;
    ssize_t n = ada_os.pread(fd, text, room - 1, 0);
    text[n > 0 ? n : 0] = 0;
    (void)ada_os.close(fd);
}

size_t ada_os_rss(void) {
    char text[128];
    size_t pages = 0;
    proc_text("/proc/self/statm", text, sizeof text);
    return sscanf(text, "%*s %zu", &pages) == 1 ? pages * (size_t)sysconf(_SC_PAGESIZE) : 0;
}

size_t ada_os_rss_peak(void) {
    char text[4096];
    size_t kib = 0;
    proc_text("/proc/self/status", text, sizeof text);
    const char *at = strstr(text, "VmHWM:");
    return at != NULL && sscanf(at, "VmHWM: %zu", &kib) == 1 ? kib * 1024 : 0;
}
