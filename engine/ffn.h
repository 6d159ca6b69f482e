/* SPDX-License-Identifier: Apache-2.0
 * The feed-forward half of a block on a panel of rows: x += down(act(gate) · up) of the normed x, or
 * down(act(up)) without a gate, and its backward. Must not know: attention, or which rows these are. */
#ifndef ADA_ENGINE_FFN_H
#define ADA_ENGINE_FFN_H

#include "engine/residual.h"

typedef struct ada_ffn {
    ada_norm_rows norm; /* norm.m rows */
    ada_dtype type;
    ada_act_kind act;
    bool gated;
    size_t width;         /* ffn */
    const ada_linear *up; /* gate rows, then up rows; or up alone */
    ada_residual end;     /* its product is down */
    /* Kept for backward, all NULL otherwise: */
    void *x;       /* [m, d] */
    float *stat;   /* [m, 2] */
    void *gate_up; /* [m, rows of up] */
    void *up_in;   /* [m, d], only if up is trained */
    void *down_in; /* [m, width], only if down is trained */
} ada_ffn;

void ada_ffn_forward(const ada_ffn *f, const ada_panel *p, float *x /* [m, d] in place */);
void ada_ffn_backward(const ada_ffn *f, const ada_panel *p, float *dx /* [m, d] in place */);

#endif
