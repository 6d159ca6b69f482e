/* SPDX-License-Identifier: Apache-2.0
 * Products with packed weights against the definition: fmaf after fmaf, compared by bits for our
 * own maker. Odd shapes, stacked, permuted and transposed parts, every row count alone and together, 1-4
 * threads, add. oneDNN against our own, and to the same promise where it is taken. */
#include "engine/matmul.h"
#include "engine/matmul_pieces.h"
#include "engine/par.h"
#include "io/os.h"
#include "simd/half.h"
#include "simd/kernels.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static uint32_t seed = 1;
static float draw(void) {
    seed = seed * 1664525u + 1013904223u;
    return (float)(int32_t)seed * 0x1p-31f;
}
static float rounded(float f, ada_dtype type) {
    return type == ADA_BF16 ? ada_bf16_value(ada_bf16_of(f)) : f;
}

static void *list(size_t n, size_t size) {
    void *p = malloc(n * size + 64);
    assert_non_null(p);
    return p;
}

/* One product's operands: a row-major [m, k] in the type and widened, w [n, k] widened. */
struct operands {
    size_t m, n, k, lda;
    ada_dtype type;
    void *a;
    float *wide, *w;
};

static struct operands operands_new(size_t m, size_t n, size_t k, ada_dtype type) {
    struct operands o = {.m = m, .n = n, .k = k, .lda = k + 3, .type = type};
    o.a = list(m * o.lda, 4), o.wide = list(m * o.lda, 4), o.w = list(n * k, 4);
    for (size_t i = 0; i < m * o.lda; i++) {
        o.wide[i] = rounded(draw(), type);
        if (type == ADA_BF16)
            ((uint16_t *)o.a)[i] = ada_bf16_of(o.wide[i]);
        else
            ((float *)o.a)[i] = o.wide[i];
    }
    for (size_t i = 0; i < n * k; i++) o.w[i] = rounded(draw(), type);
    return o;
}
static void operands_free(struct operands *o) {
    free(o->a), free(o->wide), free(o->w);
}
static const void *row(const struct operands *o, size_t i) {
    return (char *)o->a + i * o->lda * (o->type == ADA_BF16 ? 2 : 4);
}

static ada_mat *pack(ada_arena *arena, const float *w, size_t n, size_t k, ada_dtype type) {
    ada_tensor t = {.name = "w",
                    .dtype = ADA_F32,
                    .ndim = 2,
                    .shape = {(int64_t)n, (int64_t)k},
                    .data = w,
                    .bytes = n * k * 4};
    ada_mat *mat = NULL;
    assert_int_equal(ada_mat_pack(&mat, arena, &(ada_mat_part){.t = &t, .rows = n}, 1, k, type), ADA_OK);
    return mat;
}

/* y [m, n] by the definition; `back`: w is [k, n] instead, and ranges of k but the last are summed apart. */
static void define(const struct operands *o, bool back, float *y) {
    for (size_t i = 0; i < o->m; i++)
        for (size_t h = 0; h < o->n; h++) {
            size_t ranges = (o->k + 575) / 576, range = ((o->k + ranges - 1) / ranges + 31) / 32 * 32;
            float acc = 0, before = 0;
            for (size_t j = 0; j < o->k; j++) {
                if (back && j % range == 0 && j) before += acc, acc = o->k - j > range ? 0 : before;
                acc = fmaf(o->wide[i * o->lda + j], back ? o->w[j * o->n + h] : o->w[h * o->k + j], acc);
            }
            y[i * o->n + h] = acc;
        }
}

static void run_to(const ada_mat *mat, bool back, const void *x, size_t ldx, size_t m, ada_end end) {
    if (back)
        ada_matmul_back(mat, x, ldx, m, &end);
    else
        ada_matmul(mat, x, ldx, m, &end);
}

static void run(const ada_mat *mat, bool back, const void *x, size_t ldx, size_t m, float *y, size_t ldy,
                bool add) {
    run_to(mat, back, x, ldx, m, (ada_end){.y = y, .ld = ldy, .add = add});
}

static float value(const void *p, size_t i, ada_dtype type) {
    return type == ADA_BF16 ? ada_bf16_value(((const uint16_t *)p)[i]) : ((const float *)p)[i];
}

