/* SPDX-License-Identifier: Apache-2.0
 * Llama 1, 2 and 3, SmolLM2, TinyLlama; Mistral, which is Llama with a sliding window.
 * Owns: how their config.json and GGUF keys fill the switches, and their tensors' names.
 * GGUF stores the query and key rows of a head with rotary pairs side by side, and llama3 rope scaling as a
 * tensor. */
#include "engine/arch.h"
#include <math.h>
#include <string.h>

static ada_status need_int(const ada_json *j, const char *key, int32_t *out) {
    const ada_json *v = ada_json_get(j, key);
    if (!ada_json_is_int(v))
        return ada_fail(ADA_EFORMAT, "model configuration has no whole number '%s'", key);
    int64_t n = ada_json_int(v, 0);
    if (n < 0 || n > INT32_MAX)
        return ada_fail(ADA_EFORMAT, "model configuration has '%s' out of range", key);
    *out = (int32_t)n;
    return ADA_OK;
}

/* Absent or null: what *out holds already. */
static ada_status may_int(const ada_json *j, const char *key, int32_t *out) {
    return ada_json_is_null(ada_json_get(j, key)) ? ADA_OK : need_int(j, key, out);
}

static ada_status act_of(ada_act_kind *act, const char *name) {
    static const struct {
        const char *name;
        ada_act_kind act;
    } known[] = {{"silu", ADA_ACT_SILU},           {"swish", ADA_ACT_SILU},
                 {"gelu", ADA_ACT_GELU_ERF},       {"gelu_new", ADA_ACT_GELU_TANH},
                 {"gelu_fast", ADA_ACT_GELU_TANH}, {"gelu_pytorch_tanh", ADA_ACT_GELU_TANH},
                 {"relu", ADA_ACT_RELU},           {"quick_gelu", ADA_ACT_GELU_QUICK}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(known[i].name, name)) return *act = known[i].act, ADA_OK;
    return ada_fail(ADA_EUNSUPPORTED, "activation '%s' is not known here", name);
}

static double yarn_mscale(double factor, double m) {
    return factor <= 1 ? 1 : 0.1 * m * log(factor) + 1;
}

/* `r`: "rope_scaling" (rope_theta beside it) or the newer "rope_parameters" (rope_theta inside). */
static ada_status rope_from_hf(ada_config *c, const ada_json *config) {
    const ada_json *r = ada_json_get(config, "rope_parameters");
    if (ada_json_is_null(r)) r = ada_json_get(config, "rope_scaling");
    c->rope_theta =
        ada_json_num(ada_json_get(r, "rope_theta"), ada_json_num(ada_json_get(config, "rope_theta"), 10000));
    const char *kind =
        ada_json_str(ada_json_get(r, "rope_type"), ada_json_str(ada_json_get(r, "type"), "default"));
    if (ada_json_num(ada_json_get(r, "partial_rotary_factor"), 1) != 1)
        return ada_fail(ADA_EUNSUPPORTED, "partial rotary dimensions are not there yet");
    if (!strcmp(kind, "default")) return ADA_OK;
    c->rope_factor = ada_json_num(ada_json_get(r, "factor"), 0);
    c->rope_original = ada_json_num(ada_json_get(r, "original_max_position_embeddings"), c->max_positions);
    if (!strcmp(kind, "linear")) {
        c->rope_scaling = ADA_ROPE_LINEAR;
    } else if (!strcmp(kind, "dynamic")) {
        c->rope_scaling = ADA_ROPE_DYNAMIC;
    } else if (!strcmp(kind, "llama3")) {
        c->rope_scaling = ADA_ROPE_LLAMA3;
        c->rope_low = ada_json_num(ada_json_get(r, "low_freq_factor"), 0);
        c->rope_high = ada_json_num(ada_json_get(r, "high_freq_factor"), 0);
    } else if (!strcmp(kind, "yarn")) {
        if (!ada_json_bool(ada_json_get(r, "truncate"), true))
            return ada_fail(ADA_EUNSUPPORTED, "yarn rope scaling without truncation is not there yet");
        c->rope_scaling = ADA_ROPE_YARN;
        c->rope_low = ada_json_num(ada_json_get(r, "beta_slow"), 1);
        c->rope_high = ada_json_num(ada_json_get(r, "beta_fast"), 32);
        double m = ada_json_num(ada_json_get(r, "mscale"), 0),
               all = ada_json_num(ada_json_get(r, "mscale_all_dim"), 0);
        double scale = m != 0 && all != 0 ? yarn_mscale(c->rope_factor, m) / yarn_mscale(c->rope_factor, all)
                                          : yarn_mscale(c->rope_factor, 1);
        c->rope_mscale = (float)ada_json_num(ada_json_get(r, "attention_factor"), scale);
    } else {
        return ada_fail(ADA_EUNSUPPORTED, "rope scaling '%s' is not known here", kind);
    }
    return ADA_OK;
}

