/* SPDX-License-Identifier: Apache-2.0
 * What the tests of models share: a model of tests/golden, and one pass of a pack through stack and head.
 * Must not know: what is expected of it. Invariant: every failure is a failed assertion. */
#ifndef ADA_TESTS_PASS_H
#define ADA_TESTS_PASS_H

#include "engine/model.h"
#include "engine/rng.h"
#include "tests/io_test.h"

static inline const char *golden_path(const char *name) {
    char path[160];
    (void)snprintf(path, sizeof path, "golden/%s", name);
    return io_tests_path(path);
}

static inline ada_model *golden_model(const char *name, bool f32) {
    ada_model *m = NULL;
    assert_ok(ada_model_open(&m, golden_path(name), &(ada_model_opts){.f32 = f32}));
    assert_ok(ada_model_prepare(m, ADA_FORWARD | ADA_BACKWARD));
    return m;
}

/* A pack of one row. out: its wanted rows; NULL: all. */
static inline ada_pack pack_one(ada_segment *seg, const int32_t *ids, int32_t T, const int32_t *out,
                                int32_t nout) {
    static int32_t all[4096];
    for (int32_t i = 0; i < 4096; i++) all[i] = i;
    *seg = (ada_segment){.start = 0, .len = T, .parent = -1, .pos = 0, .cache = -1, .adapter = 0};
    return (ada_pack){T, 1, out ? nout : T, ids, seg, out ? out : all};
}

/* Buffers of a pass: x [T, d] in, h [nout, d], logits [nout, vocab]; and of training: loss, dh, dx [T, d]. */
typedef struct {
    ada_arena arena;
    ada_pass *pass;
    ada_head_ws *head;
    float *x, *h, *logits, *loss, *dh, *dx;
} pass_run;

static inline void pass_room(pass_run *r, const ada_stack *s, const ada_head *head, const ada_pack *p,
                             bool train) {
    size_t d = (size_t)s->c.d, T = (size_t)p->T, n = (size_t)p->nout;
    *r = (pass_run){0};
    assert_ok(ada_pass_layout(&r->pass, &r->arena, s, p->T, p->nsegs, p->T, p->nout, train));
    assert_ok(ada_head_layout(&r->head, &r->arena, head, p->nout));
    assert_ok(ada_arena_zero(&r->arena, &r->x, T * d, sizeof(float)));
    assert_ok(ada_arena_zero(&r->arena, &r->dx, T * d, sizeof(float)));
    assert_ok(ada_arena_zero(&r->arena, &r->h, n * d, sizeof(float)));
    assert_ok(ada_arena_zero(&r->arena, &r->dh, n * d, sizeof(float)));
    assert_ok(ada_arena_zero(&r->arena, &r->loss, n, sizeof(float)));
    assert_ok(ada_arena_zero(&r->arena, &r->logits, n * (size_t)s->c.vocab, sizeof(float)));
}

static inline void pass_embed(pass_run *r, const ada_model *m, const ada_pack *p) {
    for (int32_t i = 0; i < p->T; i++) ada_model_embed(m, p->ids[i], r->x + (size_t)i * (size_t)m->c.d);
}

/* W [n, k] of these numbers, ready for both directions. */
static inline ada_mat *mat_of(ada_arena *a, const float *w, size_t n, size_t k, ada_dtype type) {
    ada_tensor *t;
    ada_mat *m = NULL;
    assert_ok(ada_arena_take(a, &t, 1, sizeof *t));
    *t = (ada_tensor){.name = "w", .dtype = ADA_F32, .ndim = 2, .shape = {(int64_t)n, (int64_t)k}, .data = w};
    t->bytes = n * k * sizeof *w;
    assert_ok(ada_mat_pack(&m, a, &(ada_mat_part){.t = t, .rows = n}, 1, k, type));
    assert_ok(ada_mat_prepare(m, a, ADA_FORWARD | ADA_BACKWARD));
    assert_ok(ada_matmul_reserve(256, n > k ? n : k, n > k ? n : k, false));
    return m;
}

/* n normal numbers; what is drawn depends on what was drawn before. */
static inline void draw(ada_arena *a, size_t n, double scale, float **f) {
    static uint64_t at;
    assert_ok(ada_arena_take(a, f, n, sizeof **f));
    for (size_t i = 0; i < n; i++) (*f)[i] = (float)(scale * ada_rng_normal(7, ADA_RNG_BENCH, at++));
}

#endif
