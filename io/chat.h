/* SPDX-License-Identifier: Apache-2.0
 * Chat templates, rendered by the part of Jinja they use (io/jinja.h); the families (ChatML, Llama-2,
 * Llama-3, Mistral, Gemma, Zephyr/TinyLlama) are told by their marks. A template that uses more is refused by
 * name at opening. Invariant: what is rendered equals what the recognised template renders in transformers.
 */
#ifndef ADA_IO_CHAT_H
#define ADA_IO_CHAT_H

#include "io/tok.h"

typedef struct ada_message {
    const char *role, *content; /* "system" | "user" | "assistant" */
} ada_message;
typedef struct ada_span {
    size_t begin, end;
} ada_span; /* byte range of an assistant's answer, its end mark included */

typedef struct ada_chat ada_chat;
/* source: the template; NULL gives EUNSUPPORTED ("this model has no chat template"). bos/eos: entries or
 * NULL. */
ada_status ada_chat_open(ada_chat **c, const char *source, const char *bos, const char *eos) ADA_MUST_USE;
void ada_chat_close(ada_chat **c);
const char *ada_chat_family(const ada_chat *c); /* "chatml" …; "other" if none of them */
/* Renders to out. generate: append what invites the assistant's turn. spans (may be NULL) gets up to *nspans
 * ranges of what the model is to say; *nspans becomes their number (ENOMEM-free: caller gives n messages'
 * worth). */
ada_status ada_chat_render(const ada_chat *c, const ada_message *m, size_t n, bool generate, ada_buf *out,
                           ada_span *spans, size_t *nspans) ADA_MUST_USE;
/* True when the rendered text already carries BOS, so that the tokenizer must not add its own. */
bool ada_chat_has_bos(const ada_chat *c);

#endif
