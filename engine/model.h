/* SPDX-License-Identifier: Apache-2.0
 * A frozen model in memory: weights, tokenizer, chat. Owns: the weights arena and everything read-only.
 * open = map the file, let the architecture claim every tensor, pack once.
 * A model without a tokenizer we can read opens all the same: ids in, logits out; text asks ada_model_text
 * first. */
#ifndef ADA_ENGINE_MODEL_H
#define ADA_ENGINE_MODEL_H

#include "engine/adalink.h"
#include "engine/head.h"
#include "engine/vision.h"
#include "io/chat.h"

struct ada_model {
    ada_config c;
    ada_dtype type;
    const struct ada_arch *arch;
    char *name;        /* base_name: config's _name_or_path, general.name, or the file's stem */
    char digest[65];   /* of the source tensors; "" until ada_model_digest */
    ada_stack stack;   /* of an encoder-decoder: the decoder */
    ada_stack encoder; /* .layers NULL: there is none */
    ada_head head;
    ada_vision *vision;      /* NULL: it has no eyes */
    const ada_tensor *table; /* the embedding in the file where not tied; NULL: the head's rows */
    ada_tok *tok;            /* NULL when the file has none that we can read; tok_why says it */
    ada_chat *chat;          /* NULL when the model has no template we know; chat_why says it */
    char tok_why[160], chat_why[160];
    ada_json *generation; /* generation_config or NULL */
    ada_tensors *file;    /* stays mapped: embedding rows are read from it when not tied */
    ada_tensors *whole;   /* of a model with eyes, of which `file` is a view; or NULL */
    ada_arena weights;
    int directions;
    double open_seconds;
    size_t params; /* numbers in its tensors */
};

ada_status ada_model_digest(ada_model *m, const char **hex) ADA_MUST_USE; /* computed once, then kept */
ada_status ada_model_name(char **name, ada_arena *a, const ada_tensors *file, const char *path) ADA_MUST_USE;
/* Packs for backward too; idempotent. */
ada_status ada_model_prepare(ada_model *m, int directions) ADA_MUST_USE;
/* Embedding row of a token as the model scales it, f32 [d]: e of the paper. id is in range. */
void ada_model_embed(const ada_model *m, int32_t id, float *e);
/* EUNSUPPORTED with the reason when the model has no tokenizer. */
ada_status ada_model_text(const ada_model *m) ADA_MUST_USE;

#endif
