/* SPDX-License-Identifier: Apache-2.0
 * Element types. Owns: the numbers of ada_dtype (written into files, so pinned) and their sizes.
 * bf16 and f16 are bit patterns in uint16_t; arithmetic on them happens in f32. */
#ifndef ADA_SIMD_TYPES_H
#define ADA_SIMD_TYPES_H

#include <stddef.h>
#include <stdint.h>

typedef uint16_t ada_bf16;
typedef uint16_t ada_f16;

typedef enum ada_dtype {
    ADA_F32 = 0,
    ADA_F16 = 1,
    ADA_BF16 = 2,
    ADA_I8 = 3,
    ADA_I32 = 4,
    ADA_I64 = 5,
    ADA_U8 = 6,
    ADA_F64 = 7,
    /* GGUF blocks: values per block and bytes per block in ada_dtype_block */
    ADA_Q8_0 = 16,
    ADA_Q4_0 = 17,
    ADA_Q4_1 = 18,
    ADA_Q5_0 = 19,
    ADA_Q5_1 = 20,
    ADA_Q4_K = 21,
    ADA_Q5_K = 22,
    ADA_Q6_K = 23
} ada_dtype;

#endif
