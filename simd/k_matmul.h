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
static void k_mm_narrow(uint16_t *h, size_t ldh, const float *y, size_t ldy, const float *bias, size_t m,
                        size_t n)
{
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++)
            h[i * ldh + j] = ada_bf16_of(bias ? y[i * ldy + j] + bias[j] : y[i * ldy + j]);
}
static void k_mm_turn(void *b, size_t ldb, const void *x, size_t ldx, size_t n, size_t k)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < k; j++)
            __builtin_memcpy((char *)b + 4 * (j * ldb + i), (const char *)x + 4 * (i * ldx + j), 4);
}
#else

/* Most rows of a register tile of one 16-column half and of two: the accumulators, one broadcast and the b
 * vectors fill the registers of the ISA. Fewest: with less there are too few chains to fill the pipes. */
#if defined(ADA_ISA_AVX512)
enum { MM_ROWS = 12, MM_ROWS_WIDE = 12, MM_LEAST = 3, MM_LEAST_WIDE = 3, MM_WIDE = 2 };
#define MM_CASES(c) c(12) c(11) c(10) c(9) c(8) c(7) c(6) c(5) c(4) c(3) c(2) c(1)
#elif defined(ADA_ISA_SCALAR)
enum { MM_ROWS = 1, MM_ROWS_WIDE = 1, MM_LEAST = 1, MM_LEAST_WIDE = 1, MM_WIDE = 1 };
#define MM_CASES(c) c(1)
#else
#ifdef ADA_ISA_AVX2
enum { MM_WIDE = 2 };
#else
enum { MM_WIDE = 1 };
#endif
enum { MM_ROWS = 6, MM_ROWS_WIDE = 3, MM_LEAST = 3, MM_LEAST_WIDE = 2 };
#define MM_CASES(c) c(6) c(5) c(4) c(3) c(2) c(1)
#endif

VEC int mm_most(const int wide) { return wide == 2 ? MM_ROWS_WIDE : MM_ROWS; }

/* Rows of the next tile of those left: too small a remainder takes some of the last whole tile's. */
VEC int mm_tile_rows(size_t left, const int wide)
{
    size_t most = (size_t)mm_most(wide), least = wide == 2 ? MM_LEAST_WIDE : MM_LEAST;
    if (left > most && left < most + least) return (int)(most + 1 - least);
    return (int)(left < most ? left : most);
}

/* acc + x · b, x the same number in all lanes. Where registers are short (three rows of two halves), the last
 * of b is read for each row anew, at `at`: in an instruction that multiplies this costs nothing, and the
 * compiler would not leave it there. */
VEC vf mm_second(vf x, vf b, const float *at, vf acc)
{
#ifdef ADA_ISA_AVX2
    acc.l = _mm256_fmadd_ps(x.l, b.l, acc.l);
    __asm__("vfmadd231ps %2, %1, %0" : "+x"(acc.h) : "x"(x.l), "m"(*(const __m256_u *)(at + 8)));
    return acc;
#else
    (void)at;
    return vf_fma(x, b, acc);
#endif
}

VEC const float *mm_past(const float *p, size_t bytes)
{
    return (const float *)(const void *)((const char *)p + bytes);
}

/* Element `e` of x's rows times line `e` of b, or the next one where lines are apart. Several in a row count
 * addresses once. Distances are in bytes, and of unknown value (MM_HIDE): else they are added up ahead, for
 * more registers than there are. */
#define MM_STEP(e) do {                                                                                      \
        const float *line = kind & MM_APART ? b : b + (e) * 16, *second = mm_past(line, half);               \
        vf bv[2] = {vf_load(line), wide == 2 ? vf_load(second) : vf_zero()};                                 \
        UNROLL for (int r = 0; r < rows; r++) {                                                              \
            const float *p = mm_past(r < 3 ? x : r < 6 ? x3 : r < 9 ? x6 : x9, (size_t)(r % 3) * apart);     \
            vf xv = vf_set1(kind & MM_TURNED ? x[r] : p[e]);                                                 \
            acc[r][0] = vf_fma(xv, bv[0], acc[r][0]);                                                        \
            if (wide == 2) acc[r][1] = mm_second(xv, bv[1], second, acc[r][1]);                              \
        }                                                                                                    \
        if (kind & MM_APART) b = mm_past(b, step);                                                           \
        if (kind & MM_TURNED) x += ldx;                                                                      \
        if (kind) MM_HIDE;                                                                                   \
    } while (0)
#define MM_HIDE __asm__("" : "+r"(b), "+r"(apart), "+r"(half))
enum { MM_STEPS = 8 };

