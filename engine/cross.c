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
    ada_reading reading;
    const float *h; /* [S, d] the encoder's rows before their norm */
    float *stat;    /* [S, 2] */
    void *rows;     /* [S, d] normed */
    void **kv;      /* [layers]: [S, 2·kv], k then v */
    kept *layers;   /* [layers] */
    ada_panels panels;
    ada_attn_ws *attn;
    void *datt, *dq; /* [readers, heads·head_dim] training only, as the rest */
    void *dkv;       /* [S, 2·kv] */
    float *drows;    /* [S, d], or NULL: not wanted */
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
    size_t S = (size_t)lim->rows, T = (size_t)lim->readers, ts = ada_type_size(m->s->type);
    ADA_TRY(ada_arena_rows(a, &m->datt, T, n.q, ts));
    ADA_TRY(ada_arena_rows(a, &m->dq, T, n.q, ts));
    ADA_TRY(ada_arena_rows(a, &m->dkv, S, 2 * n.kv, ts));
    return lim->gather ? ada_arena_rows(a, &m->drows, S, n.d, sizeof(float)) : ADA_OK;
}

static bool alone(const ada_stack *s) {
    bool all = true;
    for (const ada_layer *y = s->layers; y < s->layers + s->c.layers; y++)
        all = all && ada_linear_alone(&y->cross_q) && ada_linear_alone(&y->cross_kv) &&
              ada_linear_alone(&y->cross_o);
    return all;
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
    ADA_TRY(ada_panels_layout(&m.panels, a, s->type, (size_t)most, n.d, n.wide, alone(s), lim->train));
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

static void fill_panel(const void *ctx, const ada_panel *p, size_t i, size_t rows) {
    const ada_memory *m = ctx;
    ada_dtype type = m->s->type;
    dims n = dims_of(m->s);
    void *to = ada_at(type, m->rows, i * n.d);
    ada_norm_rows r = norm_of(m, m->s->memory_norm, rows);
    ada_norm_forward(&r, type, m->h + i * n.d, to, p->n, NULL, m->stat + 2 * i);
    for (int32_t l = 0; l < m->s->c.layers; l++)
        ada_linear_forward_narrow(&m->s->layers[l].cross_kv, to, n.d, rows, p->t,
                                  ada_at(type, m->kv[l], i * 2 * n.kv));
}

void ada_memory_fill(ada_memory *m, const ada_pack *p, const float *h) {
    m->reading.memory = p, m->h = h;
    if (m->drows) memset(m->drows, 0, (size_t)p->T * (size_t)m->s->c.d * sizeof *m->drows);
    ada_panels_run(&m->panels, 0, (size_t)p->T, fill_panel, m);
}

void ada_memory_read(ada_memory *m, const int32_t *reads) {
    m->reading.reads = reads;
}

const ada_reading *ada_memory_reading(const ada_memory *m) {
    return &m->reading;
}

bool ada_memory_alone(const ada_memory *m, int32_t rows) {
    return ada_panels_alone(&m->panels, (size_t)rows);
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

typedef struct {
    const ada_memory *m;
    int32_t l;
    float *x; /* the stream, or a gradient */
} panel_job;

static void gather_panel(const void *ctx, const ada_panel *p, size_t i, size_t rows) {
    const panel_job *j = ctx;
    const ada_memory *m = j->m;
    ada_dtype type = m->s->type;
    dims n = dims_of(m->s);
    ada_linear_backward(&m->s->layers[j->l].cross_kv, ada_at(type, m->rows, i * n.d), n.d,
                        ada_at(type, m->dkv, i * 2 * n.kv), 2 * n.kv, rows, p->n, n.d);
    ada_par_for(ada_strips(rows), add_strip, &(add_job){m->drows + i * n.d, p->n, rows, n.d});
}

static void memory_back_panel(const void *ctx, const ada_panel *p, size_t i, size_t rows) {
    const panel_job *j = ctx;
    const ada_memory *m = j->m;
    size_t d = (size_t)m->s->c.d;
    ada_norm_rows r = norm_of(m, m->s->memory_norm, rows);
    ada_norm_backward(&r, ADA_F32, m->drows + i * d, m->h + i * d, m->stat + 2 * i, p->r, j->x + i * d,
                      false);
}

void ada_memory_back(ada_memory *m, float *dh) {
    ada_panels_run(&m->panels, 0, (size_t)m->reading.memory->T, memory_back_panel, &(panel_job){m, 0, dh});
}

/* ---- the sublayer ---- */

static ada_attn attn_of(const ada_memory *m, const ada_cross *c) {
    const ada_stack *s = m->s;
    const kept *k = &m->layers[c->l];
    dims w = dims_of(s);
    return (ada_attn){.c = &s->c,
                      .type = s->type,
                      .pack = c->pack,
                      .reading = m->reading,
                      .rows = c->rows,
                      .m = c->n,
                      .q = k->q,
                      .ldq = w.q,
                      .k = m->kv[c->l],
                      .v = ada_at(s->type, m->kv[c->l], w.kv),
                      .ldkv = 2 * w.kv,
                      .o = k->att,
                      .lse = k->lse,
                      .layer = c->l};
}

static ada_residual end_of(const ada_memory *m, int32_t l, size_t rows) {
    return (ada_residual){
        .out = &m->s->layers[l].cross_o, .type = m->s->type, .post = {.m = rows, .d = (size_t)m->s->c.d}};
}

static void query_panel(const void *ctx, const ada_panel *p, size_t i, size_t rows) {
    const panel_job *j = ctx;
    const ada_memory *m = j->m;
    ada_dtype type = m->s->type;
    const ada_layer *y = &m->s->layers[j->l];
    const kept *k = &m->layers[j->l];
    dims w = dims_of(m->s);
    ada_norm_rows r = norm_of(m, y->cross_norm, rows);
    void *in = k->q_in ? ada_at(type, k->q_in, i * w.d) : p->a;
    ada_norm_forward(&r, type, j->x + i * w.d, in, p->n, ada_at_kept(type, k->x, i * w.d),
                     k->stat ? k->stat + 2 * i : NULL);
    ada_linear_forward_narrow(&y->cross_q, in, w.d, rows, p->t, ada_at(type, k->q, i * w.q));
}

static void end_panel(const void *ctx, const ada_panel *p, size_t i, size_t rows) {
    const panel_job *j = ctx;
    dims w = dims_of(j->m->s);
    ada_residual o = end_of(j->m, j->l, rows);
    const void *att = ada_at(j->m->s->type, j->m->layers[j->l].att, i * w.q);
    ada_residual_forward(&o, p, att, w.q, j->x + i * w.d);
}

void ada_cross_survey(ada_memory *m, const ada_cross *c) {
    ada_attn a = attn_of(m, c);
    ada_attn_survey(&a, m->attn);
}

/* Over a part's rows of x. */
static void run_rows(const ada_memory *m, const ada_cross *c, const ada_part *t, ada_panel_fn body) {
    int32_t first = c->rows ? t->out : t->row, n = c->rows ? t->outs : t->rows;
    ada_panels_run(&m->panels, (size_t)first, (size_t)n, body, &(panel_job){m, c->l, c->x});
}

void ada_cross_forward(ada_memory *m, const ada_cross *c, const ada_part *part) {
    ada_attn a = attn_of(m, c);
    run_rows(m, c, part, query_panel);
    ada_attn_forward(&a, m->attn, part);
    run_rows(m, c, part, end_panel);
}

static void end_back_panel(const void *ctx, const ada_panel *p, size_t i, size_t rows) {
    const panel_job *j = ctx;
    ada_dtype type = j->m->s->type;
    dims w = dims_of(j->m->s);
    ada_residual o = end_of(j->m, j->l, rows);
    ada_residual_backward_narrow(&o, p, ada_at(type, j->m->layers[j->l].att, i * w.q), w.q, j->x + i * w.d,
                                 ada_at(type, j->m->datt, i * w.q));
}

static void query_back_panel(const void *ctx, const ada_panel *p, size_t i, size_t rows) {
    const panel_job *j = ctx;
    const ada_memory *m = j->m;
    ada_dtype type = m->s->type;
    const ada_layer *y = &m->s->layers[j->l];
    const kept *k = &m->layers[j->l];
    dims w = dims_of(m->s);
    ada_norm_rows r = norm_of(m, y->cross_norm, rows);
    ada_linear_backward(&y->cross_q, ada_at_kept(type, k->q_in, i * w.d), w.d, ada_at(type, m->dq, i * w.q),
                        w.q, rows, p->n, w.d);
    ada_norm_backward(&r, type, p->n, ada_at(type, k->x, i * w.d), k->stat + 2 * i, p->r, j->x + i * w.d,
                      true);
}

void ada_cross_backward(ada_memory *m, const ada_cross *c, const ada_part *part) {
    dims w = dims_of(m->s);
    ada_attn a = attn_of(m, c);
    ada_dtype type = m->s->type;
    const ada_pack *of = m->reading.memory;
    run_rows(m, c, part, end_back_panel);
    ada_attn_backward(&a, m->attn, part, m->datt,
                      &(ada_attn_grad){type, m->dq, m->dkv, ada_at(type, m->dkv, w.kv), w.q, 2 * w.kv});
    run_rows(m, c, part, query_back_panel);
    if (!m->drows || part->reads == 0) return;
    ada_panels_run(&m->panels, (size_t)of->segs[part->read].start,
                   (size_t)ada_pack_rows(of, part->read, part->reads), gather_panel,
                   &(panel_job){m, c->l, NULL});
}

/* ---- work ---- */

double ada_cross_flops(const ada_stack *s, const ada_pack *p, const ada_pack *memory, const int32_t *reads,
                       bool back, bool fill) {
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
    double products = rows * 2.0 * (double)w.q * (double)w.d;
    if (fill) products += (double)memory->T * c->layers * 2.0 * (double)w.kv * (double)w.d;
    return 2 * products + seen * (double)w.q * (back ? 8 : 4);
}
