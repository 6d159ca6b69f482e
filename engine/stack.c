/* SPDX-License-Identifier: Apache-2.0
 * Owns: the layer loop in both directions and the layout of what lies between them.
 * Must not know: tokens, adapters, losses. The residual stream is f32; what enters a matmul or is kept for
 * backward is of the stack's type. Products run on panels of rows, attention on all rows at once; the last
 * layer's query, output and feed-forward run on the wanted rows alone. Invariant: nothing is allocated and
 * nothing can fail after layout. */
#include "engine/attention.h"
#include "engine/ffn.h"
#include "engine/rope.h"
#include "engine/stack.h"

/* What one layer keeps; rows: T, or the wanted rows in the last layer. Without training all but the last
 * share one. */
typedef struct {
    void *x;             /* [T, d] the stream before attention; training only */
    float *x_rstd;       /* [T] */
    void *qkv;           /* [T, n] rotated; of the last layer k and v */
    void *q;             /* [rows, heads·head_dim] of the last layer, else qkv's first columns */
    void *att;           /* [rows, heads·head_dim] */
    float *lse;          /* [rows, heads] */
    void *mid;           /* [rows, d] the stream before the ffn; training only, as the rest */
    float *mid_rstd;     /* [rows] */
    void *gate_up;       /* [rows, 2·ffn] */
    void *qkv_in, *q_in; /* [T, d], [rows, d]: inputs of products, each only if that product is trained */
    void *up_in, *down_in;
} kept;

struct ada_pass {
    bool train;
    kept *layers;   /* [c.layers] */
    float *cs, *sn; /* [T, head_dim/2] */
    ada_panel panel;
    ada_attn_ws *attn;
    float *dqkv;  /* [T, n] training only, as the rest */
    void *datt;   /* [T, heads·head_dim] */
    float *dlast; /* [out, d] */
};

typedef struct {
    size_t d, q, kv, qkv, ffn, half, wide;
} dims;

static dims dims_of(const ada_config *c) {
    size_t hd = (size_t)c->head_dim;
    dims n = {.d = (size_t)c->d,
              .q = (size_t)c->heads * hd,
              .kv = (size_t)c->kv_heads * hd,
              .ffn = (size_t)c->ffn,
              .half = hd / 2};
    n.qkv = n.q + 2 * n.kv;
    n.wide = n.qkv > 2 * n.ffn ? n.qkv : 2 * n.ffn;
    return n;
}

static bool is_last(const ada_stack *s, int32_t l) {
    return l + 1 == s->c.layers;
}

/* ---- layout ---- */

static ada_status take(ada_arena *a, void *out, size_t rows, size_t width, size_t size) {
    size_t n;
    if (!ada_mul_size(rows, width, &n))
        return ada_fail(ADA_ENOMEM, "%zu rows of %zu values are too many", rows, width);
    return ada_arena_take(a, out, n, size);
}

static ada_status take_if(ada_arena *a, const float *g, void *out, size_t rows, size_t width, size_t size) {
    return g ? take(a, out, rows, width, size) : ADA_OK;
}

static ada_status layout_layer(kept *k, ada_arena *a, const ada_stack *s, int32_t l, size_t T, size_t out,
                               bool train) {
    dims n = dims_of(&s->c);
    const ada_layer *y = &s->layers[l];
    size_t ts = ada_type_size(s->type), fs = sizeof(float), rows = is_last(s, l) ? out : T;
    if (is_last(s, l)) {
        ADA_TRY(take(a, &k->qkv, T, 2 * n.kv, ts));
        ADA_TRY(take(a, &k->q, rows, n.q, ts));
    } else {
        ADA_TRY(take(a, &k->qkv, T, n.qkv, ts));
        k->q = k->qkv;
    }
    ADA_TRY(take(a, &k->att, rows, n.q, ts));
    if (!train) return ADA_OK;
    ADA_TRY(take(a, &k->lse, rows, (size_t)s->c.heads, fs));
    ADA_TRY(take(a, &k->x, T, n.d, ts));
    ADA_TRY(take(a, &k->x_rstd, T, 1, fs));
    ADA_TRY(take(a, &k->mid, rows, n.d, ts));
    ADA_TRY(take(a, &k->mid_rstd, rows, 1, fs));
    ADA_TRY(take(a, &k->gate_up, rows, 2 * n.ffn, ts));
    ADA_TRY(take_if(a, y->qkv.g, &k->qkv_in, T, n.d, ts));
    ADA_TRY(take_if(a, y->q.g, &k->q_in, rows, n.d, ts));
    ADA_TRY(take_if(a, y->up.g, &k->up_in, rows, n.d, ts));
    return take_if(a, y->down.g, &k->down_in, rows, n.ffn, ts);
}