/* Every end of products of which `want` [m, n] is the plain one and `sum` the one that is added. */
static void ends(const ada_mat *mat, const struct operands *o, bool back, const float *want, const float *sum,
                 const float *start, const float *bias) {
    size_t m = o->m, n = o->n, ldy = n + 5;
    float *y = list(m * ldy, 4);
    char *narrow = list(m * n + 8, 4);
    for (int add = 0; add < 2; add++) {
        memcpy(y, start, m * ldy * sizeof *y);
        run_to(mat, back, o->a, o->lda, m, (ada_end){.y = y, .ld = ldy, .add = add, .bias = bias});
        for (size_t i = 0; i < m * ldy; i++) {
            size_t at = i / ldy * n + i % ldy;
            assert_true(y[i] == (i % ldy >= n ? 7.0f : (add ? sum : want)[at] + bias[i % ldy]));
        }
    }
    for (int with = 0; with < 2; with++) {
        memset(narrow, 0x55, (m * n + 8) * 4);
        run_to(mat, back, o->a, o->lda, m,
               (ada_end){.y = y, .ld = n, .bias = with ? bias : NULL, .narrow = narrow});
        for (size_t i = 0; i < m * n; i++)
            assert_true(value(narrow, i, o->type) == rounded(want[i] + (with ? bias[i % n] : 0), o->type));
        assert_int_equal(narrow[m * n * (o->type == ADA_BF16 ? 2 : 4)], 0x55);
    }
    free(y), free(narrow);
}

static void same_rows(const float *y, size_t ldy, const float *want, size_t m, size_t n) {
    for (size_t i = 0; i < m; i++) {
        assert_memory_equal(y + i * ldy, want + i * n, n * sizeof *y);
        for (size_t h = n; h < ldy; h++) assert_true(y[i * ldy + h] == 7.0f);
    }
}

static void check(size_t m, size_t n, size_t k, ada_dtype type, bool back) {
    struct operands o = operands_new(m, n, k, type);
    ada_arena arena = {0};
    ada_mat *mat = pack(&arena, o.w, back ? k : n, back ? n : k, type);
    size_t ldy = n + 5;
    float *y = list(m * ldy, 4), *want = list(m * n, 4), *sum = list(m * n, 4), *start = list(m * ldy, 4);
    define(&o, back, want);
    for (size_t i = 0; i < m * ldy; i++) start[i] = i % ldy < n ? draw() : 7.0f;
    for (size_t i = 0; i < m * n; i++) sum[i] = start[i / n * ldy + i % n] + want[i];
    float *bias = list(n, 4);
    for (size_t i = 0; i < n; i++) bias[i] = draw();
    for (int team = 1; team <= 4; team++) {
        ada_par_force(team);
        assert_int_equal(ada_matmul_reserve(m, n, k, false), ADA_OK);
        for (size_t i = 0; i < m * ldy; i++) y[i] = 7.0f;
        run(mat, back, o.a, o.lda, m, y, ldy, false);
        same_rows(y, ldy, want, m, n);
        memcpy(y, start, m * ldy * sizeof *y);
        run(mat, back, o.a, o.lda, m, y, ldy, true);
        same_rows(y, ldy, sum, m, n);
        ends(mat, &o, back, want, sum, start, bias);
    }
    /* the same rows in pieces of 1, 2, … */
    for (size_t i = 0, piece = 1; i < m; i += piece, piece += 3) {
        size_t part = m - i < piece ? m - i : piece;
        for (size_t j = 0; j < part * ldy; j++) y[j] = 7.0f;
        run(mat, back, row(&o, i), o.lda, part, y, ldy, false);
        same_rows(y, ldy, want + i * n, part, n);
    }
    ada_mat_close(&mat);
    ada_arena_free(&arena);
    free(y), free(want), free(sum), free(start), free(bias);
    operands_free(&o);
}

