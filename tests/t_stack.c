/* SPDX-License-Identifier: Apache-2.0
 * The layer loop's promises: what a layout counts is what it takes; a row has the same bits alone, in company
 * and by any number of threads; wanted rows are those of the whole; work is counted as it is done. */
#include "tests/pass.h"

/* Two rows that share 7 tokens and part; a third of its own. */
static const int32_t ids[] = {5,           9, 33, 60, 7,           7, 41, /* then */ 12, 70, 3,
                              /* or */ 55, 6, 18, 22, /* and */ 8, 9, 10};
static const ada_segment segs[] = {{0, 7, -1, 0, -1, 0, false},
                                   {7, 3, 0, 7, -1, 0, false},
                                   {10, 4, 0, 7, -1, 0, false},
                                   {14, 3, -1, 0, -1, 0, false}};
static const int32_t out[] = {6, 9, 11, 13, 16};
static ada_pack whole(void) {
    return (ada_pack){17, 4, 5, ids, segs, out};
}

typedef struct {
    float h[32 * 64], dx[32 * 64];
} result;

static void run(const ada_model *m, const ada_pack *p, bool train, result *to) {
    pass_run r;
    size_t d = (size_t)m->c.d;
    pass_room(&r, &m->stack, &m->head, p, train);
    pass_embed(&r, m, p);
    ada_stack_forward(&m->stack, p, r.pass, NULL, r.x, r.h);
    memcpy(to->h, r.h, (size_t)p->nout * d * sizeof(float));
    if (train) {
        for (size_t i = 0; i < (size_t)p->nout * d; i++) r.dh[i] = (float)(i % 7) - 3;
        ada_stack_backward(&m->stack, p, r.pass, r.dh, r.dx);
        memcpy(to->dx, r.dx, (size_t)p->T * d * sizeof(float));
    }
    ada_arena_free(&r.arena);
}

static void test_alone_and_together(void **state) {
    for (int f32 = 0; f32 < 2; f32++) {
        ada_model *m = golden_model(*state, f32 != 0);
        size_t row = (size_t)m->c.d * sizeof(float);
        static result together, alone;
        ada_pack p = whole();
        run(m, &p, false, &together);
        /* the row of segments 0 and 2, in one segment; its rows 6, 8, 10 are the pack's 6, 11, 13 */
        int32_t path[11], wanted[] = {6, 8, 10};
        memcpy(path, ids, 7 * sizeof *ids);
        memcpy(path + 7, ids + 10, 4 * sizeof *ids);
        ada_segment seg;
        ada_pack one = pack_one(&seg, path, 11, wanted, 3);
        run(m, &one, false, &alone);
        size_t d = (size_t)m->c.d;
        assert_memory_equal(alone.h, together.h, row);
        assert_memory_equal(alone.h + d, together.h + 2 * d, row);
        assert_memory_equal(alone.h + 2 * d, together.h + 3 * d, row);
        /* kept activations change nothing, nor do more wanted rows */
        run(m, &one, true, &together);
        assert_memory_equal(alone.h, together.h, 3 * row);
        one = pack_one(&seg, path, 11, NULL, 0);
        run(m, &one, false, &together);
        assert_memory_equal(alone.h + 2 * d, together.h + 10 * d, row);
        ada_model_close(&m);
    }
}

static void test_threads(void **state) {
    for (int f32 = 0; f32 < 2; f32++) {
        ada_model *m = golden_model(*state, f32 != 0);
        static result first, other;
        ada_pack p = whole();
        ada_par_force(1);
        run(m, &p, true, &first);
        for (int n = 2; n <= 4; n++) {
            ada_par_force(n);
            run(m, &p, true, &other);
            assert_memory_equal(first.h, other.h, (size_t)(p.nout * m->c.d) * sizeof(float));
            assert_memory_equal(first.dx, other.dx, (size_t)(p.T * m->c.d) * sizeof(float));
        }
        ada_par_force(2);
        ada_model_close(&m);
    }
}

static size_t counted(const ada_stack *s, int32_t T, bool train) {
    ada_arena a = {0};
    ada_pass *p;
    ada_arena_count(&a);
    assert_ok(ada_pass_layout(&p, &a, s, T, 4, T, T / 2, train));
    return a.used;
}

