/* SPDX-License-Identifier: Apache-2.0
 * What libFuzzer targets share: an input as a file in memory, opened by the path of its descriptor, as
 * readers want. Owns: that descriptor. Must not know: formats. Invariant: the path names exactly the input's
 * bytes. */
#ifndef ADA_TESTS_FUZZ_H
#define ADA_TESTS_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "io/status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* The path of a file of these bytes; the next call takes it back. */
static inline const char *fuzz_file(const uint8_t *data, size_t n) {
    static char path[64];
    static int fd = -1;
    if (fd < 0) fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, 0) != 0 || pwrite(fd, data, n, 0) != (ssize_t)n) abort();
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return path;
}

/* A failure has one line to say; success has nothing. */
static inline void fuzz_check(ada_status st) {
    if ((st == ADA_OK) != (ada_error()[0] == 0) || strchr(ada_error(), '\n') != NULL || st == ADA_EINTERNAL)
        abort();
    ada_error_clear();
}

#endif
