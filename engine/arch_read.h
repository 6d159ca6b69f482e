/* SPDX-License-Identifier: Apache-2.0
 * What the readers of configurations share: values of a config.json or of GGUF keys, checked, and the switches
 * that many families spell alike. Must not know: a family by name. Errors name the key. */
#ifndef ADA_ENGINE_ARCH_READ_H
#define ADA_ENGINE_ARCH_READ_H

#include "engine/arch.h"

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
/* Where the file lists the kinds of its layers, they must be what window, window_every and window_from say. */
ada_status ada_read_hf_layers(const ada_config *c, const ada_json *config) ADA_MUST_USE;
/* The keys "<architecture>.embedding_length" … that all families of GGUF share, sizes and rotary positions. */
ada_status ada_read_gguf(ada_config *c, const ada_json *meta) ADA_MUST_USE;
/* The value of "<architecture>.<key>", or NULL. */
const ada_json *ada_read_gguf_key(const ada_json *meta, const char *key);

#endif
