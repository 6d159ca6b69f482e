/* SPDX-License-Identifier: Apache-2.0
 * Attention against the definition in double, forward and backward, over a forest with shared prefixes; and
 * its bits: a row alone, packed, behind a cache, among wanted rows only, with 1-4 threads. */
#include "engine/attention.h"
#include "engine/attention_room.h"
#include "engine/kv.h"
#include "engine/par.h"
#include "engine/stack.h"
#include "simd/half.h"

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
static void *list(size_t n, size_t size) {
    void *p = calloc(n + 16, size);
    assert_non_null(p);
    return p;
}

/* Segments out of tree order: 0 has children 2 and 3, 3 has 5. 0 and 1 are full where the mask has a prefix.
 */
enum { T = 71 + 270 + 70 + 130 + 1 + 3, SEGS = 6 };
static ada_segment forest[SEGS] = {
    {.start = 0, .len = 71, .parent = -1, .pos = 0, .cache = -1},
    {.start = 71, .len = 270, .parent = -1, .pos = 0, .cache = -1},
    {.start = 341, .len = 70, .parent = 0, .pos = 71, .cache = -1},
    {.start = 411, .len = 130, .parent = 0, .pos = 71, .cache = -1},
    {.start = 541, .len = 1, .parent = -1, .pos = 0, .cache = -1},
    {.start = 542, .len = 3, .parent = 3, .pos = 201, .cache = -1},
};
static const ada_pack pack = {.T = T, .nsegs = SEGS, .segs = forest};

static const ada_config configs[] = {
    {.heads = 6, .kv_heads = 2, .head_dim = 64},
    {.heads = 4, .kv_heads = 4, .head_dim = 20, .attn_scale = 0.7f},
    {.heads = 3, .kv_heads = 1, .head_dim = 80, .attn_cap = 1.5f},
    {.heads = 2, .kv_heads = 1, .head_dim = 16, .window = 17},
    {.heads = 2, .kv_heads = 2, .head_dim = 256, .window = 90, .window_every = 2},
    {.heads = 2, .kv_heads = 1, .head_dim = 8, .mask = ADA_MASK_FULL},
    {.heads = 4, .kv_heads = 2, .head_dim = 24, .window = 17, .mask = ADA_MASK_PREFIX},
    {.heads = 2, .kv_heads = 1, .head_dim = 16, .attn_cap = 1.5f, .mask = ADA_MASK_PREFIX},
};
enum { CONFIGS = sizeof configs / sizeof *configs };

/* Operands of one call: q, k, v side by side, [T, ld], in the type and widened; gradients likewise. */
struct operands {
    const ada_config *c;
    ada_dtype type;
    size_t hd, nq, nkv, ld, size;
    void *qkv, *dout;
    float *wide, *wide_dout;
};

static struct operands operands_new(const ada_config *c, ada_dtype type) {
    forest[0].full = forest[1].full = c->mask == ADA_MASK_PREFIX;
    struct operands o = {.c = c, .type = type, .hd = (size_t)c->head_dim, .size = type == ADA_BF16 ? 2 : 4};
    o.nq = (size_t)c->heads * o.hd, o.nkv = (size_t)c->kv_heads * o.hd, o.ld = o.nq + 2 * o.nkv;
    o.qkv = list(T * o.ld, 4), o.wide = list(T * o.ld, 4), o.dout = list(T * o.nq, 4),
    o.wide_dout = list(T * o.nq, 4);
    for (size_t i = 0; i < T * (o.ld + o.nq); i++) {
        bool grad = i >= T * o.ld;
        size_t at = grad ? i - T * o.ld : i;
        float f = draw() * 2;
        if (type == ADA_BF16)
            f = ada_bf16_value(((uint16_t *)(grad ? o.dout : o.qkv))[at] = ada_bf16_of(f));
        else
            ((float *)(grad ? o.dout : o.qkv))[at] = f;
        (grad ? o.wide_dout : o.wide)[at] = f;
    }
    return o;
}
static void operands_free(struct operands *o) {
    free(o->qkv), free(o->wide), free(o->dout), free(o->wide_dout);
}

