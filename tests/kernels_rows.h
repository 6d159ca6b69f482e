/* SPDX-License-Identifier: Apache-2.0
 * What each kernel of kernels.def takes, and how near to its oracle it must be. A row is three things: the
 * plan (buffers of a shape), the call, and the |difference| allowed to one element, derived from the number
 * of roundings on its way, each U = 2^-24 of what is rounded, the oracle's own last one among them; TINY
 * where a product may fall below the normals. Must not know: ISAs. Invariant: a kernel without a row does not
 * compile. */
#ifndef ADA_TESTS_KERNELS_ROWS_H
#define ADA_TESTS_KERNELS_ROWS_H

#include "tests/kernels_harness.h"

#define TINY 0x1p-142 /* 128 of the smallest denormals */

static void buf(struct job *j, enum elem elem, enum use use, enum fill fill, size_t count, unsigned may_be) {
    j->b[j->nbufs++] = (struct buf){elem, use, fill, count, may_be};
}
static void out(struct job *j, size_t count, unsigned may_be) {
    buf(j, F32, OUT, ANY, count, may_be);
}
static void in(struct job *j, size_t count, enum fill fill) {
    buf(j, F32, IN, fill, count, 0);
}
static void inout(struct job *j, size_t count, enum fill fill) {
    buf(j, F32, INOUT, fill, count, 0);
}

/* F(b): buffer b as floats. The value is `none` for a kernel that returns nothing. */
#define F(b) ((float *)p[b])
static const struct value none = {0, 0};
#define RETURNS(x)                                                                                           \
    return (struct value) {                                                                                  \
        1, (double)(x)                                                                                       \
    }

#define ROW(name, plans, calls, ...)                                                                         \
    static void plan_##name(struct job *j) {                                                                 \
        const size_t n = j->n, k = j->k;                                                                     \
        (void)n, (void)k;                                                                                    \
        plans;                                                                                               \
    }                                                                                                        \
    static struct value call_##name(const struct ada_kernels *s, const struct job *j, void *const *p) {      \
        const size_t n = j->n, k = j->k;                                                                     \
        (void)n, (void)k;                                                                                    \
        calls;                                                                                               \
        return none;                                                                                         \
    }                                                                                                        \
    static double allowed_##name(const struct job *j, void *const *p, int b, size_t i, double want) {        \
        const size_t n = j->n, k = j->k;                                                                     \
        (void)n, (void)k, (void)p, (void)b, (void)i;                                                         \
        const double w = fabs(want);                                                                         \
        (void)w;                                                                                             \
        __VA_ARGS__;                                                                                         \
    }

static double sigma(double x) {
    return 1 / (1 + exp(-x));
}
static double cdf(double x) {
    return 0.5 * erfc(-x * 0.7071067811865476);
}
static double pdf(double x) {
    return 0.3989422804014327 * exp(-0.5 * x * x);
}
static double within(double x) {
    return fmin(fmax(x, -1e3), 1e3);
}
static double tanh_arg(double x) {
    return 1.5957691216057308 * (x + 0.044715 * x * x * x);
}
static double tanh_slope(double x) {
    return 1.5957691216057308 * (1 + 0.134145 * within(x) * within(x));
}
/* σ(u)·(1 + |x·slope|·(1 - σ(u))): the size of the terms in the derivative of x·σ(u) */
static double gate(double x, double u, double slope) {
    return sigma(u) * (1 + fabs(within(x) * slope) * sigma(-u));
}
/* a rounded argument u of e^u: its error is U·|u| a rounding, and e^u is 0 in f32 past 104 */
static double argument(double u) {
    return fmin(fabs(u), 104);
}
static double sum_products(const float *a, const float *b, size_t n) {
    double s = 0;
    for (size_t i = 0; i < n; i++) s += fabs((double)a[i] * b[i]);
    return s;
}
static double sum_abs(const float *a, size_t n) {
    double s = 0;
    for (size_t i = 0; i < n; i++) s += fabs((double)a[i]);
    return s;
}
/* roundings on the way of one term through VEC_SUM, and some after it */
static double depth(size_t n, int after) {
    return (double)(n / 64) + 4 + 6 + after;
}

/* ---- k_map.h ---- */
#define MAP1(name, allows)                                                                                   \
    ROW(name, out(j, n, 2); in(j, n, ANY), s->name(F(0), F(1), n), const double x = F(1)[i]; (void)x;        \
        return allows)
#define MAP2(name, allows)                                                                                   \
    ROW(name, out(j, n, 6); in(j, n, ANY);                                                                   \
        in(j, n, ANY), s->name(F(0), F(1), F(2), n), const double y = F(1)[i]; const double x = F(2)[i];     \
        (void)x; (void)y; return allows)
