/* SPDX-License-Identifier: Apache-2.0
 * The vocabulary of vec.h in plain C: what the other ISAs must equal, and what runs where there is none of
 * them. Must not know: kernels. Invariant: no operation here depends on the compiler's flags (fma is fmaf,
 * always). */
#ifndef ADA_SIMD_VEC_SCALAR_H
#define ADA_SIMD_VEC_SCALAR_H

#include "simd/half.h"

typedef struct { float v[16]; } vf;
typedef struct { int32_t v[16]; } vi;
typedef struct { uint32_t v[16]; } vm; /* 0 or ~0 */

#define LANES(type, expr) do { type r_; for (int i = 0; i < 16; i++) r_.v[i] = (expr); return r_; } while (0)
#define TRUTH(cond) ((cond) ? 0xffffffffu : 0u)

VEC vf vf_set1(float s) { LANES(vf, s); }
VEC vf vf_zero(void) { return vf_set1(0.0f); }
VEC vi vi_set1(int32_t s) { LANES(vi, s); }
VEC vi vi_zero(void) { return vi_set1(0); }
VEC vf vf_load(const float *p) { LANES(vf, p[i]); }
VEC vi vi_load(const int32_t *p) { LANES(vi, p[i]); }
VEC void vf_store(float *p, vf a) { for (int i = 0; i < 16; i++) p[i] = a.v[i]; }
VEC void vi_store(int32_t *p, vi a) { for (int i = 0; i < 16; i++) p[i] = a.v[i]; }
VEC vf vf_load_n(const float *p, size_t n) { LANES(vf, (size_t)i < n ? p[i] : 0.0f); }
VEC void vf_store_n(float *p, vf a, size_t n) { for (size_t i = 0; i < n; i++) p[i] = a.v[i]; }
VEC vi vi_load_u8(const uint8_t *p) { LANES(vi, p[i]); }
VEC void vi_store_u8(uint8_t *p, vi a) { for (int i = 0; i < 16; i++) p[i] = (uint8_t)a.v[i]; }
VEC vi vi_load_i8(const int8_t *p) { LANES(vi, p[i]); }

VEC vf vf_load_bf16_n(const uint16_t *p, size_t n) { LANES(vf, (size_t)i < n ? ada_bf16_value(p[i]) : 0.0f); }
VEC vf vf_load_bf16(const uint16_t *p) { return vf_load_bf16_n(p, 16); }
VEC void vf_store_bf16_n(uint16_t *p, vf a, size_t n)
{
    for (size_t i = 0; i < n; i++) p[i] = ada_bf16_of(a.v[i]);
}
VEC void vf_store_bf16(uint16_t *p, vf a) { vf_store_bf16_n(p, a, 16); }

VEC vf vf_load_f16_n(const uint16_t *p, size_t n) { LANES(vf, (size_t)i < n ? ada_f16_value(p[i]) : 0.0f); }
VEC vf vf_load_f16(const uint16_t *p) { return vf_load_f16_n(p, 16); }
VEC void vf_store_f16_n(uint16_t *p, vf a, size_t n)
{
    for (size_t i = 0; i < n; i++) p[i] = ada_f16_of(a.v[i]);
}
VEC void vf_store_f16(uint16_t *p, vf a) { vf_store_f16_n(p, a, 16); }

VEC void vf_load2(const float *p, vf *e, vf *o)
{
    for (int i = 0; i < 16; i++) { e->v[i] = p[2 * i]; o->v[i] = p[2 * i + 1]; }
}
VEC void vf_store2(float *p, vf e, vf o)
{
    for (int i = 0; i < 16; i++) { p[2 * i] = e.v[i]; p[2 * i + 1] = o.v[i]; }
}

