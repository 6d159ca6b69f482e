/* SPDX-License-Identifier: Apache-2.0
 * The vocabulary: a table of entries by id and a hash from entry to id. Owns: nothing, it lives in an arena.
 * Must not know: what entries mean. Invariant: at most half of the slots are taken, so that probing ends. */
#include "io/tok_part.h"

#include <string.h>

static uint64_t hash(const char *s, size_t n) {
    uint64_t h = 0x9e3779b97f4a7c15u ^ n;
    for (; n >= 8; s += 8, n -= 8) {
        uint64_t w;
        memcpy(&w, s, 8);
        h = (h ^ w) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
    }
    uint64_t w = 0;
    memcpy(&w, s, n);
    h = (h ^ w) * 0xff51afd7ed558ccdu;
    return h ^ h >> 32;
}

ada_status ada_vocab_size(ada_vocab *v, ada_arena *a, size_t ids) {
    if (ids > (size_t)1 << 24)
        return ada_fail(ADA_EUNSUPPORTED, "vocabulary of %zu ids is larger than %d", ids, 1 << 24);
    *v = (ada_vocab){.ids = ids, .mask = 1};
    while (v->mask < 2 * ids) v->mask = v->mask * 2 + 1;
    ADA_TRY(ada_arena_zero(a, &v->text, ids, sizeof *v->text));
    ADA_TRY(ada_arena_zero(a, &v->len, ids, sizeof *v->len));
    return ada_arena_zero(a, &v->slot, v->mask + 1, sizeof *v->slot);
}

bool ada_vocab_put(ada_vocab *v, uint32_t id, const char *s, size_t n) {
    v->text[id] = s;
    v->len[id] = (uint32_t)n;
    size_t i = hash(s, n) & v->mask;
    for (; v->slot[i]; i = (i + 1) & v->mask) {
        uint32_t k = v->slot[i] - 1;
        if (v->len[k] == n && memcmp(v->text[k], s, n) == 0) return false;
    }
    v->slot[i] = id + 1;
    v->count++;
    return true;
}

int32_t ada_vocab_find(const ada_vocab *v, const char *s, size_t n) {
    if (!v->slot) return -1;
    for (size_t i = hash(s, n) & v->mask; v->slot[i]; i = (i + 1) & v->mask) {
        uint32_t k = v->slot[i] - 1;
        if (v->len[k] == n && memcmp(v->text[k], s, n) == 0) return (int32_t)k;
    }
    return -1;
}
