/* SPDX-License-Identifier: Apache-2.0
 * io/fmt/safetensors.c: files, folders and shards that are right (tests/bad has those that are not).
 * Owns the files it writes. Must not know: architectures. Invariant: views point into the data as written. */
#include "tests/io_test.h"
#include "io/tensors.h"

/* A file of the given header and n bytes 0, 1, 2 …, or of zeros for a negative n. */
static void put_file(const char *name, const char *header, size_t n) {
    ada_buf b = {0};
    uint64_t len = strlen(header);
    assert_ok(ada_buf_add(&b, &len, sizeof len));
    assert_ok(ada_buf_puts(&b, header));
    for (size_t i = 0; i < n; i++) assert_ok(ada_buf_add(&b, &(char){(char)i}, 1));
    io_file(name, b.data, b.len);
    ada_buf_free(&b);
}

static void put_text(const char *name, const char *text) {
    io_file(name, text, strlen(text));
}

static void one_file(void **state) {
    (void)state;
    put_file("f.safetensors", /* padded with spaces, tensors not in the order of their bytes, one empty, one a
                                 scalar */
             "{\"__metadata__\": {\"a\": \"b\"}, \"z\": {\"dtype\": \"U8\", \"shape\": [2, 3], "
             "\"data_offsets\": [9, 15]}, "
             "\"b\": {\"dtype\": \"BF16\", \"shape\": [2], \"data_offsets\": [1, 5]}, "
             "\"s\": {\"dtype\": \"F32\", \"shape\": [], \"data_offsets\": [5, 9]}, "
             "\"none\": {\"dtype\": \"I64\", \"shape\": [0, 4], \"data_offsets\": [5, 5]}, "
             "\"i\": {\"dtype\": \"I8\", \"shape\": [1], \"data_offsets\": [0, 1]}}      ",
             15);
    ada_tensors *t;
    assert_ok(ada_tensors_open(&t, io_path("f.safetensors")));
    assert_string_equal(ada_tensors_format(t), "safetensors");
    assert_int_equal(ada_tensors_count(t), 5);
    assert_string_equal(ada_tensors_at(t, 0)->name, "z");
    assert_null(ada_tensors_at(t, 5));
    assert_null(ada_tensors_find(t, "__metadata__"));
    const ada_tensor *z = ada_tensors_find(t, "z"), *b = ada_tensors_find(t, "b"),
                     *s = ada_tensors_find(t, "s");
    assert_int_equal(z->ndim, 2);
    assert_int_equal(z->shape[1], 3);
    assert_memory_equal(z->data, "\x09\x0a\x0b\x0c\x0d\x0e", 6);
    assert_int_equal(ada_tensor_count(s), 1);
    assert_int_equal(ada_tensor_count(ada_tensors_find(t, "none")), 0);
    float x[2], want[2];
    assert_ok(ada_tensor_f32(b, 0, 2, x));
    memcpy(want, (const uint32_t[]){0x02010000, 0x04030000}, sizeof want);
    assert_memory_equal(x, want, sizeof x);
    assert_ok(ada_tensor_f32(s, 0, 1, x));
    assert_memory_equal(x, "\x05\x06\x07\x08", 4);
    assert_ok(ada_tensor_f32(ada_tensors_find(t, "none"), 0, 0, x) == ADA_EUNSUPPORTED ? ADA_OK
                                                                                       : ADA_EINTERNAL);
    assert_fails(ada_tensor_f32(z, 0, 6, x), ADA_EUNSUPPORTED, "tensor 'z' holds U8");
    assert_int_equal(ada_json_len(ada_tensors_meta(t)), 0);
    ada_tensors_close(&t);
    assert_null(t);
    ada_tensors_close(&t);
}

#define ONE(name) "{\"" name "\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [0, 4]}}"

static void folder(void **state) {
    (void)state;
    assert_ok(ada_make_folder(io_path("m")));
    put_text("m/config.json", "{\"model_type\": \"llama\"}");
    put_text("m/tokenizer.json", "{\"version\": \"1.0\"}");
    put_text("m/tokenizer_config.json",
             "{\"model_max_length\": 1000000000000000019884624838656, \"chat_template\": \"old\"}");
    put_file("m/model.safetensors", ONE("w"), 4);
    ada_tensors *t;
    assert_ok(ada_tensors_open(&t, io_path("m")));
    const ada_json *m = ada_tensors_meta(t);
    assert_string_equal(ada_json_str(ada_json_get(ada_json_get(m, "config"), "model_type"), ""), "llama");
    assert_true(ada_json_num(ada_json_get(ada_json_get(m, "tokenizer_config"), "model_max_length"), 0) ==
                1e30);
    assert_string_equal(ada_json_str(ada_json_get(ada_json_get(m, "tokenizer_config"), "chat_template"), ""),
                        "old");
    assert_null(ada_json_get(m, "generation_config"));
    ada_tensors_close(&t);
    put_text("m/chat_template.jinja", "new");
    assert_ok(ada_tensors_open(&t, io_path("m/")));
    m = ada_tensors_meta(t);
    assert_string_equal(ada_json_str(ada_json_get(ada_json_get(m, "tokenizer_config"), "chat_template"), ""),
                        "new");
    ada_tensors_close(&t);
    assert_int_equal(unlink(io_path("m/tokenizer_config.json")), 0);
    assert_ok(ada_tensors_open(&t, io_path("m")));
    m = ada_tensors_meta(t);
    assert_string_equal(ada_json_str(ada_json_get(ada_json_get(m, "tokenizer_config"), "chat_template"), ""),
                        "new");
    ada_tensors_close(&t);
}

