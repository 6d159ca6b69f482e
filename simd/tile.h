/* SPDX-License-Identifier: Apache-2.0
 * The operands of the product kernel mm_tile, up to 32 columns wide.
 * Must not know: where they came from (weights, keys, probabilities).
 * Invariant: each element is one chain, acc = fma(x, b, acc) for j = 0 … k-1, from c or from +0; a product
 * cut into several k ranges, with c carrying the sums, has the bits of the uncut one. */
#ifndef ADA_SIMD_TILE_H
#define ADA_SIMD_TILE_H

#include <stddef.h>

typedef struct ada_tile {
    float *y;       /* [m, n], rows ldy apart: c + x·b, or y + (c + x·b) with add */
    size_t ldy, n;  /* n ≤ 32; only n columns are touched */
    int add;
    const float *c; /* [m, 32], rows ldc apart; may be y; NULL: zeros. Whole 16s are read */
    size_t ldc;
    const float *x; /* element (i, j) at x[i·ldx + j], or, transposed, at x[j·ldx + i] */
    size_t ldx;
    int transposed;
    size_t m;
    const float *b; /* two halves of 16 columns, ldb apart; a half's rows are `step` apart, 16 where packed */
    size_t ldb, step;
    size_t k;
    const void *ahead; /* bytes to prefetch meanwhile; NULL: none */
    size_t nahead;
    size_t run, stride; /* they lie in runs of `run` bytes, a multiple of 64, `stride` apart; 0: in one */
} ada_tile;

#endif