/* of bf16, rounded to bf16: a difference may move that by one */
#define HALF(q) ((double)half(p[q], i))
#define NEAR_HALF (w * 0x1p-7 + 0x1p-133)
/* vf_exp2_near: how far off it is, and below what it is 0 */
#define NEAR_EXP 0x1p-17
#define NEAR_ZERO 0x1p-125
/* what x·σ(u(x)), or its slope, is where σ is taken for 0, from 2^-127 on down */
#define NEAR_GATE 0x1p-119
#define HALF1(name, allows)                                                                                  \
    ROW(name, buf(j, U16, OUT, HALVES, n, 2);                                                                \
        buf(j, U16, IN, HALVES, n, 0), s->name(p[0], p[1], n), const double x = HALF(1); (void)x;            \
        return allows)
#define HALF2(name, allows)                                                                                  \
    ROW(name, buf(j, U16, OUT, HALVES, n, 6); buf(j, U16, IN, HALVES, n, 0);                                 \
        buf(j, U16, IN, HALVES, n, 0), s->name(p[0], p[1], p[2], n), const double y = HALF(1);               \
        const double x = HALF(2); (void)x; (void)y; return allows)
MAP2(add, 0)
MAP2(mul, 0)
ROW(scale, j->s[0] = 0.7f; out(j, n, 2); in(j, n, ANY), s->scale(F(0), F(1), j->s[0], n), return 0)
ROW(axpy, j->s[0] = -1.3f; inout(j, n, ANY); in(j, n, ANY), s->axpy(F(0), F(1), j->s[0], n), return 2 * U * w)
MAP1(relu, 0)
MAP2(relu_back, 0)
MAP1(silu, 8 * U * w + TINY)
MAP1(gelu_quick, (8 + 3 * argument(1.702 * x)) * U * w + TINY)
MAP1(gelu_tanh, (8 + 6 * argument(tanh_arg(x))) * U * w + TINY)
MAP1(gelu_erf, 12 * U * w + TINY)
HALF1(relu_bf16, 0)
HALF1(silu_bf16, (8 * U + NEAR_EXP) * w + NEAR_GATE + NEAR_HALF)
HALF1(gelu_quick_bf16, ((8 + 3 * argument(1.702 * x)) * U + NEAR_EXP) * w + NEAR_GATE + NEAR_HALF)
HALF1(gelu_tanh_bf16, ((8 + 6 * argument(tanh_arg(x))) * U + NEAR_EXP) * w + NEAR_GATE + NEAR_HALF)
HALF1(gelu_erf_bf16, (x < -6 ? 0 : 0x1p-21 * fabs(x)) + NEAR_HALF + (x < -6 ? 0x1p-26 : 0))
MAP2(silu_back, fabs(y) * (12 * U * gate(x, x, 1) + TINY) + TINY)
MAP2(gelu_quick_back,
     fabs(y) * ((12 + 3 * argument(1.702 * x)) * U * gate(x, 1.702 * x, 1.702) + TINY) + TINY)
MAP2(gelu_tanh_back,
     fabs(y) * ((14 + 6 * argument(tanh_arg(x))) * U * gate(x, tanh_arg(x), tanh_slope(x)) + TINY) + TINY)
MAP2(gelu_erf_back, fabs(y) * (16 * U * (cdf(x) + fabs(within(x)) * pdf(x)) + TINY) + TINY)
MAP2(swiglu, 10 * U * w + fabs(x) * TINY + TINY)
ROW(swiglu_back, out(j, n, 12); out(j, n, 20); in(j, n, ANY); in(j, n, ANY);
    in(j, n, ANY), s->swiglu_back(F(0), F(1), F(2), F(3), F(4), n), const double d = F(2)[i];
    const double g = F(3)[i]; if (b == 1) return 10 * U * w + fabs(d) * TINY + TINY;
    return fabs(d * F(4)[i]) * (14 * U * gate(g, g, 1) + TINY) + TINY)

MAP2(geglu_tanh, (10 + 6 * argument(tanh_arg(y))) * U * w + fabs(x) * TINY + TINY)
ROW(geglu_tanh_back, out(j, n, 12); out(j, n, 20); in(j, n, ANY); in(j, n, ANY);
    in(j, n, ANY), s->geglu_tanh_back(F(0), F(1), F(2), F(3), F(4), n), const double d = F(2)[i];
    const double g = F(3)[i], more = 6 * argument(tanh_arg(g));
    if (b == 1) return (10 + more) * U * w + fabs(d) * TINY + TINY;
    return fabs(d * F(4)[i]) * ((16 + more) * U * gate(g, tanh_arg(g), tanh_slope(g)) + TINY) + TINY)

ROW(softcap, j->s[0] = 3.0f; out(j, n, 2);
    in(j, n, ANY), s->softcap(F(0), F(1), j->s[0], n), return 6 * U * j->s[0])
