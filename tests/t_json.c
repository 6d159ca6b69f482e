/* SPDX-License-Identifier: Apache-2.0
 * io/json.c: what is read, what is refused and where, and that a tree's text reads back as the same tree.
 * Owns: a countdown of allocations. Must not know: what keys mean.
 * Invariant: after each test every byte that the door took has been given back. */
#include "tests/io_test.h"
#include "io/json.h"
#include <math.h>

static long live, countdown = -1;
static void *(*real_alloc)(size_t);
static void (*real_release)(void *);

static void *counting_alloc(size_t n) {
    if (countdown == 0) return NULL;
    if (countdown > 0) countdown--;
    void *p = real_alloc(n);
    live += p != NULL;
    return p;
}

static void counting_release(void *p) {
    live -= p != NULL;
    real_release(p);
}

static void *counting_resize(void *p, size_t old, size_t n) {
    void *q = counting_alloc(n);
    if (q == NULL || p == NULL) return q;
    memcpy(q, p, old < n ? old : n);
    counting_release(p);
    return q;
}

static int begin(void **state) {
    (void)state;
    live = 0;
    return 0;
}

static int end(void **state) {
    (void)state;
    return live != 0;
}

static ada_json *parsed(const char *text) {
    ada_json *j = NULL;
    assert_ok(ada_json_parse(&j, text, strlen(text), "t"));
    return j;
}

/* Reads `text` and prints it again. */
static void same(const char *text, const char *want) {
    ada_json *j = parsed(text);
    ada_buf b = {0};
    assert_ok(ada_json_text(j, 0, &b));
    assert_string_equal(b.data, want);
    ada_buf_free(&b);
    ada_json_close(&j);
}

static void refuse(const char *text, size_t n, const char *words) {
    ada_json *j = NULL;
    assert_fails(ada_json_parse(&j, text, n, "t"), ADA_EFORMAT, words);
    assert_null(j);
}

static void access_values(void **state) {
    (void)state;
    ada_json *j = parsed("{\"z\": 1, \"a\": [true, null, 2.5, \"x\\u0000y\", 3.0], \"m\": {}}");
    const ada_json *a = ada_json_get(j, "a"), *value;
    assert_int_equal(ada_json_int(ada_json_get(j, "z"), 9), 1);
    assert_int_equal(ada_json_len(a), 5);
    assert_true(ada_json_bool(ada_json_at(a, 0), false));
    assert_true(ada_json_is_null(ada_json_at(a, 1)));
    assert_true(ada_json_is_null(NULL));
    assert_float_equal(ada_json_num(ada_json_at(a, 2), 0), 2.5, 0);
    assert_int_equal(ada_json_int(ada_json_at(a, 2), -7), -7); /* no whole number: the default */
    assert_int_equal(ada_json_int(ada_json_at(a, 4), -7), 3);
    assert_int_equal(ada_json_strlen(ada_json_at(a, 3)), 3);
    assert_memory_equal(ada_json_str(ada_json_at(a, 3), ""), "x\0y", 4);
    assert_null(ada_json_at(a, 5));
    assert_null(ada_json_get(a, "z"));
    assert_string_equal(ada_json_str(a, "def"), "def");
    assert_int_equal(ada_json_len(NULL), 0);
    assert_true(ada_json_is_obj(j) && ada_json_is_arr(a) && !ada_json_is_arr(j) &&
                ada_json_is_bool(ada_json_at(a, 0)));
    assert_true(ada_json_is_num(ada_json_at(a, 2)) && !ada_json_is_int(ada_json_at(a, 2)));
    char order[4] = {0};
    size_t n = 0;
    void *it = NULL;
    for (const char *key; ada_json_next(j, &it, &key, &value);) order[n++] = key[0];
    assert_string_equal(order, "zam");
    it = NULL;
    const char *key;
    assert_false(ada_json_next(a, &it, &key, &value));
    ada_json *other = ada_json_share(j);
    ada_json_close(&j);
    assert_null(j);
    assert_int_equal(ada_json_len(other), 3);
    ada_json_close(&other);
    ada_json_close(&other);
}