ada_status ada_pass_layout(ada_pass **p, ada_arena *a, const ada_stack *s, int32_t max_T, int32_t max_segs,
                           int32_t max_path, int32_t max_out, bool train) {
    dims n = dims_of(&s->c);
    size_t T = (size_t)max_T, out = (size_t)max_out, ts = ada_type_size(s->type), fs = sizeof(float);
    size_t layers = (size_t)s->c.layers, panel = T < ADA_PANEL ? T : ADA_PANEL;
    ada_pass w = {.train = train};
    kept k = {0};
    ADA_TRY(ada_arena_take(a, p, 1, sizeof **p));
    ADA_TRY(ada_arena_take(a, &w.layers, layers, sizeof *w.layers));
    for (int32_t l = 0; l < s->c.layers; l++) {
        if (train || l == 0 || is_last(s, l)) {
            k = (kept){0};
            ADA_TRY(layout_layer(&k, a, s, l, T, out, train));
        }
        if (!a->counting) w.layers[l] = k;
    }
    ADA_TRY(take(a, &w.cs, T, n.half, fs));
    ADA_TRY(take(a, &w.sn, T, n.half, fs));
    ADA_TRY(take(a, &w.panel.a, panel, n.d, ts));
    ADA_TRY(take(a, &w.panel.n, panel, n.d, fs));
    ADA_TRY(take(a, &w.panel.r, panel, n.d, fs));
    ADA_TRY(take(a, &w.panel.t, panel, n.wide, fs));
    ADA_TRY(take(a, &w.panel.h, panel, n.wide, ts));
    ADA_TRY(ada_attn_layout(&w.attn, a, &s->c, s->type, max_T, max_segs, max_path, max_out, train));
    if (train) {
        ADA_TRY(take(a, &w.dqkv, T, n.qkv, fs));
        ADA_TRY(take(a, &w.datt, T, n.q, ts));
        ADA_TRY(take(a, &w.dlast, out, n.d, fs));
    }
    if (a->counting) return ADA_OK;
    **p = w;
    return ada_matmul_reserve(panel, n.wide, n.wide > n.d ? n.wide : n.d);
}

/* ---- rotary positions of a pack ---- */

typedef struct {
    const ada_stack *s;
    const ada_pack *p;
    ada_pass *w;
} angle_job;

static void angle_segment(void *ctx, size_t g, int worker) {
    (void)worker;
    const angle_job *j = ctx;
    const ada_segment *e = &j->p->segs[g];
    int32_t half = j->s->c.head_dim / 2;
    for (int32_t i = 0; i < e->len; i++) {
        size_t at = (size_t)(e->start + i) * (size_t)half;
        ada_rope_row(j->s->inv_freq, half, j->s->rope_mscale, e->pos + i, j->w->cs + at, j->w->sn + at);
    }
}

/* ---- projections: norm, product, rotation ---- */

typedef struct {
    const ada_stack *s;
    const ada_pass *w;
    const ada_linear *l;
    int32_t rotated;    /* heads of the product's rows that are rotated: its first ones */
    size_t m;           /* rows */
    const int32_t *map; /* row i stands at map[i] of the pack; NULL: at i */
    void *in;           /* [m, d] the product's input is kept here, or NULL */
    void *keep;         /* [m, d] the stream is kept here, or NULL */
    float *rstd;        /* [m] */
} projection;

