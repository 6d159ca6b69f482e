/* SPDX-License-Identifier: Apache-2.0
 * Making adapters: the registry of methods, options checked, parameters declared and given memory.
 * Must not know: a method's mathematics, or files. Invariant: an adapter's parameters are f32 and named as in
 * its file. */
#include "engine/adapter.h"
#include "io/os.h"
#include "registry.h"
#include <stdio.h>
#include <string.h>

#define X(name) extern const struct ada_method ada_method_##name;
ADA_METHODS(X)
#undef X

#define X(name) &ada_method_##name,
static const struct ada_method *const methods[] = {ADA_METHODS(X)};
#undef X

const char *const ada_modality_names[ADA_MODALITIES] = {"text", "image", "decoder_text"};
const char *const ada_site_names[ADA_SITE_BOTH + 1] = {NULL, "decoder", "encoder", "both"};
const char *const ada_activation_names[ADA_ACTIVATIONS] = {"none", "relu", "gelu"};

const struct ada_method *ada_method_find(const char *name) {
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (strcmp(methods[i]->name, name) == 0) return methods[i];
    return NULL;
}

static ada_status fill_site(ada_adapter *a, const char *name) {
    bool encoder = a->model->encoder.layers != NULL;
    if (!name) name = encoder ? "encoder" : "decoder";
    int site = 1;
    while (site <= ADA_SITE_BOTH && strcmp(ada_site_names[site], name) != 0) site++;
    if (site > ADA_SITE_BOTH)
        return ada_fail(ADA_EINVAL, "unknown site '%s': encoder, decoder or both", name);
    if (!encoder && site != ADA_SITE_DECODER)
        return ada_fail(ADA_EINVAL, "site '%s', but the model has no encoder", name);
    a->site = (ada_site)site;
    return ADA_OK;
}

/* A list of words with commas between them. */
static ada_status fill_modalities(ada_adapter *a, const char *list) {
    bool sees = a->model->vision != NULL;
    if (!list) list = sees ? "text,image" : "text";
    for (const char *at = list, *end;; at = end + 1) {
        end = strchr(at, ',');
        size_t n = end ? (size_t)(end - at) : strlen(at), m = ADA_TEXT;
        while (m <= ADA_IMAGE &&
               (strlen(ada_modality_names[m]) != n || memcmp(ada_modality_names[m], at, n) != 0))
            m++;
        if (m > ADA_IMAGE)
            return ada_fail(ADA_EINVAL, "unknown modality '%.*s': text, image or text,image", (int)n, at);
        if (m == ADA_IMAGE && !sees)
            return ada_fail(ADA_EINVAL, "modality 'image', but the model sees no images");
        a->with[m] = true;
        if (!end) return ADA_OK;
    }
}

static ada_status fill_low_rank(ada_adapter *a, const ada_adapter_opts *o) {
    const char *act = o->activation ? o->activation : "none";
    while (a->activation < ADA_ACTIVATIONS && strcmp(ada_activation_names[a->activation], act) != 0)
        a->activation++;
    if (a->activation == ADA_ACTIVATIONS)
        return ada_fail(ADA_EINVAL, "unknown activation '%s': none, relu or gelu", act);
    a->rank = o->rank ? o->rank : 64;
    if (a->rank < 1 || a->rank > 65536)
        return ada_fail(ADA_EINVAL, "rank %d is not within 1..65536", a->rank);
    double scale = o->scale == 0.0 ? 1.0 : o->scale;
    if (!isfinite(scale)) return ada_fail(ADA_EINVAL, "the adapter's scale is not finite");
    a->scale = (float)scale;
    a->init_std = o->init_std == 0.0 ? ADA_INIT_STD(a->model->c.d) : o->init_std;
    if (!(a->init_std > 0.0) || !isfinite(a->init_std))
        return ada_fail(ADA_EINVAL, "the initial deviation must be above 0");
    a->bias = o->bias;
    ADA_TRY(fill_site(a, o->site));
    return fill_modalities(a, o->modalities);
}