ROW(softcap_back, j->s[0] = 3.0f; out(j, n, 6); in(j, n, ANY);
    in(j, n, ANY), s->softcap_back(F(0), F(1), F(2), j->s[0], n), const double t = F(2)[i] / (double)j->s[0];
    return fabs((double)F(1)[i]) * (4 * U * (1 + t * t) + TINY) + TINY)

#define GATED_BACK_HALF(name, more, slope)                                                                   \
    ROW(name, buf(j, U16, OUT, HALVES, n, 8); buf(j, U16, OUT, HALVES, n, 16); in(j, n, ANY);                \
        buf(j, U16, IN, HALVES, n, 0);                                                                       \
        buf(j, U16, IN, HALVES, n, 0), s->name(p[0], p[1], F(2), p[3], p[4], n), const double d = F(2)[i];   \
        const double g = HALF(3);                                                                            \
        if (b == 1) return ((10 + more) * U + NEAR_EXP) * w + fabs(d) * NEAR_GATE + NEAR_HALF;               \
        return fabs(d * HALF(4)) * (((16 + more) * U + NEAR_EXP) * slope + NEAR_GATE) + NEAR_HALF)
HALF2(swiglu_bf16, (10 * U + NEAR_EXP) * w + fabs(x) * NEAR_GATE + NEAR_HALF)
HALF2(geglu_tanh_bf16,
      ((10 + 6 * argument(tanh_arg(y))) * U + NEAR_EXP) * w + fabs(x) * NEAR_GATE + NEAR_HALF)
GATED_BACK_HALF(swiglu_back_bf16, 0, gate(g, g, 1))
GATED_BACK_HALF(geglu_tanh_back_bf16, 6 * argument(tanh_arg(g)), gate(g, tanh_arg(g), tanh_slope(g)))

/* ---- k_reduce.h ---- */
ROW(dot, in(j, n, ANY); in(j, n, ANY), RETURNS(s->dot(F(0), F(1), n)),
                        return depth(n, 0) * U * sum_products(F(0), F(1), n) + (double)n * 0x1p-149)
ROW(sum, in(j, n, ANY), RETURNS(s->sum(F(0), n)), return depth(n, 0) * U * sum_abs(F(0), n))
ROW(sumsq, in(j, n, ANY), RETURNS(s->sumsq(F(0), n)), return depth(n, 0) * U * w + (double)n * 0x1p-149)
ROW(max, in(j, n, ANY), RETURNS(s->max(F(0), n)), return 0)
ROW(argmax, in(j, n, ANY), RETURNS(s->argmax(F(0), n)), return 0)

/* ---- k_norm.h ---- */
ROW(rmsnorm, j->s[0] = 1e-5f; out(j, n, 2); in(j, n, ANY);
    in(j, n, ANY), RETURNS(s->rmsnorm(F(0), F(1), F(2), j->s[0], n)),
    return depth(n, 6) * U * w + (1 + fabs(F(2)[i])) * 0x1p-148)
ROW(rmsnorm_back, j->s[0] = 0.21f; out(j, n, 2); in(j, n, ANY); in(j, n, ANY);
    in(j, n, ANY), s->rmsnorm_back(F(0), F(1), F(2), F(3), j->s[0], n), const double r = j->s[0];
    double t = 0; for (size_t q = 0; q < n; q++) t += fabs((double)F(1)[q] * F(3)[q] * F(2)[q]);
    return depth(n, 8) * U * r * (fabs((double)F(1)[i] * F(3)[i]) + fabs(F(2)[i]) * t * r * r / (double)n) +
           0x1p-140)
/* the mean's error moves every element; where rows hardly vary, 1/σ makes it large */
static double mean_error(const float *x, size_t n) {
    return n ? depth(n, 2) * U * sum_abs(x, n) / (double)n : 0;
}
static double deviation(const float *x, size_t n, double eps) {
    double m = 0, v = 0;
    for (size_t q = 0; q < n; q++) m += x[q] / (double)n;
    for (size_t q = 0; q < n; q++) v += (x[q] - m) * (x[q] - m) / (double)n;
    return sqrt(v + eps);
}
ROW(layernorm, j->s[0] = 1e-5f; out(j, n, 2); in(j, n, ANY); in(j, n, ANY); in(j, n, ANY);
    out(j, 2, 0), s->layernorm(F(0), F(1), F(2), n % 3 ? F(3) : NULL, j->s[0], F(4), n), if (n == 0) return 0;
    const double e = mean_error(F(1), n), d = deviation(F(1), n, j->s[0]),
    c = depth(n, 8) * U + e * e / (d * d);
    if (b == 4) return i ? w * (c + 2 * e / d) : e + U * w;
    return c * (w + (n % 3 ? 2 * fabs(F(3)[i]) : 0)) + fabs(F(2)[i]) * (2 * e / d) * (1 + fabs(F(1)[i]) / d) +
           0x1p-140)
