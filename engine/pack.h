/* SPDX-License-Identifier: Apache-2.0
 * The shape in which tokens meet the transformer: a forest of segments packed without padding.
 * A segment continues its parent (a shared prompt), or a cache, or starts a row. Choices of one prompt are
 * children of the prompt; rows that begin alike share a segment. Positions count along the path from the
 * root. Invariant: a parent comes before its children; segments tile [0, T) in order. */
#ifndef ADA_ENGINE_PACK_H
#define ADA_ENGINE_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ada_segment {
    int32_t start, len; /* rows of the pack */
    int32_t parent;     /* segment index, or -1 */
    int32_t pos;        /* position of its first token on its path */
    int32_t cache;      /* KV cache slot that precedes the root of its path (pos > 0 there), or -1 */
    int32_t adapter;    /* bank index, 0 when there is one; -1 = base without adapter */
    bool full;          /* its rows see all of it and all before it, whatever the window: a prefix */
} ada_segment;

typedef struct ada_pack {
    int32_t T, nsegs, nout;
    const int32_t *ids;      /* [T] token ids */
    const ada_segment *segs; /* [nsegs] */
    const int32_t *out;      /* [nout] rows whose final hidden state is wanted, ascending: only these run
                                through the last layer's query, ffn, final norm and head */
} ada_pack;

/* Segments of a pack that need none of its others and are needed by none: whole trees that follow each
 * other. */
typedef struct ada_part {
    int32_t seg, segs;   /* the first; how many */
    int32_t row, rows;   /* of the pack */
    int32_t out, outs;   /* of its wanted rows */
    int32_t read, reads; /* segments of a memory that no other part reads, where there is one */
} ada_part;
/* The rows of a pack's segments seg … seg+n-1. */
static inline int32_t ada_pack_rows(const ada_pack *p, int32_t seg, int32_t n) {
    return n ? p->segs[seg + n - 1].start + p->segs[seg + n - 1].len - p->segs[seg].start : 0;
}

/* What a pack reads: the memory's pack, and the segment of it that each of the pack's segments reads. */
typedef struct ada_reading {
    const ada_pack *memory; /* or NULL */
    const int32_t *reads;   /* [segments of the pack] */
} ada_reading;
ada_part ada_pack_whole(const ada_pack *p, const ada_reading *r);
/* Cuts a pack into parts, as many for each of `team` threads and nearly as many rows; more parts than one for
 * each while these have `least` rows or more. part [p->nsegs]. Returns how many; 0 where trees, or what they
 * read, do not allow it. */
int32_t ada_pack_cut(const ada_pack *p, const ada_reading *r, int32_t team, int32_t least, ada_part *part);

#endif