static ada_status fill_plain(ada_adapter *a, const ada_adapter_opts *o) {
    if (o->rank || o->scale != 0.0 || o->activation || o->bias || o->init_std != 0.0 || o->site ||
        o->modalities)
        return ada_fail(ADA_EINVAL, "method '%s' has no option but the seed", a->method->name);
    a->scale = 1;
    return fill_site(a, NULL);
}

static ada_status fill(ada_adapter *a, const ada_adapter_opts *o) {
    const char *method = o->method ? o->method : "adalink";
    a->method = ada_method_find(method);
    if (!a->method) return ada_fail(ADA_EINVAL, "unknown adapter method '%s'", method);
    a->seed = o->seed;
    for (int m = 0; m < ADA_MODALITIES; m++) a->first[m] = -1;
    ADA_TRY(a->method->low_rank ? fill_low_rank(a, o) : fill_plain(a, o));
    return a->method->init(a);
}

ada_status ada_adapter_new(ada_adapter **out, ada_model *m, const ada_adapter_opts *o) {
    static const ada_adapter_opts none;
    *out = NULL;
    ada_adapter *a = ada_os.alloc(sizeof *a);
    if (!a) return ada_fail(ADA_ENOMEM, "out of memory for an adapter");
    memset(a, 0, sizeof *a);
    a->model = m;
    ada_status st = fill(a, o ? o : &none);
    if (st != ADA_OK) ada_adapter_close(&a);
    *out = a;
    return st;
}

void ada_adapter_close(ada_adapter **a) {
    if (!*a) return;
    ada_json_close(&(*a)->notes);
    ada_arena_free(&(*a)->state);
    ada_os.release(*a);
    *a = NULL;
}

ada_status ada_adapter_image_from_text(ada_adapter *a) {
    int text = a->first[ADA_TEXT], image = a->first[ADA_IMAGE];
    if (text < 0 || image < 0)
        return ada_fail(ADA_EINVAL, "the adapter has not both a text and an image part");
    for (int i = 0; text + i < image; i++) { /* they stand side by side, in one order */
        const ada_param_set *from = &a->params[text + i];
        memcpy(a->params[image + i].p, from->p, from->n * sizeof *from->p);
    }
    return ADA_OK;
}

size_t ada_adapter_params(const ada_adapter *a) {
    size_t n = 0;
    for (int i = 0; i < a->nparams; i++) n += a->params[i].n;
    return n;
}

ada_status ada_adapter_add(ada_adapter *a, const char *name, int64_t rows, int64_t cols, float **p) {
    if (a->nparams == ADA_MAX_PARAMS)
        return ada_fail(ADA_EINTERNAL, "too many adapter parameters at '%s'", name);
    ada_param_set *s = &a->params[a->nparams];
    size_t n;
    if (!ada_mul_size((size_t)rows, cols ? (size_t)cols : 1, &n))
        return ada_fail(ADA_EINVAL, "adapter parameter '%s' is too large", name);
    *s = (ada_param_set){.ndim = cols ? 2 : 1, .shape = {rows, cols}, .n = n};
    snprintf(s->name, sizeof s->name, "%s", name);
    ADA_TRY(ada_arena_zero(&a->state, &s->p, n, sizeof(float)));
    a->nparams++;
    *p = s->p;
    return ADA_OK;
}

ada_status ada_adapter_trainable(ada_adapter *a) {
    for (int i = 0; i < a->nparams; i++) {
        ada_param_set *s = &a->params[i];
        if (!s->g) ADA_TRY(ada_arena_zero(&a->state, &s->g, s->n, sizeof(float)));
        if (!s->m) ADA_TRY(ada_arena_zero(&a->state, &s->m, s->n, sizeof(float)));
        if (!s->v) ADA_TRY(ada_arena_zero(&a->state, &s->v, s->n, sizeof(float)));
    }
    return ADA_OK;
}

void ada_adapter_zero_grad(ada_adapter *a) {
    for (int i = 0; i < a->nparams; i++) memset(a->params[i].g, 0, a->params[i].n * sizeof(float));
}
