/* SPDX-License-Identifier: Apache-2.0
 * libFuzzer target: any bytes as tokenizer.json, or as a GGUF's metadata, give a tokenizer or a status and
 * one line; what opens encodes the very bytes it was made from, and decodes the ids it gave. A chat template
 * is opened and rendered. Owns nothing. Must not know: steps or models. Invariant: no input crashes, hangs or
 * leaks; ids are of the vocabulary, and all of them have a text. */
#include "io/chat.h"
#include "tests/fuzz.h"

enum { TEXT = 2048 };

static void check_chat(const ada_tok *t) {
    static const char *const parts[] = {NULL, "u <|im_end|>"};
    static const ada_message m[] = {{.role = "system", .content = "s<image>"},
                                    {"user", "<image>u <|im_end|>", parts, 2},
                                    {.role = "assistant", .content = " a"}};
    ada_chat *c = NULL;
    ada_span spans[3];
    size_t n = 3;
    ada_buf out = {0};
    ada_status st = ada_chat_open(&c, ada_tok_template(t), "<s>", "</s>");
    fuzz_check(st);
    if (st == ADA_OK) {
        st = ada_chat_render(c, m, 3, true, false, &out, spans, &n);
        fuzz_check(st);
        for (size_t i = 0; st == ADA_OK && i < n; i++)
            if (spans[i].begin > spans[i].end || spans[i].end > out.len) abort();
    }
    ada_buf_free(&out);
    ada_chat_close(&c);
}

static void check_tok(const ada_tok *t, const char *text, size_t n) {
    for (unsigned flags = 0; flags < 4; flags++) {
        ada_ids ids = {0};
        ada_buf out = {0};
        ada_status st = ada_tok_encode(t, text, n, flags, &ids);
        fuzz_check(st);
        for (size_t i = 0; i < ids.len && st == ADA_OK; i++) {
            if (ada_tok_text(t, ids.data[i]) == NULL) abort();
            fuzz_check(ada_tok_piece(t, ids.data[i], i == 0, &out));
        }
        fuzz_check(ada_tok_decode(t, ids.data, ids.len, flags & 1, &out));
        ada_ids_free(&ids);
        ada_buf_free(&out);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    ada_json *j = NULL;
    ada_status st = ada_json_parse(&j, (const char *)data, n, "tokenizer.json");
    fuzz_check(st);
    for (int gguf = 0; st == ADA_OK && gguf < 2; gguf++) {
        ada_tok *t = NULL;
        ada_status opened = gguf ? ada_tok_open_gguf(&t, j) : ada_tok_open(&t, j, j);
        fuzz_check(opened);
        if ((opened == ADA_OK) != (t != NULL)) abort();
        if (opened == ADA_OK) {
            check_tok(t, (const char *)data, n < TEXT ? n : TEXT);
            check_tok(t, "", 0);
            if (ada_tok_template(t) != NULL) check_chat(t);
        }
        ada_tok_close(&t);
    }
    ada_json_close(&j);
    return 0;
}
