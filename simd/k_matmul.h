/* SPDX-License-Identifier: Apache-2.0
 * Products in f32 over packed panels of 32 columns. Contracts: kernels.h, tile.h.
 * bf16 weights W [n, k] lie in panels of 32 rows of W: k/2 lines of 32 words, a word being W[i][2j] (low
 * half) and W[i][2j+1]. One line widens with a shift and a mask; turned by words, a panel is rows of W again,
 * so one copy in memory serves x·Wᵀ and dy·W. Must not know: threads, blocking.
 * Invariant: one chain an element (tile.h), whatever the tile, the rows and the ISA; widening is exact. */

#ifdef ADA_ISA_REF
static float bf16_ref(uint32_t word, size_t odd)
{
    return ada_bf16_value((uint16_t)(odd ? word >> 16 : word));
}
static void k_mm_tile(const ada_tile *t)
{
    for (size_t i = 0; i < t->m; i++)
        for (size_t h = 0; h < t->n; h++) {
            double acc = t->c ? t->c[(ptrdiff_t)i * t->ldc + (ptrdiff_t)h] : 0;
            for (size_t j = 0; j < t->k; j++)
                acc += (double)t->x[t->transposed ? j * t->ldx + i : i * t->ldx + j] *
                       t->b[h / 16 * t->ldb + j * t->step + h % 16];
            float *y = t->y + i * t->ldy + h;
            *y = t->add ? *y + (float)acc : (float)acc;
        }
}
static void k_mm_rows(float *y, size_t ldy, size_t n, int add, const float *x, size_t ldx, size_t m,
                      const uint32_t *w, size_t k)
{
    for (size_t i = 0; i < m; i++)
        for (size_t h = 0; h < n; h++) {
            double acc = 0;
            for (size_t j = 0; j < k; j++) acc += (double)x[i * ldx + j] * bf16_ref(w[j / 2 * 32 + h], j % 2);
            float *p = y + i * ldy + h;
            *p = add ? *p + (float)acc : (float)acc;
        }
}
static void k_mm_widen(float *b, const uint32_t *w, size_t k)
{
    for (size_t j = 0; j < k; j++)
        for (size_t h = 0; h < 16; h++) b[j * 16 + h] = bf16_ref(w[j / 2 * 32 + h], j % 2);
}
static void k_mm_widen_back(float *b, const uint32_t *w)
{
    for (size_t i = 0; i < 32; i++)
        for (size_t j = 0; j < 16; j++) b[i * 16 + j] = bf16_ref(w[j / 2 * 32 + i], j % 2);
}
static void k_mm_turn(void *b, size_t ldb, const void *x, size_t ldx, size_t n, size_t k)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < k; j++)
            __builtin_memcpy((char *)b + 4 * (j * ldb + i), (const char *)x + 4 * (i * ldx + j), 4);
}
#else

#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

/* Rows of a register tile, and its 16-column halves: the accumulators, one broadcast and the b vectors fill
 * the registers of the ISA. */
#if defined(ADA_ISA_AVX512)
enum { MM_ROWS = 12, MM_WIDE = 2 };
#define MM_CASES(c) c(12) c(11) c(10) c(9) c(8) c(7) c(6) c(5) c(4) c(3) c(2) c(1)
#elif defined(ADA_ISA_SCALAR)
enum { MM_ROWS = 1, MM_WIDE = 1 };
#define MM_CASES(c) c(1)
#else
enum { MM_ROWS = 6, MM_WIDE = 1 };
#define MM_CASES(c) c(6) c(5) c(4) c(3) c(2) c(1)
#endif

/* Rows of the next tile of those left. A remainder of one or two takes some of the last whole tile's: a tile
 * of less than three rows has too few chains to fill the pipes. */
VEC int mm_tile_rows(size_t left)
{
    if (MM_ROWS > 3 && left > MM_ROWS && left < MM_ROWS + 3) return MM_ROWS - 2;
    return left >= MM_ROWS ? MM_ROWS : (int)left;
}