static void *at(const struct operands *o, size_t row, size_t column) {
    return (char *)o->qkv + (row * o->ld + column) * o->size;
}

struct result {
    void *o;
    float *lse, *dqkv;
};
static struct result result_new(const struct operands *o) {
    return (struct result){list(T * o->nq, 4), list(T * (size_t)o->c->heads, 4), list(T * o->ld, 4)};
}
static void result_free(struct result *r) {
    free(r->o), free(r->lse), free(r->dqkv);
}
static float out_at(const struct operands *o, const struct result *r, size_t i) {
    return o->type == ADA_BF16 ? ada_bf16_value(((uint16_t *)r->o)[i]) : ((float *)r->o)[i];
}

/* Runs a pack whose rows are first … of the operands; rows: wanted ones or NULL. */
static void run(const struct operands *o, const ada_pack *p, size_t first, const int32_t *rows, int32_t m,
                ada_kv *kv, bool back, struct result *r) {
    ada_arena arena = {0};
    ada_attn_ws *ws;
    assert_int_equal(ada_attn_layout(&ws, &arena, o->c, o->type, p->T, p->nsegs, 256, p->T, back), ADA_OK);
    void *q = at(o, first, 0), *dout = (char *)o->dout + first * o->nq * o->size;
    char *wanted = list(T * o->ld, 4), *wanted_dout = list(T * o->nq, 4);
    if (rows) {
        for (int32_t i = 0; i < m; i++) {
            memcpy(wanted + (size_t)i * o->ld * o->size, at(o, first + (size_t)rows[i], 0), o->ld * o->size);
            memcpy(wanted_dout + (size_t)i * o->nq * o->size,
                   (char *)dout + (size_t)rows[i] * o->nq * o->size, o->nq * o->size);
        }
        q = wanted, dout = wanted_dout;
    }
    ada_attn a = {.c = o->c,
                  .type = o->type,
                  .pack = p,
                  .rows = rows,
                  .m = m,
                  .q = q,
                  .ldq = o->ld,
                  .k = at(o, first, o->nq),
                  .v = at(o, first, o->nq + o->nkv),
                  .ldkv = o->ld,
                  .o = r->o,
                  .lse = r->lse,
                  .kv = kv};
    ada_part whole = ada_pack_whole(p, &(ada_reading){0});
    ada_attn_survey(&a, ws);
    if (!kv) { /* another layer's keys, seen just before, leave no trace */
        ada_attn other = a;
        other.layer = 1, other.k = a.v, other.v = a.k;
        ada_attn_forward(&other, ws, &whole);
        if (back)
            ada_attn_backward(
                &other, ws, &whole, dout,
                &(ada_attn_grad){ADA_F32, r->dqkv, r->dqkv + o->nq, r->dqkv + o->nq + o->nkv, o->ld, o->ld});
    }
    ada_attn_forward(&a, ws, &whole);
    if (back)
        ada_attn_backward(
            &a, ws, &whole, dout,
            &(ada_attn_grad){ADA_F32, r->dqkv, r->dqkv + o->nq, r->dqkv + o->nq + o->nkv, o->ld, o->ld});
    ada_arena_free(&arena);
    free(wanted), free(wanted_dout);
}

/* Rows of the forest on the path of row i, up to what it sees; returns how many, oldest first. */
static size_t path_of(const ada_config *c, size_t row, size_t path[T]) {
    int32_t g = 0;
    while ((size_t)(forest[g].start + forest[g].len) <= row) g++;
    bool all = c->mask == ADA_MASK_FULL || forest[g].full;
    size_t n = (size_t)forest[g].pos + (all ? (size_t)forest[g].len : row - (size_t)forest[g].start + 1);
    for (size_t pos = n; pos-- > 0;) {
        while ((int32_t)pos < forest[g].pos) g = forest[g].parent;
        path[pos] = (size_t)forest[g].start + pos - (size_t)forest[g].pos;
    }
    return n;
}