static void text(void **state) {
    (void)state;
    same(" [1 ,-2.50,\t\"a\\\"\\\\\\n\\u0001\\u20ac\" ]", "[1, -2.5, \"a\\\"\\\\\\n\\u0001\xE2\x82\xAC\"]");
    same("0.1", "0.1");
    same("1e22", "1e+22");
    same("0.30000000000000004", "0.30000000000000004");
    same("5e-324", "4.94065645841247e-324");
    same("-0.0", "-0.0");
    same("9223372036854775807", "9223372036854775807");
    same("[]", "[]");
    same("{\"b\": {}, \"a\": []}", "{\"b\": {}, \"a\": []}");
    ada_json *j = parsed("{\"a\": [1, {\"b\": []}], \"c\": {}}");
    ada_buf b = {0};
    assert_ok(ada_json_text(j, 2, &b));
    assert_string_equal(b.data, "{\n  \"a\": [\n    1,\n    {\n      \"b\": []\n    }\n  ],\n  \"c\": {}\n}");
    ada_buf_free(&b);
    ada_json_close(&j);
    assert_ok(ada_json_text(NULL, 0, &b));
    assert_string_equal(b.data, "null");
    ada_buf_free(&b);
}

static void big_integers(void **state) {
    (void)state;
    same("{\"model_max_length\": 1000000000000000019884624838656}", "{\"model_max_length\": 1e+30}");
    same("[\"99999999999999999999\", \"\\\"99999999999999999999\", -99999999999999999999, 12]",
         "[\"99999999999999999999\", \"\\\"99999999999999999999\", -1e+20, 12]");
    same("[99999999999999999999, 0.12345678901234567890123, 1e-5, 12E3]",
         "[1e+20, 0.12345678901234568, 1e-05, 12000.0]");
    same("99999999999999999999", "1e+20");
    refuse("[99999999999999999999,]", 23, "t:1:");
    refuse("1e999", 5, "overflow");
    refuse("[99999999999999999999, 1e999]", 29, "overflow");
}

static void refused(void **state) {
    (void)state;
    refuse("{\"a\": 1,\n  \"a\": 2}", 18, "t:2:5: duplicate object key");
    refuse("{\"a\": }", 7, "t:1:");
    refuse("[1] x", 5, "end of file expected");
    refuse("[NaN]", 5, "t:1:");
    refuse("\"\\ud800\"", 8, "t:1:");
    refuse("\"\xff\"", 3, "t:1:1: unable to decode byte 0xff");
    refuse("\"a\nb\"", 5, "t:1:");
    refuse("{\"a\\u0000b\": 1}", 15, "NUL");
    refuse("", 0, "t:1:0");
    refuse("\0", 1, "t:1:");
    char deep[6000];
    memset(deep, '[', sizeof deep);
    refuse(deep, sizeof deep, "t:1:");
    memset(deep + 2000, ']', 2000);
    ada_json *j = NULL;
    assert_ok(ada_json_parse(&j, deep, 4000, "t"));
    ada_json_close(&j);
    assert_fails(ada_json_open(&j, io_path("absent")), ADA_EIO, "No such file");
    assert_fails(ada_json_open(&j, io_file("cut", "{\n\"a\": [", 8)), ADA_EFORMAT, "cut:2:");
}

