/* SPDX-License-Identifier: Apache-2.0
 * Owns: what a set of switches must satisfy before a model is built from it.
 * Must not know: architectures, files. Invariant: a switch is honoured by the code of engine, or refused
 * here. */
#include "engine/config.h"

static ada_status size_check(const char *name, int64_t v, int64_t max) {
    if (v >= 1 && v <= max) return ADA_OK;
    return ada_fail(ADA_EFORMAT, "%s is %lld, wanted 1 to %lld", name, (long long)v, (long long)max);
}

ada_status ada_config_check(const ada_config *c) {
    ADA_TRY(size_check("hidden size", c->d, 1 << 17));
    ADA_TRY(size_check("number of layers", c->layers, 1 << 12));
    ADA_TRY(size_check("number of heads", c->heads, 1 << 12));
    ADA_TRY(size_check("number of key/value heads", c->kv_heads, c->heads));
    ADA_TRY(size_check("head dimension", c->head_dim, 1 << 10));
    ADA_TRY(size_check("ffn size", c->ffn, 1 << 20));
    ADA_TRY(size_check("vocabulary", c->vocab, 1 << 24));
    ADA_TRY(size_check("number of positions", c->max_positions, 1 << 30));
    if (c->heads % c->kv_heads)
        return ada_fail(ADA_EFORMAT, "%d heads cannot share %d key/value heads", c->heads, c->kv_heads);
    if (c->head_dim % 2)
        return ada_fail(ADA_EFORMAT, "head dimension is %d, rotary pairs want it even", c->head_dim);
    if (!(c->norm_eps > 0))
        return ada_fail(ADA_EFORMAT, "norm epsilon is %g, wanted above 0", (double)c->norm_eps);
    if (!(c->rope_theta > 1)) return ada_fail(ADA_EFORMAT, "rope theta is %g, wanted above 1", c->rope_theta);
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
    if (c->window < 0) return ada_fail(ADA_EFORMAT, "sliding window is %d", c->window);

    const struct {
        bool set;
        const char *what;
    } refused[] = {
        {c->norm != ADA_NORM_RMS, "LayerNorm"},
        {c->norm_plus_one, "norm weights stored as w - 1"},
        {c->post_norms, "norms after attention and ffn"},
        {c->parallel, "parallel attention and ffn"},
        {!c->gated, "an ffn without gate"},
        {c->pos != ADA_POS_ROPE, "positions other than rotary"},
        {c->rope_pairs != ADA_ROPE_HALF, "interleaved rotary pairs"},
        {c->rope_dims != 0, "partial rotary dimensions"},
        {c->mask != ADA_MASK_CAUSAL, "attention other than causal"},
        {c->window_every != 0, "sliding windows in some layers"},
        {c->qk_norm, "norms of query and key"},
        {c->head_bias, "a bias of the head"},
        {c->attn_scale != 0, "a given attention scale"},
        {c->attn_cap != 0 || c->logit_cap != 0, "soft caps"},
        {c->embed_scale != 0 || c->residual_scale != 0 || c->logit_scale != 0,
         "scales of embeddings, residuals or logits"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (refused[i].set)
            return ada_fail(ADA_EUNSUPPORTED, "this model has %s, which is not there yet", refused[i].what);
    return ADA_OK;
}
