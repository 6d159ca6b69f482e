/* SPDX-License-Identifier: Apache-2.0
 * Evaluation, and what a metric sees of it. A metric is one file in metrics/ and a word in the list of
 * meson.build. Invariant: a row's numbers have the same bits alone and in any batch. */
#ifndef ADA_ENGINE_SCORE_H
#define ADA_ENGINE_SCORE_H

#include "engine/adalink.h"
#include "io/arena.h"

typedef struct ada_scored { /* rows that have choices and an answer among them */
    size_t n;
    const int32_t *gold, *pred; /* [n] classes: equal choices are one class */
    const double *nll;          /* [n] of the answer, natural log, sum over its tokens */
    int32_t classes;
    ada_arena *scratch;
} ada_scored;

struct ada_metric {
    const char *name; /* key in the result */
    ada_status (*value)(const ada_scored *s, double *out);
};

#endif
