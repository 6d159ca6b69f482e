/* SPDX-License-Identifier: Apache-2.0
 * Owns: the gated feed-forward op pair. Must not know: where its rows come from.
 * Backward works on pieces of a row that fit in L1 beside each other: widen, differentiate, narrow. */
#include "engine/ffn.h"

/* h = act(g) · u, h may be g; and dg, du from dh, where dg may be g and du u or dh. */
static void act_mul(ada_act_kind act, float *h, const float *g, const float *u, size_t n) {
    switch (act) {
    case ADA_ACT_SILU:
        ada_k.swiglu(h, g, u, n);
        return;
    case ADA_ACT_GELU_TANH:
        ada_k.gelu_tanh(h, g, n);
        break;
    case ADA_ACT_GELU_ERF:
        ada_k.gelu_erf(h, g, n);
        break;
    case ADA_ACT_GELU_QUICK:
        ada_k.gelu_quick(h, g, n);
        break;
    case ADA_ACT_RELU:
        ada_k.relu(h, g, n);
        break;
    }
    ada_k.mul(h, h, u, n);
}

static void act_back(ada_act_kind act, float *dx, const float *dy, const float *x, size_t n) {
    switch (act) {
    case ADA_ACT_SILU:
        ada_k.silu_back(dx, dy, x, n);
        break;
    case ADA_ACT_GELU_TANH:
        ada_k.gelu_tanh_back(dx, dy, x, n);
        break;
    case ADA_ACT_GELU_ERF:
        ada_k.gelu_erf_back(dx, dy, x, n);
        break;
    case ADA_ACT_GELU_QUICK:
        ada_k.gelu_quick_back(dx, dy, x, n);
        break;
    case ADA_ACT_RELU:
        ada_k.relu_back(dx, dy, x, n);
        break;
    }
}

enum { PIECE = 512 }; /* columns at a time */

static void act_mul_back(ada_act_kind act, float *dg, float *du, const float *dh, const float *g,
                         const float *u, size_t n) {
    if (act == ADA_ACT_SILU) {
        ada_k.swiglu_back(dg, du, dh, g, u, n);
        return;
    }
    float da[PIECE]; /* dh · u, the gradient at act(g) */
    ada_k.mul(da, dh, u, n);
    act_mul(act, du, g, dh, n);
    act_back(act, dg, da, g, n);
}

typedef struct {
    const ada_ffn *f;
    const ada_panel *p;
    void *h;
} ffn_job;

static void forward_strip(void *ctx, size_t s, int worker) {
    (void)worker;
    const ffn_job *j = ctx;
    const ada_ffn *f = j->f;
    size_t w = f->width;
    for (size_t i = s * ADA_STRIP; i < ada_strip_end(s, f->norm.m); i++) {
        float *t = j->p->t + i * 2 * w;
        if (f->gate_up) ada_narrow(f->type, ada_at(f->type, f->gate_up, i * 2 * w), t, 2 * w);
        act_mul(f->act, t, t, t + w, w);
        ada_narrow(f->type, ada_at(f->type, j->h, i * w), t, w);
    }
}

void ada_ffn_forward(const ada_ffn *f, const ada_panel *p, float *x) {
    size_t m = f->norm.m, d = f->norm.d, w = f->width;
    void *a = f->up_in ? f->up_in : p->a, *h = f->down_in ? f->down_in : p->h;
    ada_norm_forward(&f->norm, f->type, x, a, p->n, f->x, f->rstd);
    ada_linear_forward(f->up, a, d, m, p->t, 2 * w, false);
    ada_par_for(ada_strips(m), forward_strip, &(ffn_job){f, p, h});
    ada_linear_forward(f->down, h, w, m, x, d, true);
}

static void backward_strip(void *ctx, size_t s, int worker) {
    (void)worker;
    const ffn_job *j = ctx;
    const ada_ffn *f = j->f;
    size_t w = f->width;
    float g[PIECE], u[PIECE];
    for (size_t i = s * ADA_STRIP; i < ada_strip_end(s, f->norm.m); i++)
        for (size_t c = 0; c < w; c += PIECE) {
            size_t n = w - c < PIECE ? w - c : PIECE, at = i * 2 * w + c;
            size_t next = c + n < w ? at + n : (i + 1) * 2 * w;
            if (next < f->norm.m * 2 * w) { /* its pieces are too short for the processor to notice */
                ada_fetch(f->type, f->gate_up, next, n);
                ada_fetch(f->type, f->gate_up, next + w, n);
            }
            ada_widen(f->type, g, ada_at_const(f->type, f->gate_up, at), n);
            ada_widen(f->type, u, ada_at_const(f->type, f->gate_up, at + w), n);
            act_mul_back(f->act, g, u, j->p->t + i * w + c, g, u, n);
            ada_narrow(f->type, ada_at(f->type, j->h, at), g, n);
            ada_narrow(f->type, ada_at(f->type, j->h, at + w), u, n);
        }
}

void ada_ffn_backward(const ada_ffn *f, const ada_panel *p, float *dx) {
    size_t m = f->norm.m, d = f->norm.d, w = f->width;
    ada_narrow_rows(f->type, p->a, dx, d, m, d);
    ada_linear_backward(f->down, f->down_in, w, p->a, d, m, p->t, w);
    ada_par_for(ada_strips(m), backward_strip, &(ffn_job){f, p, p->h});
    ada_linear_backward(f->up, f->up_in, d, p->h, 2 * w, m, p->n, d);
    ada_norm_backward(&f->norm, f->type, p->n, f->x, f->rstd, p->r, dx, true);
}
