/* SPDX-License-Identifier: Apache-2.0
 * Owns: cross-attention's op pair and a memory's keys, values and gradient.
 * Must not know: the order of sublayers. Invariant: the gradient at the memory sums layers from the last to
 * the first, each of them in the order that attention gives. */
#include "engine/cross.h"
#include "engine/attention.h"

typedef struct { /* of one layer; without training all layers share the first's */
    void *x;     /* [rows, d] the stream before; training only */
    float *stat; /* [rows, 2] */
    void *q;     /* [rows, heads·head_dim] */
    void *att;   /* likewise */
    float *lse;  /* [rows, heads] */
    void *q_in;  /* [rows, d] only if the query is trained */
} kept;

struct ada_memory {
    const ada_stack *s;
    const ada_pack *pack;
    const int32_t *reads;
    const float *h; /* [S, d] the encoder's rows before their norm */
    float *stat;    /* [S, 2] */
    void *rows;     /* [S, d] normed */
    void **kv;      /* [layers]: [S, 2·kv], k then v */
    kept *layers;   /* [layers] */
    ada_panel panel;
    ada_attn_ws *attn;
    void *datt;         /* [readers, heads·head_dim] training only, as the rest */
    float *dq;          /* [readers, heads·head_dim] */
    float *dkv, *drows; /* [S, 2·kv], [S, d] */
};

typedef struct {
    size_t d, q, kv, wide;
} dims;

static dims dims_of(const ada_stack *s) {
    size_t hd = (size_t)s->c.head_dim;
    dims n = {(size_t)s->c.d, (size_t)s->c.heads * hd, (size_t)s->c.kv_heads * hd, 0};
    n.wide = n.q > 2 * n.kv ? n.q : 2 * n.kv;
    return n;
}

/* ---- layout ---- */

static ada_status layout_layer(kept *k, ada_arena *a, const ada_stack *s, const ada_layer *y, size_t rows,
                               bool train) {
    dims n = dims_of(s);
    size_t ts = ada_type_size(s->type), fs = sizeof(float);
    ADA_TRY(ada_arena_rows(a, &k->q, rows, n.q, ts));
    ADA_TRY(ada_arena_rows(a, &k->att, rows, n.q, ts));
    if (!train) return ADA_OK;
    ADA_TRY(ada_arena_rows(a, &k->x, rows, n.d, ts));
    ADA_TRY(ada_arena_rows(a, &k->stat, rows, 2, fs));
    ADA_TRY(ada_arena_rows(a, &k->lse, rows, (size_t)s->c.heads, fs));
    return y->cross_q.g ? ada_arena_rows(a, &k->q_in, rows, n.d, ts) : ADA_OK;
}

static ada_status layout_train(ada_memory *m, ada_arena *a, const ada_memory_limits *lim) {
    dims n = dims_of(m->s);
    size_t S = (size_t)lim->rows, T = (size_t)lim->readers, fs = sizeof(float);
    ADA_TRY(ada_arena_rows(a, &m->datt, T, n.q, ada_type_size(m->s->type)));
    ADA_TRY(ada_arena_rows(a, &m->dq, T, n.q, fs));
    ADA_TRY(ada_arena_rows(a, &m->dkv, S, 2 * n.kv, fs));
    return ada_arena_rows(a, &m->drows, S, n.d, fs);
}

ada_status ada_memory_layout(ada_memory **out, ada_arena *a, const ada_stack *s,
                             const ada_memory_limits *lim) {
    dims n = dims_of(s);
    size_t S = (size_t)lim->rows, layers = (size_t)s->c.layers, ts = ada_type_size(s->type);
    size_t fs = sizeof(float);
    int32_t most = lim->rows > lim->readers ? lim->rows : lim->readers;
    int32_t segs = lim->segs > lim->reader_segs ? lim->segs : lim->reader_segs;
    ada_memory m = {.s = s};
    kept k = {0};
    ADA_TRY(ada_arena_take(a, out, 1, sizeof **out));
    ADA_TRY(ada_arena_take(a, &m.kv, layers, sizeof *m.kv));
    ADA_TRY(ada_arena_take(a, &m.layers, layers, sizeof *m.layers));
    ADA_TRY(ada_arena_rows(a, &m.stat, S, 2, fs));
    ADA_TRY(ada_arena_rows(a, &m.rows, S, n.d, ts));
    for (size_t l = 0; l < layers; l++) {
        void *kv;
        size_t rows = (size_t)(l + 1 < layers || layers == 1 ? lim->readers : lim->out);
        ADA_TRY(ada_arena_rows(a, &kv, S, 2 * n.kv, ts));
        if (lim->train || l == 0) {
            k = (kept){0};
            ADA_TRY(layout_layer(&k, a, s, &s->layers[l], rows, lim->train));
        }
        if (!a->counting) m.kv[l] = kv, m.layers[l] = k;
    }
    ADA_TRY(ada_panel_layout(&m.panel, a, s->type, (size_t)most, n.d, n.wide));
    ADA_TRY(ada_attn_layout(&m.attn, a, &s->c, s->type, most, segs, most, most, lim->train));
    if (lim->train) ADA_TRY(layout_train(&m, a, lim));
    if (!a->counting) **out = m;
    return ADA_OK;
}

