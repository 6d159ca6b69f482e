/* SPDX-License-Identifier: Apache-2.0
 * Owns: what a set of switches must satisfy before a model is built from it.
 * Must not know: architectures, files. Invariant: a switch is honoured by the code of engine, or refused
 * here. */
#include "engine/config.h"

static ada_status size_check(const char *name, int64_t v, int64_t max) {
    if (v >= 1 && v <= max) return ADA_OK;
    return ada_fail(ADA_EFORMAT, "%s is %lld, wanted 1 to %lld", name, (long long)v, (long long)max);
}

static ada_status vision_check(const ada_config *c) {
    ADA_TRY(size_check("image height", c->image_h, 1 << 14));
    ADA_TRY(size_check("image width", c->image_w, 1 << 14));
    ADA_TRY(size_check("patch height", c->patch_h, c->image_h));
    ADA_TRY(size_check("patch width", c->patch_w, c->image_w));
    ADA_TRY(size_check("number of channels", c->channels, 16));
    if (c->registers < 0 || c->registers > 1 << 10)
        return ada_fail(ADA_EFORMAT, "number of registers is %d, wanted 0 to 1024", c->registers);
    if (c->patch_h > 1 << 10 || c->patch_w > 1 << 10)
        return ada_fail(ADA_EFORMAT, "patches of %d by %d are too large", c->patch_h, c->patch_w);
    return ADA_OK;
}

ada_status ada_config_check(const ada_config *c) {
    ADA_TRY(size_check("hidden size", c->d, 1 << 17));
    ADA_TRY(size_check("number of layers", c->layers, 1 << 12));
    ADA_TRY(size_check("number of heads", c->heads, 1 << 12));
    ADA_TRY(size_check("number of key/value heads", c->kv_heads, c->heads));
    ADA_TRY(size_check("head dimension", c->head_dim, ADA_MAX_HEAD_DIM));
    ADA_TRY(size_check("ffn size", c->ffn, 1 << 20));
    if (c->patch_h)
        ADA_TRY(vision_check(c));
    else
        ADA_TRY(size_check("vocabulary", c->vocab, 1 << 24));
    ADA_TRY(size_check("number of positions", c->max_positions, 1 << 30));
    if (c->heads % c->kv_heads)
        return ada_fail(ADA_EFORMAT, "%d heads cannot share %d key/value heads", c->heads, c->kv_heads);
    int32_t rotary = ada_config_rope_dims(c);
    if (rotary < 0 || rotary > c->head_dim || rotary % 2)
        return ada_fail(ADA_EFORMAT, "rotary dimensions are %d of %d, wanted an even number", rotary,
                        c->head_dim);
    if (!(c->norm_eps > 0))
        return ada_fail(ADA_EFORMAT, "norm epsilon is %g, wanted above 0", (double)c->norm_eps);
    if (c->pos == ADA_POS_ROPE && !(c->rope_theta > 1))
        return ada_fail(ADA_EFORMAT, "rope theta is %g, wanted above 1", c->rope_theta);
    if (c->rope_scaling != ADA_ROPE_PLAIN && !(c->rope_factor >= 1))
        return ada_fail(ADA_EFORMAT, "rope scaling factor is %g, wanted at least 1", c->rope_factor);
    if (c->rope_scaling == ADA_ROPE_LLAMA3 &&
        !(c->rope_high > c->rope_low && c->rope_low > 0 && c->rope_original > 0))
        return ada_fail(ADA_EFORMAT,
                        "llama3 rope scaling wants 0 < low_freq_factor < high_freq_factor, found %g and %g",
                        c->rope_low, c->rope_high);
    if (c->rope_scaling == ADA_ROPE_YARN && !(c->rope_high > 0 && c->rope_low > 0 && c->rope_original > 0))
        return ada_fail(ADA_EFORMAT, "yarn rope scaling wants betas above 0, found %g and %g", c->rope_low,
                        c->rope_high);
    if (c->window < 0 || c->window_every < 0 || c->window_from < 0)
        return ada_fail(ADA_EFORMAT, "sliding window is %d, in all but each %d. layer from %d on", c->window,
                        c->window_every, c->window_from);
    if (c->rope_local != 0 && !(c->rope_local > 1))
        return ada_fail(ADA_EFORMAT, "rope theta of windowed layers is %g, wanted above 1", c->rope_local);
    if (!(c->attn_scale >= 0 && c->attn_cap >= 0 && c->logit_cap >= 0 && c->embed_scale >= 0))
        return ada_fail(ADA_EFORMAT, "a scale or a soft cap is below 0");
    if (c->pos == ADA_POS_BUCKETS && (c->buckets < 4 || c->buckets > 1 << 12 || c->buckets % 2 ||
                                      c->max_distance <= c->buckets / 2 || c->max_distance > 1 << 16))
        return ada_fail(ADA_EFORMAT, "%d buckets of positions up to a distance of %d make no sense",
                        c->buckets, c->max_distance);
    if (c->encoder_layers < 0 || c->encoder_layers > 1 << 12)
        return ada_fail(ADA_EFORMAT, "number of encoder layers is %d", c->encoder_layers);
    if (c->encoder_layers && (c->start_token < 0 || c->start_token >= c->vocab))
        return ada_fail(ADA_EFORMAT, "the decoder starts from token %d of %d", c->start_token, c->vocab);

    const struct {
        bool set;
        const char *what;
    } refused[] = {
        {c->rope_pairs != ADA_ROPE_HALF, "interleaved rotary pairs"},
        {c->mask == ADA_MASK_PREFIX && (c->pos == ADA_POS_BUCKETS || c->encoder_layers || c->patch_h),
         "attention to a prefix in an encoder, a decoder that reads one, or a tower"},
        {c->encoder_layers && (c->parallel || c->post_norms || c->qkv_bias || c->out_bias),
         "an encoder and blocks that are parallel, have norms after sublayers, or biases"},
        {c->head_bias, "a bias of the head"},
        {c->residual_scale != 0, "scales of residuals"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (refused[i].set)
            return ada_fail(ADA_EUNSUPPORTED, "this model has %s, which is not there yet", refused[i].what);
    return ADA_OK;
}