/* Panels for two threads serve one as well. */
static void test_other_threads(void **state) {
    enum { T = 150 };
    int32_t words[T], wanted[] = {3, T - 1};
    for (int32_t i = 0; i < T; i++) words[i] = i * 7 % 70;
    for (int f32 = 0; f32 < 2; f32++) {
        ada_model *m = golden_model(*state, f32 != 0);
        size_t n = 2 * (size_t)m->c.d * sizeof(float);
        ada_segment seg;
        ada_pack p = pack_one(&seg, words, T, wanted, 2);
        float first[2 * 64];
        pass_run r;
        (void)ada_par_force(2);
        pass_room(&r, &m->stack, &m->head, &p, false);
        for (int team = 2; team > 0; team--) {
            (void)ada_par_force(team);
            pass_embed(&r, m, &p);
            ada_stack_forward(&m->stack, &p, r.pass, NULL, r.x, r.h);
            if (team == 2) memcpy(first, r.h, n);
            assert_memory_equal(r.h, first, n);
        }
        ada_arena_free(&r.arena);
        ada_model_close(&m);
    }
}

static void test_counted_is_taken(void **state) {
    ada_model *m = golden_model(*state, false);
    ada_arena a = {0};
    ada_pass *p;
    for (int train = 0; train < 2; train++) {
        assert_ok(ada_arena_fix(&a, counted(&m->stack, 300, train != 0)));
        assert_ok(ada_pass_layout(&p, &a, &m->stack, 300, 4, 300, 150, train != 0));
        assert_int_equal(a.used, a.fixed);
    }
    ada_arena_free(&a);
    ada_model_close(&m);
}

/* SmolLM2-135M's sizes: what a token costs in training, by the difference of two lengths. */
static void test_memory_of_a_token(void **state) {
    (void)state;
    static ada_layer layers[30];
    ada_stack s = {
        .c = {.d = 576, .layers = 30, .heads = 9, .kv_heads = 3, .head_dim = 64, .ffn = 1536, .vocab = 49152},
        .type = ADA_BF16,
        .layers = layers};
    size_t token = (counted(&s, 4096, true) - counted(&s, 2048, true)) / 2048 / 30;
    if (token > 12 << 10) fail_msg("%zu bytes a token and layer", token);
    if (counted(&s, 2048, false) > (size_t)40 << 20)
        fail_msg("%zu bytes to infer 2048 tokens", counted(&s, 2048, false));
}

static void test_flops(void **state) {
    ada_model *m = golden_model(*state, true);
    const ada_config *c = &m->c;
    ada_pack p = whole();
    double keys = 0, wanted = 0, q = c->heads * c->head_dim, kv = 2.0 * c->kv_heads * c->head_dim, weights,
           forward;
    /* positions 0..6, 7..9, 7..10, 0..2, each seeing itself and what is before it, in the window if there is
     * one */
    static const int positions[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 7, 8, 9, 10, 0, 1, 2};
    for (int i = 0, o = 0; i < 17; i++) {
        double n = c->window && positions[i] + 1 > c->window ? c->window : positions[i] + 1;
        keys += n;
        if (o < 5 && out[o] == i) wanted += n, o++;
    }
    weights = (c->layers - 1) * 17 * (c->d * (q + kv) + q * c->d + 3.0 * c->ffn * c->d);
    weights += 17 * c->d * kv + 5 * (c->d * q + q * c->d + 3.0 * c->ffn * c->d);
    forward = 2 * weights + 4 * q * (keys * (c->layers - 1) + wanted);
    assert_true(ada_stack_flops(&m->stack, &p, false) == forward);
    assert_true(ada_stack_flops(&m->stack, &p, true) == forward + 4 * q * (keys * (c->layers - 1) + wanted));
    assert_true(ada_stack_flops_spared(&m->stack, &p) ==
                2 * 17 * (c->d * (q + kv) + q * c->d) +
                    8 * q * keys); /* all of the first layer's attention */
    /* the row of its own sees itself in both directions: 2 and 1 more keys, its last one no more */
    ada_segment full[4];
    memcpy(full, segs, sizeof segs);
    full[3].full = true, p.segs = full;
    assert_true(ada_stack_flops(&m->stack, &p, false) == forward + 4 * q * 3 * (c->layers - 1));
    ada_model_close(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        {"a row alone and in company", test_alone_and_together, NULL, NULL, "tied_gqa"},
        {"a row alone and in company, windowed", test_alone_and_together, NULL, NULL, "window"},
        {"threads", test_threads, NULL, NULL, "untied_bias"},
        {"counted is taken", test_counted_is_taken, NULL, NULL, "head_dim"},
        {"fewer threads than there were", test_other_threads, NULL, NULL, "tied_gqa"},
        cmocka_unit_test(test_memory_of_a_token),
        {"flops", test_flops, NULL, NULL, "tied_gqa"},
        {"flops, windowed", test_flops, NULL, NULL, "window"},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
