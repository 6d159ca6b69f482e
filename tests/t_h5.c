/* SPDX-License-Identifier: Apache-2.0
 * io/h5.c: what is put comes back, equal content gives equal bytes, a changed byte anywhere is found, and a
 * call of the system that fails leaves neither file nor memory. Owns: a table of system calls that fails one.
 * Must not know: adapters. Invariant: no HDF5 id is left open. (tests/bad has the files that are refused.) */
#include "tests/io_test.h"
#include "io/h5.h"
#include <errno.h>
#include <hdf5.h>
#include <pthread.h>

static const float down[6] = {1, -2, 3.5f, 0, -0.0f, 1e-30f};
static const int64_t steps[3] = {INT64_MIN, 0, INT64_MAX};
static const uint16_t brain[2] = {0x3f80, 0xc000};

static ada_status put_all(ada_h5_out *f) {
    ADA_TRY(ada_h5_attr_str(f, "/adapter", "method", "adalink \xE2\x82\xAC"));
    ADA_TRY(ada_h5_attr_f64(f, "/adapter", "scale", 0.1));
    ADA_TRY(ada_h5_attr_i64(f, "/adapter", "rank", -64));
    ADA_TRY(ada_h5_attr_str(f, "/", "empty", ""));
    ADA_TRY(ada_h5_put(f, "/adapter/text/down", ADA_F32, 2, (int64_t[]){2, 3}, down));
    ADA_TRY(ada_h5_put(f, "/adapter/text/brain", ADA_BF16, 1, (int64_t[]){2}, brain));
    ADA_TRY(ada_h5_put(f, "/adapter/none", ADA_F32, 1, (int64_t[]){0}, down));
    ADA_TRY(ada_h5_put(f, "/state/steps", ADA_I64, 1, (int64_t[]){3}, steps));
    ADA_TRY(ada_h5_put(f, "/state/step", ADA_I64, 0, NULL, steps + 2));
    ADA_TRY(ada_h5_put_text(f, "/state/settings", "{\"a\": 1}", 8));
    return ada_h5_put_text(f, "/state/nothing", "", 0);
}

static ada_status fill(void *ctx, const char *temp) {
    ada_h5_out *f = NULL;
    (void)ctx;
    ADA_TRY(ada_h5_create(&f, temp));
    ada_status st = put_all(f);
    if (st == ADA_OK) return ada_h5_finish(&f);
    ada_h5_abandon(&f);
    return st;
}

static ssize_t open_ids(void) {
    return H5Fget_obj_count(H5F_OBJ_ALL, H5F_OBJ_ALL);
}

static ada_status join_names(void *ctx, const char *name) {
    return ada_buf_printf(ctx, "%s ", name);
}

static void comes_back(void **state) {
    (void)state;
    const char *path = io_path("a.h5");
    assert_ok(ada_replace(path, fill, NULL));
    ada_h5_in *f;
    assert_ok(ada_h5_open(&f, path, true));
    float x[6];
    int64_t i[3];
    double d;
    ada_buf b = {0};
    assert_ok(ada_h5_get_f32(f, "/adapter/text/down", 6, x));
    assert_memory_equal(x, down, sizeof x);
    assert_ok(ada_h5_get_f32(f, "/adapter/text/brain", 2, x));
    assert_true(x[0] == 1 && x[1] == -2);
    assert_ok(ada_h5_get_f32(f, "/adapter/none", 0, x));
    assert_ok(ada_h5_get_i64(f, "/state/steps", 3, i));
    assert_memory_equal(i, steps, sizeof i);
    assert_ok(ada_h5_get_i64(f, "/state/step", 1, i));
    assert_true(i[0] == INT64_MAX);
    assert_ok(ada_h5_get_text(f, "/state/settings", &b));
    assert_ok(ada_h5_get_text(f, "/state/nothing", &b));
    assert_ok(ada_h5_get_attr_str(f, "/adapter", "method", &b));
    assert_ok(ada_h5_get_attr_str(f, "/", "empty", &b));
    assert_string_equal(b.data, "{\"a\": 1}adalink \xE2\x82\xAC");
    ada_buf_free(&b);
    assert_ok(ada_h5_get_attr_f64(f, "/adapter", "scale", &d));
    assert_true(d == 0.1);
    assert_ok(ada_h5_get_attr_f64(f, "/adapter", "rank", &d)); /* an integer is a number, too */
    assert_true(d == -64);
    assert_ok(ada_h5_get_attr_i64(f, "/adapter", "rank", &i[0]));
    assert_int_equal(i[0], -64);
    assert_ok(ada_h5_each(f, "/adapter", join_names, &b));
    assert_ok(ada_h5_each(f, "/", join_names, &b));
    assert_string_equal(b.data, "none text adapter state ");
    ada_buf_free(&b);
    ada_dtype type;
    int ndim;
    int64_t shape[ADA_MAX_DIMS];
    assert_ok(ada_h5_shape(f, "/adapter/text/down", &type, &ndim, shape));
    assert_true(type == ADA_F32 && ndim == 2 && shape[0] == 2 && shape[1] == 3);
    assert_ok(ada_h5_shape(f, "/adapter/text/brain", &type, &ndim, shape));
    assert_true(type == ADA_BF16 && ndim == 1);
    assert_true(ada_h5_has(f, "/adapter/text/down") && ada_h5_has(f, "/adapter") && ada_h5_has(f, "/"));
    assert_false(ada_h5_has(f, "/adapter/image/down"));
    ada_h5_close(&f);
    assert_null(f);
    ada_h5_close(&f);
    assert_int_equal(open_ids(), 0);
}

