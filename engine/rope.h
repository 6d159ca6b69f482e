/* SPDX-License-Identifier: Apache-2.0
 * Rotary positions: the frequencies a configuration asks for, and the cosines and sines of a row.
 * Invariant: what a row gets depends on its position alone. */
#ifndef ADA_ENGINE_ROPE_H
#define ADA_ENGINE_ROPE_H

#include "engine/config.h"

/* inv_freq [rotary dimensions / 2], scaling applied. factors, of as many: divisors that a GGUF file carries,
 * or NULL. */
void ada_rope_freqs(const ada_config *c, const float *factors, float *inv_freq);
/* cs, sn [half] of one position, both times mscale. */
void ada_rope_row(const float *inv_freq, int32_t half, float mscale, int32_t pos, float *cs, float *sn);

#endif
