/* SPDX-License-Identifier: Apache-2.0
 * Attention of a pack. Owns: its blocking. A task of forward is a block of queries of one segment for one kv head,
 * the query heads that share it stacked as rows; of backward, one tree for one kv head, so that the keys' gradients
 * add up in one order. Products are tiles of simd's mm_tile; keys come in blocks of KEYS positions.
 * Must not know: layers. Invariant: key blocks start at multiples of KEYS on the path, and a row's arithmetic does
 * not see the other rows of its block, so its bits depend on its path alone. */
#include "engine/attention.h"
#include "engine/kv.h"
#include "engine/linear.h"
#include "engine/par.h"
#include "simd/kernels.h"

#include <math.h>
#include <string.h>

enum { KEYS = 64, ROWS = 192, HALF = 16 };

/* A worker's scratch; w is head_dim rounded up to HALF, panels are [w/16 or KEYS/16][lines, 16]. */
typedef struct {
    float *q, *dout, *acc;     /* [ROWS, w] */
    float *s, *dp;             /* [ROWS, KEYS] */
    float *max, *sum, *delta;  /* [ROWS] */
    float *k, *v, *part;       /* [KEYS, w] */
    float *kt, *vt, *kp, *vp;  /* panels: of keys turned, of values turned, of keys, of values */
    float *qp, *dp_out;        /* panels of queries and of dout [ROWS lines] */
} room;

struct ada_attn_ws {
    room *rooms;
    int32_t *tree; /* [max_segs + 1] first segment of each tree */
};

typedef struct {
    const ada_attn *a;
    ada_attn_ws *ws;
    const void *dout;
    float *dq, *dk, *dv;
    size_t lddq, lddkv, hd, w, group, queries; /* queries of a block at most */
    int32_t ntasks, ntrees;
} job;

static size_t padded(int32_t hd) { return ((size_t)hd + HALF - 1) / HALF * HALF; }

static size_t block_of(const ada_config *c) {
    size_t n = (size_t)(ROWS / (c->heads / c->kv_heads));
    return n < 1 ? 1 : n > KEYS ? KEYS : n;
}

ada_status ada_attn_layout(ada_attn_ws **out, ada_arena *a, const ada_config *c, ada_dtype type, int32_t max_T,
                           int32_t max_segs, int32_t max_path, int32_t max_out, bool train) {
    ada_attn_ws *ws, kept = {0};
    size_t w = padded(c->head_dim), team = (size_t)ada_par_threads();
    (void)type, (void)max_T, (void)max_path, (void)max_out;
    if (c->heads / c->kv_heads > ROWS)
        return ada_fail(ADA_EUNSUPPORTED, "%d query heads share a key/value head, %d can", c->heads / c->kv_heads, ROWS);
    ADA_TRY(ada_arena_take(a, &ws, 1, sizeof *ws));
    ADA_TRY(ada_arena_take(a, &kept.rooms, team, sizeof(room)));
    ADA_TRY(ada_arena_take(a, &kept.tree, (size_t)max_segs + 1, sizeof(int32_t)));
    for (size_t i = 0; i < team; i++) {
        room r = {0};
        struct { float **p; size_t rows, width; bool train; } list[] = {
            {&r.q, ROWS, w, false},     {&r.acc, ROWS, w, false},   {&r.s, ROWS, KEYS, false},
            {&r.max, ROWS, 1, false},   {&r.sum, ROWS, 1, false},   {&r.k, KEYS, w, false},
            {&r.v, KEYS, w, false},     {&r.kt, KEYS, w, false},    {&r.vp, KEYS, w, false},
            {&r.dout, ROWS, w, true},   {&r.dp, ROWS, KEYS, true},  {&r.delta, ROWS, 1, true},
            {&r.part, KEYS, w, true},   {&r.vt, KEYS, w, true},     {&r.kp, KEYS, w, true},
            {&r.qp, ROWS, w, true},     {&r.dp_out, ROWS, w, true},
        };
        for (size_t j = 0; j < sizeof list / sizeof *list; j++)
            if (train || !list[j].train)
                ADA_TRY(ada_arena_take(a, list[j].p, list[j].rows * list[j].width, sizeof(float)));
        if (!a->counting) kept.rooms[i] = r;
    }
    if (!a->counting) *ws = kept;
    *out = ws;
    return ADA_OK;
}

/* ---- panels ---- */

