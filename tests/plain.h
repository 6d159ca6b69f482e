/* SPDX-License-Identifier: Apache-2.0
 * The transformer in double precision, as its definition reads: one loop for each sum, nothing blocked or
 * kept. Owns: the meaning that engine code is tested against. Must not know: how the engine computes it. */
#ifndef ADA_TESTS_PLAIN_H
#define ADA_TESTS_PLAIN_H

#include "tests/pass.h"
#include <math.h>

/* y [m, n] = x [m, k] · wᵀ (+ b) */
static inline void plain_linear(double *y, const double *x, const double *w, const double *b, size_t m,
                                size_t n, size_t k) {
    for (size_t i = 0; i < m; i++)
        for (size_t o = 0; o < n; o++) {
            double s = b ? b[o] : 0;
            for (size_t j = 0; j < k; j++) s += x[i * k + j] * w[o * k + j];
            y[i * n + o] = s;
        }
}

static inline void plain_norm(double *y, const double *x, const double *w, double eps, size_t m, size_t d) {
    for (size_t i = 0; i < m; i++) {
        double s = 0;
        for (size_t j = 0; j < d; j++) s += x[i * d + j] * x[i * d + j];
        for (size_t j = 0; j < d; j++) y[i * d + j] = x[i * d + j] / sqrt(s / (double)d + eps) * w[j];
    }
}

static inline void plain_layernorm(double *y, const double *x, const double *w, const double *b, double eps,
                                   size_t m, size_t d) {
    for (size_t i = 0; i < m; i++) {
        double mean = 0, var = 0;
        for (size_t j = 0; j < d; j++) mean += x[i * d + j] / (double)d;
        for (size_t j = 0; j < d; j++) var += (x[i * d + j] - mean) * (x[i * d + j] - mean) / (double)d;
        for (size_t j = 0; j < d; j++) y[i * d + j] = (x[i * d + j] - mean) / sqrt(var + eps) * w[j] + b[j];
    }
}

static inline double plain_act(ada_act_kind act, double x) {
    switch (act) {
    case ADA_ACT_SILU:
        return x / (1 + exp(-x));
    case ADA_ACT_GELU_TANH:
        return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case ADA_ACT_GELU_ERF:
        return 0.5 * x * (1 + erf(x / M_SQRT2));
    case ADA_ACT_GELU_QUICK:
        return x / (1 + exp(-1.702 * x));
    case ADA_ACT_RELU:
        return x > 0 ? x : 0;
    }
    return NAN;
}

/* h [m, w] = act(g) · u of rows g then u [m, 2w] */
static inline void plain_gate(double *h, const double *gu, ada_act_kind act, size_t m, size_t w) {
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < w; j++)
            h[i * w + j] = plain_act(act, gu[i * 2 * w + j]) * gu[i * 2 * w + w + j];
}

static inline int32_t plain_segment(const ada_pack *p, int32_t row) {
    int32_t g = 0;
    while (row >= p->segs[g].start + p->segs[g].len) g++;
    return g;
}

static inline int32_t plain_position(const ada_pack *p, int32_t row) {
    const ada_segment *e = &p->segs[plain_segment(p, row)];
    return e->pos + row - e->start;
}

/* Whether `row` sees `key`: on its path, not after it, and within the window; from a full segment, on its
 * path. */
static inline bool plain_sees(const ada_pack *p, int32_t window, int32_t row, int32_t key) {
    int32_t of_key = plain_segment(p, key), g = plain_segment(p, row);
    bool far = window && plain_position(p, row) - plain_position(p, key) >= window;
    if (!p->segs[g].full && (key > row || far)) return false;
    while (g >= 0 && g != of_key) g = p->segs[g].parent;
    return g == of_key;
}

/* o [T, heads·hd] of q [T, heads·hd], k and v [S, kv·hd]; add [heads, T, S] to q·k, -INFINITY: unseen. */
static inline void plain_attend(double *o, const double *q, const double *k, const double *v,
                                const double *add, const ada_config *c, size_t T, size_t S) {
    size_t hd = (size_t)c->head_dim, H = (size_t)c->heads, KV = (size_t)c->kv_heads;
    double *s = test_calloc(S, sizeof *s), scale = (double)c->attn_scale;
    if (!(scale > 0)) scale = 1 / sqrt((double)hd);
    for (size_t i = 0; i < T; i++)
        for (size_t h = 0; h < H; h++) {
            size_t kh = h / (H / KV) * hd;
            double top = -INFINITY, sum = 0;
            for (size_t j = 0; j < S; j++) {
                double dot = add[(h * T + i) * S + j];
                for (size_t x = 0; x < hd; x++) dot += q[(i * H + h) * hd + x] * k[j * KV * hd + kh + x];
                s[j] = dot * scale;
                top = fmax(top, s[j]);
            }
            for (size_t j = 0; j < S; j++) sum += s[j] = exp(s[j] - top);
            for (size_t x = 0; x < hd; x++) {
                double a = 0;
                for (size_t j = 0; j < S; j++) a += s[j] / sum * v[j * KV * hd + kh + x];
                o[(i * H + h) * hd + x] = a;
            }
        }
    test_free(s);
}

