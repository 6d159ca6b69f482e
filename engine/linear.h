/* SPDX-License-Identifier: Apache-2.0
 * A linear map: packed weight, bias, and a gradient if it is trained. Owns: the seam where bf16 begins, and
 * the row strips in which all elementwise work is handed out. Frozen means g == NULL, the only freeze rule:
 * no weight gradient is computed and no input is kept for one. */
#ifndef ADA_ENGINE_LINEAR_H
#define ADA_ENGINE_LINEAR_H

#include "engine/matmul.h"
#include "engine/par.h"
#include "simd/kernels.h"
#include <string.h>

typedef struct ada_linear {
    ada_mat *w;
    float *b; /* [n] or NULL */
    float *g; /* gradient of w [n, k], f32; NULL = frozen */
} ada_linear;

/* Elementwise work goes out in strips of this many rows: a row of a block is a few KB, so a strip stays in
 * L1, and borders come from the shape alone. */
enum { ADA_STRIP = 4 };
static inline size_t ada_strips(size_t rows) {
    return (rows + ADA_STRIP - 1) / ADA_STRIP;
}
static inline size_t ada_strip_end(size_t strip, size_t rows) {
    size_t end = (strip + 1) * ADA_STRIP;
    return end < rows ? end : rows;
}

static inline void *ada_at(ada_dtype type, void *p, size_t i) {
    return (char *)p + i * ada_type_size(type);
}
static inline const void *ada_at_const(ada_dtype type, const void *p, size_t i) {
    return (const char *)p + i * ada_type_size(type);
}
/* NULL of NULL: what is not kept. */
static inline void *ada_at_kept(ada_dtype type, void *p, size_t i) {
    return p ? ada_at(type, p, i) : NULL;
}
/* Here bf16 begins: whatever enters a matmul, or is kept for backward, passes here. type: ADA_BF16 or
 * ADA_F32. */
static inline void ada_narrow(ada_dtype type, void *y, const float *x, size_t n) {
    if (type == ADA_BF16)
        ada_k.f32_to_bf16(y, x, n);
    else
        memcpy(y, x, n * sizeof *x);
}
/* Values i … i+n-1 of p, on their way to L1. */
static inline void ada_fetch(ada_dtype type, const void *p, size_t i, size_t n) {
    const char *at = ada_at_const(type, p, i), *end = ada_at_const(type, p, i + n);
    for (; at < end; at += 64) __builtin_prefetch(at);
}
static inline void ada_widen(ada_dtype type, float *y, const void *x, size_t n) {
    if (type == ADA_BF16)
        ada_k.bf16_to_f32(y, x, n);
    else
        memcpy(y, x, n * sizeof *y);
}
/* y [m, n] packed = x [m, n] (ldx), narrowed, strips in parallel. */
void ada_narrow_rows(ada_dtype type, void *y, const float *x, size_t ldx, size_t m, size_t n);

/* Whether a body of ada_matmul_apart may use it: a weight gradient is all threads' work. */
static inline bool ada_linear_alone(const ada_linear *l) {
    return !l->g;
}
/* y [m, n] = x [m, k] · wᵀ + b, x of the weight's type; add: y += instead of =. Leading dimensions in
 * elements. */
void ada_linear_forward(const ada_linear *l, const void *x, size_t ldx, size_t m, float *y, size_t ldy,
                        bool add);
/* The same of an x that is made; where w is trained, backward is given x->all. */
void ada_linear_forward_made(const ada_linear *l, const ada_made *x, size_t m, float *y, size_t ldy,
                             bool add);
/* The same into y [m, n] of the weight's type, packed. scratch [m, n]. */
void ada_linear_forward_narrow(const ada_linear *l, const void *x, size_t ldx, size_t m, float *scratch,
                               void *y);
/* dx [m, k] = dy [m, n] · w; where g is set, g += dyᵀ · x as well (x may be NULL otherwise). */
void ada_linear_backward(const ada_linear *l, const void *x, size_t ldx, const void *dy, size_t lddy,
                         size_t m, float *dx, size_t lddx);
/* The same into dx [m, k] of the weight's type, packed. scratch [m, k]. */
void ada_linear_backward_narrow(const ada_linear *l, const void *x, size_t ldx, const void *dy, size_t lddy,
                                size_t m, float *scratch, void *dx);

#endif