/* x [n, w] as panels of columns, each [lines, 16]. */
static void panels(float *to, const float *x, size_t n, size_t w, size_t lines) {
    for (size_t c = 0; c < w; c += HALF, to += lines * HALF)
        for (size_t i = 0; i < n; i++) memcpy(to + i * HALF, x + i * w + c, HALF * sizeof *to);
}

/* xᵀ of x [KEYS, w]: panels of rows of x, each [w, 16]. */
static void turned(float *to, const float *x, size_t w) {
    for (size_t i = 0; i < KEYS; i += HALF) ada_k.mm_turn(to + i * w, HALF, x + i * w, w, HALF, w);
}

/* y [m, n] (+)= x · panels of `lines` lines each, of which k count; x [m, k], or turned [k, m]. */
static void product(float *y, size_t ldy, size_t m, size_t n, const float *x, size_t ldx, int transposed, const float *b,
                    size_t lines, size_t k, bool add) {
    for (size_t c = 0; c < n; c += 2 * HALF)
        ada_k.mm_tile(&(ada_tile){.y = y + c, .ldy = ldy, .n = n - c < 2 * HALF ? n - c : 2 * HALF, .add = add, .x = x,
                                  .ldx = ldx, .transposed = transposed, .m = m, .b = b + c * lines,
                                  .ldb = lines * HALF, .k = k});
}

/* ---- the path ---- */

/* Rows of k (or v) at positions [at, at+n) of segment s's path, f32 [KEYS, w], the rest zero. */
static void gather(const job *j, int32_t s, size_t head, bool values, int32_t at, int32_t n, float *to) {
    const ada_attn *a = j->a;
    const ada_segment *g = &a->pack->segs[s];
    memset(to, 0, KEYS * j->w * sizeof *to);
    while (n > 0) {
        int32_t end = at + n;
        while (end <= g->pos && g->parent >= 0) g = &a->pack->segs[g->parent];
        int32_t from = g->pos > at ? g->pos : at;
        bool cached = end <= g->pos;
        if (cached) from = at;
        for (int32_t p = from; p < end; p++) {
            const void *row;
            if (cached)
                row = ada_at_const(a->type, values ? a->kv->v : a->kv->k,
                                   ada_kv_at(a->kv, a->layer, g->cache, (int32_t)head, p));
            else
                row = ada_at_const(a->type, values ? a->v : a->k,
                                   (size_t)(g->start + p - g->pos) * a->ldkv + head * j->hd);
            ada_widen(a->type, to + (size_t)(p - at) * j->w, row, j->hd);
        }
        n = from - at;
    }
}

/* Adds part [n, w] to the gradient rows of positions [at, at+n), of segment s's path; the cache has none. */
static void scatter(const job *j, int32_t s, size_t head, float *grad, int32_t at, int32_t n, const float *part) {
    const ada_segment *g = &j->a->pack->segs[s];
    for (int32_t p = at + n - 1; p >= at; p--) {
        while (p < g->pos && g->parent >= 0) g = &j->a->pack->segs[g->parent];
        if (p < g->pos) return;
        float *row = grad + (size_t)(g->start + p - g->pos) * j->lddkv + head * j->hd;
        ada_k.add(row, row, part + (size_t)(p - at) * j->w, j->hd);
    }
}

static int32_t row_of(const ada_attn *a, int32_t i) { return a->rows ? a->rows[i] : i; }

/* The first query at or after pack row `row`. */
static int32_t query_at(const ada_attn *a, int32_t row) {
    int32_t lo = 0, hi = a->m;
    if (!a->rows) return row;
    while (lo < hi) {
        int32_t mid = lo + (hi - lo) / 2;
        if (a->rows[mid] < row) lo = mid + 1;
        else hi = mid;
    }
    return lo;
}

/* A block of queries of a segment: [first, first+n), their heads stacked: block row g·n + i. */
typedef struct {
    int32_t seg, first, n, lo, hi; /* positions seen by any of them: [lo, hi) */
} block;

static int32_t position(const job *j, const block *b, int32_t i) {
    const ada_segment *g = &j->a->pack->segs[b->seg];
    return g->pos + row_of(j->a, b->first + i) - g->start;
}

static int32_t window_from(const job *j, int32_t pos) {
    int32_t w = j->a->c->window;
    return w > 0 && pos >= w ? pos - w + 1 : 0;
}

