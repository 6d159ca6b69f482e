/* SPDX-License-Identifier: Apache-2.0
 * How far e^x, the logistic function and the activations are from the truth in double, in units in the last
 * place of the result, over a dense sweep of normal results. Must not know: ISAs, whose bits are scalar's.
 * Invariant: the bounds here are just above what the comments of simd/vec.h and simd/kernels.h state; a sweep
 * that stays well below one fails too, for then the comment is stale. */
#define ADA_ISA_SCALAR
#include "simd/vec.h"
#include "simd/kernels.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void exps(float *y, const float *x, size_t n) {
    VEC_EACH(n, ST(y, vf_exp(LD(x))));
}
static void near_exps(float *y, const float *x, size_t n) {
    VEC_EACH(n, ST(y, vf_exp2_near(LD(x))));
}
static void sigmoids(float *y, const float *x, size_t n) {
    vf q;
    VEC_EACH(n, ST(y, vf_sigmoid2(LD(x), &q)));
}
static double true_sigmoid(double x) {
    return 1 / (1 + exp(-x));
}
static double true_silu(double x) {
    return x * true_sigmoid(x);
}
static double true_quick(double x) {
    return x * true_sigmoid(1.702 * x);
}
static double true_tanh(double x) {
    return x * true_sigmoid(1.5957691216057308 * (x + 0.044715 * x * x * x));
}
static double true_erf(double x) {
    return x * 0.5 * erfc(-x / 1.4142135623730951);
}

/* In units in the last place of the result. */
static double distance(float got, double want) {
    int e;
    if (isinf((float)want) || isinf(got)) return (float)want == got ? 0 : INFINITY;
    frexp(want, &e);
    return fabs(got - want) / ldexp(1, e - 24);
}

static int sweep(const char *name, void (*f)(float *, const float *, size_t), double (*truth)(double),
                 float range, double bound) {
    double worst = 0;
    float x[32], y[32], at = 0;
    uint32_t end;
    memcpy(&end, &range, sizeof end);
    for (uint32_t bits = 0; bits < end; bits += 16 * 1009) {
        for (uint32_t i = 0; i < 32; i++) {
            const uint32_t u = (bits + i / 2 * 1009) | i << 31;
            memcpy(&x[i], &u, sizeof u);
        }
        f(y, x, 32);
        for (int i = 0; i < 32; i++) {
            const double want = truth((double)x[i]);
            if (fabs(want) < 0x1p-126) continue;
            const double off = distance(y[i], want);
            if (off > worst) worst = off, at = x[i];
        }
    }
    const int good = worst <= bound && worst >= 0.8 * bound;
    printf("%s %s, |x| to %g: %.2f ULP at %.6g, bound %.2f\n", good ? "ok" : "FAULTY", name, (double)range,
           worst, (double)at, bound);
    return !good;
}

int main(void) {
    int bad = sweep("exp", exps, exp, 88.7f, 1.05);
    bad |= sweep("exp2_near", near_exps, exp2, 125, 90);
    bad |= sweep("sigmoid", sigmoids, true_sigmoid, 87, 2.1);
    bad |= sweep("silu", ada_k.silu, true_silu, 10, 2.9);
    bad |= sweep("gelu_quick", ada_k.gelu_quick, true_quick, 1, 2.5);
    bad |= sweep("gelu_tanh", ada_k.gelu_tanh, true_tanh, 1, 3.0);
    bad |= sweep("gelu_erf", ada_k.gelu_erf, true_erf, 10, 5.5);
    return bad;
}
