/* SPDX-License-Identifier: Apache-2.0
 * Chat templates, rendered by the part of Jinja they use (io/jinja.h); the families (ChatML, Llama-2,
 * Llama-3, Mistral, Gemma, Zephyr/TinyLlama) are told by their marks. A template that uses more is refused by
 * name at opening, where it is also tried out what each role's messages may be: text, or a list of parts.
 * Invariant: what is rendered equals what the template renders in transformers, which hands on a message as
 * it was given; what the template would not read that way it gets in the other. */
#ifndef ADA_IO_CHAT_H
#define ADA_IO_CHAT_H

#include "io/tok.h"

#define ADA_IMAGE_MARK "<image>" /* in a conversation without images it is text like any other */

typedef struct ada_message {
    const char *role, *content; /* "system" | "user" | "assistant" */
    /* NULL: the content was given as one text; or it was given in parts, and is these joined. */
    const char *const *parts; /* [nparts] texts, NULL where an image stands */
    size_t nparts;
} ada_message;
size_t ada_image_marks(const char *s, size_t n); /* in n bytes */
/* Puts n images in front of what a message says: as marks in its content, and as parts of it. */
ada_status ada_message_picture(ada_arena *a, ada_message *m, size_t n) ADA_MUST_USE;

typedef struct ada_span {
    size_t begin, end;
} ada_span; /* byte range of an assistant's answer, its end mark included */

typedef struct ada_chat ada_chat;
/* source: the template; NULL gives EUNSUPPORTED ("this model has no chat template"). bos/eos: entries or
 * NULL. */
ada_status ada_chat_open(ada_chat **c, const char *source, const char *bos, const char *eos) ADA_MUST_USE;
void ada_chat_close(ada_chat **c);
const char *ada_chat_family(const ada_chat *c); /* "chatml" …; "other" if none of them */
/* Renders to out. pictures: ADA_IMAGE_MARKs of texts stand for images, and are parts to a template that wants
 * parts. generate: append what invites the assistant's turn. spans (may be NULL) gets up to *nspans ranges of
 * what the model is to say; *nspans becomes their number (ENOMEM-free: caller gives n messages' worth). */
ada_status ada_chat_render(const ada_chat *c, const ada_message *m, size_t n, bool pictures, bool generate,
                           ada_buf *out, ada_span *spans, size_t *nspans) ADA_MUST_USE;
/* True when the rendered text already carries BOS, so that the tokenizer must not add its own. */
bool ada_chat_has_bos(const ada_chat *c);

#endif
