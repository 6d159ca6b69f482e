/* SPDX-License-Identifier: Apache-2.0
 * Adapter and checkpoint files. Owns: what is written where, and the checks of base and shape on reading.
 * Must not know: HDF5 itself, or how training proceeds.
 * Invariant: an adapter is refused unless its base's digest is this model's. */
#include "engine/state.h"
#include "io/h5.h"
#include "io/os.h"
#include "io/replace.h"
#include "io/sha.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- writing ---- */
typedef struct save {
    const ada_adapter *a;
    const ada_state *s;
    const char *base_digest;
    char template_digest[65];
} save;

static ada_status put_params(ada_h5_out *f, const ada_adapter *a, const char *group, float *const *data) {
    for (int i = 0; i < a->nparams; i++) {
        char path[96];
        snprintf(path, sizeof path, "%s/%s", group, a->params[i].name);
        ADA_TRY(ada_h5_put(f, path, ADA_F32, a->params[i].ndim, a->params[i].shape, data[i]));
    }
    return ADA_OK;
}

/* NULL writes an empty object. */
static ada_status put_json(ada_h5_out *f, const char *object, const char *name, const ada_json *j) {
    ada_buf b = {0};
    ada_status st = j ? ada_json_text(j, 0, &b) : ada_buf_puts(&b, "{}");
    if (st == ADA_OK) st = ada_h5_attr_str(f, object, name, b.data);
    ada_buf_free(&b);
    return st;
}

static ada_status put_low_rank(ada_h5_out *f, const ada_adapter *a, const char *at) {
    const char *modalities = !a->with[ADA_IMAGE] ? "text" : a->with[ADA_TEXT] ? "text,image" : "image";
    ADA_TRY(ada_h5_attr_str(f, at, "site", ada_site_names[a->site]));
    ADA_TRY(ada_h5_attr_str(f, at, "modalities", modalities));
    ADA_TRY(ada_h5_attr_i64(f, at, "rank", a->rank));
    ADA_TRY(ada_h5_attr_f64(f, at, "scale", (double)a->scale));
    ADA_TRY(ada_h5_attr_str(f, at, "activation", ada_activation_names[a->activation]));
    ADA_TRY(ada_h5_attr_i64(f, at, "bias", a->bias));
    return ada_h5_attr_f64(f, at, "init_std", a->init_std);
}

static ada_status put_adapter(ada_h5_out *f, const save *w) {
    const ada_adapter *a = w->a;
    const char *at = "/adapter";
    float *p[ADA_MAX_PARAMS];
    for (int i = 0; i < a->nparams; i++) p[i] = a->params[i].p;
    ADA_TRY(put_params(f, a, at, p));
    ADA_TRY(ada_h5_attr_str(f, at, "method", a->method->name));
    if (a->method->low_rank) ADA_TRY(put_low_rank(f, a, at));
    ADA_TRY(ada_h5_attr_i64(f, at, "seed", (int64_t)a->seed));
    ADA_TRY(ada_h5_attr_str(f, at, "base_name", a->model->name));
    ADA_TRY(ada_h5_attr_str(f, at, "base_sha256", w->base_digest));
    ADA_TRY(ada_h5_attr_str(f, at, "template_sha256", w->template_digest));
    return put_json(f, at, "notes", a->notes);
}

static ada_status put_state(ada_h5_out *f, const ada_adapter *a, const ada_state *s) {
    const char *at = "/state";
    float *m[ADA_MAX_PARAMS], *v[ADA_MAX_PARAMS];
    for (int i = 0; i < a->nparams; i++) m[i] = a->params[i].m, v[i] = a->params[i].v;
    ADA_TRY(put_params(f, a, "/state/m", m));
    ADA_TRY(put_params(f, a, "/state/v", v));
    if (s->best_step > 0) ADA_TRY(put_params(f, a, "/state/best", s->best));
    ADA_TRY(ada_h5_attr_i64(f, at, "step", s->step));
    ADA_TRY(ada_h5_attr_f64(f, at, "epoch", s->epoch));
    ADA_TRY(ada_h5_attr_i64(f, at, "best_step", s->best_step));
    ADA_TRY(ada_h5_attr_f64(f, at, "best_loss", s->best_loss));
    ADA_TRY(ada_h5_attr_i64(f, at, "stale", s->stale));
    ADA_TRY(ada_h5_attr_str(f, at, "data_sha256", s->data_digest));
    ADA_TRY(ada_h5_attr_str(f, at, "eval_sha256", s->eval_digest));
    return put_json(f, at, "settings", s->settings);
}

