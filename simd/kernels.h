/* SPDX-License-Identifier: Apache-2.0
 * The kernels: arithmetic on arrays, single-threaded, no memory, no errors. Owns: the contract of each, and
 * `ada_k`, the table of the ISA in use. Call them as ada_k.dot(a, b, n). Must not know: what they are for.
 * Invariant: a kernel is a row of kernels.def, and its contract is here. */
#ifndef ADA_SIMD_KERNELS_H
#define ADA_SIMD_KERNELS_H

/* Of all kernels: any alignment will do; n may be 0; nothing beyond n is read or written; arrays do not
 * overlap except where one "may be" another (the same pointer, then). An EXACT kernel gives the same bits on
 * every ISA, but for which NaN. NaN in gives NaN out of whatever depends on it; denormals are kept.
 *
 * k_map.h, y[i] from a[i], b[i]; y may be a or b:
 *   add mul scale; axpy: y += s·a, rounded once; relu: 0 > a ? 0 : a
 *   silu: a·σ(a); gelu_quick: a·σ(1.702 a); gelu_tanh: a·σ(√(8/π) (a + 0.044715 a³)); gelu_erf: a·Φ(a)
 *     → -0 at -inf. For |a| ≤ 10 silu is 2.8 ULP off at most and gelu_erf 5.4; for |a| ≤ 1 gelu_quick 2.3 and
 *     gelu_tanh 2.9 (tests/ulp.c). Beyond, σ's argument is rounded first: relative 2^-23·|argument|.
 *   *_back: dx = dy·act'(x), dx may be dy or x. relu_back: 0 >= x ? 0 : dy.
 *   swiglu: h = silu(g)·u, h may be g or u. swiglu_back: dg = dh·u·silu'(g), du = dh·silu(g); dg may be g, du
 *     may be u, either may be dh. geglu_tanh, geglu_tanh_back: the same of gelu_tanh.
 *   *_bf16: the same, of bf16 but for dh, and rounded to bf16; σ may be 2^-17 off, relatively, and is 0 below
 *     2^-128; gelu_erf_bf16's Φ is 2^-21 off at most, and 0 below -5.
 * k_reduce.h: sums in four sets of 16 lanes, then one tree. Empty: 0.
 *   max: NaN if there is one; -inf if empty. argmax: the first of the greatest; the first NaN if there is
 *     one; 0 if empty.
 * k_norm.h, one row; y may be x, dx may be dy:
 *   rmsnorm: r = 1/√(Σx²/n + eps); y = (x·r)·w; returns r, which rmsnorm_back takes.
 *   layernorm: stat = {mean, 1/√(variance + eps)}; y = ((x - mean)·rstd)·w + b; b may be NULL.
 *   *_back write (not add to) dx; w and b get no gradient here.
 * k_softmax.h, one row:
 *   softmax: in place; returns ln Σ e^x. All NaN if x has a NaN or +inf, or only -inf. lse: that logarithm
 *     alone, the same bits; NaN if x has one, else +inf if x has it, -inf if x has nothing else.
 *   xent_back: y = g·(e^(x - lse) - [i == target]), y may be x; a target of n or more is none.
 * k_rope.h, x [2·half], in place; c, s [half] cosines and sines:
 *   rope_half pairs x[i] with x[half + i], rope_interleave x[2i] with x[2i + 1]:
 *   (a, b) → (a·c - b·s·sign, b·c + a·s·sign).
 * k_lowrank.h, w and g [k, n] row-major:
 *   rows_matmul: y [m, n] = (or += with add) x [m, k], rows ldx apart, · w. row_matmul_t: y [k] = w · x [n].
 *   outer_add: g [k, n] += s · x [k] ⊗ y [n].
 * k_adam.h: one AdamW step, its constants c by the names below.
 * k_matmul.h, w: panels of bf16 pairs as its header says; b: two halves of 16 columns, ldb floats apart, each
 * [k, 16]:
 *   mm_tile: tile.h. mm_rows: y [m, n] = (or += with add) x [m, k] · the panel w, n ≤ 32, k even.
 *   mm_widen: one half, b [k, 16], of k lines (k even) of w. mm_widen_back: b[i][j] = W[i][j], 32 × 16, from
 *     8 lines of w.
 *   mm_narrow: h [m, n] = y [m, n] + bias [n], rounded; bias may be NULL.
 *   mm_turn, on 32-bit words: b[j·ldb + i] = x[i·ldx + j], i < n, j < k.
 * k_pairs.h:
 *   mm_pairs: tile.h; 2k + 1 roundings, denormals may count as 0. mm_zip: y[i] = a[i] below b[i].
 * k_attend.h, s [m, n] products of queries with a block of keys, of which row i sees [seen[i][0],
 * seen[i][1]), all if seen is NULL; scale > 0, f(s) = scale·s, or cap·tanh(scale·s/cap) where cap > 0; a
 * row's stat = {greatest f so far, Σ e^(f - greatest)}, {-inf, 0} at first. Results stand in s and dp, or,
 * rounded, in p and ds, if those are given: s and dp then hold anything, and the e^x so rounded, and summed,
 * may be 2^-17 off.
 *   attend_rows: s becomes e^(f(s) - greatest), 0 where unseen; stat [m, 2] moves on; factor [m] is what a
 *     row's earlier sums must be scaled by (1 if nothing rose). attend_end: o /= stat[1]; returns the
 *     log-sum-exp of all f.
 *   attend_back, lse and d [m]: s becomes p = e^(f(s) - lse), dp becomes p·(dp - d)·f'(s); 0 where unseen.
 * k_image.h:
 *   resample: y[i] = the byte nearest to Σ k[j]·x[j·stride + i] / 2^22, j < taps, half up; the sum is modulo
 *     2^32 and then cut to 0 … 255. Both passes of Pillow's Image.resize, one on a picture turned over.
 *   planes: y[c·plane + i] = table[256·c + x[3i + c]], c < 3. table [3, 256].
 * k_convert.h: to nearest even, NaN kept and made quiet. *_to_f32 from GGUF blocks: n a multiple of the block
 *   (32; 256 for the _K), d·q - m in the order of gguf-py, the same bits. */
