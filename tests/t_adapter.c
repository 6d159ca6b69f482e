/* SPDX-License-Identifier: Apache-2.0
 * AdaLink against its formula in double, and its gradients against central differences of that formula: every
 * activation, with and without bias. Options that cannot be are refused. The join: one row a token, sums in
 * order. */
#include "engine/adapter.h"
#include "engine/embed.h"
#include "engine/par.h"
#include "tests/tiny.h"

enum { D = 37, R = 5, ROWS = 50 };
static ada_model fake = {.c = {.d = D, .vocab = ROWS}};

static double f(int act, double z) {
    if (act == ADA_F_RELU) return z > 0 ? z : 0;
    return act == ADA_F_GELU ? 0.5 * z * (1 + erf(z / sqrt(2))) : z;
}

/* Σ w·y of the formula, parameters in double. */
static double objective(const ada_adapter *a, double *const *p, const float *e, const float *w, double *y) {
    double sum = 0;
    for (int i = 0; i < ROWS; i++) {
        double h[R];
        for (int k = 0; k < R; k++) {
            double z = a->bias ? p[2][k] : 0;
            for (int j = 0; j < D; j++) z += (double)e[i * D + j] * p[0][j * R + k];
            h[k] = f(a->activation, z);
        }
        for (int j = 0; j < D; j++) {
            double u = a->bias ? p[3][j] : 0;
            for (int k = 0; k < R; k++) u += h[k] * p[1][k * D + j];
            double out = (double)e[i * D + j] + (double)a->scale * u;
            if (y) y[i * D + j] = out;
            sum += (double)w[i * D + j] * out;
        }
    }
    return sum;
}

static void check_case(const char *act, bool bias) {
    static float e[ROWS * D], w[ROWS * D], y[ROWS * D], scratch[3 * ROWS * R];
    static double ref[ROWS * D], store[2 * D * R + R + D];
    ada_adapter *a = NULL;
    assert_ok(ada_adapter_new(
        &a, &fake, &(ada_adapter_opts){.rank = R, .scale = 0.7, .activation = act, .bias = bias, .seed = 5}));
    assert_ok(ada_adapter_trainable(a));
    assert_int_equal(ada_adapter_params(a), 2 * D * R + (bias ? D + R : 0));
    assert_int_equal(a->method->embed_scratch(a, ROWS), sizeof scratch);
    for (size_t i = 0; i < a->params[1].n; i++) assert_true(a->params[1].p[i] == 0);
    srand(7);
    for (int i = 0; i < ROWS * D; i++)
        e[i] = (float)rand() / (float)RAND_MAX - 0.5f, w[i] = (float)rand() / (float)RAND_MAX - 0.5f;
    double *p[4], *at = store;
    for (int i = 0; i < a->nparams; i++) {
        p[i] = at;
        at += a->params[i].n;
        for (size_t k = 0; k < a->params[i].n; k++) {
            if (i > 0) a->params[i].p[k] = (float)rand() / (float)RAND_MAX - 0.5f;
            p[i][k] = a->params[i].p[k];
        }
    }
    a->method->embed_forward(a, ADA_TEXT, e, ROWS, y, scratch);
    (void)objective(a, p, e, w, ref);
    for (int i = 0; i < ROWS * D; i++)
        if (!(fabs((double)y[i] - ref[i]) < 4e-6)) fail_msg("%s: y[%d] = %g, not %g", act, i, y[i], ref[i]);
    a->method->embed_backward(a, ADA_TEXT, e, ROWS, w, scratch);
    for (int i = 0; i < a->nparams; i++)
        for (size_t k = 0; k < a->params[i].n; k++) {
            const double eps = 1e-6;
            double was = p[i][k], up, down;
            p[i][k] = was + eps, up = objective(a, p, e, w, NULL);
            p[i][k] = was - eps, down = objective(a, p, e, w, NULL);
            p[i][k] = was;
            double want = (up - down) / (2 * eps), got = a->params[i].g[k];
            if (!(fabs(got - want) < 2e-5))
                fail_msg("%s: gradient of %s[%zu] is %g, not %g", act, a->params[i].name, k, got, want);
        }
    float once = a->params[0].g[3];
    a->method->embed_backward(a, ADA_TEXT, e, ROWS, w, scratch); /* adds */
    assert_true(fabsf(a->params[0].g[3] - 2 * once) < 1e-5f);
    ada_adapter_zero_grad(a);
    assert_true(a->params[0].g[3] == 0);
    ada_adapter_close(&a);
}

static void formula_and_gradients(void **state) {
    (void)state;
    for (int act = 0; act < ADA_ACTIVATIONS; act++)
        for (int bias = 0; bias < 2; bias++) check_case(ada_activation_names[act], bias);
}

