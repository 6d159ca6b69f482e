/* SPDX-License-Identifier: Apache-2.0
 * T5 1.0 and 1.1, FLAN-T5, UL2, ByT5, mT5 and UMT5: an encoder and a decoder whose positions are biases of
 * attention by bucketed distance; UMT5 has biases in each layer, the others in the first alone.
 * Owns: how their config.json and GGUF keys fill the switches, and their tensors' names. A row may be of any
 * length: what their configurations call a length is what they were trained on. */
#include "engine/arch_read.h"
#include <math.h>
#include <string.h>

static void always(ada_config *c) {
    c->max_positions = 1 << 20;
    c->pos = ADA_POS_BUCKETS;
    c->attn_scale = 1;
    c->buckets = 32, c->max_distance = 128;
}

/* "relu", "gated-gelu", "gated-silu", …; T5's gelu is the one by tanh. */
static ada_status read_ffn(ada_config *c, const char *name) {
    static const char gate[] = "gated-";
    c->gated = !strncmp(name, gate, sizeof gate - 1);
    if (!strcmp(name, "gated-gelu")) return c->act = ADA_ACT_GELU_TANH, ADA_OK;
    return ada_read_act(&c->act, c->gated ? name + sizeof gate - 1 : name, NULL);
}

static ada_status from_hf(ada_config *c, const ada_json *j) {
    const char *type = ada_json_str(ada_json_get(j, "model_type"), "");
    if (!ada_json_bool(ada_json_get(j, "is_encoder_decoder"), true))
        return ada_fail(ADA_EUNSUPPORTED, "an encoder without its decoder is not there yet");
    always(c);
    ADA_TRY(ada_read_int(j, "d_model", &c->d));
    ADA_TRY(ada_read_int(j, "num_layers", &c->encoder_layers));
    c->layers = c->encoder_layers;
    ADA_TRY(ada_read_int_or(j, "num_decoder_layers", &c->layers));
    ADA_TRY(ada_read_int(j, "num_heads", &c->heads));
    ADA_TRY(ada_read_int(j, "d_kv", &c->head_dim));
    ADA_TRY(ada_read_int(j, "d_ff", &c->ffn));
    ADA_TRY(ada_read_int(j, "vocab_size", &c->vocab));
    ADA_TRY(ada_read_int_or(j, "relative_attention_num_buckets", &c->buckets));
    ADA_TRY(ada_read_int_or(j, "relative_attention_max_distance", &c->max_distance));
    ADA_TRY(ada_read_int_or(j, "decoder_start_token_id", &c->start_token));
    c->kv_heads = c->heads;
    c->norm_eps = (float)ada_json_num(ada_json_get(j, "layer_norm_epsilon"), 1e-6);
    c->bucket_layers = !strcmp(type, "umt5");
    bool tied = ada_json_bool(ada_json_get(j, "tie_word_embeddings"), !!strcmp(type, "mt5"));
    if (tied && strcmp(type, "mt5") && c->d > 0) c->logit_scale = 1 / sqrtf((float)c->d);
    return read_ffn(c, ada_json_str(ada_json_get(j, "feed_forward_proj"),
                                    strcmp(type, "t5") ? "gated-gelu" : "relu"));
}

static ada_status from_gguf(ada_config *c, const ada_json *j) {
    ADA_TRY(ada_read_gguf(c, j));
    always(c);
    c->encoder_layers = c->layers;
    ADA_TRY(ada_read_gguf_int_or(j, "decoder_block_count", &c->layers));
    ADA_TRY(ada_read_gguf_int_or(j, "attention.relative_buckets_count", &c->buckets));
    return ada_read_gguf_int_or(j, "decoder_start_token_id", &c->start_token);
}

/* The keys say neither which ffn it is nor whether the head is scaled. T5 1.0 has no gate, and its head is
 * the table; 1.1 and what came after it have both a gate and a head of their own. */
static void from_gguf_tensors(ada_config *c, struct ada_claims *cl) {
    c->gated = cl->at[ADA_P_GATE][0].t != NULL;
    c->act = c->gated ? ADA_ACT_GELU_TANH : ADA_ACT_RELU;
    c->logit_scale = c->tie ? 1 / sqrtf((float)c->d) : 0;
    c->bucket_layers = c->layers > 1 && cl->at[ADA_P_BUCKETS][1].t;
}