static ada_status fill_file(void *ctx, const char *temp) {
    const save *w = ctx;
    ada_h5_out *f = NULL;
    ADA_TRY(ada_h5_create(&f, temp));
    ada_status st = put_adapter(f, w);
    if (st == ADA_OK && w->s) st = put_state(f, w->a, w->s);
    if (st == ADA_OK) return ada_h5_finish(&f);
    ada_h5_abandon(&f);
    return st;
}

static ada_status template_digest(const ada_model *m, char hex[65]) {
    const char *text = m->tok ? ada_tok_template(m->tok) : NULL;
    hex[0] = 0;
    if (!text) return ADA_OK;
    ada_sha *sha = NULL;
    ADA_TRY(ada_sha_open(&sha));
    ada_status st = ada_sha_add(sha, text, strlen(text));
    ada_status closed = ada_sha_close(&sha, hex);
    return st != ADA_OK ? st : closed;
}

static ada_status save_of(save *w, const ada_adapter *a, const ada_state *s) {
    *w = (save){.a = a, .s = s};
    ADA_TRY(ada_model_digest(a->model, &w->base_digest));
    return template_digest(a->model, w->template_digest);
}

ada_status ada_state_save(const ada_adapter *a, const ada_state *s, const char *path) {
    save w;
    ADA_TRY(save_of(&w, a, s));
    return ada_replace(path, fill_file, &w);
}

ada_status ada_state_rehearse(const ada_adapter *a, const ada_state *s) {
    save w;
    ADA_TRY(save_of(&w, a, s));
    return fill_file(&w, "/dev/null");
}

ada_status ada_adapter_save(const ada_adapter *a, const char *path) {
    return ada_state_save(a, NULL, path);
}

/* ---- reading ---- */
/* A text attribute into a fixed buffer; absent is EFORMAT by h5.c. */
static ada_status attr_text(ada_h5_in *f, const char *object, const char *name, char *out, size_t room) {
    ada_buf b = {0};
    ada_status st = ada_h5_get_attr_str(f, object, name, &b);
    if (st == ADA_OK && b.len >= room)
        st = ada_fail(ADA_EFORMAT, "attribute '%s' of '%s' is too long", name, object);
    if (st == ADA_OK) snprintf(out, room, "%s", b.data ? b.data : "");
    ada_buf_free(&b);
    return st;
}

static ada_status attr_json(ada_h5_in *f, const char *object, const char *name, ada_json **j) {
    ada_buf b = {0};
    ada_status st = ada_h5_get_attr_str(f, object, name, &b);
    if (st == ADA_OK) st = ada_json_parse(j, b.data, b.len, name);
    ada_buf_free(&b);
    return st;
}

typedef struct header { /* the attributes of /adapter */
    char method[32], base_name[256], base_digest[65], template_digest[65];
    int64_t seed;
    bool low_rank; /* the rest is there */
    char site[16], modalities[16], activation[32];
    int64_t rank, bias;
    double scale, init_std;
} header;

/* What files from before it was written lack. */
static ada_status attr_later(ada_h5_in *f, const char *object, const char *name, char *out, size_t room,
                             const char *before) {
    ada_status st = attr_text(f, object, name, out, room);
    if (st != ADA_EMISMATCH) return st;
    ada_error_clear();
    snprintf(out, room, "%s", before);
    return ADA_OK;
}

