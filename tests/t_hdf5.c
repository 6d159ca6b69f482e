/* SPDX-License-Identifier: Apache-2.0
 * io/fmt/hdf5.c: an imported model comes back as it was written, is whole or not there, and damage is found.
 * Owns the files it writes. Must not know: architectures. Invariant: tensors are mapped at multiples of 4096.
 */
#include "tests/io_test.h"
#include "io/h5.h"
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { N = 40 };
static char names[N][32];
static ada_tensor list[N];
static int filled, fail_at = -1;

static void make_list(void) {
    static const ada_dtype types[] = {ADA_F32, ADA_BF16, ADA_F16, ADA_I64, ADA_U8};
    for (int i = 0; i < N; i++) {
        (void)snprintf(names[i], sizeof names[i], "blk.%d.weight", (i * 7) % N);
        list[i] = (ada_tensor){
            .name = names[i], .dtype = types[i % 5], .ndim = 1 + i % 4, .shape = {i + 1, 5, 4, 3}};
    }
    list[3].shape[0] = 0;
}

/* Bytes that depend on the name alone. */
static void bytes_of(const char *name, unsigned char *p, size_t n) {
    unsigned x = (unsigned)strlen(name) + (unsigned)name[4] * 7 + (unsigned)name[5];
    for (size_t i = 0; i < n; i++) p[i] = (unsigned char)(x = x * 1103515245u + 12345u) & 0x3f;
}

static ada_status fill(void *ctx, const ada_tensor *t, void *out) {
    const char **last = ctx;
    if (filled++ == fail_at) return ada_fail(ADA_ENUMERIC, "the source is broken");
    if (*last != NULL && strcmp(*last, t->name) >= 0) return ada_fail(ADA_EINTERNAL, "not in name order");
    *last = t->name;
    bytes_of(t->name, out, t->bytes);
    return ADA_OK;
}

static ada_status write_model(const char *path) {
    const char *last = NULL;
    ada_json *meta = NULL;
    static const char text[] = "{\"config\": {\"model_type\": \"llama\", \"eps\": 1e-05}, \"tokenizer\": "
                               "{\"x\": \"\xE2\x82\xAC\\u0000\"}}";
    ada_status st = ada_json_parse(&meta, text, sizeof text - 1, "meta");
    filled = 0;
    make_list();
    char source[65];
    memset(source, 'a', 64);
    source[64] = 0;
    if (st == ADA_OK) st = ada_model_file_write(path, meta, source, list, N, fill, &last);
    ada_json_close(&meta);
    return st;
}

static void comes_back(void **state) {
    (void)state;
    const char *path = io_path("m.h5");
    assert_ok(write_model(path));
    ada_tensors *t;
    assert_ok(ada_tensors_open(&t, path));
    assert_string_equal(ada_tensors_format(t), "hdf5");
    assert_int_equal(ada_tensors_count(t), N);
    for (int i = 0; i < N; i++) {
        const ada_tensor *got = ada_tensors_find(t, names[i]);
        assert_non_null(got);
        assert_int_equal(got->dtype, list[i].dtype);
        assert_int_equal(got->ndim, list[i].ndim);
        assert_memory_equal(got->shape, list[i].shape, (size_t)got->ndim * sizeof *got->shape);
        unsigned char want[64 * 60 * 8];
        assert_true(got->bytes <= sizeof want);
        bytes_of(names[i], want, got->bytes);
        assert_memory_equal(got->data, want, got->bytes);
        if (got->bytes >= 512) assert_int_equal((uintptr_t)got->data % 4096, 0);
    }
    ada_buf b = {0};
    assert_ok(ada_json_text(ada_tensors_meta(t), 0, &b));
    assert_string_equal(b.data, "{\"config\": {\"model_type\": \"llama\", \"eps\": 1e-05}, \"tokenizer\": "
                                "{\"x\": \"\xE2\x82\xAC\\u0000\"}}");
    ada_buf_free(&b);
    char hex[65];
    assert_ok(ada_tensors_digest(t, hex));
    assert_int_equal(strspn(hex, "a"), 64);
    assert_ok(ada_tensors_verify(t));
    ada_tensors_close(&t);
}

/* Readable by HDF5 too, tensor by tensor. */
static void is_hdf5(void **state) {
    (void)state;
    const char *path = io_path("r.h5");
    assert_ok(write_model(path));
    ada_h5_in *f;
    assert_fails(ada_h5_open(&f, path, true), ADA_EFORMAT, "has no digest");
    assert_ok(ada_h5_open(&f, path, false));
    ada_dtype type;
    int ndim;
    int64_t shape[ADA_MAX_DIMS];
    for (int i = 0; i < N; i++) {
        char at[64];
        (void)snprintf(at, sizeof at, "/tensors/%.31s", names[i]);
        assert_ok(ada_h5_shape(f, at, &type, &ndim, shape));
        assert_int_equal(type, list[i].dtype);
        assert_memory_equal(shape, list[i].shape, (size_t)ndim * sizeof *shape);
    }
    ada_buf b = {0};
    assert_ok(ada_h5_get_attr_str(f, "/", "source_sha256", &b));
    assert_int_equal(b.len, 64);
    ada_buf_free(&b);
    assert_ok(ada_h5_get_text(f, "/meta", &b));
    assert_memory_equal(b.data, "{\"config\"", 9);
    ada_buf_free(&b);
    ada_h5_close(&f);
}

