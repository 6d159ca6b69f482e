/* SPDX-License-Identifier: Apache-2.0
 * What a run will take, before it runs. Owns: the prediction of memory, FLOPs and time.
 * Must not know: how a step is computed. Invariant: parameters, moments and files stay as they were. */
#include "engine/train.h"
#include "io/os.h"
#include <string.h>

enum { SAMPLED_STEPS = 64, PROBES = 2 };

/* FLOPs of step s, by packing it without computing. */
static ada_status step_flops(ada_trainer *t, int64_t s, double *flops) {
    ada_pass_sum sum;
    ada_trainer_draw(t, s, &sum);
    *flops = 0.0;
    if (t->spells) {
        *flops = ada_trainer_spell_flops(t);
        return ADA_OK;
    }
    for (int32_t i = 0, n; i < t->per_step; i += n) {
        int32_t targets = 0;
        n = ada_trainer_chunk(t, t->rows.ex, i, t->per_step);
        for (int32_t k = i; k < i + n; k++) targets += t->rows.ex[t->items[k].owner].targets;
        ADA_TRY(ada_step_pack(t->step, t->items + i, n));
        *flops += ada_step_flops(t->step, targets, true);
    }
    return ADA_OK;
}

/* Mean FLOPs of a step, over steps spread evenly over the run. */
static ada_status mean_flops(ada_trainer *t, double *mean) {
    int64_t n = t->total < SAMPLED_STEPS ? t->total : SAMPLED_STEPS;
    *mean = 0.0;
    for (int64_t i = 0; i < n; i++) {
        double flops;
        ADA_TRY(step_flops(t, i * t->total / n, &flops));
        *mean += flops / (double)n;
    }
    return ADA_OK;
}

static int64_t validations(const ada_trainer *t) {
    if (t->eval_rows.n == 0) return 0;
    if (t->o.eval_every > 0) return (t->total + t->o.eval_every - 1) / t->o.eval_every;
    return (int64_t)ceil((double)t->total * t->per_step / (double)t->rows.n);
}

/* The first step is warm-up (pages, primitives); the faster of the rest gives FLOP/s. */
static ada_status probe(ada_trainer *t, double *rate) {
    double best = INFINITY, flops = 0.0;
    for (int i = 0; i <= PROBES; i++) {
        ada_pass_sum sum;
        double start = ada_os.now();
        ADA_TRY(ada_trainer_gradients(t, 0, &sum));
        double seconds = ada_os.now() - start;
        if (i > 0 && seconds < best) best = seconds;
        flops = sum.flops;
    }
    ada_adapter_zero_grad(t->a);
    *rate = flops / best;
    return ADA_OK;
}

/* What a checkpoint takes while it is built and written: pages of libraries, the file twice, moments that no
 * step has touched yet. */
static ada_status writing_memory(ada_trainer *t, size_t *bytes) {
    size_t now = ada_os_rss(), peak = ada_os_rss_peak();
    ADA_TRY(ada_state_rehearse(t->a, &t->state));
    size_t after = ada_os_rss_peak();
    if (after <= peak) after = ada_os_rss();
    *bytes = after > now ? after - now : 0;
    return ADA_OK;
}

/* Resident already, plus what the step arena will touch and what writing takes; the probe shows what
 * libraries add to that. */
static ada_status predict_memory(ada_trainer *t, size_t *bytes) {
    size_t writing, after = ada_os_rss(), known = t->before + t->work.used;
    ADA_TRY(writing_memory(t, &writing));
    known = (after > known ? after : known) + writing;
    *bytes = known > ada_os_rss_peak() ? known : ada_os_rss_peak();
    return ADA_OK;
}

ada_status ada_trainer_plan(ada_trainer *t, ada_train_plan *plan) {
    double flops, rate;
    size_t rows = t->rows.n;
    *plan = (ada_train_plan){.rows = rows,
                             .dropped = t->rows.dropped,
                             .truncated = t->rows.truncated,
                             .eval_rows = t->eval_rows.n,
                             .steps = t->total,
                             .epochs = (double)t->total * t->per_step / (double)rows,
                             .tokens_per_epoch = t->rows.tokens,
                             .targets_per_epoch = t->rows.targets};
    ADA_TRY(mean_flops(t, &flops));
    ADA_TRY(probe(t, &rate));
    plan->flops = flops * (double)(t->total - t->state.step);
    double per_token = flops / ((double)t->rows.tokens / (double)rows * t->per_step);
    plan->flops += 0.5 * per_token * (double)t->eval_rows.tokens * (double)validations(t);
    plan->seconds = plan->flops / rate;
    return predict_memory(t, &plan->memory);
}