static ada_status read_low_rank(ada_h5_in *f, const char *at, header *h) {
    const char *text = ada_modality_names[ADA_TEXT], *decoder = ada_site_names[ADA_SITE_DECODER];
    ADA_TRY(attr_later(f, at, "site", h->site, sizeof h->site, decoder));
    ADA_TRY(attr_later(f, at, "modalities", h->modalities, sizeof h->modalities, text));
    ADA_TRY(attr_text(f, at, "activation", h->activation, sizeof h->activation));
    ADA_TRY(ada_h5_get_attr_i64(f, at, "rank", &h->rank));
    ADA_TRY(ada_h5_get_attr_i64(f, at, "bias", &h->bias));
    ADA_TRY(ada_h5_get_attr_f64(f, at, "scale", &h->scale));
    ADA_TRY(ada_h5_get_attr_f64(f, at, "init_std", &h->init_std));
    if (h->rank < 1 || h->rank > 65536)
        return ada_fail(ADA_EFORMAT, "adapter rank %lld is not within 1..65536", (long long)h->rank);
    return ADA_OK;
}

static ada_status read_header(ada_h5_in *f, header *h) {
    const char *at = "/adapter";
    if (!ada_h5_has(f, at)) return ada_fail(ADA_EFORMAT, "no adapter in it: group '/adapter' is missing");
    ADA_TRY(attr_text(f, at, "method", h->method, sizeof h->method));
    ADA_TRY(attr_text(f, at, "base_name", h->base_name, sizeof h->base_name));
    ADA_TRY(attr_text(f, at, "base_sha256", h->base_digest, sizeof h->base_digest));
    ADA_TRY(attr_text(f, at, "template_sha256", h->template_digest, sizeof h->template_digest));
    ADA_TRY(ada_h5_get_attr_i64(f, at, "seed", &h->seed));
    const struct ada_method *method = ada_method_find(h->method);
    h->low_rank = !method || method->low_rank;
    return h->low_rank ? read_low_rank(f, at, h) : ADA_OK;
}

static ada_status check_base(const header *h, ada_model *m) {
    const char *digest;
    char template[65];
    ADA_TRY(ada_model_digest(m, &digest));
    if (strcmp(digest, h->base_digest) != 0)
        return ada_fail(ADA_EMISMATCH,
                        "adapter was made for base '%s' (sha256 %.12s…), this model is '%s' (sha256 %.12s…)",
                        h->base_name, h->base_digest, m->name, digest);
    ADA_TRY(template_digest(m, template));
    if (strcmp(template, h->template_digest) != 0)
        ada_log(ADA_LOG_WARN, "the adapter was trained with another chat template than this model's");
    return ADA_OK;
}

typedef struct claim {
    const ada_adapter *a;
    const char *modality;
} claim;

static ada_status claim_dataset(void *ctx, const char *name) {
    const claim *c = ctx;
    char full[sizeof c->a->params[0].name + 1];
    snprintf(full, sizeof full, "%s/%s", c->modality, name);
    for (int i = 0; i < c->a->nparams; i++)
        if (strcmp(c->a->params[i].name, full) == 0) return ADA_OK;
    return ada_fail(ADA_EMISMATCH, "adapter holds '%s', which method '%s' does not know", full,
                    c->a->method->name);
}

typedef struct claims {
    const ada_adapter *a;
    ada_h5_in *f;
} claims;

static ada_status claim_modality(void *ctx, const char *name) {
    const claims *k = ctx;
    char group[64];
    snprintf(group, sizeof group, "/adapter/%s", name);
    return ada_h5_each(k->f, group, claim_dataset, &(claim){k->a, name});
}

static ada_status get_params(ada_h5_in *f, const ada_adapter *a, const char *group, float *const *data) {
    for (int i = 0; i < a->nparams; i++) {
        const ada_param_set *p = &a->params[i];
        char path[96];
        ada_dtype type;
        int ndim;
        int64_t shape[ADA_MAX_DIMS] = {0};
        snprintf(path, sizeof path, "%s/%s", group, p->name);
        ADA_TRY(ada_h5_shape(f, path, &type, &ndim, shape));
        if (ndim != p->ndim || shape[0] != p->shape[0] || (ndim == 2 && shape[1] != p->shape[1]))
            return ada_fail(ADA_EMISMATCH, "'%s' has shape [%lld, %lld], wanted [%lld, %lld]", path,
                            (long long)shape[0], (long long)shape[1], (long long)p->shape[0],
                            (long long)p->shape[1]);
        ADA_TRY(ada_h5_get_f32(f, path, p->n, data[i]));
    }
    return ADA_OK;
}

