/* SPDX-License-Identifier: Apache-2.0
 * Number formats to f32 and back: bf16, f16 and the blocks of GGUF. Contracts: kernels.h.
 * Invariant: bit for bit what gguf-py's dequantize gives (tests/golden/quants.gguf), on every ISA and in
 * `ref`. */
#include "simd/half.h"

#ifdef ADA_ISA_REF
#define CONVERT(name, to, from, one, load, load_n, store, store_n)                                           \
    static void k_##name(to *y, const from *x, size_t n) { for (size_t i = 0; i < n; i++) y[i] = one(x[i]); }
#else
#define CONVERT(name, to, from, one, load, load_n, store, store_n)                                           \
    static void k_##name(to *y, const from *x, size_t n)                                                     \
    {                                                                                                        \
        size_t i = 0;                                                                                        \
        for (; i + VL <= n; i += VL) store(y + i, load(x + i));                                              \
        if (i < n) store_n(y + i, load_n(x + i, n - i), n - i);                                              \
    }
#endif
CONVERT(f32_to_bf16, uint16_t, float, ada_bf16_of, vf_load, vf_load_n, vf_store_bf16, vf_store_bf16_n)
CONVERT(bf16_to_f32, float, uint16_t, ada_bf16_value, vf_load_bf16, vf_load_bf16_n, vf_store, vf_store_n)
CONVERT(f32_to_f16, uint16_t, float, ada_f16_of, vf_load, vf_load_n, vf_store_f16, vf_store_f16_n)
CONVERT(f16_to_f32, float, uint16_t, ada_f16_value, vf_load_f16, vf_load_f16_n, vf_store, vf_store_n)

/* BLOCKS: value(block, i) is the oracle, one value of a block; body(y, block) the words for a block. */
#ifdef ADA_ISA_REF
#define BLOCKS(name, count, bytes)                                                                           \
    static void k_##name##_to_f32(float *y, const void *x, size_t n)                                         \
    {                                                                                                        \
        for (size_t i = 0; i < n; i++)                                                                       \
            y[i] = (float)name##_value((const uint8_t *)x + i / (count) * (bytes), i % (count));             \
    }
#else
#define BLOCKS(name, count, bytes)                                                                           \
    static void k_##name##_to_f32(float *y, const void *x, size_t n)                                         \
    {                                                                                                        \
        const uint8_t *b = x;                                                                                \
        for (size_t i = 0; i < n; i += (count), b += (bytes)) name##_body(y + i, b);                         \
    }
#endif

static float half_at(const uint8_t *p) { return ada_f16_value((uint16_t)(p[0] | p[1] << 8)); }

#ifdef ADA_ISA_REF
/* code i of 32 in 16 bytes: the low nibbles, then the high ones; and bit i of 32 */
static int nibble(const uint8_t *q, size_t i) { return i < 16 ? q[i] & 15 : q[i - 16] >> 4; }
static int bit(const uint8_t *q, size_t i) { return q[i / 8] >> i % 8 & 1; }
#else
VEC vi low4(const uint8_t *p) { return vi_and(vi_load_u8(p), vi_set1(15)); }
VEC vi high4(const uint8_t *p) { return vi_shr(vi_load_u8(p), 4); }
/* 16 where bit `lane` of two bytes is set */
VEC vi fifth(const uint8_t *p)
{
    static const int32_t lane[16] = {1,   2,   4,    8,    16,   32,   64,    128,
                                     256, 512, 1024, 2048, 4096, 8192, 16384, 32768};
    vi on = vi_and(vi_set1(p[0] | p[1] << 8), vi_load(lane));
    return vi_select(vi_eq(on, vi_zero()), vi_zero(), vi_set1(16));
}
/* two bits of each of 16 bytes, as bits 4 and 5 */
VEC vi fifth_sixth(const uint8_t *p, int shift)
{
    return vi_shl(vi_and(vi_shr(vi_load_u8(p), shift), vi_set1(3)), 4);
}
VEC void put_scaled(float *y, vi q, float d) { vf_store(y, vf_mul(vf_set1(d), vf_from_vi(q))); }
VEC void put_affine(float *y, vi q, float d, float m)
{
    vf_store(y, vf_add(vf_mul(vf_set1(d), vf_from_vi(q)), vf_set1(m)));
}
#endif

