/* SPDX-License-Identifier: Apache-2.0
 * The adapter's products in f32: one row by a small matrix, by its transpose, and the gradient of that
 * matrix.
 * Contracts: kernels.h. Invariant: each output is one chain of fused multiply-adds in the order of k
 * (row_matmul) or one dot product (row_matmul_t), whatever the blocking. */

static void k_row_matmul(float *y, const float *x, const float *w, size_t k, size_t n)
{
#ifdef ADA_ISA_REF
    for (size_t i = 0; i < n; i++) {
        double s = 0;
        for (size_t j = 0; j < k; j++) s += (double)x[j] * w[j * n + i];
        y[i] = (float)s;
    }
#else
    size_t from = 0;
    for (; from + 4 * VL <= n; from += 4 * VL) {
        vf a = vf_zero(), b = a, c = a, d = a;
        const float *p = w + from;
        for (size_t j = 0; j < k; j++, p += n) {
            const vf s = vf_set1(x[j]);
            a = vf_fma(s, vf_load(p), a);
            b = vf_fma(s, vf_load(p + VL), b);
            c = vf_fma(s, vf_load(p + 2 * VL), c);
            d = vf_fma(s, vf_load(p + 3 * VL), d);
        }
        vf_store(y + from, a);
        vf_store(y + from + VL, b);
        vf_store(y + from + 2 * VL, c);
        vf_store(y + from + 3 * VL, d);
    }
    VEC_EACH(n - from, const float *p = w + from; vf a = vf_zero();
             for (size_t j = 0; j < k; j++, p += n) a = vf_fma(vf_set1(x[j]), LD(p), a);
             ST(y + from, a));
#endif
}

static void k_row_matmul_t(float *y, const float *x, const float *w, size_t k, size_t n)
{
    for (size_t j = 0; j < k; j++) y[j] = k_dot(w + j * n, x, n);
}

static void k_outer_add(float *g, const float *x, const float *y, float s, size_t k, size_t n)
{
#ifdef ADA_ISA_REF
    for (size_t j = 0; j < k; j++)
        for (size_t i = 0; i < n; i++) g[j * n + i] = (float)(g[j * n + i] + (double)s * x[j] * y[i]);
#else
    for (size_t j = 0; j < k; j++) {
        const vf t = vf_set1(s * x[j]);
        float *row = g + j * n;
        VEC_EACH(n, ST(row, vf_fma(t, LD(y), LD(row))));
    }
#endif
}
