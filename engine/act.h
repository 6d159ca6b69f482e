/* SPDX-License-Identifier: Apache-2.0
 * Activations by name of the switch: which kernel each one is. Must not know: where its numbers come from.
 * Invariant: every ada_act_kind has both directions. */
#ifndef ADA_ENGINE_ACT_H
#define ADA_ENGINE_ACT_H

#include "engine/config.h"
#include "simd/kernels.h"

#define ADA_ACT_KERNEL(act, suffix, ...)                                                                     \
    switch (act) {                                                                                           \
    case ADA_ACT_SILU:                                                                                       \
        ada_k.silu##suffix(__VA_ARGS__);                                                                     \
        break;                                                                                               \
    case ADA_ACT_GELU_TANH:                                                                                  \
        ada_k.gelu_tanh##suffix(__VA_ARGS__);                                                                \
        break;                                                                                               \
    case ADA_ACT_GELU_ERF:                                                                                   \
        ada_k.gelu_erf##suffix(__VA_ARGS__);                                                                 \
        break;                                                                                               \
    case ADA_ACT_GELU_QUICK:                                                                                 \
        ada_k.gelu_quick##suffix(__VA_ARGS__);                                                               \
        break;                                                                                               \
    case ADA_ACT_RELU:                                                                                       \
        ada_k.relu##suffix(__VA_ARGS__);                                                                     \
        break;                                                                                               \
    }

/* y = act(x), y may be x. */
static inline void ada_act_forward(ada_act_kind act, float *y, const float *x, size_t n) {
    ADA_ACT_KERNEL(act, , y, x, n)
}

/* The same of bf16, rounded to bf16. */
static inline void ada_act_forward_bf16(ada_act_kind act, uint16_t *y, const uint16_t *x, size_t n) {
    ADA_ACT_KERNEL(act, _bf16, y, x, n)
}

/* dx = dy · act'(x), dx may be dy or x. */
static inline void ada_act_backward(ada_act_kind act, float *dx, const float *dy, const float *x, size_t n) {
    ADA_ACT_KERNEL(act, _back, dx, dy, x, n)
}
#undef ADA_ACT_KERNEL

#endif