static ada_status read_adapter(ada_h5_in *f, ada_adapter **out, ada_model *m) {
    header h;
    ADA_TRY(read_header(f, &h));
    ADA_TRY(check_base(&h, m));
    ada_adapter_opts o = {.method = h.method, .seed = (uint64_t)h.seed};
    if (h.low_rank) {
        o.rank = (int)h.rank, o.scale = h.scale, o.activation = h.activation, o.bias = h.bias != 0;
        o.init_std = h.init_std, o.site = h.site, o.modalities = h.modalities;
    }
    ADA_TRY(ada_adapter_new(out, m, &o));
    ADA_TRY(ada_h5_each(f, "/adapter", claim_modality, &(claims){*out, f}));
    float *p[ADA_MAX_PARAMS];
    for (int i = 0; i < (*out)->nparams; i++) p[i] = (*out)->params[i].p;
    ADA_TRY(get_params(f, *out, "/adapter", p));
    return attr_json(f, "/adapter", "notes", &(*out)->notes);
}

ada_status ada_adapter_open(ada_adapter **out, ada_model *m, const char *path) {
    ada_h5_in *f = NULL;
    *out = NULL;
    ADA_TRY(ada_h5_open(&f, path, true));
    ada_status st = read_adapter(f, out, m);
    ada_h5_close(&f);
    if (st == ADA_OK) return ADA_OK;
    ada_note("while opening adapter '%s'", path);
    ada_adapter_close(out);
    return st;
}

static ada_status read_state(ada_h5_in *f, ada_adapter *a, ada_state *s) {
    const char *at = "/state";
    float *m[ADA_MAX_PARAMS], *v[ADA_MAX_PARAMS];
    if (!ada_h5_has(f, at))
        return ada_fail(ADA_EFORMAT, "an adapter, not a checkpoint: group '/state' is missing");
    for (int i = 0; i < a->nparams; i++) m[i] = a->params[i].m, v[i] = a->params[i].v;
    ADA_TRY(get_params(f, a, "/state/m", m));
    ADA_TRY(get_params(f, a, "/state/v", v));
    ADA_TRY(ada_h5_get_attr_i64(f, at, "step", &s->step));
    ADA_TRY(ada_h5_get_attr_f64(f, at, "epoch", &s->epoch));
    ADA_TRY(ada_h5_get_attr_i64(f, at, "best_step", &s->best_step));
    ADA_TRY(ada_h5_get_attr_f64(f, at, "best_loss", &s->best_loss));
    ADA_TRY(ada_h5_get_attr_i64(f, at, "stale", &s->stale));
    ADA_TRY(attr_text(f, at, "data_sha256", s->data_digest, sizeof s->data_digest));
    ADA_TRY(attr_text(f, at, "eval_sha256", s->eval_digest, sizeof s->eval_digest));
    return s->best_step > 0 && s->best[0] ? get_params(f, a, "/state/best", s->best) : ADA_OK;
}

ada_status ada_state_load(ada_adapter *a, ada_state *s, const char *path) {
    ada_h5_in *f = NULL;
    ADA_TRY(ada_h5_open(&f, path, true));
    ada_status st = read_state(f, a, s);
    ada_h5_close(&f);
    if (st != ADA_OK) ada_note("while resuming from '%s'", path);
    return st;
}

/* ---- checkpoints of a folder ---- */
enum { NAME_DIGITS = 8 };

/* The step in a name such as checkpoint-00000120.h5; -1 for other names. */
static int64_t step_of(const char *name) {
    int64_t step;
    int end = 0;
    if (sscanf(name, "checkpoint-%8" SCNd64 ".h5%n", &step, &end) != 1 || end == 0 || name[end]) return -1;
    return step;
}

