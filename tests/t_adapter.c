/* SPDX-License-Identifier: Apache-2.0
 * AdaLink against its formula in double, and its gradients against central differences of that formula: every
 * activation, with and without bias. Options that cannot be are refused. The join: one row a token, sums in
 * order. */
#include "engine/adapter.h"
#include "engine/embed.h"
#include "engine/par.h"
#include "engine/vision.h"
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
    assert_fails(ada_adapter_new(&a, &fake, &(ada_adapter_opts){.modalities = "image"}), ADA_EINVAL,
                 "the model sees no images");
    assert_fails(ada_adapter_new(&a, &fake, &(ada_adapter_opts){.modalities = "text,"}), ADA_EINVAL,
                 "modality ''");
    assert_fails(ada_adapter_new(&a, &fake, &(ada_adapter_opts){.modalities = "decoder_text"}), ADA_EINVAL,
                 "'decoder_text'");
    assert_fails(ada_adapter_new(&a, &fake, &(ada_adapter_opts){.method = "connector"}), ADA_EINVAL,
                 "the model has no connector");
    assert_null(a);
}

/* A model that sees: each modality has its own adapter, or none. */
static void modalities(void **state) {
    (void)state;
    static ada_vision vision;
    static float e[ROWS * D], y[ROWS * D], scratch[3 * ROWS * R];
    ada_model sees = {.c = fake.c, .vision = &vision};
    static const struct {
        const char *list;
        bool text, image;
    } cases[] = {{NULL, true, true},
                 {"text,image", true, true},
                 {"image,text", true, true},
                 {"text", true, false},
                 {"image", false, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ada_adapter *a = NULL;
        assert_ok(ada_adapter_new(&a, &sees,
                                  &(ada_adapter_opts){.rank = R, .modalities = cases[i].list, .seed = 3}));
        assert_true((a->first[ADA_TEXT] >= 0) == cases[i].text);
        assert_true((a->first[ADA_IMAGE] >= 0) == cases[i].image);
        assert_true(a->first[ADA_DECODER] < 0);
        assert_int_equal(a->nparams, 2 * (cases[i].text + cases[i].image));
        if (cases[i].image) {
            const ada_param_set *down = &a->params[a->first[ADA_IMAGE]];
            assert_string_equal(down->name, "image/down");
            assert_string_equal(down[1].name, "image/up");
            if (cases[i].text) assert_memory_not_equal(down->p, a->params[0].p, down->n * sizeof(float));
        }
        if (cases[i].text && cases[i].image) { /* neither touches what is the other's */
            assert_ok(ada_adapter_trainable(a));
            for (int k = 0; k < ROWS * D; k++) e[k] = (float)cos(k);
            a->method->embed_forward(a, ADA_IMAGE, e, ROWS, y, scratch);
            a->method->embed_backward(a, ADA_IMAGE, e, ROWS, y, scratch);
            float text = 0, image = 0;
            for (size_t k = 0; k < a->params[1].n; k++) text += fabsf(a->params[1].g[k]);
            for (size_t k = 0; k < a->params[3].n; k++) image += fabsf(a->params[3].g[k]);
            assert_true(text == 0 && image > 0);
        }
        ada_adapter_close(&a);
    }
}

/* A connector that is trained begins as the model's own; what it adds up is engine/connector.c's. */
static void connector(void **state) {
    (void)state;
    enum { IN = 12, HIDDEN = 9, N = 5 };
    static float w1[IN * D], w2[HIDDEN * D], b[D], x[N * IN], y[2][N * D], scratch[1 << 12], g[IN * D];
    for (int i = 0; i < IN * D; i++) w1[i] = (float)sin(i), w2[i % (HIDDEN * D)] = (float)cos(i);
    for (int i = 0; i < N * IN; i++) x[i] = (float)sin(0.7 * i);
    static const char *const names[2][4] = {
        {"image/weight", "image/bias"}, {"image/weight_1", "image/bias_1", "image/weight_2", "image/bias_2"}};
    for (int biased = 0; biased < 2; biased++)
        for (int mlp = 0; mlp < 2; mlp++) {
            ada_vision v = {.connector = {.kind = mlp ? ADA_CONNECTOR_MLP2 : ADA_CONNECTOR_LINEAR,
                                          .in = IN,
                                          .hidden = mlp ? HIDDEN : 0,
                                          .d = D,
                                          .scale = 0.5F,
                                          .w1 = w1,
                                          .b1 = biased ? b : NULL,
                                          .w2 = mlp ? w2 : NULL,
                                          .b2 = mlp && biased ? b : NULL}};
            ada_model sees = {.c = fake.c, .vision = &v};
            ada_adapter *a = NULL;
            assert_fails(
                ada_adapter_new(&a, &sees, &(ada_adapter_opts){.method = "connector", .modalities = "image"}),
                ADA_EINVAL, "no option but the seed");
            assert_ok(ada_adapter_new(&a, &sees, &(ada_adapter_opts){.method = "connector", .seed = 4}));
            assert_true(a->method->connects && a->first[ADA_IMAGE] == 0 && a->first[ADA_TEXT] < 0);
            assert_int_equal(a->nparams, (mlp ? 2 : 1) * (biased ? 2 : 1));
            for (int i = 0; i < a->nparams; i++)
                assert_string_equal(a->params[i].name, names[mlp][biased ? i : 2 * i]);
            assert_true(a->method->embed_scratch(a, N) <= sizeof scratch);
            a->method->embed_forward(a, ADA_IMAGE, x, N, y[0], scratch);
            ada_connector_forward(&v.connector, x, N, y[1], scratch);
            assert_memory_equal(y[0], y[1], sizeof y[0]);
            assert_ok(ada_adapter_trainable(a));
            a->method->embed_backward(a, ADA_IMAGE, x, N, y[0], scratch);
            memset(g, 0, sizeof g);
            ada_connector_backward(&v.connector, x, N, y[0], scratch, &(ada_connector_grads){.w1 = g});
            assert_memory_equal(a->params[0].g, g, a->params[0].n * sizeof *g);
            a->params[0].p[0] += 1; /* its own copy */
            assert_true(w1[0] == 0);
            a->method->embed_forward(a, ADA_IMAGE, x, N, y[0], scratch);
            assert_memory_not_equal(y[0], y[1], sizeof y[0]);
            ada_adapter_close(&a);
        }
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
    assert_ok(ada_join_layout(&j, &arena, m, a, &(ada_join_limits){.unique = T, .train = true}));
    for (int round = 0; round < 2; round++) {
        ada_join_clear(j);
        ada_join_add(j, ids, 4);
        ada_join_add(j, ids + 4, 3);
        assert_ok(ada_join_start(j));
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

static void image_from_text(void **state) {
    (void)state;
    static ada_vision eyes;
    ada_model seeing = {.c = {.d = D, .vocab = ROWS}, .vision = &eyes};
    ada_adapter *a = NULL;
    assert_ok(ada_adapter_new(&a, &seeing, &(ada_adapter_opts){.rank = R, .bias = true}));
    assert_int_equal(a->nparams, 8);
    for (int i = 0; i < 8; i++)
        for (size_t k = 0; k < a->params[i].n; k++) a->params[i].p[k] = (float)i + (float)k / 1000;
    assert_ok(ada_adapter_image_from_text(a));
    for (int i = 0; i < 8; i++)
        for (size_t k = 0; k < a->params[i].n; k++)
            assert_true(a->params[i].p[k] == (float)(i % 4) + (float)k / 1000);
    ada_adapter_close(&a);
    for (int text = 0; text < 2; text++) {
        assert_ok(ada_adapter_new(&a, &seeing, &(ada_adapter_opts){.modalities = text ? "text" : "image"}));
        assert_fails(ada_adapter_image_from_text(a), ADA_EINVAL, "not both a text and an image part");
        ada_adapter_close(&a);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(formula_and_gradients),
                                       cmocka_unit_test(start),
                                       cmocka_unit_test(refusals),
                                       cmocka_unit_test(join),
                                       cmocka_unit_test(modalities),
                                       cmocka_unit_test(connector),
                                       cmocka_unit_test(image_from_text),
                                       cmocka_unit_test(threads_do_not_matter)};
    return cmocka_run_group_tests(tests, tiny_begin, io_test_end);
}
