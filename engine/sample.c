/* SPDX-License-Identifier: Apache-2.0
 * Sampling. Owns: the candidate list and its order. Must not know: where logits come from.
 * Invariant: without temperature the answer is the first of the greatest logits, and no random number is
 * used. */
#include "engine/sample.h"
#include "engine/beam.h"
#include "engine/rng.h"
#include "simd/kernels.h"
#include <string.h>

ada_status ada_sampler_layout(ada_sampler *s, ada_arena *a, int32_t vocab) {
    size_t n = (size_t)vocab;
    ADA_TRY(ada_arena_take(a, &s->ids, n, sizeof *s->ids));
    ADA_TRY(ada_arena_take(a, &s->scores, n, sizeof *s->scores));
    ADA_TRY(ada_arena_take(a, &s->mass, n, sizeof *s->mass));
    ADA_TRY(ada_arena_zero(a, &s->seen, n, 1));
    s->vocab = vocab;
    return ADA_OK;
}

ada_status ada_sample_check(const ada_generate_opts *o) {
    if (!(o->temperature >= 0.0) || !isfinite(o->temperature))
        return ada_fail(ADA_EINVAL, "temperature %g is below 0", o->temperature);
    if (o->top_k < 0) return ada_fail(ADA_EINVAL, "top-k %d is below 0", o->top_k);
    if (!(o->top_p >= 0.0 && o->top_p <= 1.0))
        return ada_fail(ADA_EINVAL, "top-p %g is not within 0..1", o->top_p);
    if (!(o->min_p >= 0.0 && o->min_p <= 1.0))
        return ada_fail(ADA_EINVAL, "min-p %g is not within 0..1", o->min_p);
    if (!(o->repetition >= 0.0) || !isfinite(o->repetition))
        return ada_fail(ADA_EINVAL, "repetition penalty %g is below 0", o->repetition);
    if (o->beams < 0 || o->beams > ADA_MAX_BEAMS)
        return ada_fail(ADA_EINVAL, "beams %d are not within 1..%d", o->beams, ADA_MAX_BEAMS);
    bool repeats = o->repetition > 0.0 && o->repetition != 1.0;
    if (o->beams > 1 && (o->temperature > 0.0 || o->logprobs || repeats))
        return ada_fail(ADA_EINVAL, "beams go without temperature, repetition penalty and log-probabilities");
    if (!isfinite(o->length_penalty)) return ada_fail(ADA_EINVAL, "the length penalty is not finite");
    return o->max_new < 0 ? ada_fail(ADA_EINVAL, "max-new %d is below 0", o->max_new) : ADA_OK;
}

/* Each token of the context once, however often it occurs. */
static void penalise(const ada_sampler *s, float *logits, const int32_t *context, size_t n, float penalty) {
    for (size_t i = 0; i < n; i++) {
        int32_t id = context[i];
        if (id >= s->vocab || s->seen[id]) continue; /* rows of images are nothing that can be said */
        s->seen[id] = 1;
        logits[id] = logits[id] < 0.0f ? logits[id] * penalty : logits[id] / penalty;
    }
    for (size_t i = 0; i < n; i++)
        if (context[i] < s->vocab) s->seen[context[i]] = 0;
}

static bool before(const float *logits, int32_t a, int32_t b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
}

static void sift(const float *logits, int32_t *v, int32_t i, int32_t n) {
    int32_t x = v[i];
    for (int32_t k; (k = 2 * i + 1) < n; i = k) {
        if (k + 1 < n && before(logits, v[k + 1], v[k])) k++;
        if (!before(logits, v[k], x)) break;
        v[i] = v[k];
    }
    v[i] = x;
}

/* A heap gives candidates from the greatest down. They gather at the end of `ids`, the first one last:
 * returns their number once k are out, or once their mass reaches `enough`. */
static int32_t pop_top(const ada_sampler *s, const float *logits, int32_t k, double enough) {
    int32_t n = s->vocab, taken = 0;
    double sum = 0.0;
    for (int32_t i = n / 2 - 1; i >= 0; i--) sift(logits, s->ids, i, n);
    while (n > 0 && taken < k && sum < enough) {
        int32_t id = s->ids[0];
        s->ids[0] = s->ids[--n];
        s->ids[n] = id;
        sift(logits, s->ids, 0, n);
        sum += s->mass[id];
        taken++;
    }
    return taken;
}

int32_t ada_sample(ada_sampler *s, const float *raw, const int32_t *context, size_t n,
                   const ada_generate_opts *o, uint64_t index) {
    float *logits = s->scores;
    memcpy(logits, raw, (size_t)s->vocab * sizeof *logits);
    if (o->repetition > 0.0 && o->repetition != 1.0) penalise(s, logits, context, n, (float)o->repetition);
    int32_t best = (int32_t)ada_k.argmax(logits, (size_t)s->vocab), count = s->vocab;
    if (o->temperature == 0.0 || !isfinite(logits[best])) return best;
    double total = 0.0, keep = 0.0;
    for (int32_t i = 0; i < s->vocab; i++) {
        s->ids[i] = i;
        total += s->mass[i] = exp(((double)logits[i] - (double)logits[best]) / o->temperature);
    }
    bool cut_p = o->top_p > 0.0 && o->top_p<1.0, cut_k = o->top_k> 0 && o->top_k < s->vocab;
    if (cut_k) {
        count = pop_top(s, logits, o->top_k, INFINITY);
        total = 0.0;
        for (int32_t i = 0; i < count; i++) total += s->mass[s->ids[s->vocab - 1 - i]];
    }
    if (cut_p && cut_k) {
        double sum = 0.0;
        int32_t i = 0;
        while (i < count && sum < o->top_p * total) sum += s->mass[s->ids[s->vocab - 1 - i++]];
        count = i;
    } else if (cut_p) {
        count = pop_top(s, logits, s->vocab, o->top_p * total);
    }
    const int32_t *v = s->ids + (s->vocab - count);
    for (int32_t i = 0; i < count; i++) keep += s->mass[v[i]] >= o->min_p ? s->mass[v[i]] : 0.0;
    double left = ada_rng_uniform(o->seed, ADA_RNG_SAMPLE, index) * keep;
    for (int32_t i = 0; i < count; i++) {
        if (s->mass[v[i]] < o->min_p) continue;
        left -= s->mass[v[i]];
        if (left < 0.0) return v[i];
    }
    return best;
}
