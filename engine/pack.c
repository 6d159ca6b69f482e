/* SPDX-License-Identifier: Apache-2.0
 * Owns: where a pack can be cut so that its parts need nothing of each other. Must not know: who runs them.
 */
#include "engine/pack.h"

enum { SLACK = 64 }; /* a border may be off by a SLACK'th of a thread's rows */

ada_part ada_pack_whole(const ada_pack *p, const ada_reading *r) {
    return (ada_part){
        .segs = p->nsegs, .rows = p->T, .outs = p->nout, .reads = r->memory ? r->memory->nsegs : 0};
}

/* The first segments of trees that stand apart, and read apart, in order into part; returns how many. */
static int32_t trees(const ada_pack *p, const ada_reading *r, ada_part *part) {
    int32_t n = 0, low = p->nsegs; /* the lowest parent from here on */
    for (int32_t g = p->nsegs - 1; g >= 0; g--) {
        int32_t up = p->segs[g].parent;
        if (r->memory && g > 0 && r->reads[g - 1] > r->reads[g]) return 0;
        if (up >= 0 && up < low) low = up;
        if (up >= 0 || low < g) continue;
        if (!r->memory || g == 0 || r->reads[g - 1] < r->reads[g]) part[n++].seg = g;
    }
    for (int32_t i = 0; i < n / 2; i++) {
        int32_t g = part[i].seg;
        part[i].seg = part[n - 1 - i].seg, part[n - 1 - i].seg = g;
    }
    return n;
}

/* The tree that begins nearest to `row`, from tree `i` on. */
static int32_t nearest(const ada_pack *p, const ada_part *tree, int32_t n, int32_t i, int32_t row) {
    while (i + 1 < n && p->segs[tree[i + 1].seg].start <= row) i++;
    int32_t before = row - p->segs[tree[i].seg].start;
    return i + 1 < n && p->segs[tree[i + 1].seg].start - row < before ? i + 1 : i;
}

/* Whether all borders of `count` parts can be near where they should be; if `keep`, tree[i] becomes the first
 * tree of part i. */
static bool cut(const ada_pack *p, ada_part *tree, int32_t n, int32_t count, int32_t team, bool keep) {
    for (int32_t i = 1, at = 0; i < count; i++) {
        int32_t goal = (int32_t)((int64_t)p->T * i / count), to = nearest(p, tree, n, at, goal);
        int32_t off = p->segs[tree[to].seg].start - goal;
        if (to <= at || (off < 0 ? -off : off) > p->T / team / SLACK) return false;
        at = to;
        if (keep) tree[i] = tree[to];
    }
    return true;
}

int32_t ada_pack_cut(const ada_pack *p, const ada_reading *r, int32_t team, int32_t least, ada_part *part) {
    int32_t n = trees(p, r, part), each = p->T / team / least;
    if (each > n / team) each = n / team;
    if (each == 0 && n >= team) each = 1;
    while (each > 0 && !cut(p, part, n, each * team, team, false)) each--;
    int32_t count = each * team, out = 0;
    if (count == 0) return 0;
    (void)cut(p, part, n, count, team, true);
    for (int32_t i = 0; i < count; i++) {
        ada_part *t = &part[i];
        bool last = i + 1 == count;
        t->segs = (last ? p->nsegs : part[i + 1].seg) - t->seg;
        t->row = p->segs[t->seg].start, t->rows = ada_pack_rows(p, t->seg, t->segs);
        for (t->out = out; out < p->nout && p->out[out] < t->row + t->rows;) out++;
        t->outs = out - t->out;
        t->read = t->reads = 0;
        if (!r->memory) continue;
        t->read = i == 0 ? 0 : r->reads[t->seg];
        t->reads = (last ? r->memory->nsegs : r->reads[part[i + 1].seg]) - t->read;
    }
    return count;
}
