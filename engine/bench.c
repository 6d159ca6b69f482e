/* SPDX-License-Identifier: Apache-2.0
 * One timed pass of random tokens: prompt, generation or training. Owns: the shapes that are timed.
 * Must not know: how often, or who prints. Invariant: room is made and weights are packed before the clock
 * starts. */
#include "engine/rng.h"
#include "engine/step.h"
#include "io/os.h"
#include <string.h>

typedef struct timing {
    ada_model *m;
    ada_adapter *a; /* of training */
    ada_arena work;
    ada_kv *kv;
    int32_t n, row;
    double seconds, flops;
} timing;

static ada_status random_ids(timing *b, int32_t n, int32_t **ids) {
    ADA_TRY(ada_arena_take(&b->work, ids, (size_t)n, sizeof **ids));
    for (int32_t i = 0; i < n; i++)
        (*ids)[i] = (int32_t)(ada_rng_uniform(0, ADA_RNG_BENCH, (uint64_t)i) * (double)b->m->c.vocab);
    return ADA_OK;
}

/* A prompt, then `steps` single tokens; timed is the whole, or what follows the prompt. */
static ada_status time_decode(timing *b, int32_t prompt, int32_t steps, bool whole) {
    const ada_stack *s = &b->m->stack;
    size_t d = (size_t)b->m->c.d, vocab = (size_t)b->m->c.vocab;
    int32_t *ids;
    float *x, *h, *logits;
    ada_pass *pass;
    ada_head_ws *head;
    ADA_TRY(ada_model_prepare(b->m, ADA_FORWARD));
    ADA_TRY(ada_kv_open(&b->kv, s, 1, prompt + steps));
    ADA_TRY(random_ids(b, prompt + steps, &ids));
    ADA_TRY(ada_pass_layout(&pass, &b->work, s, prompt, 1, prompt + steps, 1, false));
    ADA_TRY(ada_head_layout(&head, &b->work, &b->m->head, 1));
    ADA_TRY(ada_arena_take(&b->work, &x, (size_t)prompt * d, sizeof(float)));
    ADA_TRY(ada_arena_take(&b->work, &h, d, sizeof(float)));
    ADA_TRY(ada_arena_take(&b->work, &logits, vocab, sizeof(float)));
    double start = ada_os.now();
    for (int32_t at = 0, len; at < prompt + steps; at += len) {
        len = at == 0 ? prompt : 1;
        if (at == prompt && !whole) start = ada_os.now();
        int32_t last = len - 1;
        ada_segment seg = {.len = len, .parent = -1, .pos = at, .cache = 0};
        ada_pack p = {.T = len, .nsegs = 1, .nout = 1, .ids = ids + at, .segs = &seg, .out = &last};
        for (int32_t i = 0; i < len; i++) ada_model_embed(b->m, ids[at + i], x + (size_t)i * d);
        ada_stack_forward(s, &p, pass, b->kv, x, h);
        ada_head_logits(&b->m->head, head, h, 1, logits);
        if (whole || at > 0) b->flops += ada_stack_flops(s, &p, false) + 2.0 * (double)d * (double)vocab;
    }
    b->seconds = ada_os.now() - start;
    return ADA_OK;
}

static ada_status time_training(timing *b) {
    int32_t rows = (b->n + b->row - 1) / b->row;
    size_t n = (size_t)b->n;
    ada_step *step;
    ada_item *items;
    ada_goal *goals;
    float *loss;
    int32_t *ids;
    uint8_t *wanted;
    ada_step_limits lim = {
        .rows = b->n, .items = rows, .path = b->row, .goals = b->n, .unique = b->n, .train = true};
    ADA_TRY(ada_model_prepare(b->m, ADA_FORWARD | ADA_BACKWARD));
    ADA_TRY(ada_adapter_new(&b->a, b->m, NULL));
    ADA_TRY(ada_adapter_trainable(b->a));
    ADA_TRY(ada_step_layout(&step, &b->work, b->m, b->a, &lim));
    ADA_TRY(random_ids(b, b->n + 1, &ids));
    ADA_TRY(ada_arena_take(&b->work, &items, (size_t)rows, sizeof *items));
    ADA_TRY(ada_arena_take(&b->work, &goals, n, sizeof *goals));
    ADA_TRY(ada_arena_take(&b->work, &loss, n, sizeof *loss));
    ADA_TRY(ada_arena_take(&b->work, &wanted, (size_t)b->row, 1));
    memset(wanted, 1, (size_t)b->row);
    for (int32_t i = 0; i < rows; i++) {
        int32_t at = i * b->row, len = b->n - at < b->row ? b->n - at : b->row;
        items[i] = (ada_item){.ids = ids + at, .wanted = wanted, .n = len, .owner = at};
    }
    ada_items_sort(items, rows);
    int32_t count = 0;
    for (int32_t i = 0; i < rows; i++)
        for (int32_t k = 0; k < items[i].n; k++)
            goals[count++] = (ada_goal){i, k, ids[items[i].owner + k + 1], 1.0f / (float)b->n};
    double start = ada_os.now();
    ada_step_begin(step);
    ada_step_see(step, items, rows);
    ADA_TRY(ada_step_start(step));
    ADA_TRY(ada_step_forward(step, items, rows));
    ada_step_loss(step, goals, count, loss, true);
    ada_step_end(step);
    b->seconds = ada_os.now() - start;
    b->flops = ada_step_flops(step, count, true);
    return ADA_OK;
}

static ada_status run(timing *b, const char *kind) {
    if (strcmp(kind, "pp") == 0) return time_decode(b, b->n, 0, true);
    if (strcmp(kind, "tg") == 0) return time_decode(b, 1, b->n, false);
    if (strcmp(kind, "train") == 0) return time_training(b);
    return ada_fail(ADA_EINVAL, "unknown bench '%s': pp, tg or train", kind);
}

ada_status ada_bench(ada_model *m, const char *kind, int n, int row, double *seconds, double *flops) {
    if (n < 1 || n > 1 << 20) return ada_fail(ADA_EINVAL, "a bench of %d tokens", n);
    if (m->encoder.layers)
        return ada_fail(ADA_EUNSUPPORTED, "a bench of a model with an encoder is not there yet");
    timing b = {.m = m, .n = n, .row = row > 0 && row < n ? row : n};
    ada_status st = run(&b, kind);
    ada_kv_close(&b.kv);
    ada_adapter_close(&b.a);
    ada_arena_free(&b.work);
    *seconds = b.seconds;
    if (flops) *flops = b.flops;
    return st;
}