static block block_at(const job *j, int32_t seg, int32_t first, int32_t last) {
    block b = {.seg = seg, .first = first, .n = last - first < (int32_t)j->queries ? last - first : (int32_t)j->queries};
    b.lo = window_from(j, position(j, &b, 0)) / KEYS * KEYS;
    b.hi = position(j, &b, b.n - 1) + 1;
    return b;
}

/* Rows of a [m, heads·hd] array of the block, f32 [rows, w]. */
static void load_rows(const job *j, const block *b, size_t head, const void *x, size_t ld, float *to) {
    size_t n = (size_t)b->n;
    for (size_t g = 0; g < j->group; g++)
        for (size_t i = 0; i < n; i++, to += j->w) {
            ada_widen(j->a->type, to,
                      ada_at_const(j->a->type, x, ((size_t)b->first + i) * ld + (head * j->group + g) * j->hd), j->hd);
            memset(to + j->hd, 0, (j->w - j->hd) * sizeof *to);
        }
}

/* Which keys [*from, *to) of the block at `at` query i sees. */
static void visible(const job *j, const block *b, int32_t i, int32_t at, int32_t *from, int32_t *to) {
    int32_t p = position(j, b, i), f = window_from(j, p) - at, t = p + 1 - at;
    *from = f < 0 ? 0 : f > KEYS ? KEYS : f;
    *to = t < *from ? *from : t > KEYS ? KEYS : t;
}

static float scale_of(const ada_config *c) {
    return c->attn_scale != 0 ? c->attn_scale : (float)(1.0 / sqrt((double)c->head_dim));
}

/* ---- forward ---- */

/* Scores of keys at `at`, in place of s: weights e^(s - max), the running sums and acc rescaled to the new max. */
static void soften(const job *j, const block *b, int32_t at, room *r) {
    float scale = scale_of(j->a->c);
    for (size_t g = 0; g < j->group; g++)
        for (int32_t i = 0; i < b->n; i++) {
            size_t row = g * (size_t)b->n + (size_t)i;
            float *s = r->s + row * KEYS;
            int32_t from, to;
            visible(j, b, i, at, &from, &to);
            size_t n = (size_t)(to - from);
            if (n > 0) {
                ada_k.scale(s + from, s + from, scale, n);
                float top = ada_k.max(s + from, n), old = r->max[row];
                if (!(top <= old)) {
                    float fade = (float)exp((double)old - (double)top);
                    r->max[row] = top;
                    r->sum[row] *= fade;
                    ada_k.scale(r->acc + row * j->w, r->acc + row * j->w, fade, j->w);
                }
                ada_k.xent_back(s + from, r->max[row], SIZE_MAX, 1.0f, n);
                r->sum[row] += ada_k.sum(s + from, n);
            }
            memset(s, 0, (size_t)from * sizeof *s);
            memset(s + to, 0, (size_t)(KEYS - to) * sizeof *s);
        }
}

static void forward_block(const job *j, const block *b, size_t head, room *r) {
    const ada_attn *a = j->a;
    size_t m = (size_t)b->n * j->group;
    load_rows(j, b, head, a->q, a->ldq, r->q);
    memset(r->acc, 0, m * j->w * sizeof *r->acc);
    memset(r->sum, 0, m * sizeof *r->sum);
    for (size_t i = 0; i < m; i++) r->max[i] = -INFINITY;
    for (int32_t at = b->lo; at < b->hi; at += KEYS) {
        int32_t n = b->hi - at < KEYS ? b->hi - at : KEYS;
        gather(j, b->seg, head, false, at, n, r->k);
        gather(j, b->seg, head, true, at, n, r->v);
        turned(r->kt, r->k, j->w);
        panels(r->vp, r->v, KEYS, j->w, KEYS);
        product(r->s, KEYS, m, KEYS, r->q, j->w, 0, r->kt, j->w, j->hd, false);
        soften(j, b, at, r);
        product(r->acc, j->w, m, j->w, r->s, KEYS, 0, r->vp, KEYS, KEYS, true);
    }
    for (size_t g = 0, row = 0; g < j->group; g++)
        for (size_t i = 0; i < (size_t)b->n; i++, row++) {
            size_t h = head * j->group + g, to = (size_t)b->first + i;
            float *y = r->acc + row * j->w;
            ada_k.scale(y, y, 1.0f / r->sum[row], j->hd);
            ada_narrow(a->type, ada_at(a->type, a->o, (to * (size_t)a->c->heads + h) * j->hd), y, j->hd);
            if (a->lse)
                a->lse[to * (size_t)a->c->heads + h] = (float)((double)r->max[row] + log((double)r->sum[row]));
        }
}