static void refused(void **state) {
    (void)state;
    const char *path = io_path("b.h5");
    assert_ok(ada_replace(path, fill, NULL));
    ada_h5_in *f;
    float x[6];
    int64_t i[4];
    double d;
    ada_buf b = {0};
    assert_ok(ada_h5_open(&f, path, true));
    assert_fails(ada_h5_get_f32(f, "/adapter/text/down", 5, x), ADA_EMISMATCH, "has 6 values, where 5");
    assert_fails(ada_h5_get_f32(f, "/state/steps", 3, x), ADA_EFORMAT, "does not hold real numbers");
    assert_fails(ada_h5_get_i64(f, "/adapter/text/down", 6, i), ADA_EFORMAT, "does not hold integers");
    assert_fails(ada_h5_get_text(f, "/state/steps", &b), ADA_EFORMAT, "does not hold text");
    assert_fails(ada_h5_get_f32(f, "/nowhere/x", 1, x), ADA_EMISMATCH, "has no '/nowhere'");
    assert_fails(ada_h5_get_f32(f, "relative", 1, x), ADA_EINTERNAL, "is no path");
    assert_fails(ada_h5_get_f32(f, "/adapter", 1, x), ADA_EMISMATCH, "is no dataset");
    assert_fails(ada_h5_get_attr_i64(f, "/adapter", "none", i), ADA_EMISMATCH, "no attribute 'none'");
    assert_fails(ada_h5_get_attr_i64(f, "/none", "rank", i), ADA_EMISMATCH, "has no '/none'");
    assert_fails(ada_h5_get_attr_i64(f, "/adapter", "scale", i), ADA_EFORMAT, "does not hold integers");
    assert_fails(ada_h5_get_attr_f64(f, "/adapter", "method", &d), ADA_EFORMAT, "does not hold real numbers");
    assert_fails(ada_h5_get_attr_str(f, "/adapter", "rank", &b), ADA_EFORMAT, "does not hold text");
    assert_fails(ada_h5_get_attr_str(f, "/", "digest", &b), ADA_EUNSUPPORTED, "fixed length");
    assert_fails(ada_h5_each(f, "/state/step", join_names, &b), ADA_EMISMATCH, "is no group");
    ada_h5_close(&f);
    assert_fails(ada_h5_open(&f, io_path("absent.h5"), true), ADA_EIO, "No such file");
    assert_fails(ada_h5_open(&f, io_folder, true), ADA_EIO, "directory");
    ada_h5_out *o;
    assert_ok(ada_h5_create(&o, io_path("c.h5")));
    assert_ok(ada_h5_put(o, "/x", ADA_F32, 1, (int64_t[]){6}, down));
    assert_fails(ada_h5_put(o, "/x", ADA_F32, 1, (int64_t[]){6}, down), ADA_EIO, "cannot write '/x'");
    assert_fails(ada_h5_put(o, "/x/y", ADA_F32, 1, (int64_t[]){6}, down), ADA_EIO, "cannot write '/x/y'");
    assert_fails(ada_h5_put(o, "/z", ADA_F32, 5, (int64_t[]){6}, down), ADA_EINTERNAL, "5 dimensions");
    assert_fails(ada_h5_put(o, "/z", ADA_Q4_0, 1, (int64_t[]){32}, down), ADA_EIO, "cannot write '/z'");
    assert_fails(ada_h5_seal(o, "x"), ADA_EINTERNAL, "cannot be sealed");
    ada_h5_abandon(&o);
    assert_null(o);
    assert_int_not_equal(access(io_path("c.h5"), F_OK), 0); /* nothing was written before finish */
    assert_int_equal(open_ids(), 0);
}

