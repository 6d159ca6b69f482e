/* SPDX-License-Identifier: Apache-2.0
 * One ISA: vec.h and every k_*.h under one name, compiled once per ISA with its own flags (`isas` in
 * meson.build). ADA_ISA is the name, ADA_ISA_<NAME> is defined. `ref` has no vocabulary: it is the oracles in
 * double.
 * Invariant: nothing here is visible but the table, so that no code of one ISA can be linked into another. */
#ifdef ADA_ISA_AMX
#define ADA_ISA_AVX512BF16 /* and tiles */
#endif
#ifdef ADA_ISA_AVX512BF16
#define ADA_ISA_AVX512 /* its vocabulary */
#endif
#if defined(ADA_ISA_AVX2) && !(defined(__AVX2__) && defined(__FMA__) && defined(__F16C__))
#error "avx2 wants -mavx2 -mfma -mf16c"
#elif defined(ADA_ISA_AVX512) && !defined(ADA_EMULATED) && \
    !(defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__))
#error "avx512 wants -mavx512f -mavx512bw -mavx512dq -mavx512vl"
#elif defined(ADA_ISA_AVX512BF16) && !defined(ADA_EMULATED) && !defined(__AVX512BF16__)
#error "avx512bf16 wants -mavx512bf16, too"
#elif defined(ADA_ISA_AMX) && !defined(ADA_EMULATED) && !defined(__AMX_BF16__) && !defined(__AMXBF16__)
#error "amx wants -mamx-tile -mamx-bf16, too"
#elif defined(ADA_ISA_NEON) && !(defined(__aarch64__) && defined(__ARM_NEON))
#error "neon wants AArch64"
#elif (defined(ADA_ISA_SCALAR) || defined(ADA_ISA_REF)) && (defined(__AVX__) || defined(__FMA__))
#error "ref and scalar are the baseline: no flags beyond the architecture's"
#endif
#if defined(__FAST_MATH__)
#error "the same bits on every ISA rule out -ffast-math"
#endif

#include "simd/kernels.h"
#ifdef ADA_ISA_REF
#include <math.h>
#include "simd/half.h"
#else
#include "simd/vec.h"
#endif

#include "simd/k_map.h"
#include "simd/k_reduce.h"
#include "simd/k_norm.h"
#include "simd/k_softmax.h"
#include "simd/k_rope.h"
#include "simd/k_lowrank.h"
#include "simd/k_adam.h"
#include "simd/k_convert.h"
#include "simd/k_matmul.h"
#include "simd/k_pairs.h"
#include "simd/k_tiles.h"
#include "simd/k_attend.h"
#include "simd/k_image.h"

#define TABLE_(isa) ada_isa_##isa
#define TABLE(isa) TABLE_(isa)
#define STRING_(isa) #isa
#define STRING(isa) STRING_(isa)

extern const struct ada_kernels TABLE(ADA_ISA);
const struct ada_kernels TABLE(ADA_ISA) = {
    .isa = STRING(ADA_ISA),
#ifdef ADA_ISA_AVX512BF16
    .pairs = 1,
#endif
#ifdef ADA_ISA_AMX
    .tiles = 1,
#endif
#define K(name, class, ret, args) .name = k_##name,
#include "simd/kernels.def"
#undef K
};
