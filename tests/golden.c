/* SPDX-License-Identifier: Apache-2.0
 * Tiny models against what transformers says of them in float32: logits, greedy tokens by way of the cache,
 * those of a search of 4 beams, the loss of an AdaLink adapter, and the adapter's gradients. Files and how
 * they came to be: golden/make_golden.py. */
#include "tests/golden.h"
#include "tests/tiny.h"

/* Measured × 4: f32 is within 1.2e-6 of the spread and 5.1e-6 of a gradient's norm; bf16 within 0.019 and
 * 0.09, where transformers' own bf16 is within 0.024 and 0.30 on these models. */
static const double logits_f32 = 5e-6, grad_f32 = 2e-5, logits_bf16 = 0.08, grad_bf16 = 0.36;

static void logits_agree(const ada_model *m, const ada_tensors *t, const int32_t *ids, int32_t T,
                         double limit) {
    ada_segment seg;
    ada_pack p = pack_one(&seg, ids, T, NULL, 0);
    pass_run r;
    pass_room(&r, &m->stack, &m->head, &p, false);
    pass_embed(&r, m, &p);
    ada_stack_forward(&m->stack, &p, r.pass, NULL, r.x, r.h);
    ada_head_logits(&m->head, r.head, r.h, p.nout, r.logits);
    float *want = floats(t, "logits");
    size_t n = (size_t)T * (size_t)m->c.vocab;
    check("logits, of their spread,", max_diff(r.logits, want, n) / spread(want, n), limit);
    test_free(want);
    ada_arena_free(&r.arena);
}

/* A prompt into the cache, then token by token. */
static void greedy_agrees(const ada_model *m, const ada_tensors *t) {
    enum { PROMPT = 8 };
    int32_t n, *ids = ints(t, "greedy", &n), last = PROMPT - 1;
    ada_segment seg = {.len = PROMPT, .parent = -1};
    ada_pack p = {PROMPT, 1, 1, ids, &seg, &last};
    ada_kv *kv = NULL;
    pass_run r;
    assert_ok(ada_kv_open(&kv, &m->stack, 1, n));
    pass_room(&r, &m->stack, &m->head, &p, false);
    for (int32_t at = PROMPT; at < n; at++) {
        pass_embed(&r, m, &p);
        ada_stack_forward(&m->stack, &p, r.pass, kv, r.x, r.h);
        ada_head_logits(&m->head, r.head, r.h, 1, r.logits);
        assert_int_equal(ada_k.argmax(r.logits, (size_t)m->c.vocab), ids[at]);
        seg = (ada_segment){.len = 1, .parent = -1, .pos = at}, last = 0;
        p = (ada_pack){1, 1, 1, ids + at, &seg, &last};
    }
    ada_arena_free(&r.arena);
    ada_kv_close(&kv);
    test_free(ids);
}

/* e' = e + s (e D) U and its gradients, as plainly as can be. */
static void gradients_agree(const ada_model *m, const ada_tensors *t, const int32_t *ids, int32_t T,
                            double limit) {
    int32_t n;
    int32_t *wanted = ints(t, "wanted", &n), target[64];
    float *D = floats(t, "down"), *U = floats(t, "up"), *s = floats(t, "scale"), *loss = floats(t, "loss");
    float *want_D = floats(t, "grad_down"), *want_U = floats(t, "grad_up"), weight[64];
    size_t d = (size_t)m->c.d, R = (size_t)answer(t, "down")->shape[1];
    for (int32_t i = 0; i < n; i++) target[i] = ids[wanted[i] + 1], weight[i] = 1.0F / (float)n;
    ada_segment seg;
    ada_pack p = pack_one(&seg, ids, T, wanted, n);
    pass_run r;
    pass_room(&r, &m->stack, &m->head, &p, true);
    pass_embed(&r, m, &p);
    float *e = test_malloc((size_t)T * d * sizeof *e), *low = test_calloc((size_t)T * R, sizeof *low);
    memcpy(e, r.x, (size_t)T * d * sizeof *e);
    for (size_t i = 0; i < (size_t)T; i++)
        for (size_t k = 0; k < R; k++) {
            for (size_t j = 0; j < d; j++) low[i * R + k] += e[i * d + j] * D[j * R + k];
            for (size_t j = 0; j < d; j++) r.x[i * d + j] += *s * low[i * R + k] * U[k * d + j];
        }
    ada_stack_forward(&m->stack, &p, r.pass, NULL, r.x, r.h);
    ada_head_loss(&m->head, r.head, r.h, target, weight, n, r.loss, r.dh);
    ada_stack_backward(&m->stack, &p, r.pass, r.dh, r.dx);
    float mean = 0, *dD = test_calloc(d * R, sizeof *dD), *dU = test_calloc(d * R, sizeof *dU);
    for (int32_t i = 0; i < n; i++) mean += r.loss[i] / (float)n;
    for (size_t i = 0; i < (size_t)T; i++)
        for (size_t k = 0; k < R; k++) {
            float back = 0;
            for (size_t j = 0; j < d; j++) back += *s * r.dx[i * d + j] * U[k * d + j];
            for (size_t j = 0; j < d; j++) dD[j * R + k] += e[i * d + j] * back;
            for (size_t j = 0; j < d; j++) dU[k * d + j] += *s * low[i * R + k] * r.dx[i * d + j];
        }
    check("loss", fabs((double)mean - (double)*loss) / fabs((double)*loss), limit);
    check("gradient of D", relative(dD, want_D, d * R), limit);
    check("gradient of U", relative(dU, want_U, d * R), limit);
    float *all[] = {D, U, s, loss, want_D, want_U, e, low, dD, dU};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) test_free(all[i]);
    test_free(wanted);
    ada_arena_free(&r.arena);
}