static ada_status from_hf(ada_config *c, const ada_json *j) {
    if (!ada_json_is_null(ada_json_get(j, "quantization_config")))
        return ada_fail(ADA_EUNSUPPORTED,
                        "weights quantised by another library ('quantization_config') cannot be read");
    bool mistral = !strcmp(ada_json_str(ada_json_get(j, "model_type"), ""), "mistral");
    ADA_TRY(need_int(j, "hidden_size", &c->d));
    ADA_TRY(need_int(j, "num_hidden_layers", &c->layers));
    ADA_TRY(need_int(j, "num_attention_heads", &c->heads));
    ADA_TRY(need_int(j, "intermediate_size", &c->ffn));
    ADA_TRY(need_int(j, "vocab_size", &c->vocab));
    c->kv_heads = mistral && !ada_json_get(j, "num_key_value_heads") ? 8 : c->heads;
    ADA_TRY(may_int(j, "num_key_value_heads", &c->kv_heads));
    c->head_dim = c->heads ? c->d / c->heads : 0;
    ADA_TRY(may_int(j, "head_dim", &c->head_dim));
    c->max_positions = mistral ? 131072 : 2048;
    ADA_TRY(may_int(j, "max_position_embeddings", &c->max_positions));
    if (mistral) {
        /* An absent key means 4096 to transformers, null means none. */
        c->window = ada_json_get(j, "sliding_window") ? 0 : 4096;
        ADA_TRY(may_int(j, "sliding_window", &c->window));
    }
    c->norm_eps = (float)ada_json_num(ada_json_get(j, "rms_norm_eps"), 1e-6);
    c->gated = true;
    ADA_TRY(act_of(&c->act, ada_json_str(ada_json_get(j, "hidden_act"), "silu")));
    c->qkv_bias = c->out_bias = ada_json_bool(ada_json_get(j, "attention_bias"), false);
    c->ffn_bias = ada_json_bool(ada_json_get(j, "mlp_bias"), false);
    c->tie = ada_json_bool(ada_json_get(j, "tie_word_embeddings"), false);
    return rope_from_hf(c, j);
}

static ada_status from_gguf(ada_config *c, const ada_json *j) {
    if (ada_json_int(ada_json_get(j, "llama.expert_count"), 0) > 0)
        return ada_fail(ADA_EUNSUPPORTED, "mixtures of experts are not there yet");
    ADA_TRY(need_int(j, "llama.embedding_length", &c->d));
    ADA_TRY(need_int(j, "llama.block_count", &c->layers));
    ADA_TRY(need_int(j, "llama.attention.head_count", &c->heads));
    ADA_TRY(need_int(j, "llama.feed_forward_length", &c->ffn));
    ADA_TRY(need_int(j, "llama.context_length", &c->max_positions));
    c->vocab = (int32_t)ada_json_len(ada_json_get(j, "tokenizer.ggml.tokens"));
    ADA_TRY(may_int(j, "llama.vocab_size", &c->vocab));
    c->kv_heads = c->heads;
    ADA_TRY(may_int(j, "llama.attention.head_count_kv", &c->kv_heads));
    c->head_dim = c->heads ? c->d / c->heads : 0;
    int32_t v_dim;
    ADA_TRY(may_int(j, "llama.attention.key_length", &c->head_dim));
    v_dim = c->head_dim;
    ADA_TRY(may_int(j, "llama.attention.value_length", &v_dim));
    int32_t rope_dims = c->head_dim;
    ADA_TRY(may_int(j, "llama.rope.dimension_count", &rope_dims));
    if (v_dim != c->head_dim || rope_dims != c->head_dim)
        return ada_fail(ADA_EUNSUPPORTED,
                        "keys of %d, values of %d and rotary dimensions of %d must be one size", c->head_dim,
                        v_dim, rope_dims);
    ADA_TRY(may_int(j, "llama.attention.sliding_window", &c->window));
    c->norm_eps = (float)ada_json_num(ada_json_get(j, "llama.attention.layer_norm_rms_epsilon"), 1e-5);
    c->logit_scale = (float)ada_json_num(ada_json_get(j, "llama.logit_scale"), 0);
    c->gated = true;
    c->act = ADA_ACT_SILU;
    c->rope_theta = ada_json_num(ada_json_get(j, "llama.rope.freq_base"), 10000);
    const char *kind = ada_json_str(ada_json_get(j, "llama.rope.scaling.type"), "none");
    if (!strcmp(kind, "none")) return ADA_OK;
    c->rope_factor = ada_json_num(ada_json_get(j, "llama.rope.scaling.factor"), 0);
    c->rope_original =
        ada_json_num(ada_json_get(j, "llama.rope.scaling.original_context_length"), c->max_positions);
    if (!strcmp(kind, "linear")) {
        c->rope_scaling = ADA_ROPE_LINEAR;
    } else if (!strcmp(kind, "yarn")) {
        c->rope_scaling = ADA_ROPE_YARN;
        c->rope_low = 1, c->rope_high = 32;
        c->rope_mscale = (float)(ada_json_num(ada_json_get(j, "llama.rope.scaling.attn_factor"), 1) *
                                 yarn_mscale(c->rope_factor, 1));
    } else {
        return ada_fail(ADA_EUNSUPPORTED, "rope scaling '%s' is not known here", kind);
    }
    return ADA_OK;
}

