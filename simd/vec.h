/* SPDX-License-Identifier: Apache-2.0
 * The vocabulary of kernels. Owns: what each word means, and the functions made of words (vf_exp and the
 * like). Each vec_<isa>.h says the words in its own intrinsics. Must not know: kernels.
 * Invariant: vf is 16 lanes on every ISA and every word is an operation that IEEE 754 fixes, so the same
 * program gives the same bits everywhere. (One thing IEEE leaves open: which NaN. Results are the same up to
 * that.)
 *
 * vf 16 floats, vi 16 int32, vm 16 truth values. Bits, not values, pass between vf and vi by vf_bits and
 * vi_bits. */
#ifndef ADA_SIMD_VEC_H
#define ADA_SIMD_VEC_H

/* The words.
 *   vf_zero() vf_set1(s)                     vi_zero() vi_set1(i)
 *   vf_load(p) vf_store(p, v)                vi_load(p) vi_store(p, v)        any alignment
 *   vf_load_n(p, n) vf_store_n(p, v, n)      n in 0..16: lanes from n on load as 0, and are not touched in
 *                                            memory
 *   vf_load_bf16(p) vf_load_bf16_n(p, n)     widened exactly
 *   vf_store_bf16(p, v) vf_store_bf16_n(..)  to nearest even; a NaN stays one, made quiet
 *   vf_put_bf16(p, v) vf_put_bf16_n(..)      the same of lanes that are no denormals
 *   vf_load_f16, _n; vf_store_f16, _n        likewise, denormals kept
 *   vi_load_u8(p) vi_load_i8(p)              16 bytes, widened
 *   vi_store_u8(p, v)                        16 bytes, of lanes that are 0 to 255
 *   vi_load_u8_n(p, n) vi_store_u8_n(p, v, n)
 *   vf_load2(p, &e, &o) vf_store2(p, e, o)   32 floats: the even ones and the odd ones
 *   vf_add sub mul div                       (a, b)
 *   vf_sqrt vf_neg vf_abs                    (a)
 *   vf_fma(a, b, c) = a·b + c, vf_fnma(a, b, c) = c - a·b, each rounded once
 *   vf_max(a, b) = a > b ? a : b;  vf_min(a, b) = a < b ? a : b          so b, if either is NaN
 *   vf_gt vf_ge vf_eq (a, b) vf_isnan(a)     → vm; false with a NaN (isnan apart)
 *   vm_and vm_or vm_not, vm_first(n): lanes below n, vm_bits(m): lane i at bit i
 *   vf_select(m, a, b) = m ? a : b           vi_select likewise
 *   vi_add sub mul and or xor (a, b) mod 2^32, vi_shl vi_shr vi_sar (a, constant), vi_gt vi_eq (signed) → vm
 *   vf_from_vi(i)                            value, to nearest even
 *   vf_hsum(v): lanes i and i+8, then 4, 2, 1 apart are added; vf_hmax(v): the same tree of vf_max(low, high)
 *   vi_turn8(y, ldy, x, ldx)                 8×8 words in memory, y[j·ldy + i] = x[i·ldx + j]
 *   vf_turn8_bf16(y, x, ldx)                 likewise pairs of bf16, low half first, into y [8, 16] widened
 *                                            VEC_TURN8, VEC_TURN8_BF16: an ISA's own */
#include <math.h>
#include <stddef.h>
#include <stdint.h>

/* A lane is a register only where there are such registers: elsewhere forced inlining makes code by the
 * megabyte. */
#if defined(ADA_ISA_SCALAR) || defined(ADA_EMULATED)
#define VEC static inline __attribute__((unused))
#else
#define VEC static inline __attribute__((always_inline, unused))
#endif

#if defined(ADA_ISA_SCALAR)
#include "simd/vec_scalar.h"
#elif defined(ADA_ISA_AVX2)
#include "simd/vec_avx2.h"
#elif defined(ADA_ISA_AVX512)
#include "simd/vec_avx512.h"
#ifdef ADA_ISA_AMX
#include "simd/vec_amx.h"
#endif
#elif defined(ADA_ISA_NEON)
#include "simd/vec_neon.h"
#else
#error "no vocabulary for this ISA"
#endif

#ifndef VEC_TURN8
VEC void vi_turn8(void *y, size_t ldy, const void *x, size_t ldx)
{
    for (size_t i = 0; i < 8; i++)
        for (size_t j = 0; j < 8; j++)
            __builtin_memcpy((char *)y + 4 * (j * ldy + i), (const char *)x + 4 * (i * ldx + j), 4);
}
#endif
#ifndef VEC_TURN8_BF16
VEC void vf_turn8_bf16(float *y, const uint32_t *x, size_t ldx)
{
    uint16_t rows[8][16];
    vi_turn8(rows, 8, x, ldx);
    for (size_t r = 0; r < 8; r++) vf_store(y + r * 16, vf_load_bf16(rows[r]));
}
#endif

#ifndef VEC_PUT_BF16
VEC void vf_put_bf16(uint16_t *p, vf a) { vf_store_bf16(p, a); }
VEC void vf_put_bf16_n(uint16_t *p, vf a, size_t n) { vf_store_bf16_n(p, a, n); }
#endif

enum { VL = 16 };

/* tails of bytes have no masked move on most ISAs: they pass through the stack */
VEC vi vi_load_u8_n(const uint8_t *p, size_t n)
{
    uint8_t t[VL] = {0};
    __builtin_memcpy(t, p, n);
    return vi_load_u8(t);
}
VEC void vi_store_u8_n(uint8_t *p, vi a, size_t n)
{
    uint8_t t[VL];
    vi_store_u8(t, a);
    __builtin_memcpy(p, t, n);
}

