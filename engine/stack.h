/* SPDX-License-Identifier: Apache-2.0
 * The layer loop, forward and backward. Owns: the order of operations of a transformer block and what is
 * saved between the two. Must not know: where the rows came from, or what is done with the result. Frozen
 * means g == NULL: no weight gradient is computed, no input is kept for one. */
#ifndef ADA_ENGINE_STACK_H
#define ADA_ENGINE_STACK_H

#include "engine/arch.h"
#include "engine/attention.h"
#include "engine/kv.h"
#include "engine/linear.h"
#include "engine/pack.h"

typedef struct ada_layer {
    float *attn_norm, *attn_norm_b; /* [d]; biases may be NULL */
    float *ffn_norm, *ffn_norm_b;
    float *attn_post, *ffn_post; /* [d], with c.post_norms */
    float *q_norm, *k_norm;      /* [head_dim], with c.qk_norm */
    ada_linear
        qkv; /* [(heads + 2·kv_heads)·head_dim, d], rows q then k then v; of the last layer: k then v */
    ada_linear q; /* the last layer's query alone, [heads·head_dim, d], since only the wanted rows need it */
    ada_linear o; /* [d, heads·head_dim] */
    ada_linear up;     /* [2·ffn, d], gate rows then up rows; without a gate [ffn, d] */
    ada_linear down;   /* [d, ffn] */
    float *cross_norm; /* [d], and the rest of a sublayer that reads an encoder's rows, where there is one */
    ada_linear cross_q, cross_kv, cross_o; /* [heads·head_dim, d], [2·kv_heads·head_dim, d], [d, …] */
} ada_layer;

typedef struct ada_stack {
    ada_config c;
    ada_dtype type;      /* of matmul inputs, weights and kept activations: ADA_BF16 or ADA_F32 */
    ada_layer *layers;   /* [c.layers] */
    float *inv_freq;     /* [rotary dimensions / 2] after scaling; NULL: no rotary positions */
    float *inv_local;    /* of windowed layers, where theirs differ */
    float rope_mscale;   /* 1 unless yarn */
    float *positions;    /* [max_positions, d] added to the rows, with ADA_POS_LEARNED */
    ada_attn_bias *bias; /* [c.layers] with ADA_POS_BUCKETS, or NULL */
    float *memory_norm;  /* [d] the norm at an encoder's end, with c.encoder_layers */
} ada_stack;

/* What a pass needs, laid out once in an arena: workspace, and what backward reads (train). `max_T` rows at
 * most, of which at most max_out reach the last layer's end. Run on a counting arena first to learn the
 * bytes. */
typedef struct ada_pass ada_pass;
ada_status ada_pass_layout(ada_pass **p, ada_arena *a, const ada_stack *s, int32_t max_T, int32_t max_segs,
                           int32_t max_path, int32_t max_out, bool train) ADA_MUST_USE;

/* Passes of packs like this one come again and again. */
void ada_pass_expect(ada_pass *ws, const ada_pack *p);
/* The memory that a decoder's passes read from now on: cross.h. */
struct ada_memory;
void ada_pass_read(ada_pass *ws, struct ada_memory *m);
/* Nothing before the stack is trained: where it reads a memory, backward ends once the first layer's gradient
 * is there, and leaves none at its input. */
void ada_pass_end_early(ada_pass *ws);

/* What forward passes put aside from now on: to [nout, d] gets the stream at pack->out rows after `layer`
 * layers. After all of them it is h, and stays as it was. The list outlives the passes. */
typedef struct ada_tap {
    int32_t layer;
    float *to;
} ada_tap;
void ada_pass_tap(ada_pass *ws, const ada_tap *taps, int32_t n);

/* x [T, d] f32: input rows, consumed. h [nout, d]: the residual after the last layer at pack->out rows,
 * before the final norm. kv may be NULL; with it, each segment whose path has a cache slot reads and extends
 * that slot (a childless root-level segment only). No allocation, no failure once laid out. */
void ada_stack_forward(const ada_stack *s, const ada_pack *p, ada_pass *ws, ada_kv *kv, float *x, float *h);
/* After a train forward with the same pack: dh [nout, d] → dx [T, d] (overwritten). */
void ada_stack_backward(const ada_stack *s, const ada_pack *p, ada_pass *ws, const float *dh, float *dx);
/* Multiply-adds ×2 of one pass: 2 per weight and row, attention over visible keys only; back: of
 * backward-data. */
double ada_stack_flops(const ada_stack *s, const ada_pack *p, bool back);
/* Of these, what backward has not to do where it ends early. */
double ada_stack_flops_spared(const ada_stack *s, const ada_pack *p);

#endif