typedef struct {
    const projection *j;
    size_t first, m; /* the panel */
    void *y;         /* forward: [m, n] narrowed rows out. backward: panel.h */
    float *x;        /* forward: panel.t, rotated in place. backward: [m, n] gradient, likewise */
    float sign;
} rotation;

static void rotate_strip(void *ctx, size_t strip, int worker) {
    (void)worker;
    const rotation *r = ctx;
    const projection *j = r->j;
    size_t n = ada_mat_rows(j->l->w), hd = (size_t)j->s->c.head_dim, half = hd / 2;
    for (size_t i = strip * ADA_STRIP; i < ada_strip_end(strip, r->m); i++) {
        size_t at = r->first + i, row = j->map ? (size_t)j->map[at] : at;
        float *x = r->x + i * n;
        for (int32_t h = 0; h < j->rotated; h++)
            ada_k.rope_half(x + (size_t)h * hd, j->w->cs + row * half, j->w->sn + row * half, r->sign, half);
        ada_narrow(j->s->type, ada_at(j->s->type, r->y, i * n), x, n);
    }
}

static ada_norm_rows norm_of(const ada_stack *s, const float *w, size_t m) {
    return (ada_norm_rows){.w = w, .eps = s->c.norm_eps, .m = m, .d = (size_t)s->c.d};
}

static size_t panel_rows(size_t first, size_t m) {
    return m - first < ADA_PANEL ? m - first : ADA_PANEL;
}

static void *row_of(ada_dtype type, void *p, size_t i) {
    return p ? ada_at(type, p, i) : NULL;
}

/* y [m, n] = rotated product of the normed stream x. */
static void project(const projection *j, const float *norm, const float *x, void *y) {
    const ada_panel *p = &j->w->panel;
    ada_dtype type = j->s->type;
    size_t d = (size_t)j->s->c.d, n = ada_mat_rows(j->l->w);
    for (size_t i = 0; i < j->m; i += ADA_PANEL) {
        size_t m = panel_rows(i, j->m);
        void *a = j->in ? ada_at(type, j->in, i * d) : p->a;
        ada_norm_rows r = norm_of(j->s, norm, m);
        if (j->map) r.map = j->map + i;
        ada_norm_forward(&r, type, j->map ? x : x + i * d, a, p->n, row_of(type, j->keep, i * d),
                         j->keep ? j->rstd + i : NULL);
        ada_linear_forward(j->l, a, d, m, p->t, n, false);
        ada_par_for(ada_strips(m), rotate_strip, &(rotation){j, i, m, ada_at(type, y, i * n), p->t, 1});
    }
}

/* dx (+)= the gradient at the stream; dy [m, n] is consumed. keep and rstd are read. */
static void project_back(const projection *j, const float *norm, float *dy, float *dx, bool add) {
    const ada_panel *p = &j->w->panel;
    ada_dtype type = j->s->type;
    size_t d = (size_t)j->s->c.d, n = ada_mat_rows(j->l->w);
    for (size_t i = 0; i < j->m; i += ADA_PANEL) {
        size_t m = panel_rows(i, j->m), at = j->map ? 0 : i;
        ada_norm_rows r = norm_of(j->s, norm, m);
        if (j->map) r.map = j->map + i;
        ada_par_for(ada_strips(m), rotate_strip, &(rotation){j, i, m, p->h, dy + i * n, -1});
        ada_linear_backward(j->l, row_of(type, j->in, i * d), d, p->h, n, m, p->n, d);
        ada_norm_backward(&r, type, p->n, ada_at(type, j->keep, at * d), j->rstd + at, p->r, dx + at * d,
                          add);
    }
}

