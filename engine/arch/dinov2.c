/* SPDX-License-Identifier: Apache-2.0
 * DINOv2, with registers or without: ViT with layer scale, and an ffn that may be gated (SwiGLU).
 * Owns: how its config.json fills the switches, and its tensors' names. Positions belong to a square whatever
 * the image's shape; with registers they are resized with antialiasing. */
#include "engine/arch_read.h"
#include <string.h>

static ada_status from_hf(ada_config *c, const ada_json *j) {
    bool registers = !strcmp(ada_json_str(ada_json_get(j, "model_type"), ""), "dinov2_with_registers");
    int32_t ratio = 4;
    c->d = 768, c->layers = c->heads = 12;
    c->image_h = c->image_w = 224, c->patch_h = c->patch_w = registers ? 16 : 14;
    c->norm_eps = 1e-6F;
    c->class_token = c->patch_bias = c->layer_scale = c->square_positions = true;
    c->resize = registers ? ADA_RESIZE_ANTIALIAS : ADA_RESIZE_BICUBIC;
    if (registers) c->registers = 4;
    if (registers) ADA_TRY(ada_read_int_or(j, "num_register_tokens", &c->registers));
    ADA_TRY(ada_read_hf_vision(c, j, "gelu"));
    ADA_TRY(ada_read_int_or(j, "mlp_ratio", &ratio));
    if (ratio < 1 || c->d > INT32_MAX / 4 / ratio)
        return ada_fail(ADA_EFORMAT, "'mlp_ratio' %d of a hidden size of %d makes no ffn", ratio, c->d);
    c->ffn = c->d * ratio;
    c->gated = ada_json_bool(ada_json_get(j, "use_swiglu_ffn"), false);
    /* two thirds, in eights */
    if (c->gated) c->ffn = (c->ffn * 2 / 3 + 7) / 8 * 8, c->act = ADA_ACT_SILU;
    return ADA_OK;
}

#define L "encoder.layer.%d."
static const ada_arch_row rows[] = {
    ADA_VIT_ROWS,
    {ADA_P_REGISTERS, "embeddings.register_tokens", NULL, 0, 0},
    {ADA_P_ATTN_NORM, L "norm1.weight", NULL, 0, 0},
    {ADA_P_ATTN_NORM_B, L "norm1.bias", NULL, 0, 0},
    {ADA_P_ATTN_SCALE, L "layer_scale1.lambda1", NULL, 0, 0},
    {ADA_P_FFN_NORM, L "norm2.weight", NULL, 0, 0},
    {ADA_P_FFN_NORM_B, L "norm2.bias", NULL, 0, 0},
    {ADA_P_UP, L "mlp.fc1.weight", NULL, 0, 0},
    {ADA_P_UP_B, L "mlp.fc1.bias", NULL, 0, 0},
    {ADA_P_GATE_UP, L "mlp.weights_in.weight", NULL, 0, 0},
    {ADA_P_GATE_UP_B, L "mlp.weights_in.bias", NULL, 0, 0},
    {ADA_P_DOWN, L "mlp.fc2.weight", NULL, 0, 0},
    {ADA_P_DOWN, L "mlp.weights_out.weight", NULL, 0, 0},
    {ADA_P_DOWN_B, L "mlp.fc2.bias", NULL, 0, 0},
    {ADA_P_DOWN_B, L "mlp.weights_out.bias", NULL, 0, 0},
    {ADA_P_FFN_SCALE, L "layer_scale2.lambda1", NULL, 0, 0},
    {ADA_P_COUNT, NULL, NULL, 0, 0},
};

const struct ada_arch ada_arch_dinov2 = {
    .name = "dinov2",
    .hf_types = (const char *const[]){"dinov2", "dinov2_with_registers", NULL},
    .gguf_names = (const char *const[]){NULL},
    .from_hf = from_hf,
    .rows = rows,
};
