/* SPDX-License-Identifier: Apache-2.0
 * The head's promises: the loss is that of the logits; a row has the same bits in any chunk and by any number
 * of threads; the gradient is right across the pieces in which a long row of logits is worked. */
#include "tests/pass.h"
#include <math.h>

enum { D = 24, V = 5000, N = 300 }; /* rows of more than two pieces of logits; more rows than two chunks */

typedef struct {
    ada_arena a;
    ada_config c;
    ada_head head;
    ada_head_ws *ws;
    float *w, *x, *weight, *logits, *loss, *dh;
    int32_t target[N];
} fixture;

static void begin(fixture *f, ada_dtype type) {
    memset(f, 0, sizeof *f);
    f->c = (ada_config){.d = D, .vocab = V, .norm_eps = 1e-5F};
    draw(&f->a, (size_t)V * D, 0.5, &f->w);
    draw(&f->a, (size_t)N * D, 1, &f->x);
    draw(&f->a, N, 1, &f->weight);
    draw(&f->a, D, 1, &f->head.norm);
    draw(&f->a, (size_t)N * V, 0, &f->logits);
    draw(&f->a, N, 0, &f->loss);
    draw(&f->a, (size_t)N * D, 1, &f->dh);
    f->head.c = &f->c, f->head.type = type;
    f->head.out.w = mat_of(&f->a, f->w, V, D, type);
    /* first, last, and on both sides of each 1024 */
    for (int32_t i = 0; i < N; i++) f->target[i] = i == 0 ? 0 : i == 1 ? V - 1 : (i / 2 * 1024 - i % 2) % V;
    for (int32_t i = 0; i < N; i++) f->target[i] = f->target[i] < 0 ? 0 : f->target[i];
    assert_ok(ada_head_layout(&f->ws, &f->a, &f->head, N));
}

static void end(fixture *f) {
    ada_mat_close(&f->head.out.w);
    ada_arena_free(&f->a);
}

static double row_lse(const float *x) {
    double top = -INFINITY, sum = 0;
    for (int i = 0; i < V; i++) top = fmax(top, (double)x[i]);
    for (int i = 0; i < V; i++) sum += exp((double)x[i] - top);
    return top + log(sum);
}

static void test_loss_is_that_of_logits(void **state) {
    (void)state;
    fixture f;
    begin(&f, ADA_F32);
    ada_head_logits(&f.head, f.ws, f.x, N, f.logits);
    ada_head_loss(&f.head, f.ws, f.x, f.target, f.weight, N, f.loss, NULL);
    for (size_t i = 0; i < N; i++) {
        double want = row_lse(f.logits + i * V) - (double)f.logits[i * V + (size_t)f.target[i]];
        assert_true(fabs((double)f.loss[i] - want) < 1e-5 * (1 + fabs(want)));
    }
    end(&f);
}

/* d(Σ weight·loss)/dh by its formula in double, from the logits. */
static void test_gradient(void **state) {
    (void)state;
    fixture f;
    begin(&f, ADA_F32);
    ada_head_logits(&f.head, f.ws, f.x, N, f.logits);
    ada_head_loss(&f.head, f.ws, f.x, f.target, f.weight, N, f.loss, f.dh);
    for (size_t i = 0; i < N; i++) {
        const float *x = f.x + i * D;
        double dn[D] = {0}, square = 0, mean = 0, lse = row_lse(f.logits + i * V);
        for (size_t v = 0; v < V; v++) {
            double p = exp((double)f.logits[i * V + v] - lse) - (v == (size_t)f.target[i]);
            for (size_t j = 0; j < D; j++) dn[j] += (double)f.weight[i] * p * (double)f.w[v * D + j];
        }
        for (size_t j = 0; j < D; j++) square += (double)x[j] * (double)x[j];
        double r = 1 / sqrt(square / D + 1e-5);
        for (size_t j = 0; j < D; j++) dn[j] *= (double)f.head.norm[j], mean += dn[j] * (double)x[j] * r / D;
        for (size_t j = 0; j < D; j++) {
            double want = r * (dn[j] - (double)x[j] * r * mean);
            assert_true(fabs((double)f.dh[i * D + j] - want) < 2e-5 * (1 + fabs(want)));
        }
    }
    end(&f);
}

static void test_same_bits(void **state) {
    (void)state;
    for (int type = 0; type < 2; type++) {
        fixture f;
        float loss, dh[D];
        ada_par_force(3);
        begin(&f, type ? ADA_BF16 : ADA_F32);
        ada_head_loss(&f.head, f.ws, f.x, f.target, f.weight, N, f.loss, f.dh);
        ada_head_logits(&f.head, f.ws, f.x, N, f.logits);
        float *row = test_malloc(V * sizeof *row);
        ada_par_force(1);
        for (size_t i = 0; i < N; i += 37) {
            ada_head_loss(&f.head, f.ws, f.x + i * D, f.target + i, f.weight + i, 1, &loss, dh);
            ada_head_logits(&f.head, f.ws, f.x + i * D, 1, row);
            assert_memory_equal(&loss, f.loss + i, sizeof loss);
            assert_memory_equal(dh, f.dh + i * D, sizeof dh);
            assert_memory_equal(row, f.logits + i * V, V * sizeof *row);
        }
        test_free(row);
        ada_par_force(2);
        end(&f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loss_is_that_of_logits),
        cmocka_unit_test(test_gradient),
        cmocka_unit_test(test_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
