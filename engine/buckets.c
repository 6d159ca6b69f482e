/* SPDX-License-Identifier: Apache-2.0
 * Owns: which distances share a bucket. Must not know: where the biases come from.
 * Invariant: the logarithm is taken in float, as the models were trained. */
#include "engine/buckets.h"
#include <math.h>
#include <stdlib.h>

int32_t ada_bucket(const ada_config *c, int32_t distance) {
    bool both = c->mask == ADA_MASK_FULL;
    int32_t n = both ? c->buckets / 2 : c->buckets, exact = n / 2, first = both && distance > 0 ? n : 0;
    int32_t far = both ? abs(distance) : distance < 0 ? -distance : 0;
    if (far < exact) return first + far;
    float share = logf((float)far / (float)exact) / (float)log((double)c->max_distance / exact);
    int32_t at = exact + (int32_t)(share * (float)(n - exact));
    return first + (at < n ? at : n - 1);
}

void ada_bucket_table(const ada_config *c, const float *bias, float *at) {
    int32_t reach = c->max_distance + ADA_BIAS_MARGIN;
    for (int32_t h = 0; h < c->heads; h++)
        for (int32_t by = -reach; by <= reach; by++) {
            int32_t far = by < -c->max_distance  ? -c->max_distance
                          : by > c->max_distance ? c->max_distance
                                                 : by;
            *at++ = bias[ada_bucket(c, far) * c->heads + h];
        }
}