static const float given_stat[2] = {0.3f, 0.21f};
ROW(
    layernorm_back, j->given = given_stat; out(j, n, 2); in(j, n, ANY); in(j, n, ANY); in(j, n, ANY);
    in(j, 2, GIVEN), s->layernorm_back(F(0), F(1), F(2), F(3), F(4), n), const double m = F(4)[0],
    r = F(4)[1];
    double t = 0, u = 0; for (size_t q = 0; q < n; q++) {
        const double g = fabs((double)F(1)[q] * F(3)[q]);
        t += g / (double)n, u += g * fabs(F(2)[q] - m) * r / (double)n;
    } return depth(n, 10) * U *
                             r * (fabs((double)F(1)[i] * F(3)[i]) + t + fabs(F(2)[i] - m) * r * u) +
                         0x1p-140)

/* ---- k_softmax.h: what is exponentiated is a rounded difference of up to 104 ---- */
static double below_max(const float *x, size_t n, size_t i) {
    double m = -INFINITY;
    for (size_t q = 0; q < n; q++) m = fmax(m, x[q]);
    return argument(x[i] - m);
}
ROW(softmax, inout(j, n, ANY), RETURNS(s->softmax(F(0), n)), if (b < 0) return 2 * U * w + depth(n, 4) * U;
    return (depth(n, 8) + below_max(F(0), n, i)) * U * w + 0x1p-147)
ROW(lse, in(j, n, ANY), RETURNS(s->lse(F(0), n)), return 2 * U * w + depth(n, 4) * U)
ROW(xent_back, j->s[0] = 4.5f; j->s[1] = 1.25f; j->target = n * 2 / 3;
    inout(j, n, ANY), s->xent_back(F(0), F(0), j->s[0], n % 4 ? j->target : n, j->s[1], n),
    const double x = F(0)[i] - (double)j->s[0];
    return j->s[1] * (exp(x) * (4 + argument(x)) + 2) * U + 0x1p-147)

/* ---- k_rope.h ---- */
#define ROPE(name, first, second)                                                                            \
    ROW(name, inout(j, 2 * n, ANY); in(j, n, UNIT);                                                          \
        in(j, n, UNIT), s->name(F(0), F(1), F(2), n % 2 ? 1 : -1, n), const size_t q = first(i, n);          \
        return 4 * U *                                                                                       \
                   (fabs((double)F(0)[i]) * fabs(F(1)[q]) +                                                  \
                    fabs((double)F(0)[second(i, n)]) * fabs(F(2)[q])) +                                      \
               0x1p-147)
#define HALF_PAIR(i, n) ((i) % (n))
#define HALF_OTHER(i, n) ((i) < (n) ? (i) + (n) : (i) - (n))
#define NEXT_PAIR(i, n) ((i) / 2)
#define NEXT_OTHER(i, n) ((i) ^ 1)
ROPE(rope_half, HALF_PAIR, HALF_OTHER)
ROPE(rope_interleave, NEXT_PAIR, NEXT_OTHER)

/* ---- k_lowrank.h ---- */
static double chain(const float *x, const float *w, size_t ldx, size_t ldw, size_t k) {
    double s = 0;
    for (size_t q = 0; q < k; q++) s += fabs((double)x[q * ldx] * w[q * ldw]);
    return ((double)k + 2) * U * s + (double)k * 0x1p-149;
}
static size_t low_rows(size_t n) {
    return 1 + n % 7;
}
ROW(rows_matmul, inout(j, low_rows(n) * n, ANY); in(j, low_rows(n) * (k + 3), ANY);
    in(j, k *n, ANY), s->rows_matmul(F(0), n / 4 % 2, F(1), k + 3, low_rows(n), F(2), k, n),
    return chain(F(1) + i / n * (k + 3), F(2) + i % n, 1, n, k) +
           (n / 4 % 2 ? 2 * U * (fabs(F(0)[i]) + w) : 0))
ROW(row_matmul_t, out(j, k, 0); in(j, n, ANY);
    in(j, k *n, ANY), s->row_matmul_t(F(0), F(1), F(2), k, n),
    return depth(n, 0) * U * sum_products(F(1), F(2) + i * n, n) + (double)n * 0x1p-149)
ROW(outer_add, j->s[0] = 0.6f; inout(j, k *n, ANY); in(j, k, ANY);
    in(j, n, ANY), s->outer_add(F(0), F(1), F(2), j->s[0], k, n),
    return U * (2 * w + 4 * fabs((double)j->s[0] * F(1)[i / n] * F(2)[i % n])) + 0x1p-147)