static void by_definition(void **state) {
    (void)state;
    static const size_t ms[] = {1, 2, 3, 4, 5, 6, 7, 8, 13, 14, 29, 193, 400};
    static const size_t nks[][2] = {{1, 1}, {7, 5}, {16, 33}, {33, 17}, {40, 289}, {100, 600}, {290, 31}};
    for (size_t t = 0; t < 2; t++)
        for (int back = 0; back < 2; back++)
            for (size_t i = 0; i < sizeof ms / sizeof *ms; i++)
                for (size_t s = 0; s < sizeof nks / sizeof *nks; s++)
                    check(ms[i], nks[s][0], nks[s][1], t ? ADA_F32 : ADA_BF16, back);
}

/* A gradient through an LM head has as many terms as words. Measured: 5.9e-7 with ranges summed apart, 4.4e-6
 * as one chain; the bar is four times the former, as any such measure here. */
static void long_back(void **state) {
    (void)state;
    enum { M = 4, N = 33, K = 43200 };
    struct operands o = operands_new(M, N, K, ADA_F32);
    ada_arena arena = {0};
    ada_mat *mat = pack(&arena, o.w, K, N, ADA_F32);
    float y[M * N];
    double rms = 0, size = 0;
    assert_int_equal(ada_matmul_reserve(M, K, K, false), ADA_OK);
    run(mat, true, o.a, o.lda, M, y, N, false);
    for (size_t i = 0; i < M; i++)
        for (size_t h = 0; h < N; h++) {
            double sum = 0;
            for (size_t j = 0; j < K; j++) sum += (double)o.wide[i * o.lda + j] * (double)o.w[j * N + h];
            rms += pow((double)y[i * N + h] - sum, 2), size += sum * sum;
        }
    print_message("error of %d terms: %.3g of the sums\n", K, sqrt(rms / size));
    assert_true(sqrt(rms / size) < 2.4e-6);
    ada_mat_close(&mat);
    ada_arena_free(&arena);
    operands_free(&o);
}

/* Special values: an infinity reaches its own row and column alone, NaN likewise, -0 survives. */
static void specials(void **state) {
    (void)state;
    struct operands o = operands_new(5, 40, 300, ADA_F32);
    o.wide[1 * o.lda + 7] = ((float *)o.a)[1 * o.lda + 7] = INFINITY;
    o.w[3 * 300 + 8] = NAN;
    ada_arena arena = {0};
    ada_mat *mat = pack(&arena, o.w, 40, 300, ADA_F32);
    float y[5 * 40];
    assert_int_equal(ada_matmul_reserve(5, 40, 300, false), ADA_OK);
    run(mat, false, o.a, o.lda, 5, y, 40, false);
    for (size_t i = 0; i < 5; i++)
        for (size_t h = 0; h < 40; h++)
            assert_true(h == 3   ? isnan(y[i * 40 + h])
                        : i == 1 ? isinf(y[i * 40 + h])
                                 : isfinite(y[i * 40 + h]));
    ada_arena_free(&arena);
    operands_free(&o);
}

