/* SPDX-License-Identifier: Apache-2.0
 * Attention over a pack, forward and backward, in blocks with online softmax: no [T, T] matrix in memory.
 * A row sees itself and what precedes it on its path (its segment, its ancestors, the cache slot before the
 * root), and of that the last c.window positions only, where its layer is windowed; with the mask FULL, all
 * of its segment; of a full segment, all of it and of what precedes it. With a memory it sees all of one
 * segment of that instead. Invariant: a row's result has the same bits in any pack that gives it the same
 * path and memory. Must not know: layers, rope. */
#ifndef ADA_ENGINE_ATTENTION_H
#define ADA_ENGINE_ATTENTION_H

#include "engine/config.h"
#include "engine/pack.h"
#include "io/arena.h"
#include "simd/types.h"

struct ada_kv;
typedef struct ada_attn_ws ada_attn_ws;
/* Scratch of the calls between surveys, for packs up to these sizes: see ada_pass_layout. A memory counts as
 * a pack. */
ada_status ada_attn_layout(ada_attn_ws **ws, ada_arena *a, const ada_config *c, ada_dtype type, int32_t max_T,
                           int32_t max_segs, int32_t max_path, int32_t max_out, bool train) ADA_MUST_USE;

/* A frozen bias by query head and distance, the key's position less the query's, added to q·k before the
 * scale. Distances beyond ±span count as ±span; a head's numbers reach ADA_BIAS_MARGIN further on both sides,
 * so that a block's are one run. */
enum { ADA_BIAS_MARGIN = 160 };
typedef struct ada_attn_bias {
    const float *at; /* [heads, ada_attn_bias_width(span)] */
    int32_t span;
} ada_attn_bias;
static inline size_t ada_attn_bias_width(int32_t span) {
    return 2 * ((size_t)span + ADA_BIAS_MARGIN) + 1;
}

typedef struct ada_attn {
    const ada_config *c;
    ada_dtype type; /* of q, k, v, o and of the cache */
    const ada_pack *pack;
    ada_reading reading; /* no memory: rows see their own pack. Else k and v are of its rows, T of them */
    const ada_attn_bias *bias; /* or NULL */
    const int32_t *rows;       /* [m] the pack's rows that q and o stand for, ascending; NULL: all T */
    int32_t m;
    const void *q; /* [m, heads·head_dim], rotated; ldq elements from row to row */
    size_t ldq;
    const void *k, *v; /* [T, kv_heads·head_dim], k rotated; both ldkv apart */
    size_t ldkv;
    void *o;           /* [m, heads·head_dim], packed: written by forward, read by backward */
    float *lse;        /* [m, heads] log-sum-exp of the scaled scores: likewise; NULL: not kept */
    struct ada_kv *kv; /* cache or NULL: rows of segments with a slot are appended to it first, at `layer` */
    int32_t layer;
} ada_attn;

/* What calls have in common until the next survey: their pack, memory and rows. Each layer's k and v are
 * written before its first call and stay until then: blocks of them are kept. */
void ada_attn_survey(const ada_attn *a, ada_attn_ws *ws);
/* After a survey; part: of the pack. Parts may run in any order and beside each other, each by its layers. */
void ada_attn_forward(const ada_attn *a, ada_attn_ws *ws, const ada_part *part);
/* Gradients at q, k and v, all overwritten; of `type`, which is F32 or the call's. */
typedef struct ada_attn_grad {
    ada_dtype type;
    void *dq;      /* [m, heads·head_dim] */
    void *dk, *dv; /* [T, kv_heads·head_dim] */
    size_t lddq, lddkv;
} ada_attn_grad;
/* dout [m, heads·head_dim] of a->type, packed. Parts as in forward. */
void ada_attn_backward(const ada_attn *a, ada_attn_ws *ws, const ada_part *part, const void *dout,
                       const ada_attn_grad *grad);

#endif
