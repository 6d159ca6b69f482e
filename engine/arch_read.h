/* SPDX-License-Identifier: Apache-2.0
 * What the readers of configurations share: values of a config.json or of GGUF keys, checked, and the
 * switches that many families spell alike. Must not know: a family by name. Errors name the key. */
#ifndef ADA_ENGINE_ARCH_READ_H
#define ADA_ENGINE_ARCH_READ_H

#include "engine/arch.h"

/* The rows that Llama's descendants spell alike, norms excepted. qk: what GGUF's query and key need undone.
 */
#define ADA_LLAMA_ROWS(qk)                                                                                   \
    {ADA_P_EMBED, "model.embed_tokens.weight", "token_embd.weight", 0, 0},                                   \
        {ADA_P_HEAD, "lm_head.weight", "output.weight", 0, 0},                                               \
        {ADA_P_Q, ADA_HF "self_attn.q_proj.weight", ADA_GG "attn_q.weight", 0, qk},                          \
        {ADA_P_K, ADA_HF "self_attn.k_proj.weight", ADA_GG "attn_k.weight", 0, qk},                          \
        {ADA_P_V, ADA_HF "self_attn.v_proj.weight", ADA_GG "attn_v.weight", 0, 0},                           \
        {ADA_P_O, ADA_HF "self_attn.o_proj.weight", ADA_GG "attn_output.weight", 0, 0},                      \
        {ADA_P_Q_B, ADA_HF "self_attn.q_proj.bias", ADA_GG "attn_q.bias", 0, qk},                            \
        {ADA_P_K_B, ADA_HF "self_attn.k_proj.bias", ADA_GG "attn_k.bias", 0, qk},                            \
        {ADA_P_V_B, ADA_HF "self_attn.v_proj.bias", ADA_GG "attn_v.bias", 0, 0},                             \
        {ADA_P_O_B, ADA_HF "self_attn.o_proj.bias", ADA_GG "attn_output.bias", 0, 0},                        \
        {ADA_P_GATE, ADA_HF "mlp.gate_proj.weight", ADA_GG "ffn_gate.weight", 0, 0},                         \
        {ADA_P_UP, ADA_HF "mlp.up_proj.weight", ADA_GG "ffn_up.weight", 0, 0},                               \
        {ADA_P_DOWN, ADA_HF "mlp.down_proj.weight", ADA_GG "ffn_down.weight", 0, 0}, {                       \
        ADA_P_IGNORED, ADA_HF "self_attn.rotary_emb.inv_freq", ADA_GG "attn_rot_embd.weight", 0, 0           \
    }
/* And Gemma's norms, which Hugging Face files hold less 1. */
#define ADA_GEMMA_ROWS                                                                                       \
    ADA_LLAMA_ROWS(0), {ADA_P_FINAL_NORM, "model.norm.weight", "output_norm.weight", ADA_ROW_PLUS_ONE, 0},   \
        {ADA_P_ATTN_NORM, ADA_HF "input_layernorm.weight", ADA_GG "attn_norm.weight", ADA_ROW_PLUS_ONE, 0},  \
        {ADA_P_ATTN_POST, ADA_HF "post_attention_layernorm.weight", ADA_GG "post_attention_norm.weight",     \
         ADA_ROW_PLUS_ONE, 0},                                                                               \
        {ADA_P_FFN_NORM, ADA_HF "pre_feedforward_layernorm.weight", ADA_GG "ffn_norm.weight",                \
         ADA_ROW_PLUS_ONE, 0},                                                                               \
    {                                                                                                        \
        ADA_P_FFN_POST, ADA_HF "post_feedforward_layernorm.weight", ADA_GG "post_ffw_norm.weight",           \
            ADA_ROW_PLUS_ONE, 0                                                                              \
    }
