/* SPDX-License-Identifier: Apache-2.0
 * Llama 1, 2 and 3, SmolLM2, TinyLlama; Mistral, which is Llama with a sliding window.
 * Owns: how their config.json and GGUF keys fill the switches, and their tensors' names.
 * GGUF stores the query and key rows of a head with rotary pairs side by side, and llama3 rope scaling as a
 * tensor. */
#include "engine/arch_read.h"
#include <string.h>

static ada_status from_hf(ada_config *c, const ada_json *j) {
    bool mistral = !strcmp(ada_json_str(ada_json_get(j, "model_type"), ""), "mistral");
    c->kv_heads = mistral && !ada_json_get(j, "num_key_value_heads") ? 8 : 0;
    c->max_positions = mistral ? 131072 : 2048;
    ADA_TRY(ada_read_hf(c, j));
    if (mistral) {
        /* An absent key means 4096 to transformers, null means none. */
        c->window = ada_json_get(j, "sliding_window") ? 0 : 4096;
        ADA_TRY(ada_read_int_or(j, "sliding_window", &c->window));
    }
    c->gated = true;
    ADA_TRY(ada_read_act(&c->act, ada_json_str(ada_json_get(j, "hidden_act"), NULL), "silu"));
    c->qkv_bias = c->out_bias = ada_json_bool(ada_json_get(j, "attention_bias"), false);
    c->ffn_bias = ada_json_bool(ada_json_get(j, "mlp_bias"), false);
    return ADA_OK;
}

static ada_status from_gguf(ada_config *c, const ada_json *j) {
    c->gated = true;
    c->act = ADA_ACT_SILU;
    return ada_read_gguf(c, j);
}

static const ada_arch_row rows[] = {
    ADA_LLAMA_ROWS(ADA_ROW_UNPERMUTE),
    {ADA_P_FINAL_NORM, "model.norm.weight", "output_norm.weight", 0, 0},
    {ADA_P_ROPE_FACTORS, NULL, "rope_freqs.weight", 0, 0},
    {ADA_P_ATTN_NORM, ADA_HF "input_layernorm.weight", ADA_GG "attn_norm.weight", 0, 0},
    {ADA_P_FFN_NORM, ADA_HF "post_attention_layernorm.weight", ADA_GG "ffn_norm.weight", 0, 0},
    {ADA_P_GATE_B, ADA_HF "mlp.gate_proj.bias", ADA_GG "ffn_gate.bias", 0, 0},
    {ADA_P_UP_B, ADA_HF "mlp.up_proj.bias", ADA_GG "ffn_up.bias", 0, 0},
    {ADA_P_DOWN_B, ADA_HF "mlp.down_proj.bias", ADA_GG "ffn_down.bias", 0, 0},
    {ADA_P_COUNT, NULL, NULL, 0, 0},
};

const struct ada_arch ada_arch_llama = {
    .name = "llama",
    .hf_types = (const char *const[]){"llama", "mistral", NULL},
    .gguf_names = (const char *const[]){"llama", NULL},
    .hf_prefix = "model.",
    .from_hf = from_hf,
    .from_gguf = from_gguf,
    .rows = rows,
};
