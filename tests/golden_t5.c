/* SPDX-License-Identifier: Apache-2.0
 * Tiny encoder-decoders against what transformers says of them in float32: logits, the loss of an AdaLink
 * adapter at the encoder's input, at the decoder's, at both, its gradients there, and what greedy and beam
 * search say from the prompt as text. Files and how they came
 * to be: golden/make_t5.py. */
#include "tests/golden.h"
#include "engine/cross.h"

/* Measured × 4, as in golden.c. */
static const double logits_f32 = 5e-6, grad_f32 = 2e-5, logits_bf16 = 0.08, grad_bf16 = 0.36;

enum { ENCODER, DECODER, SIDES };
static const char *const sides[SIDES] = {"encoder", "decoder"};

/* One row through encoder and decoder, with what an adapter makes of either's input. */
typedef struct {
    const ada_model *m;
    const ada_tensors *t;
    int32_t n[SIDES], *ids[SIDES], *target;
    ada_segment seg[SIDES];
    ada_pack p[SIDES];
    pass_run r[SIDES];
    ada_memory *memory;
    float *e[SIDES], *low[SIDES]; /* [n, d] and e·D [n, R] */
    float scale;
} row;

static void row_open(row *w, const ada_model *m, const ada_tensors *t) {
    static const int32_t reads;
    *w = (row){.m = m, .t = t};
    w->ids[ENCODER] = ints(t, "source", &w->n[ENCODER]);
    w->target = ints(t, "target", &w->n[DECODER]);
    w->ids[DECODER] = test_malloc((size_t)w->n[DECODER] * sizeof(int32_t));
    w->ids[DECODER][0] = m->c.start_token;
    memcpy(w->ids[DECODER] + 1, w->target, (size_t)(w->n[DECODER] - 1) * sizeof(int32_t));
    for (int i = 0; i < SIDES; i++) {
        const ada_stack *s = i == ENCODER ? &m->encoder : &m->stack;
        w->p[i] = pack_one(&w->seg[i], w->ids[i], w->n[i], NULL, 0);
        pass_room(&w->r[i], s, &m->head, &w->p[i], true);
    }
    ada_memory_limits lim = {w->n[ENCODER], 1, w->n[DECODER], 1, w->n[DECODER], true, true};
    assert_ok(ada_memory_layout(&w->memory, &w->r[DECODER].arena, &m->stack, &lim));
    ada_pass_read(w->r[DECODER].pass, w->memory);
    ada_memory_read(w->memory, &reads);
}

static void row_close(row *w) {
    for (int i = 0; i < SIDES; i++) {
        ada_arena_free(&w->r[i].arena);
        test_free(w->ids[i]);
    }
    test_free(w->target);
}

static void row_forward(row *w) {
    pass_run *en = &w->r[ENCODER], *de = &w->r[DECODER];
    ada_stack_forward(&w->m->encoder, &w->p[ENCODER], en->pass, NULL, en->x, en->h);
    ada_memory_fill(w->memory, &w->p[ENCODER], en->h);
    ada_stack_forward(&w->m->stack, &w->p[DECODER], de->pass, NULL, de->x, de->h);
}

static void logits_agree(row *w, double limit) {
    for (int i = 0; i < SIDES; i++) pass_embed(&w->r[i], w->m, &w->p[i]);
    row_forward(w);
    pass_run *de = &w->r[DECODER];
    ada_head_logits(&w->m->head, de->head, de->h, w->n[DECODER], de->logits);
    float *want = floats(w->t, "logits");
    size_t n = (size_t)w->n[DECODER] * (size_t)w->m->c.vocab;
    check("logits, of their spread,", max_diff(de->logits, want, n) / spread(want, n), limit);
    test_free(want);
}

static float *param(const row *w, const char *site, int side, const char *what) {
    char name[64];
    snprintf(name, sizeof name, "%s.%s.%s", site, sides[side], what);
    return floats(w->t, name);
}

/* x [n, d] += s (x D) U of one side. */
static void adapt(row *w, const char *site, int side, size_t R) {
    size_t d = (size_t)w->m->c.d, n = (size_t)w->n[side];
    float *D = param(w, site, side, "down"), *U = param(w, site, side, "up"), *x = w->r[side].x;
    w->e[side] = test_malloc(n * d * sizeof(float)), w->low[side] = test_calloc(n * R, sizeof(float));
    memcpy(w->e[side], x, n * d * sizeof(float));
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < R; k++) {
            float *low = &w->low[side][i * R + k];
            for (size_t j = 0; j < d; j++) *low += w->e[side][i * d + j] * D[j * R + k];
            for (size_t j = 0; j < d; j++) x[i * d + j] += w->scale * *low * U[k * d + j];
        }
    test_free(D);
    test_free(U);
}

