/* SPDX-License-Identifier: Apache-2.0
 * bf16 and f16, one value at a time, by integer arithmetic: what every ISA's conversions must equal.
 * Must not know: vectors. Invariant: to nearest even, denormals kept, a NaN stays one and is made quiet. */
#ifndef ADA_SIMD_HALF_H
#define ADA_SIMD_HALF_H

#include <stddef.h>
#include <stdint.h>

static inline uint32_t ada_f32_bits(float f)
{
    uint32_t u;
    __builtin_memcpy(&u, &f, 4);
    return u;
}
static inline float ada_f32_from_bits(uint32_t u)
{
    float f;
    __builtin_memcpy(&f, &u, 4);
    return f;
}

static inline float ada_bf16_value(uint16_t h) { return ada_f32_from_bits((uint32_t)h << 16); }

/* The n bf16 that lie at the front of row [n] become its floats. */
static inline void ada_bf16_widen(float *row, size_t n)
{
    while (n-- > 0) {
        uint16_t h;
        __builtin_memcpy(&h, (const char *)row + 2 * n, 2);
        row[n] = ada_bf16_value(h);
    }
}

static inline uint16_t ada_bf16_of(float f)
{
    uint32_t u = ada_f32_bits(f);
    if ((u & 0x7fffffff) > 0x7f800000) return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

static inline float ada_f16_value(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, e = h >> 10 & 31, m = h & 0x3ff;
    if (e == 31) return ada_f32_from_bits(sign | 0x7f800000 | m << 13 | (m ? 0x400000 : 0));
    if (e == 0) return ada_f32_from_bits(sign | ada_f32_bits((float)m * 0x1p-24f));
    return ada_f32_from_bits(sign | (e + 112) << 23 | m << 13);
}

static inline uint16_t ada_f16_of(float f)
{
    uint32_t u = ada_f32_bits(f), sign = u >> 16 & 0x8000, a = u & 0x7fffffff;
    if (a > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (a >> 13 & 0x3ff));
    if (a >= 0x477ff000) return (uint16_t)(sign | 0x7c00);
    /* below the normals: beside 0.5 the last bit of a float is the last bit of the f16 */
    if (a < 0x38800000) return (uint16_t)(sign | (ada_f32_bits(ada_f32_from_bits(a) + 0.5f) - 0x3f000000));
    return (uint16_t)(sign | ((a - 0x38000000 + 0xfff + (a >> 13 & 1)) >> 13));
}

#endif
