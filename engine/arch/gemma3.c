/* SPDX-License-Identifier: Apache-2.0
 * Gemma 3, its text model: Gemma 2 with norms of each head's queries and keys, five windowed layers to one
 * that sees all, and rotary positions of their own in the windowed ones. Owns: how its config.json and GGUF
 * keys fill the switches, and its tensors' names. */
#include "engine/arch_read.h"
#include <math.h>
#include <string.h>

static void always(ada_config *c) {
    c->gated = true;
    c->post_norms = true;
    c->qk_norm = true;
    c->window_every = 6;
    c->embed_scale = sqrtf((float)c->d);
    c->rope_local = 10000;
}

/* The newest files hold the rotary positions of both kinds of layers side by side. */
static ada_status rope_from_hf(ada_config *c, const ada_json *j) {
    const ada_json *both = ada_json_get(j, "rope_parameters"), *full = ada_json_get(both, "full_attention");
    if (!ada_json_is_null(full)) {
        const ada_json *local = ada_json_get(both, "sliding_attention");
        if (strcmp(ada_json_str(ada_json_get(local, "rope_type"), "default"), "default"))
            return ada_fail(ADA_EUNSUPPORTED, "scaled rotary positions of windowed layers are not there yet");
        c->rope_local = ada_json_num(ada_json_get(local, "rope_theta"), c->rope_local);
        ADA_TRY(ada_read_hf_rope(c, j, full));
    }
    c->rope_local = ada_json_num(ada_json_get(j, "rope_local_base_freq"), c->rope_local);
    if (ada_json_is_null(full) && ada_json_is_null(ada_json_get(j, "rope_theta"))) c->rope_theta = 1e6;
    return ADA_OK;
}

static ada_status from_hf(ada_config *c, const ada_json *j) {
    c->kv_heads = 4;
    c->head_dim = 256;
    c->max_positions = 131072;
    c->tie = true;
    ADA_TRY(ada_read_hf(c, j));
    always(c);
    ADA_TRY(rope_from_hf(c, j));
    ADA_TRY(ada_read_int_or(j, "sliding_window_pattern", &c->window_every));
    ADA_TRY(ada_read_int_or(j, "_sliding_window_pattern", &c->window_every));
    c->window = ada_json_get(j, "sliding_window") ? 0 : 4096;
    ADA_TRY(ada_read_int_or(j, "sliding_window", &c->window));
    if (ada_json_bool(ada_json_get(j, "use_bidirectional_attention"), false))
        return ada_fail(ADA_EUNSUPPORTED, "bidirectional attention of Gemma 3 is not there yet");
    c->qkv_bias = c->out_bias = ada_json_bool(ada_json_get(j, "attention_bias"), false);
    c->attn_scale = (float)(1 / sqrt(ada_json_num(ada_json_get(j, "query_pre_attn_scalar"), 256)));
    c->attn_cap = (float)ada_json_num(ada_json_get(j, "attn_logit_softcapping"), 0);
    c->logit_cap = (float)ada_json_num(ada_json_get(j, "final_logit_softcapping"), 0);
    ADA_TRY(
        ada_read_act(&c->act, ada_json_str(ada_json_get(j, "hidden_activation"), NULL), "gelu_pytorch_tanh"));
    return ada_read_hf_layers(c, j);
}

static ada_status from_gguf(ada_config *c, const ada_json *j) {
    enum { LAYERS_OF_27B = 62 };
    ADA_TRY(ada_read_gguf(c, j));
    always(c);
    c->act = ADA_ACT_GELU_TANH;
    if (!ada_read_gguf_key(j, "rope.freq_base")) c->rope_theta = 1e6;
    c->rope_local = ada_json_num(ada_read_gguf_key(j, "rope.freq_base_swa"), c->rope_local);
    c->logit_cap = (float)ada_json_num(ada_read_gguf_key(j, "final_logit_softcapping"), 0);
    /* GGUF has no key for it: llama.cpp knows the one size that scales by d / heads */
    if (c->layers == LAYERS_OF_27B) c->attn_scale = (float)(1 / sqrt((double)c->d / c->heads));
    return ADA_OK;
}

static const ada_arch_row rows[] = {
    ADA_GEMMA_ROWS,
    {ADA_P_Q_NORM, ADA_HF "self_attn.q_norm.weight", ADA_GG "attn_q_norm.weight", ADA_ROW_PLUS_ONE, 0},
    {ADA_P_K_NORM, ADA_HF "self_attn.k_norm.weight", ADA_GG "attn_k_norm.weight", ADA_ROW_PLUS_ONE, 0},
    {ADA_P_COUNT, NULL, NULL, 0, 0},
};

const struct ada_arch ada_arch_gemma3 = {
    .name = "gemma3",
    .hf_types = (const char *const[]){"gemma3_text", NULL},
    .gguf_names = (const char *const[]){"gemma3", NULL},
    .hf_prefix = "model.",
    .from_hf = from_hf,
    .from_gguf = from_gguf,
    .rows = rows,
};