/* Parts stacked by rows: plain, permuted, transposed, of different types. */
static void stacked(void **state) {
    (void)state;
    enum { K = 37, A = 20, B = 9, C = 13 };
    static const int32_t perm[B] = {3, 1, 4, 0, 5, 8, 2, 6, 7};
    float a[A * K], b[B * K], c[C * K], turned[C * K], want[(A + B + C) * K], got[K];
    uint16_t c16[C * K];
    for (size_t i = 0; i < A * K; i++) want[i] = a[i] = draw();
    for (size_t i = 0; i < B * K; i++) b[i] = draw();
    for (size_t i = 0; i < C * K; i++) c[i] = ada_bf16_value(ada_bf16_of(draw()));
    for (size_t i = 0; i < B; i++) memcpy(want + (A + i) * K, b + (size_t)perm[i] * K, sizeof got);
    memcpy(want + (A + B) * K, c, sizeof c);
    for (size_t i = 0; i < C; i++)
        for (size_t j = 0; j < K; j++) turned[j * C + i] = c[i * K + j];
    for (size_t i = 0; i < C * K; i++) c16[i] = ada_bf16_of(c[i]);
    ada_tensor ta = {.name = "a", .dtype = ADA_F32, .ndim = 2, .shape = {A, K}, .data = a, .bytes = sizeof a};
    ada_tensor tb = {.name = "b", .dtype = ADA_F32, .ndim = 2, .shape = {B, K}, .data = b, .bytes = sizeof b};
    ada_tensor tc = {
        .name = "c", .dtype = ADA_F32, .ndim = 2, .shape = {K, C}, .data = turned, .bytes = sizeof turned};
    ada_tensor th = {
        .name = "h", .dtype = ADA_BF16, .ndim = 2, .shape = {C, K}, .data = c16, .bytes = sizeof c16};
    for (int type = 0; type < 2; type++)
        for (int half = 0; half < 2; half++) {
            ada_mat_part parts[3] = {{.t = &ta, .rows = A},
                                     {.t = &tb, .rows = B, .rows_perm = perm},
                                     {.t = half ? &th : &tc, .rows = C, .transposed = !half}};
            ada_arena arena = {0};
            ada_mat *mat = NULL;
            assert_int_equal(ada_mat_pack(&mat, &arena, parts, 3, K, type ? ADA_F32 : ADA_BF16), ADA_OK);
            assert_int_equal(ada_mat_rows(mat), A + B + C);
            assert_int_equal(ada_mat_cols(mat), K);
            for (size_t i = 0; i < A + B + C; i++) {
                ada_mat_row(mat, i, got);
                for (size_t j = 0; j < K; j++)
                    assert_true(got[j] == rounded(want[i * K + j], type ? ADA_F32 : ADA_BF16));
            }
            ada_mat_close(&mat);
            ada_arena_free(&arena);
        }
}

static void refusals(void **state) {
    (void)state;
    float a[12] = {0};
    ada_arena arena = {0};
    ada_mat *mat;
    ada_tensor t = {.name = "a", .dtype = ADA_F32, .ndim = 2, .shape = {3, 4}, .data = a, .bytes = sizeof a};
    ada_mat_part p = {.t = &t, .rows = 3};
    assert_int_equal(ada_mat_pack(&mat, &arena, &p, 1, 5, ADA_BF16), ADA_EMISMATCH);
    assert_int_equal(ada_mat_pack(&mat, &arena, &p, 1, 4, ADA_F16), ADA_EUNSUPPORTED);
    assert_int_equal(ada_mat_pack(&mat, &arena, &p, 0, 4, ADA_F32), ADA_EUNSUPPORTED);
    t.dtype = ADA_I32;
    assert_int_equal(ada_mat_pack(&mat, &arena, &p, 1, 4, ADA_F32), ADA_EUNSUPPORTED);
    t.dtype = ADA_Q8_0;
    assert_int_equal(ada_mat_pack(&mat, &arena, &p, 1, 4, ADA_F32), ADA_EUNSUPPORTED);
    assert_null(mat);
    ada_arena_free(&arena);
}

/* A pinned oneDNN against our own. Each sums k products of values below 1 in f32 in an order of its own:
 * after Higham both are within k·u·Σ|x·w| of the true sum, so they differ by 2 k u k at most; a bias and what
 * is added to are terms, too. Narrowed, each may go half a unit of bf16 its own way, 2⁻⁸ of it at most. */
