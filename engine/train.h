/* SPDX-License-Identifier: Apache-2.0
 * The inside of a trainer, for train.c and plan.c. Owns: examples, their order, buffers of a step, counters.
 * Invariant: the rows of step s are f(seed, s) alone, so that a run resumes from its step number. */
#ifndef ADA_ENGINE_TRAIN_H
#define ADA_ENGINE_TRAIN_H

#include "engine/optim.h"
#include "engine/rows.h"
#include "engine/state.h"
#include "engine/step.h"

enum { ADA_CHUNK_TOKENS = 1024 }; /* rows of a pack: bounds memory, long enough for products at full speed */

struct ada_trainer {
    ada_model *m;
    ada_adapter *a;
    ada_train_opts o; /* resolved */
    ada_json *settings;
    ada_arena data;     /* options, examples, order */
    ada_arena work;     /* fixed: everything a step touches */
    ada_images *images; /* NULL: the model has no eyes */
    ada_rows rows, eval_rows;
    ada_schedule schedule;
    int64_t total, warm;
    int32_t per_step; /* rows of a step */
    int32_t *order;   /* [rows.n] of epoch order_epoch */
    int64_t order_epoch;
    bool spells;  /* its loss is of embeddings */
    int32_t fill; /* then: the token of rows without another */
    ada_step_limits lim;
    ada_step *step;
    ada_item *items; /* [per_step] */
    ada_goal *goals; /* [lim.goals] */
    float *loss;     /* [lim.goals] */
    ada_state state;
    bool files_ready;
    int folder;     /* the locked output folder; -1: none */
    double seconds; /* in steps of this session, and how many */
    int64_t steps_here;
    size_t before; /* resident bytes before `work` was touched */
};

/* Forward and backward of the rows of step s (from 0); gradients are left in the adapter. flops may be NULL.
 */
typedef struct ada_pass_sum {
    double loss; /* mean over targets */
    size_t tokens, targets;
    double flops;
} ada_pass_sum;
ada_status ada_trainer_gradients(ada_trainer *t, int64_t s, ada_pass_sum *sum) ADA_MUST_USE;
/* Sorted items of step s, without computing anything. */
void ada_trainer_draw(ada_trainer *t, int64_t s, ada_pass_sum *sum);
/* Multiply-adds × 2 of the rows drawn, both ways, where the loss is of embeddings. */
double ada_trainer_spell_flops(const ada_trainer *t);
/* How many items from `first` on fit one pack. */
int32_t ada_trainer_chunk(const ada_trainer *t, const ada_example *ex, int32_t first, int32_t n);

#endif