static projection qkv_of(const ada_stack *s, const ada_pass *w, int32_t l, size_t T) {
    const kept *k = &w->layers[l];
    int32_t rotated = s->c.kv_heads + (is_last(s, l) ? 0 : s->c.heads);
    return (projection){s, w, &s->layers[l].qkv, rotated, T, NULL, k->qkv_in, k->x, k->x_rstd};
}

static projection q_of(const ada_stack *s, const ada_pass *w, const ada_pack *p) {
    const kept *k = &w->layers[s->c.layers - 1];
    return (projection){
        s, w, &s->layers[s->c.layers - 1].q, s->c.heads, (size_t)p->nout, p->out, k->q_in, NULL, NULL};
}

/* ---- the rest of a block: attention's output product and the ffn, on m rows x in place ---- */

static ada_ffn ffn_of(const ada_stack *s, const kept *k, const ada_layer *y, size_t first, size_t m) {
    ada_dtype t = s->type;
    size_t d = (size_t)s->c.d, w = (size_t)s->c.ffn;
    return (ada_ffn){.norm = norm_of(s, y->ffn_norm, m),
                     .type = t,
                     .act = s->c.act,
                     .width = w,
                     .up = &y->up,
                     .down = &y->down,
                     .x = row_of(t, k->mid, first * d),
                     .rstd = k->mid ? k->mid_rstd + first : NULL,
                     .gate_up = row_of(t, k->gate_up, first * 2 * w),
                     .up_in = row_of(t, k->up_in, first * d),
                     .down_in = row_of(t, k->down_in, first * w)};
}

static void finish(const ada_stack *s, const ada_pass *w, int32_t l, size_t m, float *x) {
    const kept *k = &w->layers[l];
    const ada_layer *y = &s->layers[l];
    size_t d = (size_t)s->c.d, q = dims_of(&s->c).q;
    for (size_t i = 0; i < m; i += ADA_PANEL) {
        ada_ffn f = ffn_of(s, k, y, i, panel_rows(i, m));
        ada_linear_forward(&y->o, ada_at(s->type, k->att, i * q), q, f.norm.m, x + i * d, d, true);
        ada_ffn_forward(&f, &w->panel, x + i * d);
    }
}

/* dx in place: from the gradient after the block to that before finish; datt gets the gradient at attention's
 * rows. */
static void finish_back(const ada_stack *s, const ada_pass *w, int32_t l, size_t m, float *dx) {
    const kept *k = &w->layers[l];
    const ada_layer *y = &s->layers[l];
    const ada_panel *p = &w->panel;
    size_t d = (size_t)s->c.d, q = dims_of(&s->c).q;
    for (size_t i = 0; i < m; i += ADA_PANEL) {
        ada_ffn f = ffn_of(s, k, y, i, panel_rows(i, m));
        ada_ffn_backward(&f, p, dx + i * d);
        ada_narrow_rows(s->type, p->a, dx + i * d, d, f.norm.m, d);
        ada_linear_backward(&y->o, ada_at(s->type, k->att, i * q), q, p->a, d, f.norm.m, p->t, q);
        ada_narrow_rows(s->type, ada_at(s->type, w->datt, i * q), p->t, q, f.norm.m, q);
    }
}

/* ---- the loop ---- */

static ada_attn attn_of(const ada_stack *s, const ada_pass *w, const ada_pack *p, ada_kv *kv, int32_t l) {
    const kept *k = &w->layers[l];
    dims n = dims_of(&s->c);
    bool last = is_last(s, l);
    size_t first = last ? 0 : n.q;
    return (ada_attn){.c = &s->c,
                      .type = s->type,
                      .pack = p,
                      .rows = last ? p->out : NULL,
                      .m = last ? p->nout : p->T,
                      .q = k->q,
                      .ldq = last ? n.q : n.qkv,
                      .k = ada_at(s->type, k->qkv, first),
                      .v = ada_at(s->type, k->qkv, first + n.kv),
                      .ldkv = last ? 2 * n.kv : n.qkv,
                      .o = k->att,
                      .lse = k->lse,
                      .kv = kv,
                      .layer = l};
}

