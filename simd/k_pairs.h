/* SPDX-License-Identifier: Apache-2.0
 * Products of bf16 pairs with f32 sums: what the processor multiplies in one instruction where it has one
 * (vdpbf16ps), at twice the pace of mm_tile, in k_matmul.h's tiles. Contracts: kernels.h, tile.h. Must not
 * know: where pairs came from. Invariant: one chain over pairs an element, whatever the tile and the rows;
 * how a pair is added to the sum, and what becomes of denormals, is the processor's, so that ISAs differ in
 * the last bits. */

#ifdef ADA_ISA_REF
static void k_mm_pairs(const ada_pair_tile *t)
{
    for (size_t i = 0; i < t->m; i++)
        for (size_t h = 0; h < t->n; h++) {
            double acc = t->c ? t->c[(ptrdiff_t)i * t->ldc + (ptrdiff_t)h] : 0;
            for (size_t j = 0; j < t->k; j++) {
                uint32_t x = t->x[t->transposed ? j * t->ldx + i : i * t->ldx + j];
                uint32_t b = t->b[h / 16 * t->ldb + j * t->step + h % 16];
                for (int odd = 0; odd < 2; odd++) acc += (double)bf16_ref(x, odd) * bf16_ref(b, odd);
            }
            t->y[i * t->ldy + h] = (float)acc;
        }
}
static void k_mm_zip(uint32_t *y, const uint16_t *a, const uint16_t *b, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] = a[i] | (uint32_t)b[i] << 16;
}
#else

#ifndef ADA_ISA_AMX
/* acc + x's low half · b's + x's high half · b's */
VEC vf pair_add(vf acc, vi x, vi b)
{
#ifdef ADA_ISA_AVX512BF16
    return _mm512_dpbf16_ps(acc, (__m512bh)x, (__m512bh)b);
#else
    const vi high = vi_set1((int32_t)0xffff0000);
    acc = vf_fma(vi_bits(vi_shl(x, 16)), vi_bits(vi_shl(b, 16)), acc);
    return vf_fma(vi_bits(vi_and(x, high)), vi_bits(vi_and(b, high)), acc);
#endif
}

/* Rows i … i+rows-1, halves h … h+wide-1. */
VEC void pairs_micro(const ada_pair_tile *t, size_t i, size_t h, const int rows, const int wide,
                     const int transposed)
{
    const uint32_t *x = t->x + (transposed ? i : i * t->ldx), *b = t->b + h * t->ldb;
    const size_t ldx = t->ldx, ldb = t->ldb, step = t->step, k = t->k;
    const uint32_t *x3 = x + 3 * ldx, *x6 = x + 6 * ldx, *x9 = x + 9 * ldx;
    vf acc[MM_ROWS][2];
    const float *c = t->c ? t->c + (ptrdiff_t)i * t->ldc + h * 16 : NULL;
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int v = 0; v < wide; v++)
            acc[r][v] = t->c ? vf_load(c + r * t->ldc + v * 16) : vf_zero();
    for (size_t j = 0; j < k; j++) {
        vi bv[2] = {vi_load((const int32_t *)b), wide == 2 ? vi_load((const int32_t *)b + ldb) : vi_zero()};
        UNROLL for (int r = 0; r < rows; r++) {
            const uint32_t *p = r < 3 ? x : r < 6 ? x3 : r < 9 ? x6 : x9;
            vi xv = vi_set1((int32_t)(transposed ? x[r] : p[(size_t)(r % 3) * ldx]));
            UNROLL for (int v = 0; v < wide; v++) acc[r][v] = pair_add(acc[r][v], xv, bv[v]);
        }
        b += step;
        if (transposed) x += ldx;
        else x++, x3++, x6++, x9++;
    }
    float *y = t->y + i * t->ldy + h * 16;
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int v = 0; v < wide; v++) vf_store(y + (size_t)r * t->ldy + v * 16, acc[r][v]);
}

VEC void pairs_strip(const ada_pair_tile *t, size_t h, const int transposed)
{
    for (size_t i = 0; i < t->m;) {
        int rows = mm_tile_rows(t->m - i, MM_WIDE);
        switch (rows) {
#define ROWS(r) case r: pairs_micro(t, i, h, r, MM_WIDE, transposed); break;
        MM_CASES(ROWS)
#undef ROWS
        }
        i += (size_t)rows;
    }
}

static void k_mm_pairs(const ada_pair_tile *t)
{
    for (size_t h = 0; h * 16 < t->n; h += MM_WIDE)
        if (t->transposed) pairs_strip(t, h, 1);
        else pairs_strip(t, h, 0);
}
#endif

static void k_mm_zip(uint32_t *y, const uint16_t *a, const uint16_t *b, size_t n)
{
    VEC_EACH(n, {
        vf low = m == VL ? vf_load_bf16(a + i) : vf_load_bf16_n(a + i, m);
        vf high = m == VL ? vf_load_bf16(b + i) : vf_load_bf16_n(b + i, m);
        vf both = vi_bits(vi_or(vi_shr(vf_bits(low), 16), vf_bits(high)));
        if (m == VL) vf_store((float *)(void *)(y + i), both);
        else vf_store_n((float *)(void *)(y + i), both, m);
    });
}
#undef UNROLL
#undef MM_CASES
#endif