/* How kernels walk a row: the statements run for each full vector with m == VL, then once for the m < VL
 * left; LD, LD_OR and ST move lane i + 0..m-1 of an array. VEC_SUM adds up: in `term` acc is the running sum.
 * Four sums of 16 lanes take turns, the last part joins the second, and one fixed tree ends it, whatever the
 * ISA. */
#define LD(p) (m == VL ? vf_load((p) + i) : vf_load_n((p) + i, m))
#define LD_OR(p, fill) (m == VL ? vf_load((p) + i) : vf_select(vm_first(m), vf_load_n((p) + i, m), fill))
#define ST(p, v) do { if (m == VL) vf_store((p) + i, v); else vf_store_n((p) + i, v, m); } while (0)
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

#define VEC_EACH(n, ...)                                                                                     \
    do {                                                                                                     \
        size_t i = 0;                                                                                        \
        for (const size_t m = VL; i + VL <= (n); i += VL) { __VA_ARGS__; }                                  \
        if (i < (n)) { const size_t m = (n) - i; __VA_ARGS__; }                                              \
    } while (0)
#define VEC_SUM(n, term)                                                                                     \
    __extension__({                                                                                          \
        vf s0 = vf_zero(), s1 = s0, s2 = s0, s3 = s0, acc;                                                   \
        size_t i = 0;                                                                                        \
        for (const size_t m = VL; i + 4 * VL <= (n);) {                                                      \
            acc = s0; s0 = (term); i += VL;                                                                  \
            acc = s1; s1 = (term); i += VL;                                                                  \
            acc = s2; s2 = (term); i += VL;                                                                  \
            acc = s3; s3 = (term); i += VL;                                                                  \
        }                                                                                                    \
        for (const size_t m = VL; i + VL <= (n); i += VL) { acc = s0; s0 = (term); }                         \
        if (i < (n)) { const size_t m = (n) - i; acc = s1; s1 = (term); }                                    \
        vf_hsum(vf_add(vf_add(s0, s1), vf_add(s2, s3)));                                                     \
    })

/* e^x, at most 1.03 ULP off (tests/ulp.c), of normal results; NaN → NaN, +inf and above 88.73 → +inf, -inf →
 * 0. x = n·ln 2 + r in two parts of ln 2; e^r = 1 + r + r²·q(r), q of degree 4, Chebyshev fit on |r| ≤ ln 2 /
 * 2 (tests/golden/make_poly.py); 2^n in one operation, or in two factors: denormals are rounded once. */
VEC vf vf_exp(vf x)
{
    const vf magic = vf_set1(0x1.8p23f); /* adding it rounds to an integer, kept in the low bits */
    x = vf_max(vf_set1(-104.0f), vf_min(vf_set1(89.0f), x));
    vf t = vf_fma(x, vf_set1(0x1.715476p+0f), magic);
    vf n = vf_sub(t, magic);
    vf r = vf_fma(n, vf_set1(-0x1.62e4p-1f), x);
    r = vf_fma(n, vf_set1(-0x1.7f7d1cp-20f), r);
    vf q = vf_fma(vf_set1(0x1.6d117cp-10f), r, vf_set1(0x1.120be2p-7f));
    q = vf_fma(q, r, vf_set1(0x1.555518p-5f));
    q = vf_fma(q, r, vf_set1(0x1.5554dcp-3f));
    q = vf_fma(q, r, vf_set1(0.5f));
    vf p = vf_add(vf_fma(vf_mul(r, r), q, r), vf_set1(1.0f));
#ifdef VEC_SCALE2
    return vf_scale2(p, n);
#else
    vi i = vi_sub(vf_bits(t), vi_set1(0x4b400000));
    vi a = vi_sar(i, 1), b = vi_sub(i, a);
    p = vf_mul(p, vi_bits(vi_shl(vi_add(a, vi_set1(127)), 23)));
    return vf_mul(p, vi_bits(vi_shl(vi_add(b, vi_set1(127)), 23)));
#endif
}

/* 2^x for what is then rounded to bf16, at most 2^-17 off, relatively; below 2^-125.5 it is 0, so that no
 * denormal arises; NaN → NaN. x = n + r; 2·2^r of degree 4, Chebyshev fit of (2^r - 1)/r on |r| ≤ ½
 * (tests/golden/make_poly.py). */
VEC vf vf_exp2_near(vf x)
{
    const vf magic = vf_set1(0x1.8p23f + 126); /* rounds to an integer, and leaves ½·2^n's exponent below */
    x = vf_max(vf_set1(-126.0f), vf_min(vf_set1(129.0f), x));
    vf t = vf_add(x, magic), r = vf_sub(x, vf_sub(t, magic));
    vf p = vf_fma(vf_set1(0x1.3c6e5cp-6f), r, vf_set1(0x1.c96d5ep-4f));
    p = vf_fma(p, r, vf_set1(0x1.ebfb3ep-2f));
    p = vf_fma(p, r, vf_set1(0x1.62e2d2p+0f));
    p = vf_fma(p, r, vf_set1(2.0f));
    return vf_mul(p, vi_bits(vi_shl(vf_bits(t), 23)));
}

/* 1 / (1 + e^-x) from e^-|x|, so that both tails keep their relative accuracy, 2.01 ULP; *not_p = 1 - p
 * likewise. */
VEC vf vf_sigmoid2(vf x, vf *not_p)
{
    vf e = vf_exp(vf_neg(vf_abs(x))), one = vf_set1(1.0f), d = vf_add(one, e);
    vm up = vf_ge(x, vf_zero());
    *not_p = vf_div(vf_select(up, e, one), d);
    return vf_div(vf_select(up, one, e), d);
}

#endif
