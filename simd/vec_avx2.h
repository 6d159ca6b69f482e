/* SPDX-License-Identifier: Apache-2.0
 * The vocabulary of vec.h in AVX2 with FMA and F16C: two registers of eight lanes. One of the doors to
 * intrinsics. Must not know: kernels. Invariant: equal to vec_scalar.h lane by lane. */
#ifndef ADA_SIMD_VEC_AVX2_H
#define ADA_SIMD_VEC_AVX2_H

#include <immintrin.h>

typedef struct { __m256 l, h; } vf;
typedef struct { __m256i l, h; } vi;
typedef struct { __m256 l, h; } vm;

#define EACH(type, op, ...) ((type){op(a.l, ##__VA_ARGS__), op(a.h, ##__VA_ARGS__)})
#define BOTH(type, op) ((type){op(a.l, b.l), op(a.h, b.h)})
#define CMP(kind) ((vm){_mm256_cmp_ps(a.l, b.l, kind), _mm256_cmp_ps(a.h, b.h, kind)})

static const int32_t vec_tail[32] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};

VEC vf vf_set1(float s) { return (vf){_mm256_set1_ps(s), _mm256_set1_ps(s)}; }
VEC vf vf_zero(void) { return (vf){_mm256_setzero_ps(), _mm256_setzero_ps()}; }
VEC vi vi_set1(int32_t s) { return (vi){_mm256_set1_epi32(s), _mm256_set1_epi32(s)}; }
VEC vi vi_zero(void) { return (vi){_mm256_setzero_si256(), _mm256_setzero_si256()}; }
VEC vf vf_load(const float *p) { return (vf){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
VEC void vf_store(float *p, vf a) { _mm256_storeu_ps(p, a.l); _mm256_storeu_ps(p + 8, a.h); }
VEC vi vi_load(const int32_t *p)
{
    return (vi){_mm256_loadu_si256((const __m256i *)p), _mm256_loadu_si256((const __m256i *)(p + 8))};
}
VEC void vi_store(int32_t *p, vi a)
{
    _mm256_storeu_si256((__m256i *)p, a.l);
    _mm256_storeu_si256((__m256i *)(p + 8), a.h);
}
VEC vf vf_load_n(const float *p, size_t n)
{
    vi m = vi_load(vec_tail + 16 - n);
    return (vf){_mm256_maskload_ps(p, m.l), _mm256_maskload_ps(p + 8, m.h)};
}
VEC void vf_store_n(float *p, vf a, size_t n)
{
    vi m = vi_load(vec_tail + 16 - n);
    _mm256_maskstore_ps(p, m.l, a.l);
    _mm256_maskstore_ps(p + 8, m.h, a.h);
}
VEC vi vi_load_u8(const uint8_t *p)
{
    return (vi){_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)),
                _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(p + 8)))};
}
VEC void vi_store_u8(uint8_t *p, vi a)
{
    __m256i h = _mm256_packus_epi32(a.l, a.h), b = _mm256_packus_epi16(h, h);
    /* in each half four of l, then four of h */
    _mm_storeu_si128((__m128i *)p,
                     _mm_unpacklo_epi32(_mm256_castsi256_si128(b), _mm256_extracti128_si256(b, 1)));
}
VEC vi vi_load_i8(const int8_t *p)
{
    return (vi){_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)),
                _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(p + 8)))};
}