ada_status ada_state_path(const char *folder, int64_t step, ada_buf *path) {
    return ada_buf_printf(path, "%s/checkpoint-%0*" PRId64 ".h5", folder, NAME_DIGITS, step);
}

typedef struct newest { /* the greatest step below `below`, and how many there are */
    int64_t below, step, count;
} newest;

static void see_name(void *ctx, const char *name) {
    newest *n = ctx;
    int64_t step = step_of(name);
    if (step < 0 || step >= n->below) return;
    n->count++;
    if (step > n->step) n->step = step;
}

static newest newest_below(const char *folder, int64_t below) {
    newest n = {.below = below, .step = -1};
    if (ada_os.list(folder, see_name, &n) != 0) n.count = -1;
    return n;
}

int64_t ada_state_newest(const char *folder) {
    return newest_below(folder, INT64_MAX).step;
}

void ada_state_prune(const char *folder, int keep) {
    int64_t below = INT64_MAX;
    for (int seen = 0;; seen++) {
        newest n = newest_below(folder, below);
        if (n.step < 0) return;
        below = n.step;
        ada_buf path = {0};
        if (seen >= keep && ada_state_path(folder, n.step, &path) == ADA_OK) (void)ada_os.unlink(path.data);
        ada_buf_free(&path);
    }
}

static ada_status read_settings(const char *path, ada_json **settings) {
    ada_h5_in *f = NULL;
    ADA_TRY(ada_h5_open(&f, path, true));
    ada_status st = ada_h5_has(f, "/state")
                        ? attr_json(f, "/state", "settings", settings)
                        : ada_fail(ADA_EFORMAT, "'%s' is an adapter, not a checkpoint", path);
    ada_h5_close(&f);
    return st;
}

/* Newest first; one that cannot be read is passed over with a warning, as long as an older one can. */
static ada_status find_in(const char *folder, ada_buf *path, ada_json **settings) {
    ada_status st = ada_fail(ADA_EIO, "no checkpoint in '%s'", folder);
    for (int64_t below = INT64_MAX;;) {
        newest n = newest_below(folder, below);
        if (n.step < 0) return st;
        path->len = 0;
        ADA_TRY(ada_state_path(folder, n.step, path));
        st = read_settings(path->data, settings);
        if (st != ADA_EFORMAT && st != ADA_EIO) return st;
        ada_log(ADA_LOG_WARN, "passing over '%s': %s", path->data, ada_error());
        below = n.step;
    }
}

ada_status ada_checkpoint_find(const char *folder, ada_buf *path, ada_json **settings) {
    *settings = NULL;
    path->len = 0;
    if (newest_below(folder, INT64_MAX).count >= 0) return find_in(folder, path, settings);
    ADA_TRY(ada_buf_puts(path, folder));
    return read_settings(folder, settings);
}

/* ---- describing ---- */
typedef struct listing {
    ada_h5_in *f;
    ada_json *tensors, *modalities; /* modalities: parameters of each */
    const char *modality;
    int64_t params, all; /* of the modality at hand, of all */
} listing;

static ada_status list_dataset(void *ctx, const char *name) {
    listing *l = ctx;
    char path[192];
    ada_dtype type;
    int ndim;
    int64_t shape[ADA_MAX_DIMS], n = 1;
    snprintf(path, sizeof path, "/adapter/%s/%s", l->modality, name);
    ADA_TRY(ada_h5_shape(l->f, path, &type, &ndim, shape));
    ada_json *dims = ada_json_new_arr();
    if (!dims) return ada_fail(ADA_ENOMEM, "out of memory for a description");
    for (int i = 0; i < ndim; i++) {
        n *= shape[i];
        ada_status st = ada_json_push(dims, ada_json_new_int(shape[i]));
        if (st != ADA_OK) ada_json_close(&dims);
        ADA_TRY(st);
    }
    l->params += n;
    return ada_json_set(l->tensors, path + strlen("/adapter/"), dims);
}

