/* SPDX-License-Identifier: Apache-2.0
 * What the tests of io share: a folder of their own, files in it, and one way to look at failures.
 * Owns: the folder, removed by io_test_end. Must not know: formats.
 * Invariant: a failure expected by a test is checked for its status, its words and its being one line. */
#ifndef ADA_TESTS_IO_TEST_H
#define ADA_TESTS_IO_TEST_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "io/os.h"
#include "io/replace.h"

static char io_folder[64];

static inline int io_test_begin(void **state) {
    (void)state;
    (void)snprintf(io_folder, sizeof io_folder, "%s",
                   "/tmp/adalink-test-"
                   "XX"
                   "XXXX");
    return mkdtemp(io_folder) == NULL;
}

static inline int io_remove_one(const char *path, const struct stat *s, int type, struct FTW *f) {
    (void)s;
    (void)type;
    (void)f;
    return remove(path);
}

static inline int io_test_end(void **state) {
    (void)state;
    return nftw(io_folder, io_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A path in the folder; good until the fourth call from now. */
static inline const char *io_path(const char *name) {
    static char paths[4][512];
    static unsigned turn;
    char *p = paths[turn++ % 4];
    (void)snprintf(p, sizeof paths[0], "%s/%s", io_folder, name);
    return p;
}

/* A path in tests/. */
static inline const char *io_tests_path(const char *name) {
    static char path[1024];
    const char *root = getenv("ADA_TESTS");
    (void)snprintf(path, sizeof path, "%s/%s", root != NULL ? root : "tests", name);
    return path;
}

static inline const char *io_file(const char *name, const void *bytes, size_t n) {
    const char *path = io_path(name);
    (void)unlink(path); /* some file systems flush what was cut to nothing and written anew */
    assert_int_equal(ada_write_file(path, bytes, n), ADA_OK);
    return path;
}

#define assert_ok(x)                                                                                         \
    do {                                                                                                     \
        ada_error_clear();                                                                                   \
        ada_status io_st_ = (x);                                                                             \
        if (io_st_ != ADA_OK) fail_msg("%s: %s", ada_status_name(io_st_), ada_error());                      \
    } while (0)

/* x fails with this status, and its message has these words and no line break. */
#define assert_fails(x, status, words)                                                                       \
    do {                                                                                                     \
        ada_error_clear();                                                                                   \
        ada_status io_st_ = (x);                                                                             \
        if (io_st_ != (status) || strstr(ada_error(), words) == NULL || strchr(ada_error(), '\n') != NULL)   \
            fail_msg("%s '%s', but %s with '%s' is wanted", ada_status_name(io_st_), ada_error(),            \
                     ada_status_name(status), words);                                                        \
    } while (0)

#endif
