/* SPDX-License-Identifier: Apache-2.0
 * A composed model with the connector that was trained for it: the same .h5, but for the connector's numbers.
 * Owns: what is replaced, and the new file's identity. Must not know: how a connector works.
 * Invariant: every other tensor keeps its bytes; the adapter was made for this very model. */
#include "engine/adapter.h"
#include "engine/model.h"
#include "io/sha.h"
#include <stdio.h>
#include <string.h>

typedef struct folder {
    ada_arena arena;
    ada_model *model;
    ada_adapter *adapter;
    ada_tensors *file;
    ada_tensor *list;
    ada_json *meta;
} folder;

/* The adapter's numbers for a tensor of the model: "image/weight" is "connector.weight". */
static const ada_param_set *trained(const ada_adapter *a, const char *name) {
    static const char prefix[] = "connector.";
    if (strncmp(name, prefix, sizeof prefix - 1) != 0) return NULL;
    for (int i = 0; i < a->nparams; i++)
        if (strcmp(strchr(a->params[i].name, '/') + 1, name + sizeof prefix - 1) == 0) return &a->params[i];
    return NULL;
}

static ada_status fill(void *ctx, const ada_tensor *t, void *out) {
    folder *f = ctx;
    const ada_param_set *p = trained(f->adapter, t->name);
    memcpy(out, p ? p->p : ada_tensors_find(f->file, t->name)->data, t->bytes);
    return ADA_OK;
}

static ada_status make_list(folder *f, const char *model) {
    size_t n = ada_tensors_count(f->file), found = 0;
    ADA_TRY(ada_arena_take(&f->arena, &f->list, n, sizeof *f->list));
    for (size_t i = 0; i < n; i++) {
        f->list[i] = *ada_tensors_at(f->file, i);
        f->list[i].data = NULL;
        const ada_param_set *p = trained(f->adapter, f->list[i].name);
        found += p && f->list[i].dtype == ADA_F32 && f->list[i].bytes == p->n * sizeof *p->p;
    }
    if (found == (size_t)f->adapter->nparams) return ADA_OK;
    return ada_fail(ADA_EUNSUPPORTED, "'%s' was not composed here: its connector cannot be replaced", model);
}

static ada_status make_meta(folder *f) {
    if (!(f->meta = ada_json_new_obj())) return ada_fail(ADA_ENOMEM, "no memory for metadata");
    return ada_json_set_all(f->meta, ada_tensors_meta(f->file));
}

static ada_status make_digest(const folder *f, char hex[65]) {
    ada_buf text = {0};
    ada_status st = ada_tensors_digest(f->file, hex);
    if (st == ADA_OK) st = ada_buf_printf(&text, "model %s", hex);
    for (int i = 0; st == ADA_OK && i < f->adapter->nparams; i++) {
        const ada_param_set *p = &f->adapter->params[i];
        st = ada_sha_of(p->p, p->n * sizeof *p->p, hex);
        if (st == ADA_OK) st = ada_buf_printf(&text, " %s %s", p->name, hex);
    }
    if (st == ADA_OK) st = ada_sha_of(text.data, text.len, hex);
    ada_buf_free(&text);
    return st;
}

static ada_status fold(folder *f, const char *model, const char *adapter, const char *out) {
    char digest[65];
    ADA_TRY(ada_model_open(&f->model, model, NULL));
    ADA_TRY(ada_adapter_open(&f->adapter, f->model, adapter));
    if (!f->adapter->method->connects)
        return ada_fail(ADA_EUNSUPPORTED, "'%s' is an adapter of method '%s', 'connector' is wanted", adapter,
                        f->adapter->method->name);
    ADA_TRY(ada_tensors_open(&f->file, model));
    ADA_TRY(make_list(f, model));
    ADA_TRY(make_meta(f));
    ADA_TRY(make_digest(f, digest));
    return ada_model_file_write(out, f->meta, digest, f->list, ada_tensors_count(f->file), fill, f);
}

ada_status ada_model_fold(const char *model, const char *adapter, const char *out) {
    folder f = {0};
    ada_status st = fold(&f, model, adapter, out);
    ada_json_close(&f.meta);
    ada_tensors_close(&f.file);
    ada_adapter_close(&f.adapter);
    ada_model_close(&f.model);
    ada_arena_free(&f.arena);
    return st;
}
