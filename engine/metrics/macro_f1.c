/* SPDX-License-Identifier: Apache-2.0
 * Mean over classes of F1 = 2 tp / (2 tp + fp + fn). Owns: the counts of each class. Must not know:
 * likelihoods. Invariant: only classes that occur as answer or prediction count, as in scikit-learn. */
#include "engine/score.h"

static ada_status value(const ada_scored *s, double *out) {
    size_t *right, *both, n = (size_t)s->classes, seen = 0;
    double sum = 0.0;
    ADA_TRY(ada_arena_zero(s->scratch, &right, n, sizeof *right));
    ADA_TRY(ada_arena_zero(s->scratch, &both, n, sizeof *both));
    for (size_t i = 0; i < s->n; i++) {
        both[s->gold[i]]++;
        both[s->pred[i]]++;
        right[s->gold[i]] += s->gold[i] == s->pred[i];
    }
    for (size_t c = 0; c < n; c++) {
        if (both[c] == 0) continue;
        sum += 2.0 * (double)right[c] / (double)both[c];
        seen++;
    }
    *out = sum / (double)seen;
    return ADA_OK;
}

const struct ada_metric ada_metric_macro_f1 = {"macro_f1", value};