static void template_is(const char *want) {
    ada_tensors *t;
    assert_ok(ada_tensors_open(&t, io_path("p")));
    const ada_json *config = ada_json_get(ada_tensors_meta(t), "tokenizer_config");
    assert_string_equal(ada_json_str(ada_json_get(config, "chat_template"), ""), want);
    ada_tensors_close(&t);
}

/* A folder with a processor has its template where processors look, in the order of their say. */
static void templates(void **state) {
    (void)state;
    ada_tensors *t;
    assert_ok(ada_make_folder(io_path("p")));
    put_text("p/config.json", "{\"model_type\": \"llama\"}");
    put_file("p/model.safetensors", ONE("w"), 4);
    put_text("p/tokenizer_config.json", "{\"chat_template\": \"tokenizer's\"}");
    put_text("p/chat_template.json", "{\"chat_template\": \"json\"}");
    template_is("tokenizer's");
    put_text("p/preprocessor_config.json", "{}");
    template_is("json");
    put_text("p/chat_template.jinja", "jinja");
    template_is("json");
    put_text("p/processor_config.json", "{\"chat_template\": \"processor's\"}");
    template_is("processor's");
    put_text("p/processor_config.json", "{\"chat_template\": null}");
    template_is("json");
    put_text("p/chat_template.json", "{\"template\": \"json\"}");
    assert_fails(ada_tensors_open(&t, io_path("p")), ADA_EFORMAT, "has no string 'chat_template'");
    ada_tensors_close(&t);
    assert_int_equal(unlink(io_path("p/chat_template.json")), 0);
    template_is("jinja");
}

/* The same tensors in one file, in shards and in another order: one digest; other bytes, another. */
static void shards(void **state) {
    (void)state;
    assert_ok(ada_make_folder(io_path("s")));
    put_text("s/config.json", "{}");
    put_text(
        "s/model.safetensors.index.json",
        "{\"metadata\": {\"total_size\": 12}, \"weight_map\": {\"c\": \"2\", \"a\": \"1\", \"b\": \"2\"}}");
    put_file("s/1", ONE("a"), 4);
    put_file("s/2",
             "{\"b\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [0, 4]}, "
             "\"c\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [4, 8]}}",
             8);
    ada_tensors *t;
    char split[65], whole[65], other[65];
    assert_ok(ada_tensors_open(&t, io_path("s")));
    assert_int_equal(ada_tensors_count(t), 3);
    assert_memory_equal(ada_tensors_find(t, "c")->data, "\4\5\6\7", 4);
    assert_ok(ada_tensors_digest(t, split));
    assert_ok(ada_tensors_verify(t));
    ada_tensors_close(&t);

    ada_buf b = {0};
    const char *header = "{\"b\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [4, 8]}, "
                         "\"c\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [8, 12]}, "
                         "\"a\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [0, 4]}}";
    uint64_t len = strlen(header);
    assert_ok(ada_buf_add(&b, &len, 8));
    assert_ok(ada_buf_puts(&b, header));
    assert_ok(ada_buf_add(&b, "\0\1\2\3\0\1\2\3\4\5\6\7", 12));
    assert_ok(ada_tensors_open(&t, io_file("w", b.data, b.len)));
    assert_ok(ada_tensors_digest(t, whole));
    ada_tensors_close(&t);
    assert_string_equal(split, whole);
    b.data[b.len - 1] ^= 1;
    assert_ok(ada_tensors_open(&t, io_file("w", b.data, b.len)));
    assert_ok(ada_tensors_digest(t, other));
    ada_tensors_close(&t);
    assert_string_not_equal(split, other);
    ada_buf_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_file), cmocka_unit_test(folder),
                                       cmocka_unit_test(templates), cmocka_unit_test(shards)};
    return cmocka_run_group_tests(tests, io_test_begin, io_test_end);
}