static void forward_task(void *ctx, size_t item, int worker) {
    const job *j = ctx;
    size_t kv = (size_t)j->a->c->kv_heads, head = item % kv;
    int32_t task = (int32_t)(item / kv);
    for (int32_t s = 0; s < j->a->pack->nsegs; s++) {
        const ada_segment *g = &j->a->pack->segs[s];
        int32_t first = query_at(j->a, g->start), last = query_at(j->a, g->start + g->len);
        int32_t blocks = (last - first + (int32_t)j->queries - 1) / (int32_t)j->queries;
        if (task >= blocks) {
            task -= blocks;
            continue;
        }
        block b = block_at(j, s, first + (blocks - 1 - task) * (int32_t)j->queries, last);
        forward_block(j, &b, head, &j->ws->rooms[worker]);
        return;
    }
}

static job job_of(const ada_attn *a, ada_attn_ws *ws) {
    const ada_config *c = a->c;
    return (job){.a = a, .ws = ws, .hd = (size_t)c->head_dim, .w = padded(c->head_dim),
                 .group = (size_t)(c->heads / c->kv_heads), .queries = block_of(c)};
}

static void append(const ada_attn *a) {
    size_t hd = (size_t)a->c->head_dim, bytes = hd * ada_type_size(a->type);
    struct ada_kv *kv = a->kv;
    for (int32_t s = 0; s < a->pack->nsegs; s++) {
        const ada_segment *g = &a->pack->segs[s];
        if (g->cache < 0 || g->parent >= 0) continue;
        for (int32_t h = 0; h < a->c->kv_heads; h++)
            for (int32_t i = 0; i < g->len; i++) {
                size_t from = (size_t)(g->start + i) * a->ldkv + (size_t)h * hd;
                size_t to = ada_kv_at(kv, a->layer, g->cache, h, g->pos + i);
                memcpy(ada_at(kv->type, kv->k, to), ada_at_const(a->type, a->k, from), bytes);
                memcpy(ada_at(kv->type, kv->v, to), ada_at_const(a->type, a->v, from), bytes);
            }
        if (a->layer + 1 == kv->layers) kv->len[g->cache] = g->pos + g->len;
    }
}

void ada_attn_forward(const ada_attn *a, ada_attn_ws *ws) {
    job j = job_of(a, ws);
    if (a->kv) append(a);
    for (int32_t s = 0; s < a->pack->nsegs; s++) {
        const ada_segment *g = &a->pack->segs[s];
        int32_t n = query_at(a, g->start + g->len) - query_at(a, g->start);
        j.ntasks += (n + (int32_t)j.queries - 1) / (int32_t)j.queries;
    }
    ada_par_for((size_t)j.ntasks * (size_t)a->c->kv_heads, forward_task, &j);
}

/* ---- backward ---- */

/* Probabilities in place of scores s, and in place of dp the scores' gradient p·(dp - delta)·scale. */
static void harden(const job *j, const block *b, size_t head, int32_t at, room *r) {
    float scale = scale_of(j->a->c);
    for (size_t g = 0; g < j->group; g++)
        for (int32_t i = 0; i < b->n; i++) {
            size_t row = g * (size_t)b->n + (size_t)i;
            size_t lse = ((size_t)b->first + (size_t)i) * (size_t)j->a->c->heads + head * j->group + g;
            float *s = r->s + row * KEYS, *dp = r->dp + row * KEYS;
            int32_t from, to;
            visible(j, b, i, at, &from, &to);
            size_t n = (size_t)(to - from);
            if (n > 0) {
                ada_k.scale(s + from, s + from, scale, n);
                ada_k.xent_back(s + from, j->a->lse[lse], SIZE_MAX, 1.0f, n);
                for (int32_t k = from; k < to; k++) dp[k] = (dp[k] - r->delta[row]) * scale;
                ada_k.mul(dp + from, dp + from, s + from, n);
            }
            memset(s, 0, (size_t)from * sizeof *s);
            memset(s + to, 0, (size_t)(KEYS - to) * sizeof *s);
            memset(dp, 0, (size_t)from * sizeof *dp);
            memset(dp + to, 0, (size_t)(KEYS - to) * sizeof *dp);
        }
}

