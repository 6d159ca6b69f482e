/* SPDX-License-Identifier: Apache-2.0
 * Every backward against central differences of the plain double forward: op by op, then the whole stack on a
 * forest of segments. Owns: the objective Σ dy·f(x) of each. An op in f32 differs by its rounding, a few
 * 2^-24·√n, from the difference quotient, whose own error at h = 1e-4 is about 1e-8. */
#include "tests/plain.h"
#include "engine/attention.h"
#include "engine/connector.h"
#include "engine/ffn.h"

typedef double (*objective)(void *ctx);

/* Some coordinates of x [n], moved in turn; grad [n] is what the engine says. Errors count against its
 * largest. */
static void central(const char *what, objective f, void *ctx, double *x, size_t n, const float *grad,
                    double limit) {
    double top = 0, worst = 0, h = 1e-4;
    for (size_t i = 0; i < n; i++) top = fmax(top, fabs((double)grad[i]));
    size_t stride = n > 240 ? n / 120 | 1 : 1;
    for (size_t i = 0; i < n; i += stride) {
        double was = x[i];
        x[i] = was + h;
        double up = f(ctx);
        x[i] = was - h;
        double down = f(ctx);
        x[i] = was;
        worst = fmax(worst, fabs((up - down) / (2 * h) - (double)grad[i]));
    }
    if (!(top > 0 && worst <= limit * top))
        fail_msg("%s: off by %.3g of %.3g, allowed %.3g", what, worst / top, top, limit);
}

/* Numbers, and the same in double. */
static void draw_both(ada_arena *a, size_t n, double scale, float **f, double **d) {
    draw(a, n, scale, f);
    assert_ok(ada_arena_take(a, d, n, sizeof **d));
    for (size_t i = 0; i < n; i++) (*d)[i] = (double)(*f)[i];
}

static double weighed(const double *y, const float *dy, size_t n) {
    double s = 0;
    for (size_t i = 0; i < n; i++) s += y[i] * (double)dy[i];
    return s;
}

/* ---- linear: at its input, and at its weight when it is trained ---- */

typedef struct {
    size_t m, n, k;
    double *x, *w, *y;
    float *dy;
} linear_case;

static double linear_value(void *ctx) {
    linear_case *c = ctx;
    plain_linear(c->y, c->x, c->w, NULL, c->m, c->n, c->k);
    return weighed(c->y, c->dy, c->m * c->n);
}

static void test_linear(void **state) {
    (void)state;
    ada_arena a = {0};
    linear_case c = {.m = 9, .n = 37, .k = 300};
    float *x, *w, *dx, *g;
    draw_both(&a, c.m * c.k, 1, &x, &c.x);
    draw_both(&a, c.n * c.k, 1, &w, &c.w);
    draw_both(&a, c.m * c.n, 1, &c.dy, &c.y);
    assert_ok(ada_arena_zero(&a, &dx, c.m * c.k, sizeof *dx));
    assert_ok(ada_arena_zero(&a, &g, c.n * c.k, sizeof *g));
    ada_linear l = {.w = mat_of(&a, w, c.n, c.k, ADA_F32), .g = g};
    ada_linear_backward(&l, x, c.k, c.dy, c.n, c.m, dx, c.k);
    central("linear, input", linear_value, &c, c.x, c.m * c.k, dx, 1e-6);
    central("linear, weight", linear_value, &c, c.w, c.n * c.k, g, 1e-6);
    ada_mat_close(&l.w);
    ada_arena_free(&a);
}

/* ---- norm: before a sublayer, and of what one adds ---- */

typedef struct {
    ada_norm_kind kind;
    size_t m, d;
    double *x, *w, *b, *y;
    float *dy;
} norm_case;

static double norm_value(void *ctx) {
    norm_case *c = ctx;
    if (c->kind == ADA_NORM_LAYER)
        plain_layernorm(c->y, c->x, c->w, c->b, 1e-5, c->m, c->d);
    else
        plain_norm(c->y, c->x, c->w, 1e-5, c->m, c->d);
    return weighed(c->y, c->dy, c->m * c->d);
}

