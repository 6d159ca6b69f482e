/* SPDX-License-Identifier: Apache-2.0
 * Words for AMX's tiles of 16 rows × 64 bytes: 0 to 3 hold sums, 4 and 5 rows of the left factor, 6 and 7
 * those of the right one. One of the doors to intrinsics, whose numbers of tiles are part of the instruction,
 * hence macros. Must not know: kernels. Invariant: a thread's shape of tiles is set where it is found to be
 * another's (oneDNN sets its own), which costs ten times as much as looking. */
#ifndef ADA_SIMD_VEC_AMX_H
#define ADA_SIMD_VEC_AMX_H

#include <immintrin.h>

/* GCC's intrinsics don't say all that a tile's instructions read and write in memory. */
#define VT_FENCE __asm__ volatile("" ::: "memory")

VEC void vt_open(void)
{
    struct shape {
        uint8_t palette, start_row, none[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    };
    static const struct shape ours = {.palette = 1,
                                      .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
                                      .rows = {16, 16, 16, 16, 16, 16, 16, 16}};
    struct shape now;
    _tile_storeconfig(&now);
    VT_FENCE;
    if (__builtin_memcmp(&now, &ours, sizeof now) != 0) _tile_loadconfig(&ours);
}

/* ld: 32-bit words from one row to the next */
#define VT_ZERO(tile) _tile_zero(tile)
#define VT_LOAD(tile, from, ld)                                                                              \
    do { VT_FENCE; _tile_loadd(tile, from, (ptrdiff_t)(ld) * 4); VT_FENCE; } while (0)
#define VT_STORE(tile, to, ld) do { _tile_stored(tile, to, (ptrdiff_t)(ld) * 4); VT_FENCE; } while (0)
/* sum += x · b. Of an element's 16 pairs, the low halves' products are one chain of fma, the high ones'
 * another; the sum of both is rounded and added. Denormals are 0. */
#define VT_PAIRS(sum, x, b) _tile_dpbf16ps(sum, x, b)

#endif
