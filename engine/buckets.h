/* SPDX-License-Identifier: Apache-2.0
 * Relative positions in buckets (T5): near distances have one each, far ones share them by logarithm, and a
 * bucket has a bias for each head. Must not know: attention, layers. Invariant: a number depends on head and
 * distance alone, and past max_distance on the side alone. */
#ifndef ADA_ENGINE_BUCKETS_H
#define ADA_ENGINE_BUCKETS_H

#include "engine/attention.h"

/* The bucket of a key `distance` after its query. With a causal mask all later keys count as distance 0. */
int32_t ada_bucket(const ada_config *c, int32_t distance);
/* at [heads, ada_attn_bias_width(max_distance)], from biases [buckets, heads]. */
void ada_bucket_table(const ada_config *c, const float *bias, float *at);

#endif
