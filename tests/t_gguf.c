/* SPDX-License-Identifier: Apache-2.0
 * io/fmt/gguf.c and the widening of every type against what the gguf package reads from the same file.
 * Owns nothing. Must not know: architectures. Invariant: values equal the package's bit for bit. */
#include "tests/io_test.h"
#include "io/tensors.h"

enum { ROWS = 3, COLUMNS = 512 };

static void metadata(void **state) {
    (void)state;
    ada_tensors *t;
    assert_ok(ada_tensors_open(&t, io_tests_path("golden/quants.gguf")));
    assert_string_equal(ada_tensors_format(t), "gguf");
    const ada_json *m = ada_tensors_meta(t);
    assert_string_equal(ada_json_str(ada_json_get(m, "general.architecture"), ""), "llama");
    assert_int_equal(ada_json_int(ada_json_get(m, "t.u8"), 0), 255);
    assert_int_equal(ada_json_int(ada_json_get(m, "t.i8"), 0), -128);
    assert_int_equal(ada_json_int(ada_json_get(m, "t.u16"), 0), 65535);
    assert_int_equal(ada_json_int(ada_json_get(m, "t.i16"), 0), -32768);
    assert_int_equal(ada_json_int(ada_json_get(m, "t.u32"), 0), 4294967295);
    assert_int_equal(ada_json_int(ada_json_get(m, "t.i32"), 0), INT32_MIN);
    assert_true(ada_json_int(ada_json_get(m, "t.i64"), 0) == INT64_MIN);
    assert_false(ada_json_is_int(ada_json_get(m, "t.u64"))); /* past int64: a real */
    assert_true(ada_json_num(ada_json_get(m, "t.u64"), 0) == 0x1p64);
    assert_true(ada_json_num(ada_json_get(m, "t.f32"), 0) == (double)0.1f);
    assert_true(ada_json_num(ada_json_get(m, "t.f64"), 0) == 0.1);
    assert_true(ada_json_bool(ada_json_get(m, "t.bool"), false));
    const ada_json *text = ada_json_get(m, "t.text");
    assert_int_equal(ada_json_strlen(text), 13);
    assert_memory_equal(ada_json_str(text, ""), "zwei\0drei \xE2\x82\xAC", 13);
    assert_int_equal(ada_json_int(ada_json_at(ada_json_get(m, "t.numbers"), 2), 0), 3);
    assert_true(ada_json_num(ada_json_at(ada_json_get(m, "t.reals"), 1), 0) == -1.5);
    assert_string_equal(ada_json_str(ada_json_at(ada_json_get(m, "t.words"), 2), ""), "\xC3\x9F");
    assert_int_equal(ada_json_len(ada_json_get(m, "t.words")), 3);
    ada_tensors_close(&t);
}

static void each_type(void **state) {
    (void)state;
    ada_tensors *t, *w;
    assert_ok(ada_tensors_open(&t, io_tests_path("golden/quants.gguf")));
    char path[1200];
    (void)snprintf(path, sizeof path, "%s", io_tests_path("golden/quants.safetensors"));
    assert_ok(ada_tensors_open(&w, path));
    assert_int_equal(ada_tensors_count(t), 11);
    assert_int_equal(ada_tensors_count(w), 11);
    for (size_t i = 0; i < ada_tensors_count(t); i++) {
        const ada_tensor *q = ada_tensors_at(t, i), *f = ada_tensors_find(w, q->name);
        assert_non_null(f);
        assert_int_equal(q->ndim, 2);
        assert_int_equal(q->shape[0], ROWS);
        assert_int_equal(q->shape[1], COLUMNS);
        float got[ROWS * COLUMNS], want[ROWS * COLUMNS];
        assert_ok(ada_tensor_f32(q, 0, ROWS * COLUMNS, got));
        assert_ok(ada_tensor_f32(f, 0, ROWS * COLUMNS, want));
        assert_memory_equal(got, want, sizeof got);
        float part[256];
        assert_ok(ada_tensor_f32(q, 512, 256, part));
        assert_memory_equal(part, got + 512, sizeof part);
    }
    const ada_tensor *q = ada_tensors_find(t, "q4_k");
    float x[256];
    assert_fails(ada_tensor_f32(q, 32, 256, x), ADA_EINTERNAL, "q4_k");
    assert_fails(ada_tensor_f32(q, ROWS * COLUMNS, 256, x), ADA_EINTERNAL, "q4_k");
    ada_tensors_close(&t);
    ada_tensors_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(metadata), cmocka_unit_test(each_type)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
