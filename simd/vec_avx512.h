/* SPDX-License-Identifier: Apache-2.0
 * The vocabulary of vec.h in AVX-512 (F, BW, DQ, VL): one register, masks for tails. One of the doors to
 * intrinsics. Must not know: kernels. Invariant: equal to vec_scalar.h lane by lane. */
#ifndef ADA_SIMD_VEC_AVX512_H
#define ADA_SIMD_VEC_AVX512_H

#include <immintrin.h>

typedef __m512 vf;
typedef __m512i vi;
typedef __mmask16 vm;

VEC vm vm_first(size_t n) { return (vm)((1u << n) - 1); }
VEC vm vm_and(vm a, vm b) { return (vm)(a & b); }
VEC vm vm_or(vm a, vm b) { return (vm)(a | b); }
VEC vm vm_not(vm a) { return (vm)~a; }
VEC uint32_t vm_bits(vm a) { return a; }

VEC vf vf_set1(float s) { return _mm512_set1_ps(s); }
VEC vf vf_zero(void) { return _mm512_setzero_ps(); }
VEC vi vi_set1(int32_t s) { return _mm512_set1_epi32(s); }
VEC vi vi_zero(void) { return _mm512_setzero_si512(); }
VEC vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
VEC void vf_store(float *p, vf a) { _mm512_storeu_ps(p, a); }
VEC vi vi_load(const int32_t *p) { return _mm512_loadu_si512(p); }
VEC void vi_store(int32_t *p, vi a) { _mm512_storeu_si512(p, a); }
VEC vf vf_load_n(const float *p, size_t n) { return _mm512_maskz_loadu_ps(vm_first(n), p); }
VEC void vf_store_n(float *p, vf a, size_t n) { _mm512_mask_storeu_ps(p, vm_first(n), a); }
VEC vi vi_load_u8(const uint8_t *p) { return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)); }
VEC void vi_store_u8(uint8_t *p, vi a) { _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(a)); }
VEC vi vi_load_i8(const int8_t *p) { return _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)); }

VEC vi vf_bits(vf a) { return _mm512_castps_si512(a); }
VEC vf vi_bits(vi a) { return _mm512_castsi512_ps(a); }

