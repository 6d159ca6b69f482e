/* SPDX-License-Identifier: Apache-2.0
 * CLIP's vision tower: a class token, a norm before the first layer, the last hidden state not normed. Also
 * all towers of GGUF files, CLIP's or SigLIP's, which llama.cpp calls `clip`: there the tensors say which.
 * Owns: how config.json and GGUF keys fill the switches, and the tensors' names. */
#include "engine/arch_read.h"

static ada_status from_hf(ada_config *c, const ada_json *j) {
    c->d = 768, c->layers = c->heads = 12, c->ffn = 3072;
    c->image_h = c->image_w = 224, c->patch_h = c->patch_w = 32;
    c->norm_eps = 1e-5F;
    c->class_token = c->pre_norm = c->last_raw = true;
    return ada_read_hf_vision(c, j, "quick_gelu");
}

static ada_status from_gguf(ada_config *c, const ada_json *j) {
    if (ada_json_bool(ada_json_get(j, "clip.has_vision_encoder"), true) == false)
        return ada_fail(ADA_EUNSUPPORTED, "this file of architecture 'clip' holds no vision tower");
    ADA_TRY(ada_read_int(j, "clip.vision.embedding_length", &c->d));
    ADA_TRY(ada_read_int(j, "clip.vision.block_count", &c->layers));
    ADA_TRY(ada_read_int(j, "clip.vision.attention.head_count", &c->heads));
    ADA_TRY(ada_read_int(j, "clip.vision.feed_forward_length", &c->ffn));
    ADA_TRY(ada_read_int(j, "clip.vision.image_size", &c->image_h));
    ADA_TRY(ada_read_int(j, "clip.vision.patch_size", &c->patch_h));
    if (!c->patch_h) return ada_fail(ADA_EFORMAT, "model configuration has patches of no height");
    c->image_w = c->image_h, c->patch_w = c->patch_h, c->channels = 3;
    c->norm_eps = (float)ada_json_num(ada_json_get(j, "clip.vision.attention.layer_norm_epsilon"), 1e-5);
    c->act = ada_json_bool(ada_json_get(j, "clip.use_gelu"), false)   ? ADA_ACT_GELU_TANH
             : ada_json_bool(ada_json_get(j, "clip.use_silu"), false) ? ADA_ACT_SILU
                                                                      : ADA_ACT_GELU_QUICK;
    ada_read_vision_always(c);
    return ADA_OK;
}

static void swap(ada_claims *cl, ada_param a, ada_param b, int32_t layer) {
    ada_claim t = cl->at[a][layer];
    cl->at[a][layer] = cl->at[b][layer];
    cl->at[b][layer] = t;
}

static void from_gguf_tensors(ada_config *c, ada_claims *cl) {
    c->class_token = cl->at[ADA_P_CLASS][0].t != NULL;
    /* a tower that was cut behind the layer that a projector reads has no last norm */
    c->last_raw = c->class_token || !cl->at[ADA_P_FINAL_NORM][0].t;
    c->max_positions += c->class_token;
    c->patch_bias = cl->at[ADA_P_PATCH_B][0].t != NULL;
    c->pre_norm = cl->at[ADA_P_PRE_NORM][0].t != NULL;
    c->layer_scale = cl->at[ADA_P_ATTN_SCALE][0].t != NULL;
    /* Old converters call the ffn's products each by the other's name; shapes tell, and equal ones look
     * right. */
    for (int32_t l = 0; l < c->layers; l++) {
        const ada_tensor *up = cl->at[ADA_P_UP][l].t;
        if (!up || up->ndim != 2 || up->shape[0] != c->d || c->ffn == c->d) continue;
        swap(cl, ADA_P_UP, ADA_P_DOWN, l);
        swap(cl, ADA_P_UP_B, ADA_P_DOWN_B, l);
    }
}

#define L "encoder.layers.%d."
#define G "blk.%d."
static const ada_arch_row rows[] = {
    ADA_CLIP_ROWS,
    {ADA_P_CLASS, "embeddings.class_embedding", "class_embd", 0, 0},
    {ADA_P_PRE_NORM, "pre_layrnorm.weight", "pre_ln.weight", 0, 0},
    {ADA_P_PRE_NORM_B, "pre_layrnorm.bias", "pre_ln.bias", 0, 0},
    {ADA_P_ATTN_SCALE, NULL, G "ls1.weight", 0, 0},
    {ADA_P_FFN_SCALE, NULL, G "ls2.weight", 0, 0},
    /* SigLIP's pooling head, as old converters name it */
    {ADA_P_IGNORED, NULL, "head.probe", 0, 0},
    {ADA_P_IGNORED, NULL, "head.attention.in_weight", 0, 0},
    {ADA_P_IGNORED, NULL, "head.attention.in_bias", 0, 0},
    {ADA_P_IGNORED, NULL, "head.attention.out.weight", 0, 0},
    {ADA_P_IGNORED, NULL, "head.attention.out.bias", 0, 0},
    {ADA_P_IGNORED, NULL, "head.ln.weight", 0, 0},
    {ADA_P_IGNORED, NULL, "head.ln.bias", 0, 0},
    {ADA_P_IGNORED, NULL, "head.ffn_down.weight", 0, 0},
    {ADA_P_IGNORED, NULL, "head.ffn_down.bias", 0, 0},
    {ADA_P_IGNORED, NULL, "head.ffn_up.weight", 0, 0},
    {ADA_P_IGNORED, NULL, "head.ffn_up.bias", 0, 0},
    {ADA_P_COUNT, NULL, NULL, 0, 0},
};

const struct ada_arch ada_arch_clip = {
    .name = "clip",
    .hf_types = (const char *const[]){"clip_vision_model", NULL},
    .gguf_names = (const char *const[]){"clip", NULL},
    .from_hf = from_hf,
    .from_gguf = from_gguf,
    .from_gguf_tensors = from_gguf_tensors,
    .rows = rows,
};
