/* SPDX-License-Identifier: Apache-2.0
 * AdamW with decoupled weight decay, clipping by global norm, schedules. Owns: the arithmetic of an update.
 * Must not know: where gradients come from. Invariant: as torch.optim.AdamW and clip_grad_norm_ define them.
 */
#ifndef ADA_ENGINE_OPTIM_H
#define ADA_ENGINE_OPTIM_H

#include "engine/adapter.h"

typedef enum { ADA_COSINE = 0, ADA_LINEAR, ADA_CONSTANT } ada_schedule;
ada_status ada_schedule_parse(const char *name, ada_schedule *s) ADA_MUST_USE;
/* Warm-up steps of `total`: a share below 1, else a number of steps; negative is none. */
int64_t ada_warmup_steps(double warmup, int64_t total);
/* Factor of lr at step (from 0). */
double ada_schedule_at(ada_schedule s, int64_t step, int64_t warm, int64_t total);

/* Global 2-norm of all gradients. */
double ada_grad_norm(const ada_adapter *a);
/* The factor that brings a norm down to `limit`; 1 if it is below, or limit <= 0. */
double ada_clip_factor(double norm, double limit);

typedef struct ada_adamw {
    double lr, beta1, beta2, eps, weight_decay;
} ada_adamw;
/* One update from the gradients times `factor`; step counts from 1. */
void ada_adamw_step(ada_adapter *a, const ada_adamw *o, double factor, int64_t step);

#endif
