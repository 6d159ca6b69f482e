/* SPDX-License-Identifier: Apache-2.0
 * Packing token paths into a forest of segments. Owns: the order of segments and the map from a path's
 * position to its row. Must not know: what the rows are for. Invariant: segments are the maximal shared runs
 * of the sorted paths, parents first, tiling [0, T). */
#include "engine/batch.h"
#include <string.h>

static int compare_sources(const ada_item *a, const ada_item *b) {
    if (a->nsource != b->nsource) return a->nsource < b->nsource ? -1 : 1;
    if (a->source == b->source) return 0;
    return memcmp(a->source, b->source, (size_t)a->nsource * sizeof *a->source);
}

static int compare_items(const ada_item *a, const ada_item *b) {
    int source = compare_sources(a, b);
    if (source) return source;
    if (a->prefix != b->prefix) return a->prefix < b->prefix ? -1 : 1;
    int32_t n = a->n < b->n ? a->n : b->n;
    for (int32_t i = 0; i < n; i++)
        if (a->ids[i] != b->ids[i]) return a->ids[i] < b->ids[i] ? -1 : 1;
    if (a->n != b->n) return a->n < b->n ? -1 : 1;
    return a->owner < b->owner ? -1 : a->owner > b->owner;
}

static void sift(ada_item *v, int32_t i, int32_t n) {
    ada_item x = v[i];
    for (int32_t k; (k = 2 * i + 1) < n; i = k) {
        if (k + 1 < n && compare_items(&v[k], &v[k + 1]) < 0) k++;
        if (compare_items(&x, &v[k]) >= 0) break;
        v[i] = v[k];
    }
    v[i] = x;
}

/* Heap sort: qsort of the C library may allocate. */
void ada_items_sort(ada_item *v, int32_t n) {
    for (int32_t i = n / 2 - 1; i >= 0; i--) sift(v, i, n);
    for (int32_t end = n - 1; end > 0; end--) {
        ada_item x = v[0];
        v[0] = v[end];
        v[end] = x;
        sift(v, 0, end);
    }
}

/* Tokens that two paths have in common; a part of a prefix is none. */
static int32_t shared(const ada_item *a, const ada_item *b) {
    int32_t n = a->n < b->n ? a->n : b->n, i = 0;
    if (a->prefix != b->prefix) return 0;
    while (i < n && a->ids[i] == b->ids[i]) i++;
    return i < a->prefix ? 0 : i;
}

int32_t ada_item_cost(const ada_item *a, const ada_item *b) {
    return a && !compare_sources(a, b) ? b->n - shared(a, b) : b->n;
}

int32_t ada_item_source_cost(const ada_item *a, const ada_item *b) {
    return a && !compare_sources(a, b) ? 0 : b->nsource;
}

typedef struct range { /* items [lo, hi) that agree on their first `depth` tokens, under segment `parent` */
    int32_t lo, hi, depth, parent;
} range;

struct ada_packer {
    int32_t max_T, max_items, max_segs, max_sources;
    const ada_item *items;
    int32_t *ids, *out, *row_out; /* [max_T]; row_out: index in out, or -1 */
    ada_segment *segs;            /* [max_segs] */
    int32_t *leaf;                /* [max_items] the last segment of an item's path, -1 for an empty one */
    range *stack;                 /* [max_segs] */
    ada_pack pack;
    int32_t *source_ids, *source_out; /* [max_sources] */
    ada_segment *source_segs;         /* [max_items] */
    int32_t *reads;                   /* [max_segs] */
    ada_pack sources;
};

/* A tree's segments end at a branch or at an item's end, one of them at a prefix's: at most 2 a path. */
int32_t ada_packer_max_segs(int32_t max_items) {
    return 2 * max_items;
}

static ada_status layout_sources(ada_packer *p, ada_arena *a) {
    size_t n = (size_t)p->max_sources;
    if (n == 0) return ADA_OK;
    ADA_TRY(ada_arena_take(a, &p->source_ids, n, sizeof *p->source_ids));
    ADA_TRY(ada_arena_take(a, &p->source_out, n, sizeof *p->source_out));
    ADA_TRY(ada_arena_take(a, &p->source_segs, (size_t)p->max_items, sizeof *p->source_segs));
    return ada_arena_take(a, &p->reads, (size_t)p->max_segs, sizeof *p->reads);
}

ada_status ada_packer_layout(ada_packer **out, ada_arena *a, int32_t max_T, int32_t max_items,
                             int32_t max_sources) {
    ada_packer p = {.max_T = max_T,
                    .max_items = max_items,
                    .max_segs = ada_packer_max_segs(max_items),
                    .max_sources = max_sources};
    size_t t = (size_t)max_T, s = (size_t)p.max_segs;
    ADA_TRY(ada_arena_take(a, out, 1, sizeof **out));
    ADA_TRY(ada_arena_take(a, &p.ids, t, sizeof *p.ids));
    ADA_TRY(ada_arena_take(a, &p.out, t, sizeof *p.out));
    ADA_TRY(ada_arena_take(a, &p.row_out, t, sizeof *p.row_out));
    ADA_TRY(ada_arena_take(a, &p.segs, s, sizeof *p.segs));
    ADA_TRY(ada_arena_take(a, &p.leaf, (size_t)max_items, sizeof *p.leaf));
    ADA_TRY(ada_arena_take(a, &p.stack, s + 1, sizeof *p.stack));
    ADA_TRY(layout_sources(&p, a));
    if (!a->counting) **out = p;
    return ADA_OK;
}

