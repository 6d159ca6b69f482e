/* SPDX-License-Identifier: Apache-2.0
 * Owns: opening, closing and cutting back a key/value cache. Must not know: attention.
 * Invariant: a slot's length is never more than the capacity. */
#include "engine/kv.h"
#include "engine/linear.h"

ada_status ada_kv_open(ada_kv **out, const ada_stack *s, int32_t slots, int32_t capacity) {
    ada_arena mem = {0};
    ada_kv *kv;
    size_t n;
    *out = NULL;
    if (slots < 1 || capacity < 1) return ada_fail(ADA_EINVAL, "a cache of %d slots of %d tokens", slots, capacity);
    if (!ada_mul_size((size_t)s->c.layers * (size_t)slots, (size_t)s->c.kv_heads * (size_t)s->c.head_dim, &n) ||
        !ada_mul_size(n, (size_t)capacity, &n))
        return ada_fail(ADA_ENOMEM, "a cache of %d tokens is too large", capacity);
    ADA_TRY(ada_arena_zero(&mem, &kv, 1, sizeof *kv));
    *kv = (ada_kv){.mem = mem, .type = s->type, .layers = s->c.layers, .slots = slots, .kv_heads = s->c.kv_heads,
                   .capacity = capacity, .head_dim = s->c.head_dim};
    ada_status st = ada_arena_zero(&kv->mem, &kv->len, (size_t)slots, sizeof *kv->len);
    if (st == ADA_OK) st = ada_arena_take(&kv->mem, &kv->k, n, ada_type_size(s->type));
    if (st == ADA_OK) st = ada_arena_take(&kv->mem, &kv->v, n, ada_type_size(s->type));
    *out = kv;
    if (st != ADA_OK) ada_kv_close(out);
    return st;
}

void ada_kv_close(ada_kv **kv) {
    if (!*kv) return;
    ada_arena mem = (*kv)->mem; /* the handle lies in it */
    *kv = NULL;
    ada_arena_free(&mem);
}

int32_t ada_kv_len(const ada_kv *kv, int32_t slot) { return kv->len[slot]; }

void ada_kv_truncate(ada_kv *kv, int32_t slot, int32_t len) {
    if (len < kv->len[slot]) kv->len[slot] = len;
}
