/* SPDX-License-Identifier: Apache-2.0
 * Owns: one block for all layers, slots and heads, [layer, slot, kv head, {k, v}, capacity, head_dim], and
 * the lengths. Must not know: what is done with it. Invariant: positions at or past a slot's length are never
 * read. */
#include "engine/kv.h"
#include "engine/stack.h"
#include "io/arena.h"

#include <string.h>

struct ada_kv {
    ada_arena arena;
    char *data;
    int32_t *len;                                  /* [slots] */
    size_t layers, slots, heads, size, row, strip; /* bytes: an element, [head_dim], [capacity, head_dim] */
};

static ada_status open_in(ada_kv *kv, const ada_stack *s, int32_t slots, int32_t capacity) {
    size_t n;
    kv->layers = (size_t)s->c.layers;
    kv->slots = (size_t)slots, kv->heads = (size_t)s->c.kv_heads;
    kv->size = ada_type_size(s->type), kv->row = (size_t)s->c.head_dim * kv->size;
    if (!ada_mul_size(kv->row, (size_t)capacity, &kv->strip) || !ada_mul_size(kv->strip, 2 * kv->heads, &n) ||
        !ada_mul_size(n, kv->slots, &n))
        return ada_fail(ADA_ENOMEM, "a cache of %d slots for %d positions is too large", slots, capacity);
    ADA_TRY(ada_arena_take(&kv->arena, &kv->data, n, (size_t)s->c.layers));
    return ada_arena_zero(&kv->arena, &kv->len, kv->slots, sizeof *kv->len);
}

ada_status ada_kv_open(ada_kv **out, const ada_stack *s, int32_t slots, int32_t capacity) {
    ada_arena first = {0};
    *out = NULL;
    if (slots <= 0 || capacity <= 0)
        return ada_fail(ADA_EINVAL, "a cache of %d slots for %d positions", slots, capacity);
    ada_kv *kv;
    ada_status st = ada_arena_zero(&first, &kv, 1, sizeof *kv);
    if (st == ADA_OK) {
        kv->arena = first; /* the handle lives in its own arena */
        st = open_in(kv, s, slots, capacity);
        if (st != ADA_OK) ada_kv_close(&kv);
    }
    *out = kv;
    return st;
}

void ada_kv_close(ada_kv **kv) {
    if (!*kv) return;
    ada_arena a = (*kv)->arena;
    *kv = NULL;
    ada_arena_free(&a);
}

int32_t ada_kv_len(const ada_kv *kv, int32_t slot) {
    return kv->len[slot];
}

void ada_kv_truncate(ada_kv *kv, int32_t slot, int32_t len) {
    if (len < kv->len[slot]) kv->len[slot] = len < 0 ? 0 : len;
}

static char *keys(const ada_kv *kv, int32_t layer, int32_t slot, size_t head) {
    return kv->data + (((size_t)layer * kv->slots + (size_t)slot) * kv->heads + head) * 2 * kv->strip;
}

const void *ada_kv_keys(const ada_kv *kv, int32_t layer, int32_t slot, int32_t head) {
    return keys(kv, layer, slot, (size_t)head);
}

const void *ada_kv_values(const ada_kv *kv, int32_t layer, int32_t slot, int32_t head) {
    return keys(kv, layer, slot, (size_t)head) + kv->strip;
}

void ada_kv_put(ada_kv *kv, int32_t layer, int32_t slot, int32_t pos, int32_t n, const void *k, const void *v,
                size_t ld) {
    size_t row = kv->row, at = (size_t)pos * row;
    for (size_t h = 0; h < kv->heads; h++)
        for (size_t i = 0; i < (size_t)n; i++) {
            char *to = keys(kv, layer, slot, h) + at + i * row;
            size_t from = i * ld * kv->size + h * row;
            memcpy(to, (const char *)k + from, row);
            memcpy(to + kv->strip, (const char *)v + from, row);
        }
    kv->len[slot] = pos + n;
}

void ada_kv_copy(ada_kv *to, int32_t to_slot, const ada_kv *from, int32_t from_slot, int32_t pos, int32_t n) {
    size_t at = (size_t)pos * to->row, bytes = (size_t)n * to->row;
    for (size_t l = 0; l < to->layers; l++)
        for (size_t h = 0; h < to->heads; h++) {
            char *k = keys(to, (int32_t)l, to_slot, h) + at;
            const char *source = keys(from, (int32_t)l, from_slot, h) + at;
            memcpy(k, source, bytes);
            memcpy(k + to->strip, source + from->strip, bytes);
        }
    to->len[to_slot] = pos + n;
}
