/* SPDX-License-Identifier: Apache-2.0
 * A whole tiny model for tests of training and generation: weights of tests/golden, with a tokenizer of one
 * token a letter and a ChatML template, in a folder of its own. Owns: the folder, from tiny_begin to
 * tiny_end. Must not know: what is tested. Invariant: the same files in every run, so that bits may be
 * compared. */
#ifndef ADA_TESTS_TINY_H
#define ADA_TESTS_TINY_H

#include "tests/io_test.h"
#include "engine/model.h"

enum { TINY_UNK, TINY_BOS, TINY_EOS, TINY_IM_START, TINY_IM_END, TINY_FIRST };
static const char tiny_letters[] = "abcdefghijklmnopqrstuvwxyz0123456789.,:!?'-";

static const char *tiny_golden = "tied_gqa"; /* whose weights */
static bool tiny_prefix;                     /* prompts see themselves in both directions */

static inline int32_t tiny_id(char c) {
    const char *at = strchr(tiny_letters, c);
    if (c == ' ') return TINY_FIRST + (int32_t)strlen(tiny_letters);
    if (c == '\n') return TINY_FIRST + (int32_t)strlen(tiny_letters) + 1;
    return c && at ? TINY_FIRST + (int32_t)(at - tiny_letters) : TINY_UNK;
}

static inline void tiny_copy(const char *from, const char *to) {
    char path[600], *text;
    size_t n;
    (void)snprintf(path, sizeof path, "golden/%s/%s", tiny_golden, from);
    assert_ok(ada_read_file(io_tests_path(path), &text, &n));
    assert_ok(ada_write_file(to, text, n));
    ada_os.release(text);
}

static inline void tiny_tokenizer(void) {
    static const char *const special[] = {"<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"};
    ada_buf b = {0};
    assert_ok(ada_buf_puts(&b, "{\"version\": \"1.0\", \"added_tokens\": ["));
    for (int i = 0; i < TINY_FIRST; i++)
        assert_ok(
            ada_buf_printf(&b,
                           "%s{\"id\": %d, \"content\": \"%s\", \"single_word\": false, \"lstrip\": false, "
                           "\"rstrip\": false, \"normalized\": false, \"special\": true}",
                           i ? ", " : "", i, special[i]));
    assert_ok(ada_buf_puts(&b, "], \"normalizer\": null, \"pre_tokenizer\": {\"type\": \"ByteLevel\", "
                               "\"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": true}, "
                               "\"post_processor\": null, "
                               "\"decoder\": {\"type\": \"ByteLevel\"}, \"model\": {\"type\": \"BPE\", "
                               "\"unk_token\": \"<unk>\", \"merges\": [], "
                               "\"vocab\": {"));
    for (int i = 0; i < TINY_FIRST; i++) assert_ok(ada_buf_printf(&b, "\"%s\": %d, ", special[i], i));
    for (const char *c = tiny_letters; *c; c++)
        assert_ok(ada_buf_printf(&b, "\"%c\": %d, ", *c, tiny_id(*c)));
    assert_ok(ada_buf_printf(&b, "\"\\u0120\": %d, \"\\u010a\": %d}}}", tiny_id(' '), tiny_id('\n')));
    assert_ok(ada_write_file(io_path("model/tokenizer.json"), b.data, b.len));
    ada_buf_free(&b);
    static const char config[] =
        "{\"bos_token\": \"<s>\", \"eos_token\": \"</s>\", \"unk_token\": \"<unk>\", \"chat_template\": "
        "\"{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + "
        "'<|im_end|>' + "
        "'\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}\"}";
    assert_ok(ada_write_file(io_path("model/tokenizer_config.json"), config, sizeof config - 1));
}

/* Group setup: the folder and the model's files. Teardown: io_test_end. Then: of an encoder-decoder; of a
 * model with a prefix mask, which no file of text alone asks for. */
static inline int tiny_begin(void **state) {
    if (io_test_begin(state)) return 1;
    assert_ok(ada_make_folder(io_path("model")));
    tiny_copy("config.json", io_path("model/config.json"));
    tiny_copy("model.safetensors", io_path("model/model.safetensors"));
    tiny_tokenizer();
    return 0;
}

static inline int tiny_begin_pair(void **state) {
    tiny_golden = "t5_gated";
    return tiny_begin(state);
}

static inline int tiny_begin_prefix(void **state) {
    tiny_golden = "tied_gqa", tiny_prefix = true;
    return tiny_begin(state);
}

static inline ada_model *tiny_open(const char *path, bool f32) {
    ada_model *m = NULL;
    assert_ok(ada_model_open(&m, path, &(ada_model_opts){.f32 = f32}));
    if (tiny_prefix) m->c.mask = m->stack.c.mask = ADA_MASK_PREFIX;
    return m;
}

static inline ada_model *tiny_model(bool f32) {
    return tiny_open(io_path("model"), f32);
}

/* A path in the folder that stays good for a whole test. */
static inline const char *tiny_path(char out[512], const char *name) {
    (void)snprintf(out, 512, "%s/%s", io_folder, name);
    return out;
}

/* Rows of which the last letter decides the answer. */
static inline const char *tiny_rows(char out[512], const char *name, int n) {
    ada_buf b = {0};
    for (int i = 0; i < n; i++) {
        char last = (char)('a' + (i * 7 + i / 3) % 4);
        assert_ok(ada_buf_printf(
            &b, "{\"prompt\": \"say %.*s%c:\", \"completion\": \" %s\", \"choices\": [\" no\", \" yes\"]}\n",
            i % 5, "xyzuv", last, last < 'c' ? "yes" : "no"));
    }
    assert_ok(ada_write_file(tiny_path(out, name), b.data, b.len));
    ada_buf_free(&b);
    return out;
}

#endif
