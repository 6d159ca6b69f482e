/* SPDX-License-Identifier: Apache-2.0
 * The intrinsics of simd/vec_avx512.h, vec_turn.h and vec_amx.h in plain C, lane by lane as Intel's guide
 * defines them, so that their logic is tested on CPUs without them (test-only ISAs avx512_emulated and
 * amx_emulated). SIMDe would not do: Debian 12's
 * lacks 14 of these, and its multiply-add rounds twice. Must not know: kernels. Invariant: no fast path; a
 * definition, not an engine. */
#ifndef ADA_TESTS_EMULATED_IMMINTRIN_H
#define ADA_TESTS_EMULATED_IMMINTRIN_H

#include "simd/half.h"

typedef struct {
    float v[4];
} __m128;
typedef struct {
    float v[8];
} __m256;
typedef struct {
    float v[16];
} __m512;
typedef struct {
    uint32_t v[4];
} __m128i;
typedef struct {
    uint32_t v[8];
} __m256i;
typedef struct {
    uint32_t v[16];
} __m512i;
typedef uint16_t __mmask16;

#define DEFINE static inline __attribute__((unused))
#define LANES_OF(type, n, expr)                                                                              \
    {                                                                                                        \
        type r;                                                                                              \
        for (int i = 0; i < (n); i++) r.v[i] = (expr);                                                       \
        return r;                                                                                            \
    }
#define MASK_OF(cond)                                                                                        \
    {                                                                                                        \
        unsigned r = 0;                                                                                      \
        for (int i = 0; i < 16; i++) r |= (unsigned)((cond) != 0) << i;                                      \
        return (__mmask16)r;                                                                                 \
    }
#define MAX(a, b) ((a) > (b) ? (a) : (b)) /* the second, if either is NaN or both are zeros: as MAXPS */
#define MIN(a, b) ((a) < (b) ? (a) : (b))
enum { _CMP_EQ_OQ = 0, _CMP_UNORD_Q = 3, _CMP_GE_OQ = 29, _CMP_GT_OQ = 30 };
enum { _MM_FROUND_TO_NEAREST_INT = 0, _MM_FROUND_NO_EXC = 8 };