/* ---- k_adam.h ---- */
static const float given_adamw[ADA_ADAMW_CONSTANTS] = {0.5f, 0.999f, 0.1f, 0.95f, 0.05f, 0.3f, 1e-8f, 0.01f};
ROW(adamw, j->given = given_adamw; inout(j, n, ANY); inout(j, n, ANY); inout(j, n, POSITIVE); in(j, n, ANY);
    in(j, ADA_ADAMW_CONSTANTS, GIVEN), s->adamw(F(0), F(1), F(2), F(3), F(4), n), const float *c = F(4);
    const double g = (double)F(3)[i] * c[ADA_ADAMW_GRAD_SCALE], m = F(1)[i];
    const double v = (double)F(2)[i] * c[ADA_ADAMW_BETA2] + (double)c[ADA_ADAMW_OMB2] * g * g;
    const double d = sqrt(v) / c[ADA_ADAMW_BC2_SQRT] + c[ADA_ADAMW_EPS],
    em = 3 * U * (fabs(g) + fabs(m)) + 0x1p-147;
    if (b == 1) return em; if (b == 2) return 6 * U * w + 0x1p-147;
    /* √ of a denormal v is as coarse as v */
    return 2 * U * (w + fabs(F(0)[i])) +
           c[ADA_ADAMW_STEP] * (em + fabs(m + 0.1 * (g - m)) * (8 * U + (v < 0x1p-120 ? 1 : 0))) / d +
           0x1p-147)

/* ---- k_convert.h ---- */
#define TO_HALF(name) ROW(name, buf(j, U16, OUT, ANY, n, 0); in(j, n, ANY), s->name(p[0], F(1), n), return 0)
#define FROM_HALF(name) ROW(name, out(j, n, 0); buf(j, U16, IN, ANY, n, 0), s->name(F(0), p[1], n), return 0)
TO_HALF(f32_to_bf16)
TO_HALF(f32_to_f16)
FROM_HALF(bf16_to_f32)
FROM_HALF(f16_to_f32)
#define BLOCKS(name, count, bytes)                                                                           \
    ROW(name, out(j, n, 0); buf(j, U8, IN, ANY, n / (count) * (bytes), 0), s->name(F(0), p[1], n), return 0)
BLOCKS(q8_0_to_f32, 32, 34)
BLOCKS(q4_0_to_f32, 32, 18)
BLOCKS(q4_1_to_f32, 32, 20)
BLOCKS(q5_0_to_f32, 32, 22)
BLOCKS(q5_1_to_f32, 32, 24)
BLOCKS(q4_k_to_f32, 256, 144)
BLOCKS(q5_k_to_f32, 256, 176)
BLOCKS(q6_k_to_f32, 256, 210)

/* ---- k_matmul.h: n is the length of the chains, k the rows; columns, gaps and options follow from both ----
 */
static size_t columns(const struct job *j) {
    return 1 + (j->n * 7 + j->k) % 32;
}
static size_t y_gap(const struct job *j) {
    return columns(j) + j->n % 3;
}
static int turned(const struct job *j) {
    return j->n / 2 % 2;
}
static size_t b_step(const struct job *j) {
    return 16 + j->n / 3 % 3;
}
static size_t half_gap(const struct job *j) {
    return b_step(j) * j->n + 16 * (j->n % 2);
}
static ada_tile tile(const struct job *j, void *const *p) {
    const size_t n = j->n, k = j->k;
    return (ada_tile){.y = F(0),
                      .ldy = y_gap(j),
                      .n = columns(j),
                      .add = n / 4 % 2,
                      .c = n % 3 ? F(1) : NULL,
                      .ldc = 33,
                      .x = F(2),
                      .ldx = turned(j) ? k + 1 : n + 1,
                      .transposed = turned(j),
                      .m = k,
                      .b = F(3),
                      .ldb = half_gap(j),
                      .step = b_step(j),
                      .k = n,
                      .ahead = n % 5 ? NULL : F(3),
                      .nahead = 64 * n};
}
ROW(mm_tile, inout(j, k *y_gap(j), ANY); in(j, k * 33, ANY); in(j, k *n + k + n, ANY);
    in(j, half_gap(j) + b_step(j) * n, ANY), const ada_tile t = tile(j, p);
    s->mm_tile(&t), const size_t row = i / y_gap(j), h = i % y_gap(j); if (h >= columns(j)) return 0;
    const float *x = F(2) + (turned(j) ? row : row * (n + 1));
    const double c = n % 3 ? F(1)[row * 33 + h] : 0,
    e = chain(x, F(3) + h / 16 * half_gap(j) + h % 16, turned(j) ? k + 1 : 1, b_step(j), n);
    return e + ((double)n + 2) * U * fabs(c) + (n / 4 % 2 ? 2 * U * (fabs(F(0)[i]) + w) : 0))
