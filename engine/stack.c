/* SPDX-License-Identifier: Apache-2.0
 * Owns: the layer loop in both directions and the layout of what lies between them.
 * Must not know: tokens, adapters, losses. The residual stream is f32; what enters a matmul or is kept for
 * backward is of the stack's type. Products run on panels of rows, attention on whole trees; the last layer's
 * query, output and feed-forward run on the wanted rows alone. Invariant: nothing is allocated and
 * nothing can fail after layout. */
#include "engine/cross.h"
#include "engine/ffn.h"
#include "engine/rope.h"
#include "engine/stack.h"

/* What one layer keeps; rows: T, or the wanted rows in the last layer. Without training all but the last
 * share one. */
typedef struct {
    void *x;                      /* [T, d] the stream before attention; training only */
    float *x_stat;                /* [T, 2] */
    void *qkv;                    /* [T, n] rotated; of the last layer k and v */
    void *q;                      /* [rows, heads·head_dim] of the last layer, else qkv's first columns */
    void *raw, *raw_q;            /* heads of qkv, of q before they were normed, with qk_norm, packed */
    float *raw_stat, *raw_q_stat; /* [T, heads], [rows, heads] of these */
    void *att;                    /* [rows, heads·head_dim] */
    float *lse;                   /* [rows, heads] */
    void *mid;                    /* [rows, d] the stream before the ffn; training only, as the rest */
    float *mid_stat;              /* [rows, 2] */
    void *gate_up;                /* [rows, 2·ffn], or [rows, ffn] */
    void *att_end, *ffn_end;      /* [rows, d] what is normed before it is added, with post_norms */
    float *att_stat, *ffn_stat;   /* [rows, 2] of these */
    void *qkv_in, *q_in; /* [T, d], [rows, d]: inputs of products, each only if that product is trained */
    void *up_in, *down_in;
} kept;

struct ada_pass {
    bool train;
    kept *layers;               /* [c.layers] */
    float *cs, *sn;             /* [T, half] */
    float *cs_local, *sn_local; /* likewise, where windowed layers have their own */
    ada_panels panels;
    ada_part *parts; /* [segments], at least one */
    const ada_tap *taps;
    int32_t ntaps;
    ada_attn_ws *attn;
    ada_memory *memory; /* or NULL */
    bool ends;          /* backward ends at the first layer's memory: nothing before it is trained */
    void *dqkv;         /* [T, n] training only, as the rest; f32 where it is rotated or normed */
    void *datt;         /* [T, heads·head_dim] */
    float *dlast;       /* [out, d] */
};

typedef struct {
    size_t d, q, kv, qkv, ffn, up, half, wide;
} dims;

static dims dims_of(const ada_config *c) {
    size_t hd = (size_t)c->head_dim;
    dims n = {.d = (size_t)c->d,
              .q = (size_t)c->heads * hd,
              .kv = (size_t)c->kv_heads * hd,
              .ffn = (size_t)c->ffn,
              .up = (size_t)ada_config_up_rows(c),
              .half = (size_t)ada_config_rope_dims(c) / 2};
    n.qkv = n.q + 2 * n.kv;
    n.wide = n.qkv > n.up ? n.qkv : n.up;
    return n;
}

/* Whether q and k are their products as they are; gradients need not be f32 then. */
static bool plain(const ada_stack *s) {
    return dims_of(&s->c).half == 0 && !s->c.qk_norm;
}
static ada_dtype gradient_type(const ada_stack *s) {
    return plain(s) ? s->type : ADA_F32;
}

static bool is_last(const ada_stack *s, int32_t l) {
    return l + 1 == s->c.layers;
}

/* ---- layout ---- */

static ada_status take_if(ada_arena *a, const float *g, void *out, size_t rows, size_t width, size_t size) {
    return g ? ada_arena_rows(a, out, rows, width, size) : ADA_OK;
}

