/* SPDX-License-Identifier: Apache-2.0
 * The operands of the product kernels mm_tile, up to 32 columns wide, and mm_pairs, and of attention's rows.
 * Must not know: where they came from (weights, keys, probabilities).
 * Invariant: each element is one chain, acc = fma(x, b, acc) for j = 0 … k-1, from c or from +0; a product
 * cut into several k ranges, with c carrying the sums, has the bits of the uncut one. mm_pairs keeps that for
 * ranges of whole 16s of pairs. */
#ifndef ADA_SIMD_TILE_H
#define ADA_SIMD_TILE_H

#include <stddef.h>
#include <stdint.h>

typedef struct ada_tile {
    float *y;       /* [m, n], rows ldy apart: c + x·b, or y + (c + x·b) with add */
    size_t ldy, n;  /* n ≤ 32; only n columns are touched */
    int add;
    const float *c; /* [m, 32], rows ldc apart, backwards if it is negative; may be y; NULL: zeros. Whole
                     * 16s are read */
    ptrdiff_t ldc;
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

/* The operands of mm_pairs: words are two bf16, the one with the smaller index in the low half. */
typedef struct ada_pair_tile {
    float *y;      /* [m, n], rows ldy apart: c + x·b */
    size_t ldy, n; /* n: a multiple of 32 */
    const float *c; /* [m, n], rows ldc apart, backwards if it is negative; may be y; NULL: zeros */
    ptrdiff_t ldc;
    const uint32_t *x; /* pair j of row i at x[i·ldx + j], or, transposed, at x[j·ldx + i] */
    size_t ldx;
    int transposed;
    size_t m;
    const uint32_t *b; /* 16s of columns, ldb words apart; their pairs are `step` words apart */
    size_t ldb, step;
    size_t k; /* pairs */
} ada_pair_tile;

/* The operands of attend_rows and attend_back: rows of scores, in all arrays ld apart. */
typedef struct ada_scores {
    float *s, *dp;    /* [m, n]; dp: attend_back alone */
    uint16_t *p, *ds; /* [m, n] or NULL */
    size_t ld, m, n;
    const uint32_t (*seen)[2]; /* [m] or NULL */
    float scale, cap;
} ada_scores;

#endif