static void norm_agrees(ada_norm_kind kind) {
    ada_arena a = {0};
    norm_case c = {.kind = kind, .m = 7, .d = 45};
    size_t n = c.m * c.d;
    float *x, *w, *b, *y, *tmp, *keep, *stat, *dx, *dy;
    draw_both(&a, n, 1, &x, &c.x);
    draw_both(&a, c.d, 1, &w, &c.w);
    draw_both(&a, c.d, 1, &b, &c.b);
    draw_both(&a, n, 1, &c.dy, &c.y);
    float **room[] = {&y, &tmp, &keep, &stat, &dx, &dy};
    for (size_t i = 0; i < 6; i++) assert_ok(ada_arena_zero(&a, room[i], n, sizeof(float)));
    ada_norm_rows r = {.kind = kind, .w = w, .eps = 1e-5F, .m = c.m, .d = c.d};
    if (kind == ADA_NORM_LAYER) r.b = b;
    ada_norm_forward(&r, ADA_F32, x, y, tmp, keep, stat);
    norm_value(&c);
    for (size_t i = 0; i < n; i++) assert_true(fabs((double)y[i] - c.y[i]) < 1e-5);
    memcpy(dy, c.dy, n * sizeof *dy);
    ada_norm_backward(&r, ADA_F32, dy, keep, stat, tmp, dx, true);
    central("norm", norm_value, &c, c.x, n, dx, 2e-6);
    /* the same rows, as what a sublayer adds to rows of 1 */
    for (size_t i = 0; i < n; i++) y[i] = 1;
    memset(keep, 0, n * sizeof *keep);
    memset(stat, 0, n * sizeof *stat);
    memcpy(tmp, x, n * sizeof *x);
    ada_norm_add(&r, ADA_F32, tmp, keep, stat, y);
    norm_value(&c);
    for (size_t i = 0; i < n; i++) assert_true(fabs((double)y[i] - 1 - c.y[i]) < 1e-5);
    ada_norm_add_backward(&r, ADA_F32, c.dy, keep, stat, tmp, dy, dx);
    central("norm of what is added", norm_value, &c, c.x, n, dx, 2e-6);
    ada_arena_free(&a);
}

static void test_norm(void **state) {
    (void)state;
    norm_agrees(ADA_NORM_RMS);
    norm_agrees(ADA_NORM_LAYER);
}

/* ---- ffn, each activation, gated or not, its end normed or not ---- */

typedef struct {
    size_t m, d, w;
    ada_act_kind act;
    bool gated, post;
    double *x, *norm, *up, *down, *end, *n, *gu, *h, *y;
    float *dy;
} ffn_case;

static double ffn_value(void *ctx) {
    ffn_case *c = ctx;
    size_t rows = c->gated ? 2 * c->w : c->w;
    plain_norm(c->n, c->x, c->norm, 1e-5, c->m, c->d);
    plain_linear(c->gu, c->n, c->up, NULL, c->m, rows, c->d);
    if (c->gated)
        plain_gate(c->h, c->gu, c->act, c->m, c->w);
    else
        for (size_t i = 0; i < c->m * c->w; i++) c->h[i] = plain_act(c->act, c->gu[i]);
    plain_linear(c->y, c->h, c->down, NULL, c->m, c->d, c->w);
    if (c->post) plain_norm(c->y, c->y, c->end, 1e-5, c->m, c->d);
    for (size_t i = 0; i < c->m * c->d; i++) c->y[i] += c->x[i];
    return weighed(c->y, c->dy, c->m * c->d);
}

