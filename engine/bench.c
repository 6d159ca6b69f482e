/* SPDX-License-Identifier: Apache-2.0
 * One timed pass of random input: prompt, generation, training, images. Owns: the shapes that are timed.
 * Must not know: how often, or who prints. Invariant: room is made and weights are packed before the clock
 * starts. */
#include "engine/rng.h"
#include "engine/source.h"
#include "engine/step.h"
#include "engine/vision.h"
#include "io/os.h"
#include <string.h>

typedef struct timing {
    ada_model *m;
    ada_adapter *a; /* of training */
    ada_arena work;
    ada_kv *kv;
    ada_source *source;
    int32_t n, row, target;
    double seconds, flops;
} timing;

static ada_status random_ids(timing *b, int32_t n, int32_t **ids) {
    ADA_TRY(ada_arena_take(&b->work, ids, (size_t)n, sizeof **ids));
    for (int32_t i = 0; i < n; i++)
        (*ids)[i] = (int32_t)(ada_rng_uniform(0, ADA_RNG_BENCH, (uint64_t)i) * (double)b->m->c.vocab);
    return ADA_OK;
}

/* What single rows of a generation go through. */
typedef struct {
    ada_pass *pass;
    ada_head_ws *head;
    float *x, *h, *logits;
} decoder;

/* For `rows` tokens at once, and `most` in all. */
static ada_status decoder_layout(timing *b, decoder *o, int32_t rows, int32_t most) {
    const ada_stack *s = &b->m->stack;
    size_t d = (size_t)b->m->c.d;
    ADA_TRY(ada_model_prepare(b->m, ADA_FORWARD));
    ADA_TRY(ada_kv_open(&b->kv, s, 1, most));
    ADA_TRY(ada_pass_layout(&o->pass, &b->work, s, rows, 1, most, 1, false));
    ADA_TRY(ada_head_layout(&o->head, &b->work, &b->m->head, 1));
    ADA_TRY(ada_arena_take(&b->work, &o->x, (size_t)rows * d, sizeof(float)));
    ADA_TRY(ada_arena_take(&b->work, &o->h, d, sizeof(float)));
    return ada_arena_take(&b->work, &o->logits, (size_t)b->m->c.vocab, sizeof(float));
}

/* len tokens at position `at`, and the last one's logits; returns their multiply-adds × 2. */
static double decode(timing *b, decoder *o, const int32_t *ids, int32_t at, int32_t len) {
    const ada_stack *s = &b->m->stack;
    size_t d = (size_t)b->m->c.d;
    int32_t last = len - 1, reads = 0;
    ada_segment seg = {.len = len, .parent = -1, .pos = at, .cache = 0};
    ada_pack p = {.T = len, .nsegs = 1, .nout = 1, .ids = ids, .segs = &seg, .out = &last};
    for (int32_t i = 0; i < len; i++) ada_model_embed(b->m, ids[i], o->x + (size_t)i * d);
    ada_stack_forward(s, &p, o->pass, b->kv, o->x, o->h);
    ada_head_logits(&b->m->head, o->head, o->h, 1, o->logits);
    double flops = ada_stack_flops(s, &p, false) + ada_head_flops(&b->m->head, 1);
    if (!b->source) return flops;
    return flops + ada_cross_flops(s, &p, ada_memory_reading(ada_source_memory(b->source))->memory, &reads,
                                   false, true);
}

/* A prompt of n tokens, then `steps` single ones; timed is the prompt, or what follows it. */
static ada_status time_prompt(timing *b, int32_t n, int32_t steps) {
    int32_t *ids, at = n;
    decoder o;
    ADA_TRY(decoder_layout(b, &o, n, n + steps));
    ADA_TRY(random_ids(b, n + steps, &ids));
    double start = ada_os.now();
    b->flops = decode(b, &o, ids, 0, n);
    if (steps) start = ada_os.now(), b->flops = 0.0;
    for (; at < n + steps; at++) b->flops += decode(b, &o, ids + at, at, 1);
    b->seconds = ada_os.now() - start;
    return ADA_OK;
}

