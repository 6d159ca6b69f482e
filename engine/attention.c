/* SPDX-License-Identifier: Apache-2.0
 * Attention in blocks. Forward: a task is a kv head and a run of query rows of one segment, with all query
 * heads that share the kv head; it walks the path's keys in blocks of KEYS aligned to the position on the
 * path. Backward: a task is a tree of the pack (with a memory: all that reads one segment of it), walked in
 * order, and a kv head with its query heads, or one of these where tasks are few; each head's share of dk and
 * dv is kept apart, and a kv head's shares are added in order of heads. What a run's first rows see nothing
 * of beyond a block's first tile is left out. Must not know: layers, rope. Invariant: block borders follow
 * from positions and, where all queries see the whole path, from its length, so a row's bits depend on its
 * path alone, never on threads or on what else is in the pack. */
#include "engine/attention.h"
#include "engine/attention_room.h"
#include "engine/kv.h"
#include "engine/linear.h"
#include "engine/par.h"

#include <math.h>
#include <string.h>

enum {
    KEYS = ADA_KEYS,
    MOST = ADA_KEYS_MOST,
    QUERIES = ADA_QUERIES,
    TILE_ROWS = 192, /* most rows of a product: query rows × the heads that share keys */
    AHEAD = 8        /* rows fetched ahead: they lie too far apart for the processor to guess */
};
_Static_assert((int)MOST <= (int)ADA_BIAS_MARGIN, "a block's bias is one run");

struct run {
    int32_t seg, first, n; /* query rows first … first+n-1, as the caller counts them, all of one segment */
};

struct ada_attn_ws {
    ada_attn_room *rooms; /* [threads] */
    struct run *runs;
    int32_t nruns, run; /* run: most query rows of one */
    uint64_t surveys;
    int32_t *from;     /* [segs + 1] first query row of each segment */
    int32_t *run_from; /* [segs + 1] its first run */
    int32_t *next;     /* [segs] next segment of the same tree, -1 at its end */
    int32_t *last;     /* [segs] of a root, or of a memory's segment: its tree's last segment so far */
    int32_t *root;     /* [trees] -1: nobody reads that segment of the memory */
    int32_t ntrees;
    float *dk, *dv; /* [heads, T, w] places for a query head's share; training only */
    int32_t max_T;
    size_t w;
};

ada_status ada_attn_layout(ada_attn_ws **out, ada_arena *a, const ada_config *c, ada_dtype type,
                           int32_t max_T, int32_t max_segs, int32_t max_path, int32_t max_out, bool train) {
    (void)max_out;
    int32_t group = c->heads / c->kv_heads;
    ada_attn_ws ws = {.w = ada_room_width((size_t)c->head_dim), .max_T = max_T};
    ws.run = TILE_ROWS / group < QUERIES ? TILE_ROWS / group : QUERIES;
    if (ws.run < 1) ws.run = 1;
    size_t rows = (size_t)(ws.run * group > QUERIES ? ws.run * group : QUERIES);
    size_t segs = (size_t)max_segs, team = (size_t)ada_par_threads(), share, runs;
    if (!ada_mul_size((size_t)max_T * ws.w, (size_t)c->heads, &share))
        return ada_fail(ADA_ENOMEM, "attention over %d rows needs too much memory", max_T);
    runs = (size_t)(max_T / ws.run) + segs;
    ADA_TRY(ada_arena_take(a, out, 1, sizeof **out));
    ADA_TRY(ada_arena_take(a, &ws.runs, runs, sizeof *ws.runs));
    ADA_TRY(ada_arena_take(a, &ws.from, segs + 1, sizeof *ws.from));
    ADA_TRY(ada_arena_take(a, &ws.run_from, segs + 1, sizeof *ws.run_from));
    ADA_TRY(ada_arena_take(a, &ws.next, segs, sizeof *ws.next));
    ADA_TRY(ada_arena_take(a, &ws.last, segs, sizeof *ws.last));
    ADA_TRY(ada_arena_take(a, &ws.root, segs, sizeof *ws.root));
    ADA_TRY(ada_arena_take(a, &ws.rooms, team, sizeof *ws.rooms));
    for (size_t i = 0; i < team; i++) {
        ada_attn_room r;
        ADA_TRY(ada_room_layout(&r, a, (size_t)c->head_dim, rows, max_path, ada_room_pairs(type), train));
        if (!a->counting) ws.rooms[i] = r;
    }
    if (train) {
        ADA_TRY(ada_arena_take(a, &ws.dk, share, sizeof(float)));
        ADA_TRY(ada_arena_take(a, &ws.dv, share, sizeof(float)));
    }
    if (!a->counting) **out = ws;
    return ADA_OK;
}

