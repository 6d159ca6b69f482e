/* SPDX-License-Identifier: Apache-2.0
 * What the tests of models share: a model of tests/golden, and one pass of a pack through stack and head.
 * Must not know: what is expected of it. Invariant: every failure is a failed assertion. */
#ifndef ADA_TESTS_PASS_H
#define ADA_TESTS_PASS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "engine/model.h"

#define OK(x)                                                                                                \
    do {                                                                                                     \
        ada_status ok_st_ = (x);                                                                             \
        if (ok_st_ != ADA_OK) fail_msg("%s: %s: %s", #x, ada_status_name(ok_st_), ada_error());              \
    } while (0)

static inline const char *golden_path(char out[512], const char *name) {
    const char *tests = getenv("ADA_TESTS");
    snprintf(out, 512, "%s/golden/%s", tests ? tests : "tests", name);
    return out;
}

static inline ada_model *golden_model(const char *name, bool f32) {
    char path[512];
    ada_model *m = NULL;
    OK(ada_model_open(&m, golden_path(path, name), &(ada_model_opts){.f32 = f32}));
    OK(ada_model_prepare(m, ADA_FORWARD | ADA_BACKWARD));
    return m;
}

/* A pack of one row. out: its wanted rows; NULL: all. */
static inline ada_pack pack_one(ada_segment *seg, const int32_t *ids, int32_t T, const int32_t *out, int32_t nout) {
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

static inline void pass_room(pass_run *r, const ada_stack *s, const ada_head *head, const ada_pack *p, bool train) {
    size_t d = (size_t)s->c.d, T = (size_t)p->T, n = (size_t)p->nout;
    *r = (pass_run){0};
    OK(ada_pass_layout(&r->pass, &r->arena, s, p->T, p->nsegs, p->T, p->nout, train));
    OK(ada_head_layout(&r->head, &r->arena, head, p->nout));
    OK(ada_arena_zero(&r->arena, &r->x, T * d, sizeof(float)));
    OK(ada_arena_zero(&r->arena, &r->dx, T * d, sizeof(float)));
    OK(ada_arena_zero(&r->arena, &r->h, n * d, sizeof(float)));
    OK(ada_arena_zero(&r->arena, &r->dh, n * d, sizeof(float)));
    OK(ada_arena_zero(&r->arena, &r->loss, n, sizeof(float)));
    OK(ada_arena_zero(&r->arena, &r->logits, n * (size_t)s->c.vocab, sizeof(float)));
}

static inline void pass_embed(pass_run *r, const ada_model *m, const ada_pack *p) {
    for (int32_t i = 0; i < p->T; i++) ada_model_embed(m, p->ids[i], r->x + (size_t)i * (size_t)m->c.d);
}

#endif