static size_t even(size_t n) {
    return n + n % 2;
}
static float pair(const uint32_t *w, size_t q, size_t h) {
    return float_of(q % 2 ? w[q / 2 * 32 + h] & 0xffff0000 : w[q / 2 * 32 + h] << 16);
}
ROW(mm_rows, inout(j, k *y_gap(j), ANY); in(j, k *(even(n) + 1), ANY);
    buf(j, F32, IN, PAIRS, even(n) * 16, 0),
    s->mm_rows(F(0), y_gap(j), columns(j), n / 4 % 2, F(1), even(n) + 1, k, p[2], even(n)),
    const size_t row = i / y_gap(j), h = i % y_gap(j);
    if (h >= columns(j)) return 0; double e = 0;
    for (size_t q = 0; q < even(n); q++) e += fabs((double)F(1)[row * (even(n) + 1) + q] * pair(p[2], q, h));
    return ((double)n + 4) * (U * e + 0x1p-149) + (n / 4 % 2 ? 2 * U * (fabs(F(0)[i]) + w) : 0))
ROW(mm_widen, inout(j, 16 * even(n), ANY); buf(j, F32, IN, PAIRS, even(n) * 16, 0),
                                           s->mm_widen(F(0), (uint32_t *)p[1] + n / 2 % 2 * 16, even(n)),
                                           return 0)
ROW(mm_widen_back, inout(j, 512, ANY); buf(j, F32, IN, PAIRS, 256, 0), s->mm_widen_back(F(0), p[1]), return 0)
ROW(mm_narrow, buf(j, U16, INOUT, HALVES, k *y_gap(j), 0); in(j, k * 33, ANY);
    in(j, 32, ANY), s->mm_narrow(p[0], y_gap(j), F(1), 33, n % 2 ? F(2) : NULL, k, columns(j)), return 0)
ROW(mm_turn, inout(j, k *(n + 3), ANY);
    in(j, n *(k + 2), ANY), s->mm_turn(F(0), n + 3, F(1), k + 2, n, k), return 0)

/* ---- k_pairs.h: n pairs, k rows ---- */
static size_t pair_gap(const struct job *j) {
    return turned(j) ? j->k + 1 : j->n + 1;
}
static size_t pair_columns(const struct job *j) {
    return j->n / 4 % 2 ? 64 : 32;
}
static size_t pair_rows(const struct job *j) {
    return pair_columns(j) + j->n % 3;
}
/* c: none, y itself, one row for all, rows that begin one earlier each, or rows of their own */
static const float *pair_c(const struct job *j, void *const *p, ptrdiff_t *ld) {
    const ptrdiff_t lds[5] = {(ptrdiff_t)pair_rows(j), 0, -1, (ptrdiff_t)pair_columns(j) + 1,
                              (ptrdiff_t)pair_columns(j) + 1};
    *ld = lds[j->n % 5];
    if (j->n % 3 == 0) return NULL;
    return j->n % 5 == 0 ? F(0) : F(1) + (*ld < 0 ? j->k - 1 : 0);
}
static ada_pair_tile pair_tile(const struct job *j, void *const *p) {
    ptrdiff_t ldc;
    const float *c = pair_c(j, p, &ldc);
    return (ada_pair_tile){.y = F(0),
                           .ldy = pair_rows(j),
                           .n = pair_columns(j),
                           .c = c,
                           .ldc = ldc,
                           .x = p[2],
                           .ldx = pair_gap(j),
                           .transposed = turned(j),
                           .m = j->k,
                           .b = p[3],
                           .ldb = half_gap(j),
                           .step = b_step(j),
                           .k = j->n};
}
static double half_of(const void *words, size_t i, int odd) {
    const uint32_t w = ((const uint32_t *)words)[i];
    return float_of(odd ? w & 0xffff0000 : w << 16);
}
/* Two roundings a pair, of sums no greater than |c| + Σ|x·b|; a denormal may be 0 wherever it comes up. */
ROW(
    mm_pairs, const size_t wide = pair_columns(j); inout(j, k *(wide + n % 3), ANY);
    in(j, k *(wide + 1), ANY); buf(j, F32, IN, PAIRS, turned(j) ? n *(k + 1) : k *(n + 1), 0);
    buf(j, F32, IN, PAIRS, (wide / 16 - 1) * half_gap(j) + b_step(j) * n, 0),
    const ada_pair_tile t = pair_tile(j, p);
    s->mm_pairs(&t), const size_t wide = pair_columns(j), row = i / (wide + n % 3), h = i % (wide + n % 3);
    if (h >= wide) return 0; ptrdiff_t ldc; const float *from = pair_c(j, p, &ldc);
    const double c = from ? fabs(from[(ptrdiff_t)row * ldc + (ptrdiff_t)h]) : 0;
    double sum = c, lost = 0x1p-125 * (double)(2 * n + 2); for (size_t q = 0; q < n;
                                                                q++) for (int odd = 0; odd < 2; odd++) {
        const double x = fabs(half_of(p[2], turned(j) ? q * (k + 1) + row : row * (n + 1) + q, odd));
        const double y = fabs(half_of(p[3], h / 16 * half_gap(j) + h % 16 + q * b_step(j), odd));
        sum += x * y;
        if (fmin(x, y) < 0x1p-126) lost += x * y;
        if (fmin(x, y) < 0x1p-126 && isinf(fmax(x, y))) return NAN; /* ∞ · 0 */
    } return (2 * (double)n + 2) * U * sum + lost)