static void check_library(size_t m, size_t n, size_t k, ada_dtype type, bool back) {
    struct operands o = operands_new(m, n, k, type);
    ada_arena arena = {0};
    size_t ldy = n + 5, rows = back ? k : n, cols = back ? n : k;
    ada_mat *own = pack(&arena, o.w, rows, cols, type);
    setenv("ADALINK_MATMUL", "dnnl", 1);
    ada_mat *lib = pack(&arena, o.w, rows, cols, type);
    setenv("ADALINK_MATMUL", "own", 1);
    /* f32 works anywhere */
    if (strncmp(ada_mat_maker(lib), "own/", 4) == 0) assert_int_equal(type, ADA_BF16);
    assert_int_equal(ada_mat_prepare(lib, &arena, ADA_FORWARD | ADA_BACKWARD), ADA_OK);
    assert_int_equal(ada_mat_prepare(lib, &arena, ADA_BACKWARD), ADA_OK);
    float *y = list(m * ldy, 4), *z = list(m * ldy, 4), *a = list(cols, 4), *b = list(cols, 4),
          *p = list(m * n, 4), *q = list(m * n, 4);
    float *bias = list(n, 4);
    for (size_t i = 0; i < n; i++) bias[i] = draw();
    for (int how = 0; how < 6; how++) /* added or not, with a bias or not; narrowed, with one or not */
        for (int team = 1; team <= 3; team += 2) {
            bool narrow = how >= 4;
            size_t ld = narrow ? n : ldy;
            double terms = (double)k + how % 2 + (how / 2 == 1), bound = 2 * terms * terms * 0x1p-24;
            ada_par_force(team);
            assert_int_equal(ada_matmul_reserve(m, n > k ? n : k, n > k ? n : k, false), ADA_OK);
            for (size_t i = 0; i < m * ldy; i++) y[i] = z[i] = i % ldy < n ? draw() : 7.0f;
            ada_end end = {.y = y, .ld = ld, .add = how / 2 == 1, .bias = how % 2 ? bias : NULL};
            if (narrow) end.narrow = p;
            run_to(own, back, o.a, o.lda, m, end);
            if (narrow) end.narrow = q;
            end.y = z;
            run_to(lib, back, o.a, o.lda, m, end);
            for (size_t i = 0; narrow && i < m * n; i++) {
                double one = (double)value(p, i, type), two = (double)value(q, i, type);
                double half = type == ADA_BF16 ? 0x1p-8 : 0;
                assert_true(fabs(one - two) <= bound + half * (fabs(one) + fabs(two)));
            }
            for (size_t i = 0; !narrow && i < m * ldy; i++)
                assert_true(i % ldy < n ? fabs((double)y[i] - (double)z[i]) <= bound : z[i] == 7.0f);
        }
    for (size_t i = 0; i < rows; i++) {
        ada_mat_row(own, i, a), ada_mat_row(lib, i, b);
        assert_memory_equal(a, b, cols * sizeof *a);
    }
    ada_mat_close(&lib), ada_mat_close(&own);
    ada_arena_free(&arena);
    free(y), free(z), free(a), free(b), free(p), free(q), free(bias);
    operands_free(&o);
}

static void library(void **state) {
    (void)state;
    static const size_t ms[] = {1, 2, 3, 7, 13, 16, 29, 193, 600};
    static const size_t nks[][2] = {{1, 1}, {7, 5}, {33, 17}, {100, 289}, {64, 96}};
    for (size_t t = 0; t < 4; t++) {
        ada_pieces_force(t / 2 ? 2 : 0);
        for (int back = 0; back < 2; back++)
            for (size_t i = 0; i < sizeof ms / sizeof *ms; i++)
                for (size_t s = 0; s < sizeof nks / sizeof *nks; s++)
                    check_library(ms[i], nks[s][0], nks[s][1], t % 2 ? ADA_F32 : ADA_BF16, back);
    }
    ada_pieces_force(0);
}

/* Where nobody pins and oneDNN is taken, it keeps our promise: bits depend on neither threads nor M, nor on
 * how far apart rows are. cut: in pieces of the inner side. */
