/* SPDX-License-Identifier: Apache-2.0
 * Tokenizers: text to ids and back, equal to Hugging Face tokenizers.
 * Owns: vocabulary, merges, added tokens, normalizer, pre-tokenizer, post-processor, decoder.
 * Read from a tokenizer.json tree or from GGUF metadata. Invariant: encode never fails on any bytes: invalid
 * UTF-8 is replaced by U+FFFD first, as Python's decode(errors="replace") does. Read-only after open: safe to
 * share. */
#ifndef ADA_IO_TOK_H
#define ADA_IO_TOK_H

#include "io/json.h"

typedef struct ada_tok ada_tok;

/* config: tokenizer_config.json or NULL. */
ada_status ada_tok_open(ada_tok **t, const ada_json *tokenizer, const ada_json *config) ADA_MUST_USE;
ada_status ada_tok_open_gguf(ada_tok **t, const ada_json *meta) ADA_MUST_USE; /* tokenizer.ggml.* keys */
/* From ada_tensors_meta of any format. */
ada_status ada_tok_open_meta(ada_tok **t, const ada_json *meta) ADA_MUST_USE;
/* Where meta's "tokenizer_config" or "config" says ByT5Tokenizer, which has no file: sets "tokenizer", and in
 * "tokenizer_config" the names that are not given. */
ada_status ada_tok_set_byt5(ada_json *meta) ADA_MUST_USE;
void ada_tok_close(ada_tok **t);

enum {
    ADA_TOK_SPECIAL = 1, /* add what the post-processor adds (BOS, EOS) */
    ADA_TOK_PLAIN = 2,   /* do not recognise special added tokens in the text */
    /* The text goes on from what `out` holds, so that nothing is put in front of it which stands at the head
     * of a text; behind an added token, what a tokenizer puts in front of every stretch stays. */
    ADA_TOK_CONTINUE = 4,
};
ada_status ada_tok_encode(const ada_tok *t, const char *text, size_t n, unsigned flags,
                          ada_ids *out) ADA_MUST_USE;
/* skip_special leaves special tokens out. Exactly what tokenizers' decode gives (no cleanup of spaces). */
ada_status ada_tok_decode(const ada_tok *t, const int32_t *ids, size_t n, bool skip_special,
                          ada_buf *out) ADA_MUST_USE;
/* The bytes one id adds after `prev` ids in a stream; partial UTF-8 stays as bytes. Special tokens give none.
 */
ada_status ada_tok_piece(const ada_tok *t, int32_t id, bool first, ada_buf *out) ADA_MUST_USE;
int32_t ada_tok_size(const ada_tok *t);                    /* number of ids, added tokens included */
const char *ada_tok_text(const ada_tok *t, int32_t id);    /* vocabulary entry; NULL out of range */
int32_t ada_tok_find(const ada_tok *t, const char *entry); /* exact entry; -1 if absent */
bool ada_tok_is_special(const ada_tok *t, int32_t id);
int32_t ada_tok_bos(const ada_tok *t); /* -1 if none */
int32_t ada_tok_eos(const ada_tok *t);
int32_t ada_tok_pad(const ada_tok *t);
bool ada_tok_adds_bos(const ada_tok *t);        /* what ADA_TOK_SPECIAL puts in front */
const char *ada_tok_template(const ada_tok *t); /* chat template source or NULL */

/* What a model kind registers: io/tok/<name>.c defines `const struct ada_tok_model ada_tok_model_<name>`:
 * see tok.c for the struct; the list is in meson.build. */

#endif