static void backward_block(const job *j, const block *b, size_t head, room *r) {
    const ada_attn *a = j->a;
    size_t m = (size_t)b->n * j->group, heads = (size_t)a->c->heads;
    load_rows(j, b, head, a->q, a->ldq, r->q);
    load_rows(j, b, head, a->o, heads * j->hd, r->acc);
    load_rows(j, b, head, j->dout, heads * j->hd, r->dout);
    for (size_t i = 0; i < m; i++) r->delta[i] = ada_k.dot(r->acc + i * j->w, r->dout + i * j->w, j->hd);
    panels(r->qp, r->q, m, j->w, ROWS);
    panels(r->dp_out, r->dout, m, j->w, ROWS);
    memset(r->acc, 0, m * j->w * sizeof *r->acc);
    for (int32_t at = b->lo; at < b->hi; at += KEYS) {
        int32_t n = b->hi - at < KEYS ? b->hi - at : KEYS;
        gather(j, b->seg, head, false, at, n, r->k);
        gather(j, b->seg, head, true, at, n, r->v);
        turned(r->kt, r->k, j->w);
        turned(r->vt, r->v, j->w);
        panels(r->kp, r->k, KEYS, j->w, KEYS);
        product(r->s, KEYS, m, KEYS, r->q, j->w, 0, r->kt, j->w, j->hd, false);
        product(r->dp, KEYS, m, KEYS, r->dout, j->w, 0, r->vt, j->w, j->hd, false);
        harden(j, b, head, at, r);
        product(r->part, j->w, KEYS, j->w, r->s, KEYS, 1, r->dp_out, ROWS, m, false);
        scatter(j, b->seg, head, j->dv, at, n, r->part);
        product(r->part, j->w, KEYS, j->w, r->dp, KEYS, 1, r->qp, ROWS, m, false);
        scatter(j, b->seg, head, j->dk, at, n, r->part);
        product(r->acc, j->w, m, j->w, r->dp, KEYS, 0, r->kp, KEYS, KEYS, true);
    }
    for (size_t g = 0, row = 0; g < j->group; g++)
        for (size_t i = 0; i < (size_t)b->n; i++, row++)
            memcpy(j->dq + ((size_t)b->first + i) * j->lddq + (head * j->group + g) * j->hd, r->acc + row * j->w,
                   j->hd * sizeof *j->dq);
}

static void backward_task(void *ctx, size_t item, int worker) {
    const job *j = ctx;
    const ada_attn *a = j->a;
    size_t kv = (size_t)a->c->kv_heads, head = item % kv;
    int32_t tree = (int32_t)(item / kv);
    for (int32_t s = j->ws->tree[tree]; s < j->ws->tree[tree + 1]; s++) {
        const ada_segment *g = &a->pack->segs[s];
        for (int32_t i = g->start; i < g->start + g->len; i++) {
            memset(j->dk + (size_t)i * j->lddkv + head * j->hd, 0, j->hd * sizeof *j->dk);
            memset(j->dv + (size_t)i * j->lddkv + head * j->hd, 0, j->hd * sizeof *j->dv);
        }
    }
    for (int32_t s = j->ws->tree[tree]; s < j->ws->tree[tree + 1]; s++) {
        const ada_segment *g = &a->pack->segs[s];
        int32_t last = query_at(a, g->start + g->len);
        for (int32_t i = query_at(a, g->start); i < last; i += (int32_t)j->queries) {
            block b = block_at(j, s, i, last);
            backward_block(j, &b, head, &j->ws->rooms[worker]);
        }
    }
}

void ada_attn_backward(const ada_attn *a, ada_attn_ws *ws, const void *dout, float *dq, size_t lddq, float *dk, float *dv,
                       size_t lddkv) {
    job j = job_of(a, ws);
    j.dout = dout, j.dq = dq, j.lddq = lddq, j.dk = dk, j.dv = dv, j.lddkv = lddkv;
    for (int32_t s = 0; s < a->pack->nsegs; s++)
        if (a->pack->segs[s].parent < 0) ws->tree[j.ntrees++] = s;
    ws->tree[j.ntrees] = a->pack->nsegs;
    ada_par_for((size_t)j.ntrees * (size_t)a->c->kv_heads, backward_task, &j);
}