static void start(void **state) {
    (void)state;
    ada_adapter *a = NULL, *b = NULL;
    double sq = 0;
    assert_ok(ada_adapter_new(&a, &fake, &(ada_adapter_opts){.seed = 1}));
    assert_ok(ada_adapter_new(&b, &fake, &(ada_adapter_opts){.seed = 1, .init_std = 3 * ADA_INIT_STD(D)}));
    assert_int_equal(a->rank, 64);
    for (size_t i = 0; i < a->params[0].n; i++) {
        sq += (double)a->params[0].p[i] * (double)a->params[0].p[i];
        assert_true(fabsf(3 * a->params[0].p[i] - b->params[0].p[i]) < 1e-6f);
    }
    double n = (double)a->params[0].n;
    assert_true(fabs(sq / n * D - 1) < 4 * sqrt(2 / n)); /* 4 standard errors of a variance */
    ada_adapter_close(&a);
    ada_adapter_close(&b);
    ada_adapter_close(&b);
}

static void refusals(void **state) {
    (void)state;
    ada_adapter *a = NULL;
    assert_fails(ada_adapter_new(&a, &fake, &(ada_adapter_opts){.method = "lora"}), ADA_EINVAL, "'lora'");
    assert_fails(ada_adapter_new(&a, &fake, &(ada_adapter_opts){.activation = "tanh"}), ADA_EINVAL, "'tanh'");
    assert_fails(ada_adapter_new(&a, &fake, &(ada_adapter_opts){.rank = -1}), ADA_EINVAL, "rank -1");
    assert_fails(ada_adapter_new(&a, &fake, &(ada_adapter_opts){.scale = INFINITY}), ADA_EINVAL, "scale");
    assert_fails(ada_adapter_new(&a, &fake, &(ada_adapter_opts){.init_std = -1}), ADA_EINVAL, "deviation");
    assert_null(a);
}

/* The same tokens in two packs and in one give the same rows; gradients of a token add up. */
static void join(void **state) {
    (void)state;
    ada_model *m = tiny_model(true);
    ada_adapter *a = NULL;
    ada_join *j;
    ada_arena arena = {0};
    enum { T = 7, W = 32 };
    static const int32_t ids[T] = {9, 4, 9, 70, 4, 9, 5};
    float x[T * W], e[W], dx[T * W];
    assert_ok(ada_adapter_new(&a, m, &(ada_adapter_opts){.rank = 3}));
    assert_ok(ada_adapter_trainable(a));
    for (size_t i = 0; i < a->params[1].n; i++) a->params[1].p[i] = 0.1f;
    assert_ok(ada_join_layout(&j, &arena, m, a, ADA_TEXT, T, true));
    for (int round = 0; round < 2; round++) {
        ada_join_clear(j);
        ada_join_add(j, ids, 4);
        ada_join_add(j, ids + 4, 3);
        ada_join_start(j);
        assert_int_equal(ada_join_count(j), 4);
        ada_join_rows(j, ids, T, x);
        assert_memory_equal(x, x + 2 * W, sizeof e);
        assert_memory_equal(x + W, x + 4 * W, sizeof e);
        ada_model_embed(m, 70, e);
        assert_memory_not_equal(x + 3 * W, e, sizeof e);
        for (int i = 0; i < T * W; i++) dx[i] = 1;
        ada_adapter_zero_grad(a);
        ada_join_back(j, ids, 4, dx);
        ada_join_back(j, ids + 4, 3, dx);
        ada_join_end(j);
        /* dU = s·Σ z·dy: column sums of z over all rows, the same in every column */
        double z = 0;
        for (int i = 0; i < T; i++) {
            ada_model_embed(m, ids[i], e);
            for (int k = 0; k < W; k++) z += (double)e[k] * (double)a->params[0].p[k * 3];
        }
        assert_true(fabs(z - (double)a->params[1].g[0]) < 1e-4);
    }
    ada_arena_free(&arena);
    ada_adapter_close(&a);
    ada_model_close(&m);
}

static void threads_do_not_matter(void **state) {
    (void)state;
    static float e[ROWS * D], y[2][ROWS * D], scratch[3 * ROWS * R], g[2][D * R];
    for (int i = 0; i < ROWS * D; i++) e[i] = (float)sin(i);
    for (int t = 0; t < 2; t++) {
        ada_adapter *a = NULL;
        (void)ada_par_force(t ? 4 : 1);
        assert_ok(ada_adapter_new(&a, &fake, &(ada_adapter_opts){.rank = R, .activation = "gelu"}));
        assert_ok(ada_adapter_trainable(a));
        memcpy(a->params[1].p, e, a->params[1].n * sizeof *e);
        a->method->embed_forward(a, ADA_TEXT, e, ROWS, y[t], scratch);
        a->method->embed_backward(a, ADA_TEXT, e, ROWS, y[t], scratch);
        memcpy(g[t], a->params[0].g, sizeof g[t]);
        ada_adapter_close(&a);
    }
    assert_memory_equal(y[0], y[1], sizeof y[0]);
    assert_memory_equal(g[0], g[1], sizeof g[0]);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(formula_and_gradients), cmocka_unit_test(start),
                                       cmocka_unit_test(refusals), cmocka_unit_test(join),
                                       cmocka_unit_test(threads_do_not_matter)};
    return cmocka_run_group_tests(tests, tiny_begin, io_test_end);
}
