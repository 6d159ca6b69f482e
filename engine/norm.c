/* SPDX-License-Identifier: Apache-2.0
 * Owns: norms over strips of rows, each row touched once while it is in L1.
 * Must not know: layers. A row's result has the same bits in any company. */
#include "engine/norm.h"

typedef struct {
    const ada_norm_rows *r;
    ada_dtype type;
    const float *x;
    void *y, *keep;
    float *tmp, *rstd;
} forward_job;

static size_t source(const ada_norm_rows *r, size_t i) {
    return r->map ? (size_t)r->map[i] : i;
}

static void forward_strip(void *ctx, size_t s, int worker) {
    (void)worker;
    const forward_job *j = ctx;
    const ada_norm_rows *r = j->r;
    for (size_t i = s * ADA_STRIP; i < ada_strip_end(s, r->m); i++) {
        const float *x = j->x + source(r, i) * r->d;
        float rstd = ada_k.rmsnorm(j->tmp + i * r->d, x, r->w, r->eps, r->d);
        ada_narrow(j->type, ada_at(j->type, j->y, i * r->d), j->tmp + i * r->d, r->d);
        if (j->keep) ada_narrow(j->type, ada_at(j->type, j->keep, i * r->d), x, r->d);
        if (j->rstd) j->rstd[i] = rstd;
    }
}

void ada_norm_forward(const ada_norm_rows *r, ada_dtype type, const float *x, void *y, float *tmp, void *keep,
                      float *rstd) {
    ada_par_for(ada_strips(r->m), forward_strip, &(forward_job){r, type, x, y, keep, tmp, rstd});
}

typedef struct {
    const ada_norm_rows *r;
    ada_dtype type;
    float *dy;
    const void *x;
    const float *rstd;
    float *tmp, *dx;
    bool add;
} backward_job;

static void backward_strip(void *ctx, size_t s, int worker) {
    (void)worker;
    const backward_job *j = ctx;
    const ada_norm_rows *r = j->r;
    for (size_t i = s * ADA_STRIP; i < ada_strip_end(s, r->m); i++) {
        size_t at = source(r, i);
        float *dy = j->dy + i * r->d, *x = j->tmp + i * r->d, *dx = j->dx + at * r->d;
        ada_widen(j->type, x, ada_at_const(j->type, j->x, at * r->d), r->d);
        ada_k.rmsnorm_back(dy, dy, x, r->w, j->rstd[at], r->d);
        if (j->add)
            ada_k.add(dx, dx, dy, r->d);
        else
            memcpy(dx, dy, r->d * sizeof *dx);
    }
}

void ada_norm_backward(const ada_norm_rows *r, ada_dtype type, float *dy, const void *x, const float *rstd,
                       float *tmp, float *dx, bool add) {
    ada_par_for(ada_strips(r->m), backward_strip, &(backward_job){r, type, dy, x, rstd, tmp, dx, add});
}