static void library_bits_of(bool cut) {
    enum { M = 600, N = 320 }; /* tiles are for nothing smaller, nor are they for smaller pieces */
    const size_t K = cut ? 640 : 320;
    static const size_t pieces[] = {1, 2, 3, 5, 16, 31, 64, 77, 100, 240, 255, 257, 600};
    size_t held = 0;
    unsetenv("ADALINK_MATMUL");
    ada_pieces_force(cut ? K : 0);
    ada_matmul_expect(77), ada_matmul_expect(257);
    for (int type = 0; type < 2; type++)
        for (int back = 0; back < 2; back++) {
            struct operands o = operands_new(M, N, K, type ? ADA_F32 : ADA_BF16);
            ada_arena arena = {0};
            ada_mat *mat = pack(&arena, o.w, back ? K : N, back ? N : K, o.type);
            size_t bytes = type ? 4 : 2;
            char *tight = list(M * K, 4);
            for (size_t i = 0; i < M; i++) memcpy(tight + i * K * bytes, row(&o, i), K * bytes);
            held += strncmp(ada_mat_maker(mat), "brg:", 4) == 0;
            assert_int_equal(ada_mat_prepare(mat, &arena, ADA_BACKWARD), ADA_OK);
            float *want[4], *y = list(M * N, 4), *spare = list(M * N, 4);
            for (int how = 0; how < 4; how++) want[how] = list(M * N, 4);
            for (int team = 1; team <= 4; team++) {
                ada_par_force(team);
                assert_int_equal(ada_matmul_reserve(M, K, K, false), ADA_OK);
                for (int how = 0; how < 4; how++) { /* with a bias, narrowed */
                    ada_end whole = {.y = want[how], .ld = N, .bias = how % 2 ? o.w : NULL};
                    if (how / 2) whole.narrow = want[how], whole.y = spare;
                    if (team == 1) run_to(mat, back, tight, K, M, whole);
                    for (size_t p = 0; p < 2 * sizeof pieces / sizeof *pieces; p += cut ? 3 : 1) {
                        size_t ldx = p % 2 ? o.lda : K, piece = pieces[p / 2], out = how / 2 ? bytes : 4;
                        const char *x = p % 2 ? o.a : tight;
                        for (size_t i = 0; i < M; i += piece) {
                            ada_end e = whole;
                            e.y = how / 2 ? spare : y + i * N;
                            if (how / 2) e.narrow = (char *)y + i * N * bytes;
                            run_to(mat, back, x + i * ldx * bytes, ldx, M - i < piece ? M - i : piece, e);
                        }
                        assert_memory_equal(y, want[how], M * N * out);
                    }
                }
            }
            ada_mat_close(&mat);
            ada_arena_free(&arena);
            for (int how = 0; how < 4; how++) free(want[how]);
            free(y), free(spare), free(tight);
            operands_free(&o);
        }
    setenv("ADALINK_MATMUL", "own", 1);
    ada_pieces_force(0);
    if (!held) print_message("oneDNN has no brg: implementation here: our own was held to the promise\n");
}

static void library_bits(void **state) {
    (void)state;
    for (int cut = 0; cut < 2; cut++) library_bits_of(cut);
}

struct apart {
    const ada_mat *mat;
    bool back;
    const struct operands *o;
    const uint16_t *tight; /* [m, k], or NULL: rows further apart than they are long, through padding */
    size_t piece;
    float *y; /* [m, n] */
};

static void one_piece(void *ctx, size_t i, int worker) {
    const struct apart *j = ctx;
    size_t first = i * j->piece, left = j->o->m - first, n = j->o->n, k = j->o->k;
    const void *x = j->tight ? j->tight + first * k : row(j->o, first);
    (void)worker;
    run(j->mat, j->back, x, j->tight ? k : j->o->lda, left < j->piece ? left : j->piece, j->y + first * n, n,
        false);
}

/* Threads that multiply each on its own, all at once, get the same bits. */
static void apart_bits_of(bool back, size_t N, size_t K) {
    enum { M = 257 * 5 };
    static const size_t pieces[] = {7, 16, 77, 240, 257};
    struct operands o = operands_new(M, N, K, ADA_BF16);
    ada_arena arena = {0};
    ada_mat *mat = pack(&arena, o.w, back ? K : N, back ? N : K, o.type);
    float *want = list(M * N, 4), *y = list(M * N, 4);
    uint16_t *tight = list(M * K, sizeof *tight);
    for (size_t i = 0; i < M; i++) memcpy(tight + i * K, row(&o, i), K * sizeof *tight);
    ada_par_force(1);
    assert_int_equal(ada_mat_prepare(mat, &arena, ADA_FORWARD | ADA_BACKWARD), ADA_OK);
    assert_int_equal(ada_matmul_reserve(M, N > K ? N : K, N > K ? N : K, true), ADA_OK);
    one_piece(&(struct apart){mat, back, &o, NULL, M, want}, 0, 0);
    for (int team = 2; team <= 4; team++) {
        ada_par_force(team);
        assert_int_equal(ada_matmul_reserve(M, N > K ? N : K, N > K ? N : K, true), ADA_OK);
        for (size_t p = 0; p < 6 * sizeof pieces / sizeof *pieces; p++) {
            size_t piece = pieces[p / 6];
            if (p / 6 % 2 == 0) ada_matmul_expect(piece);
            memset(y, 0xff, M * N * sizeof *y);
            struct apart job = {mat, back, &o, p % 2 ? tight : NULL, piece, y};
            ada_matmul_apart((M + piece - 1) / piece, one_piece, &job);
            assert_memory_equal(y, want, M * N * sizeof *y);
        }
    }
    ada_mat_close(&mat);
    ada_arena_free(&arena);
    free(want), free(y), free(tight);
    operands_free(&o);
}

