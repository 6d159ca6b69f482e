/* SPDX-License-Identifier: Apache-2.0
 * The cache of features: what is got has the bits that were put, in this run, the next and beside others; it
 * stays within its bound; damage, refused writes and kill -9 cost no more than features. Must not know: how
 * files are laid out inside. Invariant: whatever is found is right. */
#include "engine/features.h"
#include "engine/tower.h"
#include "engine/rng.h"
#include "io/sha.h"
#include "tests/io_test.h"
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

enum { WIDTH = 64, MAX_ROWS = 5 };
static char words[8][512]; /* of the log */
static int nwords;

static void hear(void *ctx, int level, const char *message) {
    (void)ctx;
    if (level == ADA_LOG_WARN && nwords < 8) (void)snprintf(words[nwords++], sizeof words[0], "%s", message);
}

static void key_named(char key[65], const char *name) {
    assert_ok(ada_features_key(key, name, "resized to 16"));
}

static void image_named(char hex[65], int image) {
    assert_ok(ada_sha_of(&image, sizeof image, hex));
}

static int32_t rows_of(int image) {
    return 1 + image % MAX_ROWS;
}

static void numbers_of(int image, float out[MAX_ROWS * WIDTH]) {
    for (int i = 0; i < MAX_ROWS * WIDTH; i++)
        out[i] = (float)ada_rng_normal((uint64_t)image, ADA_RNG_BENCH, (uint64_t)i);
}

static ada_features *open_cache(const char *name, size_t limit) {
    ada_features *f = NULL;
    char key[65];
    key_named(key, name);
    assert_ok(ada_features_open(&f, io_path("cache"), key, WIDTH, limit));
    return f;
}

static void put(ada_features *f, int image) {
    char hex[65];
    float x[MAX_ROWS * WIDTH];
    image_named(hex, image);
    numbers_of(image, x);
    ada_features_put(f, hex, rows_of(image), x);
}

/* Whether it is found; what is found must be right. */
static bool got(ada_features *f, int image) {
    char hex[65];
    float x[MAX_ROWS * WIDTH], want[MAX_ROWS * WIDTH];
    image_named(hex, image);
    numbers_of(image, want);
    if (!ada_features_get(f, hex, rows_of(image), x)) return false;
    assert_memory_equal(x, want, (size_t)rows_of(image) * WIDTH * sizeof *x);
    assert_false(ada_features_get(f, hex, rows_of(image) + 1, x));
    return true;
}

static int begin(void **state) {
    (void)state;
    nwords = 0;
    ada_log_set(hear, NULL);
    return io_test_begin(state);
}

static int end(void **state) {
    ada_log_set(NULL, NULL);
    return io_test_end(state);
}

/* fn for each file of the cache; their number. */
static int each_file(void (*fn)(const char *path)) {
    DIR *d = opendir(io_path("cache"));
    int n = 0;
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        char path[512];
        if (e->d_name[0] == '.') continue;
        (void)snprintf(path, sizeof path, "%s/cache/%.250s", io_folder, e->d_name);
        n++;
        if (fn) fn(path);
    }
    if (d) (void)closedir(d);
    return n;
}

static size_t folder_bytes;
static void add_size(const char *path) {
    struct stat s;
    assert_int_equal(stat(path, &s), 0);
    folder_bytes += (size_t)s.st_size;
}

static void kept_from_run_to_run(void **state) {
    (void)state;
    enum { N = 300 };
    ada_features *f = open_cache("a", 0);
    for (int i = 0; i < N; i++) {
        assert_false(got(f, i));
        put(f, i);
        assert_true(got(f, i));
    }
    ada_features_flush(f);
    assert_int_equal(each_file(NULL), 1);
    for (int i = 0; i < N; i++) assert_true(got(f, i));
    put(f, 3); /* again */
    put(f, N);
    ada_features_close(&f);
    assert_null(f);
    f = open_cache("a", 0);
    assert_int_equal(ada_features_count(f), N + 1);
    for (int i = 0; i <= N; i++) assert_true(got(f, i));
    ada_features_close(&f);
    assert_int_equal(each_file(NULL), 2);
    f = open_cache("b", 0); /* another tower */
    assert_int_equal(ada_features_count(f), 0);
    ada_features_close(&f);
    assert_int_equal(nwords, 0);
}