/* ---- rows and their keys ---- */

/* What does not change within a call. */
struct call {
    const ada_attn *a;
    ada_attn_ws *ws;
    size_t hd, w, group;
    float scale, cap;
    int32_t window;
    bool full;
    size_t keys; /* rows of k and v */
    const struct ada_attn_bias *bias;
    const void *dout;
    ada_attn_grad d;
    const ada_part *part;
    int32_t tree;                /* its first; of backward, as the rest */
    size_t together;             /* query heads of a task */
    bool reuse;                  /* a thread's tasks have the same places for shares, one after the other */
    size_t first_joined, joined; /* rows of k and v, where the heads of a kv head are tasks of their own */
};

static struct call call_of(const ada_attn *a, ada_attn_ws *ws, const ada_part *part) {
    const ada_config *c = a->c;
    return (struct call){.a = a,
                         .ws = ws,
                         .part = part,
                         .hd = (size_t)c->head_dim,
                         .w = ws->w,
                         .group = (size_t)(c->heads / c->kv_heads),
                         .scale = c->attn_scale > 0 ? c->attn_scale : (float)(1 / sqrt(c->head_dim)),
                         .cap = c->attn_cap,
                         .window =
                             ada_config_windowed(c, a->layer) && !a->reading.memory ? c->window : INT32_MAX,
                         .full = c->mask == ADA_MASK_FULL,
                         .keys = (size_t)(a->reading.memory ? a->reading.memory->T : a->pack->T),
                         .bias = a->bias};
}

/* Which query rows each segment has. */
static void find_runs(const ada_attn *a, ada_attn_ws *ws) {
    const ada_pack *p = a->pack;
    int32_t q = 0;
    ws->nruns = 0;
    for (int32_t g = 0; g < p->nsegs; g++) {
        const ada_segment *e = &p->segs[g];
        ws->from[g] = q, ws->run_from[g] = ws->nruns;
        if (a->rows)
            while (q < a->m && a->rows[q] < e->start + e->len) q++;
        else
            q += e->len;
        for (int32_t i = ws->from[g]; i < q; i += ws->run)
            ws->runs[ws->nruns++] = (struct run){g, i, q - i < ws->run ? q - i : ws->run};
    }
    ws->from[p->nsegs] = q, ws->run_from[p->nsegs] = ws->nruns;
}

/* Chains the segments that read each segment of the memory in order. */
static int32_t plant_readers(const ada_attn *a, ada_attn_ws *ws) {
    for (int32_t m = 0; m < a->reading.memory->nsegs; m++) ws->root[m] = -1;
    for (int32_t g = 0; g < a->pack->nsegs; g++) {
        int32_t m = a->reading.reads[g];
        *(ws->root[m] < 0 ? &ws->root[m] : &ws->next[ws->last[m]]) = g;
        ws->last[m] = g;
        ws->next[g] = -1;
    }
    return a->reading.memory->nsegs;
}

/* Chains the segments of each tree in order; returns the number of trees. */
static int32_t plant(const ada_pack *p, ada_attn_ws *ws) {
    int32_t trees = 0;
    for (int32_t g = 0; g < p->nsegs; g++) {
        int32_t up = p->segs[g].parent;
        while (up >= 0 && p->segs[up].parent >= 0) up = p->segs[up].parent;
        if (up < 0)
            ws->root[trees++] = up = g;
        else
            ws->next[ws->last[up]] = g;
        ws->last[up] = g;
        ws->next[g] = -1;
    }
    return trees;
}

void ada_attn_survey(const ada_attn *a, ada_attn_ws *ws) {
    find_runs(a, ws);
    ws->ntrees = a->reading.memory ? plant_readers(a, ws) : plant(a->pack, ws);
    ws->surveys++;
}

