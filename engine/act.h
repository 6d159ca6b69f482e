/* SPDX-License-Identifier: Apache-2.0
 * Activations by name of the switch: which kernel each one is. Must not know: where its numbers come from.
 * Invariant: every ada_act_kind has both directions. */
#ifndef ADA_ENGINE_ACT_H
#define ADA_ENGINE_ACT_H

#include "engine/config.h"
#include "simd/kernels.h"

/* y = act(x), y may be x. */
static inline void ada_act_forward(ada_act_kind act, float *y, const float *x, size_t n) {
    switch (act) {
    case ADA_ACT_SILU:
        ada_k.silu(y, x, n);
        break;
    case ADA_ACT_GELU_TANH:
        ada_k.gelu_tanh(y, x, n);
        break;
    case ADA_ACT_GELU_ERF:
        ada_k.gelu_erf(y, x, n);
        break;
    case ADA_ACT_GELU_QUICK:
        ada_k.gelu_quick(y, x, n);
        break;
    case ADA_ACT_RELU:
        ada_k.relu(y, x, n);
        break;
    }
}

/* The same of bf16, rounded to bf16. */
static inline void ada_act_forward_bf16(ada_act_kind act, uint16_t *y, const uint16_t *x, size_t n) {
    switch (act) {
    case ADA_ACT_SILU:
        ada_k.silu_bf16(y, x, n);
        break;
    case ADA_ACT_GELU_TANH:
        ada_k.gelu_tanh_bf16(y, x, n);
        break;
    case ADA_ACT_GELU_ERF:
        ada_k.gelu_erf_bf16(y, x, n);
        break;
    case ADA_ACT_GELU_QUICK:
        ada_k.gelu_quick_bf16(y, x, n);
        break;
    case ADA_ACT_RELU:
        ada_k.relu_bf16(y, x, n);
        break;
    }
}

/* dx = dy · act'(x), dx may be dy or x. */
static inline void ada_act_backward(ada_act_kind act, float *dx, const float *dy, const float *x, size_t n) {
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

#endif
