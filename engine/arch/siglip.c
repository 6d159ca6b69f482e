/* SPDX-License-Identifier: Apache-2.0
 * SigLIP's vision tower: patches alone, without a class token; and Idefics3's and SmolVLM's, which differ in
 * what their positions do at another size. Owns: how their config.json fills the switches, and their tensors'
 * names. The pooling head has no part in their features. In GGUF they are `clip`. */
#include "engine/arch_read.h"
#include <string.h>

static ada_status from_hf(ada_config *c, const ada_json *j) {
    bool plain = !strcmp(ada_json_str(ada_json_get(j, "model_type"), ""), "siglip_vision_model");
    c->d = plain ? 768 : 1152, c->layers = 12, c->heads = plain ? 12 : 16, c->ffn = 3072;
    c->image_h = c->image_w = 224, c->patch_h = c->patch_w = plain ? 16 : 32;
    c->norm_eps = 1e-6F;
    c->patch_bias = true;
    c->resize = plain ? ADA_RESIZE_BICUBIC : ADA_RESIZE_BUCKETS;
    return ada_read_hf_vision(c, j, "gelu_pytorch_tanh");
}

#define L "encoder.layers.%d."
static const ada_arch_row rows[] = {
    ADA_CLIP_ROWS,
    {ADA_P_IGNORED, "head.probe", NULL, 0, 0},
    {ADA_P_IGNORED, "head.attention.in_proj_weight", NULL, 0, 0},
    {ADA_P_IGNORED, "head.attention.in_proj_bias", NULL, 0, 0},
    {ADA_P_IGNORED, "head.attention.out_proj.weight", NULL, 0, 0},
    {ADA_P_IGNORED, "head.attention.out_proj.bias", NULL, 0, 0},
    {ADA_P_IGNORED, "head.layernorm.weight", NULL, 0, 0},
    {ADA_P_IGNORED, "head.layernorm.bias", NULL, 0, 0},
    {ADA_P_IGNORED, "head.mlp.fc1.weight", NULL, 0, 0},
    {ADA_P_IGNORED, "head.mlp.fc1.bias", NULL, 0, 0},
    {ADA_P_IGNORED, "head.mlp.fc2.weight", NULL, 0, 0},
    {ADA_P_IGNORED, "head.mlp.fc2.bias", NULL, 0, 0},
    {ADA_P_COUNT, NULL, NULL, 0, 0},
};

const struct ada_arch ada_arch_siglip = {
    .name = "siglip",
    .hf_types = (const char *const[]){"siglip_vision_model", "idefics3_vision", "smolvlm_vision", NULL},
    .gguf_names = (const char *const[]){NULL},
    .from_hf = from_hf,
    .rows = rows,
};