/* Of ViT and DINOv2. */
#define ADA_VIT_ROWS                                                                                         \
    {ADA_P_PATCH, "embeddings.patch_embeddings.projection.weight", NULL, 0, 0},                              \
        {ADA_P_PATCH_B, "embeddings.patch_embeddings.projection.bias", NULL, 0, 0},                          \
        {ADA_P_CLASS, "embeddings.cls_token", NULL, 0, 0},                                                   \
        {ADA_P_POSITIONS, "embeddings.position_embeddings", NULL, 0, 0},                                     \
        {ADA_P_FINAL_NORM, "layernorm.weight", NULL, 0, 0},                                                  \
        {ADA_P_FINAL_NORM_B, "layernorm.bias", NULL, 0, 0},                                                  \
        {ADA_P_Q, "encoder.layer.%d.attention.attention.query.weight", NULL, 0, 0},                          \
        {ADA_P_K, "encoder.layer.%d.attention.attention.key.weight", NULL, 0, 0},                            \
        {ADA_P_V, "encoder.layer.%d.attention.attention.value.weight", NULL, 0, 0},                          \
        {ADA_P_Q_B, "encoder.layer.%d.attention.attention.query.bias", NULL, 0, 0},                          \
        {ADA_P_K_B, "encoder.layer.%d.attention.attention.key.bias", NULL, 0, 0},                            \
        {ADA_P_V_B, "encoder.layer.%d.attention.attention.value.bias", NULL, 0, 0},                          \
        {ADA_P_O, "encoder.layer.%d.attention.output.dense.weight", NULL, 0, 0},                             \
        {ADA_P_O_B, "encoder.layer.%d.attention.output.dense.bias", NULL, 0, 0}, {                           \
        ADA_P_IGNORED, "embeddings.mask_token", NULL, 0, 0                                                   \
    }
/* Of CLIP's and SigLIP's towers. */
#define ADA_CLIP_ROWS                                                                                        \
    {ADA_P_PATCH, "embeddings.patch_embedding.weight", "patch_embd.weight", 0, 0},                           \
        {ADA_P_PATCH_B, "embeddings.patch_embedding.bias", "patch_embd.bias", 0, 0},                         \
        {ADA_P_POSITIONS, "embeddings.position_embedding.weight", "position_embd.weight", 0, 0},             \
        {ADA_P_FINAL_NORM, "post_layernorm.weight", "post_ln.weight", 0, 0},                                 \
        {ADA_P_FINAL_NORM_B, "post_layernorm.bias", "post_ln.bias", 0, 0},                                   \
        {ADA_P_ATTN_NORM, "encoder.layers.%d.layer_norm1.weight", "blk.%d.ln1.weight", 0, 0},                \
        {ADA_P_ATTN_NORM_B, "encoder.layers.%d.layer_norm1.bias", "blk.%d.ln1.bias", 0, 0},                  \
        {ADA_P_FFN_NORM, "encoder.layers.%d.layer_norm2.weight", "blk.%d.ln2.weight", 0, 0},                 \
        {ADA_P_FFN_NORM_B, "encoder.layers.%d.layer_norm2.bias", "blk.%d.ln2.bias", 0, 0},                   \
        {ADA_P_Q, "encoder.layers.%d.self_attn.q_proj.weight", "blk.%d.attn_q.weight", 0, 0},                \
        {ADA_P_Q_B, "encoder.layers.%d.self_attn.q_proj.bias", "blk.%d.attn_q.bias", 0, 0},                  \
        {ADA_P_K, "encoder.layers.%d.self_attn.k_proj.weight", "blk.%d.attn_k.weight", 0, 0},                \
        {ADA_P_K_B, "encoder.layers.%d.self_attn.k_proj.bias", "blk.%d.attn_k.bias", 0, 0},                  \
        {ADA_P_V, "encoder.layers.%d.self_attn.v_proj.weight", "blk.%d.attn_v.weight", 0, 0},                \
        {ADA_P_V_B, "encoder.layers.%d.self_attn.v_proj.bias", "blk.%d.attn_v.bias", 0, 0},                  \
        {ADA_P_O, "encoder.layers.%d.self_attn.out_proj.weight", "blk.%d.attn_out.weight", 0, 0},            \
        {ADA_P_O_B, "encoder.layers.%d.self_attn.out_proj.bias", "blk.%d.attn_out.bias", 0, 0},              \
        {ADA_P_UP, "encoder.layers.%d.mlp.fc1.weight", "blk.%d.ffn_up.weight", 0, 0},                        \
        {ADA_P_UP_B, "encoder.layers.%d.mlp.fc1.bias", "blk.%d.ffn_up.bias", 0, 0},                          \
        {ADA_P_DOWN, "encoder.layers.%d.mlp.fc2.weight", "blk.%d.ffn_down.weight", 0, 0},                    \
        {ADA_P_DOWN_B, "encoder.layers.%d.mlp.fc2.bias", "blk.%d.ffn_down.bias", 0, 0}, {                    \
        ADA_P_IGNORED, "embeddings.position_ids", NULL, 0, 0                                                 \
    }