#define HF "model.layers.%d."
#define GG "blk.%d."
static const ada_arch_row rows[] = {
    {ADA_P_EMBED, "model.embed_tokens.weight", "token_embd.weight", 0, 0},
    {ADA_P_FINAL_NORM, "model.norm.weight", "output_norm.weight", 0, 0},
    {ADA_P_HEAD, "lm_head.weight", "output.weight", 0, 0},
    {ADA_P_ROPE_FACTORS, NULL, "rope_freqs.weight", 0, 0},
    {ADA_P_ATTN_NORM, HF "input_layernorm.weight", GG "attn_norm.weight", 0, 0},
    {ADA_P_Q, HF "self_attn.q_proj.weight", GG "attn_q.weight", 0, ADA_ROW_UNPERMUTE},
    {ADA_P_K, HF "self_attn.k_proj.weight", GG "attn_k.weight", 0, ADA_ROW_UNPERMUTE},
    {ADA_P_V, HF "self_attn.v_proj.weight", GG "attn_v.weight", 0, 0},
    {ADA_P_O, HF "self_attn.o_proj.weight", GG "attn_output.weight", 0, 0},
    {ADA_P_Q_B, HF "self_attn.q_proj.bias", GG "attn_q.bias", 0, ADA_ROW_UNPERMUTE},
    {ADA_P_K_B, HF "self_attn.k_proj.bias", GG "attn_k.bias", 0, ADA_ROW_UNPERMUTE},
    {ADA_P_V_B, HF "self_attn.v_proj.bias", GG "attn_v.bias", 0, 0},
    {ADA_P_O_B, HF "self_attn.o_proj.bias", GG "attn_output.bias", 0, 0},
    {ADA_P_FFN_NORM, HF "post_attention_layernorm.weight", GG "ffn_norm.weight", 0, 0},
    {ADA_P_GATE, HF "mlp.gate_proj.weight", GG "ffn_gate.weight", 0, 0},
    {ADA_P_UP, HF "mlp.up_proj.weight", GG "ffn_up.weight", 0, 0},
    {ADA_P_DOWN, HF "mlp.down_proj.weight", GG "ffn_down.weight", 0, 0},
    {ADA_P_GATE_B, HF "mlp.gate_proj.bias", GG "ffn_gate.bias", 0, 0},
    {ADA_P_UP_B, HF "mlp.up_proj.bias", GG "ffn_up.bias", 0, 0},
    {ADA_P_DOWN_B, HF "mlp.down_proj.bias", GG "ffn_down.bias", 0, 0},
    {ADA_P_IGNORED, HF "self_attn.rotary_emb.inv_freq", GG "attn_rot_embd.weight", 0, 0},
    {ADA_P_COUNT, NULL, NULL, 0, 0},
};

const struct ada_arch ada_arch_llama = {
    .name = "llama",
    .hf_types = (const char *const[]){"llama", "mistral", NULL},
    .gguf_names = (const char *const[]){"llama", NULL},
    .from_hf = from_hf,
    .from_gguf = from_gguf,
    .rows = rows,
};
