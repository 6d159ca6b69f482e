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

#endif
