/* SPDX-License-Identifier: Apache-2.0
 * The vocabulary of vec.h in AArch64's NEON: four registers of four lanes. One of the doors to intrinsics.
 * Must not know: kernels. Invariant: equal to vec_scalar.h lane by lane; so max and min are compares and
 * selects, since FMAX and FMIN answer a NaN otherwise. */
#ifndef ADA_SIMD_VEC_NEON_H
#define ADA_SIMD_VEC_NEON_H

#include <arm_neon.h>

typedef struct { float32x4_t a, b, c, d; } vf;
typedef struct { int32x4_t a, b, c, d; } vi;
typedef struct { uint32x4_t a, b, c, d; } vm;

#define ONE(type, op) ((type){op(x.a), op(x.b), op(x.c), op(x.d)})
#define TWO(type, op) ((type){op(x.a, y.a), op(x.b, y.b), op(x.c, y.c), op(x.d, y.d)})
#define THREE(type, op) ((type){op(x.a, y.a, z.a), op(x.b, y.b, z.b), op(x.c, y.c, z.c), op(x.d, y.d, z.d)})

static const uint32_t vec_tail[32] = {~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u,
                                      ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u};

VEC vf vf_set1(float s) { return (vf){vdupq_n_f32(s), vdupq_n_f32(s), vdupq_n_f32(s), vdupq_n_f32(s)}; }
VEC vf vf_zero(void) { return vf_set1(0.0f); }
VEC vi vi_set1(int32_t s) { return (vi){vdupq_n_s32(s), vdupq_n_s32(s), vdupq_n_s32(s), vdupq_n_s32(s)}; }
VEC vi vi_zero(void) { return vi_set1(0); }
VEC vf vf_load(const float *p)
{
    return (vf){vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)};
}
VEC void vf_store(float *p, vf x)
{
    vst1q_f32(p, x.a);
    vst1q_f32(p + 4, x.b);
    vst1q_f32(p + 8, x.c);
    vst1q_f32(p + 12, x.d);
}
VEC vi vi_load(const int32_t *p)
{
    return (vi){vld1q_s32(p), vld1q_s32(p + 4), vld1q_s32(p + 8), vld1q_s32(p + 12)};
}
VEC void vi_store(int32_t *p, vi x)
{
    vst1q_s32(p, x.a);
    vst1q_s32(p + 4, x.b);
    vst1q_s32(p + 8, x.c);
    vst1q_s32(p + 12, x.d);
}
/* no masked moves: tails pass through the stack */
VEC vf vf_load_n(const float *p, size_t n)
{
    float t[16] = {0};
    __builtin_memcpy(t, p, 4 * n);
    return vf_load(t);
}
VEC void vf_store_n(float *p, vf x, size_t n)
{
    float t[16];
    vf_store(t, x);
    __builtin_memcpy(p, t, 4 * n);
}
VEC vi vi_load_u8(const uint8_t *p)
{
    uint8x16_t v = vld1q_u8(p);
    uint16x8_t l = vmovl_u8(vget_low_u8(v)), h = vmovl_u8(vget_high_u8(v));
    return (vi){vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(l))),
                vreinterpretq_s32_u32(vmovl_u16(vget_high_u16(l))),
                vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(h))),
                vreinterpretq_s32_u32(vmovl_u16(vget_high_u16(h)))};
}
VEC void vi_store_u8(uint8_t *p, vi x)
{
    uint16x8_t l = vcombine_u16(vqmovun_s32(x.a), vqmovun_s32(x.b));
    uint16x8_t h = vcombine_u16(vqmovun_s32(x.c), vqmovun_s32(x.d));
    vst1q_u8(p, vcombine_u8(vmovn_u16(l), vmovn_u16(h)));
}
VEC vi vi_load_i8(const int8_t *p)
{
    int8x16_t v = vld1q_s8(p);
    int16x8_t l = vmovl_s8(vget_low_s8(v)), h = vmovl_s8(vget_high_s8(v));
    return (vi){vmovl_s16(vget_low_s16(l)), vmovl_s16(vget_high_s16(l)), vmovl_s16(vget_low_s16(h)),
                vmovl_s16(vget_high_s16(h))};
}