/* Rows i … i+rows-1 of half h (and h+1 if wide is 2). `full`: no column is missing. */
VEC void mm_micro(const ada_tile *t, size_t i, size_t h, const int rows, const int wide, const int full,
                  const int transposed)
{
    const float *x = t->x + (transposed ? i : i * t->ldx), *b = t->b + h * t->ldb;
    const size_t ldx = t->ldx, ldb = t->ldb, step = t->step, k = t->k;
    /* so that addresses need few registers */
    const float *x3 = x + 3 * ldx, *x6 = x + 6 * ldx, *x9 = x + 9 * ldx;
    vf acc[MM_ROWS][2];
    if (t->c) {
        const float *c = t->c + (ptrdiff_t)i * t->ldc + h * 16;
        UNROLL for (int r = 0; r < rows; r++, c += t->ldc)
            UNROLL for (int v = 0; v < wide; v++) acc[r][v] = vf_load(c + v * 16);
    } else {
        UNROLL for (int r = 0; r < rows; r++)
            UNROLL for (int v = 0; v < wide; v++) acc[r][v] = vf_zero();
    }
    const float *next = x + MM_ROWS * ldx; /* rows of the next tile, on their way from L2 to L1 meanwhile */
    for (size_t j = 0; j < k; j++) {
        if (!transposed && rows == MM_ROWS && MM_ROWS > 1 && j % 16 == 0)
            UNROLL for (int r = 0; r < MM_ROWS; r++) __builtin_prefetch(next + j + (size_t)r * ldx, 0, 3);
        vf bv[2] = {vf_load(b), wide == 2 ? vf_load(b + ldb) : vf_zero()};
        UNROLL for (int r = 0; r < rows; r++) {
            const float *p = r < 3 ? x : r < 6 ? x3 : r < 9 ? x6 : x9;
            vf xv = vf_set1(transposed ? x[r] : p[(size_t)(r % 3) * ldx]);
            UNROLL for (int v = 0; v < wide; v++) acc[r][v] = vf_fma(xv, bv[v], acc[r][v]);
        }
        b += step;
        if (transposed) x += ldx;
        else x++, x3++, x6++, x9++;
    }
    float *y = t->y + i * t->ldy + h * 16;
    UNROLL for (int r = 0; r < rows; r++, y += t->ldy)
        UNROLL for (int v = 0; v < wide; v++) {
            if (full) {
                vf_store(y + v * 16, t->add ? vf_add(vf_load(y + v * 16), acc[r][v]) : acc[r][v]);
            } else {
                size_t n = t->n - (h + (size_t)v) * 16;
                n = n > 16 ? 16 : n;
                vf_store_n(y + v * 16, t->add ? vf_add(vf_load_n(y + v * 16, n), acc[r][v]) : acc[r][v], n);
            }
        }
}

/* All rows of one column strip. */
VEC void mm_strip(const ada_tile *t, size_t h, const int wide, const int full, const int transposed)
{
    const char *ahead = t->ahead;
    size_t tiles = (t->m + MM_ROWS - 1) / MM_ROWS * (2 / (size_t)wide), lines = (t->nahead + 63) / 64;
    size_t each = ahead ? (lines + tiles - 1) / tiles : 0;
    size_t next = h ? each * tiles / 2 : 0, run = t->run ? t->run / 64 : lines;
    for (size_t i = 0; i < t->m;) {
        for (size_t e = next + each; next < e && next < lines; next++)
            __builtin_prefetch(ahead + next / run * t->stride + next % run * 64, 0, 2);
        int rows = mm_tile_rows(t->m - i);
        switch (rows) {
#define ROWS(r) case r: mm_micro(t, i, h, r, wide, full, transposed); break;
        MM_CASES(ROWS)
#undef ROWS
        }
        i += (size_t)rows;
    }
}