static void ffn_agrees(ada_act_kind act, bool gated, bool post) {
    ada_arena a = {0};
    ffn_case c = {.m = 5, .d = 24, .w = 530, .act = act, .gated = gated, .post = post};
    size_t md = c.m * c.d, mw = c.m * c.w, rows = gated ? 2 * c.w : c.w;
    float *x, *norm, *end, *up, *down, *f[11];
    draw_both(&a, md, 1, &x, &c.x);
    draw_both(&a, c.d, 1, &norm, &c.norm);
    draw_both(&a, c.d, 1, &end, &c.end);
    draw_both(&a, rows * c.d, 0.3, &up, &c.up);
    draw_both(&a, c.w * c.d, 0.1, &down, &c.down);
    draw_both(&a, md, 1, &c.dy, &c.n);
    draw_both(&a, md, 1, &f[0], &c.y);
    draw_both(&a, 2 * mw, 1, &f[1], &c.gu);
    draw_both(&a, mw, 1, &f[2], &c.h);
    for (size_t i = 0; i < 11; i++) assert_ok(ada_arena_zero(&a, &f[i], 2 * mw + md, sizeof(float)));
    ada_linear lu = {.w = mat_of(&a, up, rows, c.d, ADA_F32)},
               ld = {.w = mat_of(&a, down, c.d, c.w, ADA_F32)};
    ada_panel p = {f[0], f[1], f[2], f[3], f[4]};
    ada_norm_rows normed = {.w = norm, .eps = 1e-5F, .m = c.m, .d = c.d}, post_rows = normed;
    post_rows.w = post ? end : NULL;
    ada_ffn ffn = {.norm = normed,
                   .type = ADA_F32,
                   .act = act,
                   .gated = gated,
                   .width = c.w,
                   .up = &lu,
                   .end = {.out = &ld, .type = ADA_F32, .post = post_rows, .keep = f[9], .stat = f[10]},
                   .x = f[5],
                   .stat = f[6],
                   .gate_up = f[7]};
    ada_ffn_forward(&ffn, &p, x);
    ffn_value(&c);
    for (size_t i = 0; i < md; i++) assert_true(fabs((double)x[i] - c.y[i]) < 1e-4);
    memcpy(f[8], c.dy, md * sizeof(float));
    ada_ffn_backward(&ffn, &p, f[8]);
    /* relu has no derivative at 0, and a step of h crosses it somewhere: seen from there it is half wrong */
    central("ffn", ffn_value, &c, c.x, md, f[8], act == ADA_ACT_RELU ? 2e-3 : 5e-6);
    ada_mat_close(&lu.w);
    ada_mat_close(&ld.w);
    ada_arena_free(&a);
}

static void test_ffn(void **state) {
    (void)state;
    for (int act = ADA_ACT_SILU; act <= ADA_ACT_RELU; act++)
        for (int gated = 0; gated < 2; gated++) ffn_agrees((ada_act_kind)act, gated, (act + gated) % 2);
}

/* ---- connector: at its weights and biases; its rows come from what is frozen ---- */

typedef struct {
    ada_connector c;
    size_t n;
    double *x, *w1, *b1, *w2, *b2, *h, *y;
    float *dy;
} connector_case;

/* y [n, d] = x [n, k] · w + b */
static void plain_product(double *y, const double *x, const double *w, const double *b, size_t n, size_t k,
                          size_t d) {
    for (size_t i = 0; i < n * d; i++) {
        y[i] = b[i % d];
        for (size_t j = 0; j < k; j++) y[i] += x[i / d * k + j] * w[j * d + i % d];
    }
}

static double connector_value(void *ctx) {
    connector_case *c = ctx;
    size_t in = (size_t)c->c.in, hidden = (size_t)c->c.hidden, d = (size_t)c->c.d;
    plain_product(hidden ? c->h : c->y, c->x, c->w1, c->b1, c->n, in, hidden ? hidden : d);
    for (size_t i = 0; i < c->n * hidden; i++) c->h[i] = plain_act(c->c.act, c->h[i]);
    if (hidden) plain_product(c->y, c->h, c->w2, c->b2, c->n, hidden, d);
    return (double)c->c.scale * weighed(c->y, c->dy, c->n * d);
}