VEC float32x4_t vec_widen_bf16(uint16x4_t h) { return vreinterpretq_f32_u32(vshll_n_u16(h, 16)); }
VEC uint16x4_t vec_round_bf16(float32x4_t f)
{
    uint32x4_t u = vreinterpretq_u32_f32(f), hi = vshrq_n_u32(u, 16);
    uint32x4_t odd = vandq_u32(hi, vdupq_n_u32(1));
    uint32x4_t r = vshrq_n_u32(vaddq_u32(vaddq_u32(u, vdupq_n_u32(0x7fff)), odd), 16);
    uint32x4_t quiet = vorrq_u32(hi, vdupq_n_u32(0x40));
    return vmovn_u32(vbslq_u32(vceqq_f32(f, f), r, quiet));
}
VEC float32x4_t vec_widen_f16(uint16x4_t h) { return vcvt_f32_f16(vreinterpret_f16_u16(h)); }
VEC uint16x4_t vec_round_f16(float32x4_t f) { return vreinterpret_u16_f16(vcvt_f16_f32(f)); }
#define HALVES(kind)                                                                                         \
    VEC vf vf_load_##kind(const uint16_t *p)                                                                 \
    {                                                                                                        \
        return (vf){vec_widen_##kind(vld1_u16(p)), vec_widen_##kind(vld1_u16(p + 4)),                        \
                    vec_widen_##kind(vld1_u16(p + 8)), vec_widen_##kind(vld1_u16(p + 12))};                  \
    }                                                                                                        \
    VEC void vf_store_##kind(uint16_t *p, vf x)                                                              \
    {                                                                                                        \
        vst1_u16(p, vec_round_##kind(x.a));                                                                  \
        vst1_u16(p + 4, vec_round_##kind(x.b));                                                              \
        vst1_u16(p + 8, vec_round_##kind(x.c));                                                              \
        vst1_u16(p + 12, vec_round_##kind(x.d));                                                             \
    }                                                                                                        \
    VEC vf vf_load_##kind##_n(const uint16_t *p, size_t n)                                                   \
    {                                                                                                        \
        uint16_t t[16] = {0};                                                                                \
        __builtin_memcpy(t, p, 2 * n);                                                                       \
        return vf_load_##kind(t);                                                                            \
    }                                                                                                        \
    VEC void vf_store_##kind##_n(uint16_t *p, vf x, size_t n)                                                \
    {                                                                                                        \
        uint16_t t[16];                                                                                      \
        vf_store_##kind(t, x);                                                                               \
        __builtin_memcpy(p, t, 2 * n);                                                                       \
    }
HALVES(bf16)
HALVES(f16)

VEC void vf_load2(const float *p, vf *e, vf *o)
{
    float32x4x2_t a = vld2q_f32(p), b = vld2q_f32(p + 8), c = vld2q_f32(p + 16), d = vld2q_f32(p + 24);
    *e = (vf){a.val[0], b.val[0], c.val[0], d.val[0]};
    *o = (vf){a.val[1], b.val[1], c.val[1], d.val[1]};
}
VEC void vf_store2(float *p, vf e, vf o)
{
    vst2q_f32(p, ((float32x4x2_t){{e.a, o.a}}));
    vst2q_f32(p + 8, ((float32x4x2_t){{e.b, o.b}}));
    vst2q_f32(p + 16, ((float32x4x2_t){{e.c, o.c}}));
    vst2q_f32(p + 24, ((float32x4x2_t){{e.d, o.d}}));
}

VEC vf vf_add(vf x, vf y) { return TWO(vf, vaddq_f32); }
VEC vf vf_sub(vf x, vf y) { return TWO(vf, vsubq_f32); }
VEC vf vf_mul(vf x, vf y) { return TWO(vf, vmulq_f32); }
VEC vf vf_div(vf x, vf y) { return TWO(vf, vdivq_f32); }
VEC vf vf_fma(vf y, vf z, vf x) { return THREE(vf, vfmaq_f32); }
VEC vf vf_fnma(vf y, vf z, vf x) { return THREE(vf, vfmsq_f32); }
VEC vf vf_sqrt(vf x) { return ONE(vf, vsqrtq_f32); }
VEC vf vf_neg(vf x) { return ONE(vf, vnegq_f32); }
VEC vf vf_abs(vf x) { return ONE(vf, vabsq_f32); }
VEC float32x4_t vec_max(float32x4_t a, float32x4_t b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
VEC float32x4_t vec_min(float32x4_t a, float32x4_t b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
VEC vf vf_max(vf x, vf y) { return TWO(vf, vec_max); }
VEC vf vf_min(vf x, vf y) { return TWO(vf, vec_min); }

VEC vm vf_gt(vf x, vf y) { return TWO(vm, vcgtq_f32); }
VEC vm vf_ge(vf x, vf y) { return TWO(vm, vcgeq_f32); }
VEC vm vf_eq(vf x, vf y) { return TWO(vm, vceqq_f32); }
VEC vm vm_and(vm x, vm y) { return TWO(vm, vandq_u32); }
VEC vm vm_or(vm x, vm y) { return TWO(vm, vorrq_u32); }
VEC vm vm_not(vm x) { return ONE(vm, vmvnq_u32); }
VEC vm vf_isnan(vf x) { return vm_not(vf_eq(x, x)); }
VEC vm vm_first(size_t n)
{
    const uint32_t *p = vec_tail + 16 - n;
    return (vm){vld1q_u32(p), vld1q_u32(p + 4), vld1q_u32(p + 8), vld1q_u32(p + 12)};
}
VEC uint32_t vec_bits4(uint32x4_t m)
{
    static const uint32_t lane[4] = {1, 2, 4, 8};
    return vaddvq_u32(vandq_u32(m, vld1q_u32(lane)));
}
VEC uint32_t vm_bits(vm x)
{
    return vec_bits4(x.a) | vec_bits4(x.b) << 4 | vec_bits4(x.c) << 8 | vec_bits4(x.d) << 12;
}
VEC vf vf_select(vm x, vf y, vf z) { return THREE(vf, vbslq_f32); }
VEC vi vi_select(vm x, vi y, vi z) { return THREE(vi, vbslq_s32); }

VEC vi vf_bits(vf x) { return ONE(vi, vreinterpretq_s32_f32); }
VEC vf vi_bits(vi x) { return ONE(vf, vreinterpretq_f32_s32); }
VEC vi vi_add(vi x, vi y) { return TWO(vi, vaddq_s32); }
VEC vi vi_sub(vi x, vi y) { return TWO(vi, vsubq_s32); }
VEC vi vi_mul(vi x, vi y) { return TWO(vi, vmulq_s32); }
VEC vi vi_and(vi x, vi y) { return TWO(vi, vandq_s32); }
VEC vi vi_or(vi x, vi y) { return TWO(vi, vorrq_s32); }
VEC vi vi_xor(vi x, vi y) { return TWO(vi, veorq_s32); }
VEC vi vi_shl(vi x, int s) { vi y = vi_set1(s); return TWO(vi, vshlq_s32); }
VEC int32x4_t vec_shr(int32x4_t a, int32x4_t s)
{
    return vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(a), s));
}
VEC vi vi_shr(vi x, int s) { vi y = vi_set1(-s); return TWO(vi, vec_shr); }
VEC vi vi_sar(vi x, int s) { vi y = vi_set1(-s); return TWO(vi, vshlq_s32); }
VEC vm vi_gt(vi x, vi y) { return TWO(vm, vcgtq_s32); }
VEC vm vi_eq(vi x, vi y) { return TWO(vm, vceqq_s32); }
VEC vf vf_from_vi(vi x) { return ONE(vf, vcvtq_f32_s32); }

VEC float vf_hsum(vf x)
{
    float32x4_t q = vaddq_f32(vaddq_f32(x.a, x.c), vaddq_f32(x.b, x.d));
    float32x2_t p = vadd_f32(vget_low_f32(q), vget_high_f32(q));
    return vget_lane_f32(p, 0) + vget_lane_f32(p, 1);
}
VEC float vf_hmax(vf x)
{
    float32x4_t q = vec_max(vec_max(x.a, x.c), vec_max(x.b, x.d));
    float32x4_t p = vec_max(q, vextq_f32(q, q, 2));
    return vgetq_lane_f32(vec_max(p, vextq_f32(p, p, 1)), 0);
}

#endif
