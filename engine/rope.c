/* SPDX-License-Identifier: Apache-2.0
 * Owns: the formulas of rotary scaling. Must not know: how rows are rotated (simd) or which rows there are.
 * Frequencies and angles are rounded to f32 where the models' own code does, since at position 10^4 an angle
 * carries the rounding of its frequency into the third decimal. */
#include "engine/rope.h"
#include <math.h>

static const double tau = 6.283185307179586;

/* Low frequencies are divided by the factor, high ones kept, those between blended by wavelength. */
static double llama3(const ada_config *c, double f) {
    double wave = tau / f, blend = (c->rope_original / wave - c->rope_low) / (c->rope_high - c->rope_low);
    if (wave < c->rope_original / c->rope_high) return f;
    if (wave > c->rope_original / c->rope_low) return f / c->rope_factor;
    return (1 - blend) * f / c->rope_factor + blend * f;
}

/* The pair index whose wavelength makes `turns` turns in the original length. */
static double yarn_dim(const ada_config *c, double turns) {
    return ada_config_rope_dims(c) * log(c->rope_original / (turns * tau)) / (2 * log(c->rope_theta));
}

static double yarn(const ada_config *c, double f, int32_t i) {
    double low = fmax(floor(yarn_dim(c, c->rope_high)), 0);
    double high = fmin(ceil(yarn_dim(c, c->rope_low)), ada_config_rope_dims(c) - 1);
    double ramp = fmin(fmax((i - low) / (high == low ? 0.001 : high - low), 0), 1);
    return f / c->rope_factor * ramp + f * (1 - ramp);
}

void ada_rope_freqs(const ada_config *c, const float *factors, float *inv_freq) {
    int32_t dims = ada_config_rope_dims(c);
    for (int32_t i = 0; i < dims / 2; i++) {
        float exponent = (float)(2 * i) / (float)dims;
        double f = 1.0F / (float)pow(c->rope_theta, exponent);
        switch (c->rope_scaling) {
        case ADA_ROPE_PLAIN:
        case ADA_ROPE_DYNAMIC:
            break;
        case ADA_ROPE_LINEAR:
            f /= c->rope_factor;
            break;
        case ADA_ROPE_LLAMA3:
            f = llama3(c, f);
            break;
        case ADA_ROPE_YARN:
            f = yarn(c, f, i);
            break;
        }
        inv_freq[i] = (float)(factors ? f / factors[i] : f);
    }
}

void ada_rope_row(const float *inv_freq, int32_t half, float mscale, int32_t pos, float *cs, float *sn) {
    for (int32_t i = 0; i < half; i++) {
        float angle = (float)pos * inv_freq[i];
        cs[i] = (float)cos(angle) * mscale;
        sn[i] = (float)sin(angle) * mscale;
    }
}