/* The same where an encoder reads the prompt: it ends with the decoder's first row. */
static ada_status time_source(timing *b, int32_t n, int32_t steps) {
    int32_t *ids, at = 1;
    decoder o;
    ADA_TRY(decoder_layout(b, &o, 1, steps + 1));
    ADA_TRY(random_ids(b, n > steps ? n : steps + 1, &ids));
    ADA_TRY(ada_source_open(&b->source, b->m, NULL, NULL, 1));
    ADA_TRY(ada_source_read(b->source, ids, n)); /* its room grows here, not under the clock */
    double start = ada_os.now();
    ADA_TRY(ada_source_read(b->source, ids, n));
    ada_pass_read(o.pass, ada_source_memory(b->source));
    b->flops =
        ada_stack_flops(&b->m->encoder, ada_memory_reading(ada_source_memory(b->source))->memory, false);
    b->flops += decode(b, &o, ids, 0, 1);
    if (steps) start = ada_os.now(), b->flops = 0.0;
    for (; at <= steps; at++) b->flops += decode(b, &o, ids + at, at, 1);
    b->seconds = ada_os.now() - start;
    return ADA_OK;
}

/* Row i of the pass: n prompt tokens, then the target's. One token of ids follows the last input. */
static ada_item random_item(const timing *b, const int32_t *ids, const uint8_t *wanted, int32_t i) {
    int32_t at = i * b->row, len = b->n - at < b->row ? b->n - at : b->row;
    const int32_t *row = ids + (size_t)i * (size_t)(b->row + b->target + 1);
    if (b->m->encoder.layers)
        return (ada_item){
            .ids = row + len, .wanted = wanted + b->row, .n = b->target, .source = row, .nsource = len};
    /* the last prompt token predicts the first of the target, whose last is no input */
    int32_t n = b->target ? len + b->target - 1 : len;
    return (ada_item){.ids = row, .wanted = wanted + (b->row - len), .n = n};
}

static ada_status time_training(timing *b) {
    bool encodes = b->m->encoder.layers != NULL;
    int32_t rows = (b->n + b->row - 1) / b->row, path = b->row + b->target, all = rows * (path + 1);
    ada_step *step;
    ada_item *items;
    ada_goal *goals;
    float *loss;
    int32_t *ids, count = 0;
    uint8_t *wanted;
    ada_step_limits lim = {
        .rows = all, .items = rows, .path = path, .goals = all, .unique = all, .train = true};
    if (encodes) lim.sources = b->n, lim.source_path = b->row, lim.source_unique = b->n;
    ADA_TRY(ada_model_prepare(b->m, ADA_FORWARD | ADA_BACKWARD));
    ADA_TRY(ada_adapter_new(&b->a, b->m, NULL));
    ADA_TRY(ada_adapter_trainable(b->a));
    ADA_TRY(ada_step_layout(&step, &b->work, b->m, b->a, &lim));
    ADA_TRY(random_ids(b, all, &ids));
    ADA_TRY(ada_arena_take(&b->work, &items, (size_t)rows, sizeof *items));
    ADA_TRY(ada_arena_take(&b->work, &goals, (size_t)all, sizeof *goals));
    ADA_TRY(ada_arena_take(&b->work, &loss, (size_t)all, sizeof *loss));
    ADA_TRY(ada_arena_take(&b->work, &wanted, (size_t)path, 1));
    memset(wanted, b->target == 0, (size_t)path);
    if (b->target) memset(wanted + b->row - !encodes, 1, (size_t)b->target);
    for (int32_t i = 0; i < rows; i++) items[i] = random_item(b, ids, wanted, i);
    ada_items_sort(items, rows);
    for (int32_t i = 0; i < rows; i++)
        for (int32_t k = 0; k < items[i].n; k++)
            if (items[i].wanted[k]) goals[count++] = (ada_goal){i, k, items[i].ids[k + 1], 0.0f};
    for (int32_t i = 0; i < count; i++) goals[i].weight = 1.0f / (float)count;
    for (int i = 0; i < 2; i++) { /* the first finds its memory; a run has that once */
        double start = ada_os.now();
        ada_step_begin(step);
        ada_step_see(step, items, rows);
        ADA_TRY(ada_step_start(step));
        ADA_TRY(ada_step_forward(step, items, rows));
        ada_step_loss(step, goals, count, loss, true);
        ada_step_end(step);
        b->seconds = ada_os.now() - start;
    }
    b->flops = ada_step_flops(step, count, true);
    return ADA_OK;
}

