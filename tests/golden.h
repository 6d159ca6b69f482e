/* SPDX-License-Identifier: Apache-2.0
 * What the tests against transformers' answers share: reading the answers, and measures of difference.
 * Must not know: what is compared. Invariant: every failure is a failed assertion. */
#ifndef ADA_TESTS_GOLDEN_H
#define ADA_TESTS_GOLDEN_H

#include "tests/pass.h"
#include <math.h>

static inline ada_tensors *answers_open(const char *name) {
    char file[128];
    ada_tensors *t = NULL;
    snprintf(file, sizeof file, "%s.answers.safetensors", name);
    assert_ok(ada_tensors_open(&t, golden_path(file)));
    return t;
}

static inline const ada_tensor *answer(const ada_tensors *t, const char *name) {
    const ada_tensor *a = ada_tensors_find(t, name);
    if (!a) fail_msg("answers without '%s'", name);
    return a;
}

static inline float *floats(const ada_tensors *t, const char *name) {
    const ada_tensor *a = answer(t, name);
    float *f = test_malloc(ada_tensor_count(a) * sizeof *f);
    assert_ok(ada_tensor_f32(a, 0, ada_tensor_count(a), f));
    return f;
}

static inline int32_t *ints(const ada_tensors *t, const char *name, int32_t *n) {
    const ada_tensor *a = answer(t, name);
    assert_int_equal(a->dtype, ADA_I32);
    int32_t *v = test_malloc(a->bytes);
    memcpy(v, a->data, a->bytes);
    *n = (int32_t)ada_tensor_count(a);
    return v;
}

static inline double spread(const float *x, size_t n) {
    double lo = (double)x[0], hi = lo;
    for (size_t i = 0; i < n; i++) lo = fmin(lo, (double)x[i]), hi = fmax(hi, (double)x[i]);
    return hi - lo;
}

static inline double max_diff(const float *a, const float *b, size_t n) {
    double m = 0;
    for (size_t i = 0; i < n; i++) m = fmax(m, fabs((double)a[i] - (double)b[i]));
    return m;
}

static inline double relative(const float *a, const float *b, size_t n) {
    double diff = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        diff += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        norm += (double)b[i] * (double)b[i];
    }
    return sqrt(diff / norm);
}

static inline void check(const char *what, double found, double limit) {
    if (!(found <= limit)) fail_msg("%s is off by %.3g, allowed %.3g", what, found, limit);
}

typedef struct {
    const char *model, *answers;
} golden;

/* Each row in f32 and in bf16, which find it as their state. */
static inline int golden_run(golden *all, size_t n, CMUnitTestFunction f32, CMUnitTestFunction bf16) {
    enum { MOST = 128 };
    static char names[MOST][64];
    struct CMUnitTest tests[MOST];
    if (2 * n > MOST) return 1;
    for (size_t i = 0; i < 2 * n; i++) {
        snprintf(names[i], sizeof names[i], "%s %s", all[i / 2].model, i % 2 ? "bf16" : "f32");
        tests[i] = (struct CMUnitTest){names[i], i % 2 ? bf16 : f32, NULL, NULL, &all[i / 2]};
    }
    return _cmocka_run_group_tests("goldens", tests, 2 * n, NULL, NULL);
}

#endif
