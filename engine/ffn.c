/* SPDX-License-Identifier: Apache-2.0
 * Owns: the feed-forward op pair. Must not know: where its rows come from.
 * Both ways work on pieces of a row that fit in L1 beside each other: widen, activate or differentiate,
 * narrow. */
#include "engine/ffn.h"
#include "engine/act.h"

/* h = act(g) · u, h may be g. */
static void act_mul(ada_act_kind act, float *h, const float *g, const float *u, size_t n) {
    if (act == ADA_ACT_SILU) {
        ada_k.swiglu(h, g, u, n);
    } else if (act == ADA_ACT_GELU_TANH) {
        ada_k.geglu_tanh(h, g, u, n);
    } else {
        ada_act_forward(act, h, g, n);
        ada_k.mul(h, h, u, n);
    }
}

enum { PIECE = 512 }; /* columns at a time */

static void act_mul_back(ada_act_kind act, float *dg, float *du, const float *dh, const float *g,
                         const float *u, size_t n) {
    if (act == ADA_ACT_SILU) {
        ada_k.swiglu_back(dg, du, dh, g, u, n);
    } else if (act == ADA_ACT_GELU_TANH) {
        ada_k.geglu_tanh_back(dg, du, dh, g, u, n);
    } else {
        float da[PIECE]; /* dh · u, the gradient at act(g) */
        ada_k.mul(da, dh, u, n);
        act_mul(act, du, g, dh, n);
        ada_act_backward(act, dg, da, g, n);
    }
}

typedef struct ffn_job {
    const ada_ffn *f;
    const ada_panel *p;
    const void *up; /* [m, up_rows], of the weights' type */
    void *h;        /* likewise, backward's result */
    void (*piece)(const struct ffn_job *j, size_t i, size_t c, size_t n); /* columns c … c+n-1 of row i */
} ffn_job;

static size_t up_rows(const ada_ffn *f) {
    return f->gated ? 2 * f->width : f->width;
}

static void in_pieces(void *ctx, size_t s, int worker) {
    (void)worker;
    const ffn_job *j = ctx;
    size_t w = j->f->width;
    for (size_t i = s * ADA_STRIP; i < ada_strip_end(s, j->f->norm.m); i++)
        for (size_t c = 0; c < w; c += PIECE) j->piece(j, i, c, w - c < PIECE ? w - c : PIECE);
}

/* Gated activations that have kernels of bf16. */
static bool gated_bf16(const ada_ffn *f) {
    return f->type == ADA_BF16 && (f->act == ADA_ACT_SILU || f->act == ADA_ACT_GELU_TANH);
}

static void forward_piece(const ffn_job *j, size_t i, size_t c, size_t n, void *h) {
    const ada_ffn *f = j->f;
    size_t w = f->width, at = i * up_rows(f) + c;
    float g[PIECE], u[PIECE];
    if (f->type == ADA_BF16 && (!f->gated || gated_bf16(f))) {
        const uint16_t *from = (const uint16_t *)j->up + at;
        if (!f->gated)
            ada_act_forward_bf16(f->act, h, from, n);
        else
            (f->act == ADA_ACT_SILU ? ada_k.swiglu_bf16 : ada_k.geglu_tanh_bf16)(h, from, from + w, n);
        return;
    }
    ada_widen(f->type, g, ada_at_const(f->type, j->up, at), n);
    if (f->gated) {
        ada_widen(f->type, u, ada_at_const(f->type, j->up, at + w), n);
        act_mul(f->act, g, g, u, n);
    } else {
        ada_act_forward(f->act, g, g, n);
    }
    ada_narrow(f->type, h, g, n);
}

static void forward_row(const void *ctx, size_t i, size_t first, size_t n, void *to) {
    const ffn_job *j = ctx;
    size_t w = j->f->width, next = (i + 1) * up_rows(j->f) + first;
    if (n < w && i + 1 < j->f->norm.m) { /* too short for the processor to notice */
        ada_fetch(j->f->type, j->up, next, n);
        if (j->f->gated) ada_fetch(j->f->type, j->up, next + w, n);
    }
    for (size_t c = 0; c < n; c += PIECE)
        forward_piece(j, i, first + c, n - c < PIECE ? n - c : PIECE, ada_at(j->f->type, to, c));
}

/* The activation is of numbers as backward will find them, and in place where nobody will. p->t is scratch of
 * the product, then free. */
void ada_ffn_forward(const ada_ffn *f, const ada_panel *p, float *x) {
    size_t m = f->norm.m, d = f->norm.d;
    void *a = f->up_in ? f->up_in : p->a, *up = f->gate_up ? f->gate_up : p->h,
         *all = f->down_in               ? f->down_in
                : f->gate_up || f->gated ? p->t
                                         : up;
    ffn_job j = {.f = f, .p = p, .up = up};
    ada_norm_forward(&f->norm, f->type, x, a, p->n, f->x, f->stat);
    ada_linear_forward_narrow(f->up, a, d, m, p->t, up);
    const ada_made h = {.row = forward_row, .ctx = &j, .all = all, .wanted = f->down_in != NULL};
    ada_residual_forward_made(&f->end, p, &h, x);
}

static void gated_piece(const ffn_job *j, size_t i, size_t c, size_t n) {
    const ada_ffn *f = j->f;
    size_t w = f->width, at = i * 2 * w + c;
    size_t next = c + n < w ? at + n : (i + 1) * 2 * w;
    float g[PIECE], u[PIECE];
    if (next < f->norm.m * 2 * w) { /* its pieces are too short for the processor to notice */
        ada_fetch(f->type, j->up, next, n);
        ada_fetch(f->type, j->up, next + w, n);
    }
    if (gated_bf16(f)) {
        const uint16_t *from = (const uint16_t *)j->up + at;
        uint16_t *to = (uint16_t *)j->h + at;
        (f->act == ADA_ACT_SILU ? ada_k.swiglu_back_bf16 : ada_k.geglu_tanh_back_bf16)(
            to, to + w, j->p->t + i * w + c, from, from + w, n);
        return;
    }
    ada_widen(f->type, g, ada_at_const(f->type, j->up, at), n);
    ada_widen(f->type, u, ada_at_const(f->type, j->up, at + w), n);
    act_mul_back(f->act, g, u, j->p->t + i * w + c, g, u, n);
    ada_narrow(f->type, ada_at(f->type, j->h, at), g, n);
    ada_narrow(f->type, ada_at(f->type, j->h, at + w), u, n);
}

static void plain_piece(const ffn_job *j, size_t i, size_t c, size_t n) {
    const ada_ffn *f = j->f;
    size_t at = i * f->width + c;
    float u[PIECE], *dh = j->p->t + at;
    ada_widen(f->type, u, ada_at_const(f->type, j->up, at), n);
    ada_act_backward(f->act, dh, dh, u, n);
    ada_narrow(f->type, ada_at(f->type, j->h, at), dh, n);
}

void ada_ffn_backward(const ada_ffn *f, const ada_panel *p, float *dx) {
    size_t m = f->norm.m, d = f->norm.d;
    ada_residual_backward(&f->end, p, f->down_in, f->width, dx, p->t, f->width);
    ada_par_for(ada_strips(m), in_pieces,
                &(ffn_job){f, p, f->gate_up, p->h, f->gated ? gated_piece : plain_piece});
    ada_linear_backward(f->up, f->up_in, d, p->h, up_rows(f), m, p->n, d);
    ada_norm_backward(&f->norm, f->type, p->n, f->x, f->stat, p->r, dx, true);
}
