/* SPDX-License-Identifier: Apache-2.0
 * One row of logits: softmax, its logarithm of the sum, and the gradient of cross-entropy. Contracts:
 * kernels.h.
 * Invariant: softmax and lse share the sum, so their logarithms have the same bits. */

#ifdef ADA_ISA_REF
static float softmax_row(float *y, const float *x, size_t n)
{
    const double m = k_max(x, n);
    double s = 0;
    for (size_t i = 0; i < n; i++) s += exp(x[i] - m);
    for (size_t i = 0; i < n && y; i++) y[i] = (float)(exp(x[i] - m) / s);
    return m - m != 0 ? (float)m : (float)(m + log(s));
}
#else
/* ln x of a normal x > 0, in double by + · / alone: libm's would differ between systems. x = 2^e·f, √½ ≤ f <
 * √2, ln f = 2 artanh((f - 1)/(f + 1)), the odd series to z^17: 1e-15 relative. */
static double log_double(double x)
{
    uint64_t u;
    __builtin_memcpy(&u, &x, 8);
    const uint64_t from = u - 0x3fe6a09e667f3bcd; /* bits of √½ */
    const int e = (int)((int64_t)from >> 52);
    u -= (uint64_t)e << 52;
    double f;
    __builtin_memcpy(&f, &u, 8);
    const double z = (f - 1) / (f + 1), zz = z * z;
    double p = 1.0 / 17;
    for (int k = 15; k >= 1; k -= 2) p = p * zz + 1.0 / k;
    return e * 0.6931471805599453 + 2 * z * p;
}

VEC vf keep(float *y, size_t i, size_t m, vf e)
{
    if (y) ST(y, e);
    return e;
}

VEC float softmax_row(float *y, const float *x, size_t n)
{
    const float greatest = k_max(x, n);
    const vf m4 = vf_set1(greatest), low = vf_set1(-INFINITY);
    const float s = VEC_SUM(n, vf_add(acc, keep(y, i, m, vf_exp(vf_sub(LD_OR(x, low), m4)))));
    if (y) {
        const vf s4 = vf_set1(s);
        VEC_EACH(n, ST(y, vf_div(LD(y), s4)));
    }
    return greatest - greatest != 0 ? greatest : (float)(greatest + log_double(s));
}
#endif

static float k_softmax(float *x, size_t n) { return softmax_row(x, x, n); }
static float k_lse(const float *x, size_t n) { return softmax_row(NULL, x, n); }

static void k_xent_back(float *y, const float *x, float lse, size_t target, float g, size_t n)
{
#ifdef ADA_ISA_REF
    for (size_t i = 0; i < n; i++) y[i] = (float)(g * (exp((double)x[i] - lse) - (i == target)));
#else
    const vf l4 = vf_set1(lse), g4 = vf_set1(g);
    const vf at = target < n ? vf_exp(vf_sub(vf_set1(x[target]), l4)) : vf_zero();
    VEC_EACH(n, ST(y, vf_mul(g4, vf_exp(vf_sub(LD(x), l4)))));
    if (target < n) vf_store_n(y + target, vf_mul(g4, vf_sub(at, vf_set1(1.0f))), 1);
#endif
}