/* ---- the memory ---- */

static ada_norm_rows norm_of(const ada_memory *m, const float *w, size_t rows) {
    const ada_config *c = &m->s->c;
    return (ada_norm_rows){.kind = c->norm, .w = w, .eps = c->norm_eps, .m = rows, .d = (size_t)c->d};
}

void ada_memory_fill(ada_memory *m, const ada_pack *p, const float *h) {
    ada_dtype type = m->s->type;
    dims n = dims_of(m->s);
    m->pack = p, m->h = h;
    if (m->drows) memset(m->drows, 0, (size_t)p->T * n.d * sizeof *m->drows);
    for (size_t i = 0; i < (size_t)p->T; i += ADA_PANEL) {
        size_t rows = ada_panel_rows(i, (size_t)p->T);
        void *to = ada_at(type, m->rows, i * n.d);
        ada_norm_rows r = norm_of(m, m->s->memory_norm, rows);
        ada_norm_forward(&r, type, h + i * n.d, to, m->panel.n, NULL, m->stat + 2 * i);
        for (int32_t l = 0; l < m->s->c.layers; l++) {
            ada_linear_forward_narrow(&m->s->layers[l].cross_kv, to, n.d, rows, m->panel.t,
                                      ada_at(type, m->kv[l], i * 2 * n.kv));
        }
    }
}

void ada_memory_read(ada_memory *m, const int32_t *reads) {
    m->reads = reads;
}

const ada_pack *ada_memory_pack(const ada_memory *m) {
    return m->pack;
}

typedef struct {
    float *to;
    const float *from;
    size_t m, d;
} add_job;

static void add_strip(void *ctx, size_t strip, int worker) {
    (void)worker;
    const add_job *j = ctx;
    size_t first = strip * ADA_STRIP * j->d, end = ada_strip_end(strip, j->m) * j->d;
    ada_k.add(j->to + first, j->to + first, j->from + first, end - first);
}

/* From the gradient at one layer's keys and values to that at the normed rows. */
static void gather_rows(ada_memory *m, int32_t l) {
    ada_dtype type = m->s->type;
    dims n = dims_of(m->s);
    size_t S = (size_t)m->pack->T;
    for (size_t i = 0; i < S; i += ADA_PANEL) {
        size_t rows = ada_panel_rows(i, S);
        ada_narrow_rows(type, m->panel.h, m->dkv + i * 2 * n.kv, 2 * n.kv, rows, 2 * n.kv);
        ada_linear_backward(&m->s->layers[l].cross_kv, ada_at(type, m->rows, i * n.d), n.d, m->panel.h,
                            2 * n.kv, rows, m->panel.n, n.d);
        ada_par_for(ada_strips(rows), add_strip, &(add_job){m->drows + i * n.d, m->panel.n, rows, n.d});
    }
}

void ada_memory_back(ada_memory *m, float *dh) {
    size_t d = (size_t)m->s->c.d, S = (size_t)m->pack->T;
    for (size_t i = 0; i < S; i += ADA_PANEL) {
        ada_norm_rows r = norm_of(m, m->s->memory_norm, ada_panel_rows(i, S));
        ada_norm_backward(&r, ADA_F32, m->drows + i * d, m->h + i * d, m->stat + 2 * i, m->panel.r,
                          dh + i * d, false);
    }
}

/* ---- the sublayer ---- */

static ada_attn attn_of(const ada_memory *m, int32_t l, const ada_pack *p, const int32_t *rows, int32_t n) {
    const ada_stack *s = m->s;
    const kept *k = &m->layers[l];
    dims w = dims_of(s);
    return (ada_attn){.c = &s->c,
                      .type = s->type,
                      .pack = p,
                      .memory = m->pack,
                      .reads = m->reads,
                      .rows = rows,
                      .m = n,
                      .q = k->q,
                      .ldq = w.q,
                      .k = m->kv[l],
                      .v = ada_at(s->type, m->kv[l], w.kv),
                      .ldkv = 2 * w.kv,
                      .o = k->att,
                      .lse = k->lse,
                      .layer = l};
}