static void none_is_no_cache(void **state) {
    (void)state;
    ada_features *f = NULL;
    float x[WIDTH];
    char hex[65];
    image_named(hex, 1);
    ada_features_put(f, hex, 1, x);
    assert_false(ada_features_get(f, hex, 1, x));
    assert_int_equal(ada_features_count(f), 0);
    ada_features_flush(f);
    ada_features_close(&f);
    assert_fails(ada_features_open(&f, io_path("cache"), "short", WIDTH, 0), ADA_EINVAL, "no key");
}

static void oldest_goes_out(void **state) {
    (void)state;
    enum { N = 4000, LIMIT = 1000000 };
    ada_features *f = open_cache("a", LIMIT);
    for (int i = 0; i < N; i++) put(f, i);
    for (int i = 0; i < N; i++) assert_true(got(f, i)); /* open files stay readable */
    ada_features_close(&f);
    folder_bytes = 0;
    assert_true(each_file(add_size) > 1);
    assert_true(folder_bytes <= LIMIT);
    f = open_cache("a", LIMIT);
    assert_false(got(f, 0));
    assert_true(got(f, N - 1));
    assert_true(ada_features_count(f) > 0);
    ada_features_close(&f);
    assert_int_equal(nwords, 0);
}

static void remove_it(const char *path) {
    assert_int_equal(unlink(path), 0);
}

static long cut_to;
static int flip_at;
static void damage(const char *path) {
    if (cut_to >= 0) {
        assert_int_equal(truncate(path, cut_to), 0);
        return;
    }
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, flip_at, SEEK_SET), 0);
    int c = fgetc(f);
    assert_int_equal(fseek(f, flip_at, SEEK_SET), 0);
    assert_true(fputc(c ^ 1, f) != EOF);
    assert_int_equal(fclose(f), 0);
}

static void damage_is_told_and_done_without(void **state) {
    (void)state;
    static const struct {
        long cut;
        int flip;
    } how[] = {{0, 0}, {7, 0}, {500, 0}, {-1, 0}, {-1, 9}, {-1, 700}, {-1, 3000}};
    for (size_t i = 0; i < sizeof how / sizeof *how; i++) {
        ada_features *f = open_cache("a", 0);
        for (int k = 0; k < 20; k++) put(f, k);
        ada_features_close(&f);
        cut_to = how[i].cut, flip_at = how[i].flip;
        assert_int_equal(each_file(damage), 1);
        nwords = 0;
        f = open_cache("a", 0);
        assert_int_equal(nwords, 1);
        assert_non_null(strstr(words[0], "does without"));
        assert_non_null(strstr(words[0], "removed"));
        assert_int_equal(ada_features_count(f), 0);
        assert_int_equal(each_file(NULL), 0);
        put(f, 1);
        assert_true(got(f, 1));
        ada_features_close(&f);
        f = open_cache("a", 0);
        assert_true(got(f, 1));
        ada_features_close(&f);
        (void)each_file(remove_it);
    }
}

/* Of another key behind the same first digits, and sealed. */
static void others_are_left_alone(void **state) {
    (void)state;
    ada_features *f = NULL;
    char key[65], other[65];
    key_named(key, "a");
    memcpy(other, key, sizeof other);
    other[40] = other[40] == '0' ? '1' : '0';
    assert_ok(ada_features_open(&f, io_path("cache"), other, WIDTH, 0));
    put(f, 1);
    ada_features_close(&f);
    f = open_cache("a", 0);
    assert_false(got(f, 1));
    assert_int_equal(nwords, 1);
    assert_non_null(strstr(words[0], "another tower"));
    put(f, 2);
    ada_features_close(&f);
    assert_int_equal(each_file(NULL), 2);
}

static int writes_left;
static ssize_t (*real_write)(int fd, const void *buf, size_t n);
static ssize_t refuse_write(int fd, const void *buf, size_t n) {
    if (writes_left-- > 0) return real_write(fd, buf, n);
    errno = ENOSPC;
    return -1;
}

static void a_full_disk_costs_no_run(void **state) {
    (void)state;
    ada_features *f = open_cache("a", 0);
    put(f, 1);
    ada_features_flush(f);
    real_write = ada_os.write, ada_os.write = refuse_write, writes_left = 0;
    put(f, 2);
    ada_features_flush(f);
    ada_os.write = real_write;
    assert_int_equal(nwords, 1);
    assert_non_null(strstr(words[0], "not written any more"));
    assert_true(got(f, 1));
    assert_true(got(f, 2));
    put(f, 3);
    assert_false(got(f, 3));
    ada_features_close(&f);
    assert_int_equal(nwords, 1);
    assert_int_equal(each_file(NULL), 1);
    f = open_cache("a", 0);
    assert_true(got(f, 1));
    assert_false(got(f, 2));
    ada_features_close(&f);
}

