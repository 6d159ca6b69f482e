/* SPDX-License-Identifier: Apache-2.0
 * From token paths to packs: no padding, shared beginnings stored once; paths with different sources share
 * nothing, and each source is stored once; those with a prefix that sees itself share all of it or nothing.
 * Must not know: rows, losses or adapters. Invariant: a pack depends on the token paths alone, never on who
 * asked or on the number of threads. */
#ifndef ADA_ENGINE_BATCH_H
#define ADA_ENGINE_BATCH_H

#include "engine/pack.h"
#include "io/arena.h"

typedef struct ada_item { /* a token path to be packed */
    const int32_t *ids; /* [n] inputs (the last token of an example is never an input: nothing follows it) */
    const uint8_t *wanted; /* [n] 1 where the hidden state is wanted */
    int32_t n;
    int32_t owner;         /* caller's index; breaks ties */
    const int32_t *source; /* [nsource] what the encoder reads for it, where there is one */
    int32_t nsource;
    int32_t prefix; /* its first ids, n at most, that see each other in both directions; 0: none */
} ada_item;

/* Sorts so that equal prefixes meet; needs no memory. */
void ada_items_sort(ada_item *items, int32_t n);
/* Tokens that `b` adds to a pack right after `a` (NULL: nothing yet), and to its encoder's. */
int32_t ada_item_cost(const ada_item *a, const ada_item *b);
int32_t ada_item_source_cost(const ada_item *a, const ada_item *b);

/* A pack under construction and its buffers; reused from step to step. */
typedef struct ada_packer ada_packer;
ada_status ada_packer_layout(ada_packer **pk, ada_arena *a, int32_t max_T, int32_t max_items,
                             int32_t max_sources) ADA_MUST_USE; /* rows of the encoder's pack, or 0 */
/* Packs sorted items, sharing their prefixes. The items must outlive the pack. EINTERNAL past the layout. */
ada_status ada_packer_build(ada_packer *pk, const ada_item *items, int32_t nitems) ADA_MUST_USE;
const ada_pack *ada_packer_pack(const ada_packer *pk);
/* Index in pack->out of an item's position; -1 if nobody wants it. Shared positions share a row. */
int32_t ada_packer_out(const ada_packer *pk, int32_t item, int32_t position);
/* The encoder's pack: a segment for each source, all rows wanted. Which of them each segment of the pack
 * reads. */
const ada_pack *ada_packer_sources(const ada_packer *pk);
const int32_t *ada_packer_reads(const ada_packer *pk);
int32_t ada_packer_max_segs(int32_t max_items); /* for ada_pass_layout */

#endif
