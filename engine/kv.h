/* SPDX-License-Identifier: Apache-2.0
 * The cache of keys and values. Owns: their memory and how many positions each slot holds.
 * Invariant: per layer, slot and kv head: k and v [capacity, head_dim] of the stack's type, in order of
 * position. Must not know: attention. */
#ifndef ADA_ENGINE_KV_H
#define ADA_ENGINE_KV_H

#include "io/status.h"

#include <stddef.h>
#include <stdint.h>

struct ada_stack;
typedef struct ada_kv ada_kv;
ada_status ada_kv_open(ada_kv **kv, const struct ada_stack *s, int32_t slots, int32_t capacity) ADA_MUST_USE;
void ada_kv_close(ada_kv **kv);
int32_t ada_kv_len(const ada_kv *kv, int32_t slot);
void ada_kv_truncate(ada_kv *kv, int32_t slot, int32_t len);

/* [capacity, head_dim] each. */
const void *ada_kv_keys(const ada_kv *kv, int32_t layer, int32_t slot, int32_t head);
const void *ada_kv_values(const ada_kv *kv, int32_t layer, int32_t slot, int32_t head);
/* Rows k, v [n, kv_heads·head_dim], ld elements apart, become positions pos … pos+n-1, which fit the
 * capacity. The slot's length becomes pos + n. */
void ada_kv_put(ada_kv *kv, int32_t layer, int32_t slot, int32_t pos, int32_t n, const void *k, const void *v,
                size_t ld);

/* Positions pos … pos+n-1 of a slot become those of another, of the same cache or one of the same model. Its
 * length becomes pos + n. */
void ada_kv_copy(ada_kv *to, int32_t to_slot, const ada_kv *from, int32_t from_slot, int32_t pos, int32_t n);

#endif