ROW(mm_zip, out(j, n, 0); buf(j, U16, IN, ANY, n, 0);
    buf(j, U16, IN, ANY, n, 0), s->mm_zip(p[0], p[1], p[2], n), return 0)

/* ---- k_attend.h: k rows; the keys seen, a state of the softmax, a cap and halves follow from n ---- */
static size_t seen_from(const struct job *j, size_t row) {
    return j->n % 4 == 1 ? (j->n + row) / 3 : 0;
}
static size_t seen_to(const struct job *j, size_t row) {
    return j->n % 4 == 2 ? j->n : j->n - (j->n + row) % 3 % (j->n + 1);
}
static float cap_of(const struct job *j) {
    return j->n % 5 == 2 ? 3.0f : 0;
}
static int halves(const struct job *j) {
    return j->n / 3 % 2;
}
static size_t row_gap(const struct job *j) {
    return j->n + j->n % 2;
}
static ada_scores scores_of(const struct job *j, float *s, float *dp, uint16_t *p, uint16_t *ds) {
    static uint32_t seen[64][2];
    for (size_t row = 0; row < j->k; row++)
        seen[row][0] = (uint32_t)seen_from(j, row), seen[row][1] = (uint32_t)seen_to(j, row);
    return (ada_scores){.s = s,
                        .dp = dp,
                        .p = halves(j) ? p : NULL,
                        .ds = halves(j) ? ds : NULL,
                        .ld = row_gap(j),
                        .m = j->k,
                        .n = j->n,
                        .seen = j->n % 4 == 2 ? NULL : (const uint32_t(*)[2])seen,
                        .scale = j->s[0],
                        .cap = cap_of(j)};
}
/* {greatest, sum} of 64 rows, some of which are the first block's */
static const float *stats_of(const struct job *j) {
    static float stat[64][2];
    for (size_t i = 0; i < 64; i++) {
        stat[i][0] = (i + j->n) % 3 ? 0.75f : -INFINITY;
        stat[i][1] = (i + j->n) % 3 ? 2.5f : 0;
    }
    return stat[0];
}
static double capped(const struct job *j, double s, double *slope) {
    const double y = s * j->s[0], cap = cap_of(j), x = cap > 0 ? y / cap : 0, c = cosh(x);
    *slope = j->s[0] / (c * c);
    return cap > 0 ? cap * tanh(x) : y;
}
/* relative error of e^(f - m): both are rounded, and tanh is a difference of numbers up to 1 */
static double exponent(const struct job *j, const float *s, size_t i, double m) {
    double slope, f = capped(j, s[i], &slope);
    if (!isfinite(f)) f = 0;
    return expm1(U * (3 * fabs(f) + 3 * fabs(m) + 8 * cap_of(j) + 4) + (halves(j) ? NEAR_EXP : 0));
}
static double greatest(const struct job *j, size_t row, const float *s, double m) {
    double slope, f;
    for (size_t i = seen_from(j, row); i < seen_to(j, row); i++)
        if (isfinite(f = capped(j, s[i], &slope)) && !(f <= m)) m = f;
    return isfinite(m) ? m : 0;
}
/* of what is rounded to bf16, where the difference may move it by one */
static double rounded(const struct job *j, double w) {
    return halves(j) ? w * 0x1p-7 + NEAR_ZERO : 0;
}
ROW(
    attend_rows, j->s[0] = 0.3f; j->given = stats_of(j); inout(j, k *row_gap(j), ANY);
    buf(j, F32, INOUT, GIVEN, 2 * k, 0); out(j, k, 0);
    buf(j, U16, INOUT, HALVES, halves(j) ? k *row_gap(j) : 0, 0),
    const ada_scores t = scores_of(j, F(0), NULL, p[3], NULL);
    s->attend_rows(&t, F(1), F(2)), if (b == 0 && halves(j)) return NAN;
    const size_t row = b == 1   ? i / 2
                       : b == 2 ? i
                                : i / row_gap(j);
    const float *x = F(0) + row * row_gap(j);
    const double m = greatest(j, row, x, F(1)[2 * row]), rise = expm1(U * (3 * fabs(m) + 8 * cap_of(j) + 8));
    if (b == 2) return w * rise; if (b == 1 && i % 2 == 0) return U * (2 * w + 4 * cap_of(j)); if (b != 1) {
        if (i % row_gap(j) >= n) return 0;
        return w * exponent(j, x, i % row_gap(j), m) + 0x1p-148 + rounded(j, w);
    } double e = w * (rise + depth(n, 2) * U);
    for (size_t q = seen_from(j, row); q < seen_to(j, row); q++)
        e = fmax(e, w *(exponent(j, x, q, m) + depth(n, 2) * U));
    return e)
