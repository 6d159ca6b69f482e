/* SPDX-License-Identifier: Apache-2.0
 * ViT: a class token, learned positions, LayerNorm before each half of a block.
 * Owns: how its config.json fills the switches, and its tensors' names. The pooler and the classifier that
 * its files may hold have no part in its features. */
#include "engine/arch_read.h"

static ada_status from_hf(ada_config *c, const ada_json *j) {
    c->d = 768, c->layers = c->heads = 12, c->ffn = 3072;
    c->image_h = c->image_w = 224, c->patch_h = c->patch_w = 16;
    c->norm_eps = 1e-12F;
    c->class_token = c->patch_bias = true;
    return ada_read_hf_vision(c, j, "gelu");
}

#define L "encoder.layer.%d."
static const ada_arch_row rows[] = {
    ADA_VIT_ROWS,
    {ADA_P_ATTN_NORM, L "layernorm_before.weight", NULL, 0, 0},
    {ADA_P_ATTN_NORM_B, L "layernorm_before.bias", NULL, 0, 0},
    {ADA_P_FFN_NORM, L "layernorm_after.weight", NULL, 0, 0},
    {ADA_P_FFN_NORM_B, L "layernorm_after.bias", NULL, 0, 0},
    {ADA_P_UP, L "intermediate.dense.weight", NULL, 0, 0},
    {ADA_P_UP_B, L "intermediate.dense.bias", NULL, 0, 0},
    {ADA_P_DOWN, L "output.dense.weight", NULL, 0, 0},
    {ADA_P_DOWN_B, L "output.dense.bias", NULL, 0, 0},
    {ADA_P_IGNORED, "pooler.dense.weight", NULL, 0, 0},
    {ADA_P_IGNORED, "pooler.dense.bias", NULL, 0, 0},
    {ADA_P_COUNT, NULL, NULL, 0, 0},
};

const struct ada_arch ada_arch_vit = {
    .name = "vit",
    .hf_types = (const char *const[]){"vit", NULL},
    .gguf_names = (const char *const[]){NULL},
    .from_hf = from_hf,
    .rows = rows,
};