/* {f16 d; int8 q[32]}: d·q */
#ifdef ADA_ISA_REF
static double q8_0_value(const uint8_t *b, size_t i) { return (double)half_at(b) * (int8_t)b[2 + i]; }
#else
VEC void q8_0_body(float *y, const uint8_t *b)
{
    const float d = half_at(b);
    put_scaled(y, vi_load_i8((const int8_t *)b + 2), d);
    put_scaled(y + VL, vi_load_i8((const int8_t *)b + 2 + VL), d);
}
#endif
BLOCKS(q8_0, 32, 34)

/* {f16 d; nibbles q[16]}: d·(q - 8) */
#ifdef ADA_ISA_REF
static double q4_0_value(const uint8_t *b, size_t i) { return (double)half_at(b) * (nibble(b + 2, i) - 8); }
#else
VEC void q4_0_body(float *y, const uint8_t *b)
{
    const float d = half_at(b);
    put_scaled(y, vi_sub(low4(b + 2), vi_set1(8)), d);
    put_scaled(y + VL, vi_sub(high4(b + 2), vi_set1(8)), d);
}
#endif
BLOCKS(q4_0, 32, 18)

/* {f16 d, m; nibbles q[16]}: d·q + m */
#ifdef ADA_ISA_REF
static double q4_1_value(const uint8_t *b, size_t i)
{
    return (double)half_at(b) * nibble(b + 4, i) + half_at(b + 2);
}
#else
VEC void q4_1_body(float *y, const uint8_t *b)
{
    const float d = half_at(b), m = half_at(b + 2);
    put_affine(y, low4(b + 4), d, m);
    put_affine(y + VL, high4(b + 4), d, m);
}
#endif
BLOCKS(q4_1, 32, 20)

/* {f16 d; bits h[4]; nibbles q[16]}: d·(q + 16 h - 16) */
#ifdef ADA_ISA_REF
static double q5_0_value(const uint8_t *b, size_t i)
{
    return (double)half_at(b) * (nibble(b + 6, i) + 16 * bit(b + 2, i) - 16);
}
#else
VEC void q5_0_body(float *y, const uint8_t *b)
{
    const float d = half_at(b);
    put_scaled(y, vi_sub(vi_add(low4(b + 6), fifth(b + 2)), vi_set1(16)), d);
    put_scaled(y + VL, vi_sub(vi_add(high4(b + 6), fifth(b + 4)), vi_set1(16)), d);
}
#endif
BLOCKS(q5_0, 32, 22)

/* {f16 d, m; bits h[4]; nibbles q[16]}: d·(q + 16 h) + m */
#ifdef ADA_ISA_REF
static double q5_1_value(const uint8_t *b, size_t i)
{
    return (double)half_at(b) * (nibble(b + 8, i) + 16 * bit(b + 4, i)) + half_at(b + 2);
}
#else
VEC void q5_1_body(float *y, const uint8_t *b)
{
    const float d = half_at(b), m = half_at(b + 2);
    put_affine(y, vi_add(low4(b + 8), fifth(b + 4)), d, m);
    put_affine(y + VL, vi_add(high4(b + 8), fifth(b + 6)), d, m);
}
#endif
BLOCKS(q5_1, 32, 24)

/* The _K blocks of 256 have eight groups of 32 with a scale and a minimum of six bits each, packed in 12
 * bytes: the first four in the low six bits of bytes 0-3 and 4-7, the others in nibbles of 8-11 with two high
 * bits there. */
static int group_scale(const uint8_t *p, size_t j)
{
    return j < 4 ? p[j] & 63 : (p[j + 4] & 15) | p[j - 4] >> 6 << 4;
}
static int group_min(const uint8_t *p, size_t j)
{
    return j < 4 ? p[j + 4] & 63 : p[j + 4] >> 4 | p[j] >> 6 << 4;
}

/* {f16 d, m; packed s[12]; q[128]}: groups 2i and 2i+1 are the low and high nibbles of 32 bytes; (d·s)·q -
 * m·min */