static const float later_stat[2] = {0.75f, 2.5f};
ROW(attend_end, j->given = later_stat; inout(j, n, ANY); buf(j, F32, IN, GIVEN, 2, 0),
                                                         RETURNS(s->attend_end(F(0), F(1), n)),
                                                         return b < 0 ? U * w : U * w + 0x1p-149)
static const float *lse_of(int d) {
    static float list[2][64];
    for (int i = 0; i < 64; i++) list[0][i] = 3.25f - (float)(i % 5), list[1][i] = -0.5f + (float)(i % 3);
    return list[d];
}
ROW(attend_back, j->s[0] = 0.3f; inout(j, k *row_gap(j), ANY); inout(j, k *row_gap(j), ANY);
    buf(j, U16, INOUT, HALVES, halves(j) ? k *row_gap(j) : 0, 0);
    buf(j, U16, INOUT, HALVES, halves(j) ? k *row_gap(j) : 0, 0),
    const ada_scores t = scores_of(j, F(0), F(1), p[2], p[3]);
    s->attend_back(&t, lse_of(0), lse_of(1)), if (b < 2 && halves(j)) return NAN;
    const size_t row = i / row_gap(j), q = i % row_gap(j); const float *x = F(0) + row * row_gap(j);
    if (q >= n) return 0; const double lse = lse_of(0)[row];
    if (b == 0 || b == 2) return w * exponent(j, x, q, lse) + 0x1p-148 + rounded(j, w);
    /* 4·σ(x)·σ(-x) keeps its relative accuracy but for the argument's rounding; p, the slope and
       their product may be denormal */
    const double argument_error = cap_of(j) > 0 && isfinite(x[q]) ? 8 * U * fmin(fabs(x[q] * j->s[0]), 200)
                                                                  : 0;
    return w * (exponent(j, x, q, lse) + 12 * U + argument_error) +
           (0x1p-147 + rounded(j, 0)) * (1 + fabs(F(1)[i])) * (1 + exp(cap_of(j) - lse)) + rounded(j, w))

/* ---- k_image.h: the weights of resample are any bits ---- */
ROW(resample, buf(j, U8, OUT, ANY, n, 0); buf(j, U8, IN, ANY, k *(n + 3), 0);
    in(j, k, ANY), s->resample(p[0], p[1], n + 3, p[2], k, n), return 0)
ROW(planes, inout(j, 3 * n + 2, ANY); buf(j, U8, IN, ANY, 3 * n, 0);
    in(j, 768, ANY), s->planes(F(0), n + 1, p[1], F(2), n), return 0)

/* ---- the list ---- */
enum { IS_EXACT = 1, IS_APPROX = 0 };
static struct row rows[] = {
#define K(name, class, ret, args) {#name, IS_##class, 1, 0, 0, 0, plan_##name, call_##name, allowed_##name},
#include "simd/kernels.def"
#undef K
};
enum { ROWS = sizeof rows / sizeof rows[0] };

/* What a row needs beyond kernels.def: the oracle binds for any float; k matters; n comes in blocks. */
static void rows_ready(void) {
    static const char *const dense[] = {
        "add",         "mul",        "scale",       "axpy",       "relu",     "relu_back",
        "silu",        "gelu_quick", "gelu_tanh",   "gelu_erf",   "max",      "argmax",
        "f32_to_bf16", "f32_to_f16", "bf16_to_f32", "f16_to_f32", "mm_widen", "mm_widen_back",
        "mm_turn",     "mm_zip",     "planes",      NULL};
    static const char *const two[] = {"rows_matmul", "row_matmul_t", "outer_add", "mm_tile",
                                      "mm_pairs",    "mm_rows",      "mm_turn",   "mm_narrow",
                                      "attend_rows", "attend_back",  "resample",  NULL};
    for (size_t i = 0; i < ROWS; i++) {
        struct row *r = &rows[i];
        /* what an element may be off by is a sum over others: most of the time */
        r->slow = strcmp(r->name, "mm_pairs") == 0 || strncmp(r->name, "attend_", 7) == 0;
        for (int q = 0; dense[q]; q++) r->dense |= strcmp(r->name, dense[q]) == 0;
        for (int q = 0; two[q]; q++) r->two |= strcmp(r->name, two[q]) == 0;
        if (strstr(r->name, "_to_f32") && r->name[0] == 'q')
            r->block = r->name[3] == 'k' ? 256 : 32;
        else if (strcmp(r->name, "mm_widen_back") == 0)
            r->block = 37; /* n counts for nothing: its shape is fixed */
    }
}

#endif