static void connector_agrees(ada_connector_kind kind, ada_act_kind act) {
    enum { IN = 70, HIDDEN = 90, D = 61, N = 19 };
    ada_arena a = {0};
    connector_case c = {.c = {.kind = kind, .in = IN, .d = D, .act = act, .scale = 0.7F}, .n = N};
    size_t first = kind == ADA_CONNECTOR_MLP2 ? HIDDEN : D;
    float *x, *y, *h, *g;
    void *scratch;
    c.c.hidden = kind == ADA_CONNECTOR_MLP2 ? HIDDEN : 0;
    draw_both(&a, N * IN, 1, &x, &c.x);
    draw_both(&a, IN * first, 0.2, &c.c.w1, &c.w1);
    draw_both(&a, first, 1, &c.c.b1, &c.b1);
    draw_both(&a, HIDDEN * D, 0.2, &c.c.w2, &c.w2);
    draw_both(&a, D, 1, &c.c.b2, &c.b2);
    draw_both(&a, N * HIDDEN, 1, &h, &c.h);
    draw_both(&a, N * D, 1, &c.dy, &c.y);
    assert_ok(ada_arena_zero(&a, &y, N * D, sizeof *y));
    assert_ok(ada_arena_zero(&a, &g, IN * first + first + HIDDEN * D + D, sizeof *g));
    assert_ok(ada_arena_zero(&a, &scratch, ada_connector_scratch(&c.c, N), 1));
    ada_connector_grads at = {g, g + IN * first, g + IN * first + first, g + IN * first + first + HIDDEN * D};
    ada_connector_forward(&c.c, x, N, y, scratch);
    ada_connector_backward(&c.c, x, N, c.dy, scratch, &at);
    double limit = act == ADA_ACT_RELU ? 2e-3 : 5e-6;
    central("connector, w1", connector_value, &c, c.w1, IN * first, at.w1, limit);
    central("connector, b1", connector_value, &c, c.b1, first, at.b1, limit);
    if (kind == ADA_CONNECTOR_MLP2) {
        central("connector, w2", connector_value, &c, c.w2, HIDDEN * D, at.w2, limit);
        central("connector, b2", connector_value, &c, c.b2, D, at.b2, limit);
    }
    float once = at.w1[5];
    ada_connector_backward(&c.c, x, N, c.dy, scratch, &at);
    assert_true(fabsf(at.w1[5] - 2 * once) <= 1e-5F * fabsf(once)); /* it adds */
    ada_arena_free(&a);
}

static void test_connector(void **state) {
    (void)state;
    connector_agrees(ADA_CONNECTOR_LINEAR, ADA_ACT_SILU);
    for (int act = ADA_ACT_SILU; act <= ADA_ACT_RELU; act++)
        connector_agrees(ADA_CONNECTOR_MLP2, (ada_act_kind)act);
}

/* ---- a forest: two rows that share a beginning, one of them with two endings; a row of its own ---- */

static const ada_segment forest[] = {
    {.start = 0, .len = 7, .parent = -1, .cache = -1},
    {.start = 7, .len = 3, .parent = 0, .pos = 7, .cache = -1},
    {.start = 10, .len = 4, .parent = 0, .pos = 7, .cache = -1},
    {.start = 14, .len = 2, .parent = 2, .pos = 11, .cache = -1},
    {.start = 16, .len = 5, .parent = -1, .cache = -1},
};
static const int32_t forest_out[] = {6, 8, 9, 13, 15, 20};
static ada_pack forest_pack(void) {
    return (ada_pack){21, 5, 6, NULL, forest, forest_out};
}
/* The shared beginning, and half of the row of its own, see themselves in both directions. */
static ada_pack prefix_pack(void) {
    static ada_segment segs[6];
    memcpy(segs, forest, sizeof forest);
    segs[0].full = segs[4].full = true;
    segs[4].len = 3;
    segs[5] = (ada_segment){.start = 19, .len = 2, .parent = 4, .pos = 3, .cache = -1};
    return (ada_pack){21, 6, 6, NULL, segs, forest_out};
}

/* ---- attention ---- */

typedef struct {
    ada_config c;
    ada_pack p;
    double *q, *k, *v, *o;
    float *dy;
} attn_case;

static double attn_value(void *ctx) {
    attn_case *c = ctx;
    plain_attention(c->o, c->q, c->k, c->v, &c->c, &c->p);
    return weighed(c->o, c->dy, (size_t)(c->p.T * c->c.heads * c->c.head_dim));
}

