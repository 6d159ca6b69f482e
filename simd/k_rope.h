/* SPDX-License-Identifier: Apache-2.0
 * Rotary positions: pairs of one head's row turned by their angles; sign -1 turns back (the inverse is the
 * backward). Contracts: kernels.h. Must not know: how angles come from positions. */

static void k_rope_half(float *x, const float *c, const float *s, float sign, size_t half)
{
    float *z = x + half;
#ifdef ADA_ISA_REF
    for (size_t i = 0; i < half; i++) {
        double a = x[i], b = z[i], t = (double)s[i] * sign;
        x[i] = (float)(a * c[i] - b * t);
        z[i] = (float)(b * c[i] + a * t);
    }
#else
    const vf sign4 = vf_set1(sign);
    VEC_EACH(half, vf a = LD(x); vf b = LD(z); vf u = LD(c); vf t = vf_mul(LD(s), sign4);
             ST(x, vf_fnma(b, t, vf_mul(a, u))); ST(z, vf_fma(a, t, vf_mul(b, u))));
#endif
}

static void k_rope_interleave(float *x, const float *c, const float *s, float sign, size_t half)
{
#ifdef ADA_ISA_REF
    for (size_t i = 0; i < half; i++) {
        double a = x[2 * i], b = x[2 * i + 1], t = (double)s[i] * sign;
        x[2 * i] = (float)(a * c[i] - b * t);
        x[2 * i + 1] = (float)(b * c[i] + a * t);
    }
#else
    const vf sign4 = vf_set1(sign);
    VEC_EACH(half, float tail[2 * VL] = {0}; vf a; vf b; vf u = LD(c); vf t = vf_mul(LD(s), sign4);
             if (m < VL) __builtin_memcpy(tail, x + 2 * i, 2 * m * sizeof *x);
             vf_load2(m < VL ? tail : x + 2 * i, &a, &b);
             vf_store2(m < VL ? tail : x + 2 * i, vf_fnma(b, t, vf_mul(a, u)), vf_fma(a, t, vf_mul(b, u)));
             if (m < VL) __builtin_memcpy(x + 2 * i, tail, 2 * m * sizeof *x));
#endif
}