/* out, lse and gradients of Σ dout·out in double, and the sums of their terms' sizes. What backward reads of
 * out is what forward wrote, rounded to bf16 in that mode: `r` has it. */
struct truth {
    double *out, *lse, *dqkv, *out_size, *dqkv_size;
};
static void term(double *sum, double *size, size_t i, double x) {
    sum[i] += x, size[i] += fabs(x);
}
static void define(const struct operands *o, const struct result *r, const struct truth *d) {
    const ada_config *c = o->c;
    double scale = c->attn_scale > 0 ? c->attn_scale : 1 / sqrt(c->head_dim);
    for (size_t row = 0; row < T; row++)
        for (size_t h = 0; h < (size_t)c->heads; h++) {
            size_t path[T], n = path_of(c, row, path), kv = h / ((size_t)c->heads / (size_t)c->kv_heads),
                            lo = 0;
            if (c->window && !c->window_every && c->mask != ADA_MASK_FULL && n > (size_t)c->window)
                lo = n - (size_t)c->window;
            if (c->window_every && n > (size_t)c->window)
                lo = n - (size_t)c->window; /* the call is of layer 0 */
            if (c->mask == ADA_MASK_PREFIX && row < (size_t)(forest[1].start + forest[1].len)) lo = 0;
            const float *q = o->wide + row * o->ld + h * o->hd, *g = o->wide_dout + row * o->nq + h * o->hd;
            double f[T], slope[T], sum = 0, mean = 0, dp[T];
            for (size_t i = lo; i < n; i++) {
                const float *k = o->wide + path[i] * o->ld + o->nq + kv * o->hd;
                double s = 0;
                for (size_t j = 0; j < o->hd; j++) s += (double)q[j] * k[j];
                f[i] = s * scale, slope[i] = scale;
                if (c->attn_cap > 0) {
                    double t = tanh(f[i] / c->attn_cap);
                    f[i] = c->attn_cap * t, slope[i] *= 1 - t * t;
                }
                sum += exp(f[i]);
            }
            d->lse[row * (size_t)c->heads + h] = log(sum);
            for (size_t i = lo; i < n; i++) {
                const float *v = o->wide + path[i] * o->ld + o->nq + o->nkv + kv * o->hd;
                double p = exp(f[i]) / sum;
                dp[i] = 0;
                for (size_t j = 0; j < o->hd; j++) {
                    term(d->out, d->out_size, row * o->nq + h * o->hd + j, p * v[j]);
                    dp[i] += (double)g[j] * v[j];
                }
            }
            for (size_t j = 0; j < o->hd; j++)
                mean += (double)g[j] * out_at(o, r, row * o->nq + h * o->hd + j);
            for (size_t i = lo; i < n; i++) {
                double p = exp(f[i]) / sum, ds = p * (dp[i] - mean) * slope[i];
                for (size_t j = 0; j < o->hd; j++) {
                    size_t key = path[i] * o->ld + o->nq + kv * o->hd + j;
                    term(d->dqkv, d->dqkv_size, row * o->ld + h * o->hd + j, ds * o->wide[key]);
                    term(d->dqkv, d->dqkv_size, key, ds * q[j]);
                    term(d->dqkv, d->dqkv_size, key + o->nkv, p * g[j]);
                }
            }
        }
}

static double spread(const double *x, size_t n) {
    double s = 0;
    for (size_t i = 0; i < n; i++) s += x[i] * x[i];
    return sqrt(s / (double)n);
}

