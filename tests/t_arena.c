/* SPDX-License-Identifier: Apache-2.0
 * io/arena.c: growing, counting and fixed arenas place alike; sizes are checked; memory that is refused is
 * said. Owns: a table of system calls with a countdown. Must not know: who uses arenas. Invariant: what a
 * counting arena adds up is exactly what a fixed one then holds. */
#include "tests/io_test.h"
#include "io/arena.h"

static long countdown = -1; /* allocations until one fails; -1: none does */
static void *(*real_alloc)(size_t);

static void *failing_alloc(size_t n) {
    if (countdown == 0) return NULL;
    if (countdown > 0) countdown--;
    return real_alloc(n);
}

static void *(*real_resize)(void *, size_t, size_t);
static void *failing_resize(void *p, size_t old, size_t n) {
    return countdown == 0 ? NULL : real_resize(p, old, n);
}

static void sizes(void **state) {
    (void)state;
    size_t out;
    assert_true(ada_mul_size(3, 4, &out));
    assert_int_equal(out, 12);
    assert_false(ada_mul_size(SIZE_MAX / 2 + 1, 2, &out));
    assert_true(ada_add_size(SIZE_MAX - 1, 1, &out));
    assert_false(ada_add_size(SIZE_MAX, 1, &out));
}

static void layout(ada_arena *a, char *at[4]) {
    assert_ok(ada_arena_take(a, &at[0], 3, 5));
    assert_ok(ada_arena_zero(a, &at[1], 100, 8));
    assert_ok(ada_arena_take(a, &at[2], 0, 8));
    at[3] = ada_arena_str(a, "hello", 4);
}

static void counted_is_fixed(void **state) {
    (void)state;
    char *at[4];
    ada_arena count = {0}, fixed = {0}, grows = {0};
    ada_arena_count(&count);
    layout(&count, at);
    for (int i = 0; i < 4; i++) assert_non_null(at[i]);
    layout(&grows, at);
    assert_int_equal(grows.used, count.used);
    assert_ok(ada_arena_fix(&fixed, count.used));
    layout(&fixed, at);
    assert_int_equal(fixed.used, count.peak);
    for (int i = 0; i < 3; i++) assert_int_equal((uintptr_t)at[i] % 64, 0);
    for (int i = 0; i < 800; i++) assert_int_equal(at[1][i], 0);
    assert_string_equal(at[3], "hell");
    char *more;
    assert_fails(ada_arena_take(&fixed, &more, 1, 1), ADA_EINTERNAL, "fixed arena");
    assert_null(ada_arena_str(&fixed, "x", 1));

    ada_arena_reset(&fixed);
    size_t mark = ada_arena_mark(&fixed);
    layout(&fixed, at);
    ada_arena_rewind(&fixed, mark);
    char *again[4];
    layout(&fixed, again);
    assert_ptr_equal(again[1], at[1]);
    assert_int_equal(fixed.peak, count.peak);
    ada_arena_free(&fixed);
    ada_arena_free(&grows);
    ada_arena_free(&count);
    ada_arena_free(&count);
}

static void grows_and_keeps(void **state) {
    (void)state;
    ada_arena a = {0};
    char *p[200];
    for (size_t i = 0; i < 200; i++) {
        assert_ok(ada_arena_take(&a, &p[i], i + 1, 999));
        memset(p[i], (int)i, (i + 1) * 999);
    }
    for (size_t i = 0; i < 200; i++) assert_int_equal((unsigned char)p[i][(i + 1) * 999 - 1], i);
    size_t used = a.used;
    ada_arena_reset(&a);
    countdown = 0; /* the memory is kept: nothing is asked for */
    for (size_t i = 200; i-- > 0;) assert_ok(ada_arena_take(&a, &p[i], i / 2 + 1, 999));
    assert_fails(ada_arena_take(&a, &p[0], 1 << 30, 1), ADA_ENOMEM, "out of memory");
    countdown = -1;
    assert_int_equal(a.peak, used);
    ada_arena_free(&a);
}

static void refused(void **state) {
    (void)state;
    ada_arena a = {0};
    char *p;
    assert_fails(ada_arena_take(&a, &p, SIZE_MAX, 2), ADA_ENOMEM, "more than this machine can address");
    assert_fails(ada_arena_take(&a, &p, SIZE_MAX - 8, 1), ADA_ENOMEM, "out of memory");
    assert_fails(ada_arena_take(&a, &p, SIZE_MAX / 4, 1), ADA_ENOMEM, "out of memory");
    assert_fails(ada_arena_fix(&a, SIZE_MAX - 3), ADA_ENOMEM, "out of memory");
    assert_null(ada_arena_str(&a, "x", SIZE_MAX));
    countdown = 0;
    assert_fails(ada_arena_take(&a, &p, 1, 1), ADA_ENOMEM, "out of memory");
    ada_buf b = {0};
    assert_fails(ada_buf_puts(&b, "x"), ADA_ENOMEM, "out of memory");
    assert_fails(ada_buf_printf(&b, "%d", 1), ADA_ENOMEM, "out of memory");
    ada_ids v = {0};
    assert_fails(ada_ids_push(&v, 1), ADA_ENOMEM, "out of memory");
    countdown = -1;
    assert_fails(ada_buf_add(&b, "x", SIZE_MAX - 1), ADA_ENOMEM, "out of memory");
    assert_fails(ada_ids_add(&v, (const int32_t[]){0}, SIZE_MAX / 2), ADA_ENOMEM, "out of memory");
    ada_buf_free(&b);
    ada_ids_free(&v);
    ada_arena_free(&a);
}

static void buffers(void **state) {
    (void)state;
    ada_buf b = {0};
    ada_ids v = {0};
    assert_ok(ada_buf_add(&b, "", 0));
    assert_string_equal(b.data, "");
    for (int i = 0; i < 1000; i++) assert_ok(ada_buf_printf(&b, "%d,", i % 10));
    assert_int_equal(b.len, 2000);
    assert_int_equal(strlen(b.data), 2000);
    assert_memory_equal(b.data + 1996, "8,9,", 5);
    for (int32_t i = 0; i < 1000; i++) assert_ok(ada_ids_push(&v, i));
    assert_ok(ada_ids_add(&v, (const int32_t[]){-1, -2}, 2));
    assert_int_equal(v.len, 1002);
    assert_int_equal(v.data[999], 999);
    assert_int_equal(v.data[1001], -2);
    ada_buf_free(&b);
    ada_ids_free(&v);
    assert_null(b.data);
}

static void resident(void **state) {
    (void)state;
    assert_in_range(ada_os_rss(), 1 << 18, (size_t)1 << 40);
    assert_in_range(ada_os_rss_peak(), 1 << 18, (size_t)1 << 40);
    double t = ada_os.now();
    assert_true(ada_os.now() >= t);
}

int main(void) {
    real_alloc = ada_os.alloc;
    real_resize = ada_os.resize;
    ada_os.alloc = failing_alloc;
    ada_os.resize = failing_resize;
    const struct CMUnitTest tests[] = {cmocka_unit_test(sizes),           cmocka_unit_test(counted_is_fixed),
                                       cmocka_unit_test(grows_and_keeps), cmocka_unit_test(refused),
                                       cmocka_unit_test(buffers),         cmocka_unit_test(resident)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
