/* SPDX-License-Identifier: Apache-2.0
 * What a model sees with: preprocessing, a frozen tower, the connector, and how its prompts spell an image.
 * Owns: these, of an open file, and the split of that file into text model, tower and connector.
 * Must not know: data files, adapters. Invariant: a model has all of it or none; of its tensors each belongs
 * to one of the three. */
#ifndef ADA_ENGINE_VISION_H
#define ADA_ENGINE_VISION_H

#include "engine/connector.h"
#include "engine/tower.h"
#include "io/preprocess.h"
#include "io/tok.h"

struct ada_vlm;

/* How a prompt spells its images where ADA_IMAGE_MARK stands. */
typedef enum {
    ADA_PROMPT_ROWS = 0, /* their rows */
    ADA_PROMPT_FIRST,    /* their rows; BOS behind the last one, a line feed behind the prompt (PaliGemma) */
    ADA_PROMPT_TILES     /* each tile's rows behind its name, between marks of their own (Idefics3) */
} ada_prompt_kind;

typedef struct ada_vision {
    const struct ada_vlm *kind;
    ada_prompt_kind prompt;
    ada_tensors *file; /* the tower's tensors, a view of the model's */
    ada_tower *tower;
    ada_preprocess preprocess;
    ada_connector connector;
    ada_mask_kind mask; /* of the text model, where it is ADA_MASK_PREFIX */
    ada_arena weights;  /* the connector's */
} ada_vision;

/* The text model's part of an open file, with its metadata; and what it sees with. Both outlive neither the
 * file nor each other. *text and *v NULL: a model without eyes, whose file is the text model's own. */
ada_status ada_vision_split(ada_tensors **text, const ada_tensors *file) ADA_MUST_USE;
/* The tokenizer of an open file: of its text model, where it has more than that. */
ada_status ada_vision_tok(ada_tok **tok, const ada_tensors *file) ADA_MUST_USE;
ada_status ada_vision_open(ada_vision **v, const ada_tensors *file, ada_dtype type, int32_t d) ADA_MUST_USE;
/* Whether a tensor of the file is the connector's. */
bool ada_vision_is_connector(const ada_tensors *file, const char *name);
void ada_vision_close(ada_vision **v);
/* What one tile of h × w pixels becomes. */
typedef struct ada_tile_shape {
    int32_t features; /* rows of the tower's features */
    int32_t h, w;     /* as the connector takes them */
    int32_t rows;     /* of the language model */
} ada_tile_shape;
ada_status ada_vision_rows(const ada_vision *v, int32_t h, int32_t w, ada_tile_shape *t) ADA_MUST_USE;

#endif
