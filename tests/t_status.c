/* SPDX-License-Identifier: Apache-2.0
 * io/status.c: values and exit codes stay as pinned, and messages are one line that ends between characters.
 * Owns nothing. Must not know: who fails in earnest. Invariant: every public value is checked by number. */
#include "tests/io_test.h"

static void pinned(void **state) {
    (void)state;
    static const int values[] = {ADA_OK,      ADA_DONE,         ADA_EINVAL,    ADA_EIO,
                                 ADA_EFORMAT, ADA_EUNSUPPORTED, ADA_EMISMATCH, ADA_ENUMERIC,
                                 ADA_ENOMEM,  ADA_ECANCELED,    ADA_EINTERNAL};
    for (int i = 0; i < 11; i++) assert_int_equal(values[i], i);
    assert_int_equal(ada_status_exit(ADA_OK), 0);
    assert_int_equal(ada_status_exit(ADA_DONE), 0);
    for (int i = 2; i < 11; i++) assert_int_equal(ada_status_exit(i), i);
    assert_string_equal(ada_status_name(ADA_EFORMAT), "ADA_EFORMAT");
    assert_string_equal(ada_status_name(99), "ADA_EINTERNAL");
    assert_int_equal(ada_status_exit(-1), ADA_EINTERNAL);
    assert_string_equal(ada_status_text(ADA_OK), "success");
}

static void message(void **state) {
    (void)state;
    assert_int_equal(ada_fail(ADA_EFORMAT, "tensor '%s' ends at %d", "a\nb\x1b", 7), ADA_EFORMAT);
    assert_string_equal(ada_error(), "tensor 'a?b?' ends at 7");
    ada_note("while loading '%s'", "x\ry");
    assert_string_equal(ada_error(), "tensor 'a?b?' ends at 7: while loading 'x?y'");
    assert_int_equal(ada_fail(ADA_EIO, "again: %s", ada_error()),
                     ADA_EIO); /* the message as its own argument */
    assert_string_equal(ada_error(), "again: tensor 'a?b?' ends at 7: while loading 'x?y'");
    ada_error_clear();
    assert_string_equal(ada_error(), "");
    ada_note("alone");
    assert_string_equal(ada_error(), "alone");
    char kept[ADA_ERROR_MAX];
    ada_error_keep(kept);
    assert_int_equal(ada_fail(ADA_EIO, "while cleaning up"), ADA_EIO);
    assert_int_equal(ada_fail(ADA_EFORMAT, "%s", kept), ADA_EFORMAT);
    assert_string_equal(ada_error(), "alone");
}

static void long_message(void **state) {
    (void)state;
    char text[4000];
    for (size_t shift = 0; shift < 3; shift++) {
        memset(text, 'x', shift);
        for (size_t i = shift; i + 3 < sizeof text; i += 3) memcpy(text + i, "\xE2\x82\xAC", 4);
        assert_int_equal(ada_fail(ADA_EINVAL, "%s", text), ADA_EINVAL);
        size_t n = strlen(ada_error());
        assert_in_range(n, 1000, 1023);
        assert_memory_equal(ada_error(), text, n);
        assert_int_equal((n - shift) % 3, 0); /* no half of a character at its end */
        ada_note("more");
        assert_in_range(strlen(ada_error()), n, 1023);
    }
}

static char logged[2048];
static void keep(void *ctx, int level, const char *line) {
    (void)snprintf(logged, sizeof logged, "%s %d %s", (const char *)ctx, level, line);
}

static void logs(void **state) {
    (void)state;
    ada_log(ADA_LOG_WARN, "dropped");
    ada_log_set(keep, "ctx");
    ada_log(ADA_LOG_INFO, "rows: %d\n", 3);
    assert_string_equal(logged, "ctx 1 rows: 3?");
    ada_log_set(NULL, NULL);
    ada_log(ADA_LOG_WARN, "dropped");
    assert_string_equal(logged, "ctx 1 rows: 3?");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(pinned), cmocka_unit_test(message),
                                       cmocka_unit_test(long_message), cmocka_unit_test(logs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
