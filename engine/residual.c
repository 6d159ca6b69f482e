/* SPDX-License-Identifier: Apache-2.0
 * Owns: the op pair that ends a sublayer, and the room of a panel. Must not know: attention, ffn.
 * Invariant: a row's result has the same bits in any company. */
#include "engine/residual.h"

ada_status ada_panel_layout(ada_panel *p, ada_arena *a, ada_dtype type, size_t rows, size_t d, size_t wide) {
    size_t n = ada_panel_rows(0, rows), ts = ada_type_size(type), fs = sizeof(float);
    ADA_TRY(ada_arena_rows(a, &p->a, n, d, ts));
    ADA_TRY(ada_arena_rows(a, &p->n, n, d, fs));
    ADA_TRY(ada_arena_rows(a, &p->r, n, d, fs));
    ADA_TRY(ada_arena_rows(a, &p->t, n, wide, fs));
    ADA_TRY(ada_arena_rows(a, &p->h, n, wide, ts));
    return a->counting ? ADA_OK : ada_matmul_reserve(n, wide, wide > d ? wide : d);
}

void ada_residual_forward(const ada_residual *r, const ada_panel *p, const void *h, size_t ldh, float *x) {
    size_t m = r->post.m, d = r->post.d;
    ada_linear_forward(r->out, h, ldh, m, r->post.w ? p->n : x, d, !r->post.w);
    if (r->post.w) ada_norm_add(&r->post, r->type, p->n, r->keep, r->stat, x);
}

/* p->a: the gradient at the product. */
static void before_product(const ada_residual *r, const ada_panel *p, const float *dx) {
    size_t m = r->post.m, d = r->post.d;
    if (r->post.w)
        ada_norm_add_backward(&r->post, r->type, dx, r->keep, r->stat, p->r, p->n, p->a);
    else
        ada_narrow_rows(r->type, p->a, dx, d, m, d);
}

void ada_residual_backward(const ada_residual *r, const ada_panel *p, const void *h, size_t ldh,
                           const float *dx, float *dh, size_t lddh) {
    before_product(r, p, dx);
    ada_linear_backward(r->out, h, ldh, p->a, r->post.d, r->post.m, dh, lddh);
}

void ada_residual_backward_narrow(const ada_residual *r, const ada_panel *p, const void *h, size_t ldh,
                                  const float *dx, void *dh) {
    before_product(r, p, dx);
    ada_linear_backward_narrow(r->out, h, ldh, p->a, r->post.d, r->post.m, p->t, dh);
}
