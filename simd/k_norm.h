/* SPDX-License-Identifier: Apache-2.0
 * RMSNorm and LayerNorm of one row, forward beside backward. Contracts: kernels.h.
 * Must not know: rows beside it. With x̂ the normed row and g = dy·w, both backwards are
 * dx = rstd·(g - x̂·mean(g·x̂)), LayerNorm's less mean(g) too. */

static float k_rmsnorm(float *y, const float *x, const float *w, float eps, size_t n)
{
#ifdef ADA_ISA_REF
    double s = 0;
    for (size_t i = 0; i < n; i++) s += (double)x[i] * x[i];
    const double r = n ? 1 / sqrt(s / (double)n + eps) : 0;
    for (size_t i = 0; i < n; i++) y[i] = (float)(x[i] * r * w[i]);
    return (float)r;
#else
    if (n == 0) return 0;
    const float r = 1.0f / sqrtf(k_dot(x, x, n) / (float)n + eps);
    const vf r4 = vf_set1(r);
    VEC_EACH(n, ST(y, vf_mul(vf_mul(LD(x), r4), LD(w))));
    return r;
#endif
}

static void k_rmsnorm_back(float *dx, const float *dy, const float *x, const float *w, float rstd, size_t n)
{
#ifdef ADA_ISA_REF
    double s = 0;
    for (size_t i = 0; i < n; i++) s += (double)dy[i] * w[i] * x[i];
    for (size_t i = 0; i < n; i++)
        dx[i] = (float)(rstd * ((double)dy[i] * w[i] - x[i] * (s * rstd * rstd / (double)n)));
#else
    const float s = VEC_SUM(n, vf_fma(vf_mul(LD(dy), LD(w)), LD(x), acc));
    const vf r4 = vf_set1(rstd), pull = vf_set1(s * rstd * rstd / (float)n);
    VEC_EACH(n, ST(dx, vf_mul(r4, vf_fnma(LD(x), pull, vf_mul(LD(dy), LD(w))))));
#endif
}

#ifndef ADA_ISA_REF
VEC vf add_square(vf sum, vf x) { return vf_fma(x, x, sum); }
#endif

static void k_layernorm(float *y, const float *x, const float *w, const float *b, float eps, float stat[2],
                        size_t n)
{
#ifdef ADA_ISA_REF
    double mean = 0, var = 0;
    for (size_t i = 0; i < n; i++) mean += x[i] / (double)n;
    for (size_t i = 0; i < n; i++) var += (x[i] - mean) * (x[i] - mean) / (double)n;
    const double r = n ? 1 / sqrt(var + eps) : 0;
    for (size_t i = 0; i < n; i++) y[i] = (float)((x[i] - mean) * r * w[i] + (b ? b[i] : 0));
    stat[0] = (float)mean;
    stat[1] = (float)r;
#else
    stat[0] = stat[1] = 0;
    if (n == 0) return;
    const float mean = k_sum(x, n) / (float)n;
    const vf m4 = vf_set1(mean);
    const float sq = VEC_SUM(n, add_square(acc, vf_sub(LD_OR(x, m4), m4)));
    const float r = 1.0f / sqrtf(sq / (float)n + eps);
    const vf r4 = vf_set1(r);
    VEC_EACH(n, vf t = vf_mul(vf_mul(vf_sub(LD(x), m4), r4), LD(w)); ST(y, b ? vf_add(t, LD(b)) : t));
    stat[0] = mean;
    stat[1] = r;
#endif
}

static void k_layernorm_back(float *dx, const float *dy, const float *x, const float *w, const float stat[2],
                             size_t n)
{
    const float mean = stat[0], rstd = stat[1];
#ifdef ADA_ISA_REF
    double s = 0, t = 0;
    for (size_t i = 0; i < n; i++) {
        double g = (double)dy[i] * w[i];
        s += g / (double)n;
        t += g * ((double)x[i] - mean) * rstd / (double)n;
    }
    for (size_t i = 0; i < n; i++)
        dx[i] = (float)(rstd * ((double)dy[i] * w[i] - s - ((double)x[i] - mean) * rstd * t));
#else
    const vf m4 = vf_set1(mean), r4 = vf_set1(rstd);
    const float s = VEC_SUM(n, vf_fma(LD(dy), LD(w), acc));
    const float t = VEC_SUM(n, vf_fma(vf_mul(LD(dy), LD(w)), vf_mul(vf_sub(LD_OR(x, m4), m4), r4), acc));
    const vf s4 = vf_set1(s / (float)n), t4 = vf_set1(t / (float)n);
    VEC_EACH(n, vf x4 = vf_mul(vf_sub(LD(x), m4), r4);
             ST(dx, vf_mul(r4, vf_fnma(x4, t4, vf_sub(vf_mul(LD(dy), LD(w)), s4)))));
#endif
}