VEC vf vf_add(vf a, vf b) { LANES(vf, a.v[i] + b.v[i]); }
VEC vf vf_sub(vf a, vf b) { LANES(vf, a.v[i] - b.v[i]); }
VEC vf vf_mul(vf a, vf b) { LANES(vf, a.v[i] * b.v[i]); }
VEC vf vf_div(vf a, vf b) { LANES(vf, a.v[i] / b.v[i]); }
VEC vf vf_fma(vf a, vf b, vf c) { LANES(vf, fmaf(a.v[i], b.v[i], c.v[i])); }
VEC vf vf_fnma(vf a, vf b, vf c) { LANES(vf, fmaf(-a.v[i], b.v[i], c.v[i])); }
VEC vf vf_sqrt(vf a) { LANES(vf, sqrtf(a.v[i])); }
VEC vf vf_neg(vf a) { LANES(vf, ada_f32_from_bits(ada_f32_bits(a.v[i]) ^ 0x80000000u)); }
VEC vf vf_abs(vf a) { LANES(vf, ada_f32_from_bits(ada_f32_bits(a.v[i]) & 0x7fffffffu)); }
VEC vf vf_max(vf a, vf b) { LANES(vf, a.v[i] > b.v[i] ? a.v[i] : b.v[i]); }
VEC vf vf_min(vf a, vf b) { LANES(vf, a.v[i] < b.v[i] ? a.v[i] : b.v[i]); }

VEC vm vf_gt(vf a, vf b) { LANES(vm, TRUTH(a.v[i] > b.v[i])); }
VEC vm vf_ge(vf a, vf b) { LANES(vm, TRUTH(a.v[i] >= b.v[i])); }
VEC vm vf_eq(vf a, vf b) { LANES(vm, TRUTH(a.v[i] == b.v[i])); }
VEC vm vf_isnan(vf a) { LANES(vm, TRUTH(a.v[i] != a.v[i])); }
VEC vm vm_and(vm a, vm b) { LANES(vm, a.v[i] & b.v[i]); }
VEC vm vm_or(vm a, vm b) { LANES(vm, a.v[i] | b.v[i]); }
VEC vm vm_not(vm a) { LANES(vm, ~a.v[i]); }
VEC vm vm_first(size_t n) { LANES(vm, TRUTH((size_t)i < n)); }
VEC uint32_t vm_bits(vm a) { uint32_t b = 0; for (int i = 0; i < 16; i++) b |= (a.v[i] & 1u) << i; return b; }
VEC vf vf_select(vm m, vf a, vf b) { LANES(vf, m.v[i] ? a.v[i] : b.v[i]); }
VEC vi vi_select(vm m, vi a, vi b) { LANES(vi, m.v[i] ? a.v[i] : b.v[i]); }

VEC vi vf_bits(vf a) { LANES(vi, (int32_t)ada_f32_bits(a.v[i])); }
VEC vf vi_bits(vi a) { LANES(vf, ada_f32_from_bits((uint32_t)a.v[i])); }
VEC vi vi_add(vi a, vi b) { LANES(vi, (int32_t)((uint32_t)a.v[i] + (uint32_t)b.v[i])); }
VEC vi vi_sub(vi a, vi b) { LANES(vi, (int32_t)((uint32_t)a.v[i] - (uint32_t)b.v[i])); }
VEC vi vi_mul(vi a, vi b) { LANES(vi, (int32_t)((uint32_t)a.v[i] * (uint32_t)b.v[i])); }
VEC vi vi_and(vi a, vi b) { LANES(vi, a.v[i] & b.v[i]); }
VEC vi vi_or(vi a, vi b) { LANES(vi, a.v[i] | b.v[i]); }
VEC vi vi_xor(vi a, vi b) { LANES(vi, a.v[i] ^ b.v[i]); }
VEC vi vi_shl(vi a, int s) { LANES(vi, (int32_t)((uint32_t)a.v[i] << s)); }
VEC vi vi_shr(vi a, int s) { LANES(vi, (int32_t)((uint32_t)a.v[i] >> s)); }
VEC vi vi_sar(vi a, int s) { LANES(vi, a.v[i] >> s); }
VEC vm vi_gt(vi a, vi b) { LANES(vm, TRUTH(a.v[i] > b.v[i])); }
VEC vm vi_eq(vi a, vi b) { LANES(vm, TRUTH(a.v[i] == b.v[i])); }
VEC vf vf_from_vi(vi a) { LANES(vf, (float)a.v[i]); }

VEC float vf_hsum(vf a)
{
    for (int s = 8; s > 0; s /= 2)
        for (int i = 0; i < s; i++) a.v[i] += a.v[i + s];
    return a.v[0];
}
VEC float vf_hmax(vf a)
{
    for (int s = 8; s > 0; s /= 2)
        for (int i = 0; i < s; i++) a.v[i] = a.v[i] > a.v[i + s] ? a.v[i] : a.v[i + s];
    return a.v[0];
}

#endif