/* A child that puts images, many to a file, over and over. */
static pid_t writer(int first, int n, bool forever) {
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0) return pid;
    do {
        ada_features *f = open_cache("a", 40000);
        for (int i = first; i < first + n; i++) put(f, i);
        ada_features_close(&f);
    } while (forever && (first += n));
    _exit(0);
}

static void killed_runs_leave_good_files(void **state) {
    (void)state;
    for (int i = 0; i < 12; i++) {
        int status;
        pid_t pid = writer(i * 100000, 50, true);
        const struct timespec a_while = {0, (20 + 7 * i) * 1000000L};
        (void)nanosleep(&a_while, NULL);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        ada_features *f = open_cache("a", 40000);
        for (int k = 0; k < 100; k++) (void)got(f, i * 100000 + k);
        ada_features_close(&f);
    }
    assert_int_equal(nwords, 0);
    ada_features *f = open_cache("a", 1000);
    put(f, 77);
    ada_features_close(&f); /* what killed runs left half is out, too */
    assert_int_equal(each_file(NULL), 1);
    assert_int_equal(nwords, 0);
}

static void two_runs_share_a_folder(void **state) {
    (void)state;
    enum { N = 200 };
    int status;
    pid_t one = writer(0, N, false), two = writer(N / 2, N, false);
    assert_int_equal(waitpid(one, &status, 0), one);
    assert_int_equal(status, 0);
    assert_int_equal(waitpid(two, &status, 0), two);
    assert_int_equal(status, 0);
    ada_features *f = open_cache("a", 0);
    int found = 0;
    for (int i = 0; i < N + N / 2; i++) found += got(f, i);
    assert_true(found > 0);
    assert_int_equal(found, ada_features_count(f));
    ada_features_close(&f);
    assert_int_equal(nwords, 0);
}

/* What a tower says, got from the cache in another run, is what it says. */
static void hits_are_misses_bit_for_bit(void **state) {
    (void)state;
    enum { N = 3, SIDE = 16, SIZE = 3 * SIDE * SIDE };
    static float pixels[N * SIZE];
    ada_tower *t = NULL;
    ada_features *f = NULL;
    char tower[65], key[65], image[N][65];
    int32_t rows;
    for (int i = 0; i < N * SIZE; i++) pixels[i] = (float)ada_rng_normal(1, ADA_RNG_BENCH, (uint64_t)i);
    assert_ok(ada_tower_open(&t, io_tests_path("golden/siglip"), NULL));
    assert_ok(ada_tower_key(t, tower));
    assert_ok(ada_features_key(key, tower, "none"));
    assert_ok(ada_tower_rows(t, SIDE, SIDE, &rows));
    size_t d = (size_t)ada_tower_config(t)->d, n = (size_t)rows * d;
    float *miss = test_malloc(N * n * sizeof *miss), *hit = test_malloc(n * sizeof *hit);
    assert_ok(ada_tower_run(t, pixels, N, SIDE, SIDE, miss));
    assert_ok(ada_features_open(&f, io_path("cache"), key, d, 0));
    for (int i = 0; i < N; i++) {
        assert_ok(ada_sha_of(pixels + i * SIZE, SIZE * sizeof *pixels, image[i]));
        ada_features_put(f, image[i], rows, miss + (size_t)i * n);
    }
    ada_features_close(&f);
    assert_ok(ada_features_open(&f, io_path("cache"), key, d, 0));
    for (int i = 0; i < N; i++) {
        assert_true(ada_features_get(f, image[i], rows, hit));
        assert_memory_equal(hit, miss + (size_t)i * n, n * sizeof *hit);
    }
    ada_features_close(&f);
    ada_tower_close(&t);
    test_free(hit);
    test_free(miss);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(kept_from_run_to_run, begin, end),
        cmocka_unit_test_setup_teardown(none_is_no_cache, begin, end),
        cmocka_unit_test_setup_teardown(oldest_goes_out, begin, end),
        cmocka_unit_test_setup_teardown(damage_is_told_and_done_without, begin, end),
        cmocka_unit_test_setup_teardown(others_are_left_alone, begin, end),
        cmocka_unit_test_setup_teardown(a_full_disk_costs_no_run, begin, end),
        cmocka_unit_test_setup_teardown(killed_runs_leave_good_files, begin, end),
        cmocka_unit_test_setup_teardown(two_runs_share_a_folder, begin, end),
        cmocka_unit_test_setup_teardown(hits_are_misses_bit_for_bit, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