#ifdef ADA_ISA_REF
static double q4_k_value(const uint8_t *b, size_t i)
{
    const uint8_t q = b[16 + i / 64 * 32 + i % 32];
    const size_t j = i / 32;
    return (double)half_at(b) * group_scale(b + 4, j) * (j % 2 ? q >> 4 : q & 15) -
           (double)half_at(b + 2) * group_min(b + 4, j);
}
#else
VEC void q4_k_body(float *y, const uint8_t *b)
{
    const float d = half_at(b), low = half_at(b + 2);
    for (size_t j = 0; j < 8; j++, y += 32) {
        const uint8_t *q = b + 16 + j / 2 * 32;
        const float s = d * (float)group_scale(b + 4, j), m = -(low * (float)group_min(b + 4, j));
        put_affine(y, j % 2 ? high4(q) : low4(q), s, m);
        put_affine(y + VL, j % 2 ? high4(q + VL) : low4(q + VL), s, m);
    }
}
#endif
BLOCKS(q4_k, 256, 144)

/* {f16 d, m; packed s[12]; h[32]; q[128]}: as Q4_K, and bit j of h[l] is the fifth of value l of group j */
#ifdef ADA_ISA_REF
static double q5_k_value(const uint8_t *b, size_t i)
{
    const uint8_t q = b[48 + i / 64 * 32 + i % 32];
    const size_t j = i / 32;
    const int code = (j % 2 ? q >> 4 : q & 15) + (b[16 + i % 32] >> j & 1) * 16;
    return (double)half_at(b) * group_scale(b + 4, j) * code - (double)half_at(b + 2) * group_min(b + 4, j);
}
#else
VEC vi fifth_of(const uint8_t *h, int j) { return vi_shl(vi_and(vi_shr(vi_load_u8(h), j), vi_set1(1)), 4); }
VEC void q5_k_body(float *y, const uint8_t *b)
{
    const float d = half_at(b), low = half_at(b + 2);
    for (int j = 0; j < 8; j++, y += 32) {
        const uint8_t *q = b + 48 + j / 2 * 32, *h = b + 16;
        const float s = d * (float)group_scale(b + 4, (size_t)j);
        const float m = -(low * (float)group_min(b + 4, (size_t)j));
        put_affine(y, vi_add(j % 2 ? high4(q) : low4(q), fifth_of(h, j)), s, m);
        put_affine(y + VL, vi_add(j % 2 ? high4(q + VL) : low4(q + VL), fifth_of(h + VL, j)), s, m);
    }
}
#endif
BLOCKS(q5_k, 256, 176)

/* {q[128]; h[64]; int8 s[16]; f16 d}: two halves of 128; in each, group g of 32 takes nibble g/2 of q[32
 * (g%2) + l] and bits 2g, 2g+1 of h[l]; (d·s)·(code - 32), a scale for 16 values */
#ifdef ADA_ISA_REF
static double q6_k_value(const uint8_t *b, size_t i)
{
    const size_t half = i / 128, g = i % 128 / 32, l = i % 32;
    const uint8_t q = b[64 * half + g % 2 * 32 + l], h = b[128 + 32 * half + l];
    const int code = (g / 2 ? q >> 4 : q & 15) | (h >> 2 * g & 3) << 4;
    return (double)half_at(b + 208) * (int8_t)b[192 + i / 16] * (code - 32);
}
#else
VEC void q6_k_body(float *y, const uint8_t *b)
{
    const float d = half_at(b + 208);
    for (int i = 0; i < 16; i++, y += VL) { /* runs of 16 values */
        const int half = i / 8, g = i % 8 / 2, l = i % 2 * 16;
        const uint8_t *q = b + 64 * half + g % 2 * 32 + l, *h = b + 128 + 32 * half + l;
        vi code = vi_or(g / 2 ? high4(q) : low4(q), fifth_sixth(h, 2 * g));
        put_scaled(y, vi_sub(code, vi_set1(32)), d * (float)(int8_t)b[192 + i]);
    }
}
#endif
BLOCKS(q6_k, 256, 210)