static void apart_bits(void **state) {
    (void)state;
    for (int back = 0; back < 2; back++) apart_bits_of(back, 96, 64);
    unsetenv("ADALINK_MATMUL"); /* the library, where it has something to offer */
    for (int i = 0; i < 4; i++) {
        ada_pieces_force(i / 2 ? 640 : 0);
        apart_bits_of(i % 2, 320, i / 2 ? 640 : 320);
    }
    ada_pieces_force(0);
    setenv("ADALINK_MATMUL", "own", 1);
}

static size_t taken;
/* An x that is made as it is read gives what it gives where it lies: whole and cut, by either maker, more
 * rows at once than there is room for in pieces; and it is there afterwards if that is wanted. */
struct maker {
    const char *x;
    size_t m, k, bytes;
};
static void make_row(const void *ctx, size_t i, size_t first, size_t n, void *to) {
    const struct maker *j = ctx;
    assert_true(i < j->m && first + n <= j->k);
    memcpy(to, j->x + (i * j->k + first) * j->bytes, n * j->bytes);
}

static void made_of(ada_dtype type, size_t m) {
    enum { N = 96, K = 656, ROOM = 100 };
    struct operands o = operands_new(m, N, K, type);
    ada_arena arena = {0};
    ada_mat *mat = pack(&arena, o.w, N, K, type);
    struct maker j = {list(m * K, 4), m, K, type == ADA_BF16 ? 2 : 4};
    float *want = list(m * N, 4), *y = list(m * N, 4);
    void *all = list(m * K, 4);
    for (size_t i = 0; i < m; i++) memcpy((char *)(uintptr_t)j.x + i * K * j.bytes, row(&o, i), K * j.bytes);
    for (int team = 1; team <= 3; team++) {
        ada_par_force(team);
        assert_int_equal(ada_matmul_reserve(m < ROOM ? m : ROOM, N, K, false), ADA_OK);
        for (int wanted = 0; wanted < 2; wanted++) {
            const ada_made x = {make_row, &j, all, wanted};
            run(mat, false, j.x, K, m, want, N, false);
            memset(all, 0xff, m * K * j.bytes), memset(y, 0xff, m * N * sizeof *y);
            ada_matmul_made(mat, &x, m, &(ada_end){.y = y, .ld = N});
            assert_memory_equal(y, want, m * N * sizeof *y);
            if (wanted) assert_memory_equal(all, j.x, m * K * j.bytes);
        }
    }
    ada_mat_close(&mat);
    ada_arena_free(&arena);
    free((void *)(uintptr_t)j.x), free(want), free(y), free(all);
    operands_free(&o);
}

static void made(void **state) {
    (void)state;
    static const size_t ms[] = {1, 3, 20, 1500};
    for (int how = 0; how < 4; how++) {
        if (how / 2) unsetenv("ADALINK_MATMUL");
        ada_pieces_force(how % 2 ? 640 : 0);
        for (int t = 0; t < 2; t++)
            for (size_t i = 0; i < sizeof ms / sizeof *ms; i++) made_of(t ? ADA_F32 : ADA_BF16, ms[i]);
    }
    setenv("ADALINK_MATMUL", "own", 1);
    ada_pieces_force(0);
}

static void *(*take)(size_t);
static void *counted(size_t bytes) {
    taken += bytes;
    return take(bytes);
}

