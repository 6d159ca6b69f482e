/* SPDX-License-Identifier: Apache-2.0
 * From logits to a token: repetition penalty, temperature, top-k, top-p, min-p in transformers' order, then a
 * draw by f(seed, index). Must not know: models or text. Invariant: no state but scratch; ties go to the
 * lower id. */
#ifndef ADA_ENGINE_SAMPLE_H
#define ADA_ENGINE_SAMPLE_H

#include "engine/adalink.h"
#include "io/arena.h"

typedef struct ada_sampler { /* [vocab] each */
    int32_t vocab;
    int32_t *ids;
    float *scores; /* logits after the penalty */
    double *mass;
    uint8_t *seen;
} ada_sampler;
ada_status ada_sampler_layout(ada_sampler *s, ada_arena *a, int32_t vocab) ADA_MUST_USE;
ada_status ada_sample_check(const ada_generate_opts *o) ADA_MUST_USE;
/* context [n]: the tokens that the penalty is for. index: number of the draw. */
int32_t ada_sample(ada_sampler *s, const float *logits, const int32_t *context, size_t n,
                   const ada_generate_opts *o, uint64_t index);

#endif
