/* SPDX-License-Identifier: Apache-2.0
 * A row to one value. Contracts: kernels.h.
 * Invariant: the order of additions depends on n alone (VEC_SUM), so a row's sum is the same wherever it is
 * made. */

static float k_dot(const float *a, const float *b, size_t n)
{
#ifdef ADA_ISA_REF
    double s = 0;
    for (size_t i = 0; i < n; i++) s += (double)a[i] * b[i];
    return (float)s;
#else
    return VEC_SUM(n, vf_fma(LD(a), LD(b), acc));
#endif
}

static float k_sum(const float *a, size_t n)
{
#ifdef ADA_ISA_REF
    double s = 0;
    for (size_t i = 0; i < n; i++) s += a[i];
    return (float)s;
#else
    return VEC_SUM(n, vf_add(acc, LD(a)));
#endif
}

static float k_sumsq(const float *a, size_t n) { return k_dot(a, a, n); }

static float k_max(const float *a, size_t n)
{
    const float low = -INFINITY;
#ifdef ADA_ISA_REF
    float m = low;
    for (size_t i = 0; i < n; i++)
        if (a[i] > m || a[i] != a[i]) m = a[i];
    return m;
#else
    vf m4 = vf_set1(low);
    VEC_EACH(n, vf x = LD_OR(a, vf_set1(low)); m4 = vf_select(vm_or(vf_gt(x, m4), vf_isnan(x)), x, m4));
    return vm_bits(vf_isnan(m4)) ? NAN : vf_hmax(m4);
#endif
}

static size_t k_argmax(const float *a, size_t n)
{
#ifdef ADA_ISA_REF
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        if (a[i] != a[i]) return i;
        if (a[i] > a[at]) at = i;
    }
    return at;
#else
    const float greatest = k_max(a, n);
    const vf m4 = vf_set1(greatest);
    VEC_EACH(n, vf x = LD(a); uint32_t hits = vm_bits(greatest != greatest ? vf_isnan(x) : vf_eq(x, m4));
             if (m < VL) hits &= (1u << m) - 1;
             if (hits) return i + (size_t)__builtin_ctz(hits));
    return 0;
#endif
}
