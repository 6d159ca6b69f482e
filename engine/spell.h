/* SPDX-License-Identifier: Apache-2.0
 * How text with images becomes ids: as the kind of model spells an image where ADA_IMAGE_MARK stands. Owns:
 * marks, tiles' names, which ids are rows. Must not know: rows of data, targets. Invariant: without images,
 * ids are the tokenizer's own. */
#ifndef ADA_ENGINE_SPELL_H
#define ADA_ENGINE_SPELL_H

#include "engine/images.h"
#include "engine/model.h"

typedef struct ada_sight { /* the images of a text, in the order of its marks; zero: none */
    ada_images *images;
    const char *const *paths; /* [n] */
    size_t n, used;
} ada_sight;

/* EINVAL when the model has no eyes, or the text has another number of marks than images. */
ada_status ada_sight_check(const ada_sight *s, const ada_model *m, size_t marks) ADA_MUST_USE;
/* Appends the ids of a stretch of text, as ada_tok_encode does; its marks take the next images. */
ada_status ada_spell(ada_sight *s, const ada_model *m, const char *text, size_t n, unsigned flags,
                     ada_ids *out) ADA_MUST_USE;
/* The text of a prompt as its kind of model wants it, BOS included where that says so (*bos): in b, or where
 * it is. */
ada_status ada_spell_prompt(const ada_model *m, ada_buf *b, const char **text, size_t *n,
                            bool *bos) ADA_MUST_USE;

#endif