static void making(void **state) {
    (void)state;
    ada_json *j = ada_json_new_obj(), *a = ada_json_new_arr();
    assert_ok(ada_json_set(j, "list", a));
    assert_ok(ada_json_push(a, ada_json_new_str("a\xff\xe2\x82z\xed\xa0\x80", 8)));
    assert_ok(ada_json_push(a, ada_json_new_num((double)NAN)));
    assert_ok(ada_json_push(a, ada_json_new_num(1)));
    assert_ok(ada_json_push(a, ada_json_new_int(INT64_MIN)));
    assert_ok(ada_json_set(j, "on", ada_json_new_bool(true)));
    assert_ok(ada_json_set(j, "on", ada_json_new_bool(false)));
    ada_buf b = {0};
    assert_ok(ada_json_text(j, 0, &b));
    /* one U+FFFD for each maximal part of a sequence, as Python's decode(errors="replace") */
    assert_string_equal(
        b.data, "{\"list\": [\"a\xEF\xBF\xBD\xEF\xBF\xBDz\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\", null, 1.0, "
                "-9223372036854775808], \"on\": false}");
    assert_fails(ada_json_set(j, "none", NULL), ADA_ENOMEM, "none");
    assert_fails(ada_json_push(a, NULL), ADA_ENOMEM, "out of memory");
    assert_fails(ada_json_set(a, "k", ada_json_new_int(1)), ADA_EINTERNAL, "no object");
    assert_fails(ada_json_push(j, ada_json_new_int(1)), ADA_EINTERNAL, "no array");
    assert_fails(ada_json_set(j, "\xff", ada_json_new_int(1)), ADA_EFORMAT, "UTF-8");
    ada_buf_free(&b);
    ada_json_close(&j);
}

/* A vocabulary of n words; its tree is closed out of order with another one. */
static void many_keys(void **state) {
    (void)state;
    ada_buf b = {0};
    assert_ok(ada_buf_puts(&b, "{"));
    for (int i = 0; i < 50000; i++)
        assert_ok(ada_buf_printf(&b, "%s\"word%d\": %d", i > 0 ? ", " : "", i, i));
    assert_ok(ada_buf_puts(&b, "}"));
    ada_json *j = parsed(b.data), *small = parsed("{\"a\": \"b\"}"), *k = parsed(b.data);
    assert_int_equal(ada_json_int(ada_json_get(j, "word49999"), 0), 49999);
    ada_json_close(&j);
    assert_string_equal(ada_json_str(ada_json_get(small, "a"), ""), "b");
    ada_json_close(&small);
    ada_buf again = {0};
    assert_ok(ada_json_text(k, 0, &again));
    assert_string_equal(again.data, b.data);
    ada_json_close(&k);
    ada_buf_free(&again);
    ada_buf_free(&b);
}

/* Each allocation fails in turn: ENOMEM, and nothing is left behind. */
static void faults(void **state) {
    (void)state;
    ada_buf b = {0};
    assert_ok(ada_buf_puts(&b, "[99999999999999999999"));
    for (int i = 0; i < 3000; i++)
        assert_ok(ada_buf_printf(&b, ", {\"k%d\": \"some longer text %d\"}", i, i));
    for (int i = 0; i < 20; i++) /* long enough for memory of their own, key and value */
        assert_ok(ada_buf_printf(&b, ", {\"%09000d\": \"%09000d\"}", i, i));
    assert_ok(ada_buf_puts(&b, "]"));
    long before = live;
    int failures = 0;
    for (long n = 0; n < 1000; n++) {
        ada_json *j = NULL;
        countdown = n;
        ada_status st = ada_json_parse(&j, b.data, b.len, "t");
        countdown = -1;
        if (st == ADA_OK) {
            ada_json_close(&j);
            break;
        }
        failures++;
        if (st != ADA_ENOMEM) fail_msg("allocation %ld: %s", n, ada_error());
        assert_int_equal(live, before);
    }
    assert_in_range(failures, 5, 200);
    ada_buf_free(&b);
}

int main(void) {
    real_alloc = ada_os.alloc;
    real_release = ada_os.release;
    ada_os.alloc = counting_alloc;
    ada_os.release = counting_release;
    ada_os.resize = counting_resize;
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {T(access_values), T(text),      T(big_integers), T(refused),
                                       T(making),        T(many_keys), T(faults)};
#undef T
    return cmocka_run_group_tests(tests, io_test_begin, io_test_end);
}