static ada_residual end_of(const ada_memory *m, int32_t l, size_t rows) {
    return (ada_residual){
        .out = &m->s->layers[l].cross_o, .type = m->s->type, .post = {.m = rows, .d = (size_t)m->s->c.d}};
}

void ada_cross_forward(ada_memory *m, int32_t l, const ada_pack *p, const int32_t *rows, int32_t n,
                       float *x) {
    ada_dtype type = m->s->type;
    const ada_layer *y = &m->s->layers[l];
    const kept *k = &m->layers[l];
    dims w = dims_of(m->s);
    for (size_t i = 0; i < (size_t)n; i += ADA_PANEL) {
        size_t at = ada_panel_rows(i, (size_t)n);
        ada_norm_rows r = norm_of(m, y->cross_norm, at);
        void *in = k->q_in ? ada_at(type, k->q_in, i * w.d) : m->panel.a;
        ada_norm_forward(&r, type, x + i * w.d, in, m->panel.n, ada_at_kept(type, k->x, i * w.d),
                         k->stat ? k->stat + 2 * i : NULL);
        ada_linear_forward_narrow(&y->cross_q, in, w.d, at, m->panel.t, ada_at(type, k->q, i * w.q));
    }
    ada_attn a = attn_of(m, l, p, rows, n);
    ada_attn_forward(&a, m->attn);
    for (size_t i = 0; i < (size_t)n; i += ADA_PANEL) {
        ada_residual o = end_of(m, l, ada_panel_rows(i, (size_t)n));
        ada_residual_forward(&o, &m->panel, ada_at(type, k->att, i * w.q), w.q, x + i * w.d);
    }
}

void ada_cross_backward(ada_memory *m, int32_t l, const ada_pack *p, const int32_t *rows, int32_t n,
                        float *dx) {
    ada_dtype type = m->s->type;
    const ada_layer *y = &m->s->layers[l];
    const kept *k = &m->layers[l];
    dims w = dims_of(m->s);
    for (size_t i = 0; i < (size_t)n; i += ADA_PANEL) {
        ada_residual o = end_of(m, l, ada_panel_rows(i, (size_t)n));
        ada_residual_backward_narrow(&o, &m->panel, ada_at(type, k->att, i * w.q), w.q, dx + i * w.d,
                                     ada_at(type, m->datt, i * w.q));
    }
    ada_attn a = attn_of(m, l, p, rows, n);
    ada_attn_backward(&a, m->attn, m->datt, m->dq, w.q, m->dkv, m->dkv + w.kv, 2 * w.kv);
    for (size_t i = 0; i < (size_t)n; i += ADA_PANEL) {
        size_t at = ada_panel_rows(i, (size_t)n);
        ada_norm_rows r = norm_of(m, y->cross_norm, at);
        ada_narrow_rows(type, m->panel.h, m->dq + i * w.q, w.q, at, w.q);
        ada_linear_backward(&y->cross_q, ada_at_kept(type, k->q_in, i * w.d), w.d, m->panel.h, w.q, at,
                            m->panel.n, w.d);
        ada_norm_backward(&r, type, m->panel.n, ada_at(type, k->x, i * w.d), k->stat + 2 * i, m->panel.r,
                          dx + i * w.d, true);
    }
    gather_rows(m, l);
}

/* ---- work ---- */

double ada_cross_flops(const ada_stack *s, const ada_pack *p, const ada_pack *memory, const int32_t *reads,
                       bool back) {
    const ada_config *c = &s->c;
    dims w = dims_of(s);
    double seen = 0; /* keys, by all rows; in the last layer by the wanted ones */
    for (int32_t g = 0, o = 0; g < p->nsegs; g++) {
        const ada_segment *e = &p->segs[g];
        int32_t wanted = 0;
        for (; o < p->nout && p->out[o] < e->start + e->len; o++) wanted++;
        seen += ((double)e->len * (c->layers - 1) + wanted) * memory->segs[reads[g]].len;
    }
    double rows = (double)p->T * (c->layers - 1) + p->nout;
    double products = rows * 2.0 * (double)w.q * (double)w.d +
                      (double)memory->T * c->layers * 2.0 * (double)w.kv * (double)w.d;
    return 2 * products + seen * (double)w.q * (back ? 8 : 4);
}
