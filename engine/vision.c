/* SPDX-License-Identifier: Apache-2.0
 * Owns: the split of a file into text model, tower and connector, and the connector's weights.
 * Must not know: kinds of models by name. Invariant: each tensor of the file is a part's; closing takes what
 * is half open. */
#include "engine/vision.h"
#include "engine/vlm.h"
#include "io/os.h"
#include <string.h>

static bool begins(const ada_rename *r, const char *name) {
    for (; r->from; r++)
        if (!strncmp(name, r->from, strlen(r->from))) return true;
    return false;
}

static bool listed(const char *const *names, const char *name) {
    for (; names && *names; names++)
        if (!strcmp(*names, name)) return true;
    return false;
}

static bool is_connector(const struct ada_vlm *k, const char *name) {
    for (int i = 0; i < ADA_VLM_TENSORS; i++)
        if (listed(k->connector[i], name)) return true;
    return false;
}

bool ada_vision_is_connector(const ada_tensors *file, const char *name) {
    const struct ada_vlm *k = ada_vlm_find(ada_tensors_meta(file));
    return k && is_connector(k, name);
}

ada_status ada_vision_split(ada_tensors **text, const ada_tensors *file) {
    ada_json *meta = NULL;
    const struct ada_vlm *k = ada_vlm_find(ada_tensors_meta(file));
    *text = NULL;
    if (!k) return ADA_OK;
    for (size_t i = 0; i < ada_tensors_count(file); i++) {
        const char *name = ada_tensors_at(file, i)->name;
        if (!begins(k->text, name) && !begins(k->vision, name) && !is_connector(k, name))
            return ada_fail(ADA_EMISMATCH, "tensor '%s' belongs to no part of a model of kind '%s'", name,
                            k->name);
    }
    ADA_TRY(k->part_meta(&meta, ada_tensors_meta(file), false));
    ada_status st = ada_tensors_part(text, file, k->text, meta);
    ada_json_close(&meta);
    return st;
}

ada_status ada_vision_tok(ada_tok **tok, const ada_tensors *file) {
    const struct ada_vlm *k = ada_vlm_find(ada_tensors_meta(file));
    ada_json *meta = NULL;
    if (!k) return ada_tok_open_meta(tok, ada_tensors_meta(file));
    ADA_TRY(k->part_meta(&meta, ada_tensors_meta(file), false));
    ada_status st = ada_tok_open_meta(tok, meta);
    ada_json_close(&meta);
    return st;
}

/* ---- the connector ---- */

static const ada_tensor *find(const ada_tensors *file, const char *const *names) {
    const ada_tensor *t = NULL;
    for (; names && *names && !t; names++) t = ada_tensors_find(file, *names);
    return t;
}

/* [rows, cols] as we have it; cols 0: a vector. */
static ada_status load_numbers(ada_vision *v, const ada_tensor *t, size_t rows, size_t cols, float **out) {
    bool turned = cols && v->kind->transposed;
    size_t n, first = turned ? cols : rows, second = turned ? rows : cols;
    if (t->ndim != (cols ? 2 : 1) || t->shape[0] != (int64_t)first ||
        (cols && t->shape[1] != (int64_t)second))
        return ada_fail(ADA_EMISMATCH, "tensor '%s' of the connector has not the shape [%zu%s%.0zu]", t->name,
                        first, cols ? ", " : "", second);
    if (!ada_mul_size(rows, cols ? cols : 1, &n))
        return ada_fail(ADA_EMISMATCH, "tensor '%s' is too large", t->name);
    ADA_TRY(ada_arena_take(&v->weights, out, n, sizeof **out));
    if (!turned) return ada_tensor_f32(t, 0, n, *out);
    ada_arena a = {0};
    float *row;
    ada_status st = ada_arena_take(&a, &row, rows, sizeof *row);
    for (size_t c = 0; st == ADA_OK && c < cols; c++) {
        st = ada_tensor_f32(t, c * rows, rows, row);
        for (size_t r = 0; st == ADA_OK && r < rows; r++) (*out)[r * cols + c] = row[r];
    }
    ada_arena_free(&a);
    return st;
}

static ada_status load_product(ada_vision *v, const ada_tensors *file, int at, int32_t in, int32_t out,
                               float **w, float **b) {
    const ada_tensor *t = find(file, v->kind->connector[at]), *bias = find(file, v->kind->connector[at + 1]);
    if (!t) return ada_fail(ADA_EMISMATCH, "tensor '%s' is missing", v->kind->connector[at][0]);
    ADA_TRY(load_numbers(v, t, (size_t)in, (size_t)out, w));
    return bias ? load_numbers(v, bias, (size_t)out, 0, b) : ADA_OK;
}