static void check_side(row *w, const char *site, int side, size_t R, double limit) {
    size_t d = (size_t)w->m->c.d, n = (size_t)w->n[side];
    float *U = param(w, site, side, "up"), *want_D = param(w, site, side, "down.grad"),
          *want_U = param(w, site, side, "up.grad"), *dx = w->r[side].dx;
    float *dD = test_calloc(d * R, sizeof *dD), *dU = test_calloc(d * R, sizeof *dU);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < R; k++) {
            float back = 0, low = w->low[side][i * R + k];
            for (size_t j = 0; j < d; j++) back += w->scale * dx[i * d + j] * U[k * d + j];
            for (size_t j = 0; j < d; j++) dD[j * R + k] += w->e[side][i * d + j] * back;
            for (size_t j = 0; j < d; j++) dU[k * d + j] += w->scale * low * dx[i * d + j];
        }
    check("gradient of D", relative(dD, want_D, d * R), limit);
    check("gradient of U", relative(dU, want_U, d * R), limit);
    float *all[] = {U, want_D, want_U, dD, dU, w->e[side], w->low[side]};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) test_free(all[i]);
}

static void gradients_agree(row *w, const char *site, double limit) {
    bool has[SIDES] = {strcmp(site, "decoder") != 0, strcmp(site, "encoder") != 0};
    pass_run *en = &w->r[ENCODER], *de = &w->r[DECODER];
    float *scale = floats(w->t, "scale"), weight[64], mean = 0;
    char name[64];
    snprintf(name, sizeof name, "%s.%s.down", site, sides[has[ENCODER] ? ENCODER : DECODER]);
    size_t R = (size_t)answer(w->t, name)->shape[1];
    w->scale = *scale;
    for (int i = 0; i < SIDES; i++) {
        pass_embed(&w->r[i], w->m, &w->p[i]);
        if (has[i]) adapt(w, site, i, R);
    }
    int32_t n = w->n[DECODER];
    for (int32_t i = 0; i < n; i++) weight[i] = 1.0F / (float)n;
    row_forward(w);
    ada_head_loss(&w->m->head, de->head, de->h, w->target, weight, n, de->loss, de->dh);
    ada_stack_backward(&w->m->stack, &w->p[DECODER], de->pass, de->dh, de->dx);
    ada_memory_back(w->memory, en->dh);
    ada_stack_backward(&w->m->encoder, &w->p[ENCODER], en->pass, en->dh, en->dx);
    for (int32_t i = 0; i < n; i++) mean += de->loss[i] / (float)n;
    snprintf(name, sizeof name, "%s.loss", site);
    float *loss = floats(w->t, name);
    check("loss", fabs((double)mean - (double)*loss) / fabs((double)*loss), limit);
    for (int i = 0; i < SIDES; i++)
        if (has[i]) check_side(w, site, i, R, limit);
    test_free(loss);
    test_free(scale);
}

/* The tokens of an answer; the prompt's letters stand for the source's ids. */
typedef struct {
    int32_t ids[64], n;
} answered;

static int listen(void *ctx, const ada_token_event *e) {
    answered *a = ctx;
    if (e->id >= 0) a->ids[a->n++] = e->id;
    return 0;
}

static void says(ada_generator *g, const row *w, const char *what, int beams) {
    char prompt[64];
    int32_t n, *want = ints(w->t, what, &n), i;
    answered a = {.n = 0};
    for (i = 0; i + 1 < w->n[ENCODER]; i++) prompt[i] = (char)(33 + w->ids[ENCODER][i]);
    prompt[i] = 0;
    assert_ok(
        ada_generate_text(g, prompt, &(ada_generate_opts){.max_new = 14, .beams = beams}, listen, &a, NULL));
    for (i = 0; i < n && i < a.n; i++)
        if (a.ids[i] != want[i]) fail_msg("%s: token %d is %d, wanted %d", what, i, a.ids[i], want[i]);
    assert_int_equal(a.n, n);
    test_free(want);
}

static void answers_agree(const row *w) {
    ada_model *m = NULL;
    ada_generator *g = NULL;
    assert_ok(ada_model_open(&m, golden_path(w->m->name), &(ada_model_opts){.f32 = true}));
    assert_ok(ada_generator_open(&g, m, NULL, 0));
    says(g, w, "greedy", 0);
    says(g, w, "beam", 4);
    says(g, w, "greedy", 0); /* nothing is left of the search */
    ada_generator_close(&g);
    ada_model_close(&m);
}

static void agrees(const golden *g, bool f32) {
    ada_model *m = golden_model(g->model, f32);
    ada_tensors *t = answers_open(g->answers);
    row w;
    row_open(&w, m, t);
    logits_agree(&w, f32 ? logits_f32 : logits_bf16);
    gradients_agree(&w, "encoder", f32 ? grad_f32 : grad_bf16);
    gradients_agree(&w, "decoder", f32 ? grad_f32 : grad_bf16);
    gradients_agree(&w, "both", f32 ? grad_f32 : grad_bf16);
    if (f32 && m->tok) answers_agree(&w);
    row_close(&w);
    ada_tensors_close(&t);
    ada_model_close(&m);
}

static void f32_agrees(void **state) {
    agrees(*state, true);
}
static void bf16_agrees(void **state) {
    agrees(*state, false);
}

int main(void) {
    static golden all[] = {
        {"t5_relu", "t5_relu"},   {"t5_relu.gguf", "t5_relu"},
        {"t5_gated", "t5_gated"}, {"t5_gated.gguf", "t5_gated"},
        {"t5_silu", "t5_silu"},   {"mt5", "mt5"},
        {"umt5", "umt5"},
    };
    return golden_run(all, sizeof all / sizeof *all, f32_agrees, bf16_agrees);
}
