/* SPDX-License-Identifier: Apache-2.0
 * Gemma 1, also the language model of PaliGemma: Llama with embeddings times √d and a gate of gelu.
 * Owns: how its config.json and GGUF keys fill the switches, and its tensors' names. Hugging Face files hold
 * norms less 1; GGUF files hold them whole. */
#include "engine/arch_read.h"
#include <math.h>
#include <string.h>

static void always(ada_config *c) {
    c->gated = true;
    c->embed_scale = sqrtf((float)c->d);
}

static ada_status from_hf(ada_config *c, const ada_json *j) {
    c->kv_heads = 16;
    c->head_dim = 256;
    c->max_positions = 8192;
    c->tie = true;
    ADA_TRY(ada_read_hf(c, j));
    always(c);
    if (ada_json_bool(ada_json_get(j, "use_bidirectional_attention"), false)) c->mask = ADA_MASK_PREFIX;
    c->qkv_bias = c->out_bias = ada_json_bool(ada_json_get(j, "attention_bias"), false);
    /* the first files say "gelu" and mean its approximation */
    const char *act = ada_json_str(ada_json_get(j, "hidden_act"), "gelu");
    return ada_read_act(&c->act, strcmp(act, "gelu") ? act : NULL, "gelu_pytorch_tanh");
}

static ada_status from_gguf(ada_config *c, const ada_json *j) {
    ADA_TRY(ada_read_gguf(c, j));
    always(c);
    c->act = ADA_ACT_GELU_TANH;
    return ADA_OK;
}

static const ada_arch_row rows[] = {
    ADA_LLAMA_ROWS(0),
    {ADA_P_FINAL_NORM, "model.norm.weight", "output_norm.weight", ADA_ROW_PLUS_ONE, 0},
    {ADA_P_ATTN_NORM, ADA_HF "input_layernorm.weight", ADA_GG "attn_norm.weight", ADA_ROW_PLUS_ONE, 0},
    {ADA_P_FFN_NORM, ADA_HF "post_attention_layernorm.weight", ADA_GG "ffn_norm.weight", ADA_ROW_PLUS_ONE, 0},
    {ADA_P_COUNT, NULL, NULL, 0, 0},
};

const struct ada_arch ada_arch_gemma = {
    .name = "gemma",
    .hf_types = (const char *const[]){"gemma", NULL},
    .gguf_names = (const char *const[]){"gemma", NULL},
    .hf_prefix = "model.",
    .from_hf = from_hf,
    .from_gguf = from_gguf,
    .rows = rows,
};
