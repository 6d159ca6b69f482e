/* SPDX-License-Identifier: Apache-2.0
 * One AdamW step over an array, in the order of operations of PyTorch's AdamW (decoupled decay first).
 * Contracts and the constants c: kernels.h. Must not know: schedules or step numbers. */

static void k_adamw(float *p, float *pm, float *pv, const float *g, const float *c, size_t n)
{
#ifdef ADA_ISA_REF
    for (size_t i = 0; i < n; i++) {
        const double gi = (double)g[i] * c[ADA_ADAMW_GRAD_SCALE];
        const double mi = pm[i] + c[ADA_ADAMW_OMB1] * (gi - pm[i]);
        const double vi = (double)pv[i] * c[ADA_ADAMW_BETA2] + c[ADA_ADAMW_OMB2] * gi * gi;
        const double step = c[ADA_ADAMW_STEP] * mi / (sqrt(vi) / c[ADA_ADAMW_BC2_SQRT] + c[ADA_ADAMW_EPS]);
        p[i] = (float)((double)p[i] * c[ADA_ADAMW_DECAY] - step);
        pm[i] = (float)mi;
        pv[i] = (float)vi;
    }
#else
    const vf scale = vf_set1(c[ADA_ADAMW_GRAD_SCALE]), decay = vf_set1(c[ADA_ADAMW_DECAY]);
    const vf omb1 = vf_set1(c[ADA_ADAMW_OMB1]), b2 = vf_set1(c[ADA_ADAMW_BETA2]);
    const vf omb2 = vf_set1(c[ADA_ADAMW_OMB2]), bc2 = vf_set1(c[ADA_ADAMW_BC2_SQRT]);
    const vf eps = vf_set1(c[ADA_ADAMW_EPS]), step = vf_set1(c[ADA_ADAMW_STEP]);
    VEC_EACH(n, vf g4 = vf_mul(LD(g), scale); vf m4 = LD(pm); vf v4 = LD(pv);
             m4 = vf_fma(omb1, vf_sub(g4, m4), m4);
             v4 = vf_fma(vf_mul(omb2, g4), g4, vf_mul(v4, b2));
             vf d = vf_add(vf_div(vf_sqrt(v4), bc2), eps);
             ST(p, vf_fnma(step, vf_div(m4, d), vf_mul(LD(p), decay))); ST(pm, m4); ST(pv, v4));
#endif
}