static ada_status layout_raw(kept *k, ada_arena *a, const ada_stack *s, int32_t l, size_t T, size_t rows) {
    dims n = dims_of(&s->c);
    size_t ts = ada_type_size(s->type), fs = sizeof(float), hd = (size_t)s->c.head_dim;
    size_t width = is_last(s, l) ? n.kv : n.q + n.kv;
    ADA_TRY(ada_arena_rows(a, &k->raw, T, width, ts));
    ADA_TRY(ada_arena_rows(a, &k->raw_stat, T, width / hd, fs));
    if (!is_last(s, l)) return ADA_OK;
    ADA_TRY(ada_arena_rows(a, &k->raw_q, rows, n.q, ts));
    return ada_arena_rows(a, &k->raw_q_stat, rows, n.q / hd, fs);
}

static ada_status layout_layer(kept *k, ada_arena *a, const ada_stack *s, int32_t l, size_t T, size_t out,
                               bool train) {
    dims n = dims_of(&s->c);
    const ada_layer *y = &s->layers[l];
    size_t ts = ada_type_size(s->type), fs = sizeof(float), rows = is_last(s, l) ? out : T;
    if (is_last(s, l)) {
        ADA_TRY(ada_arena_rows(a, &k->qkv, T, 2 * n.kv, ts));
        ADA_TRY(ada_arena_rows(a, &k->q, rows, n.q, ts));
    } else {
        ADA_TRY(ada_arena_rows(a, &k->qkv, T, n.qkv, ts));
        k->q = k->qkv;
    }
    ADA_TRY(ada_arena_rows(a, &k->att, rows, n.q, ts));
    if (!train) return ADA_OK;
    ADA_TRY(ada_arena_rows(a, &k->lse, rows, (size_t)s->c.heads, fs));
    ADA_TRY(ada_arena_rows(a, &k->x, T, n.d, ts));
    ADA_TRY(ada_arena_rows(a, &k->x_stat, T, 2, fs));
    ADA_TRY(ada_arena_rows(a, &k->mid, rows, n.d, ts));
    ADA_TRY(ada_arena_rows(a, &k->mid_stat, rows, 2, fs));
    ADA_TRY(ada_arena_rows(a, &k->gate_up, rows, n.up, ts));
    if (s->c.qk_norm) ADA_TRY(layout_raw(k, a, s, l, T, rows));
    if (s->c.post_norms) {
        ADA_TRY(ada_arena_rows(a, &k->att_end, rows, n.d, ts));
        ADA_TRY(ada_arena_rows(a, &k->att_stat, rows, 2, fs));
        ADA_TRY(ada_arena_rows(a, &k->ffn_end, rows, n.d, ts));
        ADA_TRY(ada_arena_rows(a, &k->ffn_stat, rows, 2, fs));
    }
    ADA_TRY(take_if(a, y->qkv.g, &k->qkv_in, T, n.d, ts));
    ADA_TRY(take_if(a, y->q.g, &k->q_in, rows, n.d, ts));
    ADA_TRY(take_if(a, y->up.g, &k->up_in, rows, n.d, ts));
    return take_if(a, y->down.g, &k->down_in, rows, n.ffn, ts);
}

static bool alone(const ada_stack *s) {
    bool all = true;
    for (const ada_layer *y = s->layers; y < s->layers + s->c.layers; y++)
        all = all && ada_linear_alone(&y->qkv) && ada_linear_alone(&y->q) && ada_linear_alone(&y->o) &&
              ada_linear_alone(&y->up) && ada_linear_alone(&y->down);
    return all;
}

