/* SPDX-License-Identifier: Apache-2.0
 * GPT-NeoX (Pythia): LayerNorm, attention and ffn from the same input, a part of each head rotated.
 * Owns: how its config.json and GGUF keys fill the switches, and its tensors' names. Hugging Face files hold
 * query, key and value of a head side by side; GGUF files, all queries before all keys. */
#include "engine/arch_read.h"

static void always(ada_config *c) {
    c->norm = ADA_NORM_LAYER;
    c->qkv_bias = c->out_bias = c->ffn_bias = true;
}

static ada_status from_hf(ada_config *c, const ada_json *j) {
    c->max_positions = 2048;
    ADA_TRY(ada_read_hf(c, j));
    always(c);
    if (ada_json_is_null(ada_json_get(j, "rope_parameters"))) { /* as files before transformers 5 say it */
        c->rope_theta = ada_json_num(ada_json_get(j, "rotary_emb_base"), 10000);
        c->rope_dims = (int32_t)(c->head_dim * ada_json_num(ada_json_get(j, "rotary_pct"), 0.25));
    }
    c->kv_heads = c->heads;
    c->parallel = ada_json_bool(ada_json_get(j, "use_parallel_residual"), true);
    c->qkv_bias = c->out_bias = ada_json_bool(ada_json_get(j, "attention_bias"), true);
    c->norm_eps = (float)ada_json_num(ada_json_get(j, "layer_norm_eps"), 1e-5);
    return ada_read_act(&c->act, ada_json_str(ada_json_get(j, "hidden_act"), NULL), "gelu");
}

static ada_status from_gguf(ada_config *c, const ada_json *j) {
    always(c);
    c->act = ADA_ACT_GELU_ERF;
    c->parallel = ada_json_bool(ada_read_gguf_key(j, "use_parallel_residual"), true);
    return ada_read_gguf(c, j);
}

#define HF "gpt_neox.layers.%d."
#define GG "blk.%d."
static const ada_arch_row rows[] = {
    {ADA_P_EMBED, "gpt_neox.embed_in.weight", "token_embd.weight", 0, 0},
    {ADA_P_FINAL_NORM, "gpt_neox.final_layer_norm.weight", "output_norm.weight", 0, 0},
    {ADA_P_FINAL_NORM_B, "gpt_neox.final_layer_norm.bias", "output_norm.bias", 0, 0},
    {ADA_P_HEAD, "embed_out.weight", "output.weight", 0, 0},
    {ADA_P_ATTN_NORM, HF "input_layernorm.weight", GG "attn_norm.weight", 0, 0},
    {ADA_P_ATTN_NORM_B, HF "input_layernorm.bias", GG "attn_norm.bias", 0, 0},
    {ADA_P_QKV, HF "attention.query_key_value.weight", GG "attn_qkv.weight", ADA_ROW_BY_HEAD, 0},
    {ADA_P_QKV_B, HF "attention.query_key_value.bias", GG "attn_qkv.bias", ADA_ROW_BY_HEAD, 0},
    {ADA_P_O, HF "attention.dense.weight", GG "attn_output.weight", 0, 0},
    {ADA_P_O_B, HF "attention.dense.bias", GG "attn_output.bias", 0, 0},
    {ADA_P_FFN_NORM, HF "post_attention_layernorm.weight", GG "ffn_norm.weight", 0, 0},
    {ADA_P_FFN_NORM_B, HF "post_attention_layernorm.bias", GG "ffn_norm.bias", 0, 0},
    {ADA_P_UP, HF "mlp.dense_h_to_4h.weight", GG "ffn_up.weight", 0, 0},
    {ADA_P_UP_B, HF "mlp.dense_h_to_4h.bias", GG "ffn_up.bias", 0, 0},
    {ADA_P_DOWN, HF "mlp.dense_4h_to_h.weight", GG "ffn_down.weight", 0, 0},
    {ADA_P_DOWN_B, HF "mlp.dense_4h_to_h.bias", GG "ffn_down.bias", 0, 0},
    {ADA_P_IGNORED, HF "attention.bias", NULL, 0, 0}, /* the causal mask */
    {ADA_P_IGNORED, HF "attention.masked_bias", NULL, 0, 0},
    {ADA_P_IGNORED, HF "attention.rotary_emb.inv_freq", NULL, 0, 0},
    {ADA_P_COUNT, NULL, NULL, 0, 0},
};

const struct ada_arch ada_arch_gptneox = {
    .name = "gptneox",
    .hf_types = (const char *const[]){"gpt_neox", NULL},
    .gguf_names = (const char *const[]){"gptneox", NULL},
    .hf_prefix = "gpt_neox.",
    .from_hf = from_hf,
    .from_gguf = from_gguf,
    .rows = rows,
};
