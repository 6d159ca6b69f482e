/* SPDX-License-Identifier: Apache-2.0
 * Owns: the op pair that ends a sublayer. Must not know: attention, ffn.
 * Invariant: a row's result has the same bits in any company. */
#include "engine/residual.h"

void ada_residual_forward(const ada_residual *r, const ada_panel *p, const void *h, size_t ldh, float *x) {
    size_t m = r->post.m, d = r->post.d;
    ada_linear_forward(r->out, h, ldh, m, r->post.w ? p->n : x, d, !r->post.w);
    if (r->post.w) ada_norm_add(&r->post, r->type, p->n, r->keep, r->stat, x);
}

void ada_residual_backward(const ada_residual *r, const ada_panel *p, const void *h, size_t ldh,
                           const float *dx, float *dh, size_t lddh) {
    size_t m = r->post.m, d = r->post.d;
    if (r->post.w)
        ada_norm_add_backward(&r->post, r->type, dx, r->keep, r->stat, p->r, p->n, p->a);
    else
        ada_narrow_rows(r->type, p->a, dx, d, m, d);
    ada_linear_backward(r->out, h, ldh, p->a, d, m, dh, lddh);
}