VEC __m256 vec_widen_bf16(__m128i h)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}
VEC __m256i vec_round_bf16(__m256 f)
{
    __m256i u = _mm256_castps_si256(f), hi = _mm256_srli_epi32(u, 16);
    __m256i odd = _mm256_and_si256(hi, _mm256_set1_epi32(1));
    __m256i r = _mm256_srli_epi32(_mm256_add_epi32(_mm256_add_epi32(u, _mm256_set1_epi32(0x7fff)), odd), 16);
    __m256i quiet = _mm256_or_si256(hi, _mm256_set1_epi32(0x40));
    return _mm256_blendv_epi8(r, quiet, _mm256_castps_si256(_mm256_cmp_ps(f, f, _CMP_UNORD_Q)));
}
VEC vf vf_load_bf16(const uint16_t *p)
{
    return (vf){vec_widen_bf16(_mm_loadu_si128((const __m128i *)p)),
                vec_widen_bf16(_mm_loadu_si128((const __m128i *)(p + 8)))};
}
VEC void vf_store_bf16(uint16_t *p, vf a)
{
    __m256i r = _mm256_packus_epi32(vec_round_bf16(a.l), vec_round_bf16(a.h));
    _mm256_storeu_si256((__m256i *)p, _mm256_permute4x64_epi64(r, 0xd8));
}
VEC vf vf_load_f16(const uint16_t *p)
{
    return (vf){_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)),
                _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(p + 8)))};
}
VEC void vf_store_f16(uint16_t *p, vf a)
{
    _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(a.l, _MM_FROUND_TO_NEAREST_INT));
    _mm_storeu_si128((__m128i *)(p + 8), _mm256_cvtps_ph(a.h, _MM_FROUND_TO_NEAREST_INT));
}
/* 16-bit lanes have no masked move: tails pass through 32 bytes on the stack */
VEC vf vf_load_bf16_n(const uint16_t *p, size_t n)
{
    uint16_t t[16] = {0};
    __builtin_memcpy(t, p, 2 * n);
    return vf_load_bf16(t);
}
VEC void vf_store_bf16_n(uint16_t *p, vf a, size_t n)
{
    uint16_t t[16];
    vf_store_bf16(t, a);
    __builtin_memcpy(p, t, 2 * n);
}
VEC vf vf_load_f16_n(const uint16_t *p, size_t n)
{
    uint16_t t[16] = {0};
    __builtin_memcpy(t, p, 2 * n);
    return vf_load_f16(t);
}
VEC void vf_store_f16_n(uint16_t *p, vf a, size_t n)
{
    uint16_t t[16];
    vf_store_f16(t, a);
    __builtin_memcpy(p, t, 2 * n);
}

VEC __m256 vec_in_order(__m256 a)
{
    return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(a), 0xd8));
}
VEC void vf_load2(const float *p, vf *e, vf *o)
{
    vf a = vf_load(p), b = vf_load(p + 16);
    e->l = vec_in_order(_mm256_shuffle_ps(a.l, a.h, 0x88));
    e->h = vec_in_order(_mm256_shuffle_ps(b.l, b.h, 0x88));
    o->l = vec_in_order(_mm256_shuffle_ps(a.l, a.h, 0xdd));
    o->h = vec_in_order(_mm256_shuffle_ps(b.l, b.h, 0xdd));
}
VEC void vec_zip(float *p, __m256 e, __m256 o)
{
    __m256 lo = _mm256_unpacklo_ps(e, o), hi = _mm256_unpackhi_ps(e, o);
    _mm256_storeu_ps(p, _mm256_permute2f128_ps(lo, hi, 0x20));
    _mm256_storeu_ps(p + 8, _mm256_permute2f128_ps(lo, hi, 0x31));
}
VEC void vf_store2(float *p, vf e, vf o) { vec_zip(p, e.l, o.l); vec_zip(p + 16, e.h, o.h); }

VEC vf vf_add(vf a, vf b) { return BOTH(vf, _mm256_add_ps); }
VEC vf vf_sub(vf a, vf b) { return BOTH(vf, _mm256_sub_ps); }
VEC vf vf_mul(vf a, vf b) { return BOTH(vf, _mm256_mul_ps); }
VEC vf vf_div(vf a, vf b) { return BOTH(vf, _mm256_div_ps); }
VEC vf vf_fma(vf a, vf b, vf c)
{
    return (vf){_mm256_fmadd_ps(a.l, b.l, c.l), _mm256_fmadd_ps(a.h, b.h, c.h)};
}
VEC vf vf_fnma(vf a, vf b, vf c)
{
    return (vf){_mm256_fnmadd_ps(a.l, b.l, c.l), _mm256_fnmadd_ps(a.h, b.h, c.h)};
}
VEC vf vf_sqrt(vf a) { return EACH(vf, _mm256_sqrt_ps); }
VEC vf vf_neg(vf a) { return EACH(vf, _mm256_xor_ps, _mm256_set1_ps(-0.0f)); }
VEC vf vf_abs(vf a)
{
    vf b = vf_set1(-0.0f);
    return (vf){_mm256_andnot_ps(b.l, a.l), _mm256_andnot_ps(b.h, a.h)};
}
VEC vf vf_max(vf a, vf b) { return BOTH(vf, _mm256_max_ps); }
VEC vf vf_min(vf a, vf b) { return BOTH(vf, _mm256_min_ps); }

