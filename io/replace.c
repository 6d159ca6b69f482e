/* SPDX-License-Identifier: Apache-2.0
 * Output files: temp in the same folder → fsync → rename → fsync the folder; and the reading of whole files.
 * Must not know: formats. Invariant: at every moment `path` is absent, the old file whole, or the new file
 * whole; a failure leaves no temp behind. */
#include "io/replace.h"
#include "io/arena.h"
#include "io/os.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static ada_status refused(const char *verb, const char *path) {
    return ada_fail(ADA_EIO, "cannot %s '%s': %s", verb, path, strerror(errno));
}

static ada_status sync_path(const char *path, int flags) {
    int fd = ada_os.open(path, flags, 0);
    if (fd < 0) return refused("open", path);
    ada_status st = ADA_OK;
    /* some file systems cannot sync a folder, and say EINVAL; there is nothing more to do then */
    if (ada_os.fsync(fd) != 0 && !(errno == EINVAL && (flags & O_DIRECTORY))) st = refused("sync", path);
    if (ada_os.close(fd) != 0 && st == ADA_OK) st = refused("close", path);
    return st;
}

/* A device or a pipe is not ours to replace: as root, rename would put a file in the place of /dev/null. */
static ada_status check_regular(const char *path) {
    int fd = ada_os.open(path, O_RDONLY | O_NONBLOCK, 0);
    if (fd < 0) return ADA_OK; /* not there, or not to be read: rename will tell */
    int64_t n = ada_os.size(fd);
    (void)ada_os.close(fd);
    return n >= 0 ? ADA_OK : ada_fail(ADA_EINVAL, "cannot replace '%s': it is no regular file", path);
}

/* The file that `path` names once symbolic links are followed, so that a link stays a link. */
static ada_status target_of(const char *path, ada_buf *target) {
    char real[PATH_MAX];
    if (path[0] == 0) return ada_fail(ADA_EINVAL, "the name of an output file is empty");
    ADA_TRY(check_regular(path));
    return ada_buf_puts(target, realpath(path, real) != NULL ? real : path);
}

static ada_status replace_in(const char *target, const char *temp, const char *folder, ada_fill_fn fill,
                             void *ctx) {
    ADA_TRY(fill(ctx, temp));
    ADA_TRY(sync_path(temp, O_RDONLY));
    if (ada_os.rename(temp, target) != 0)
        return ada_fail(ADA_EIO, "cannot rename '%s' to '%s': %s", temp, target, strerror(errno));
    return sync_path(folder, O_RDONLY | O_DIRECTORY);
}

static ada_status replace_named(const char *path, ada_buf *target, ada_buf *temp, ada_buf *folder,
                                ada_fill_fn fill, void *ctx) {
    ADA_TRY(target_of(path, target));
    const char *slash = strrchr(target->data, '/');
    if (slash == NULL)
        ADA_TRY(ada_buf_puts(folder, "."));
    else
        ADA_TRY(
            ada_buf_add(folder, target->data, slash == target->data ? 1 : (size_t)(slash - target->data)));
    ADA_TRY(ada_buf_printf(temp, "%s.%ld.tmp", target->data, (long)getpid()));
    ada_status st = replace_in(target->data, temp->data, folder->data, fill, ctx);
    if (st != ADA_OK) (void)ada_os.unlink(temp->data);
    return st;
}

ada_status ada_replace(const char *path, ada_fill_fn fill, void *ctx) {
    ada_buf target = {0}, temp = {0}, folder = {0};
    ada_status st = replace_named(path, &target, &temp, &folder, fill, ctx);
    ada_buf_free(&target);
    ada_buf_free(&temp);
    ada_buf_free(&folder);
    return st;
}

struct bytes {
    const char *p;
    size_t n;
};

static ada_status write_all(int fd, const char *path, const char *p, size_t n) {
    while (n > 0) {
        ssize_t put = ada_os.write(fd, p, n);
        if (put < 0 && errno == EINTR) continue;
        if (put == 0) errno = ENOSPC;
        if (put <= 0) return refused("write", path);
        p += put;
        n -= (size_t)put;
    }
    return ADA_OK;
}