static void attention_agrees(int32_t window, ada_pack p) {
    ada_arena a = {0};
    attn_case c = {.c = {.heads = 4, .kv_heads = 2, .head_dim = 12, .window = window}, .p = p};
    size_t T = (size_t)c.p.T, nq = T * 48, nk = T * 24;
    float *q, *k, *v, *o, *lse, *dq, *dk, *dv;
    draw_both(&a, nq, 1, &q, &c.q);
    draw_both(&a, nk, 1, &k, &c.k);
    draw_both(&a, nk, 1, &v, &c.v);
    draw_both(&a, nq, 1, &c.dy, &c.o);
    float **room[] = {&o, &lse, &dq, &dk, &dv};
    for (size_t i = 0; i < 5; i++) assert_ok(ada_arena_zero(&a, room[i], nq, sizeof(float)));
    ada_attn_ws *ws;
    assert_ok(ada_attn_layout(&ws, &a, &c.c, ADA_F32, c.p.T, c.p.nsegs, c.p.T, c.p.T, true));
    ada_attn call = {.c = &c.c,
                     .type = ADA_F32,
                     .pack = &c.p,
                     .m = c.p.T,
                     .q = q,
                     .ldq = 48,
                     .k = k,
                     .v = v,
                     .ldkv = 24,
                     .o = o,
                     .lse = lse};
    ada_part whole = ada_pack_whole(call.pack, &(ada_reading){0});
    ada_attn_survey(&call, ws);
    ada_attn_forward(&call, ws, &whole);
    attn_value(&c);
    for (size_t i = 0; i < nq; i++) assert_true(fabs((double)o[i] - c.o[i]) < 1e-5);
    ada_attn_backward(&call, ws, &whole, c.dy, &(ada_attn_grad){ADA_F32, dq, dk, dv, 48, 24});
    central("attention, query", attn_value, &c, c.q, nq, dq, 5e-6);
    central("attention, key", attn_value, &c, c.k, nk, dk, 5e-6);
    central("attention, value", attn_value, &c, c.v, nk, dv, 5e-6);
    ada_arena_free(&a);
}

static void test_attention(void **state) {
    (void)state;
    attention_agrees(0, forest_pack());
    attention_agrees(4, forest_pack());
    attention_agrees(0, prefix_pack());
    attention_agrees(4, prefix_pack());
}

/* Rows that read a memory, of which one segment has no reader and another has two; or a bias by distance. */
typedef struct {
    ada_config c;
    ada_pack p, memory;
    double *add, *q, *k, *v, *o;
    float *dy;
} read_case;

static double read_value(void *ctx) {
    read_case *c = ctx;
    plain_attend(c->o, c->q, c->k, c->v, c->add, &c->c, (size_t)c->p.T, (size_t)c->memory.T);
    return weighed(c->o, c->dy, (size_t)(c->p.T * c->c.heads * c->c.head_dim));
}

static void reading_agrees(read_case *c, const ada_attn *with) {
    ada_arena a = {0};
    size_t wide = (size_t)(c->c.heads * c->c.head_dim), nq = (size_t)c->p.T * wide,
           nk = (size_t)c->memory.T * wide;
    float *q, *k, *v, *o, *lse, *dq, *dk, *dv;
    draw_both(&a, nq, 0.5, &q, &c->q);
    draw_both(&a, nk, 0.5, &k, &c->k);
    draw_both(&a, nk, 1, &v, &c->v);
    draw_both(&a, nq, 1, &c->dy, &c->o);
    float **room[] = {&o, &lse, &dq, &dk, &dv};
    for (size_t i = 0; i < 5; i++) assert_ok(ada_arena_zero(&a, room[i], nq + nk, sizeof(float)));
    ada_attn_ws *ws;
    int32_t most = c->p.T > c->memory.T ? c->p.T : c->memory.T;
    assert_ok(ada_attn_layout(&ws, &a, &c->c, ADA_F32, most, 5, most, most, true));
    ada_attn call = {.c = &c->c,
                     .type = ADA_F32,
                     .pack = &c->p,
                     .reading = with->reading,
                     .bias = with->bias,
                     .m = c->p.T,
                     .q = q,
                     .ldq = wide,
                     .k = k,
                     .v = v,
                     .ldkv = wide,
                     .o = o,
                     .lse = lse};
    ada_part whole = ada_pack_whole(call.pack, &call.reading);
    ada_attn_survey(&call, ws);
    ada_attn_forward(&call, ws, &whole);
    read_value(c);
    for (size_t i = 0; i < nq; i++) assert_true(fabs((double)o[i] - c->o[i]) < 1e-5);
    memset(dk, 0xff, nk * sizeof *dk); /* all of it is written */
    ada_attn_backward(&call, ws, &whole, c->dy, &(ada_attn_grad){ADA_F32, dq, dk, dv, wide, wide});
    central("attention, query", read_value, c, c->q, nq, dq, 5e-6);
    central("attention, key", read_value, c, c->k, nk, dk, 5e-6);
    central("attention, value", read_value, c, c->v, nk, dv, 5e-6);
    ada_arena_free(&a);
}