/* Tokens from … to-1 of an item as a segment behind *parent, and *parent becomes that. */
static ada_status grow(ada_packer *p, const ada_item *v, int32_t from, int32_t to, bool full,
                       int32_t *parent) {
    ada_pack *k = &p->pack;
    if (k->nsegs == p->max_segs || to - from > p->max_T - k->T)
        return ada_fail(ADA_EINTERNAL, "a pack outgrew its %d rows", p->max_T);
    memcpy(p->ids + k->T, v->ids + from, (size_t)(to - from) * sizeof *p->ids);
    p->segs[k->nsegs] = (ada_segment){
        .start = k->T, .len = to - from, .parent = *parent, .pos = from, .cache = -1, .full = full};
    if (p->reads) p->reads[k->nsegs] = p->sources.nsegs - 1;
    k->T += to - from;
    *parent = k->nsegs++;
    return ADA_OK;
}

/* Emits the segment of what a range shares, then pushes its branches so that they come off in order. */
static ada_status split(ada_packer *p, range r, int32_t *top) {
    const ada_item *v = p->items;
    int32_t end = shared(&v[r.lo], &v[r.hi - 1]), from = r.depth,
            parent = r.parent; /* sorted: the first and last share least */
    if (v[r.lo].prefix > from) {
        ADA_TRY(grow(p, &v[r.lo], from, v[r.lo].prefix, true, &parent));
        from = v[r.lo].prefix;
    }
    if (end > from) ADA_TRY(grow(p, &v[r.lo], from, end, false, &parent));
    int32_t lo = r.lo;
    for (; lo < r.hi && v[lo].n == end; lo++) p->leaf[lo] = parent;
    for (int32_t hi = r.hi, at; hi > lo; hi = at) {
        for (at = hi - 1; at > lo && v[at - 1].ids[end] == v[hi - 1].ids[end];) at--;
        p->stack[(*top)++] = (range){at, hi, end, parent};
    }
    return ADA_OK;
}

static int32_t row_of(const ada_packer *p, int32_t item, int32_t position) {
    int32_t s = p->leaf[item];
    while (p->segs[s].pos > position) s = p->segs[s].parent;
    return p->segs[s].start + position - p->segs[s].pos;
}

/* Puts an item's source behind the others. */
static ada_status add_source(ada_packer *p, const ada_item *v) {
    ada_pack *k = &p->sources;
    if (v->nsource > p->max_sources - k->T)
        return ada_fail(ADA_EINTERNAL, "an encoder's pack outgrew its %d rows", p->max_sources);
    p->source_segs[k->nsegs++] = (ada_segment){.start = k->T, .len = v->nsource, .parent = -1, .cache = -1};
    memcpy(p->source_ids + k->T, v->source, (size_t)v->nsource * sizeof *p->source_ids);
    for (int32_t i = 0; i < v->nsource; i++) p->source_out[k->T + i] = k->T + i;
    k->T = k->nout = k->T + v->nsource;
    return ADA_OK;
}

/* All items of one source, and the trees they make: each of those that share something. */
static ada_status build_trees(ada_packer *p, int32_t lo, int32_t hi) {
    const ada_item *v = p->items;
    if (p->max_sources) ADA_TRY(add_source(p, &v[lo]));
    for (int32_t end, top = 0; lo < hi; lo = end) {
        for (end = lo + 1; end < hi && shared(&v[lo], &v[end]);) end++;
        p->stack[top++] = (range){lo, end, 0, -1};
        while (top > 0) ADA_TRY(split(p, p->stack[--top], &top));
    }
    return ADA_OK;
}

ada_status ada_packer_build(ada_packer *p, const ada_item *items, int32_t n) {
    if (n > p->max_items)
        return ada_fail(ADA_EINTERNAL, "a pack of %d paths was laid out for %d", n, p->max_items);
    p->items = items;
    p->pack = (ada_pack){.ids = p->ids, .segs = p->segs, .out = p->out};
    p->sources = (ada_pack){.ids = p->source_ids, .segs = p->source_segs, .out = p->source_out};
    for (int32_t lo = 0, hi; lo < n; lo = hi) {
        for (hi = lo + 1; hi < n && !compare_sources(&items[lo], &items[hi]);) hi++;
        ADA_TRY(build_trees(p, lo, hi));
    }
    memset(p->row_out, 0, (size_t)p->pack.T * sizeof *p->row_out);
    for (int32_t i = 0; i < n; i++)
        for (int32_t k = 0; k < items[i].n; k++)
            if (items[i].wanted[k]) p->row_out[row_of(p, i, k)] = 1;
    for (int32_t t = 0; t < p->pack.T; t++) {
        bool wanted = p->row_out[t] != 0;
        p->row_out[t] = wanted ? p->pack.nout : -1;
        if (wanted) p->out[p->pack.nout++] = t;
    }
    return ADA_OK;
}

const ada_pack *ada_packer_pack(const ada_packer *p) {
    return &p->pack;
}

const ada_pack *ada_packer_sources(const ada_packer *p) {
    return &p->sources;
}

const int32_t *ada_packer_reads(const ada_packer *p) {
    return p->reads;
}

int32_t ada_packer_out(const ada_packer *p, int32_t item, int32_t position) {
    return p->row_out[row_of(p, item, position)];
}