/* What both have: `b` begins the names of a block, `f` is the number of its ffn's sublayer. */
#define BLOCK(b, f, g)                                                                                       \
    {ADA_P_ATTN_NORM, b "layer.0.layer_norm.weight", g "attn_norm.weight", 0, 0},                            \
        {ADA_P_Q, b "layer.0.SelfAttention.q.weight", g "attn_q.weight", 0, 0},                              \
        {ADA_P_K, b "layer.0.SelfAttention.k.weight", g "attn_k.weight", 0, 0},                              \
        {ADA_P_V, b "layer.0.SelfAttention.v.weight", g "attn_v.weight", 0, 0},                              \
        {ADA_P_O, b "layer.0.SelfAttention.o.weight", g "attn_o.weight", 0, 0},                              \
        {ADA_P_BUCKETS, b "layer.0.SelfAttention.relative_attention_bias.weight", g "attn_rel_b.weight", 0,  \
         0},                                                                                                 \
        {ADA_P_FFN_NORM, b f "layer_norm.weight", g "ffn_norm.weight", 0, 0},                                \
        {ADA_P_GATE, b f "DenseReluDense.wi_0.weight", g "ffn_gate.weight", 0, 0},                           \
        {ADA_P_UP, b f "DenseReluDense.wi_1.weight", g "ffn_up.weight", 0, 0},                               \
        {ADA_P_UP, b f "DenseReluDense.wi.weight", NULL, 0, 0}, {                                            \
        ADA_P_DOWN, b f "DenseReluDense.wo.weight", g "ffn_down.weight", 0, 0                                \
    }

static const ada_arch_row encoder[] = {
    {ADA_P_FINAL_NORM, "encoder.final_layer_norm.weight", "enc.output_norm.weight", 0, 0},
    BLOCK("encoder.block.%d.", "layer.1.", "enc.blk.%d."),
    {ADA_P_COUNT, NULL, NULL, 0, 0},
};

#define HF "decoder.block.%d.layer.1."
#define GG "dec.blk.%d.cross_attn_"
static const ada_arch_row rows[] = {
    {ADA_P_EMBED, "shared.weight", "token_embd.weight", 0, 0},
    {ADA_P_HEAD, "lm_head.weight", "output.weight", 0, 0},
    {ADA_P_FINAL_NORM, "decoder.final_layer_norm.weight", "dec.output_norm.weight", 0, 0},
    BLOCK("decoder.block.%d.", "layer.2.", "dec.blk.%d."),
    {ADA_P_CROSS_NORM, HF "layer_norm.weight", GG "norm.weight", 0, 0},
    {ADA_P_CROSS_Q, HF "EncDecAttention.q.weight", GG "q.weight", 0, 0},
    {ADA_P_CROSS_K, HF "EncDecAttention.k.weight", GG "k.weight", 0, 0},
    {ADA_P_CROSS_V, HF "EncDecAttention.v.weight", GG "v.weight", 0, 0},
    {ADA_P_CROSS_O, HF "EncDecAttention.o.weight", GG "o.weight", 0, 0},
    {ADA_P_IGNORED, HF "EncDecAttention.relative_attention_bias.weight", GG "rel_b.weight", 0, 0},
    {ADA_P_IGNORED, "encoder.embed_tokens.weight", NULL, 0, 0}, /* copies of the table */
    {ADA_P_IGNORED, "decoder.embed_tokens.weight", NULL, 0, 0},
    {ADA_P_COUNT, NULL, NULL, 0, 0},
};

const struct ada_arch ada_arch_t5 = {
    .name = "t5",
    .hf_types = (const char *const[]){"t5", "mt5", "umt5", NULL},
    .gguf_names = (const char *const[]){"t5", NULL},
    .from_hf = from_hf,
    .from_gguf = from_gguf,
    .from_gguf_tensors = from_gguf_tensors,
    .rows = rows,
    .encoder = encoder,
};
