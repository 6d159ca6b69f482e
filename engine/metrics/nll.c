/* SPDX-License-Identifier: Apache-2.0
 * Mean negative log-likelihood of the answer, over rows. Owns: that mean. Must not know: choices.
 * Invariant: summed in the order of rows. */
#include "engine/score.h"

static ada_status value(const ada_scored *s, double *out) {
    double sum = 0.0;
    for (size_t i = 0; i < s->n; i++) sum += s->nll[i];
    *out = sum / (double)s->n;
    return ADA_OK;
}

const struct ada_metric ada_metric_nll = {"nll", value};
