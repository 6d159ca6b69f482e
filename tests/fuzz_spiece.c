/* SPDX-License-Identifier: Apache-2.0
 * libFuzzer target: any bytes as a SentencePiece model give a tokenizer that encodes, or a status and one
 * line. Owns nothing. Must not know: the format. Invariant: no input crashes, hangs or leaks. */
#include "io/spiece.h"
#include "io/tok.h"
#include "tests/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    enum { TEXT = 512 };
    ada_json *meta = ada_json_new_obj();
    ada_tok *t = NULL;
    ada_ids ids = {0};
    ada_status st = meta ? ada_spiece_read(meta, data, n, NULL, "spiece.model") : ADA_ENOMEM;
    if (st == ADA_OK) st = ada_tok_open_gguf(&t, meta);
    fuzz_check(st);
    if (st == ADA_OK) fuzz_check(ada_tok_encode(t, (const char *)data, n < TEXT ? n : TEXT, 0, &ids));
    ada_ids_free(&ids);
    ada_tok_close(&t);
    ada_json_close(&meta);
    return 0;
}