/* What is fixed of the channels: their means and deviations, both or none. */
static ada_status load_channels(ada_vision *v, const ada_tensors *file) {
    const ada_tensor *mean = find(file, v->kind->connector[0]), *std = find(file, v->kind->connector[1]);
    size_t n = (size_t)v->connector.features;
    float *m = NULL, *s = NULL;
    if (!mean && !std) return ADA_OK;
    if (!mean || !std) return ada_fail(ADA_EMISMATCH, "the connector has a mean or a deviation, not both");
    ADA_TRY(load_numbers(v, mean, n, 0, &m));
    ADA_TRY(load_numbers(v, std, n, 0, &s));
    for (size_t i = 0; i < n; i++) {
        if (!(s[i] > 0))
            return ada_fail(ADA_EFORMAT, "tensor '%s' has a deviation that is not above 0", std->name);
        s[i] = 1 / s[i];
    }
    v->connector.mean = m, v->connector.inv_std = s;
    return ADA_OK;
}

static ada_status load_connector(ada_vision *v, const ada_tensors *file, const ada_vlm_config *c, int32_t d) {
    ada_connector *k = &v->connector;
    int64_t features = (int64_t)ada_tower_features(v->tower), in = features * c->shuffle * c->shuffle;
    if (c->shuffle < 1 || c->shuffle > 64 || c->hidden < 0 || in > INT32_MAX)
        return ada_fail(ADA_EFORMAT, "the connector's sizes make no sense (pixel shuffle %d, hidden %d)",
                        (int)c->shuffle, (int)c->hidden);
    *k = (ada_connector){.kind = c->connector,
                         .features = (int32_t)features,
                         .shuffle = c->shuffle,
                         .in = (int32_t)in,
                         .d = d,
                         .act = c->act,
                         .scale = c->scale};
    ADA_TRY(load_channels(v, file));
    if (k->kind == ADA_CONNECTOR_LINEAR) return load_product(v, file, 2, k->in, d, &k->w1, &k->b1);
    k->hidden = c->hidden ? c->hidden : d;
    ADA_TRY(load_product(v, file, 2, k->in, k->hidden, &k->w1, &k->b1));
    return load_product(v, file, 4, k->hidden, d, &k->w2, &k->b2);
}

/* ---- opening ---- */

static ada_status open_into(ada_vision *v, const ada_tensors *file, ada_dtype type, int32_t d) {
    const ada_json *meta = ada_tensors_meta(file);
    ada_vlm_config c = {.shuffle = 1, .scale = 1, .tower = {.f32 = type == ADA_F32}};
    ada_json *own = NULL;
    v->prompt = v->kind->prompt;
    ADA_TRY(v->kind->read(&c, ada_json_get(meta, "config")));
    v->mask = c.mask;
    ADA_TRY(v->kind->part_meta(&own, meta, true));
    ada_status st = ada_tensors_part(&v->file, file, v->kind->vision, own);
    if (st == ADA_OK) st = ada_preprocess_of(&v->preprocess, own);
    ada_json_close(&own);
    ADA_TRY(st);
    st = ada_tower_of(&v->tower, v->file, &c.tower);
    if (st == ADA_EINVAL) return ADA_EFORMAT; /* what is asked of the tower is the file's own word */
    ADA_TRY(st);
    return load_connector(v, file, &c, d);
}

ada_status ada_vision_open(ada_vision **v, const ada_tensors *file, ada_dtype type, int32_t d) {
    const struct ada_vlm *kind = ada_vlm_find(ada_tensors_meta(file));
    *v = NULL;
    if (!kind) return ADA_OK;
    ada_vision *x = *v = ada_os.alloc(sizeof *x);
    if (!x) return ada_fail(ADA_ENOMEM, "no memory for a model's eyes");
    memset(x, 0, sizeof *x);
    x->kind = kind;
    ada_status st = open_into(x, file, type, d);
    if (st != ADA_OK) ada_vision_close(v);
    return st;
}

void ada_vision_close(ada_vision **v) {
    ada_vision *x = *v;
    if (!x) return;
    ada_tower_close(&x->tower);
    ada_tensors_close(&x->file);
    ada_arena_free(&x->weights);
    ada_os.release(x);
    *v = NULL;
}

ada_status ada_vision_rows(const ada_vision *v, int32_t h, int32_t w, ada_tile_shape *t) {
    const ada_config *c = ada_tower_config(v->tower);
    ADA_TRY(ada_tower_rows(v->tower, h, w, &t->features));
    t->h = h / c->patch_h, t->w = w / c->patch_w;
    if (v->connector.shuffle == 1) {
        t->h = t->features, t->w = 1;
    } else if (t->features != t->h * t->w) {
        return ada_fail(ADA_EUNSUPPORTED, "features of class tokens or registers cannot be shuffled");
    }
    return ada_connector_rows(&v->connector, t->h, t->w, &t->rows);
}
