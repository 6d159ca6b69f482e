/* SPDX-License-Identifier: Apache-2.0
 * Counter-based random numbers: value = f(seed, purpose, index), so that there is no state to save and no
 * order of calls to keep. Philox 4x32-10 (Salmon et al. 2011). */
#ifndef ADA_ENGINE_RNG_H
#define ADA_ENGINE_RNG_H

#include <math.h>
#include <stdint.h>

enum { ADA_RNG_INIT = 1, ADA_RNG_SHUFFLE = 2, ADA_RNG_SAMPLE = 3, ADA_RNG_BENCH = 4, ADA_RNG_CONNECTOR = 5 };

static inline void ada_rng_block(uint64_t seed, uint32_t purpose, uint64_t index, uint32_t out[4]) {
    uint32_t c0 = (uint32_t)index, c1 = (uint32_t)(index >> 32), c2 = purpose, c3 = 0;
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int i = 0; i < 10; i++) {
        uint64_t p0 = (uint64_t)c0 * 0xD2511F53u, p1 = (uint64_t)c2 * 0xCD9E8D57u;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1, c3 = (uint32_t)p0, c0 = n0, c2 = n2;
        k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

/* Uniform in [0, 1) with 53 bits. */
static inline double ada_rng_uniform(uint64_t seed, uint32_t purpose, uint64_t index) {
    uint32_t r[4];
    ada_rng_block(seed, purpose, index, r);
    return (double)(((uint64_t)r[0] << 21) ^ (uint64_t)(r[1] >> 11)) * 0x1p-53;
}

/* Standard normal (Box-Muller, one value an index). */
static inline double ada_rng_normal(uint64_t seed, uint32_t purpose, uint64_t index) {
    uint32_t r[4];
    ada_rng_block(seed, purpose, index, r);
    double u = ((double)(((uint64_t)r[0] << 21) ^ (uint64_t)(r[1] >> 11)) + 1.0) * 0x1p-53;
    double v = (double)(((uint64_t)r[2] << 21) ^ (uint64_t)(r[3] >> 11)) * 0x1p-53;
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

#endif