static void k_mm_tile(const ada_tile *t)
{
    for (size_t h = 0; h * 16 < t->n; h += MM_WIDE) {
        int wide = MM_WIDE == 2 && t->n > (h + 1) * 16 ? 2 : 1;
        int full = t->n >= (h + (size_t)wide) * 16;
#define STRIP(w) do {                                                                                        \
            if (t->transposed) {                                                                             \
                if (full) mm_strip(t, h, w, 1, 1);                                                           \
                else mm_strip(t, h, w, 0, 1);                                                                \
            } else {                                                                                         \
                if (full) mm_strip(t, h, w, 1, 0);                                                           \
                else mm_strip(t, h, w, 0, 0);                                                                \
            }                                                                                                \
        } while (0)
        if (MM_WIDE == 2 && wide == 2) STRIP(MM_WIDE);
        else STRIP(1);
#undef STRIP
    }
}

/* The few rows of decoding: bound by reading w once, so it is widened on its way through the registers. */
VEC void mm_few(float *y, size_t ldy, size_t n, int add, const float *x, size_t ldx, const int rows,
                const uint32_t *w, size_t k)
{
    const vi high = vi_set1((int32_t)0xffff0000);
    vf acc[3][2];
    UNROLL for (int r = 0; r < rows; r++) acc[r][0] = acc[r][1] = vf_zero();
    for (size_t j = 0; j < k; j += 2, w += 32) {
        __builtin_prefetch(w + 512);
        __builtin_prefetch(w + 528);
        UNROLL for (int v = 0; v < 2; v++) {
            vi word = vi_load((const int32_t *)w + v * 16);
            vf even = vi_bits(vi_shl(word, 16)), odd = vi_bits(vi_and(word, high));
            UNROLL for (int r = 0; r < rows; r++) {
                const float *p = x + (size_t)r * ldx + j;
                acc[r][v] = vf_fma(vf_set1(p[1]), odd, vf_fma(vf_set1(p[0]), even, acc[r][v]));
            }
        }
    }
    UNROLL for (int r = 0; r < rows; r++, y += ldy)
        UNROLL for (int v = 0; v < 2; v++) {
            size_t at = (size_t)v * 16, left = n > at ? n - at : 0;
            left = left > 16 ? 16 : left;
            vf_store_n(y + at, add ? vf_add(vf_load_n(y + at, left), acc[r][v]) : acc[r][v], left);
        }
}
static void k_mm_rows(float *y, size_t ldy, size_t n, int add, const float *x, size_t ldx, size_t m,
                      const uint32_t *w, size_t k)
{
    for (; m >= 3; m -= 3, x += 3 * ldx, y += 3 * ldy) mm_few(y, ldy, n, add, x, ldx, 3, w, k);
    if (m == 2) mm_few(y, ldy, n, add, x, ldx, 2, w, k);
    else if (m == 1) mm_few(y, ldy, n, add, x, ldx, 1, w, k);
}

static void k_mm_widen(float *b, const uint32_t *w, size_t k)
{
    const vi high = vi_set1((int32_t)0xffff0000);
    for (size_t j = 0; j < k; j += 2, w += 32, b += 32) {
        vi word = vi_load((const int32_t *)w);
        vf_store(b, vi_bits(vi_shl(word, 16)));
        vf_store(b + 16, vi_bits(vi_and(word, high)));
    }
}

static void k_mm_widen_back(float *b, const uint32_t *w)
{
    for (size_t i = 0; i < 32; i += 8) vf_turn8_bf16(b + i * 16, w + i, 32);
}

static void k_mm_turn(void *b, size_t ldb, const void *x, size_t ldx, size_t n, size_t k)
{
    const char *from = x;
    char *to = b;
    for (size_t i = 0; i < n; i += 8)
        for (size_t j = 0; j < k; j += 8)
            if (n - i >= 8 && k - j >= 8) {
                vi_turn8(to + 4 * (j * ldb + i), ldb, from + 4 * (i * ldx + j), ldx);
            } else {
                for (size_t r = i; r < n && r < i + 8; r++)
                    for (size_t c = j; c < k && c < j + 8; c++)
                        __builtin_memcpy(to + 4 * (c * ldb + r), from + 4 * (r * ldx + c), 4);
            }
}

#endif
