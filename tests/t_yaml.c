/* SPDX-License-Identifier: Apache-2.0
 * io/yaml.c: scalars are typed by YAML 1.2's core schema; what is refused is refused with its line and
 * column. Owns nothing. Must not know: run files. Invariant: expectations are JSON text. */
#include "tests/io_test.h"
#include "io/yaml.h"

static void same(const char *yaml, const char *want) {
    ada_json *j;
    ada_buf b = {0};
    assert_ok(ada_yaml_open(&j, io_file("y", yaml, strlen(yaml))));
    assert_ok(ada_json_text(j, 0, &b));
    assert_string_equal(b.data, want);
    ada_buf_free(&b);
    ada_json_close(&j);
}

static void refuse(const char *yaml, size_t n, ada_status status, const char *words) {
    ada_json *j;
    assert_fails(ada_yaml_open(&j, io_file("y", yaml, n)), status, words);
    assert_null(j);
}

static void scalars(void **state) {
    (void)state;
    same("[0, -1, +7, 007, 0x1F, 0o17, 9223372036854775807]", "[0, -1, 7, 7, 31, 15, 9223372036854775807]");
    same("[1e-4, .5, 1., -2.5E+3, 12345678901234567890]",
         "[0.0001, 0.5, 1.0, -2500.0, 1.2345678901234567e+19]");
    same("[true, False, TRUE, yes, on, n]", "[true, false, true, \"yes\", \"on\", \"n\"]");
    same("[~, null, NULL, nil, '']", "[null, null, null, \"nil\", \"\"]");
    same("[1e, ., -, 0x, 0xg, 1_000, 1.2.3, e5, +, 12:30, -.e1]",
         "[\"1e\", \".\", \"-\", \"0x\", \"0xg\", \"1_000\", \"1.2.3\", \"e5\", \"+\", \"12:30\", \"-.e1\"]");
    same("[\"1\", '2', \"\\u20ac\\0\"]", "[\"1\", \"2\", \"\xE2\x82\xAC\\u0000\"]");
    same("42", "42");
}

static void structure(void **state) {
    (void)state;
    same("# a run\nmodel: x.gguf\nsteps: 10\nempty:\nlist:\n- a\n- {b: [1, {}]}\ntext: |\n  two\n  lines\n",
         "{\"model\": \"x.gguf\", \"steps\": 10, \"empty\": null, \"list\": [\"a\", {\"b\": [1, {}]}], "
         "\"text\": \"two\\nlines\\n\"}");
    same("---\na: 1\n...\n", "{\"a\": 1}");
    same("{1: 2, true: 3}", "{\"1\": 2, \"true\": 3}");
}

#define REFUSE(yaml, status, words) refuse(yaml, sizeof(yaml) - 1, status, words)

static void refused(void **state) {
    (void)state;
    REFUSE("a: 1\nb: 2\n  a: 3\n", ADA_EFORMAT, "y:3:4: ");
    REFUSE("a: 1\na: 2\n", ADA_EFORMAT, "y:2:1: a key that is there twice");
    REFUSE("a: &x [1]\n", ADA_EUNSUPPORTED, "y:1:4: anchors");
    REFUSE("a: *x\n", ADA_EUNSUPPORTED, "y:1:4: anchors and aliases");
    REFUSE("a: !!int 1\n", ADA_EUNSUPPORTED, "y:1:4: tags");
    REFUSE("- !<x> {}\n", ADA_EUNSUPPORTED, "y:1:3: tags");
    REFUSE("[a]: 1\n", ADA_EUNSUPPORTED, "a key that is no scalar");
    REFUSE("--- 1\n--- 2\n", ADA_EUNSUPPORTED, "y:2:1: a second document");
    REFUSE("", ADA_EFORMAT, "holds nothing");
    REFUSE("a: .inf\n", ADA_EFORMAT, "not finite");
    REFUSE("a: 1e999\n", ADA_EFORMAT, "range of a double");
    REFUSE("a: 0xfffffffffffffffff\n", ADA_EFORMAT, "past 64 bits");
    REFUSE("\"a\\0\": 1\n", ADA_EFORMAT, "NUL");
    REFUSE("a: \xff\n", ADA_EFORMAT, "UTF-8");
    REFUSE("a:\n\t- 1\n", ADA_EFORMAT, "y:2:1: ");
    char deep[200];
    memset(deep, '[', sizeof deep);
    refuse(deep, sizeof deep, ADA_EFORMAT, "nested too deeply");
    ada_json *j;
    assert_fails(ada_yaml_open(&j, io_path("absent")), ADA_EIO, "No such file");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(scalars), cmocka_unit_test(structure),
                                       cmocka_unit_test(refused)};
    return cmocka_run_group_tests(tests, io_test_begin, io_test_end);
}