/* Any byte of tensors changed: verify says so. Of index, metadata or seal: opening does. */
static void damage(void **state) {
    (void)state;
    char *p;
    size_t n;
    assert_ok(write_model(io_path("d.h5")));
    assert_ok(ada_read_file(io_path("d.h5"), &p, &n));
    int opened = 0, refused = 0;
    for (size_t i = 0; i < n; i += 61) {
        p[i] ^= 4;
        ada_tensors *t = NULL;
        ada_error_clear();
        ada_status st = ada_tensors_open(&t, io_file("d.h5", p, n));
        if (st == ADA_OK) st = ada_tensors_verify(t);
        ada_tensors_close(&t);
        opened += st == ADA_OK;
        refused += st != ADA_OK;
        if (st != ADA_OK) assert_int_equal(st, ADA_EFORMAT);
        p[i] ^= 4;
    }
    assert_true(refused > 100 &&
                opened > 0); /* what is neither tensor, index nor metadata is not read at all */
    for (size_t cut = 0; cut < n; cut += 1021) {
        ada_tensors *t = NULL;
        assert_fails(ada_tensors_open(&t, io_file("d.h5", p, cut)), ADA_EFORMAT, "d.h5");
    }
    ada_os.release(p);
}

static void refused(void **state) {
    (void)state;
    const char *path = io_path("x.h5");
    fail_at = 10;
    assert_fails(write_model(path), ADA_ENUMERIC, "the source is broken");
    fail_at = -1;
    assert_int_not_equal(access(path, F_OK), 0);
    make_list();
    const char *last = NULL;
    list[0].name = "a/b";
    assert_fails(ada_model_file_write(path, NULL, "", list, 1, fill, &last), ADA_EUNSUPPORTED,
                 "a name that HDF5");
    list[0].name = "q";
    list[0].dtype = ADA_Q4_0;
    assert_fails(ada_model_file_write(path, NULL, "", list, 1, fill, &last), ADA_EINTERNAL,
                 "written as Q4_0");
    assert_fails(write_model("/proc/none.h5"), ADA_EIO, "cannot create");
    assert_ok(ada_make_folder(io_path("folder")));
    assert_fails(write_model(io_path("folder")), ADA_EINVAL, "no regular file");
}

static void count_full(void *ctx, const char *name) {
    *(int *)ctx += strncmp(name, "full.h5", 7) == 0;
}

/* LeakSanitizer, where it is built in, is told that this process is done. */
__attribute__((weak)) void __lsan_disable(void);
static void no_leak_check(void) {
    if (__lsan_disable != NULL) __lsan_disable();
}

/* Writes under each limit of size; 0 if each is refused as it should be. */
static int write_under_limits(const char *path) {
    int failed = 0;
    (void)signal(SIGXFSZ, SIG_IGN);
    for (rlim_t limit = 0; limit < 160000; limit += 9999) {
        struct rlimit low = {limit, RLIM_INFINITY};
        if (setrlimit(RLIMIT_FSIZE, &low) != 0) return 1;
        ada_error_clear();
        ada_status st = write_model(path);
        if (st == ADA_OK) break;
        failed++;
        if (st != ADA_EIO || strstr(ada_error(), strerror(EFBIG)) == NULL || access(path, F_OK) == 0)
            return 2;
    }
    return failed >= 5 && failed <= 20 ? 0 : 3;
}

/* A file system that takes no more. In a child, because HDF5 keeps what it cannot close; the child's exit is
 * a real one, as the command's is, and must not crash. */
static void disk_full(void **state) {
    (void)state;
    const char *path = io_path("full.h5");
    int how, files = 0;
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        no_leak_check();
        exit(write_under_limits(path));
    }
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how));
    assert_int_equal(WEXITSTATUS(how), 0);
    assert_ok(write_model(path));
    assert_int_equal(ada_os.list(io_folder, count_full, &files), 0);
    assert_int_equal(files, 1); /* no temp is left */
}

static int quick_fsync(int fd) {
    return fd < 0 ? -1 : 0;
}

int main(void) {
    ada_os.fsync = quick_fsync; /* hundreds of files are written here; t_replace looks at the real one */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(disk_full), /* first: the child must not reuse our blocks */
        cmocka_unit_test(comes_back), cmocka_unit_test(is_hdf5), cmocka_unit_test(damage),
        cmocka_unit_test(refused)};
    return cmocka_run_group_tests(tests, io_test_begin, io_test_end);
}
