/* SPDX-License-Identifier: Apache-2.0
 * The key/value cache: what decoding keeps of the positions behind it. Owns: its memory and each slot's length.
 * Must not know: how keys are used. Invariant: positions [0, len) of a slot are filled in every layer. */
#ifndef ADA_ENGINE_KV_H
#define ADA_ENGINE_KV_H

#include "engine/stack.h"

struct ada_kv {
    ada_arena mem;
    ada_dtype type;
    int32_t layers, slots, kv_heads, capacity, head_dim;
    int32_t *len;  /* [slots] */
    char *k, *v;   /* [layers, slots, kv_heads, capacity, head_dim] of type */
};

/* Element offset of a position's row. */
static inline size_t ada_kv_at(const struct ada_kv *kv, int32_t layer, int32_t slot, int32_t head, int32_t pos) {
    size_t row = ((size_t)layer * (size_t)kv->slots + (size_t)slot) * (size_t)kv->kv_heads + (size_t)head;
    return (row * (size_t)kv->capacity + (size_t)pos) * (size_t)kv->head_dim;
}

#endif
