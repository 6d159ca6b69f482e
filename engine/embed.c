/* SPDX-License-Identifier: Apache-2.0
 * The join where input adapters act. Owns: the table from token to unique row, and those rows.
 * Must not know: the shape of packs beyond their ids. Invariant: rows are in ascending order of token, so
 * that the adapter sees the same rows however the step was cut into packs. */
#include "engine/embed.h"
#include "engine/par.h"
#include "simd/kernels.h"
#include <string.h>

struct ada_join {
    const ada_model *m;
    ada_adapter *a;
    ada_modality modality;
    size_t d;
    int32_t vocab, max, n;
    int32_t *slot; /* [vocab] row of a token, -1: not in this step */
    int32_t *ids;  /* [max] the unique tokens, ascending after start */
    float *e, *y;  /* [max, d] before and after the adapter; one array without an adapter */
    float *dy;     /* [max, d] gradient at y; NULL unless training */
    void *scratch;
};

ada_status ada_join_layout(ada_join **out, ada_arena *arena, const ada_model *model, ada_adapter *a,
                           ada_modality m, int32_t max_unique, bool train) {
    if (a && a->first[m] < 0) a = NULL;
    int32_t vocab = model->c.vocab, max = max_unique < vocab ? max_unique : vocab;
    ada_join j = {.m = model, .a = a, .modality = m, .d = (size_t)model->c.d, .vocab = vocab, .max = max};
    size_t n;
    if (!ada_mul_size((size_t)j.max, j.d, &n))
        return ada_fail(ADA_EINVAL, "a step of %d tokens is too large", j.max);
    ADA_TRY(ada_arena_take(arena, out, 1, sizeof **out));
    ADA_TRY(ada_arena_take(arena, &j.slot, (size_t)j.vocab, sizeof *j.slot));
    ADA_TRY(ada_arena_take(arena, &j.ids, (size_t)j.max, sizeof *j.ids));
    ADA_TRY(ada_arena_take(arena, &j.e, n, sizeof(float)));
    j.y = j.e;
    if (a) ADA_TRY(ada_arena_take(arena, &j.y, n, sizeof(float)));
    if (a) ADA_TRY(ada_arena_take(arena, &j.scratch, a->method->embed_scratch(a, (size_t)j.max), 1));
    if (train) ADA_TRY(ada_arena_take(arena, &j.dy, n, sizeof(float)));
    if (arena->counting) return ADA_OK;
    memset(j.slot, 0xff, (size_t)j.vocab * sizeof *j.slot);
    **out = j;
    return ADA_OK;
}

void ada_join_clear(ada_join *j) {
    for (int32_t i = 0; i < j->n; i++) j->slot[j->ids[i]] = -1;
    j->n = 0;
}

void ada_join_add(ada_join *j, const int32_t *ids, int32_t n) {
    for (int32_t i = 0; i < n; i++)
        if (j->slot[ids[i]] < 0) {
            j->slot[ids[i]] = 0;
            j->ids[j->n++] = ids[i];
        }
}

static void embed_row(void *ctx, size_t i, int worker) {
    (void)worker;
    const ada_join *j = ctx;
    ada_model_embed(j->m, j->ids[i], j->e + i * j->d);
}

void ada_join_start(ada_join *j) {
    int32_t n = 0;
    if (j->n > j->vocab / 64) {
        for (int32_t id = 0; id < j->vocab; id++)
            if (j->slot[id] >= 0) j->ids[n++] = id;
    } else {
        for (int32_t i = 1; i < j->n; i++) {
            int32_t id = j->ids[i], k = i;
            for (; k > 0 && j->ids[k - 1] > id; k--) j->ids[k] = j->ids[k - 1];
            j->ids[k] = id;
        }
    }
    for (int32_t i = 0; i < j->n; i++) j->slot[j->ids[i]] = i;
    ada_par_for((size_t)j->n, embed_row, j);
    if (j->a) j->a->method->embed_forward(j->a, j->modality, j->e, (size_t)j->n, j->y, j->scratch);
    if (j->dy) memset(j->dy, 0, (size_t)j->n * j->d * sizeof(float));
}

int32_t ada_join_count(const ada_join *j) {
    return j->n;
}

void ada_join_rows(const ada_join *j, const int32_t *ids, int32_t n, float *x) {
    for (int32_t i = 0; i < n; i++)
        memcpy(x + (size_t)i * j->d, j->y + (size_t)j->slot[ids[i]] * j->d, j->d * sizeof(float));
}

void ada_join_back(ada_join *j, const int32_t *ids, int32_t n, const float *dx) {
    for (int32_t i = 0; i < n; i++) {
        float *dy = j->dy + (size_t)j->slot[ids[i]] * j->d;
        ada_k.add(dy, dy, dx + (size_t)i * j->d, j->d);
    }
}

void ada_join_end(ada_join *j) {
    if (j->a) j->a->method->embed_backward(j->a, j->modality, j->e, (size_t)j->n, j->dy, j->scratch);
}
