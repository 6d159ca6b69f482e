/* SPDX-License-Identifier: Apache-2.0
 * The vocabulary of switches: what an architecture can be. Architectures differ by these values, never by
 * name. Zero is the plainest choice everywhere. Read by model, stack, attention, ffn, head; written by
 * arch/x.c alone. */
#ifndef ADA_ENGINE_CONFIG_H
#define ADA_ENGINE_CONFIG_H

#include "io/status.h"
#include <stdbool.h>
#include <stdint.h>

typedef enum { ADA_NORM_RMS = 0, ADA_NORM_LAYER } ada_norm_kind;
typedef enum {
    ADA_ACT_SILU = 0,
    ADA_ACT_GELU_TANH,
    ADA_ACT_GELU_ERF,
    ADA_ACT_GELU_QUICK,
    ADA_ACT_RELU
} ada_act_kind;
typedef enum { ADA_POS_ROPE = 0, ADA_POS_LEARNED, ADA_POS_BUCKETS, ADA_POS_NONE } ada_pos_kind;
typedef enum { ADA_ROPE_HALF = 0, ADA_ROPE_INTERLEAVE } ada_rope_pairs;
typedef enum {
    ADA_ROPE_PLAIN = 0,
    ADA_ROPE_LINEAR,
    ADA_ROPE_LLAMA3,
    ADA_ROPE_DYNAMIC,
    ADA_ROPE_YARN
} ada_rope_scaling;
/* dynamic: plain up to max_positions, which is as far as a row's numbers can be had without regard to its
 * batch */
/* prefix: a row's prompt sees itself in both directions, what follows is causal (PaliGemma) */
typedef enum { ADA_MASK_CAUSAL = 0, ADA_MASK_FULL, ADA_MASK_PREFIX } ada_mask_kind;

/* How a tower's positions serve another size of image: bicubic, without or with antialiasing, or each patch
 * the entry in whose share of the side it begins. */
typedef enum { ADA_RESIZE_BICUBIC = 0, ADA_RESIZE_ANTIALIAS, ADA_RESIZE_BUCKETS } ada_resize_kind;

enum { ADA_MAX_HEAD_DIM = 1 << 10 };

typedef struct ada_config {
    int32_t d, layers, heads, kv_heads, head_dim, ffn, vocab;
    int32_t max_positions;
    ada_norm_kind norm;
    float norm_eps;
    bool post_norms; /* what attention and ffn add is normed, too (Gemma 2) */
    bool parallel;   /* attention and ffn from the same input (NeoX) */
    ada_act_kind act;
    bool gated; /* ffn: act(gate) · up */
    ada_pos_kind pos;
    ada_rope_pairs rope_pairs;
    double rope_theta;
    double rope_local; /* theta of windowed layers, which then are not scaled (Gemma 3); 0: as the others */
    int32_t rope_dims; /* the first of head_dim; 0: all */
    ada_rope_scaling rope_scaling;
    double rope_factor, rope_original; /* of any scaling; the length before it */
    double rope_low, rope_high;        /* llama3: low/high_freq_factor; yarn: beta_slow, beta_fast */
    float rope_mscale;                 /* yarn: factor on cos and sin; 0: 1 */
    ada_mask_kind mask;
    int32_t window;       /* sliding window; 0 = none */
    int32_t window_every; /* of so many layers the last sees all; 0: none does */
    int32_t window_from;  /* the layers before this one see all */
    bool qk_norm;         /* heads of queries and keys are normed before they are rotated */
    bool qkv_bias, out_bias, ffn_bias, head_bias;
    float attn_scale;                  /* 0: 1/sqrt(head_dim) */
    float attn_cap, logit_cap;         /* soft caps; 0 = none */
    float embed_scale;                 /* 0: 1 */
    float residual_scale, logit_scale; /* 0: 1 */
    bool tie;                          /* the head is the embedding table */
    /* A vision tower (patch_h > 0): its rows are a class token, registers, then patches row by row. */
    int32_t image_h, image_w, patch_h, patch_w, channels, registers;
    bool class_token, patch_bias;
    bool pre_norm;         /* rows are normed before the first layer */
    bool last_raw;         /* the last hidden state is not normed (CLIP) */
    bool layer_scale;      /* what attention and ffn add is scaled by column */
    bool square_positions; /* the table is a square's, whatever the image's shape (DINOv2) */
    ada_resize_kind resize;
    int32_t buckets, max_distance; /* of relative positions, with ADA_POS_BUCKETS; the distance from which on
                                      they are one */
    bool bucket_layers;            /* each layer has its own biases; else all have the first's */
    int32_t encoder_layers;        /* 0: no encoder. Else this is the decoder, which reads its rows */
    int32_t start_token;           /* a decoder's first input */
} ada_config;

static inline bool ada_config_windowed(const ada_config *c, int32_t layer) {
    return c->window && layer >= c->window_from &&
           (!c->window_every || layer % c->window_every != c->window_every - 1);
}
static inline int32_t ada_config_rope_dims(const ada_config *c) {
    return c->pos != ADA_POS_ROPE ? 0 : c->rope_dims ? c->rope_dims : c->head_dim;
}
/* Rows of an ffn's first product: gate, then up; or up alone. */
static inline int32_t ada_config_up_rows(const ada_config *c) {
    return c->gated ? 2 * c->ffn : c->ffn;
}

/* The encoder that belongs to a decoder: its own number of layers, the whole segment in sight. */
static inline ada_config ada_config_encoder(const ada_config *c) {
    ada_config e = *c;
    e.layers = c->encoder_layers, e.encoder_layers = 0, e.mask = ADA_MASK_FULL;
    return e;
}

/* EFORMAT when a size makes no sense; EUNSUPPORTED for a switch that no code here reads yet: a switch is
 * honoured or refused, never ignored. */
ada_status ada_config_check(const ada_config *c) ADA_MUST_USE;

#endif