static void same_bytes(void **state) {
    (void)state;
    char *p, *q;
    size_t n, m;
    assert_ok(ada_replace(io_path("p.h5"), fill, NULL));
    assert_ok(ada_read_file(io_path("p.h5"), &p, &n));
    sleep(1); /* a time kept in the file would show */
    assert_ok(ada_replace(io_path("q.h5"), fill, NULL));
    assert_ok(ada_read_file(io_path("q.h5"), &q, &m));
    assert_int_equal(n, m);
    assert_memory_equal(p, q, n);
    ada_os.release(q);
    for (size_t i = 0; i < n; i++) { /* each byte in turn */
        ada_h5_in *f;
        p[i] ^= 0x20;
        ada_status st = ada_h5_open(&f, io_file("p.h5", p, n), true);
        if (st != ADA_EFORMAT) fail_msg("byte %zu changed: %s", i, ada_status_name(st));
        p[i] ^= 0x20;
    }
    ada_os.release(p);
}

static struct ada_os real;
static long calls, fail_at;

static int fails(void) {
    if (calls++ != fail_at) return 0;
    errno = EIO;
    return 1;
}
static void *f_alloc(size_t n) {
    return fails() ? NULL : real.alloc(n);
}
static void *f_resize(void *p, size_t old, size_t n) {
    return fails() ? NULL : real.resize(p, old, n);
}
static int f_open(const char *path, int flags, int mode) {
    return fails() ? -1 : real.open(path, flags, mode);
}
static ssize_t f_write(int fd, const void *p, size_t n) {
    return fails() ? -1 : real.write(fd, p, n);
}
static int f_fsync(int fd) {
    return fails() ? -1 : real.fsync(fd);
}
static void *f_map(int fd, size_t n) {
    return fails() ? NULL : real.map(fd, n);
}

static ada_status save_and_load(const char *path) {
    float x[6];
    ada_h5_in *f = NULL;
    ADA_TRY(ada_replace(path, fill, NULL));
    ADA_TRY(ada_h5_open(&f, path, true));
    ada_status st = ada_h5_get_f32(f, "/adapter/text/down", 6, x);
    ada_h5_close(&f);
    return st;
}

static void each_call_fails(void **state) {
    (void)state;
    const char *path = io_path("e.h5");
    int failed = 0;
    real = ada_os;
    for (fail_at = 0;; fail_at++) {
        calls = 0;
        ada_os.alloc = f_alloc;
        ada_os.resize = f_resize;
        ada_os.open = f_open;
        ada_os.write = f_write;
        ada_os.fsync = f_fsync;
        ada_os.map = f_map;
        ada_error_clear();
        ada_status st = save_and_load(path);
        ada_os = real;
        assert_int_equal(open_ids(), 0);
        if (calls <= fail_at) break;
        if (st == ADA_OK) continue; /* the look at what is to be replaced may fail */
        failed++;
        assert_true(st == ADA_EIO || st == ADA_ENOMEM);
        assert_true(ada_error()[0] != 0);
    }
    assert_in_range(failed, 8, 40);
    assert_ok(save_and_load(path));
}

static void *run(void *name) {
    ada_status st = ADA_OK;
    for (int i = 0; st == ADA_OK && i < 10; i++) st = save_and_load(name);
    return st == ADA_OK ? NULL : name;
}

static void threads(void **state) {
    (void)state;
    pthread_t t[4];
    char name[4][128];
    for (int i = 0; i < 4; i++) {
        (void)snprintf(name[i], sizeof name[i], "%s/t%d.h5", io_folder, i);
        assert_int_equal(pthread_create(&t[i], NULL, run, name[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        void *bad;
        assert_int_equal(pthread_join(t[i], &bad), 0);
        assert_null(bad);
    }
}

static int quick_fsync(int fd) {
    return fd < 0 ? -1 : 0;
}

int main(void) {
    ada_os.fsync = quick_fsync; /* hundreds of files are written here; t_replace looks at the real one */
    const struct CMUnitTest tests[] = {cmocka_unit_test(comes_back), cmocka_unit_test(refused),
                                       cmocka_unit_test(same_bytes), cmocka_unit_test(each_call_fails),
                                       cmocka_unit_test(threads)};
    return cmocka_run_group_tests(tests, io_test_begin, io_test_end);
}