ada_status ada_pass_layout(ada_pass **p, ada_arena *a, const ada_stack *s, int32_t max_T, int32_t max_segs,
                           int32_t max_path, int32_t max_out, bool train) {
    dims n = dims_of(&s->c);
    size_t T = (size_t)max_T, out = (size_t)max_out, ts = ada_type_size(s->type), fs = sizeof(float);
    size_t layers = (size_t)s->c.layers;
    ada_pass w = {.train = train};
    kept k = {0};
    if (s->positions && max_path > s->c.max_positions)
        return ada_fail(ADA_EINVAL, "rows of up to %d tokens exceed the model's %d positions", max_path,
                        s->c.max_positions);
    ADA_TRY(ada_arena_take(a, p, 1, sizeof **p));
    ADA_TRY(ada_arena_take(a, &w.layers, layers, sizeof *w.layers));
    ADA_TRY(ada_arena_take(a, &w.parts, (size_t)(max_segs > 1 ? max_segs : 1), sizeof *w.parts));
    for (int32_t l = 0; l < s->c.layers; l++) {
        if (train || l == 0 || is_last(s, l)) {
            k = (kept){0};
            ADA_TRY(layout_layer(&k, a, s, l, T, out, train));
        }
        if (!a->counting) w.layers[l] = k;
    }
    ADA_TRY(ada_arena_rows(a, &w.cs, T, n.half, fs));
    ADA_TRY(ada_arena_rows(a, &w.sn, T, n.half, fs));
    ADA_TRY(take_if(a, s->inv_local, &w.cs_local, T, n.half, fs));
    ADA_TRY(take_if(a, s->inv_local, &w.sn_local, T, n.half, fs));
    ADA_TRY(ada_panels_layout(&w.panels, a, s->type, T, n.d, n.wide, alone(s), train));
    ADA_TRY(ada_attn_layout(&w.attn, a, &s->c, s->type, max_T, max_segs, max_path, max_out, train));
    if (train) {
        ADA_TRY(ada_arena_rows(a, &w.dqkv, T, n.qkv, ada_type_size(gradient_type(s))));
        ADA_TRY(ada_arena_rows(a, &w.datt, T, n.q, ts));
        ADA_TRY(ada_arena_rows(a, &w.dlast, out, n.d, fs));
    }
    if (!a->counting) **p = w;
    return ADA_OK;
}

void ada_pass_read(ada_pass *ws, ada_memory *m) {
    ws->memory = m;
}

void ada_pass_tap(ada_pass *ws, const ada_tap *taps, int32_t n) {
    ws->taps = taps, ws->ntaps = n;
}

void ada_pass_end_early(ada_pass *ws) {
    ws->ends = true;
}

/* ---- positions of a pack ---- */

typedef struct {
    const ada_stack *s;
    const ada_pack *p;
    ada_pass *w;
    float *x;
} position_job;

/* The angles of a segment's rows; or what is added to these. */
static void place_segment(void *ctx, size_t g, int worker) {
    (void)worker;
    const position_job *j = ctx;
    const ada_stack *s = j->s;
    const ada_segment *e = &j->p->segs[g];
    size_t d = (size_t)s->c.d, half = dims_of(&s->c).half;
    for (int32_t i = 0; i < e->len; i++) {
        size_t row = (size_t)(e->start + i), pos = (size_t)(e->pos + i), at = row * half;
        if (s->positions) ada_k.add(j->x + row * d, j->x + row * d, s->positions + pos * d, d);
        if (s->inv_freq)
            ada_rope_row(s->inv_freq, (int32_t)half, s->rope_mscale, e->pos + i, j->w->cs + at,
                         j->w->sn + at);
        if (s->inv_local)
            ada_rope_row(s->inv_local, (int32_t)half, 1, e->pos + i, j->w->cs_local + at,
                         j->w->sn_local + at);
    }
}

/* ---- projections: norm, product, rotation ---- */