static void test_memory(void **state) {
    (void)state;
    static const ada_segment segs[] = {{.start = 0, .len = 70, .parent = -1, .cache = -1},
                                       {.start = 70, .len = 9, .parent = -1, .cache = -1},
                                       {.start = 79, .len = 40, .parent = -1, .cache = -1}};
    static const int32_t reads[] = {2, 2, 2, 2, 0};
    read_case c = {.c = {.heads = 3, .kv_heads = 3, .head_dim = 10, .attn_scale = 1},
                   .p = forest_pack(),
                   .memory = {.T = 119, .nsegs = 3, .segs = segs}};
    size_t n = 3 * (size_t)(c.p.T * c.memory.T);
    c.add = test_calloc(n, sizeof *c.add);
    for (size_t i = 0; i < n; i++) {
        int32_t row = (int32_t)(i / 119 % (size_t)c.p.T), key = (int32_t)(i % 119);
        const ada_segment *e = &segs[reads[plain_segment(&c.p, row)]];
        if (key < e->start || key >= e->start + e->len) c.add[i] = -INFINITY;
    }
    reading_agrees(&c, &(ada_attn){.reading = {&c.memory, reads}});
    test_free(c.add);
}

static void bias_agrees(ada_mask_kind mask) {
    enum { SPAN = 20, T = 150 };
    ada_arena a = {0};
    static const ada_segment segs[] = {{.start = 0, .len = 130, .parent = -1, .cache = -1},
                                       {.start = 130, .len = 20, .parent = -1, .cache = -1}};
    ada_pack p = {.T = T, .nsegs = 2, .segs = segs};
    read_case c = {
        .c = {.heads = 2, .kv_heads = 2, .head_dim = 6, .attn_scale = 1, .mask = mask}, .p = p, .memory = p};
    size_t wide = ada_attn_bias_width(SPAN);
    float *at;
    draw(&a, 2 * wide, 1, &at);
    for (size_t i = 0; i < wide; i++) /* beyond the span it does not change */
        for (size_t h = 0; h < 2; h++) {
            size_t mid = i < ADA_BIAS_MARGIN           ? ADA_BIAS_MARGIN
                         : i >= wide - ADA_BIAS_MARGIN ? wide - ADA_BIAS_MARGIN - 1
                                                       : i;
            at[h * wide + i] = at[h * wide + mid];
        }
    c.add = test_calloc((size_t)2 * T * T, sizeof *c.add);
    for (int32_t i = 0; i < 2 * T * T; i++) {
        int32_t row = i / T % T, key = i % T, by = key - row;
        bool seen = plain_segment(&p, row) == plain_segment(&p, key) && (mask == ADA_MASK_FULL || by <= 0);
        int32_t place = (by < -SPAN ? -SPAN : by > SPAN ? SPAN : by) + SPAN + ADA_BIAS_MARGIN;
        c.add[i] = seen ? (double)at[(size_t)(i / T / T) * wide + (size_t)place] : -INFINITY;
    }
    reading_agrees(&c, &(ada_attn){.bias = &(ada_attn_bias){at, SPAN}});
    test_free(c.add);
    ada_arena_free(&a);
}

static void test_bias(void **state) {
    (void)state;
    bias_agrees(ADA_MASK_FULL);
    bias_agrees(ADA_MASK_CAUSAL);
}

