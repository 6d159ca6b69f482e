/* SPDX-License-Identifier: Apache-2.0
 * GPT-2: LayerNorm, learned positions, an ffn without gate, query, key and value in one tensor.
 * Owns: how its config.json and GGUF keys fill the switches, and its tensors' names. Hugging Face files hold
 * the weights of products transposed; GGUF files do not. */
#include "engine/arch_read.h"

static void always(ada_config *c) {
    c->norm = ADA_NORM_LAYER;
    c->pos = ADA_POS_LEARNED;
    c->qkv_bias = c->out_bias = c->ffn_bias = true;
}

static ada_status from_hf(ada_config *c, const ada_json *j) {
    if (ada_json_bool(ada_json_get(j, "scale_attn_by_inverse_layer_idx"), false))
        return ada_fail(ADA_EUNSUPPORTED, "attention scaled by the layer's number is not there yet");
    if (ada_json_bool(ada_json_get(j, "add_cross_attention"), false))
        return ada_fail(ADA_EUNSUPPORTED, "a GPT-2 with cross-attention is not there yet");
    always(c);
    c->max_positions = 1024;
    ADA_TRY(ada_read_int(j, "n_embd", &c->d));
    ADA_TRY(ada_read_int(j, "n_layer", &c->layers));
    ADA_TRY(ada_read_int(j, "n_head", &c->heads));
    ADA_TRY(ada_read_int(j, "vocab_size", &c->vocab));
    ADA_TRY(ada_read_int_or(j, "n_positions", &c->max_positions));
    c->ffn = c->d < INT32_MAX / 4 ? 4 * c->d : 0;
    ADA_TRY(ada_read_int_or(j, "n_inner", &c->ffn));
    c->kv_heads = c->heads;
    c->head_dim = c->heads ? c->d / c->heads : 0;
    c->norm_eps = (float)ada_json_num(ada_json_get(j, "layer_norm_epsilon"), 1e-5);
    if (!ada_json_bool(ada_json_get(j, "scale_attn_weights"), true)) c->attn_scale = 1;
    c->tie = ada_json_bool(ada_json_get(j, "tie_word_embeddings"), true);
    return ada_read_act(&c->act, ada_json_str(ada_json_get(j, "activation_function"), NULL), "gelu_new");
}

static ada_status from_gguf(ada_config *c, const ada_json *j) {
    always(c);
    c->act = ADA_ACT_GELU_TANH;
    return ada_read_gguf(c, j);
}

#define HF "transformer.h.%d."
#define GG "blk.%d."
static const ada_arch_row rows[] = {
    {ADA_P_EMBED, "transformer.wte.weight", "token_embd.weight", 0, 0},
    {ADA_P_POSITIONS, "transformer.wpe.weight", "position_embd.weight", 0, 0},
    {ADA_P_FINAL_NORM, "transformer.ln_f.weight", "output_norm.weight", 0, 0},
    {ADA_P_FINAL_NORM_B, "transformer.ln_f.bias", "output_norm.bias", 0, 0},
    {ADA_P_HEAD, "lm_head.weight", "output.weight", 0, 0},
    {ADA_P_ATTN_NORM, HF "ln_1.weight", GG "attn_norm.weight", 0, 0},
    {ADA_P_ATTN_NORM_B, HF "ln_1.bias", GG "attn_norm.bias", 0, 0},
    {ADA_P_QKV, HF "attn.c_attn.weight", GG "attn_qkv.weight", ADA_ROW_TRANSPOSED, 0},
    {ADA_P_QKV_B, HF "attn.c_attn.bias", GG "attn_qkv.bias", 0, 0},
    {ADA_P_O, HF "attn.c_proj.weight", GG "attn_output.weight", ADA_ROW_TRANSPOSED, 0},
    {ADA_P_O_B, HF "attn.c_proj.bias", GG "attn_output.bias", 0, 0},
    {ADA_P_FFN_NORM, HF "ln_2.weight", GG "ffn_norm.weight", 0, 0},
    {ADA_P_FFN_NORM_B, HF "ln_2.bias", GG "ffn_norm.bias", 0, 0},
    {ADA_P_UP, HF "mlp.c_fc.weight", GG "ffn_up.weight", ADA_ROW_TRANSPOSED, 0},
    {ADA_P_UP_B, HF "mlp.c_fc.bias", GG "ffn_up.bias", 0, 0},
    {ADA_P_DOWN, HF "mlp.c_proj.weight", GG "ffn_down.weight", ADA_ROW_TRANSPOSED, 0},
    {ADA_P_DOWN_B, HF "mlp.c_proj.bias", GG "ffn_down.bias", 0, 0},
    {ADA_P_IGNORED, HF "attn.bias", NULL, 0, 0}, /* the causal mask */
    {ADA_P_IGNORED, HF "attn.masked_bias", NULL, 0, 0},
    {ADA_P_COUNT, NULL, NULL, 0, 0},
};

const struct ada_arch ada_arch_gpt2 = {
    .name = "gpt2",
    .hf_types = (const char *const[]){"gpt2", NULL},
    .gguf_names = (const char *const[]){"gpt2", NULL},
    .hf_prefix = "transformer.",
    .from_hf = from_hf,
    .from_gguf = from_gguf,
    .rows = rows,
};