typedef struct {
    const ada_stack *s;
    const ada_pass *w;
    const ada_linear *l;
    int32_t layer;
    int32_t q_heads, k_heads; /* the product's first heads, which are normed and rotated */
    size_t first, m;          /* its rows */
    const int32_t *map;       /* row i stands at map[i] of the pack; NULL: at i */
    void *in;                 /* [m, d] the product's input is kept here, or NULL */
    void *keep;               /* [m, d] the stream is kept here, or NULL */
    float *stat;              /* [m, 2] */
    void *raw;                /* [m, q_heads + k_heads, head_dim] heads before they were normed, or NULL */
    float *raw_stat;          /* [m, q_heads + k_heads] */
} projection;

typedef struct {
    const projection *j;
    size_t first, m; /* the panel */
    void *y;         /* forward: [m, n] narrowed rows out. backward: panel.h */
    float *x;        /* forward: panel.t, changed in place. backward: [m, n] gradient, likewise */
    bool back;
} rotation;

/* Row `at` of the projection, x [heads, head_dim]: each head normed, then rotated. */
static void heads_forward(const projection *j, size_t at, float *x, const float *cs, const float *sn,
                          size_t half) {
    const ada_layer *y = &j->s->layers[j->layer];
    size_t hd = (size_t)j->s->c.head_dim, heads = (size_t)(j->q_heads + j->k_heads);
    if (j->raw) ada_narrow(j->s->type, ada_at(j->s->type, j->raw, at * heads * hd), x, heads * hd);
    for (size_t h = 0; h < heads; h++) {
        float *v = x + h * hd;
        if (y->q_norm) {
            const float *w = h < (size_t)j->q_heads ? y->q_norm : y->k_norm;
            float rstd = ada_k.rmsnorm(v, v, w, j->s->c.norm_eps, hd);
            if (j->raw) j->raw_stat[at * heads + h] = rstd;
        }
        if (half) ada_k.rope_half(v, cs, sn, 1, half);
    }
}

/* The gradient at the product, from that at normed and rotated heads. */
static void heads_backward(const projection *j, size_t at, float *x, const float *cs, const float *sn,
                           size_t half) {
    const ada_layer *y = &j->s->layers[j->layer];
    size_t hd = (size_t)j->s->c.head_dim, heads = (size_t)(j->q_heads + j->k_heads);
    float raw[ADA_MAX_HEAD_DIM];
    for (size_t h = 0; h < heads; h++) {
        float *v = x + h * hd;
        if (half) ada_k.rope_half(v, cs, sn, -1, half);
        if (!y->q_norm) continue;
        const float *w = h < (size_t)j->q_heads ? y->q_norm : y->k_norm;
        ada_widen(j->s->type, raw, ada_at_const(j->s->type, j->raw, (at * heads + h) * hd), hd);
        ada_k.rmsnorm_back(v, v, raw, w, j->raw_stat[at * heads + h], hd);
    }
}

static void heads_strip(void *ctx, size_t strip, int worker) {
    (void)worker;
    const rotation *r = ctx;
    const projection *j = r->j;
    const ada_pass *p = j->w;
    size_t n = ada_mat_rows(j->l->w), half = dims_of(&j->s->c).half;
    bool local = j->s->inv_local && ada_config_windowed(&j->s->c, j->layer);
    const float *cs = local ? p->cs_local : p->cs, *sn = local ? p->sn_local : p->sn;
    for (size_t i = strip * ADA_STRIP; i < ada_strip_end(strip, r->m); i++) {
        size_t at = r->first + i, row = j->map ? (size_t)j->map[at] : at;
        float *x = r->x + i * n;
        (r->back ? heads_backward : heads_forward)(j, at, x, cs + row * half, sn + row * half, half);
        ada_narrow(j->s->type, ada_at(j->s->type, r->y, i * n), x, n);
    }
}

static ada_norm_rows norm_of(const ada_stack *s, const float *w, const float *b, size_t m) {
    return (ada_norm_rows){
        .kind = s->c.norm, .w = w, .b = b, .eps = s->c.norm_eps, .m = m, .d = (size_t)s->c.d};
}

static ada_norm_rows attn_norm(const projection *j, size_t m) {
    const ada_layer *y = &j->s->layers[j->layer];
    return norm_of(j->s, y->attn_norm, y->attn_norm_b, m);
}

