/* SPDX-License-Identifier: Apache-2.0
 * The feed-forward half of a block on a panel of rows: x += down(act(gate) · up) of the normed x, and its
 * backward. Must not know: attention, or which rows these are. */
#ifndef ADA_ENGINE_FFN_H
#define ADA_ENGINE_FFN_H

#include "engine/config.h"
#include "engine/norm.h"

/* Rows run in panels, so that what a product writes is read back from cache and workspaces stay small. */
enum { ADA_PANEL = 192 };
typedef struct ada_panel { /* workspace of a panel; wide: the widest row of any product in a block */
    void *a;               /* [ADA_PANEL, d] of the stack's type */
    float *n;              /* [ADA_PANEL, d] */
    float *r;              /* [ADA_PANEL, d] */
    float *t;              /* [ADA_PANEL, wide] */
    void *h;               /* [ADA_PANEL, wide] of the stack's type */
} ada_panel;

typedef struct ada_ffn {
    ada_norm_rows norm; /* norm.m rows */
    ada_dtype type;
    ada_act_kind act;
    size_t width; /* ffn */
    const ada_linear *up, *down;
    /* Kept for backward, all NULL otherwise: */
    void *x;       /* [m, d] */
    float *rstd;   /* [m] */
    void *gate_up; /* [m, 2·width] */
    void *up_in;   /* [m, d], only if up is trained */
    void *down_in; /* [m, width], only if down is trained */
} ada_ffn;

void ada_ffn_forward(const ada_ffn *f, const ada_panel *p, float *x /* [m, d] in place */);
void ada_ffn_backward(const ada_ffn *f, const ada_panel *p, float *dx /* [m, d] in place */);

#endif
