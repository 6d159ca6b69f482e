/* SPDX-License-Identifier: Apache-2.0
 * The adapter's products in f32: rows by a small matrix, a row by its transpose, and the gradient of that
 * matrix.
 * Contracts: kernels.h. Invariant: each output is one chain of fused multiply-adds in the order of k
 * (rows_matmul) or one dot product (row_matmul_t), whatever the blocking. */

#ifdef ADA_ISA_REF
static void k_rows_matmul(float *y, int add, const float *x, size_t ldx, size_t m, const float *w, size_t k,
                          size_t n)
{
    for (size_t r = 0; r < m; r++, y += n, x += ldx)
        for (size_t i = 0; i < n; i++) {
            double s = 0;
            for (size_t j = 0; j < k; j++) s += (double)x[j] * w[j * n + i];
            y[i] = add ? y[i] + (float)s : (float)s;
        }
}
#else
/* Rows and vectors of a register tile: its chains fill the pipes, and w is read once for all of its rows. */
#if defined(ADA_ISA_AVX512)
enum { LOW_ROWS = 4, LOW_WIDE = 4 };
#elif defined(ADA_ISA_SCALAR)
enum { LOW_ROWS = 1, LOW_WIDE = 1 };
#else
enum { LOW_ROWS = 2, LOW_WIDE = 2 };
#endif

VEC void low_rows(float *y, int add, const float *x, size_t ldx, const int rows, const float *w, size_t k,
                  size_t n)
{
    size_t from = 0;
    for (; from + LOW_WIDE * VL <= n; from += LOW_WIDE * VL) {
        vf acc[LOW_ROWS][LOW_WIDE];
        const float *p = w + from;
        UNROLL for (int r = 0; r < rows; r++)
            UNROLL for (int v = 0; v < LOW_WIDE; v++) acc[r][v] = vf_zero();
        for (size_t j = 0; j < k; j++, p += n) {
            vf b[LOW_WIDE];
            UNROLL for (int v = 0; v < LOW_WIDE; v++) b[v] = vf_load(p + (size_t)v * VL);
            UNROLL for (int r = 0; r < rows; r++) {
                const vf s = vf_set1(x[(size_t)r * ldx + j]);
                UNROLL for (int v = 0; v < LOW_WIDE; v++) acc[r][v] = vf_fma(s, b[v], acc[r][v]);
            }
        }
        UNROLL for (int r = 0; r < rows; r++)
            UNROLL for (int v = 0; v < LOW_WIDE; v++) {
                float *to = y + (size_t)r * n + from + (size_t)v * VL;
                vf_store(to, add ? vf_add(vf_load(to), acc[r][v]) : acc[r][v]);
            }
    }
    VEC_EACH(n - from, vf acc[LOW_ROWS]; const float *p = w + from;
             UNROLL for (int r = 0; r < rows; r++) acc[r] = vf_zero();
             for (size_t j = 0; j < k; j++, p += n) {
                 const vf b = LD(p);
                 UNROLL for (int r = 0; r < rows; r++)
                     acc[r] = vf_fma(vf_set1(x[(size_t)r * ldx + j]), b, acc[r]);
             }
             UNROLL for (int r = 0; r < rows; r++) {
                 float *to = y + (size_t)r * n + from;
                 ST(to, add ? vf_add(LD(to), acc[r]) : acc[r]);
             });
}

static void k_rows_matmul(float *y, int add, const float *x, size_t ldx, size_t m, const float *w, size_t k,
                          size_t n)
{
    for (; m >= LOW_ROWS; m -= LOW_ROWS, x += LOW_ROWS * ldx, y += LOW_ROWS * n)
        low_rows(y, add, x, ldx, LOW_ROWS, w, k, n);
    for (; m > 0; m--, x += ldx, y += n) low_rows(y, add, x, ldx, 1, w, k, n);
}
#endif

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