/* Of a call: columns are missing; x lies turned; b's lines are apart. */
enum { MM_PART = 1, MM_TURNED = 2, MM_APART = 4 };

/* Rows i … i+rows-1 of half h (and h+1 if wide is 2). */
VEC void mm_micro(const ada_tile *t, size_t i, size_t h, const int rows, const int wide, const int kind)
{
    const float *x = t->x + (kind & MM_TURNED ? i : i * t->ldx), *b = t->b + h * t->ldb;
    const size_t ldx = t->ldx, step = t->step * sizeof *b, k = t->k;
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
    const float *next = x + (size_t)rows * ldx; /* rows of the next tile, on their way from L2 to L1 */
    size_t j = 0, apart = ldx * sizeof *x, half = t->ldb * sizeof *b;
    for (; rows == mm_most(wide) && j + MM_STEPS <= k; j += MM_STEPS) {
        if (!(kind & MM_TURNED) && rows > 1 && j % 16 == 0)
            UNROLL for (int r = 0; r < rows; r++) __builtin_prefetch(next + j + (size_t)r * ldx, 0, 3);
        UNROLL for (int e = 0; e < MM_STEPS; e++) MM_STEP((size_t)e);
        if (!(kind & MM_APART)) b += MM_STEPS * 16;
        if (!(kind & MM_TURNED)) x += MM_STEPS, x3 += MM_STEPS, x6 += MM_STEPS, x9 += MM_STEPS;
        MM_HIDE;
    }
    for (; j < k; j++) {
        MM_STEP(0);
        if (!(kind & MM_APART)) b += 16;
        if (!(kind & MM_TURNED)) x++, x3++, x6++, x9++;
        MM_HIDE;
    }
    float *y = t->y + i * t->ldy + h * 16;
    UNROLL for (int r = 0; r < rows; r++, y += t->ldy)
        UNROLL for (int v = 0; v < wide; v++) {
            if (kind & MM_PART) {
                size_t n = t->n - (h + (size_t)v) * 16;
                n = n > 16 ? 16 : n;
                vf_store_n(y + v * 16, t->add ? vf_add(vf_load_n(y + v * 16, n), acc[r][v]) : acc[r][v], n);
            } else {
                vf_store(y + v * 16, t->add ? vf_add(vf_load(y + v * 16), acc[r][v]) : acc[r][v]);
            }
        }
}

/* All rows of one column strip. */
VEC void mm_strip(const ada_tile *t, size_t h, const int wide, const int kind)
{
    const char *ahead = t->ahead;
    size_t most = (size_t)mm_most(wide), tiles = (t->m + most - 1) / most * (2 / (size_t)wide);
    size_t lines = (t->nahead + 63) / 64, each = ahead ? (lines + tiles - 1) / tiles : 0;
    size_t next = h ? each * tiles / 2 : 0, run = t->run ? t->run / 64 : lines;
    for (size_t i = 0; i < t->m;) {
        for (size_t e = next + each; next < e && next < lines; next++)
            __builtin_prefetch(ahead + next / run * t->stride + next % run * 64, 0, 2);
        int rows = mm_tile_rows(t->m - i, wide);
        switch (rows) {
#define ROWS(r) case r: mm_micro(t, i, h, r, wide, kind); break;
        MM_CASES(ROWS)
#undef ROWS
        }
        i += (size_t)rows;
    }
}

/* A part's columns need no haste: it takes lines that are apart for granted. */
VEC void mm_halves(const ada_tile *t, size_t h, const int wide)
{
    int part = t->n < (h + (size_t)wide) * 16;
    if (t->transposed) {
        if (part) mm_strip(t, h, wide, MM_TURNED | MM_APART | MM_PART);
        else mm_strip(t, h, wide, MM_TURNED | MM_APART);
    } else {
        if (part) mm_strip(t, h, wide, MM_APART | MM_PART);
        else if (t->step == 16) mm_strip(t, h, wide, 0);
        else mm_strip(t, h, wide, MM_APART);
    }
}

static void k_mm_tile(const ada_tile *t)
{
    for (size_t h = 0; h * 16 < t->n; h += MM_WIDE)
        if (MM_WIDE == 2 && t->n > (h + 1) * 16) mm_halves(t, h, MM_WIDE);
        else mm_halves(t, h, 1);
}
#undef MM_STEP
#undef MM_HIDE

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

static void k_mm_narrow(uint16_t *h, size_t ldh, const float *y, size_t ldy, const float *bias, size_t rows,
                        size_t n)
{
    for (; rows-- > 0; h += ldh, y += ldy) {
        if (bias) VEC_EACH(n, ST16(h, vf_add(LD(y), LD(bias))));
        else VEC_EACH(n, ST16(h, LD(y)));
    }
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
