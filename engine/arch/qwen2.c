/* SPDX-License-Identifier: Apache-2.0
 * Qwen2 and Qwen2.5: Llama with biases of query, key and value.
 * Owns: how their config.json and GGUF keys fill the switches, and their tensors' names. */
#include "engine/arch_read.h"

static ada_status from_hf(ada_config *c, const ada_json *j) {
    c->kv_heads = 32;
    c->max_positions = 32768;
    ADA_TRY(ada_read_hf(c, j));
    ADA_TRY(ada_read_hf_window_from(c, j));
    c->gated = true;
    c->qkv_bias = true;
    ADA_TRY(ada_read_act(&c->act, ada_json_str(ada_json_get(j, "hidden_act"), NULL), "silu"));
    return ada_read_hf_layers(c, j);
}

static ada_status from_gguf(ada_config *c, const ada_json *j) {
    c->gated = true;
    c->act = ADA_ACT_SILU;
    return ada_read_gguf(c, j);
}

static const ada_arch_row rows[] = {
    ADA_LLAMA_ROWS(0),
    {ADA_P_FINAL_NORM, "model.norm.weight", "output_norm.weight", 0, 0},
    {ADA_P_ATTN_NORM, ADA_HF "input_layernorm.weight", ADA_GG "attn_norm.weight", 0, 0},
    {ADA_P_FFN_NORM, ADA_HF "post_attention_layernorm.weight", ADA_GG "ffn_norm.weight", 0, 0},
    {ADA_P_COUNT, NULL, NULL, 0, 0},
};

const struct ada_arch ada_arch_qwen2 = {
    .name = "qwen2",
    .hf_types = (const char *const[]){"qwen2", NULL},
    .gguf_names = (const char *const[]){"qwen2", NULL},
    .hf_prefix = "model.",
    .from_hf = from_hf,
    .from_gguf = from_gguf,
    .rows = rows,
};