ada_status ada_write_file(const char *path, const void *p, size_t n) {
    int fd = ada_os.open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd < 0) return refused("create", path);
    ada_status st = write_all(fd, path, p, n);
    if (ada_os.close(fd) != 0 && st == ADA_OK) st = refused("close", path);
    return st;
}

static ada_status fill_bytes(void *ctx, const char *temp) {
    const struct bytes *b = ctx;
    return ada_write_file(temp, b->p, b->n);
}

ada_status ada_replace_bytes(const char *path, const void *p, size_t n) {
    return ada_replace(path, fill_bytes, &(struct bytes){p, n});
}

static ada_status read_all(int fd, const char *path, ada_buf *b) {
    ADA_TRY(ada_buf_add(b, "", 0));
    size_t want = 64 << 10;
    for (;;) {
        if (b->cap - b->len <= want) { /* double, so that a large file is copied few times */
            size_t len = b->len;
            void *p = ada_os.resize(b->data, len + 1, 2 * b->cap + want);
            if (p == NULL) return ada_fail(ADA_ENOMEM, "out of memory while reading '%s'", path);
            b->data = p;
            b->cap = 2 * b->cap + want;
        }
        ssize_t got = ada_os.pread(fd, b->data + b->len, b->cap - b->len - 1, (off_t)b->len);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return refused("read", path);
        b->len += (size_t)got;
        b->data[b->len] = 0;
        if (got == 0) return ADA_OK;
    }
}

ada_status ada_read_file(const char *path, char **data, size_t *n) {
    bool standard = strcmp(path, "-") == 0;
    const char *name = standard ? "standard input" : path;
    int fd = standard ? STDIN_FILENO : ada_os.open(path, O_RDONLY, 0);
    if (fd < 0) return refused("open", path);
    ada_buf b = {0};
    ada_status st = read_all(fd, name, &b);
    if (!standard) (void)ada_os.close(fd);
    if (st != ADA_OK) {
        ada_buf_free(&b);
        return st;
    }
    *data = b.data;
    *n = b.len;
    return ADA_OK;
}

ada_status ada_make_folder(const char *path) {
    ada_buf b = {0};
    ada_status st = ada_buf_puts(&b, path);
    for (size_t i = 1; st == ADA_OK && i <= b.len; i++) {
        if (b.data[i] != '/' && b.data[i] != 0) continue;
        char c = b.data[i];
        b.data[i] = 0;
        if (ada_os.mkdir(b.data, 0777) != 0 && errno != EEXIST) st = refused("make folder", b.data);
        b.data[i] = c;
    }
    ada_buf_free(&b);
    if (st != ADA_OK) return st;
    int fd = ada_os.open(path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0) return refused("use folder", path);
    (void)ada_os.close(fd);
    return ADA_OK;
}

static ada_status map_fd(int fd, const char *path, void **p, size_t *n) {
    int64_t size = ada_os.size(fd);
    if (size < 0) return ada_fail(ADA_EIO, "cannot map '%s': %s", path, strerror(errno));
    if (size == 0) return ada_fail(ADA_EFORMAT, "'%s' is empty", path);
    *p = ada_os.map(fd, (size_t)size);
    if (*p == NULL) return ada_fail(ADA_EIO, "cannot map '%s': %s", path, strerror(errno));
    *n = (size_t)size;
    return ADA_OK;
}

/* O_NONBLOCK: a pipe that nobody writes to is refused, not waited for. */
ada_status ada_map_file(const char *path, void **p, size_t *n) {
    int fd = ada_os.open(path, O_RDONLY | O_NONBLOCK, 0);
    if (fd < 0) return ada_fail(ADA_EIO, "cannot open '%s': %s", path, strerror(errno));
    ada_status st = map_fd(fd, path, p, n);
    (void)ada_os.close(fd);
    return st;
}

bool ada_is_there(const char *path) {
    int fd = ada_os.open(path, O_RDONLY | O_NONBLOCK, 0);
    if (fd >= 0) (void)ada_os.close(fd);
    return fd >= 0 || errno != ENOENT;
}