VEC vm vf_gt(vf a, vf b) { return CMP(_CMP_GT_OQ); }
VEC vm vf_ge(vf a, vf b) { return CMP(_CMP_GE_OQ); }
VEC vm vf_eq(vf a, vf b) { return CMP(_CMP_EQ_OQ); }
VEC vm vf_isnan(vf a) { vf b = a; return CMP(_CMP_UNORD_Q); }
VEC vm vm_and(vm a, vm b) { return BOTH(vm, _mm256_and_ps); }
VEC vm vm_or(vm a, vm b) { return BOTH(vm, _mm256_or_ps); }
VEC vm vm_not(vm a) { return EACH(vm, _mm256_xor_ps, _mm256_castsi256_ps(_mm256_set1_epi32(-1))); }
VEC vm vm_first(size_t n)
{
    vi m = vi_load(vec_tail + 16 - n);
    return (vm){_mm256_castsi256_ps(m.l), _mm256_castsi256_ps(m.h)};
}
VEC uint32_t vm_bits(vm a) { return (uint32_t)(_mm256_movemask_ps(a.l) | _mm256_movemask_ps(a.h) << 8); }
VEC vf vf_select(vm m, vf a, vf b)
{
    return (vf){_mm256_blendv_ps(b.l, a.l, m.l), _mm256_blendv_ps(b.h, a.h, m.h)};
}

VEC vi vf_bits(vf a) { return EACH(vi, _mm256_castps_si256); }
VEC vf vi_bits(vi a) { return EACH(vf, _mm256_castsi256_ps); }
VEC vi vi_select(vm m, vi a, vi b) { return vf_bits(vf_select(m, vi_bits(a), vi_bits(b))); }
VEC vi vi_add(vi a, vi b) { return BOTH(vi, _mm256_add_epi32); }
VEC vi vi_sub(vi a, vi b) { return BOTH(vi, _mm256_sub_epi32); }
VEC vi vi_mul(vi a, vi b) { return BOTH(vi, _mm256_mullo_epi32); }
VEC vi vi_and(vi a, vi b) { return BOTH(vi, _mm256_and_si256); }
VEC vi vi_or(vi a, vi b) { return BOTH(vi, _mm256_or_si256); }
VEC vi vi_xor(vi a, vi b) { return BOTH(vi, _mm256_xor_si256); }
VEC vi vi_shl(vi a, int s) { return EACH(vi, _mm256_slli_epi32, s); }
VEC vi vi_shr(vi a, int s) { return EACH(vi, _mm256_srli_epi32, s); }
VEC vi vi_sar(vi a, int s) { return EACH(vi, _mm256_srai_epi32, s); }
VEC vm vi_gt(vi a, vi b)
{
    vi m = BOTH(vi, _mm256_cmpgt_epi32);
    return (vm){_mm256_castsi256_ps(m.l), _mm256_castsi256_ps(m.h)};
}
VEC vm vi_eq(vi a, vi b)
{
    vi m = BOTH(vi, _mm256_cmpeq_epi32);
    return (vm){_mm256_castsi256_ps(m.l), _mm256_castsi256_ps(m.h)};
}
VEC vf vf_from_vi(vi a) { return EACH(vf, _mm256_cvtepi32_ps); }

VEC float vf_hsum(vf a)
{
    __m256 e = _mm256_add_ps(a.l, a.h);
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(e), _mm256_extractf128_ps(e, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}
VEC float vf_hmax(vf a)
{
    __m256 e = _mm256_max_ps(a.l, a.h);
    __m128 q = _mm_max_ps(_mm256_castps256_ps128(e), _mm256_extractf128_ps(e, 1));
    q = _mm_max_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_max_ss(q, _mm_movehdup_ps(q)));
}

#include "simd/vec_turn.h"
#define VEC_TURN8_BF16
VEC void vf_turn8_bf16(float *to, const uint32_t *from, size_t ldx)
{
    for (size_t j = 0; j < 8; j += 4) {
        __m256 r[4];
        vec_turn4(r, (const float *)(const void *)(from + j), ldx);
        for (size_t i = 0; i < 4; i++, to += 16) {
            __m256i w = _mm256_castps_si256(r[i]);
            vf_store(to, (vf){vec_widen_bf16(_mm256_castsi256_si128(w)),
                              vec_widen_bf16(_mm256_extracti128_si256(w, 1))});
        }
    }
}

#endif
