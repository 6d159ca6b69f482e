/* SPDX-License-Identifier: Apache-2.0
 * A frozen model in memory: weights, tokenizer, chat. Owns: the weights arena and everything read-only.
 * open = map the file, let the architecture claim every tensor, pack once. */
#ifndef ADA_ENGINE_MODEL_H
#define ADA_ENGINE_MODEL_H

#include "engine/adalink.h"
#include "engine/head.h"
#include "io/chat.h"

struct ada_model {
    ada_config c;
    ada_dtype type;
    const struct ada_arch *arch;
    char *name;                 /* base_name: config's _name_or_path, general.name, or the file's stem */
    char digest[65];            /* of the source tensors; "" until ada_model_digest */
    ada_stack stack;
    ada_head head;
    ada_linear embed;           /* [vocab, d] as a mat when tied; rows by ada_model_embed */
    ada_tok *tok;
    ada_chat *chat;             /* NULL when the model has no template we know; chat_why says it */
    char chat_why[160];
    ada_json *generation;       /* generation_config or NULL */
    ada_tensors *file;          /* stays mapped: embedding rows are read from it when not tied */
    ada_arena weights;
    int directions;
    double open_seconds;
};

ada_status ada_model_digest(ada_model *m, const char **hex) ADA_MUST_USE; /* computed once, then kept */
/* Packs for backward too; idempotent. */
ada_status ada_model_prepare(ada_model *m, int directions) ADA_MUST_USE;
/* Embedding row of a token, f32 [d], embed_scale applied: e of the paper. id is in range. */
void ada_model_embed(const ada_model *m, int32_t id, float *e);

#endif
