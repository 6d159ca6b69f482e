/* SPDX-License-Identifier: Apache-2.0
 * The promise of bits: training, evaluation and generation of a tiny model end with the same bits for 1, 2, 3
 * and 4 threads, in f32 and bf16. Rows alone and batched: t_score.c. Resume at every step: t_state.c. Must
 * not know: what the right bits are. Invariant: each run starts from files, as a process of its own would. */
#include "engine/adapter.h"
#include "engine/par.h"
#include "tests/tiny.h"

enum { STEPS = 6, RANK = 4, MAX = 8192 };

typedef struct outcome {
    size_t n;
    unsigned char bytes[MAX];
} outcome;

static void add(outcome *o, const void *p, size_t n) {
    assert_true(o->n + n <= MAX);
    memcpy(o->bytes + o->n, p, n);
    o->n += n;
}

static int hear(void *ctx, const ada_token_event *e) {
    add(ctx, &e->id, sizeof e->id);
    add(ctx, &e->logprob, sizeof e->logprob);
    return 0;
}

static void see(void *ctx, const ada_eval_row *r) {
    add(ctx, r->loglik, r->nchoices * sizeof(double));
}

/* site: of the adapter; NULL: the only one there is. */
static outcome whole_run(const char *data, const char *site, bool f32, int threads) {
    outcome o = {0};
    ada_adapter *a = NULL;
    ada_trainer *t = NULL;
    ada_generator *g = NULL;
    ada_json *j = NULL;
    ada_report rep;
    ada_model *m = tiny_model(f32);
    (void)ada_par_force(threads);
    assert_ok(ada_adapter_new(&a, m, &(ada_adapter_opts){.rank = RANK, .activation = "gelu", .site = site}));
    assert_ok(ada_trainer_open(
        &t, m, a,
        &(ada_train_opts){.data = data, .steps = STEPS, .batch = 8, .lr = 0.05, .all_tokens = true}));
    for (int i = 0; i < STEPS; i++) {
        assert_ok(ada_trainer_step(t, &rep));
        add(&o, &rep.loss, sizeof rep.loss);
        add(&o, &rep.grad_norm, sizeof rep.grad_norm);
    }
    for (int i = 0; i < a->nparams; i++) add(&o, a->params[i].p, a->params[i].n * sizeof(float));
    assert_ok(ada_eval(m, a, &(ada_eval_opts){.data = data}, see, &o, &j));
    assert_ok(ada_generator_open(&g, m, a, 0));
    assert_ok(ada_generate_text(
        g, "say it:",
        &(ada_generate_opts){
            .max_new = 10, .temperature = 1, .logprobs = true, .plain = true, .ignore_eos = true},
        hear, &o, NULL));
    assert_ok(ada_generate_text(g, "say it:", &(ada_generate_opts){.max_new = 10, .beams = 3, .plain = true},
                                hear, &o, NULL));
    ada_json_close(&j);
    ada_generator_close(&g);
    ada_trainer_close(&t);
    ada_adapter_close(&a);
    ada_model_close(&m);
    return o;
}

static void threads_do_not_matter(void **state) {
    const char *site = *state;
    char data[512];
    (void)tiny_rows(data, "bits.jsonl", 24);
    for (int f32 = 0; f32 < 2; f32++) {
        outcome one = whole_run(data, site, f32, 1);
        assert_true(one.n > 2 * RANK * 32 * sizeof(float));
        for (int threads = 2; threads <= 4; threads++) {
            outcome more = whole_run(data, site, f32, threads);
            assert_int_equal(more.n, one.n);
            for (size_t i = 0; i < one.n; i++)
                if (more.bytes[i] != one.bytes[i])
                    fail_msg("%s: byte %zu differs with %d threads", f32 ? "f32" : "bf16", i, threads);
        }
    }
}

int main(void) {
    const struct CMUnitTest decoder[] = {cmocka_unit_test(threads_do_not_matter)};
    const struct CMUnitTest pair[] = {
        {"an encoder-decoder, whatever the threads", threads_do_not_matter, NULL, NULL, "both"}};
    return cmocka_run_group_tests(decoder, tiny_begin, io_test_end) +
           cmocka_run_group_tests(pair, tiny_begin_pair, io_test_end) +
           cmocka_run_group_tests(decoder, tiny_begin_prefix, io_test_end);
}
