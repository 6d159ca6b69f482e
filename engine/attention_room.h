/* SPDX-License-Identifier: Apache-2.0
 * One thread's scratch of attention, and its products: query rows of a run against one block of keys. Two
 * forms: f32, of what was widened; and, where the processor multiplies pairs of bf16 and the model is bf16,
 * pairs, with probabilities and their gradients rounded to bf16 and every sum in f32. Must
 * not know: segments, positions, masks. Invariant: a query's result does not depend on how many stand beside
 * it, nor on keys whose probability is 0. */
#ifndef ADA_ENGINE_ATTENTION_ROOM_H
#define ADA_ENGINE_ATTENTION_ROOM_H

#include "engine/linear.h"

enum {
    ADA_KEYS = 128,                      /* keys of a block */
    ADA_QUERIES = 64,                    /* most query rows of a run */
    ADA_TILE = 32,                       /* columns of a product */
    ADA_KEYS_MOST = ADA_KEYS + ADA_TILE, /* of a path's last block, where all of its queries see it whole */
    ADA_BLOCKS = 8                       /* most blocks that a room keeps */
};

/* A block of keys and their values, as products take them: floats or pairs. */
typedef struct ada_room_keys {
    int32_t pos, n;      /* its first key; how many, 0: none yet */
    float *k, *v;        /* [ADA_KEYS_MOST, w] */
    float *kt, *vt;      /* ADA_KEYS_MOST / 16 × [head_dim, 16] turned */
    uint32_t *kth, *vth; /* ADA_KEYS_MOST / 16 × [pairs of head_dim, 16] turned */
    uint32_t *kz, *vz;   /* pairs of rows */
} ada_room_keys;

/* Whose blocks a room keeps. */
typedef struct ada_room_owner {
    uint64_t survey;
    int32_t layer, seg, head, back; /* back: whether for backward */
} ada_room_owner;

/* w: head_dim rounded up to ADA_TILE. A row is a query of one of the heads that share keys; a head's rows
 * stand together. Which of q, out, k, v are in use, floats or halves, is `pairs`. */
typedef struct ada_attn_room {
    bool pairs;
    size_t hd, w, ld;    /* ld: the current block's keys, in whole tiles */
    float *s, *dp;       /* [rows, ld] scores, then probabilities; their gradient */
    float *o;            /* [rows, w] the output, or the gradient at the queries */
    float *stat;         /* [rows, 2] */
    float *factor;       /* [rows] of what was summed before; in backward, each row's log-sum-exp */
    uint32_t (*seen)[2]; /* [rows] first and past key of the block that a row sees */
    float *q, *out;      /* queries and the gradient of their output [rows, w] */
    uint16_t *qh, *outh; /* as these, bf16 */
    uint16_t *kh, *vh;   /* [ADA_KEYS_MOST, w] a block's, until it is ready */
    uint16_t *sh, *dph;  /* as s and dp */
    uint32_t *qz, *outz; /* pairs of rows, within a head */
    uint32_t *sz, *dpz;  /* one head's, pairs of rows */
    float *wide;         /* [2, w] */
    ada_room_owner owner;
    ada_room_keys kept[ADA_BLOCKS], *b; /* the first `blocks` of them; the current one */
    int32_t blocks;
} ada_attn_room;

/* w of a room. */
size_t ada_room_width(size_t head_dim);
/* Whether a model of this type has the pairs here. */
bool ada_room_pairs(ada_dtype type);
/* For `rows` queries at once; keys: most of a path, of whose blocks as many are kept as there is room for. */
ada_status ada_room_layout(ada_attn_room *r, ada_arena *a, size_t head_dim, size_t rows, int32_t keys,
                           bool pairs, bool train) ADA_MUST_USE;

/* A row's query, and for backward the gradient of its output [head_dim]. */
void ada_room_query(ada_attn_room *r, size_t row, ada_dtype type, const void *q);
void ada_room_out(ada_attn_room *r, size_t row, ada_dtype type, const void *out);
/* output · gradient of the output */
float ada_room_dot(ada_attn_room *r, size_t row, ada_dtype type, const void *o);
/* After all rows of `heads` heads, n rows each, for backward. */
void ada_room_rows_ready(ada_attn_room *r, size_t heads, size_t n);

/* Makes the block of n keys from `pos` on the current one. False: it is not kept, and wants its keys. */
bool ada_room_block(ada_attn_room *r, const ada_room_owner *owner, int32_t pos, int32_t n);
/* Key and value `at` of the current block; then, after all of its keys. */
void ada_room_key(ada_attn_room *r, size_t at, ada_dtype type, const void *k, const void *v);
void ada_room_keys_ready(ada_attn_room *r, bool back);

/* Rows row … row+m-1, of which the first `late` see nothing of the block from ADA_TILE on; n keys.
 * s = c + q · kᵀ, c [m, keys of whole tiles] with rows ldc apart, or NULL; dp = out · vᵀ. */
void ada_room_scores(ada_attn_room *r, size_t row, size_t m, size_t late, size_t n, const float *c,
                     ptrdiff_t ldc);
void ada_room_out_scores(ada_attn_room *r, size_t row, size_t m, size_t late, size_t n);
/* What rows see of a block: all of its keys, or what r->seen says; and the factor and the soft cap of scores.
 */
typedef struct ada_room_mask {
    bool all;
    float scale, cap;
} ada_room_mask;
/* s of the first m rows become probabilities, by the greatest score so far, which moves on in r->stat; what
 * was summed before it is to be scaled by r->factor. */
void ada_room_attend(ada_attn_room *r, size_t m, size_t n, const ada_room_mask *mask);
/* s become probabilities, dp the gradients of the scores; r->stat [m] holds Σ p·dp of each row. */
void ada_room_attend_back(ada_attn_room *r, size_t row, size_t m, size_t n, const ada_room_mask *mask);
/* After that: o += probabilities · v, or =, where o is fresh. */
void ada_room_add_values(ada_attn_room *r, size_t row, size_t m, size_t late, size_t n, bool fresh);
/* One head, after ada_room_attend_back: o += gradients of the scores · k, or =; and, for keys at … at+keys-1,
 * dv [keys, w] += probabilitiesᵀ · out, dk [keys, w] += gradientsᵀ · q. The first of the two comes first. */
void ada_room_add_keys(ada_attn_room *r, size_t row, size_t m, size_t late, size_t n, bool fresh);
void ada_room_add_shares(ada_attn_room *r, size_t head, size_t row, size_t m, size_t late, size_t at,
                         size_t keys, float *dk, float *dv);

#endif
