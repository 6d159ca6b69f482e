/* SPDX-License-Identifier: Apache-2.0
 * AdamW, clipping, schedules. Owns: the arithmetic of an update. Must not know: steps of a run beyond a
 * number. Invariant: parameters are taken in their order, one after another, so that sums have one order. */
#include "engine/optim.h"
#include "simd/kernels.h"
#include <string.h>

static const char *const schedule_names[] = {"cosine", "linear", "constant"};

ada_status ada_schedule_parse(const char *name, ada_schedule *s) {
    for (int i = 0; i < 3; i++)
        if (strcmp(name, schedule_names[i]) == 0) {
            *s = (ada_schedule)i;
            return ADA_OK;
        }
    return ada_fail(ADA_EINVAL, "unknown schedule '%s': cosine, linear or constant", name);
}

int64_t ada_warmup_steps(double warmup, int64_t total) {
    if (warmup <= 0.0) return 0;
    int64_t n = (int64_t)nearbyint(warmup < 1.0 ? warmup * (double)total : warmup);
    return n < 1 ? 1 : n;
}

double ada_schedule_at(ada_schedule s, int64_t step, int64_t warm, int64_t total) {
    if (step < warm) return (double)(step + 1) / (double)warm;
    double x = (double)(step - warm) / (double)(total - warm > 1 ? total - warm : 1);
    if (x > 1.0) x = 1.0;
    switch (s) {
    case ADA_COSINE:
        return 0.5 * (1.0 + cos(3.14159265358979323846 * x));
    case ADA_LINEAR:
        return 1.0 - x;
    default:
        return 1.0;
    }
}

double ada_grad_norm(const ada_adapter *a) {
    double sum = 0.0;
    for (int i = 0; i < a->nparams; i++) sum += (double)ada_k.sumsq(a->params[i].g, a->params[i].n);
    return sqrt(sum);
}

double ada_clip_factor(double norm, double limit) {
    double s = limit / (norm + 1e-6);
    return limit > 0.0 && s < 1.0 ? s : 1.0;
}

void ada_adamw_step(ada_adapter *a, const ada_adamw *o, double factor, int64_t step) {
    float c[ADA_ADAMW_CONSTANTS];
    double t = (double)step;
    c[ADA_ADAMW_GRAD_SCALE] = (float)factor;
    c[ADA_ADAMW_DECAY] = (float)(1.0 - o->lr * o->weight_decay);
    c[ADA_ADAMW_OMB1] = (float)(1.0 - o->beta1);
    c[ADA_ADAMW_BETA2] = (float)o->beta2;
    c[ADA_ADAMW_OMB2] = (float)(1.0 - o->beta2);
    c[ADA_ADAMW_BC2_SQRT] = (float)sqrt(1.0 - pow(o->beta2, t));
    c[ADA_ADAMW_EPS] = (float)o->eps;
    c[ADA_ADAMW_STEP] = (float)(o->lr / (1.0 - pow(o->beta1, t)));
    for (int i = 0; i < a->nparams; i++) {
        ada_param_set *s = &a->params[i];
        ada_k.adamw(s->p, s->m, s->v, s->g, c, s->n);
    }
}
