/* SPDX-License-Identifier: Apache-2.0
 * From claimed tensors to packed weights. Owns nothing: memory comes from the arena of weights.
 * Must not know: formats, architectures by name. Of a stack that failed to load, what is there may be
 * released. */
#ifndef ADA_ENGINE_LOAD_H
#define ADA_ENGINE_LOAD_H

#include "engine/stack.h"

typedef struct ada_loader { /* the first four are the caller's */
    const ada_config *c;
    ada_dtype type;
    ada_arena *weights;
    ada_claims claims;
    int32_t *unpermute; /* [heads·head_dim] our row → the file's, where rotary pairs stand side by side */
    int32_t *by_head; /* [(heads + 2·kv_heads)·head_dim] row of q over k over v → the file's, of one tensor */
} ada_loader;

ada_status ada_load_begin(ada_loader *o) ADA_MUST_USE;
/* One weight of the named parameters, stacked by rows. */
ada_status ada_load_mat(const ada_loader *o, ada_mat **w, int32_t layer, size_t k, const ada_param *p,
                        size_t n) ADA_MUST_USE;
/* One vector of the named parameters, end to end; NULL where the file has none. */
ada_status ada_load_vec(const ada_loader *o, float **out, int32_t layer, const ada_param *p,
                        size_t n) ADA_MUST_USE;
/* Layers and positions, for forward. */
ada_status ada_load_stack(const ada_loader *o, ada_stack *s) ADA_MUST_USE;

ada_status ada_stack_prepare(const ada_stack *s, ada_arena *weights, int directions) ADA_MUST_USE;
void ada_stack_release(ada_stack *s); /* library handles only */

#endif
