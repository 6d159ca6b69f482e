/* SPDX-License-Identifier: Apache-2.0
 * Owns: the spelling of what families share in config.json and in GGUF keys.
 * Must not know: tensors. Invariant: a value that is there is read or refused. */
#include "engine/arch_read.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static ada_status int_of(const ada_json *v, const char *key, int32_t *out) {
    if (!ada_json_is_int(v))
        return ada_fail(ADA_EFORMAT, "model configuration has no whole number '%s'", key);
    int64_t n = ada_json_int(v, 0);
    if (n < 0 || n > INT32_MAX)
        return ada_fail(ADA_EFORMAT, "model configuration has '%s' out of range", key);
    *out = (int32_t)n;
    return ADA_OK;
}

ada_status ada_read_int(const ada_json *j, const char *key, int32_t *out) {
    return int_of(ada_json_get(j, key), key, out);
}

ada_status ada_read_int_or(const ada_json *j, const char *key, int32_t *out) {
    return ada_json_is_null(ada_json_get(j, key)) ? ADA_OK : ada_read_int(j, key, out);
}

ada_status ada_read_act(ada_act_kind *act, const char *name, const char *fallback) {
    static const struct {
        const char *name;
        ada_act_kind act;
    } known[] = {{"silu", ADA_ACT_SILU},           {"swish", ADA_ACT_SILU},
                 {"gelu", ADA_ACT_GELU_ERF},       {"gelu_new", ADA_ACT_GELU_TANH},
                 {"gelu_fast", ADA_ACT_GELU_TANH}, {"gelu_pytorch_tanh", ADA_ACT_GELU_TANH},
                 {"relu", ADA_ACT_RELU},           {"quick_gelu", ADA_ACT_GELU_QUICK}};
    if (!name) name = fallback;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(known[i].name, name)) return *act = known[i].act, ADA_OK;
    return ada_fail(ADA_EUNSUPPORTED, "activation '%s' is not known here", name);
}

/* ---- config.json ---- */

static double yarn_mscale(double factor, double m) {
    return factor <= 1 ? 1 : 0.1 * m * log(factor) + 1;
}