typedef struct {
    const projection *j;
    const float *x;
    void *y, *dy;
    float *dx;
    bool add;
} project_job;

static void project_panel(const void *ctx, const ada_panel *p, size_t i, size_t m) {
    const project_job *w = ctx;
    const projection *j = w->j;
    ada_dtype type = j->s->type;
    size_t d = (size_t)j->s->c.d, n = ada_mat_rows(j->l->w);
    void *a = j->in ? ada_at(type, j->in, i * d) : p->a;
    ada_norm_rows r = attn_norm(j, m);
    if (j->map) r.map = j->map + i;
    ada_norm_forward(&r, type, j->map ? w->x : w->x + i * d, a, p->n, ada_at_kept(type, j->keep, i * d),
                     j->keep ? j->stat + 2 * i : NULL);
    if (plain(j->s)) {
        ada_linear_forward_narrow(j->l, a, d, m, p->t, ada_at(type, w->y, i * n));
    } else {
        ada_linear_forward(j->l, a, d, m, p->t, n, false);
        ada_par_for(ada_strips(m), heads_strip, &(rotation){j, i, m, ada_at(type, w->y, i * n), p->t, false});
    }
}

/* y [m, n] = product of the normed stream x, its heads normed and rotated. */
static void project(const projection *j, const float *x, void *y) {
    ada_panels_run(&j->w->panels, j->first, j->m, project_panel, &(project_job){.j = j, .x = x, .y = y});
}

static void project_back_panel(const void *ctx, const ada_panel *p, size_t i, size_t m) {
    const project_job *w = ctx;
    const projection *j = w->j;
    ada_dtype type = j->s->type;
    size_t d = (size_t)j->s->c.d, n = ada_mat_rows(j->l->w), at = j->map ? 0 : i;
    ada_norm_rows r = attn_norm(j, m);
    if (j->map) r.map = j->map + i;
    void *dy = ada_at(gradient_type(j->s), w->dy, i * n);
    if (!plain(j->s)) {
        ada_par_for(ada_strips(m), heads_strip, &(rotation){j, i, m, p->h, dy, true});
        dy = p->h;
    }
    ada_linear_backward(j->l, ada_at_kept(type, j->in, i * d), d, dy, n, m, p->n, d);
    ada_norm_backward(&r, type, p->n, ada_at(type, j->keep, at * d), j->stat + 2 * at, p->r, w->dx + at * d,
                      w->add);
}

/* dx (+)= the gradient at the stream; dy [m, n] is consumed. keep and stat are read. */
static void project_back(const projection *j, void *dy, float *dx, bool add) {
    ada_panels_run(&j->w->panels, j->first, j->m, project_back_panel,
                   &(project_job){.j = j, .dy = dy, .dx = dx, .add = add});
}

static projection qkv_of(const ada_stack *s, const ada_pass *w, int32_t l, const ada_part *t) {
    const kept *k = &w->layers[l];
    return (projection){.s = s,
                        .w = w,
                        .l = &s->layers[l].qkv,
                        .layer = l,
                        .q_heads = is_last(s, l) ? 0 : s->c.heads,
                        .k_heads = s->c.kv_heads,
                        .first = (size_t)t->row,
                        .m = (size_t)t->rows,
                        .in = k->qkv_in,
                        .keep = k->x,
                        .stat = k->x_stat,
                        .raw = k->raw,
                        .raw_stat = k->raw_stat};
}

static projection q_of(const ada_stack *s, const ada_pass *w, const ada_pack *p, const ada_part *t) {
    int32_t l = s->c.layers - 1;
    const kept *k = &w->layers[l];
    return (projection){.s = s,
                        .w = w,
                        .l = &s->layers[l].q,
                        .layer = l,
                        .q_heads = s->c.heads,
                        .first = (size_t)t->out,
                        .m = (size_t)t->outs,
                        .map = p->out,
                        .in = k->q_in,
                        .raw = k->raw_q,
                        .raw_stat = k->raw_q_stat};
}

