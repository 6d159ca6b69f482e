/* SPDX-License-Identifier: Apache-2.0
 * Beam search as transformers does it: which continuations run on, which are finished, when no better one can
 * come. Must not know: models, caches, text. Invariant: ties go to the earlier beam, then the lower id. */
#ifndef ADA_ENGINE_BEAM_H
#define ADA_ENGINE_BEAM_H

#include "io/arena.h"
#include <stdbool.h>

enum { ADA_MAX_BEAMS = 64 };
typedef struct ada_beams ada_beams;
ada_status ada_beams_layout(ada_beams **b, ada_arena *a, int32_t beams, int32_t vocab, int32_t max_new,
                            const int32_t *eos, int neos) ADA_MUST_USE;
/* A finished answer's score is its log-likelihood over its length to this power. */
void ada_beams_begin(ada_beams *b, double length_penalty);
/* logits [beams, vocab] of the running beams; of the first step one row, the prompt's. True: go on with
 * parent [beams], each the beam that a token [beams] continues. False: the search is over. */
bool ada_beams_step(ada_beams *b, const float *logits, const int32_t **parent, const int32_t **token);
/* The best answer, its EOS included. */
const int32_t *ada_beams_best(const ada_beams *b, int32_t *n);

#endif