/* moves */
DEFINE __m512 _mm512_set1_ps(float s) LANES_OF(__m512, 16, s) DEFINE __m512 _mm512_setzero_ps(void) {
    return _mm512_set1_ps(0);
}
DEFINE __m512i _mm512_set1_epi32(int s) LANES_OF(__m512i, 16, (uint32_t)s) DEFINE __m512i
    _mm512_setzero_si512(void) {
    return _mm512_set1_epi32(0);
}
DEFINE __m512 _mm512_loadu_ps(const float *p) LANES_OF(__m512, 16, p[i]) DEFINE
    void _mm512_storeu_ps(float *p, __m512 a) {
    __builtin_memcpy(p, &a, 64);
}
DEFINE __m512i _mm512_loadu_si512(const void *p) {
    __m512i r;
    __builtin_memcpy(&r, p, 64);
    return r;
}
DEFINE void _mm512_storeu_si512(void *p, __m512i a) {
    __builtin_memcpy(p, &a, 64);
}
DEFINE __m128i _mm_loadu_si128(const __m128i *p) {
    __m128i r;
    __builtin_memcpy(&r, p, 16);
    return r;
}
DEFINE void _mm_storeu_si128(__m128i *p, __m128i a) {
    __builtin_memcpy(p, &a, 16);
}
DEFINE __m128i _mm512_cvtepi32_epi8(__m512i a)
    LANES_OF(__m128i, 4,
             (a.v[4 * i] & 255) | (a.v[4 * i + 1] & 255) << 8 | (a.v[4 * i + 2] & 255) << 16 |
                 a.v[4 * i + 3] << 24) DEFINE __m256i _mm256_loadu_si256(const __m256i *p) {
    __m256i r;
    __builtin_memcpy(&r, p, 32);
    return r;
}
DEFINE void _mm256_storeu_si256(__m256i *p, __m256i a) {
    __builtin_memcpy(p, &a, 32);
}
DEFINE __m512 _mm512_maskz_loadu_ps(__mmask16 m, const float *p)
    LANES_OF(__m512, 16, m >> i & 1 ? p[i] : 0) DEFINE
    void _mm512_mask_storeu_ps(float *p, __mmask16 m, __m512 a) {
    for (int i = 0; i < 16; i++)
        if (m >> i & 1) p[i] = a.v[i];
}
DEFINE __m256i _mm256_maskz_loadu_epi16(__mmask16 m, const uint16_t *p) {
    uint16_t t[16] = {0};
    for (int i = 0; i < 16; i++)
        if (m >> i & 1) t[i] = p[i];
    return _mm256_loadu_si256((const __m256i *)t);
}
DEFINE void _mm256_mask_storeu_epi16(uint16_t *p, __mmask16 m, __m256i a) {
    uint16_t t[16];
    __builtin_memcpy(t, &a, 32);
    for (int i = 0; i < 16; i++)
        if (m >> i & 1) p[i] = t[i];
}
DEFINE __m512i _mm512_castps_si512(__m512 a) {
    __m512i r;
    __builtin_memcpy(&r, &a, 64);
    return r;
}
DEFINE __m512 _mm512_castsi512_ps(__m512i a) {
    __m512 r;
    __builtin_memcpy(&r, &a, 64);
    return r;
}
DEFINE __m256 _mm512_castps512_ps256(__m512 a) LANES_OF(__m256, 8, a.v[i]) DEFINE __m256
    _mm512_extractf32x8_ps(__m512 a, int k) LANES_OF(__m256, 8, a.v[8 * k + i]) DEFINE __m128
    _mm256_castps256_ps128(__m256 a) LANES_OF(__m128, 4, a.v[i]) DEFINE __m128
    _mm256_extractf128_ps(__m256 a, int k) LANES_OF(__m128, 4, a.v[4 * k + i]) DEFINE
    float _mm_cvtss_f32(__m128 a) {
    return a.v[0];
}
DEFINE __m128i _mm_cvtsi32_si128(int s) LANES_OF(__m128i, 4, i ? 0 : (uint32_t)s) DEFINE __m128
    _mm_movehl_ps(__m128 a, __m128 b) LANES_OF(__m128, 4, i < 2 ? b.v[i + 2] : a.v[i]) DEFINE __m128
    _mm_movehdup_ps(__m128 a) LANES_OF(__m128, 4, a.v[i | 1]) DEFINE __m512i
    _mm512_setr_epi32(int a, int b, int c, int d, int e, int f, int g, int h, int j, int k, int l, int m,
                      int n, int o, int p, int q) {
    const int t[16] = {a, b, c, d, e, f, g, h, j, k, l, m, n, o, p, q};
    return _mm512_loadu_si512(t);
}
DEFINE __m512 _mm512_permutex2var_ps(__m512 a, __m512i at, __m512 b)
    LANES_OF(__m512, 16, at.v[i] & 16 ? b.v[at.v[i] & 15] : a.v[at.v[i] & 15]) DEFINE __m512
    _mm512_mask_blend_ps(__mmask16 m, __m512 a, __m512 b)
        LANES_OF(__m512, 16, m >> i & 1 ? b.v[i] : a.v[i]) DEFINE __m512i
    _mm512_mask_blend_epi32(__mmask16 m, __m512i a, __m512i b)
        LANES_OF(__m512i, 16, m >> i & 1 ? b.v[i] : a.v[i])

/* conversions */
#define BYTE(a, i) ((a).v[(i) / 4] >> 8 * ((i) % 4) & 0xff)
#define WORD(a, i) ((a).v[(i) / 2] >> 16 * ((i) % 2) & 0xffff)
            DEFINE __m512i _mm512_cvtepu8_epi32(__m128i a) LANES_OF(__m512i, 16, BYTE(a, i)) DEFINE __m512i
    _mm512_cvtepi8_epi32(__m128i a) LANES_OF(__m512i, 16, (uint32_t)(int8_t)BYTE(a, i)) DEFINE __m512i
    _mm512_cvtepu16_epi32(__m256i a) LANES_OF(__m512i, 16, WORD(a, i)) DEFINE __m512
    _mm512_cvtepi32_ps(__m512i a) LANES_OF(__m512, 16, (float)(int32_t)a.v[i]) DEFINE __m256i
    _mm512_cvtepi32_epi16(__m512i a)
        LANES_OF(__m256i, 8, (a.v[2 * i] & 0xffff) | a.v[2 * i + 1] << 16) DEFINE __m512
    _mm512_cvtph_ps(__m256i a) LANES_OF(__m512, 16, ada_f16_value((uint16_t)WORD(a, i))) DEFINE __m256i
    _mm512_cvtps_ph(__m512 a, int nearest) {
    uint16_t t[16];
    (void)nearest;
    for (int i = 0; i < 16; i++) t[i] = ada_f16_of(a.v[i]);
    return _mm256_loadu_si256((const __m256i *)t);
}