/* ---- the rest of a block: attention's output product and the ffn, on m rows x in place ---- */

static ada_ffn ffn_of(const ada_stack *s, const kept *k, const ada_layer *y, size_t first, size_t m) {
    ada_dtype t = s->type;
    size_t d = (size_t)s->c.d, w = (size_t)s->c.ffn, up = dims_of(&s->c).up;
    return (ada_ffn){.norm = norm_of(s, y->ffn_norm, y->ffn_norm_b, m),
                     .type = t,
                     .act = s->c.act,
                     .gated = s->c.gated,
                     .width = w,
                     .up = &y->up,
                     .end = {.out = &y->down,
                             .type = t,
                             .post = norm_of(s, y->ffn_post, NULL, m),
                             .keep = ada_at_kept(t, k->ffn_end, first * d),
                             .stat = k->ffn_end ? k->ffn_stat + 2 * first : NULL},
                     .x = ada_at_kept(t, k->mid, first * d),
                     .stat = k->mid ? k->mid_stat + 2 * first : NULL,
                     .gate_up = ada_at_kept(t, k->gate_up, first * up),
                     .up_in = ada_at_kept(t, k->up_in, first * d),
                     .down_in = ada_at_kept(t, k->down_in, first * w)};
}

static ada_residual attn_end(const ada_stack *s, const kept *k, const ada_layer *y, size_t first, size_t m) {
    return (ada_residual){.out = &y->o,
                          .type = s->type,
                          .post = norm_of(s, y->attn_post, NULL, m),
                          .keep = ada_at_kept(s->type, k->att_end, first * (size_t)s->c.d),
                          .stat = k->att_end ? k->att_stat + 2 * first : NULL};
}

enum { ATTENTION = 1, FFN = 2 }; /* of which a block's end consists */

typedef struct {
    const ada_stack *s;
    const ada_pass *w;
    int32_t l;
    size_t first, m;
    float *x; /* the stream, or its gradient */
    int parts;
} finish_job;

/* Rows i … i+m-1 of it. */
typedef struct {
    ada_ffn f;
    ada_residual o;
    void *att; /* [m, heads·head_dim] */
    float *x;
} block_end;

static block_end end_of(const finish_job *j, size_t i, size_t m) {
    const ada_stack *s = j->s;
    const kept *k = &j->w->layers[j->l];
    const ada_layer *y = &s->layers[j->l];
    return (block_end){.f = ffn_of(s, k, y, i, m),
                       .o = attn_end(s, k, y, i, m),
                       .att = ada_at(s->type, k->att, i * dims_of(&s->c).q),
                       .x = j->x + i * (size_t)s->c.d};
}

static void finish_panel(const void *ctx, const ada_panel *p, size_t i, size_t m) {
    const finish_job *j = ctx;
    block_end e = end_of(j, i, m);
    /* in parallel: the ffn reads the rows before attention has added to them */
    if (j->s->c.parallel) ada_ffn_forward(&e.f, p, e.x);
    if (j->parts & ATTENTION) ada_residual_forward(&e.o, p, e.att, dims_of(&j->s->c).q, e.x);
    if (j->parts & FFN && !j->s->c.parallel) ada_ffn_forward(&e.f, p, e.x);
}

static void finish(finish_job j, int parts) {
    j.parts = parts;
    ada_panels_run(&j.w->panels, j.first, j.m, finish_panel, &j);
}

static void finish_back_panel(const void *ctx, const ada_panel *p, size_t i, size_t m) {
    const finish_job *j = ctx;
    block_end e = end_of(j, i, m);
    size_t q = dims_of(&j->s->c).q;
    if (j->parts & FFN && !j->s->c.parallel) ada_ffn_backward(&e.f, p, e.x);
    if (!(j->parts & ATTENTION)) return;
    ada_residual_backward_narrow(&e.o, p, e.att, q, e.x, ada_at(j->s->type, j->w->datt, i * q));
    if (j->s->c.parallel) ada_ffn_backward(&e.f, p, e.x);
}

