/* SPDX-License-Identifier: Apache-2.0
 * The join where input adapters act: token ids → rows. Owns: the unique tokens of a step, their embeddings
 * before and after the adapter, and the gradient that comes back to them. Must not know: packs of more than
 * ids, losses. Invariant: the adapter runs once per unique token of a step, and gradients meet in the order
 * of packs and rows. */
#ifndef ADA_ENGINE_EMBED_H
#define ADA_ENGINE_EMBED_H

#include "engine/adapter.h"

typedef struct ada_join ada_join;
/* a may be NULL, or have nothing for m: rows are the base's. At most max_unique different tokens a step;
 * train: with room for gradients. */
ada_status ada_join_layout(ada_join **j, ada_arena *arena, const ada_model *model, ada_adapter *a,
                           ada_modality m, int32_t max_unique, bool train) ADA_MUST_USE;
/* A step: add the ids of all its packs, then start, then rows and back for each pack, then end. */
void ada_join_clear(ada_join *j);
void ada_join_add(ada_join *j, const int32_t *ids, int32_t n);
void ada_join_start(ada_join *j);
int32_t ada_join_count(const ada_join *j); /* unique tokens since clear */
void ada_join_rows(const ada_join *j, const int32_t *ids, int32_t n, float *x /* [n, d] */);
void ada_join_back(ada_join *j, const int32_t *ids, int32_t n, const float *dx /* [n, d] */);
void ada_join_end(ada_join *j); /* adds into the adapter's gradients */

#endif
