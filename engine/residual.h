/* SPDX-License-Identifier: Apache-2.0
 * The end of a sublayer on a panel of rows: x += h·Wᵀ + b, normed before it is added where the model does so;
 * and its backward. Must not know: which sublayer it ends. */
#ifndef ADA_ENGINE_RESIDUAL_H
#define ADA_ENGINE_RESIDUAL_H

#include "engine/norm.h"

/* Rows run in panels, so that what a product writes is read back from cache and workspaces stay small. */
enum { ADA_PANEL = 256 };
typedef struct ada_panel { /* workspace of a panel; wide: the widest row of any product in a block */
    void *a;               /* [most, d] of the stack's type */
    float *n;              /* [most, d] */
    float *r;              /* [most, d] */
    float *t;              /* [most, wide] */
    void *h;               /* [most, wide] of the stack's type */
} ada_panel;

/* Panels, and who works on them. Alone: each thread on its own panels, whose rows then stay in its own cache
 * and wait for nobody; where there are too few rows for that, or products that need all threads, all of them
 * on one after the other. */
typedef struct ada_panels {
    ada_panel *of;     /* [n] */
    int n;             /* threads that may work alone, or 1 */
    size_t rows, most; /* of a panel: as a rule, and where that spares a small rest */
    size_t usual;      /* rows that come again and again, or 0 */
    bool part;         /* each time for one thread */
} ada_panels;
/* For rows at most. alone: whether all linear maps of the panels are ada_linear_alone. train: whether
 * backward keeps what panels write, which then goes through memory whatever their size. */
ada_status ada_panels_layout(ada_panels *p, ada_arena *a, ada_dtype type, size_t rows, size_t d, size_t wide,
                             bool alone, bool train) ADA_MUST_USE;
/* Runs of so many rows come again and again; part: each of them a thread's own. */
void ada_panels_expect(ada_panels *p, size_t rows, bool part);
/* Whether threads may work alone on so many rows. */
bool ada_panels_alone(const ada_panels *p, size_t rows);
/* Rows first … first+m-1, m ≤ most. */
typedef void (*ada_panel_fn)(const void *ctx, const ada_panel *p, size_t first, size_t m);
/* Rows first … first+rows-1. Where a thread works alone already, it does so on all of them. */
void ada_panels_run(const ada_panels *p, size_t first, size_t rows, ada_panel_fn body, const void *ctx);

typedef struct ada_residual {
    const ada_linear *out;
    ada_dtype type;
    ada_norm_rows post; /* of m rows; .w NULL: not normed */
    void *keep;         /* [m, d] the product, for backward; where normed, and NULL otherwise */
    float *stat;        /* [m, 2], likewise */
} ada_residual;

/* h [m, k] of `type`, ldh apart; x [m, d]. p->n is overwritten where normed. */
void ada_residual_forward(const ada_residual *r, const ada_panel *p, const void *h, size_t ldh, float *x);
/* The same of an h that is made. */
void ada_residual_forward_made(const ada_residual *r, const ada_panel *p, const ada_made *h, float *x);
/* dh [m, k] (lddh apart) from dx [m, d] after; h as kept, for a trained product, or NULL. p->a, and where
 * normed p->n and p->r, are overwritten. */
void ada_residual_backward(const ada_residual *r, const ada_panel *p, const void *h, size_t ldh,
                           const float *dx, float *dh, size_t lddh);
/* The same into dh [m, k] of `type`, packed; p->t is overwritten. */
void ada_residual_backward_narrow(const ada_residual *r, const ada_panel *p, const void *h, size_t ldh,
                                  const float *dx, void *dh);

#endif