VEC __m256i vec_load16(const uint16_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
VEC __m256i vec_load16_n(const uint16_t *p, size_t n) { return _mm256_maskz_loadu_epi16(vm_first(n), p); }
VEC void vec_store16(uint16_t *p, __m256i a) { _mm256_storeu_si256((__m256i *)p, a); }
VEC void vec_store16_n(uint16_t *p, __m256i a, size_t n) { _mm256_mask_storeu_epi16(p, vm_first(n), a); }

VEC vf vec_widen_bf16(__m256i a) { return vi_bits(_mm512_slli_epi32(_mm512_cvtepu16_epi32(a), 16)); }
VEC __m256i vec_round_bf16(vf f)
{
#if defined(ADA_ISA_AVX512BF16) && !defined(ADA_EMULATED)
    /* but for denormals, which it takes for 0, the instruction does the same */
    if (__builtin_expect(!_mm512_fpclass_ps_mask(f, 0x20), 1)) return (__m256i)_mm512_cvtneps_pbh(f);
#endif
    vi u = vf_bits(f), hi = _mm512_srli_epi32(u, 16);
    vi odd = _mm512_and_si512(hi, _mm512_set1_epi32(1));
    vi r = _mm512_srli_epi32(_mm512_add_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(0x7fff)), odd), 16);
    vi quiet = _mm512_or_si512(hi, _mm512_set1_epi32(0x40));
    return _mm512_cvtepi32_epi16(_mm512_mask_blend_epi32(_mm512_cmp_ps_mask(f, f, _CMP_UNORD_Q), r, quiet));
}
VEC vf vf_load_bf16(const uint16_t *p) { return vec_widen_bf16(vec_load16(p)); }
VEC vf vf_load_bf16_n(const uint16_t *p, size_t n) { return vec_widen_bf16(vec_load16_n(p, n)); }
VEC void vf_store_bf16(uint16_t *p, vf a) { vec_store16(p, vec_round_bf16(a)); }
VEC void vf_store_bf16_n(uint16_t *p, vf a, size_t n) { vec_store16_n(p, vec_round_bf16(a), n); }
VEC __m256i vec_round_f16(vf f) { return _mm512_cvtps_ph(f, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
VEC vf vf_load_f16(const uint16_t *p) { return _mm512_cvtph_ps(vec_load16(p)); }
#if defined(ADA_ISA_AVX512BF16) && !defined(ADA_EMULATED)
#define VEC_PUT_BF16
VEC void vf_put_bf16(uint16_t *p, vf a) { vec_store16(p, (__m256i)_mm512_cvtneps_pbh(a)); }
VEC void vf_put_bf16_n(uint16_t *p, vf a, size_t n) { vec_store16_n(p, (__m256i)_mm512_cvtneps_pbh(a), n); }
#endif
VEC vf vf_load_f16_n(const uint16_t *p, size_t n) { return _mm512_cvtph_ps(vec_load16_n(p, n)); }
VEC void vf_store_f16(uint16_t *p, vf a) { vec_store16(p, vec_round_f16(a)); }
VEC void vf_store_f16_n(uint16_t *p, vf a, size_t n) { vec_store16_n(p, vec_round_f16(a), n); }

VEC void vf_load2(const float *p, vf *e, vf *o)
{
    const vi even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    vf a = vf_load(p), b = vf_load(p + 16);
    *e = _mm512_permutex2var_ps(a, even, b);
    *o = _mm512_permutex2var_ps(a, _mm512_add_epi32(even, _mm512_set1_epi32(1)), b);
}
VEC void vf_store2(float *p, vf e, vf o)
{
    const vi low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    vf_store(p, _mm512_permutex2var_ps(e, low, o));
    vf_store(p + 16, _mm512_permutex2var_ps(e, _mm512_add_epi32(low, _mm512_set1_epi32(8)), o));
}

VEC vf vf_add(vf a, vf b) { return _mm512_add_ps(a, b); }
VEC vf vf_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
VEC vf vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
VEC vf vf_div(vf a, vf b) { return _mm512_div_ps(a, b); }
VEC vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
VEC vf vf_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); }
/* a·2^n for whole n */
#define VEC_SCALE2
VEC vf vf_scale2(vf a, vf n) { return _mm512_scalef_ps(a, n); }
VEC vf vf_sqrt(vf a) { return _mm512_sqrt_ps(a); }
VEC vf vf_neg(vf a) { return vi_bits(_mm512_xor_si512(vf_bits(a), _mm512_set1_epi32(INT32_MIN))); }
VEC vf vf_abs(vf a) { return vi_bits(_mm512_and_si512(vf_bits(a), _mm512_set1_epi32(INT32_MAX))); }
VEC vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
VEC vf vf_min(vf a, vf b) { return _mm512_min_ps(a, b); }

VEC vm vf_gt(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
VEC vm vf_ge(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ); }
VEC vm vf_eq(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
VEC vm vf_isnan(vf a) { return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q); }
VEC vf vf_select(vm m, vf a, vf b) { return _mm512_mask_blend_ps(m, b, a); }
VEC vi vi_select(vm m, vi a, vi b) { return _mm512_mask_blend_epi32(m, b, a); }

VEC vi vi_add(vi a, vi b) { return _mm512_add_epi32(a, b); }
VEC vi vi_sub(vi a, vi b) { return _mm512_sub_epi32(a, b); }
VEC vi vi_mul(vi a, vi b) { return _mm512_mullo_epi32(a, b); }
VEC vi vi_and(vi a, vi b) { return _mm512_and_si512(a, b); }
VEC vi vi_or(vi a, vi b) { return _mm512_or_si512(a, b); }
VEC vi vi_xor(vi a, vi b) { return _mm512_xor_si512(a, b); }
VEC vi vi_shl(vi a, int s) { return _mm512_sll_epi32(a, _mm_cvtsi32_si128(s)); }
VEC vi vi_shr(vi a, int s) { return _mm512_srl_epi32(a, _mm_cvtsi32_si128(s)); }
VEC vi vi_sar(vi a, int s) { return _mm512_sra_epi32(a, _mm_cvtsi32_si128(s)); }
VEC vm vi_gt(vi a, vi b) { return _mm512_cmpgt_epi32_mask(a, b); }
VEC vm vi_eq(vi a, vi b) { return _mm512_cmpeq_epi32_mask(a, b); }
VEC vf vf_from_vi(vi a) { return _mm512_cvtepi32_ps(a); }

VEC float vf_hsum(vf a)
{
    __m256 e = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(e), _mm256_extractf128_ps(e, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}
VEC float vf_hmax(vf a)
{
    __m256 e = _mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 q = _mm_max_ps(_mm256_castps256_ps128(e), _mm256_extractf128_ps(e, 1));
    q = _mm_max_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_max_ss(q, _mm_movehdup_ps(q)));
}

#include "simd/vec_turn.h"

#endif
