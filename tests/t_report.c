/* SPDX-License-Identifier: Apache-2.0
 * What a person sees: times, sizes, wrapped text, trees and tables, as they come out of standard output, and
 * that a write that fails is told. Standard output is a file while a test prints. */
#include "apps/report.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int saved = -1;
static FILE *into;

static void begin(void) {
    fflush(stdout);
    saved = dup(1);
    into = tmpfile();
    assert_non_null(into);
    assert_int_equal(dup2(fileno(into), 1), 1);
}

static const char *end(void) {
    static char text[4096];
    assert_int_equal(ada_out_flush(), ADA_OK);
    dup2(saved, 1);
    close(saved);
    rewind(into);
    size_t n = fread(text, 1, sizeof text - 1, into);
    text[n] = 0;
    fclose(into);
    return text;
}

static void test_times_and_sizes(void **state) {
    (void)state;
    char t[32];
    assert_string_equal(ada_text_time(t, 0), "0:00");
    assert_string_equal(ada_text_time(t, 59.6), "1:00");
    assert_string_equal(ada_text_time(t, 3725), "1:02:05");
    assert_string_equal(ada_text_time(t, NAN), "?");
    assert_string_equal(ada_text_time(t, -1), "?");
    assert_string_equal(ada_text_bytes(t, 1023), "1023 B");
    assert_string_equal(ada_text_bytes(t, 1536), "1.5 KiB");
    assert_string_equal(ada_text_bytes(t, 812.0 * 1048576), "812 MiB");
}

static void test_wrapped(void **state) {
    (void)state;
    begin();
    ada_out_wrapped("one two three four\nfive", 2, 9);
    assert_string_equal(end(), "one two\n  three\n  four\nfive\n");
}

static void test_tree(void **state) {
    (void)state;
    const char *text =
        "{\"name\": \"m\", \"weight_bytes\": 1048576, \"on\": true, \"none\": null, \"x\": 0.25, "
        "\"list\": [1, 20000], \"inner\": {\"a\": -1234567}, \"rows\": [{\"b\": 1}]}";
    ada_json *j = NULL;
    assert_int_equal(ada_json_parse(&j, text, strlen(text), "tree"), ADA_OK);
    begin();
    ada_out_tree(j);
    ada_json_close(&j);
    assert_string_equal(end(), "name          m\nweight_bytes  1,048,576  (1.0 MiB)\non            yes\n"
                               "none          none\nx             0.25\nlist          1, 20,000\n"
                               "inner\n  a  -1,234,567\nrows\n  {\"b\": 1}\n");
}

static void test_object(void **state) {
    (void)state;
    struct ada_object o = ada_object_new();
    ada_object_str(&o, "s", "t");
    ada_object_str(&o, "absent", NULL);
    ada_object_num(&o, "nan", NAN);
    ada_object_bool(&o, "b", false);
    begin();
    assert_int_equal(ada_object_show(&o, ADA_OK, true), ADA_OK);
    assert_string_equal(end(), "{\"s\": \"t\", \"nan\": null, \"b\": false}\n");
    assert_null(o.j);
    o = ada_object_new();
    begin();
    assert_int_equal(ada_object_show(&o, ADA_EIO, true), ADA_EIO);
    assert_string_equal(end(), "");
}

static void test_table(void **state) {
    (void)state;
    struct ada_table t = {.columns = 2};
    const char *const cells[] = {"test", "mean ± sd", "pp512", "1.0 ± 0.5", "a long one", "7"};
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) ada_table_cell(&t, "%s", cells[i]);
    begin();
    ada_table_print(&t);
    assert_string_equal(end(), "test        mean ± sd\npp512       1.0 ± 0.5\na long one          7\n");
    assert_null(t.cells);
}

/* Last: a failure is kept for the rest of the process. */
static void test_failed_write(void **state) {
    (void)state;
    fflush(stdout);
    saved = dup(1);
    FILE *full = fopen("/dev/full", "w");
    assert_non_null(full);
    dup2(fileno(full), 1);
    ada_out_printf("lost\n");
    assert_int_equal(ada_out_flush(), ADA_EIO);
    dup2(saved, 1);
    close(saved);
    fclose(full);
    assert_string_equal(ada_error(), "cannot write to standard output: No space left on device");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times_and_sizes),
        cmocka_unit_test(test_wrapped),
        cmocka_unit_test(test_tree),
        cmocka_unit_test(test_object),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_failed_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