static int32_t row_of(const struct call *c, int32_t q) {
    return c->a->rows ? c->a->rows[q] : q;
}

static int32_t position(const struct call *c, const struct run *r, int32_t q) {
    const ada_segment *e = &c->a->pack->segs[r->seg];
    return e->pos + row_of(c, q) - e->start;
}

/* Keys that a position sees: [first, past). */
static int32_t first_key(const struct call *c, const struct run *r, int32_t pos) {
    return pos < c->window || c->a->pack->segs[r->seg].full ? 0 : pos - c->window + 1;
}
static bool sees_whole(const struct call *c, const struct run *r) {
    return c->a->reading.memory || c->full || c->a->pack->segs[r->seg].full;
}
static int32_t past_key(const struct call *c, const struct run *r, int32_t pos) {
    const ada_segment *e = &c->a->pack->segs[r->seg];
    if (c->a->reading.memory) return c->a->reading.memory->segs[c->a->reading.reads[r->seg]].len;
    return sees_whole(c, r) ? e->pos + e->len : pos + 1;
}

/* A piece of a block of keys: `n` rows of the pack or memory from `row` on, or of the cache (row < 0), at
 * `at` in the block. */
struct piece {
    int32_t row, at, n;
};

/* Cuts positions [pos, pos + n) of a segment's path into pieces, last first; returns how many. */
static int32_t cut(const struct call *c, int32_t seg, int32_t pos, int32_t n, struct piece piece[MOST],
                   int32_t *slot) {
    int32_t pieces = 0, end = pos + n;
    const ada_segment *e = &c->a->pack->segs[seg];
    *slot = -1;
    if (c->a->reading.memory) {
        piece[0] = (struct piece){c->a->reading.memory->segs[c->a->reading.reads[seg]].start + pos, 0, n};
        return 1;
    }
    for (;; seg = e->parent) {
        e = &c->a->pack->segs[seg];
        int32_t from = pos > e->pos ? pos : e->pos;
        if (from < end) {
            piece[pieces++] = (struct piece){e->start + from - e->pos, from - pos, end - from};
            end = from;
        }
        if (end <= pos || e->parent < 0) break;
    }
    *slot = e->cache;
    if (end > pos) piece[pieces++] = (struct piece){-1, 0, end - pos};
    return pieces;
}

/* Keys and values of a block, into room. */
static void gather(const struct call *c, ada_attn_room *r, const struct piece *piece, int32_t pieces,
                   int32_t slot, int32_t pos, int32_t head) {
    const ada_attn *a = c->a;
    for (int32_t i = 0; i < pieces; i++) {
        size_t ld = piece[i].row < 0 ? c->hd : a->ldkv;
        size_t at = piece[i].row < 0 ? (size_t)(pos + piece[i].at) * ld
                                     : (size_t)piece[i].row * ld + (size_t)head * c->hd;
        const void *k = piece[i].row < 0 ? ada_kv_keys(a->kv, a->layer, slot, head) : a->k;
        const void *v = piece[i].row < 0 ? ada_kv_values(a->kv, a->layer, slot, head) : a->v;
        for (int32_t j = 0; j < piece[i].n; j++, at += ld) {
            if (j + AHEAD < piece[i].n) {
                ada_fetch(a->type, k, at + AHEAD * ld, c->hd);
                ada_fetch(a->type, v, at + AHEAD * ld, c->hd);
            }
            ada_room_key(r, (size_t)(piece[i].at + j), a->type, ada_at_const(a->type, k, at),
                         ada_at_const(a->type, v, at));
        }
    }
}

/* ---- forward ---- */

struct range {
    int32_t pos, n; /* a block of keys */
};

/* Blocks from `pos` on, until `past`: the next one. Where all of the path's queries see it until `past`, a
 * short rest joins the block before it. */
static struct range block_at(const struct call *c, const struct run *r, int32_t pos, int32_t past) {
    int32_t from = pos / KEYS * KEYS, n = past - from;
    return (struct range){from, n <= (sees_whole(c, r) ? MOST : KEYS) ? n : KEYS};
}