#include "simd/tile.h"
#include "simd/types.h"

/* c of adamw, computed in double and rounded:
 *   g ← g·GRAD_SCALE;  p ← p·DECAY;  m ← m + OMB1·(g - m);  v ← v·BETA2 + OMB2·g²;
 *   p ← p - STEP·m / (√v / BC2_SQRT + EPS) */
enum {
    ADA_ADAMW_GRAD_SCALE, /* the factor of global-norm clipping, or 1 */
    ADA_ADAMW_DECAY,      /* 1 - lr·weight_decay */
    ADA_ADAMW_OMB1,       /* 1 - beta1 */
    ADA_ADAMW_BETA2,
    ADA_ADAMW_OMB2,       /* 1 - beta2 */
    ADA_ADAMW_BC2_SQRT,   /* √(1 - beta2^t) */
    ADA_ADAMW_EPS,
    ADA_ADAMW_STEP,       /* lr / (1 - beta1^t) */
    ADA_ADAMW_CONSTANTS
};

struct ada_kernels {
    const char *isa;
    int pairs; /* whether the processor multiplies pairs: mm_pairs is faster than mm_tile */
    int tiles; /* whether it multiplies whole tiles: sooner than memory brings what to multiply */
#define K(name, class, ret, args) ret(*name) args;
#include "simd/kernels.def"
#undef K
};

/* Set before main to the best ISA of this CPU, or to the one ADALINK_ISA names if it can run. */
extern struct ada_kernels ada_k;

enum ada_simd_status {
    ADA_SIMD_OK = 0,
    ADA_SIMD_UNKNOWN, /* no such ISA in this build */
    ADA_SIMD_MISSING  /* this CPU cannot run it */
};
/* Chooses the ISA by name; NULL: the one ADALINK_ISA names, or the best. On failure ada_k stays as it was.
 * For the start of a program, before threads. */
enum ada_simd_status ada_simd_init(const char *want) __attribute__((warn_unused_result));
/* The i-th ISA of this build, worst first, and whether this CPU runs it (0 or 1); NULL after the last. */
const struct ada_kernels *ada_simd_isa(size_t i, int *runs);

#endif
