/* SPDX-License-Identifier: Apache-2.0
 * Qwen3: Llama with norms of each head's queries and keys, and a head size of its own.
 * Owns: how its config.json and GGUF keys fill the switches, and its tensors' names. */
#include "engine/arch_read.h"

static ada_status from_hf(ada_config *c, const ada_json *j) {
    c->kv_heads = 32;
    c->head_dim = 128;
    c->max_positions = 32768;
    ADA_TRY(ada_read_hf(c, j));
    ADA_TRY(ada_read_hf_window_from(c, j));
    c->gated = true;
    c->qk_norm = true;
    c->qkv_bias = c->out_bias = ada_json_bool(ada_json_get(j, "attention_bias"), false);
    ADA_TRY(ada_read_act(&c->act, ada_json_str(ada_json_get(j, "hidden_act"), NULL), "silu"));
    return ada_read_hf_layers(c, j);
}

static ada_status from_gguf(ada_config *c, const ada_json *j) {
    c->gated = true;
    c->act = ADA_ACT_SILU;
    c->qk_norm = true;
    return ada_read_gguf(c, j);
}

static const ada_arch_row rows[] = {
    ADA_LLAMA_ROWS(0),
    {ADA_P_FINAL_NORM, "model.norm.weight", "output_norm.weight", 0, 0},
    {ADA_P_ATTN_NORM, ADA_HF "input_layernorm.weight", ADA_GG "attn_norm.weight", 0, 0},
    {ADA_P_Q_NORM, ADA_HF "self_attn.q_norm.weight", ADA_GG "attn_q_norm.weight", 0, 0},
    {ADA_P_K_NORM, ADA_HF "self_attn.k_norm.weight", ADA_GG "attn_k_norm.weight", 0, 0},
    {ADA_P_FFN_NORM, ADA_HF "post_attention_layernorm.weight", ADA_GG "ffn_norm.weight", 0, 0},
    {ADA_P_COUNT, NULL, NULL, 0, 0},
};

const struct ada_arch ada_arch_qwen3 = {
    .name = "qwen3",
    .hf_types = (const char *const[]){"qwen3", NULL},
    .gguf_names = (const char *const[]){"qwen3", NULL},
    .hf_prefix = "model.",
    .from_hf = from_hf,
    .from_gguf = from_gguf,
    .rows = rows,
};
