/* SPDX-License-Identifier: Apache-2.0
 * vi_turn8 of vec.h in AVX's shuffles, for AVX2 and AVX-512. One of the doors to intrinsics. Must not know:
 * what words are turned. Invariant: words are moved, never computed with. */
#ifndef ADA_SIMD_VEC_TURN_H
#define ADA_SIMD_VEC_TURN_H

#include <immintrin.h>
#define VEC_TURN8

/* rows 0 … 3 in the low halves, rows 4 … 7 in the high ones: four columns at a time */
VEC __m256 vec_rows(const float *p, size_t ld)
{
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm_loadu_ps(p + 4 * ld), 1);
}
/* four columns of eight rows of words: r[j] is a column */
VEC void vec_turn4(__m256 r[4], const float *x, size_t ldx)
{
    __m256 a = vec_rows(x, ldx), b = vec_rows(x + ldx, ldx);
    __m256 c = vec_rows(x + 2 * ldx, ldx), d = vec_rows(x + 3 * ldx, ldx);
    __m256 ab = _mm256_unpacklo_ps(a, b), cd = _mm256_unpacklo_ps(c, d);
    r[0] = _mm256_shuffle_ps(ab, cd, 0x44);
    r[1] = _mm256_shuffle_ps(ab, cd, 0xee);
    ab = _mm256_unpackhi_ps(a, b), cd = _mm256_unpackhi_ps(c, d);
    r[2] = _mm256_shuffle_ps(ab, cd, 0x44);
    r[3] = _mm256_shuffle_ps(ab, cd, 0xee);
}
VEC void vi_turn8(void *to, size_t ldy, const void *from, size_t ldx)
{
    for (size_t j = 0; j < 8; j += 4) {
        __m256 r[4];
        vec_turn4(r, (const float *)from + j, ldx);
        for (size_t i = 0; i < 4; i++) _mm256_storeu_ps((float *)to + (j + i) * ldy, r[i]);
    }
}

#endif
