/* SPDX-License-Identifier: Apache-2.0
 * Beam search against all answers there are, for a toy that knows the last token only; what the length
 * penalty does; that a search ends when nothing better can come. golden_t5.c holds it to transformers. */
#include "engine/beam.h"
#include "tests/io_test.h"
#include <float.h>
#include <math.h>

enum { V = 4, EOS = 3, MAX = 4 };
static const int32_t eos = EOS;
static const double chance[V][V] = {
    {0.50, 0.25, 0.20, 0.05}, {0.10, 0.15, 0.05, 0.70}, {0.30, 0.45, 0.15, 0.10}, {0.25, 0.25, 0.25, 0.25}};

static void fill(float *logits, int32_t token) {
    for (int i = 0; i < V; i++) logits[i] = (float)(log(chance[token][i]) + 3); /* logits may be moved */
}

/* The best of all answers that begin with `so`, n tokens of log-likelihood `sum`. */
static double best_of_all(int32_t *so, int n, double sum, double power, int32_t *best, int *len) {
    double top = -INFINITY;
    if (n > 0 && (so[n - 1] == EOS || n == MAX)) {
        memcpy(best, so, (size_t)n * sizeof *so);
        *len = n;
        return sum / pow(n, power);
    }
    for (int32_t t = 0; t < V; t++) {
        int32_t found[MAX] = {0};
        int found_n = 0;
        so[n] = t;
        double score =
            best_of_all(so, n + 1, sum + log(chance[n ? so[n - 1] : 0][t]), power, found, &found_n);
        if (!(score > top)) continue;
        top = score;
        *len = found_n;
        memcpy(best, found, (size_t)found_n * sizeof *found);
    }
    return top;
}

static int steps; /* of the last search */

static const int32_t *search(ada_arena *a, int beams, double power, int32_t max, int32_t *n) {
    ada_beams *b;
    const int32_t *parent, *token;
    float logits[64 * V];
    assert_ok(ada_beams_layout(&b, a, beams, V, max, &eos, 1));
    ada_beams_begin(b, power);
    fill(logits, 0);
    for (steps = 1; ada_beams_step(b, logits, &parent, &token); steps++)
        for (int i = 0; i < beams; i++) {
            assert_true(parent[i] >= 0 && parent[i] < beams && token[i] >= 0 && token[i] < V);
            fill(logits + i * V, token[i]);
        }
    return ada_beams_best(b, n);
}

static void all_answers(void **state) {
    (void)state;
    static const double powers[] = {0.2, 1, 2, -1};
    for (size_t i = 0; i < sizeof powers / sizeof *powers; i++) {
        ada_arena a = {0};
        int32_t so[MAX], want[MAX] = {0}, n;
        int len = 0;
        (void)best_of_all(so, 0, 0, powers[i], want, &len);
        const int32_t *found = search(&a, 64, powers[i], MAX, &n);
        assert_int_equal(n, len);
        assert_memory_equal(found, want, (size_t)n * sizeof *found);
        ada_arena_free(&a);
    }
}

/* Two beams by hand. First 0 (.5) and 1 (.25); then 00 (.25), 1E (.175): 1E is done at ln .175 / 2 = -.871,
 * while 00 runs on, at ln .5 a token. */
static void two_beams(void **state) {
    (void)state;
    ada_arena a = {0};
    int32_t n;
    const int32_t *found = search(&a, 2, 1, MAX, &n);
    static const int32_t zeros[] = {0, 0, 0, 0}, ends[] = {1, EOS};
    assert_int_equal(n, 4); /* .5⁴: ln .5 a token */
    assert_memory_equal(found, zeros, sizeof zeros);
    found = search(&a, 2, -1, MAX, &n); /* the shorter the better */
    assert_int_equal(n, 2);
    assert_memory_equal(found, ends, sizeof ends);
    (void)search(&a, 2, DBL_MIN, 1000, &n); /* ends long before it must */
    assert_true(steps < 20);
    ada_arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_answers), cmocka_unit_test(two_beams)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
