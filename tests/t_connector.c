/* SPDX-License-Identifier: Apache-2.0
 * The connector against its definition in double, and pixel shuffle against what Idefics3Connector of
 * transformers makes of counted features. A row has the same bits alone, in company, and with any number of
 * threads. Gradients are tests/grad.c's. */
#include "engine/connector.h"
#include "engine/par.h"
#include "tests/plain.h"

static void names(void **state) {
    (void)state;
    assert_null(ada_connector_names[0]);
    assert_string_equal(ada_connector_names[ADA_CONNECTOR_LINEAR], "linear");
    assert_string_equal(ada_connector_names[ADA_CONNECTOR_MLP2], "mlp2");
}

static void rows(void **state) {
    (void)state;
    int32_t n = 0;
    assert_ok(ada_connector_rows(&(ada_connector){.shuffle = 1}, 3, 5, &n));
    assert_int_equal(n, 15);
    assert_ok(ada_connector_rows(&(ada_connector){.shuffle = 3}, 9, 6, &n));
    assert_int_equal(n, 6);
    assert_fails(ada_connector_rows(&(ada_connector){.shuffle = 3}, 9, 8, &n), ADA_EINVAL,
                 "8 by 9 patches cannot be joined 3 by 3");
    assert_fails(ada_connector_rows(&(ada_connector){.shuffle = 3}, 8, 9, &n), ADA_EINVAL, "9 by 8");
    assert_fails(ada_connector_rows(&(ada_connector){.shuffle = 2}, 0, 2, &n), ADA_EINVAL, "2 by 0");
}

/* transformers 5.14: Idefics3Connector.pixel_shuffle(arange(16·2).view(1, 16, 2), 2), and of 36·1 by 3 */
static void shuffle_as_idefics3(void **state) {
    (void)state;
    static const float two[] = {0,  1,  2,  3,  8,  9,  10, 11, 4,  5,  6,  7,  12, 13, 14, 15,
                                16, 17, 18, 19, 24, 25, 26, 27, 20, 21, 22, 23, 28, 29, 30, 31};
    static const float three[] = {0,  1,  2,  6,  7,  8,  12, 13, 14, 3,  4,  5,  9,  10, 11, 15, 16, 17,
                                  18, 19, 20, 24, 25, 26, 30, 31, 32, 21, 22, 23, 27, 28, 29, 33, 34, 35};
    float in[36], out[36];
    for (int i = 0; i < 36; i++) in[i] = (float)i;
    ada_connector_gather(&(ada_connector){.features = 2, .shuffle = 2, .in = 8}, in, 4, 4, out);
    assert_memory_equal(out, two, sizeof two);
    ada_connector_gather(&(ada_connector){.features = 1, .shuffle = 3, .in = 9}, in, 6, 6, out);
    assert_memory_equal(out, three, sizeof three);
}

/* An oblong picture, standardised: s = 2, and s = 1, which moves nothing. */
static void gather(void **state) {
    (void)state;
    enum { H = 4, W = 6, F = 19 };
    ada_arena a = {0};
    float *in, *mean, *inv, out[H * W * F];
    draw(&a, H * W * F, 3, &in);
    draw(&a, F, 1, &mean);
    draw(&a, F, 1, &inv);
    for (int s = 1; s <= 2; s++) {
        ada_connector c = {.features = F, .shuffle = s, .in = F * s * s, .mean = mean, .inv_std = inv};
        ada_connector_gather(&c, in, H, W, out);
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++)
                for (int f = 0; f < F; f++) {
                    int row = y / s * (W / s) + x / s, at = ((y % s) * s + x % s) * F + f;
                    float want = (in[(y * W + x) * F + f] - mean[f]) * inv[f];
                    assert_true(out[row * c.in + at] == want);
                }
    }
    ada_arena_free(&a);
}

enum { IN = 300, HIDDEN = 250, D = 333, N = 21 }; /* more than one piece of a weight, and of rows */
typedef struct {
    ada_arena arena;
    ada_connector c;
    float *x, *y;
    void *scratch;
} made;

