/* SPDX-License-Identifier: Apache-2.0
 * io/replace.c: whichever call fails, the old file stays whole and no temp is left.
 * Owns: a table of system calls that counts and fails one. Must not know: formats.
 * Invariant: after each failure the folder holds the old file and nothing else. */
#include "tests/io_test.h"
#include <errno.h>
#include <sys/stat.h>

static struct ada_os real;
static long calls, fail_at = -1;
static int fail_errno = ENOSPC;

static int fails(void) {
    if (calls++ != fail_at) return 0;
    errno = fail_errno;
    return 1;
}

static int f_open(const char *path, int flags, int mode) {
    return fails() ? -1 : real.open(path, flags, mode);
}
static int f_close(int fd) {
    return real.close(fd) != 0 || fails() ? -1 : 0;
}
static ssize_t f_write(int fd, const void *p, size_t n) {
    return fails() ? -1 : real.write(fd, p, n > 3 ? 3 : n);
}
static int f_fsync(int fd) {
    return fails() ? -1 : real.fsync(fd);
}
static int f_rename(const char *a, const char *b) {
    return fails() ? -1 : real.rename(a, b);
}

static void holds(const char *path, const char *want) {
    char *data;
    size_t n;
    assert_ok(ada_read_file(path, &data, &n));
    assert_int_equal(n, strlen(want));
    assert_string_equal(data, want);
    ada_os.release(data);
}

static void one_more(void *ctx, const char *name) {
    (void)name;
    ++*(int *)ctx;
}

static int files(void) {
    int n = 0;
    assert_int_equal(real.list(io_folder, one_more, &n), 0);
    return n;
}

static void each_call_fails(void **state) {
    (void)state;
    const char *path = io_path("f");
    int refused = 0;
    real = ada_os;
    for (fail_at = 0;; fail_at++) {
        assert_ok(ada_replace_bytes(path, "old", 3));
        int before = files();
        calls = 0;
        ada_os.open = f_open;
        ada_os.close = f_close;
        ada_os.write = f_write;
        ada_os.fsync = f_fsync;
        ada_os.rename = f_rename;
        ada_status st = ada_replace_bytes(path, "the new text", 12);
        ada_os = real;
        assert_int_equal(files(), before);
        if (calls <= fail_at) break;
        if (st == ADA_OK) continue; /* a close of a file that was only read may fail */
        refused++;
        assert_int_equal(st, ADA_EIO);
        assert_non_null(strstr(ada_error(), strerror(fail_errno)));
        char *data;
        size_t n;
        assert_ok(ada_read_file(path, &data, &n)); /* new only where the rename was done */
        assert_true(strcmp(data, "old") == 0 || (strcmp(data, "the new text") == 0 && fail_at > 9));
        ada_os.release(data);
    }
    assert_in_range(refused, 10, 20);
    holds(path, "the new text");
}

static ada_status fill_part(void *ctx, const char *temp) {
    (void)ctx;
    ada_status st = ada_write_file(temp, "part", 4);
    return st != ADA_OK ? st : ada_fail(ADA_ENUMERIC, "a loss is not finite");
}

static void fill_fails(void **state) {
    (void)state;
    const char *path = io_path("g");
    int before = files();
    assert_fails(ada_replace(path, fill_part, NULL), ADA_ENUMERIC, "not finite");
    assert_int_equal(files(), before);
    assert_fails(ada_replace(io_path("no/such/folder"), fill_part, NULL), ADA_EIO, "No such file");
    assert_fails(ada_replace_bytes("", "x", 1), ADA_EINVAL, "empty");
    assert_fails(ada_replace_bytes(io_folder, "x", 1), ADA_EINVAL, "no regular file");
    assert_int_equal(mkfifo(io_path("pipe"), 0600), 0);
    assert_fails(ada_replace_bytes(io_path("pipe"), "x", 1), ADA_EINVAL, "no regular file");
    assert_int_equal(unlink(io_path("pipe")), 0);
}

static void links_and_names(void **state) {
    (void)state;
    const char *target = io_path("target"), *link = io_path("link");
    char here[1024];
    assert_ok(ada_replace_bytes(target, "1", 1));
    assert_int_equal(symlink("target", link), 0);
    assert_ok(ada_replace_bytes(link, "2", 1)); /* the link stays a link */
    holds(target, "2");
    assert_true(readlink(link, here, sizeof here) > 0);
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(chdir(io_folder), 0);
    assert_ok(ada_replace_bytes("bare", "3", 1)); /* a name without a folder */
    assert_int_equal(chdir(here), 0);
    holds(io_path("bare"), "3");
}

static void reads(void **state) {
    (void)state;
    char *data = NULL, big[200000];
    size_t n;
    memset(big, 'x', sizeof big);
    io_file("big", big, sizeof big);
    assert_ok(ada_read_file(io_path("big"), &data, &n));
    assert_int_equal(n, sizeof big);
    assert_memory_equal(data, big, n);
    assert_int_equal(data[n], 0);
    ada_os.release(data);
    holds(io_file("none", "", 0), "");
    assert_fails(ada_read_file(io_folder, &data, &n), ADA_EIO, "directory");
    assert_fails(ada_read_file(io_path("absent"), &data, &n), ADA_EIO, "cannot open");
    assert_int_equal(mkfifo(io_path("fifo"), 0600), 0);
    pid_t child = fork();
    if (child == 0) {
        ada_status st = ada_write_file(io_path("fifo"), big, sizeof big);
        _exit(st);
    }
    assert_ok(ada_read_file(io_path("fifo"), &data, &n)); /* what cannot seek is read all the same */
    assert_int_equal(n, sizeof big);
    ada_os.release(data);
}

static void folders(void **state) {
    (void)state;
    assert_ok(ada_make_folder(io_path("a/b//c/")));
    assert_ok(ada_make_folder(io_path("a/b")));
    holds(io_file("a/b/c/f", "x", 1), "x");
    assert_fails(ada_make_folder(io_path("a/b/c/f")), ADA_EIO, "Not a directory");
    assert_fails(ada_make_folder(io_path("a/b/c/f/g")), ADA_EIO, "Not a directory");
    assert_fails(ada_make_folder("/proc/none"), ADA_EIO, "cannot make folder");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_call_fails), cmocka_unit_test(fill_fails),
                                       cmocka_unit_test(links_and_names), cmocka_unit_test(reads),
                                       cmocka_unit_test(folders)};
    return cmocka_run_group_tests(tests, io_test_begin, io_test_end);
}