/* Scratch of each thread is for what it multiplies apart; what all multiply together is there once. */
static void scratch_once(void **state) {
    (void)state;
    enum { TEAM = 16, MOST = 4 << 20 };
    take = ada_os.alloc;
    ada_os.alloc = counted;
    ada_par_force(1);
    ada_matmul_release(), taken = 0;
    assert_int_equal(ada_matmul_reserve(128, 262144, 576, false), ADA_OK);
    size_t one = taken;
    assert_in_range(one, 128 * 3072 * sizeof(float), MOST);
    ada_par_force(TEAM);
    ada_matmul_release(), taken = 0;
    assert_int_equal(ada_matmul_reserve(128, 262144, 576, false), ADA_OK);
    assert_in_range(taken, one, one + TEAM * 256 * 1024); /* rooms grow */
    ada_matmul_release(), taken = 0;
    assert_int_equal(ada_matmul_reserve(64, 1024, 1024, true), ADA_OK);
    assert_in_range(taken, TEAM * 64 * 1024 * sizeof(float), 4 * MOST);
    size_t apart = taken;
    assert_int_equal(ada_matmul_reserve(128, 262144, 576, false), ADA_OK);
    assert_int_equal(taken, apart);
    ada_os.alloc = take;
}

static size_t granted;
static void *rationed(size_t bytes) {
    return granted-- > 0 ? take(bytes) : NULL;
}

/* What is refused for want of memory leaves a weight that is cut the room that it had. */
static void room_kept(void **state) {
    (void)state;
    enum { M = 16, N = 64, K = 96 };
    struct operands o = operands_new(M, N, K, ADA_F32);
    ada_arena arena = {0};
    float want[M * N], y[M * N];
    size_t refused = 0;
    setenv("ADALINK_MATMUL", "dnnl", 1);
    ada_pieces_force(64);
    ada_par_force(2);
    ada_mat *mat = pack(&arena, o.w, N, K, o.type);
    assert_int_equal(ada_matmul_reserve(M, K, K, true), ADA_OK);
    run(mat, false, o.a, o.lda, M, want, N, false);
    take = ada_os.alloc;
    for (size_t i = 0; i < 8; i++) {
        granted = i, ada_os.alloc = rationed;
        refused += ada_matmul_reserve((i + 1) * 1000, K, K, true) == ADA_ENOMEM;
        ada_os.alloc = take;
        run(mat, false, o.a, o.lda, M, y, N, false);
        assert_memory_equal(y, want, sizeof want);
    }
    assert_in_range(refused, 1, 7);
    setenv("ADALINK_MATMUL", "own", 1);
    ada_pieces_force(0);
    ada_mat_close(&mat);
    ada_arena_free(&arena);
    operands_free(&o);
}

static void pins(void **state) {
    (void)state;
    float a[12] = {0};
    ada_arena arena = {0};
    ada_mat *mat;
    ada_tensor t = {.name = "a", .dtype = ADA_F32, .ndim = 2, .shape = {3, 4}, .data = a, .bytes = sizeof a};
    ada_mat_part p = {.t = &t, .rows = 3};
    setenv("ADALINK_MATMUL", "mkl", 1);
    assert_int_equal(ada_mat_pack(&mat, &arena, &p, 1, 4, ADA_F32), ADA_EINVAL);
    assert_string_equal(ada_error(), "ADALINK_MATMUL 'mkl' is neither own nor dnnl");
    setenv("ADALINK_MATMUL", "own", 1);
    assert_int_equal(ada_mat_pack(&mat, &arena, &p, 1, 4, ADA_F32), ADA_OK);
    assert_memory_equal(ada_mat_maker(mat), "own/", 4);
    ada_mat_close(&mat);
    ada_mat_close(&mat);
    ada_arena_free(&arena);
}

static int own_maker(void **state) {
    (void)state;
    return setenv("ADALINK_MATMUL", "own", 1);
}
static int release(void **state) {
    (void)state;
    ada_matmul_release();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_definition), cmocka_unit_test(long_back),  cmocka_unit_test(specials),
        cmocka_unit_test(stacked),       cmocka_unit_test(refusals),   cmocka_unit_test(library),
        cmocka_unit_test(library_bits),  cmocka_unit_test(apart_bits), cmocka_unit_test(made),
        cmocka_unit_test(scratch_once),  cmocka_unit_test(room_kept),  cmocka_unit_test(pins)};
    return cmocka_run_group_tests(tests, own_maker, release);
}