/* Bounds of [first, past) within a block. */
static size_t within(struct range b, int32_t key) {
    int32_t i = key - b.pos;
    return (size_t)(i < 0 ? 0 : i > b.n ? b.n : i);
}

/* How many of a run's rows, the first ones, see nothing of the block from ADA_TILE on. */
static size_t late_rows(const struct call *c, const struct run *run, struct range b) {
    int32_t i = 0;
    while (i < run->n && past_key(c, run, position(c, run, run->first + i)) <= b.pos + ADA_TILE) i++;
    return (size_t)i;
}

/* A block of keys as a run meets it. */
struct block {
    struct range keys;
    struct piece piece[MOST];
    int32_t pieces;
    size_t late; /* rows */
    ada_room_mask mask;
};

/* What query head h adds to the scores of a block, those of r->s from `row` on: rows of a table, of which
 * each next one begins a number earlier, or all are the same; where a run has both kinds, copied to where the
 * scores will be. */
static const float *bias_rows(const struct call *c, ada_attn_room *r, const struct run *run, struct range b,
                              size_t h, size_t row, ptrdiff_t *ld) {
    int32_t span = c->bias->span, least = -span - ADA_BIAS_MARGIN, n = run->n;
    const float *zero = c->bias->at + h * ada_attn_bias_width(span) + span + ADA_BIAS_MARGIN;
    int32_t first = b.pos - position(c, run, run->first), last = b.pos - position(c, run, run->first + n - 1);
    float *s = r->s + row * r->ld;
    *ld = -1;
    if (first - last == n - 1 && first <= span && last >= least) return zero + first;
    *ld = 0;
    if (last >= span) return zero + span;
    if (first <= least) return zero + least;
    *ld = (ptrdiff_t)r->ld;
    for (int32_t i = 0; i < n; i++) {
        int32_t from = b.pos - position(c, run, run->first + i);
        memcpy(s + (size_t)i * r->ld,
               zero + (from < least  ? least
                       : from > span ? span
                                     : from),
               r->ld * sizeof *s);
    }
    return s;
}

/* s = scores of a run's rows with a block, those of query head h. */
static void scores(const struct call *c, ada_attn_room *r, const struct run *run, const struct block *b,
                   size_t h, size_t row) {
    ptrdiff_t ld = 0;
    const float *bias = c->bias ? bias_rows(c, r, run, b->keys, h, row, &ld) : NULL;
    ada_room_scores(r, row, (size_t)run->n, b->late, (size_t)b->keys.n, bias, ld);
}

/* Which keys of a block the rows of `heads` heads see, into r->seen. */
static ada_room_mask mask_of(const struct call *c, ada_attn_room *r, const struct run *run, struct range keys,
                             size_t heads) {
    ada_room_mask mask = {true, c->scale, c->cap};
    size_t n = (size_t)run->n, all = (size_t)keys.n;
    for (size_t i = 0; i < n; i++) {
        int32_t pos = position(c, run, run->first + (int32_t)i);
        size_t lo = within(keys, first_key(c, run, pos)), hi = within(keys, past_key(c, run, pos));
        r->seen[i][0] = (uint32_t)lo, r->seen[i][1] = (uint32_t)hi;
        mask.all = mask.all && lo == 0 && hi == all;
    }
    for (size_t g = 1; g < heads && !mask.all; g++) memcpy(r->seen + g * n, r->seen, n * sizeof *r->seen);
    return mask;
}

/* Its keys and values, in r, ready for forward or for backward. */
static struct block block_open(const struct call *c, ada_attn_room *r, const struct run *run,
                               struct range keys, int32_t head, bool back) {
    struct block b = {
        .keys = keys, .late = late_rows(c, run, keys), .mask = mask_of(c, r, run, keys, back ? 1 : c->group)};
    ada_room_owner owner = {c->ws->surveys, c->a->layer, run->seg, head, back};
    int32_t slot;
    b.pieces = cut(c, run->seg, keys.pos, keys.n, b.piece, &slot);
    if (ada_room_block(r, &owner, keys.pos, keys.n)) return b;
    gather(c, r, b.piece, b.pieces, slot, keys.pos, head);
    ada_room_keys_ready(r, back);
    return b;
}