static void by_definition(void **state) {
    (void)state;
    for (size_t i = 0; i < CONFIGS; i++)
        for (int t = 0; t < 2; t++) {
            struct operands o = operands_new(&configs[i], t ? ADA_F32 : ADA_BF16);
            struct result r = result_new(&o);
            size_t nout = T * o.nq, nlse = T * (size_t)o.c->heads, ngrad = T * o.ld;
            struct truth d = {list(nout, 8), list(nlse, 8), list(ngrad, 8), list(nout, 8), list(ngrad, 8)};
            run(&o, &pack, 0, NULL, T, NULL, true, &r);
            define(&o, &r, &d);
            /* sums of up to 256 terms of like size: √n ulp each and a margin of 8; then bf16 rounds out by
             * half an ulp. Where pairs of bf16 are multiplied, every probability, and every gradient of a
             * score, is rounded by half an ulp of bf16 first. */
            double eps = 8 * sqrt(256) * 0x1p-24, round_out = t ? 0 : 0x1p-8;
            double round = ada_room_pairs(o.type) ? 0x1p-8 : 0;
            double out_size = spread(d.out, nout), grad_size = spread(d.dqkv, ngrad);
            for (size_t j = 0; j < nout; j++)
                assert_true(fabs(out_at(&o, &r, j) - d.out[j]) <=
                            eps * out_size + round * d.out_size[j] + round_out * fabs(d.out[j]));
            for (size_t j = 0; j < nlse; j++)
                assert_true(fabs(r.lse[j] - d.lse[j]) <= eps * (1 + fabs(d.lse[j])));
            for (size_t j = 0; j < ngrad; j++)
                assert_true(fabs(r.dqkv[j] - d.dqkv[j]) <=
                            4 * eps * (grad_size + fabs(d.dqkv[j])) + round * d.dqkv_size[j]);
            free(d.out), free(d.lse), free(d.dqkv), free(d.out_size), free(d.dqkv_size);
            result_free(&r);
            operands_free(&o);
        }
}

/* One path of the forest as a pack of its own: operands whose first rows are that path. */
static size_t alone(const struct operands *o, size_t row, struct operands *one) {
    size_t path[T], n = path_of(o->c, row, path);
    *one = *o;
    one->qkv = list(T * o->ld, 4), one->dout = list(T * o->nq, 4), one->wide = one->wide_dout = NULL;
    for (size_t i = 0; i < n; i++) {
        memcpy((char *)one->qkv + i * o->ld * o->size, at(o, path[i], 0), o->ld * o->size);
        memcpy((char *)one->dout + i * o->nq * o->size, (char *)o->dout + path[i] * o->nq * o->size,
               o->nq * o->size);
    }
    return n;
}

static void same_row(const struct operands *o, const struct result *a, size_t i, const struct result *b,
                     size_t j) {
    size_t heads = (size_t)o->c->heads;
    assert_memory_equal((char *)a->o + i * o->nq * o->size, (char *)b->o + j * o->nq * o->size,
                        o->nq * o->size);
    assert_memory_equal(a->lse + i * heads, b->lse + j * heads, heads * sizeof(float));
}

