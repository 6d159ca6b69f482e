/* SPDX-License-Identifier: Apache-2.0
 * The join where input adapters act: ids → rows. Ids below the vocabulary are tokens; those from it on are
 * rows of the run's images. Owns: the unique ids of a step, their rows before and after the adapter of their
 * modality, and the gradient that comes back to them. Must not know: packs of more than ids, losses.
 * Invariant: an adapter runs once per unique id of its modality, sees no row of another, and gradients meet
 * in the order of packs and rows. */
#ifndef ADA_ENGINE_EMBED_H
#define ADA_ENGINE_EMBED_H

#include "engine/adapter.h"
#include "engine/images.h"

typedef struct ada_join ada_join;
typedef struct ada_join_limits {
    ada_modality tokens; /* what tokens are to the adapter */
    int32_t unique;      /* different ids a step, images' rows included, at most */
    int32_t image_rows;  /* different rows of images among them, at most; 0: none come */
    ada_images *images;  /* where they come from, or NULL */
    bool train;          /* with room for gradients */
} ada_join_limits;
/* a may be NULL, or have nothing for a modality: its rows are the base's. */
ada_status ada_join_layout(ada_join **j, ada_arena *arena, const ada_model *model, ada_adapter *a,
                           const ada_join_limits *lim) ADA_MUST_USE;
/* A step: add the ids of all its packs, then start, then rows and back for each pack, then end. start can
 * fail only where images are read. */
void ada_join_clear(ada_join *j);
void ada_join_add(ada_join *j, const int32_t *ids, int32_t n);
ada_status ada_join_start(ada_join *j) ADA_MUST_USE;
int32_t ada_join_count(const ada_join *j); /* unique ids since clear */
void ada_join_rows(const ada_join *j, const int32_t *ids, int32_t n, float *x /* [n, d] */);
void ada_join_back(ada_join *j, const int32_t *ids, int32_t n, const float *dx /* [n, d] */);
void ada_join_end(ada_join *j); /* adds into the adapter's gradients */

#endif
