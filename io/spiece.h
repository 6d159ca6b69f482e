/* SPDX-License-Identifier: Apache-2.0
 * A SentencePiece model file (spiece.model, tokenizer.model) as the keys that a GGUF file would carry for it.
 * Owns: the file's layout. Must not know: how text is tokenized. Invariant: every length is checked against
 * the bytes that are there. */
#ifndef ADA_IO_SPIECE_H
#define ADA_IO_SPIECE_H

#include "io/json.h"

/* Sets tokenizer.ggml.* of meta from the bytes. config: tokenizer_config.json or NULL, which says whether BOS
 * and EOS are added, and how many <extra_id_N> follow the file's own pieces; where it does not, "config" of
 * meta says whether the model is a T5. name for errors. EFORMAT; EUNSUPPORTED: words or characters as the
 * model, a Unigram that keeps extra spaces, a BPE that rewrites characters. */
ada_status ada_spiece_read(ada_json *meta, const void *bytes, size_t n, const ada_json *config,
                           const char *name) ADA_MUST_USE;

#endif