static void same_bits(void **state) {
    (void)state;
    static const size_t ends[] = {70, 340, 410, 540, 541, 544, 452};
    static const int32_t wanted[] = {0, 5, 70, 72, 150, 340, 342, 413, 414, 492, 541, 543};
    enum { WANTED = sizeof wanted / sizeof *wanted };
    for (size_t i = 0; i < CONFIGS; i++) {
        struct operands o = operands_new(&configs[i], i % 2 ? ADA_F32 : ADA_BF16), one;
        struct result all = result_new(&o), r = result_new(&o);
        ada_par_force(1);
        run(&o, &pack, 0, NULL, T, NULL, true, &all);
        for (int team = 2; team <= 4; team++) {
            ada_par_force(team);
            run(&o, &pack, 0, NULL, T, NULL, true, &r);
            assert_memory_equal(r.o, all.o, T * o.nq * o.size);
            assert_memory_equal(r.dqkv, all.dqkv, T * o.ld * sizeof(float));
        }
        run(&o, &pack, 0, wanted, WANTED, NULL, false, &r);
        for (size_t j = 0; j < WANTED; j++) same_row(&o, &r, j, &all, (size_t)wanted[j]);
        bool full =
            o.c->mask == ADA_MASK_FULL; /* a longer segment shows a row more there, so paths alone differ */
        for (size_t j = 0; !full && j < sizeof ends / sizeof *ends; j++) {
            size_t n = alone(&o, ends[j], &one), path[T];
            path_of(o.c, ends[j], path);
            int32_t prefix = forest[0].full ? forest[path[0] == 0 ? 0 : 1].len : 0;
            ada_segment whole[] = {{.len = (int32_t)n, .parent = -1, .cache = -1}, {0}};
            if (path[0] == (size_t)forest[4].start) prefix = 0;
            if (prefix) {
                whole[0].len = prefix, whole[0].full = true;
                whole[1] =
                    (ada_segment){.start = prefix, .len = (int32_t)n - prefix, .pos = prefix, .cache = -1};
            }
            ada_pack p = {.T = (int32_t)n, .nsegs = prefix && prefix < (int32_t)n ? 2 : 1, .segs = whole};
            run(&one, &p, 0, NULL, p.T, NULL, true, &r);
            for (size_t k = 0; k < n; k++) same_row(&o, &r, k, &all, path[k]);
            for (size_t k = 0; k < n; k++) /* the query's gradient follows its path too */
                assert_memory_equal(r.dqkv + k * o.ld, all.dqkv + path[k] * o.ld, o.nq * sizeof(float));
            if (forest[1].start == (int32_t)path[0]) /* a tree alone: all gradients */
                assert_memory_equal(r.dqkv, all.dqkv + path[0] * o.ld, n * o.ld * sizeof(float));
            /* fed through a cache in steps of 1, 2, 4, …; of a prefix, the whole first */
            ada_stack s = {.c = *o.c, .type = o.type};
            s.c.layers = 1;
            ada_kv *kv;
            assert_int_equal(ada_kv_open(&kv, &s, 2, (int32_t)n), ADA_OK);
            for (int32_t pos = 0, step = prefix ? prefix : 1; pos < (int32_t)n; pos += step, step *= 2) {
                ada_segment e = {.full = pos < prefix,
                                 .len = (int32_t)n - pos < step ? (int32_t)n - pos : step,
                                 .parent = -1,
                                 .pos = pos,
                                 .cache = 1};
                ada_pack part = {.T = e.len, .nsegs = 1, .segs = &e};
                run(&one, &part, (size_t)pos, NULL, part.T, kv, false, &r);
                for (size_t k = 0; k < (size_t)e.len; k++) same_row(&o, &r, k, &all, path[(size_t)pos + k]);
                assert_int_equal(ada_kv_len(kv, 1), pos + e.len);
            }
            ada_kv_close(&kv);
            free(one.qkv), free(one.dout);
        }
        result_free(&all), result_free(&r);
        operands_free(&o);
    }
}

/* Gradients of wanted rows alone: the others' are as if dout were 0 there. */
static void wanted_gradients(void **state) {
    (void)state;
    static const int32_t wanted[] = {3, 40, 70, 101, 300, 410, 503, 541, 544};
    enum { WANTED = sizeof wanted / sizeof *wanted };
    struct operands o = operands_new(&configs[0], ADA_F32);
    struct result all = result_new(&o), r = result_new(&o);
    for (size_t i = 0, j = 0; i < T; i++) {
        if (j < WANTED && (size_t)wanted[j] == i)
            j++;
        else
            memset((float *)o.dout + i * o.nq, 0, o.nq * sizeof(float));
    }
    run(&o, &pack, 0, NULL, T, NULL, true, &all);
    run(&o, &pack, 0, wanted, WANTED, NULL, true, &r);
    for (size_t j = 0; j < WANTED; j++)
        for (size_t i = 0; i < o.nq; i++)
            assert_true(fabsf(r.dqkv[j * o.ld + i] - all.dqkv[(size_t)wanted[j] * o.ld + i]) <= 1e-6f);
    for (size_t i = 0; i < T; i++)
        for (size_t k = o.nq; k < o.ld; k++)
            assert_true(fabsf(r.dqkv[i * o.ld + k] - all.dqkv[i * o.ld + k]) <= 1e-6f);
    result_free(&all), result_free(&r);
    operands_free(&o);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(by_definition), cmocka_unit_test(same_bits),
                                       cmocka_unit_test(wanted_gradients)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