static ada_status list_modality(void *ctx, const char *name) {
    listing *l = ctx;
    char group[128];
    snprintf(group, sizeof group, "/adapter/%s", name);
    l->modality = name;
    l->params = 0;
    ADA_TRY(ada_h5_each(l->f, group, list_dataset, l));
    l->all += l->params;
    return ada_json_set(l->modalities, name, ada_json_new_int(l->params));
}

static ada_status describe_params(ada_h5_in *f, ada_json *j) {
    listing l = {.f = f, .tensors = ada_json_new_obj(), .modalities = ada_json_new_obj()};
    ada_status st = l.tensors && l.modalities ? ada_h5_each(f, "/adapter", list_modality, &l)
                                              : ada_fail(ADA_ENOMEM, "out of memory for a description");
    if (st == ADA_OK) st = ada_json_set(j, "tensors", ada_json_share(l.tensors));
    if (st == ADA_OK) st = ada_json_set(j, "modalities", ada_json_share(l.modalities));
    if (st == ADA_OK) st = ada_json_set(j, "parameters", ada_json_new_int(l.all));
    ada_json_close(&l.tensors);
    ada_json_close(&l.modalities);
    return st;
}

static ada_status set_json(ada_h5_in *f, const char *object, const char *name, ada_json *j) {
    ada_json *v = NULL;
    ADA_TRY(attr_json(f, object, name, &v));
    return ada_json_set(j, name, v);
}

static ada_status describe_low_rank(const header *h, ada_json *j) {
    ADA_TRY(ada_json_set_str(j, "site", h->site));
    ADA_TRY(ada_json_set(j, "rank", ada_json_new_int(h->rank)));
    ADA_TRY(ada_json_set(j, "scale", ada_json_new_num(h->scale)));
    ADA_TRY(ada_json_set_str(j, "activation", h->activation));
    ADA_TRY(ada_json_set(j, "bias", ada_json_new_bool(h->bias != 0)));
    return ada_json_set(j, "init_std", ada_json_new_num(h->init_std));
}

static ada_status describe(ada_h5_in *f, ada_json *j) {
    header h;
    ADA_TRY(read_header(f, &h));
    bool checkpoint = ada_h5_has(f, "/state");
    ADA_TRY(ada_json_set_str(j, "kind", checkpoint ? "checkpoint" : "adapter"));
    ADA_TRY(ada_json_set_str(j, "method", h.method));
    if (h.low_rank) ADA_TRY(describe_low_rank(&h, j));
    ADA_TRY(ada_json_set(j, "seed", ada_json_new_int(h.seed)));
    ADA_TRY(ada_json_set_str(j, "base_name", h.base_name));
    ADA_TRY(ada_json_set_str(j, "base_sha256", h.base_digest));
    ADA_TRY(ada_json_set_str(j, "template_sha256", h.template_digest));
    ADA_TRY(describe_params(f, j));
    ADA_TRY(set_json(f, "/adapter", "notes", j));
    if (!checkpoint) return ADA_OK;
    int64_t step;
    double epoch;
    ADA_TRY(ada_h5_get_attr_i64(f, "/state", "step", &step));
    ADA_TRY(ada_h5_get_attr_f64(f, "/state", "epoch", &epoch));
    ADA_TRY(ada_json_set(j, "step", ada_json_new_int(step)));
    ADA_TRY(ada_json_set(j, "epoch", ada_json_new_num(epoch)));
    return set_json(f, "/state", "settings", j);
}

ada_status ada_adapter_describe(const char *path, ada_json **out) {
    ada_h5_in *f = NULL;
    *out = NULL;
    ADA_TRY(ada_h5_open(&f, path, true));
    ada_json *j = ada_json_new_obj();
    ada_status st = j ? describe(f, j) : ada_fail(ADA_ENOMEM, "out of memory for a description");
    ada_h5_close(&f);
    if (st != ADA_OK) ada_note("while reading '%s'", path);
    if (st != ADA_OK) ada_json_close(&j);
    *out = j;
    return st;
}