/* arithmetic */
#define FLOATS(bits, n, name, expr)                                                                          \
    DEFINE __m##bits _mm##name(__m##bits a, __m##bits b) LANES_OF(__m##bits, n, expr)
FLOATS(512, 16, 512_add_ps, a.v[i] + b.v[i])
FLOATS(512, 16, 512_sub_ps, a.v[i] - b.v[i])
FLOATS(512, 16, 512_mul_ps, a.v[i] * b.v[i])
FLOATS(512, 16, 512_div_ps, a.v[i] / b.v[i])
FLOATS(512, 16, 512_max_ps, MAX(a.v[i], b.v[i]))
FLOATS(512, 16, 512_min_ps, MIN(a.v[i], b.v[i]))
FLOATS(256, 8, 256_add_ps, a.v[i] + b.v[i])
FLOATS(256, 8, 256_max_ps, MAX(a.v[i], b.v[i]))
FLOATS(128, 4, _add_ps, a.v[i] + b.v[i])
FLOATS(128, 4, _max_ps, MAX(a.v[i], b.v[i]))
FLOATS(128, 4, _add_ss, i ? a.v[i] : a.v[i] + b.v[i])
FLOATS(128, 4, _max_ss, i ? a.v[i] : MAX(a.v[i], b.v[i]))
DEFINE __m512 _mm512_sqrt_ps(__m512 a) LANES_OF(__m512, 16, sqrtf(a.v[i])) DEFINE __m512
    _mm512_fmadd_ps(__m512 a, __m512 b, __m512 c)
        LANES_OF(__m512, 16, fmaf(a.v[i], b.v[i], c.v[i])) DEFINE __m512
    _mm512_fnmadd_ps(__m512 a, __m512 b, __m512 c)
        LANES_OF(__m512, 16, fmaf(-a.v[i], b.v[i], c.v[i])) DEFINE __mmask16
    _mm512_cmp_ps_mask(__m512 a, __m512 b, int kind)
        MASK_OF(kind == _CMP_GT_OQ   ? a.v[i] > b.v[i]
                : kind == _CMP_GE_OQ ? a.v[i] >= b.v[i]
                : kind == _CMP_EQ_OQ ? a.v[i] == b.v[i]
                                     : a.v[i] != a.v[i] || b.v[i] != b.v[i])

            DEFINE __m512 _mm512_scalef_ps(__m512 a, __m512 n)
                LANES_OF(__m512, 16, isnan(n.v[i]) ? n.v[i] : scalbnf(a.v[i], (int)floorf(n.v[i])))