/* fresh: it is the first block of the run's */
static void forward_block(const struct call *c, ada_attn_room *r, const struct run *run, struct range keys,
                          int32_t head, bool fresh) {
    struct block b = block_open(c, r, run, keys, head, false);
    size_t n = (size_t)run->n, m = n * c->group, seen = (size_t)keys.n;
    /* the heads' rows follow each other: in one go, where no row is late */
    size_t go = b.late ? n : m;
    for (size_t g = 0; c->bias && g < c->group; g++)
        scores(c, r, run, &b, (size_t)head * c->group + g, g * n);
    for (size_t row = 0; !c->bias && row < m; row += go) ada_room_scores(r, row, go, b.late, seen, NULL, 0);
    ada_room_attend(r, m, seen, &b.mask);
    for (size_t row = 0; row < m && !fresh; row++)
        if (r->factor[row] != 1.0f) ada_k.scale(r->o + row * c->w, r->o + row * c->w, r->factor[row], c->w);
    for (size_t row = 0; row < m; row += go) ada_room_add_values(r, row, go, b.late, seen, fresh);
}

static void forward_task(void *ctx, size_t item, int worker) {
    const struct call *c = ctx;
    const ada_attn *a = c->a;
    ada_attn_room *r = &c->ws->rooms[worker];
    /* segment by segment, head by head, run by run: one thread's next item has the same keys */
    size_t kv_heads = (size_t)a->c->kv_heads;
    item += (size_t)c->ws->run_from[c->part->seg] * kv_heads;
    const int32_t *first = c->ws->run_from + c->ws->runs[item / kv_heads].seg;
    size_t runs = (size_t)(first[1] - first[0]);
    item -= (size_t)first[0] * kv_heads;
    size_t head = item / runs;
    const struct run *run = &c->ws->runs[(size_t)first[0] + item % runs];
    size_t n = (size_t)run->n, m = n * c->group, heads = (size_t)a->c->heads;
    for (size_t row = 0; row < m; row++) {
        size_t q = (size_t)run->first + row % n, h = head * c->group + row / n;
        if (row % n + AHEAD < n) ada_fetch(a->type, a->q, (q + AHEAD) * a->ldq + h * c->hd, c->hd);
        ada_room_query(r, row, a->type, ada_at_const(a->type, a->q, q * a->ldq + h * c->hd));
        r->stat[2 * row] = -INFINITY;
        r->stat[2 * row + 1] = 0;
    }
    int32_t past = past_key(c, run, position(c, run, run->first + run->n - 1));
    int32_t first_seen = first_key(c, run, position(c, run, run->first));
    for (int32_t key = first_seen; key < past;) {
        struct range b = block_at(c, run, key, past);
        forward_block(c, r, run, b, (int32_t)head, key == first_seen);
        key = b.pos + b.n;
    }
    for (size_t row = 0; row < m; row++) {
        size_t q = (size_t)run->first + row % n, h = head * c->group + row / n;
        float lse = ada_k.attend_end(r->o + row * c->w, r->stat + 2 * row, c->hd);
        ada_narrow(a->type, ada_at(a->type, a->o, q * heads * c->hd + h * c->hd), r->o + row * c->w, c->hd);
        if (a->lse) a->lse[q * heads + h] = lse;
    }
}

void ada_attn_forward(const ada_attn *a, ada_attn_ws *ws, const ada_part *part) {
    struct call c = call_of(a, ws, part);
    const int32_t *runs = ws->run_from + part->seg;
    for (int32_t g = part->seg; a->kv && g < part->seg + part->segs; g++) {
        const ada_segment *e = &a->pack->segs[g];
        size_t at = (size_t)e->start * a->ldkv;
        if (e->parent < 0 && e->cache >= 0)
            ada_kv_put(a->kv, a->layer, e->cache, e->pos, e->len, ada_at_const(a->type, a->k, at),
                       ada_at_const(a->type, a->v, at), a->ldkv);
    }
    ada_par_for((size_t)(runs[part->segs] - runs[0]) * (size_t)a->c->kv_heads, forward_task, &c);
}

/* ---- backward ---- */

