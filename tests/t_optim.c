/* SPDX-License-Identifier: Apache-2.0
 * Schedules at their corners, clipping, and AdamW against its definition in double.
 * Owns nothing. Must not know: adapters. Invariant: the definition is written here anew. */
#include "engine/optim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void near(double a, double b, double eps) {
    if (!(fabs(a - b) <= eps)) fail_msg("%.12g, but %.12g is wanted", a, b);
}

static void schedules(void **state) {
    (void)state;
    ada_schedule s;
    assert_int_equal(ada_schedule_parse("cosine", &s), ADA_OK);
    assert_int_equal(s, ADA_COSINE);
    assert_int_equal(ada_schedule_parse("poly", &s), ADA_EINVAL);
    assert_int_equal(ada_warmup_steps(0.06, 93), 6); /* round(5.58), as the peer's */
    assert_int_equal(ada_warmup_steps(0.001, 10), 1);
    assert_int_equal(ada_warmup_steps(7, 10), 7);
    assert_int_equal(ada_warmup_steps(-1, 10), 0);
    near(ada_schedule_at(ADA_COSINE, 0, 6, 93), 1.0 / 6, 1e-15);
    near(ada_schedule_at(ADA_COSINE, 5, 6, 93), 1, 1e-15);
    near(ada_schedule_at(ADA_COSINE, 6, 6, 93), 1, 1e-15);
    near(ada_schedule_at(ADA_COSINE, 6 + 87 / 3, 6, 93), 0.75, 1e-12);
    near(ada_schedule_at(ADA_LINEAR, 8, 4, 12), 0.5, 1e-15);
    near(ada_schedule_at(ADA_LINEAR, 12, 4, 12), 0, 1e-15);
    near(ada_schedule_at(ADA_CONSTANT, 11, 4, 12), 1, 0);
    near(ada_schedule_at(ADA_COSINE, 0, 0, 1), 1, 0);
}

enum { N = 37 };
static float p[N], g[N], m[N], v[N];
static ada_adapter a = {.nparams = 1, .params = {{.n = N, .p = p, .g = g, .m = m, .v = v}}};

static void clip(void **state) {
    (void)state;
    for (int i = 0; i < N; i++) g[i] = 2;
    near(ada_grad_norm(&a), 2 * sqrt(N), 1e-5);
    near(ada_clip_factor(10, 1), 1 / (10 + 1e-6), 1e-15);
    near(ada_clip_factor(0.5, 1), 1, 0);
    near(ada_clip_factor(10, -1), 1, 0);
}

static void adamw(void **state) {
    (void)state;
    const ada_adamw o = {.lr = 3e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.1};
    double rp[N], rm[N] = {0}, rv[N] = {0}, factor = 0.7;
    memset(m, 0, sizeof m);
    memset(v, 0, sizeof v);
    for (int i = 0; i < N; i++) rp[i] = p[i] = (float)sin(i);
    for (int t = 1; t <= 20; t++) {
        for (int i = 0; i < N; i++) {
            g[i] = (float)cos(i * t + 1);
            double x = factor * g[i];
            rp[i] *= 1 - o.lr * o.weight_decay;
            rm[i] = o.beta1 * rm[i] + (1 - o.beta1) * x;
            rv[i] = o.beta2 * rv[i] + (1 - o.beta2) * x * x;
            rp[i] -= o.lr * (rm[i] / (1 - pow(o.beta1, t))) / (sqrt(rv[i] / (1 - pow(o.beta2, t))) + o.eps);
        }
        ada_adamw_step(&a, &o, factor, t);
    }
    for (int i = 0; i < N; i++)
        near(p[i], rp[i], 20 * 4 * 6e-8); /* 20 steps of a few roundings of values near 1 */
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(schedules), cmocka_unit_test(clip),
                                       cmocka_unit_test(adamw)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
