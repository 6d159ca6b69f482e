/* SPDX-License-Identifier: Apache-2.0
 * The table of training options. Owns: names, kinds and defaults. Must not know: what an option does.
 * Invariant: read(write(o)) is o. */
#include "engine/settings.h"
#include "engine/optim.h"
#include <string.h>

typedef enum { TEXT, REAL, WHOLE, WIDE, FLAG, SIZE } kind;
typedef struct field {
    const char *name;
    size_t at;
    kind kind;
} field;

#define F(name, kind)                                                                                        \
    { #name, offsetof(ada_train_opts, name), kind }
#define KEY(name)                                                                                            \
    { #name, offsetof(ada_train_opts, keys) + offsetof(ada_dataset_opts, name), TEXT }
static const field fields[] = {
    F(model, TEXT),
    F(mmproj, TEXT),
    F(data, TEXT),
    F(eval_data, TEXT),
    F(out, TEXT),
    F(features, TEXT),
    KEY(prompt_key),
    KEY(completion_key),
    KEY(messages_key),
    KEY(text_key),
    KEY(choices_key),
    KEY(image_key),
    KEY(images_key),
    {"limit", offsetof(ada_train_opts, keys) + offsetof(ada_dataset_opts, limit), SIZE},
    F(lr, REAL),
    F(schedule, TEXT),
    F(warmup, REAL),
    F(epochs, REAL),
    F(steps, WIDE),
    F(batch, WHOLE),
    F(grad_accum, WHOLE),
    F(max_length, WHOLE),
    F(weight_decay, REAL),
    F(clip, REAL),
    F(beta1, REAL),
    F(beta2, REAL),
    F(eps, REAL),
    F(eval_every, WIDE),
    F(patience, WHOLE),
    F(save_every, WIDE),
    F(keep, WHOLE),
    F(loss, TEXT),
    F(all_tokens, FLAG),
    F(no_shuffle, FLAG),
    F(seed, WIDE),
};
enum { NFIELDS = sizeof fields / sizeof *fields };
_Static_assert(sizeof(size_t) == sizeof(int64_t) && sizeof(uint64_t) == sizeof(int64_t),
               "SIZE and seed are read as WIDE");

ada_status ada_settings_write(const ada_train_opts *o, ada_json **out) {
    ada_json *j = ada_json_new_obj();
    ada_status st = j ? ADA_OK : ada_fail(ADA_ENOMEM, "out of memory for settings");
    for (size_t i = 0; i < NFIELDS && st == ADA_OK; i++) {
        const void *p = (const char *)o + fields[i].at;
        ada_json *v = NULL;
        switch (fields[i].kind) {
        case TEXT:
            if (!*(const char *const *)p) continue;
            v = ada_json_new_str(*(const char *const *)p, strlen(*(const char *const *)p));
            break;
        case REAL:
            v = ada_json_new_num(*(const double *)p);
            break;
        case WHOLE:
            v = ada_json_new_int(*(const int *)p);
            break;
        case WIDE:
        case SIZE:
            v = ada_json_new_int(*(const int64_t *)p);
            break;
        case FLAG:
            v = ada_json_new_bool(*(const bool *)p);
            break;
        }
        st = ada_json_set(j, fields[i].name, v);
    }
    if (st != ADA_OK) ada_json_close(&j);
    *out = j;
    return st;
}

ada_status ada_settings_read(ada_train_opts *o, const ada_json *j, ada_arena *a) {
    *o = (ada_train_opts){0};
    for (size_t i = 0; i < NFIELDS; i++) {
        void *p = (char *)o + fields[i].at;
        const ada_json *v = ada_json_get(j, fields[i].name);
        switch (fields[i].kind) {
        case TEXT:
            if (!ada_json_is_str(v)) continue;
            *(const char **)p = ada_arena_str(a, ada_json_str(v, ""), ada_json_strlen(v));
            if (!*(const char **)p) return ADA_ENOMEM;
            break;
        case REAL:
            *(double *)p = ada_json_num(v, 0.0);
            break;
        case WHOLE:
            *(int *)p = (int)ada_json_int(v, 0);
            break;
        case WIDE:
        case SIZE:
            *(int64_t *)p = ada_json_int(v, 0);
            break;
        case FLAG:
            *(bool *)p = ada_json_bool(v, false);
            break;
        }
    }
    return ADA_OK;
}

static ada_status check(const ada_train_opts *o) {
    ada_schedule s;
    ADA_TRY(ada_schedule_parse(o->schedule, &s));
    if (!o->data) return ada_fail(ADA_EINVAL, "training needs a data file");
    if (!(o->lr > 0.0) || !isfinite(o->lr)) return ada_fail(ADA_EINVAL, "lr %g is not above 0", o->lr);
    if (o->steps < 0 || !(o->epochs >= 0.0))
        return ada_fail(ADA_EINVAL, "steps and epochs must not be below 0");
    if (strcmp(o->loss, "tokens") != 0 && strcmp(o->loss, "embeddings") != 0)
        return ada_fail(ADA_EINVAL, "unknown loss '%s': tokens or embeddings", o->loss);
    if (o->batch < 1 || o->grad_accum < 1)
        return ada_fail(ADA_EINVAL, "batch and grad-accum must be at least 1");
    if (o->max_length < 2)
        return ada_fail(ADA_EINVAL, "max-length %d leaves no token to predict", o->max_length);
    if (!(o->weight_decay >= 0.0)) return ada_fail(ADA_EINVAL, "weight-decay %g is below 0", o->weight_decay);
    if (!(o->beta1 >= 0.0 && o->beta1 < 1.0 && o->beta2 >= 0.0 && o->beta2 < 1.0 && o->eps > 0.0))
        return ada_fail(ADA_EINVAL, "beta1 and beta2 must be within [0, 1), eps above 0");
    if (o->eval_every < 0 || o->save_every < 0 || o->patience < 0 || o->keep < 1)
        return ada_fail(ADA_EINVAL, "eval-every, save-every, patience must not be below 0, keep not below 1");
    if (o->patience > 0 && !o->eval_data) return ada_fail(ADA_EINVAL, "patience needs eval-data");
    if (o->save_every > 0 && !o->out) return ada_fail(ADA_EINVAL, "save-every needs an output folder");
    return ADA_OK;
}

static void default_real(double *x, double v) {
    if (*x == 0.0) *x = v;
}

ada_status ada_settings_resolve(ada_train_opts *out, const ada_train_opts *o, ada_arena *a) {
    ada_train_opts r = *o;
    for (size_t i = 0; i < NFIELDS; i++) {
        const char **s = (const char **)((char *)&r + fields[i].at);
        if (fields[i].kind != TEXT || !*s) continue;
        *s = ada_arena_str(a, *s, strlen(*s));
        if (!*s) return ADA_ENOMEM;
    }
    if (!r.schedule) r.schedule = "cosine";
    if (!r.loss) r.loss = "tokens";
    default_real(&r.lr, 3e-3);
    default_real(&r.warmup, 0.06);
    if (r.steps == 0) default_real(&r.epochs, 3.0);
    if (r.batch == 0) r.batch = 16;
    if (r.grad_accum == 0) r.grad_accum = 1;
    if (r.max_length == 0) r.max_length = 1024;
    default_real(&r.clip, 1.0);
    default_real(&r.beta1, 0.9);
    default_real(&r.beta2, 0.999);
    default_real(&r.eps, 1e-8);
    if (r.keep == 0) r.keep = 2;
    r.resume = NULL;
    *out = r;
    return check(out);
}
