/* SPDX-License-Identifier: Apache-2.0
 * Share of rows whose likeliest choice is the answer. Owns: that count. Must not know: likelihoods.
 * Invariant: asked only when there is a row. */
#include "engine/score.h"

static ada_status value(const ada_scored *s, double *out) {
    size_t right = 0;
    for (size_t i = 0; i < s->n; i++) right += s->gold[i] == s->pred[i];
    *out = (double)right / (double)s->n;
    return ADA_OK;
}

const struct ada_metric ada_metric_accuracy = {"accuracy", value};