ada_status ada_read_hf_rope(ada_config *c, const ada_json *config, const ada_json *r) {
    c->rope_theta =
        ada_json_num(ada_json_get(r, "rope_theta"), ada_json_num(ada_json_get(config, "rope_theta"), 10000));
    const char *kind =
        ada_json_str(ada_json_get(r, "rope_type"), ada_json_str(ada_json_get(r, "type"), "default"));
    double part = ada_json_num(ada_json_get(r, "partial_rotary_factor"),
                               ada_json_num(ada_json_get(config, "partial_rotary_factor"), 1));
    if (!(part > 0 && part <= 1))
        return ada_fail(ADA_EFORMAT, "a share of %g of the head cannot be rotated", part);
    if (part < 1) c->rope_dims = (int32_t)(c->head_dim * part);
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

ada_status ada_read_hf(ada_config *c, const ada_json *j) {
    if (!ada_json_is_null(ada_json_get(j, "quantization_config")))
        return ada_fail(ADA_EUNSUPPORTED,
                        "weights quantised by another library ('quantization_config') cannot be read");
    ADA_TRY(ada_read_int(j, "hidden_size", &c->d));
    ADA_TRY(ada_read_int(j, "num_hidden_layers", &c->layers));
    ADA_TRY(ada_read_int(j, "num_attention_heads", &c->heads));
    ADA_TRY(ada_read_int(j, "intermediate_size", &c->ffn));
    ADA_TRY(ada_read_int(j, "vocab_size", &c->vocab));
    if (!c->kv_heads || !ada_json_is_null(ada_json_get(j, "num_key_value_heads"))) c->kv_heads = c->heads;
    ADA_TRY(ada_read_int_or(j, "num_key_value_heads", &c->kv_heads));
    if (!c->head_dim && c->heads) c->head_dim = c->d / c->heads;
    ADA_TRY(ada_read_int_or(j, "head_dim", &c->head_dim));
    ADA_TRY(ada_read_int_or(j, "max_position_embeddings", &c->max_positions));
    c->norm_eps = (float)ada_json_num(ada_json_get(j, "rms_norm_eps"), 1e-6);
    c->tie = ada_json_bool(ada_json_get(j, "tie_word_embeddings"), c->tie);
    const ada_json *r = ada_json_get(j, "rope_parameters");
    if (ada_json_is_null(r)) r = ada_json_get(j, "rope_scaling");
    return ada_read_hf_rope(c, j, r);
}

ada_status ada_read_hf_window_from(ada_config *c, const ada_json *j) {
    if (!ada_json_bool(ada_json_get(j, "use_sliding_window"), false)) return ADA_OK;
    c->window = ada_json_get(j, "sliding_window") ? 0 : 4096; /* an absent key is not null */
    ADA_TRY(ada_read_int_or(j, "sliding_window", &c->window));
    c->window_from = 28;
    return ada_read_int_or(j, "max_window_layers", &c->window_from);
}

static bool layers_agree(const ada_config *c, const ada_json *kinds) {
    for (int32_t l = 0; l < c->layers; l++) {
        const char *kind = ada_json_str(ada_json_at(kinds, (size_t)l), "?");
        if (strcmp(kind, ada_config_windowed(c, l) ? "sliding_attention" : "full_attention")) return false;
    }
    return true;
}

ada_status ada_read_hf_layers(ada_config *c, const ada_json *j) {
    const ada_json *kinds = ada_json_get(j, "layer_types");
    if (ada_json_is_null(kinds)) return ADA_OK;
    if (ada_json_len(kinds) != (size_t)c->layers || c->layers > 1024)
        return ada_fail(ADA_EFORMAT, "'layer_types' has %zu entries for %d layers", ada_json_len(kinds),
                        c->layers);
    if (layers_agree(c, kinds)) return ADA_OK;
    for (c->window_from = 0; c->window_from <= c->layers; c->window_from++)
        for (c->window_every = 0; c->window_every <= c->layers; c->window_every++)
            if (layers_agree(c, kinds)) return ADA_OK;
    return ada_fail(ADA_EUNSUPPORTED, "'layer_types' follows no pattern that is known here");
}

/* ---- vision towers ---- */

void ada_read_vision_always(ada_config *c) {
    c->norm = ADA_NORM_LAYER;
    c->pos = ADA_POS_NONE;
    c->mask = ADA_MASK_FULL;
    c->out_bias = c->ffn_bias = true;
    c->kv_heads = c->heads;
    c->head_dim = c->heads ? c->d / c->heads : 0;
    int64_t rows =
        c->patch_h && c->patch_w ? (int64_t)(c->image_h / c->patch_h) * (c->image_w / c->patch_w) : 0;
    c->max_positions = rows < INT32_MAX ? (int32_t)rows + c->class_token : 0;
}

static ada_status read_sides(const ada_json *j, const char *key, int32_t *h, int32_t *w) {
    const ada_json *v = ada_json_get(j, key);
    if (ada_json_is_null(v)) return ADA_OK;
    ADA_TRY(int_of(ada_json_is_arr(v) ? ada_json_at(v, 0) : v, key, h));
    return int_of(ada_json_is_arr(v) ? ada_json_at(v, 1) : v, key, w);
}

ada_status ada_read_hf_vision(ada_config *c, const ada_json *j, const char *act) {
    ADA_TRY(ada_read_int_or(j, "hidden_size", &c->d));
    ADA_TRY(ada_read_int_or(j, "num_hidden_layers", &c->layers));
    ADA_TRY(ada_read_int_or(j, "num_attention_heads", &c->heads));
    ADA_TRY(ada_read_int_or(j, "intermediate_size", &c->ffn));
    c->channels = 3;
    ADA_TRY(ada_read_int_or(j, "num_channels", &c->channels));
    ADA_TRY(read_sides(j, "image_size", &c->image_h, &c->image_w));
    ADA_TRY(read_sides(j, "patch_size", &c->patch_h, &c->patch_w));
    if (!c->patch_h) return ada_fail(ADA_EFORMAT, "model configuration has patches of no height");
    c->norm_eps = (float)ada_json_num(ada_json_get(j, "layer_norm_eps"), (double)c->norm_eps);
    c->qkv_bias = ada_json_bool(ada_json_get(j, "qkv_bias"), true);
    ADA_TRY(ada_read_act(&c->act, ada_json_str(ada_json_get(j, "hidden_act"), NULL), act));
    ada_read_vision_always(c);
    return ada_read_int_or(j, "head_dim", &c->head_dim);
}

/* ---- GGUF ---- */

static const char *full_key(const ada_json *meta, const char *key, char full[128]) {
    snprintf(full, 128, "%s.%s", ada_json_str(ada_json_get(meta, "general.architecture"), ""), key);
    return full;
}

const ada_json *ada_read_gguf_key(const ada_json *meta, const char *key) {
    char full[128];
    return ada_json_get(meta, full_key(meta, key, full));
}

static ada_status gguf_int(const ada_json *meta, const char *key, bool need, int32_t *out) {
    char full[128];
    full_key(meta, key, full);
    return need ? ada_read_int(meta, full, out) : ada_read_int_or(meta, full, out);
}

ada_status ada_read_gguf_int_or(const ada_json *meta, const char *key, int32_t *out) {
    return gguf_int(meta, key, false, out);
}

static ada_status gguf_rope(ada_config *c, const ada_json *j) {
    int32_t dims = c->head_dim;
    ADA_TRY(gguf_int(j, "rope.dimension_count", false, &dims));
    c->rope_dims = dims == c->head_dim ? 0 : dims;
    c->rope_theta = ada_json_num(ada_read_gguf_key(j, "rope.freq_base"), 10000);
    const char *kind = ada_json_str(ada_read_gguf_key(j, "rope.scaling.type"), "none");
    if (!strcmp(kind, "none")) return ADA_OK;
    c->rope_factor = ada_json_num(ada_read_gguf_key(j, "rope.scaling.factor"), 0);
    c->rope_original =
        ada_json_num(ada_read_gguf_key(j, "rope.scaling.original_context_length"), c->max_positions);
    if (!strcmp(kind, "linear")) {
        c->rope_scaling = ADA_ROPE_LINEAR;
    } else if (!strcmp(kind, "yarn")) {
        c->rope_scaling = ADA_ROPE_YARN;
        c->rope_low = 1, c->rope_high = 32;
        c->rope_mscale = (float)(ada_json_num(ada_read_gguf_key(j, "rope.scaling.attn_factor"), 1) *
                                 yarn_mscale(c->rope_factor, 1));
    } else {
        return ada_fail(ADA_EUNSUPPORTED, "rope scaling '%s' is not known here", kind);
    }
    return ADA_OK;
}

ada_status ada_read_gguf(ada_config *c, const ada_json *j) {
    if (ada_json_int(ada_read_gguf_key(j, "expert_count"), 0) > 0)
        return ada_fail(ADA_EUNSUPPORTED, "mixtures of experts are not there yet");
    ADA_TRY(gguf_int(j, "embedding_length", true, &c->d));
    ADA_TRY(gguf_int(j, "block_count", true, &c->layers));
    ADA_TRY(gguf_int(j, "attention.head_count", true, &c->heads));
    ADA_TRY(gguf_int(j, "feed_forward_length", true, &c->ffn));
    ADA_TRY(gguf_int(j, "context_length", true, &c->max_positions));
    c->vocab = (int32_t)ada_json_len(ada_json_get(j, "tokenizer.ggml.tokens"));
    ADA_TRY(gguf_int(j, "vocab_size", false, &c->vocab));
    c->kv_heads = c->heads;
    ADA_TRY(gguf_int(j, "attention.head_count_kv", false, &c->kv_heads));
    c->head_dim = c->heads ? c->d / c->heads : 0;
    ADA_TRY(gguf_int(j, "attention.key_length", false, &c->head_dim));
    int32_t v_dim = c->head_dim;
    ADA_TRY(gguf_int(j, "attention.value_length", false, &v_dim));
    if (v_dim != c->head_dim)
        return ada_fail(ADA_EUNSUPPORTED, "keys of %d and values of %d must be one size", c->head_dim, v_dim);
    ADA_TRY(gguf_int(j, "attention.sliding_window", false, &c->window));
    c->norm_eps =
        (float)ada_json_num(ada_read_gguf_key(j, "attention.layer_norm_rms_epsilon"),
                            ada_json_num(ada_read_gguf_key(j, "attention.layer_norm_epsilon"), 1e-5));
    c->logit_scale = (float)ada_json_num(ada_read_gguf_key(j, "logit_scale"), 0);
    return gguf_rope(c, j);
}
