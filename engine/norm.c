/* SPDX-License-Identifier: Apache-2.0
 * Owns: norms over strips of rows, each row touched once while it is in L1.
 * Must not know: layers. A row's result has the same bits in any company. */
#include "engine/norm.h"

/* What a job's strips work on; each function uses its own of these. */
typedef struct {
    const ada_norm_rows *r;
    ada_dtype type;
    const float *x, *stat;
    float *tmp, *y, *dx, *to_stat;
    const void *kept;
    void *keep, *out;
    bool add;
    size_t room; /* rows of tmp that a strip has to itself: a strip's, or none where strips run in turn */
} job;

/* A row of tmp, the same again and again, so that it stays in L1. */
static float *scratch(const job *j, size_t strip) {
    return j->tmp + strip * j->room * j->r->d;
}

static void in_strips(job j, ada_par_fn strip) {
    j.room = ada_par_inside() ? 0 : ADA_STRIP;
    ada_par_for(ada_strips(j.r->m), strip, &j);
}

static size_t source(const ada_norm_rows *r, size_t i) {
    return r->map ? (size_t)r->map[i] : i;
}

/* stat [2]: mean (of LayerNorm), 1/deviation */
static void row_forward(const ada_norm_rows *r, float *y, const float *x, float *stat) {
    if (r->kind == ADA_NORM_LAYER) {
        ada_k.layernorm(y, x, r->w, r->b, r->eps, stat, r->d);
        return;
    }
    stat[0] = 0;
    stat[1] = ada_k.rmsnorm(y, x, r->w, r->eps, r->d);
    if (r->b) ada_k.add(y, y, r->b, r->d);
}

static void row_backward(const ada_norm_rows *r, float *dx, const float *dy, const float *x,
                         const float *stat) {
    if (r->kind == ADA_NORM_LAYER)
        ada_k.layernorm_back(dx, dy, x, r->w, stat, r->d);
    else
        ada_k.rmsnorm_back(dx, dy, x, r->w, stat[1], r->d);
}

/* Keeps row x, and norms it into y. */
static void keep_and_norm(const job *j, size_t i, float *y, const float *x) {
    float spare[2];
    if (j->keep) ada_narrow(j->type, ada_at(j->type, j->keep, i * j->r->d), x, j->r->d);
    row_forward(j->r, y, x, j->to_stat ? j->to_stat + 2 * i : spare);
}

static void forward_strip(void *ctx, size_t s, int worker) {
    (void)worker;
    const job *j = ctx;
    const ada_norm_rows *r = j->r;
    for (size_t i = s * ADA_STRIP; i < ada_strip_end(s, r->m); i++) {
        float *y = scratch(j, s);
        keep_and_norm(j, i, y, j->x + source(r, i) * r->d);
        ada_narrow(j->type, ada_at(j->type, j->out, i * r->d), y, r->d);
    }
}

void ada_norm_forward(const ada_norm_rows *r, ada_dtype type, const float *x, void *y, float *tmp, void *keep,
                      float *stat) {
    in_strips((job){.r = r, .type = type, .x = x, .out = y, .tmp = tmp, .keep = keep, .to_stat = stat},
              forward_strip);
}

static void backward_strip(void *ctx, size_t s, int worker) {
    (void)worker;
    const job *j = ctx;
    const ada_norm_rows *r = j->r;
    for (size_t i = s * ADA_STRIP; i < ada_strip_end(s, r->m); i++) {
        size_t at = source(r, i);
        float *dy = j->y + i * r->d, *x = scratch(j, s), *dx = j->dx + at * r->d;
        ada_widen(j->type, x, ada_at_const(j->type, j->kept, at * r->d), r->d);
        row_backward(r, dy, dy, x, j->stat + 2 * at);
        if (j->add)
            ada_k.add(dx, dx, dy, r->d);
        else
            memcpy(dx, dy, r->d * sizeof *dx);
    }
}

void ada_norm_backward(const ada_norm_rows *r, ada_dtype type, float *dy, const void *x, const float *stat,
                       float *tmp, float *dx, bool add) {
    in_strips((job){.r = r, .type = type, .y = dy, .kept = x, .stat = stat, .tmp = tmp, .dx = dx, .add = add},
              backward_strip);
}

static void add_strip(void *ctx, size_t s, int worker) {
    (void)worker;
    const job *j = ctx;
    const ada_norm_rows *r = j->r;
    for (size_t i = s * ADA_STRIP; i < ada_strip_end(s, r->m); i++) {
        float *y = j->y + i * r->d, *x = j->dx + i * r->d;
        keep_and_norm(j, i, y, y);
        ada_k.add(x, x, y, r->d);
    }
}

void ada_norm_add(const ada_norm_rows *r, ada_dtype type, float *y, void *keep, float *stat, float *x) {
    in_strips((job){.r = r, .type = type, .y = y, .keep = keep, .to_stat = stat, .dx = x}, add_strip);
}

static void add_backward_strip(void *ctx, size_t s, int worker) {
    (void)worker;
    const job *j = ctx;
    const ada_norm_rows *r = j->r;
    for (size_t i = s * ADA_STRIP; i < ada_strip_end(s, r->m); i++) {
        float *x = scratch(j, s), *dy = j->y + i * r->d;
        ada_widen(j->type, x, ada_at_const(j->type, j->kept, i * r->d), r->d);
        row_backward(r, dy, j->x + i * r->d, x, j->stat + 2 * i);
        ada_narrow(j->type, ada_at(j->type, j->out, i * r->d), dy, r->d);
    }
}

void ada_norm_add_backward(const ada_norm_rows *r, ada_dtype type, const float *dx, const void *keep,
                           const float *stat, float *tmp, float *wide, void *dy) {
    in_strips(
        (job){.r = r, .type = type, .x = dx, .kept = keep, .stat = stat, .tmp = tmp, .y = wide, .out = dy},
        add_backward_strip);
}
