/* SPDX-License-Identifier: Apache-2.0
 * The table of system calls. Owns: every allocation and file operation of io and engine.
 * Invariant: nothing left of apps calls malloc, open, write, fsync or rename but through this table,
 * so that tests/faults.c can make each of them fail in turn. */
#ifndef ADA_IO_OS_H
#define ADA_IO_OS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct ada_os {
    void *(*alloc)(size_t bytes); /* 64-byte aligned, not zeroed; NULL when out of memory */
    void *(*resize)(void *p, size_t old, size_t bytes); /* keeps min(old, bytes) bytes, same alignment */
    void (*release)(void *p);                           /* NULL is fine */
    int (*open)(const char *path, int flags, int mode);
    int (*close)(int fd);
    ssize_t (*pread)(int fd, void *buf, size_t n, off_t at); /* a pipe reads on from where it is */
    int64_t (*size)(int fd);                                 /* of a regular file; -1 with errno otherwise */
    ssize_t (*write)(int fd, const void *buf, size_t n);
    int (*fsync)(int fd);
    int (*rename)(const char *from, const char *to);
    int (*unlink)(const char *path);
    int (*mkdir)(const char *path, int mode);
    int (*lock)(int fd); /* for this descriptor alone, until it is closed; EWOULDBLOCK: another has it */
    void *(*map)(int fd, size_t bytes); /* read-only private mapping; NULL on failure */
    void (*unmap)(void *p, size_t bytes);
    /* Calls fn for each name in a folder, in no order; -1 if it cannot be read. */
    int (*list)(const char *path, void (*fn)(void *ctx, const char *name), void *ctx);
    double (*now)(void); /* seconds, monotonic */
};
extern struct ada_os ada_os;

/* Resident memory of this process in bytes: now, and its peak. 0 where /proc is not there. */
size_t ada_os_rss(void);
size_t ada_os_rss_peak(void);

#endif