#define ADA_HF "model.layers.%d."
#define ADA_GG "blk.%d."

/* EFORMAT unless the key holds a whole number within 0 … INT32_MAX. */
ada_status ada_read_int(const ada_json *j, const char *key, int32_t *out) ADA_MUST_USE;
/* Absent or null: what *out holds already. */
ada_status ada_read_int_or(const ada_json *j, const char *key, int32_t *out) ADA_MUST_USE;
/* An activation by its Hugging Face name; NULL: `fallback`. EUNSUPPORTED. */
ada_status ada_read_act(ada_act_kind *act, const char *name, const char *fallback) ADA_MUST_USE;
/* hidden_size, num_hidden_layers, num_attention_heads, num_key_value_heads [heads], head_dim [d / heads],
 * intermediate_size, vocab_size, max_position_embeddings [max_positions as it stands], rms_norm_eps,
 * tie_word_embeddings [tie as it stands], and rotary positions: what Llama's descendants share.
 * EUNSUPPORTED for weights quantised by another library. */
ada_status ada_read_hf(ada_config *c, const ada_json *config) ADA_MUST_USE;
/* "rope_scaling" (rope_theta beside it) or the newer "rope_parameters" (rope_theta inside). */
ada_status ada_read_hf_rope(ada_config *c, const ada_json *config, const ada_json *rope) ADA_MUST_USE;
/* Qwen's window, where "use_sliding_window" says so: in the layers from "max_window_layers" on. */
ada_status ada_read_hf_window_from(ada_config *c, const ada_json *config) ADA_MUST_USE;
/* Where the file lists the kinds of its layers, window_every and window_from follow from the list.
 * EUNSUPPORTED when they cannot say it. */
ada_status ada_read_hf_layers(ada_config *c, const ada_json *config) ADA_MUST_USE;
/* The keys "<architecture>.embedding_length" … that all families of GGUF share, sizes and rotary positions.
 */
ada_status ada_read_gguf(ada_config *c, const ada_json *meta) ADA_MUST_USE;
/* A vision tower: hidden_size, num_hidden_layers, num_attention_heads, intermediate_size, image_size and
 * patch_size (a number or height and width), num_channels, layer_norm_eps, hidden_act, qkv_bias, each as it
 * stands in c where the key is absent; and what all towers share. The class token must be known. */
ada_status ada_read_hf_vision(ada_config *c, const ada_json *config, const char *act) ADA_MUST_USE;
/* The size of the table of positions, from sizes already read. */
void ada_read_vision_always(ada_config *c);
/* Of "<architecture>.<key>", as ada_read_int_or. */
ada_status ada_read_gguf_int_or(const ada_json *meta, const char *key, int32_t *out) ADA_MUST_USE;
/* The value of "<architecture>.<key>", or NULL. */
const ada_json *ada_read_gguf_key(const ada_json *meta, const char *key);

#endif
