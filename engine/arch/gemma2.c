/* SPDX-License-Identifier: Apache-2.0
 * Gemma 2: embeddings times √d, norms of what each sublayer adds, soft caps of scores and logits, a sliding
 * window in every other layer.
 * Owns: how its config.json and GGUF keys fill the switches, and its tensors' names. Hugging Face files hold
 * norms less 1; GGUF files hold them whole. */
#include "engine/arch_read.h"
#include <math.h>

static void always(ada_config *c) {
    c->gated = true;
    c->post_norms = true;
    c->window_every = 2;
    c->embed_scale = sqrtf((float)c->d);
}

static ada_status from_hf(ada_config *c, const ada_json *j) {
    c->kv_heads = 4;
    c->head_dim = 256;
    c->max_positions = 8192;
    c->tie = true;
    ADA_TRY(ada_read_hf(c, j));
    always(c);
    if (ada_json_bool(ada_json_get(j, "use_bidirectional_attention"), false)) c->mask = ADA_MASK_PREFIX;
    c->window = ada_json_get(j, "sliding_window") ? 0 : 4096;
    ADA_TRY(ada_read_int_or(j, "sliding_window", &c->window));
    c->qkv_bias = c->out_bias = ada_json_bool(ada_json_get(j, "attention_bias"), false);
    c->attn_scale = (float)(1 / sqrt(ada_json_num(ada_json_get(j, "query_pre_attn_scalar"), 256)));
    const ada_json *attn = ada_json_get(j, "attn_logit_softcapping"),
                   *final = ada_json_get(j, "final_logit_softcapping");
    c->attn_cap = (float)ada_json_num(attn, attn ? 0 : 50);
    c->logit_cap = (float)ada_json_num(final, final ? 0 : 30);
    ADA_TRY(
        ada_read_act(&c->act, ada_json_str(ada_json_get(j, "hidden_activation"), NULL), "gelu_pytorch_tanh"));
    return ada_read_hf_layers(c, j);
}

static ada_status from_gguf(ada_config *c, const ada_json *j) {
    enum { LAYERS_OF_27B = 46 };
    ADA_TRY(ada_read_gguf(c, j));
    always(c);
    c->act = ADA_ACT_GELU_TANH;
    c->attn_cap = (float)ada_json_num(ada_read_gguf_key(j, "attn_logit_softcapping"), 50);
    c->logit_cap = (float)ada_json_num(ada_read_gguf_key(j, "final_logit_softcapping"), 30);
    /* GGUF has no key for it: llama.cpp knows the one size that scales by d / heads */
    if (c->layers == LAYERS_OF_27B) c->attn_scale = (float)(1 / sqrt((double)c->d / c->heads));
    return ADA_OK;
}

static const ada_arch_row rows[] = {
    ADA_GEMMA_ROWS,
    {ADA_P_COUNT, NULL, NULL, 0, 0},
};

const struct ada_arch ada_arch_gemma2 = {
    .name = "gemma2",
    .hf_types = (const char *const[]){"gemma2", NULL},
    .gguf_names = (const char *const[]){"gemma2", NULL},
    .hf_prefix = "model.",
    .from_hf = from_hf,
    .from_gguf = from_gguf,
    .rows = rows,
};