/* Where query head h's shares stand in dk and dv. */
static size_t share_of(const struct call *c, const ada_attn_room *r, size_t h) {
    size_t place = c->reuse ? (size_t)(r - c->ws->rooms) * c->group + h % c->group : h;
    return place * c->keys * c->w;
}

/* A block for query head h, the run's i-th, whose rows of r begin at i · n. */
static void backward_head(const struct call *c, ada_attn_room *r, const struct run *run,
                          const struct block *b, size_t h, size_t i, bool fresh) {
    size_t n = (size_t)run->n, heads = (size_t)c->a->c->heads, row = i * n, keys = (size_t)b->keys.n;
    scores(c, r, run, b, h, row);
    ada_room_out_scores(r, row, n, b->late, keys);
    for (size_t j = 0; j < n; j++) r->factor[row + j] = c->a->lse[((size_t)run->first + j) * heads + h];
    ada_room_attend_back(r, row, n, keys, &b->mask);
    ada_room_add_keys(r, row, n, b->late, keys, fresh);
    for (const struct piece *p = b->piece; p < b->piece + b->pieces; p++) {
        if (p->row < 0) continue; /* the cache is frozen */
        size_t to = share_of(c, r, h) + (size_t)p->row * c->w;
        ada_room_add_shares(r, i, row, n, b->late, (size_t)p->at, (size_t)p->n, c->ws->dk + to,
                            c->ws->dv + to);
    }
}

/* Query heads first … first+count-1, which share a kv head. */
static void backward_run(const struct call *c, ada_attn_room *r, const struct run *run, size_t first,
                         size_t count) {
    const ada_attn *a = c->a;
    size_t n = (size_t)run->n, width = (size_t)a->c->heads * c->hd;
    for (size_t g = 0; g < count; g++)
        for (size_t i = 0; i < n; i++) {
            size_t head = (first + g) * c->hd, q = (size_t)run->first + i, row = g * n + i;
            if (i + AHEAD < n) {
                ada_fetch(a->type, a->o, (q + AHEAD) * width + head, c->hd);
                ada_fetch(a->type, c->dout, (q + AHEAD) * width + head, c->hd);
                ada_fetch(a->type, a->q, (q + AHEAD) * a->ldq + head, c->hd);
            }
            ada_room_query(r, row, a->type, ada_at_const(a->type, a->q, q * a->ldq + head));
            ada_room_out(r, row, a->type, ada_at_const(a->type, c->dout, q * width + head));
            /* Σ p·dp of a row is o · dout */
            r->stat[row] = ada_room_dot(r, row, a->type, ada_at_const(a->type, a->o, q * width + head));
        }
    ada_room_rows_ready(r, count, n);
    int32_t past = past_key(c, run, position(c, run, run->first + run->n - 1));
    int32_t first_seen = first_key(c, run, position(c, run, run->first));
    for (int32_t key = first_seen; key < past;) {
        struct range keys = block_at(c, run, key, past);
        struct block b = block_open(c, r, run, keys, (int32_t)(first / c->group), true);
        for (size_t i = 0; i < count; i++) backward_head(c, r, run, &b, first + i, i, key == first_seen);
        key = b.keys.pos + b.keys.n;
    }
    for (size_t row = 0; row < n * count; row++) {
        size_t to = ((size_t)run->first + row % n) * c->d.lddq + (first + row / n) * c->hd;
        ada_narrow(c->d.type, ada_at(c->d.type, c->d.dq, to), r->o + row * c->w, c->hd);
    }
}

static void clear_shares(const struct call *c, const ada_attn_room *r, const ada_segment *e, size_t first) {
    for (size_t h = first; h < first + c->together; h++) {
        size_t at = share_of(c, r, h) + (size_t)e->start * c->w, n = (size_t)e->len * c->w;
        memset(c->ws->dk + at, 0, n * sizeof(float));
        memset(c->ws->dv + at, 0, n * sizeof(float));
    }
}

/* What a kv head gets: the shares of the heads that read it. share: the first one's. */
static void join(const struct call *c, void *to, const float *share) {
    float sum[ADA_MAX_HEAD_DIM];
    for (size_t h = 1; h < c->group; h++)
        ada_k.add(sum, h == 1 ? share : sum, share + h * c->keys * c->w, c->hd);
    ada_narrow(c->d.type, to, c->group > 1 ? sum : share, c->hd);
}