/* Likewise within a pack. */
static inline void plain_attention(double *o, const double *q, const double *k, const double *v,
                                   const ada_config *c, const ada_pack *p) {
    size_t H = (size_t)c->heads, T = (size_t)p->T;
    double *add = test_calloc(H * T * T, sizeof *add);
    for (size_t i = 0; i < H * T * T; i++)
        if (!plain_sees(p, c->window, (int32_t)(i / T % T), (int32_t)(i % T))) add[i] = -INFINITY;
    plain_attend(o, q, k, v, add, c, T, T);
    test_free(add);
}

/* x [T, heads·hd] rotated in place by the stack's own frequencies. */
static inline void plain_rotate(double *x, size_t heads, const ada_stack *s, const ada_pack *p) {
    size_t hd = (size_t)s->c.head_dim, half = hd / 2;
    for (size_t i = 0; i < (size_t)p->T; i++)
        for (size_t h = 0; h < heads; h++)
            for (size_t j = 0; j < half; j++) {
                double *a = x + (i * heads + h) * hd + j, *b = a + half, was = *a;
                double angle = plain_position(p, (int32_t)i) * (double)s->inv_freq[j],
                       scale = (double)s->rope_mscale;
                *a = scale * (*a * cos(angle) - *b * sin(angle));
                *b = scale * (*b * cos(angle) + was * sin(angle));
            }
}

/* One number of one weight, moved: for differences at weights. */
static struct {
    const char *name; /* NULL: none */
    size_t at;
    double by;
} plain_nudge;

/* A tensor of a Hugging Face file as doubles; NULL if absent. */
static inline double *plain_tensor(const ada_model *m, int32_t layer, const char *name) {
    char full[128];
    if (layer >= 0)
        snprintf(full, sizeof full, "model.layers.%d.%s", layer, name);
    else
        snprintf(full, sizeof full, "%s", name);
    const ada_tensor *t = ada_tensors_find(m->file, full);
    if (!t) return NULL;
    size_t n = ada_tensor_count(t);
    float *f = test_malloc(n * sizeof *f);
    double *d = test_malloc(n * sizeof *d);
    assert_ok(ada_tensor_f32(t, 0, n, f));
    for (size_t i = 0; i < n; i++) d[i] = (double)f[i];
    test_free(f);
    if (plain_nudge.name && !strcmp(plain_nudge.name, full)) d[plain_nudge.at] += plain_nudge.by;
    return d;
}

/* y [T, n] = linear map `name` of x [T, k] */
static inline void plain_named(double *y, const double *x, const ada_model *m, int32_t layer,
                               const char *name, size_t T, size_t n, size_t k) {
    char weight[96], bias[96];
    snprintf(weight, sizeof weight, "%s.weight", name);
    snprintf(bias, sizeof bias, "%s.bias", name);
    double *w = plain_tensor(m, layer, weight), *b = plain_tensor(m, layer, bias);
    plain_linear(y, x, w, b, T, n, k);
    test_free(w);
    if (b) test_free(b);
}

/* x [T, d] in place: all layers of a model from a Hugging Face folder. */
static inline void plain_stack(double *x, const ada_model *m, const ada_pack *p) {
    const ada_config *c = &m->c;
    size_t T = (size_t)p->T, d = (size_t)c->d, hd = (size_t)c->head_dim, w = (size_t)c->ffn;
    size_t nq = (size_t)c->heads * hd, nk = (size_t)c->kv_heads * hd;
    double *buf = test_calloc(T * (2 * d + 2 * nq + 2 * nk + 4 * w), sizeof *buf);
    double *n = buf, *q = n + T * d, *k = q + T * nq, *v = k + T * nk, *o = v + T * nk, *y = o + T * nq;
    double *g = y + T * d, *u = g + T * w, *gu = u + T * w;
    for (int32_t l = 0; l < c->layers; l++) {
        double *a = plain_tensor(m, l, "input_layernorm.weight"),
               *f = plain_tensor(m, l, "post_attention_layernorm.weight");
        plain_norm(n, x, a, (double)c->norm_eps, T, d);
        plain_named(q, n, m, l, "self_attn.q_proj", T, nq, d);
        plain_named(k, n, m, l, "self_attn.k_proj", T, nk, d);
        plain_named(v, n, m, l, "self_attn.v_proj", T, nk, d);
        plain_rotate(q, (size_t)c->heads, &m->stack, p);
        plain_rotate(k, (size_t)c->kv_heads, &m->stack, p);
        plain_attention(o, q, k, v, c, p);
        plain_named(y, o, m, l, "self_attn.o_proj", T, d, nq);
        for (size_t i = 0; i < T * d; i++) x[i] += y[i];
        plain_norm(n, x, f, (double)c->norm_eps, T, d);
        plain_named(g, n, m, l, "mlp.gate_proj", T, w, d);
        plain_named(u, n, m, l, "mlp.up_proj", T, w, d);
        for (size_t i = 0; i < T; i++)
            for (size_t j = 0; j < w; j++)
                gu[i * 2 * w + j] = g[i * w + j], gu[i * 2 * w + w + j] = u[i * w + j];
        plain_gate(g, gu, c->act, T, w);
        plain_named(y, g, m, l, "mlp.down_proj", T, d, w);
        for (size_t i = 0; i < T * d; i++) x[i] += y[i];
        test_free(a);
        test_free(f);
    }
    test_free(buf);
}

#endif