/* dx in place: from the gradient after the block to that before finish; datt gets the gradient at attention's
 * rows. */
static void finish_back(finish_job j, int parts) {
    j.parts = parts;
    ada_panels_run(&j.w->panels, j.first, j.m, finish_back_panel, &j);
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
                      .bias = s->bias ? &s->bias[l] : NULL,
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

/* Layers of a pass in one direction. Layers that have the same rows run in one go: where the pack can be cut,
 * each thread takes parts through all of them, waiting for nobody, and finds its rows in its cache. */
typedef struct {
    const ada_stack *s;
    const ada_pack *p;
    ada_pass *ws;
    ada_kv *kv;
    float *x, *h; /* or their gradients */
    bool back;
    int32_t first, layers; /* first: in the pass's order */
} pass_job;

/* Cuts it, where that can be; else it is one part. */
static int32_t parts_of(ada_pass *ws, const ada_pack *p) {
    const ada_reading r = ws->memory ? *ada_memory_reading(ws->memory) : (ada_reading){0};
    bool alone = !ada_par_inside() && ada_panels_alone(&ws->panels, (size_t)p->T) &&
                 (!ws->memory || ada_memory_alone(ws->memory, p->T));
    int32_t n = alone ? ada_pack_cut(p, &r, ada_par_threads(), (int32_t)ws->panels.rows, ws->parts) : 0;
    if (n == 0) ws->parts[0] = ada_pack_whole(p, &r);
    return n > 0 ? n : 1;
}

void ada_pass_expect(ada_pass *ws, const ada_pack *p) {
    bool cut = parts_of(ws, p) > 1;
    ada_panels_expect(&ws->panels, (size_t)ws->parts[0].rows, cut);
}

static finish_job end_job(const pass_job *j, int32_t l, const ada_part *t) {
    bool last = is_last(j->s, l);
    return (finish_job){.s = j->s,
                        .w = j->ws,
                        .l = l,
                        .first = (size_t)(last ? t->out : t->row),
                        .m = (size_t)(last ? t->outs : t->rows),
                        .x = last ? j->h : j->x};
}

/* to [nout, d]: the wanted rows of a part's stream. */
static void wanted_rows(const pass_job *j, const ada_part *t, float *to) {
    size_t d = (size_t)j->s->c.d;
    for (int32_t i = t->out; i < t->out + t->outs; i++)
        memcpy(to + (size_t)i * d, j->x + (size_t)j->p->out[i] * d, d * sizeof *to);
}

static void forward_layer(const pass_job *j, int32_t l, const ada_part *t) {
    const ada_stack *s = j->s;
    ada_pass *ws = j->ws;
    projection in = qkv_of(s, ws, l, t);
    for (int32_t i = 0; i < ws->ntaps; i++)
        if (ws->taps[i].layer == l) wanted_rows(j, t, ws->taps[i].to);
    project(&in, j->x, ws->layers[l].qkv);
    if (is_last(s, l)) {
        in = q_of(s, ws, j->p, t);
        project(&in, j->x, ws->layers[l].q);
        wanted_rows(j, t, j->h);
    }
    ada_attn a = attn_of(s, ws, j->p, j->kv, l);
    ada_attn_forward(&a, ws->attn, t);
    finish_job end = end_job(j, l, t);
    if (ws->memory) {
        finish(end, ATTENTION);
        ada_cross_forward(ws->memory, &(ada_cross){l, j->p, a.rows, a.m, end.x}, t);
        finish(end, FFN);
    } else {
        finish(end, ATTENTION | FFN);
    }
}

static void backward_layer(const pass_job *j, int32_t l, const ada_part *t) {
    const ada_stack *s = j->s;
    ada_pass *ws = j->ws;
    dims n = dims_of(&s->c);
    bool last = is_last(s, l);
    ada_attn a = attn_of(s, ws, j->p, NULL, l);
    finish_job end = end_job(j, l, t);
    if (ws->memory) {
        finish_back(end, FFN);
        ada_cross_backward(ws->memory, &(ada_cross){l, j->p, a.rows, a.m, end.x}, t);
        if (l == 0 && ws->ends && !s->layers->qkv.g && !s->layers->q.g && !s->layers->o.g) return;
        finish_back(end, ATTENTION);
    } else {
        finish_back(end, ATTENTION | FFN);
    }
    /* the gradient at q, k, v lies as they do; the last layer's at q follows that at k and v */
    size_t ld = last ? 2 * n.kv : n.qkv, k = last ? 0 : n.q;
    ada_dtype type = gradient_type(s);
    void *dq = last ? ada_at(type, ws->dqkv, (size_t)j->p->T * ld) : ws->dqkv;
    ada_attn_backward(&a, ws->attn, t, ws->datt,
                      &(ada_attn_grad){type, dq, ada_at(type, ws->dqkv, k), ada_at(type, ws->dqkv, k + n.kv),
                                       last ? n.q : ld, ld});
    projection in = qkv_of(s, ws, l, t);
    project_back(&in, ws->dqkv, j->x, !last);
    if (!last) return;
    in = q_of(s, ws, j->p, t);
    in.keep = ws->layers[l].x, in.stat = ws->layers[l].x_stat;
    project_back(&in, dq, j->x, true);
    for (int32_t i = t->out; i < t->out + t->outs; i++) {
        float *y = j->x + (size_t)j->p->out[i] * n.d;
        ada_k.add(y, y, ws->dlast + (size_t)i * n.d, n.d);
    }
}

static void run_part(void *ctx, size_t i, int worker) {
    (void)worker;
    const pass_job *j = ctx;
    const ada_part *t = &j->ws->parts[i];
    for (int32_t n = 0; n < j->layers; n++)
        if (j->back)
            backward_layer(j, j->first - n, t);
        else
            forward_layer(j, j->first + n, t);
}

static void run_layers(pass_job j, int32_t parts, int32_t first, int32_t layers) {
    if (layers == 0) return;
    ada_attn a = attn_of(j.s, j.ws, j.p, j.kv, first);
    ada_attn_survey(&a, j.ws->attn);
    if (j.ws->memory) ada_cross_survey(j.ws->memory, &(ada_cross){first, j.p, a.rows, a.m, NULL});
    j.first = first, j.layers = layers;
    if (parts > 1)
        ada_matmul_apart((size_t)parts, run_part, &j);
    else
        run_part(&j, 0, 0);
}

void ada_stack_forward(const ada_stack *s, const ada_pack *p, ada_pass *ws, ada_kv *kv, float *x, float *h) {
    const pass_job j = {.s = s, .p = p, .ws = ws, .kv = kv, .x = x, .h = h};
    ada_par_for((size_t)p->nsegs, place_segment, &(position_job){s, p, ws, x});
    int32_t parts = parts_of(ws, p), most = s->c.layers - 1;
    run_layers(j, parts, 0, most);
    run_layers(j, parts, most, 1);
}

void ada_stack_backward(const ada_stack *s, const ada_pack *p, ada_pass *ws, const float *dh, float *dx) {
    const pass_job j = {.s = s, .p = p, .ws = ws, .x = dx, .h = ws->dlast, .back = true};
    memcpy(ws->dlast, dh, (size_t)p->nout * (size_t)s->c.d * sizeof *dh);
    int32_t parts = parts_of(ws, p), most = s->c.layers - 1;
    run_layers(j, parts, most, 1);
    run_layers(j, parts, most - 1, most);
}