/* Of keys first … first+n-1 of a kv head; share: where its first head's shares stand. */
static void join_keys(const struct call *c, size_t kv_head, size_t share, size_t first, size_t n) {
    for (size_t row = first; row < first + n; row++) {
        size_t from = share + row * c->w, to = row * c->d.lddkv + kv_head * c->hd;
        join(c, ada_at(c->d.type, c->d.dk, to), c->ws->dk + from);
        join(c, ada_at(c->d.type, c->d.dv, to), c->ws->dv + from);
    }
}

static void backward_task(void *ctx, size_t item, int worker) {
    const struct call *c = ctx;
    const ada_attn *a = c->a;
    ada_attn_room *r = &c->ws->rooms[worker];
    size_t tasks = (size_t)a->c->heads / c->together, tree = (size_t)c->tree + item / tasks;
    size_t first = item % tasks * c->together;
    const ada_segment *segs = a->reading.memory ? &a->reading.memory->segs[tree] : a->pack->segs;
    if (a->reading.memory) clear_shares(c, r, segs, first);
    for (int32_t g = c->ws->root[tree]; g >= 0; g = c->ws->next[g]) {
        if (!a->reading.memory) clear_shares(c, r, &segs[g], first);
        for (int32_t q = c->ws->from[g]; q < c->ws->from[g + 1]; q += QUERIES) {
            int32_t left = c->ws->from[g + 1] - q;
            backward_run(c, r, &(struct run){g, q, left < QUERIES ? left : QUERIES}, first, c->together);
        }
    }
    if (c->together < c->group) return;
    size_t share = share_of(c, r, first), head = first / c->group;
    if (a->reading.memory) join_keys(c, head, share, (size_t)segs->start, (size_t)segs->len);
    for (int32_t g = c->ws->root[tree]; g >= 0 && !a->reading.memory; g = c->ws->next[g])
        join_keys(c, head, share, (size_t)segs[g].start, (size_t)segs[g].len);
}

/* Where the heads of a kv head were tasks of their own. */
static void join_rows(void *ctx, size_t item, int worker) {
    const struct call *c = ctx;
    size_t at = item * QUERIES, left = c->joined - at;
    (void)worker;
    for (size_t h = 0; h < (size_t)c->a->c->kv_heads; h++)
        join_keys(c, h, h * c->group * c->keys * c->w, c->first_joined + at, left < QUERIES ? left : QUERIES);
}

/* The trees of a part; returns how many. */
static size_t trees_of(struct call *c) {
    const ada_attn_ws *ws = c->ws;
    int32_t end = c->part->seg + c->part->segs, past;
    if (c->a->reading.memory) {
        c->tree = c->part->read;
        return (size_t)c->part->reads;
    }
    while (c->tree < ws->ntrees && ws->root[c->tree] < c->part->seg) c->tree++;
    for (past = c->tree; past < ws->ntrees && ws->root[past] < end;) past++;
    return (size_t)(past - c->tree);
}

void ada_attn_backward(const ada_attn *a, ada_attn_ws *ws, const ada_part *part, const void *dout,
                       const ada_attn_grad *grad) {
    struct call c = call_of(a, ws, part);
    c.dout = dout, c.d = *grad;
    size_t trees = trees_of(&c), team = (size_t)ada_par_threads();
    size_t enough = ada_par_inside() ? 1 : 2 * team;
    bool room = c.group * QUERIES <= TILE_ROWS;
    c.together = room && trees * (size_t)a->c->kv_heads >= enough ? c.group : 1;
    c.reuse = c.together == c.group && team * c.group <= (size_t)a->c->heads;
    ada_par_for(trees * (size_t)a->c->heads / c.together, backward_task, &c);
    if (c.together == c.group) return;
    const ada_pack *of = a->reading.memory ? a->reading.memory : a->pack;
    int32_t first = a->reading.memory ? part->read : part->seg;
    c.first_joined = (size_t)of->segs[first].start;
    c.joined = (size_t)ada_pack_rows(of, first, a->reading.memory ? part->reads : part->segs);
    ada_par_for((c.joined + QUERIES - 1) / QUERIES, join_rows, &c);
}
