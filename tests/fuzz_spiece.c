/* SPDX-License-Identifier: Apache-2.0
 * libFuzzer target: any bytes as a SentencePiece model, of T5's class and of none, give a tokenizer or a
 * status and one line; what opens encodes the very bytes it was made from, and decodes the ids it gave. Owns
 * nothing. Must not know: the format. Invariant: no input crashes, hangs or leaks; ids are of the vocabulary.
 */
#include "io/spiece.h"
#include "io/tok.h"
#include "tests/fuzz.h"

static void check_tok(const ada_tok *t, const char *text, size_t n) {
    ada_ids ids = {0};
    ada_buf out = {0};
    ada_status st = ada_tok_encode(t, text, n, ADA_TOK_SPECIAL, &ids);
    fuzz_check(st);
    for (size_t i = 0; i < ids.len && st == ADA_OK; i++)
        if (ada_tok_text(t, ids.data[i]) == NULL) abort();
    fuzz_check(ada_tok_decode(t, ids.data, ids.len, true, &out));
    ada_ids_free(&ids);
    ada_buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static const char config_text[] = "{\"tokenizer_class\": \"T5Tokenizer\", \"extra_ids\": 2}";
    enum { TEXT = 512 };
    ada_json *config = NULL;
    if (ada_json_parse(&config, config_text, sizeof config_text - 1, "config") != ADA_OK) abort();
    for (int t5 = 0; t5 < 2; t5++) {
        ada_json *meta = ada_json_new_obj();
        ada_tok *t = NULL;
        ada_status st =
            meta ? ada_spiece_read(meta, data, n, t5 ? config : NULL, "spiece.model") : ADA_ENOMEM;
        if (st == ADA_OK) st = ada_tok_open_meta(&t, meta);
        fuzz_check(st);
        if (st == ADA_OK) check_tok(t, (const char *)data, n < TEXT ? n : TEXT);
        ada_tok_close(&t);
        ada_json_close(&meta);
    }
    ada_json_close(&config);
    return 0;
}