/* ---- head ---- */

typedef struct {
    const ada_model *m;
    size_t n;
    double *x, *y, *logits, *norm, *w;
    const int32_t *target;
    const float *weight;
} head_case;

static double head_value(void *ctx) {
    head_case *c = ctx;
    size_t d = (size_t)c->m->c.d, vocab = (size_t)c->m->c.vocab;
    double total = 0;
    plain_norm(c->y, c->x, c->norm, (double)c->m->c.norm_eps, c->n, d);
    plain_linear(c->logits, c->y, c->w, NULL, c->n, vocab, d);
    for (size_t i = 0; i < c->n; i++) {
        double sum = 0;
        for (size_t j = 0; j < vocab; j++) sum += exp(c->logits[i * vocab + j]);
        total += (double)c->weight[i] * (log(sum) - c->logits[i * vocab + (size_t)c->target[i]]);
    }
    return total;
}

static void test_head(void **state) {
    (void)state;
    ada_arena a = {0};
    ada_model *m = golden_model("tied_gqa", true);
    enum { N = 150 }; /* more than a chunk */
    head_case c = {.m = m, .n = N};
    size_t d = (size_t)m->c.d;
    float *x, *dh, *loss, *weight, *spare;
    int32_t target[N];
    draw_both(&a, N * d, 1, &x, &c.x);
    draw_both(&a, N * d, 1, &dh, &c.y);
    draw(&a, N, 1, &weight);
    draw(&a, N, 1, &loss);
    draw_both(&a, N * (size_t)m->c.vocab, 1, &spare, &c.logits);
    for (int i = 0; i < N; i++) target[i] = i % m->c.vocab;
    c.norm = plain_tensor(m, -1, "model.norm.weight");
    c.w = plain_tensor(m, -1, "model.embed_tokens.weight");
    c.target = target, c.weight = weight;
    ada_head_ws *ws;
    assert_ok(ada_head_layout(&ws, &a, &m->head, N));
    ada_head_loss(&m->head, ws, x, target, weight, N, loss, dh);
    double total = 0;
    for (int i = 0; i < N; i++) total += (double)weight[i] * (double)loss[i];
    assert_true(fabs(total - head_value(&c)) < 1e-4);
    central("head", head_value, &c, c.x, N * d, dh, 5e-6);
    test_free(c.norm);
    test_free(c.w);
    ada_model_close(&m);
    ada_arena_free(&a);
}

/* ---- the whole stack, wanted rows only ---- */

typedef struct {
    const ada_model *m;
    ada_pack p;
    double *x, *y;
    float *dh;
} stack_case;

static double stack_value(void *ctx) {
    stack_case *c = ctx;
    size_t d = (size_t)c->m->c.d;
    double total = 0;
    memcpy(c->y, c->x, (size_t)c->p.T * d * sizeof *c->y);
    plain_stack(c->y, c->m, &c->p);
    for (size_t i = 0; i < (size_t)c->p.nout; i++)
        total += weighed(c->y + (size_t)c->p.out[i] * d, c->dh + i * d, d);
    return total;
}

static void stack_agrees(const char *name, ada_pack p) {
    ada_arena a = {0};
    ada_model *m = golden_model(name, true);
    stack_case c = {.m = m, .p = p};
    size_t d = (size_t)m->c.d, n = (size_t)c.p.T * d;
    pass_run r;
    float *x, *spare;
    pass_room(&r, &m->stack, &m->head, &c.p, true);
    draw_both(&a, n, 1, &x, &c.x);
    draw(&a, (size_t)c.p.nout * d, 1, &c.dh);
    draw_both(&a, n, 1, &spare, &c.y);
    memcpy(r.x, x, n * sizeof *x);
    ada_stack_forward(&m->stack, &c.p, r.pass, NULL, r.x, r.h);
    stack_value(&c);
    for (size_t i = 0; i < (size_t)c.p.nout * d; i++)
        assert_true(fabs((double)r.h[i] - c.y[(size_t)c.p.out[i / d] * d + i % d]) < 2e-4);
    ada_stack_backward(&m->stack, &c.p, r.pass, c.dh, r.dx);
    central("stack", stack_value, &c, c.x, n, r.dx, 5e-5);
    ada_arena_free(&r.arena);
    ada_arena_free(&a);
    ada_model_close(&m);
}

