/* SPDX-License-Identifier: Apache-2.0
 * libFuzzer target: any bytes as YAML and as JSON give a tree, or a status and one line; a tree's text reads
 * back as the same text. Owns nothing. Must not know: keys. Invariant: no input crashes, hangs or leaks. */
#include "io/yaml.h"
#include "tests/fuzz.h"

static void check_tree(const ada_json *j) {
    ada_buf first = {0}, second = {0};
    ada_json *again = NULL;
    fuzz_check(ada_json_text(j, 0, &first));
    ada_status st = ada_json_parse(&again, first.data, first.len, "text");
    if (st == ADA_OK) {
        fuzz_check(ada_json_text(again, 0, &second));
        if (strcmp(first.data, second.data) != 0) abort();
    } else
        abort();
    ada_error_clear();
    ada_json_close(&again);
    ada_buf_free(&first);
    ada_buf_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    ada_json *j = NULL;
    ada_status st = ada_yaml_open(&j, fuzz_file(data, n));
    fuzz_check(st);
    if (st == ADA_OK) check_tree(j);
    ada_json_close(&j);
    st = ada_json_parse(&j, (const char *)data, n, "json");
    fuzz_check(st);
    if (st == ADA_OK) check_tree(j);
    ada_json_close(&j);
    return 0;
}