static made make(ada_connector_kind kind, ada_act_kind act, bool bias) {
    made m = {.c = {.kind = kind, .in = IN, .d = D, .act = act, .scale = 0.7F}};
    m.c.hidden = kind == ADA_CONNECTOR_MLP2 ? HIDDEN : 0;
    size_t first = m.c.hidden ? HIDDEN : D;
    draw(&m.arena, N * IN, 1, &m.x);
    draw(&m.arena, N * D, 1, &m.y);
    draw(&m.arena, IN * first, 0.06, &m.c.w1);
    if (bias) draw(&m.arena, first, 1, &m.c.b1);
    if (m.c.hidden) draw(&m.arena, HIDDEN * D, 0.06, &m.c.w2);
    if (m.c.hidden && bias) draw(&m.arena, D, 1, &m.c.b2);
    assert_ok(ada_arena_zero(&m.arena, &m.scratch, ada_connector_scratch(&m.c, N), 1));
    return m;
}

static double linear(const float *w, const float *b, const double *x, size_t k, size_t n, size_t i) {
    double s = b ? (double)b[i] : 0;
    for (size_t j = 0; j < k; j++) s += x[j] * (double)w[j * n + i];
    return s;
}

static void forward_agrees(ada_connector_kind kind, ada_act_kind act, bool bias) {
    made m = make(kind, act, bias);
    double x[IN], h[HIDDEN];
    ada_connector_forward(&m.c, m.x, N, m.y, m.scratch);
    for (size_t r = 0; r < N; r++) {
        for (size_t j = 0; j < IN; j++) x[j] = (double)m.x[r * IN + j];
        for (size_t j = 0; m.c.hidden && j < HIDDEN; j++)
            h[j] = plain_act(act, linear(m.c.w1, m.c.b1, x, IN, HIDDEN, j));
        for (size_t i = 0; i < D; i++) {
            double want =
                m.c.hidden ? linear(m.c.w2, m.c.b2, h, HIDDEN, D, i) : linear(m.c.w1, m.c.b1, x, IN, D, i);
            want *= (double)m.c.scale;
            /* sums of 300 products of about 0.06: 2^-24·√300 of their size, four times over */
            if (!(fabs((double)m.y[r * D + i] - want) < 8e-6))
                fail_msg("%s, row %zu, %zu: %g, not %g", ada_connector_names[kind], r, i,
                         (double)m.y[r * D + i], want);
        }
    }
    ada_arena_free(&m.arena);
}

static void forward(void **state) {
    (void)state;
    for (int bias = 0; bias < 2; bias++) {
        forward_agrees(ADA_CONNECTOR_LINEAR, ADA_ACT_SILU, bias);
        for (int act = ADA_ACT_SILU; act <= ADA_ACT_RELU; act++)
            forward_agrees(ADA_CONNECTOR_MLP2, (ada_act_kind)act, bias);
    }
}

static void same_bits(void **state) {
    (void)state;
    for (int kind = ADA_CONNECTOR_LINEAR; kind <= ADA_CONNECTOR_MLP2; kind++) {
        made m = make((ada_connector_kind)kind, ADA_ACT_GELU_ERF, true);
        float alone[D], again[N * D], *g[2], *dy;
        size_t n = IN * D + HIDDEN * D + IN * HIDDEN + D + HIDDEN;
        draw(&m.arena, N * D, 1, &dy);
        for (int t = 0; t < 2; t++) {
            (void)ada_par_force(t ? 4 : 1);
            assert_ok(ada_arena_zero(&m.arena, &g[t], n, sizeof **g));
            ada_connector_grads at = {g[t], g[t] + IN * D, g[t] + IN * D + D + HIDDEN, NULL};
            ada_connector_forward(&m.c, m.x, N, t ? again : m.y, m.scratch);
            ada_connector_backward(&m.c, m.x, N, dy, m.scratch, &at);
        }
        assert_memory_equal(again, m.y, sizeof again);
        assert_memory_equal(g[0], g[1], n * sizeof **g);
        for (size_t r = 0; r < N; r++) {
            ada_connector_forward(&m.c, m.x + r * IN, 1, alone, m.scratch);
            assert_memory_equal(alone, m.y + r * D, sizeof alone);
        }
        ada_arena_free(&m.arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),  cmocka_unit_test(rows),    cmocka_unit_test(shuffle_as_idefics3),
        cmocka_unit_test(gather), cmocka_unit_test(forward), cmocka_unit_test(same_bits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