static void test_stack(void **state) {
    stack_agrees(*state, forest_pack());
}
static void test_prefix(void **state) {
    stack_agrees(*state, prefix_pack());
}

/* A trained weight gets its gradient from the same pass, whichever product it is. */
static void test_trained(void **state) {
    (void)state;
    ada_arena a = {0};
    ada_model *m = golden_model("untied_bias", true);
    size_t d = (size_t)m->c.d, nq = (size_t)(m->c.heads * m->c.head_dim), w = (size_t)m->c.ffn;
    int32_t last = m->c.layers - 1;
    ada_layer *y = &m->stack.layers[0], *z = &m->stack.layers[last];
    struct {
        ada_linear *l;
        int32_t layer;
        const char *name;
        size_t first, k; /* its first row in the stacked weight; columns */
    } all[] = {
        {&y->qkv, 0, "self_attn.q_proj", 0, d},  {&y->qkv, 0, "self_attn.v_proj", 2 * nq, d},
        {&y->o, 0, "self_attn.o_proj", 0, nq},   {&y->up, 0, "mlp.gate_proj", 0, d},
        {&y->up, 0, "mlp.up_proj", w, d},        {&y->down, 0, "mlp.down_proj", 0, w},
        {&z->q, last, "self_attn.q_proj", 0, d}, {&z->qkv, last, "self_attn.k_proj", 0, d},
        {&z->down, last, "mlp.down_proj", 0, w},
    };
    enum { N = sizeof all / sizeof *all };
    for (size_t i = 0; i < N; i++)
        assert_ok(ada_arena_zero(&a, &all[i].l->g, ada_mat_rows(all[i].l->w) * all[i].k, sizeof(float)));
    stack_case c = {.m = m, .p = forest_pack()};
    size_t n = (size_t)c.p.T * d;
    pass_run r;
    float *x, *spare;
    pass_room(&r, &m->stack, &m->head, &c.p, true);
    draw_both(&a, n, 1, &x, &c.x);
    draw(&a, (size_t)c.p.nout * d, 1, &c.dh);
    draw_both(&a, n, 1, &spare, &c.y);
    memcpy(r.x, x, n * sizeof *x);
    ada_stack_forward(&m->stack, &c.p, r.pass, NULL, r.x, r.h);
    ada_stack_backward(&m->stack, &c.p, r.pass, c.dh, r.dx);
    for (size_t i = 0; i < N; i++) {
        char name[96];
        snprintf(name, sizeof name, "model.layers.%d.%s.weight", all[i].layer, all[i].name);
        const float *g = all[i].l->g + all[i].first * all[i].k;
        plain_nudge.name = name;
        for (size_t at = 3; at < 12 * all[i].k; at += all[i].k + 5) {
            plain_nudge.at = at, plain_nudge.by = 1e-4;
            double up = stack_value(&c);
            plain_nudge.by = -1e-4;
            double want = (up - stack_value(&c)) / 2e-4;
            if (!(fabs(want - (double)g[at]) <= 5e-4 * fmax(1, fabs(want))))
                fail_msg("%s at %zu: %.6g, wanted %.6g", name, at, (double)g[at], want);
        }
        plain_nudge.name = NULL;
    }
    ada_arena_free(&r.arena);
    ada_arena_free(&a);
    ada_model_close(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear),
        cmocka_unit_test(test_norm),
        cmocka_unit_test(test_ffn),
        cmocka_unit_test(test_connector),
        cmocka_unit_test(test_attention),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_bias),
        cmocka_unit_test(test_head),
        {"stack with biases", test_stack, NULL, NULL, "untied_bias"},
        {"stack with a window", test_stack, NULL, NULL, "window"},
        {"stack with one key head", test_stack, NULL, NULL, "head_dim"},
        {"stack with a window and a prefix", test_prefix, NULL, NULL, "window"},
        cmocka_unit_test(test_trained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