static ada_status time_images(ada_tower *t, int32_t n, int32_t side, double *seconds, double *flops,
                              ada_arena *work) {
    const ada_config *c = ada_tower_config(t);
    int32_t h = side ? side : c->image_h, w = side ? side : c->image_w;
    size_t size = (size_t)c->channels * (size_t)h * (size_t)w;
    float *pixels, *features;
    int32_t rows;
    ADA_TRY(ada_tower_rows(t, h, w, &rows));
    ADA_TRY(ada_arena_take(work, &pixels, (size_t)n * size, sizeof *pixels));
    size_t made = (size_t)n * (size_t)rows * ada_tower_features(t);
    ADA_TRY(ada_arena_take(work, &features, made, sizeof *features));
    for (size_t i = 0; i < (size_t)n * size; i++)
        pixels[i] = (float)(2.0 * ada_rng_uniform(0, ADA_RNG_BENCH, i) - 1.0);
    memset(features, 0, made * sizeof *features); /* its pages are there */
    ADA_TRY(ada_tower_flops(t, h, w, flops));
    *flops *= n;
    double start = ada_os.now();
    ADA_TRY(ada_tower_run(t, pixels, n, h, w, features));
    *seconds = ada_os.now() - start;
    return ADA_OK;
}

ada_status ada_tower_bench(ada_tower *t, int n, int size, double *seconds, double *flops) {
    ada_arena work = {0};
    double sum = 0.0;
    if (n < 1 || n > 1 << 12) return ada_fail(ADA_EINVAL, "a bench of %d images", n);
    if (size < 0 || size > 1 << 12) return ada_fail(ADA_EINVAL, "a bench of images of %d pixels", size);
    ada_status st = time_images(t, n, size, seconds, &sum, &work);
    if (flops) *flops = sum;
    ada_arena_free(&work);
    return st;
}

static ada_status run(timing *b, const char *kind) {
    ada_status (*timed)(timing *, int32_t, int32_t) = b->m->encoder.layers ? time_source : time_prompt;
    if (strcmp(kind, "pp") == 0) return timed(b, b->n, 0);
    if (strcmp(kind, "tg") == 0) return timed(b, 1, b->n);
    if (strcmp(kind, "train") == 0) return time_training(b);
    return ada_fail(ADA_EINVAL, "unknown bench '%s': pp, tg, train or images", kind);
}

ada_status ada_bench(ada_model *m, const ada_bench_task *task, double *seconds, double *flops) {
    enum { MOST = 1 << 20 };
    int32_t n = task->n, row = task->row > 0 && task->row < n ? task->row : n;
    if (strcmp(task->kind, "images") == 0) {
        if (!m->vision) return ada_fail(ADA_EINVAL, "a bench of images of a model that sees none");
        return ada_tower_bench(m->vision->tower, n, task->size, seconds, flops);
    }
    if (n < 1 || n > MOST) return ada_fail(ADA_EINVAL, "a bench of %d tokens", n);
    if (task->target < 0 || (int64_t)((n + row - 1) / row) * (row + (int64_t)task->target) > MOST)
        return ada_fail(ADA_EINVAL, "a bench of %d target tokens a row of %d", task->target, row);
    if (m->encoder.layers && task->target == 0 && strcmp(task->kind, "train") == 0)
        return ada_fail(ADA_EINVAL, "a bench of a model with an encoder needs target tokens");
    timing b = {.m = m, .n = n, .row = row, .target = task->target};
    ada_status st = run(&b, task->kind);
    ada_source_close(&b.source);
    ada_kv_close(&b.kv);
    ada_adapter_close(&b.a);
    ada_arena_free(&b.work);
    *seconds = b.seconds;
    if (flops) *flops = b.flops;
    return st;
}