#define INTS(name, expr) DEFINE __m512i _mm512_##name(__m512i a, __m512i b) LANES_OF(__m512i, 16, expr)
                    INTS(mullo_epi32, a.v[i] * b.v[i]) INTS(add_epi32, a.v[i] + b.v[i])
                        INTS(sub_epi32, a.v[i] - b.v[i]) INTS(and_si512, a.v[i] & b.v[i])
                            INTS(or_si512, a.v[i] | b.v[i]) INTS(xor_si512, a.v[i] ^ b.v[i]) DEFINE __m512i
    _mm512_slli_epi32(__m512i a, unsigned s) LANES_OF(__m512i, 16, a.v[i] << s) DEFINE __m512i
    _mm512_srli_epi32(__m512i a, unsigned s) LANES_OF(__m512i, 16, a.v[i] >> s) DEFINE __m512i
    _mm512_sll_epi32(__m512i a, __m128i s) LANES_OF(__m512i, 16, a.v[i] << s.v[0]) DEFINE __m512i
    _mm512_srl_epi32(__m512i a, __m128i s) LANES_OF(__m512i, 16, a.v[i] >> s.v[0]) DEFINE __m512i
    _mm512_sra_epi32(__m512i a, __m128i s)
        LANES_OF(__m512i, 16, (uint32_t)((int32_t)a.v[i] >> s.v[0])) DEFINE __mmask16
    _mm512_cmpgt_epi32_mask(__m512i a, __m512i b) MASK_OF((int32_t)a.v[i] > (int32_t)b.v[i]) DEFINE __mmask16
    _mm512_cmpeq_epi32_mask(__m512i a, __m512i b) MASK_OF(a.v[i] == b.v[i])

    /* AVX's moves and shuffles of the turn, which stay within halves of four */
    DEFINE __m128 _mm_loadu_ps(const float *p) {
    __m128 r;
    __builtin_memcpy(&r, p, 16);
    return r;
}
DEFINE void _mm256_storeu_ps(float *p, __m256 a) {
    __builtin_memcpy(p, &a, 32);
}
DEFINE __m256 _mm256_castps128_ps256(__m128 a) LANES_OF(__m256, 8, i < 4 ? a.v[i] : 0) DEFINE __m256
    _mm256_insertf128_ps(__m256 a, __m128 b, int k)
        LANES_OF(__m256, 8, i / 4 == k ? b.v[i % 4] : a.v[i]) DEFINE __m256
    _mm256_unpacklo_ps(__m256 a, __m256 b)
        LANES_OF(__m256, 8, (i % 2 ? b : a).v[i / 4 * 4 + i % 4 / 2]) DEFINE __m256
    _mm256_unpackhi_ps(__m256 a, __m256 b)
        LANES_OF(__m256, 8, (i % 2 ? b : a).v[i / 4 * 4 + 2 + i % 4 / 2]) DEFINE __m256
    _mm256_shuffle_ps(__m256 a, __m256 b, int k)
        LANES_OF(__m256, 8, (i % 4 < 2 ? a : b).v[i / 4 * 4 + (k >> 2 * (i % 4) & 3)])

    /* AMX: eight tiles, whose shape is always whole */
    static uint32_t emulated_tiles[8][16][16];
static uint8_t emulated_shape[64];
DEFINE void _tile_storeconfig(void *to) {
    __builtin_memcpy(to, emulated_shape, 64);
}
DEFINE void _tile_loadconfig(const void *from) {
    __builtin_memcpy(emulated_shape, from, 64);
}
DEFINE void _tile_zero(int t) {
    __builtin_memset(emulated_tiles[t], 0, sizeof emulated_tiles[t]);
}
DEFINE void _tile_loadd(int t, const void *from, ptrdiff_t stride) {
    for (int i = 0; i < 16; i++) __builtin_memcpy(emulated_tiles[t][i], (const char *)from + i * stride, 64);
}
DEFINE void _tile_stored(int t, void *to, ptrdiff_t stride) {
    for (int i = 0; i < 16; i++) __builtin_memcpy((char *)to + i * stride, emulated_tiles[t][i], 64);
}
/* denormals in and out are 0 */
DEFINE float emulated_flush(float f) {
    return fabsf(f) < 0x1p-126f ? copysignf(0, f) : f;
}
DEFINE float emulated_half(uint32_t word, int odd) {
    return emulated_flush(ada_f32_from_bits(odd ? word & 0xffff0000 : word << 16));
}
DEFINE void _tile_dpbf16ps(int sum, int x, int b) {
    for (int i = 0; i < 16; i++)
        for (int h = 0; h < 16; h++) {
            float part[2] = {0, 0}, old;
            for (int q = 0; q < 16; q++)
                for (int odd = 0; odd < 2; odd++)
                    part[odd] = emulated_flush(fmaf(emulated_half(emulated_tiles[x][i][q], odd),
                                                    emulated_half(emulated_tiles[b][q][h], odd), part[odd]));
            __builtin_memcpy(&old, &emulated_tiles[sum][i][h], 4);
            old = emulated_flush(emulated_flush(old) + emulated_flush(part[0] + part[1]));
            __builtin_memcpy(&emulated_tiles[sum][i][h], &old, 4);
        }
}

#endif