void ada_stack_forward(const ada_stack *s, const ada_pack *p, ada_pass *ws, ada_kv *kv, float *x, float *h) {
    size_t d = (size_t)s->c.d;
    ada_par_for((size_t)p->nsegs, angle_segment, &(angle_job){s, p, ws});
    for (int32_t l = 0; l < s->c.layers; l++) {
        const float *norm = s->layers[l].attn_norm;
        projection j = qkv_of(s, ws, l, (size_t)p->T);
        project(&j, norm, x, ws->layers[l].qkv);
        if (is_last(s, l)) {
            j = q_of(s, ws, p);
            project(&j, norm, x, ws->layers[l].q);
            for (int32_t i = 0; i < p->nout; i++)
                memcpy(h + (size_t)i * d, x + (size_t)p->out[i] * d, d * sizeof *h);
        }
        ada_attn a = attn_of(s, ws, p, kv, l);
        ada_attn_forward(&a, ws->attn);
        finish(s, ws, l, (size_t)a.m, is_last(s, l) ? h : x);
    }
}

void ada_stack_backward(const ada_stack *s, const ada_pack *p, ada_pass *ws, const float *dh, float *dx) {
    dims n = dims_of(&s->c);
    memcpy(ws->dlast, dh, (size_t)p->nout * n.d * sizeof *dh);
    for (int32_t l = s->c.layers - 1; l >= 0; l--) {
        const float *norm = s->layers[l].attn_norm;
        bool last = is_last(s, l);
        ada_attn a = attn_of(s, ws, p, NULL, l);
        finish_back(s, ws, l, (size_t)a.m, last ? ws->dlast : dx);
        /* the gradient at q, k, v lies as they do; the last layer's at q follows that at k and v */
        size_t ld = last ? 2 * n.kv : n.qkv;
        float *dk = ws->dqkv + (last ? 0 : n.q), *dq = last ? ws->dqkv + (size_t)p->T * ld : ws->dqkv;
        ada_attn_backward(&a, ws->attn, ws->datt, dq, last ? n.q : ld, dk, dk + n.kv, ld);
        projection j = qkv_of(s, ws, l, (size_t)p->T);
        project_back(&j, norm, ws->dqkv, dx, !last);
        if (!last) continue;
        j = q_of(s, ws, p);
        j.keep = ws->layers[l].x, j.rstd = ws->layers[l].x_rstd;
        project_back(&j, norm, dq, dx, true);
        for (int32_t i = 0; i < p->nout; i++) {
            float *y = dx + (size_t)p->out[i] * n.d;
            ada_k.add(y, y, ws->dlast + (size_t)i * n.d, n.d);
        }
    }
}

/* ---- work ---- */

static double visible(const ada_config *c, const ada_segment *e, int32_t row) {
    int32_t keys = e->pos + (row - e->start) + 1;
    return c->window && keys > c->window ? c->window : keys;
}

double ada_stack_flops(const ada_stack *s, const ada_pack *p, bool back) {
    dims n = dims_of(&s->c);
    double all = 0, wanted = 0; /* keys seen by all rows, by the wanted ones */
    for (int32_t g = 0, o = 0; g < p->nsegs; g++) {
        const ada_segment *e = &p->segs[g];
        for (int32_t i = e->start; i < e->start + e->len; i++) {
            double keys = visible(&s->c, e, i);
            all += keys;
            if (o < p->nout && p->out[o] == i) wanted += keys, o++;
        }
    }
    double before = (double)n.d * (double)(2 * n.kv), query = (double)n.d * (double)n.q;
    double after = (double)n.q * (double)n.d + 3.0 * (double)n.ffn * (double)n.d;
    double keys = all * (s->c.layers - 1) + wanted, full = (double)p->T * (s->c.layers - 1) + p->nout;
    /* scores and values forward; their two factors' gradients each backward */
    double attention = keys * (double)n.q * (back ? 8 : 4);
    return 2 * ((double)p->T * s->c.layers * before + full * (query + after)) + attention;
}
