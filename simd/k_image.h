/* SPDX-License-Identifier: Apache-2.0
 * Pictures: resizing as Pillow's 8-bit resampling does it, bytes to normalised planes.
 * Contracts: kernels.h. Invariant: integers and copies only, so that bits cannot depend on the order. */

static void k_resample(uint8_t *y, const uint8_t *x, size_t stride, const int32_t *k, size_t taps, size_t n)
{
#ifdef ADA_ISA_REF
    for (size_t i = 0; i < n; i++) {
        uint32_t sum = 1u << 21;
        for (size_t j = 0; j < taps; j++) sum += (uint32_t)k[j] * x[j * stride + i];
        const int32_t v = (int32_t)sum >> 22;
        y[i] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
    }
#else
    const vi low = vi_zero(), high = vi_set1(255);
    VEC_EACH(n, vi v = vi_set1(1 << 21); for (size_t j = 0; j < taps; j++) {
        const uint8_t *p = x + j * stride + i;
        v = vi_add(v, vi_mul(vi_set1(k[j]), m == VL ? vi_load_u8(p) : vi_load_u8_n(p, m)));
    } v = vi_sar(v, 22);
             v = vi_select(vi_gt(low, v), low, vi_select(vi_gt(v, high), high, v));
             if (m == VL) vi_store_u8(y + i, v); else vi_store_u8_n(y + i, v, m));
#endif
}

/* A table is the whole arithmetic: whatever rescaling and normalising are, a byte has 256 values. */
static void k_planes(float *y, size_t plane, const uint8_t *x, const float *table, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < 3; c++) y[c * plane + i] = table[c * 256 + x[3 * i + c]];
}
