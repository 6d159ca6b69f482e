/* SPDX-License-Identifier: Apache-2.0
 * The end of a sublayer on a panel of rows: x += h·Wᵀ + b, normed before it is added where the model does so;
 * and its backward. Must not know: which sublayer it ends. */
#ifndef ADA_ENGINE_RESIDUAL_H
#define ADA_ENGINE_RESIDUAL_H

#include "engine/norm.h"

/* Rows run in panels, so that what a product writes is read back from cache and workspaces stay small. */
enum { ADA_PANEL = 256 };
typedef struct ada_panel { /* workspace of a panel; wide: the widest row of any product in a block */
    void *a;               /* [ADA_PANEL, d] of the stack's type */
    float *n;              /* [ADA_PANEL, d] */
    float *r;              /* [ADA_PANEL, d] */
    float *t;              /* [ADA_PANEL, wide] */
    void *h;               /* [ADA_PANEL, wide] of the stack's type */
} ada_panel;
/* For rows at most, or ADA_PANEL of them. */
ada_status ada_panel_layout(ada_panel *p, ada_arena *a, ada_dtype type, size_t rows, size_t d,
                            size_t wide) ADA_MUST_USE;
static inline size_t ada_panel_rows(size_t first, size_t rows) {
    return rows - first < ADA_PANEL ? rows - first : ADA_PANEL;
}

typedef struct ada_residual {
    const ada_linear *out;
    ada_dtype type;
    ada_norm_rows post; /* of m rows; .w NULL: not normed */
    void *keep;         /* [m, d] the product, for backward; where normed, and NULL otherwise */
    float *stat;        /* [m, 2], likewise */
} ada_residual;

/* h [m, k] of `type`, ldh apart; x [m, d]. p->n is overwritten where normed. */
void ada_residual_forward(const ada_residual *r, const ada_panel *p, const void *h, size_t ldh, float *x);
/* dh [m, k] (lddh apart) from dx [m, d] after; h as kept, for a trained product, or NULL. p->a, and where
 * normed p->n and p->r, are overwritten. */
void ada_residual_backward(const ada_residual *r, const ada_panel *p, const void *h, size_t ldh,
                           const float *dx, float *dh, size_t lddh);
/* The same into dh [m, k] of `type`, packed; p->t is overwritten. */
void ada_residual_backward_narrow(const ada_residual *r, const ada_panel *p, const void *h, size_t ldh,
                                  const float *dx, void *dh);

#endif