static void agrees(const golden *g, bool f32) {
    int32_t T;
    ada_model *m = golden_model(g->model, f32);
    ada_tensors *t = answers_open(g->answers);
    int32_t *ids = ints(t, "ids", &T);
    logits_agree(m, t, ids, T, f32 ? logits_f32 : logits_bf16);
    gradients_agree(m, t, ids, T, f32 ? grad_f32 : grad_bf16);
    if (f32) greedy_agrees(m, t);
    test_free(ids);
    ada_tensors_close(&t);
    ada_model_close(&m);
}

static void f32_agrees(void **state) {
    agrees(*state, true);
}
static void bf16_agrees(void **state) {
    agrees(*state, false);
}

/* ---- beams, through the generator, which wants a tokenizer beside the weights though ids are given to it */

static int beam_begin(void **state) {
    tiny_golden = *state;
    return tiny_begin(state);
}

typedef struct {
    int32_t ids[64], n;
} answered;

static int listen(void *ctx, const ada_token_event *e) {
    answered *a = ctx;
    if (e->id >= 0) a->ids[a->n++] = e->id;
    return 0;
}

static void beams_agree(void **state) {
    enum { PROMPT = 8, NEW = 20 };
    ada_model *m = tiny_model(true);
    ada_tensors *t = answers_open(tiny_golden);
    ada_generator *g = NULL;
    answered a = {.n = 0};
    int32_t n, T, *want = ints(t, "beam", &n), *ids = ints(t, "ids", &T);
    (void)state;
    assert_ok(ada_generator_open(&g, m, NULL, 0));
    assert_ok(ada_generate_ids(g, ids, PROMPT, &(ada_generate_opts){.max_new = NEW, .beams = 4}, listen, &a,
                               NULL));
    assert_int_equal(a.n, n);
    assert_memory_equal(a.ids, want, (size_t)n * sizeof *want);
    ada_generator_close(&g);
    test_free(want);
    test_free(ids);
    ada_tensors_close(&t);
    ada_model_close(&m);
}

int main(void) {
    static char *const searched[] = {"window", "head_dim",    "qwen3", "gemma",
                                     "gemma2", "gemma3_full", "gpt2",  "gptneox"};
    enum { SEARCHED = sizeof searched / sizeof *searched };
    struct CMUnitTest beams[SEARCHED];
    for (size_t i = 0; i < SEARCHED; i++)
        beams[i] = (struct CMUnitTest){searched[i], beams_agree, beam_begin, io_test_end, searched[i]};
    static golden all[] = {
        {"tied_gqa", "tied_gqa"},
        {"tied_gqa.gguf", "tied_gqa"},
        {"untied_bias", "untied_bias"},
        {"rope_llama3", "rope_llama3"},
        {"rope_llama3.gguf", "rope_llama3"},
        {"rope_linear", "rope_linear"},
        {"rope_yarn", "rope_yarn"},
        {"window", "window"},
        {"head_dim", "head_dim"},
        {"qwen2", "qwen2"},
        {"qwen2.gguf", "qwen2"},
        {"qwen2_window", "qwen2_window"},
        {"qwen3", "qwen3"},
        {"qwen3.gguf", "qwen3"},
        {"qwen3_bias", "qwen3_bias"},
        {"gemma2", "gemma2"},
        {"gemma2.gguf", "gemma2"},
        {"gemma2_plain", "gemma2_plain"},
        {"gemma3", "gemma3"},
        {"gemma3.gguf", "gemma3"},
        {"gemma3_full", "gemma3_full"},
        {"gpt2", "gpt2"},
        {"gpt2.gguf", "gpt2"},
        {"gpt2_inner", "gpt2_inner"},
        {"gptneox", "gptneox"},
        {"gptneox.gguf", "gptneox"},
        {"gptneox_serial", "gptneox_serial"},
        {"gemma", "gemma"},
        {"gemma.gguf", "gemma"},
        {"gemma_bias", "gemma_bias"},
    };
    return golden_run(all, sizeof all / sizeof *all, f32_agrees, bf16_agrees) +
           _cmocka_run_group_tests("beams", beams, SEARCHED, NULL, NULL);
}
