/* SPDX-License-Identifier: Apache-2.0
 * Two models of one modality each, glued: a tower, a text model and a new connector in one .h5. Owns: what of
 * either is kept, under which names, and how the connector begins. Must not know: how either works.
 * Invariant: both are opened and every tensor claimed before a byte is written; numbers read as vectors, and
 * the connector, stay f32; the file's digest follows from its parts' and from the connector's numbers. */
#include "engine/arch.h"
#include "engine/connector.h"
#include "engine/linear.h"
#include "engine/mmproj.h"
#include "engine/model.h"
#include "engine/rng.h"
#include "engine/tiles.h"
#include "engine/vlm.h"
#include "io/sha.h"

enum {
    PIECE = 1 << 16, /* values at a time, a multiple of every block */
    OWN = 6,         /* tensors of a connector at most */
    IMAGES = 512     /* whose features are looked at */
};

typedef struct part {
    ada_tensors *file;
    const struct ada_arch *arch;
    ada_config c;
    ada_claims claims, encoder; /* encoder: of an encoder-decoder */
    char digest[65];
    char *name;
} part;

typedef struct composer {
    const ada_compose_opts *o;
    ada_arena arena;
    part text, vision;
    ada_connector k;
    ada_preprocess preprocess;
    ada_json *vision_meta, *meta; /* the tower's own metadata, with preprocessing; the file's */
    ada_tower *tower;
    double *sum, *sumsq; /* [features] */
    double rows;
    float *mean, *std; /* [features] or NULL */
    float *wide;       /* [PIECE] */
    ada_tensor *list;  /* [n] as written */
    size_t n;
} composer;

/* ---- the parts ---- */

static bool sees(const ada_json *meta) {
    return ada_vlm_find(meta) || ada_json_is_obj(ada_json_get(ada_json_get(meta, "config"), "vision_config"));
}

static ada_status open_file(composer *m, part *p, const char *path) {
    ADA_TRY(ada_tensors_open(&p->file, path));
    ADA_TRY(ada_model_name(&p->name, &m->arena, p->file, path));
    return ada_tensors_digest(p->file, p->digest);
}

static ada_status open_text(composer *m) {
    part *p = &m->text;
    ADA_TRY(open_file(m, p, m->o->text));
    const ada_json *meta = ada_tensors_meta(p->file);
    if (sees(meta)) return ada_fail(ADA_EINVAL, "this text model sees already");
    ADA_TRY(ada_arch_read(&p->arch, &p->c, meta));
    if (p->c.patch_h) return ada_fail(ADA_EINVAL, "this is a vision tower, where a text model is wanted");
    ADA_TRY(ada_arch_claim(&p->claims, p->arch, &p->c, p->file, &m->arena));
    if (!p->c.encoder_layers) return ADA_OK;
    ada_config encoder = ada_config_encoder(&p->c);
    return ada_arch_claim_encoder(&p->encoder, p->arch, &encoder, p->file, &m->arena);
}

static ada_status read_preprocessing(composer *m) {
    const ada_json *meta = ada_tensors_meta(m->vision.file);
    bool gguf = ada_json_get(meta, "general.architecture") != NULL;
    if (gguf && ada_json_is_null(ada_json_get(meta, "preprocessor_config")))
        ADA_TRY(ada_mmproj_meta(&m->vision_meta, meta, NULL));
    else
        m->vision_meta = ada_json_share(meta);
    return ada_preprocess_of(&m->preprocess, m->vision_meta);
}

/* A tower's GGUF may hold the way into a text model of its own, which is not this one. */
static void tell_of_projector(const ada_tensors *file, const char *path) {
    const ada_json *meta = ada_tensors_meta(file);
    const char *type = ada_mmproj_projector(meta);
    size_t n = 0;
    if (!ada_json_get(meta, "general.architecture")) return;
    for (size_t i = 0; i < ada_tensors_count(file); i++)
        n += strncmp(ada_tensors_at(file, i)->name, "v.", 2) != 0;
    if (n == 0) return;
    ada_log(ADA_LOG_WARN,
            "'%s' holds a projector ('%s', tensors: %zu), which is left out: the connector is new", path,
            type ? type : "of no type", n);
}

static ada_status open_vision(composer *m) {
    part *p = &m->vision;
    ADA_TRY(open_file(m, p, m->o->vision));
    ADA_TRY(ada_arch_read_tower(&p->arch, &p->c, ada_tensors_meta(p->file)));
    ADA_TRY(ada_arch_claim(&p->claims, p->arch, &p->c, p->file, &m->arena));
    ada_tower_opts o = m->o->features;
    o.f32 = m->o->dtype == ADA_F32;
    ADA_TRY(ada_tower_of(&m->tower, p->file, &o));
    ADA_TRY(read_preprocessing(m));
    tell_of_projector(p->file, m->o->vision);
    return ADA_OK;
}

/* ---- the connector ---- */

/* What can be known before an image is seen. */
static ada_status check_shuffle(const composer *m) {
    const ada_preprocess *p = &m->preprocess;
    const ada_config *c = &m->vision.c;
    size_t h = p->crop ? p->crop_height : p->rule == ADA_SIZE_EXACT ? p->height : 0;
    size_t w = p->crop ? p->crop_width : p->rule == ADA_SIZE_EXACT ? p->width : 0;
    int32_t rows;
    if (m->k.shuffle == 1) return ADA_OK;
    if (m->o->features.rows != ADA_TOWER_PATCHES && (c->class_token || c->registers))
        return ada_fail(ADA_EINVAL,
                        "a pixel shuffle joins patches alone, without class tokens and registers");
    if (h == 0 || p->tiling) return ADA_OK;
    return ada_connector_rows(&m->k, (int32_t)h / c->patch_h, (int32_t)w / c->patch_w, &rows);
}

static ada_status shape_connector(composer *m) {
    const ada_compose_opts *o = m->o;
    const char *kind = o->connector ? o->connector : "linear";
    ada_connector *k = &m->k;
    k->kind = ADA_CONNECTOR_LINEAR;
    while (k->kind <= ADA_CONNECTOR_MLP2 && strcmp(ada_connector_names[k->kind], kind) != 0) k->kind++;
    if (k->kind > ADA_CONNECTOR_MLP2)
        return ada_fail(ADA_EINVAL, "unknown connector '%s': linear or mlp2", kind);
    k->shuffle = o->pixel_shuffle ? o->pixel_shuffle : 1;
    if (k->shuffle < 1 || k->shuffle > 64)
        return ada_fail(ADA_EINVAL, "a pixel shuffle of %d is not within 1..64", k->shuffle);
    if (o->hidden < 0 || o->hidden > 1 << 20)
        return ada_fail(ADA_EINVAL, "a hidden width of %d is not within 1..1048576", o->hidden);
    if (o->hidden && k->kind == ADA_CONNECTOR_LINEAR)
        return ada_fail(ADA_EINVAL, "a linear connector has no hidden width");
    int64_t features = (int64_t)ada_tower_features(m->tower), in = features * k->shuffle * k->shuffle;
    if (in > INT32_MAX) return ada_fail(ADA_EINVAL, "a pixel shuffle of %d is too large", k->shuffle);
    k->features = (int32_t)features, k->in = (int32_t)in, k->d = m->text.c.d;
    if (k->kind == ADA_CONNECTOR_MLP2) k->hidden = o->hidden ? o->hidden : k->d;
    return check_shuffle(m);
}

/* The rows that text enters with: their mean [d], and by how much a number of a row deviates from it. */
static ada_status text_rows(composer *m, float *mean, double *std) {
    const ada_tensor *t = m->text.claims.at[ADA_P_EMBED][0].t;
    size_t n = ada_tensor_count(t), d = (size_t)m->k.d;
    double *sum, sumsq = 0, of_means = 0, scale = m->text.c.embed_scale > 0 ? m->text.c.embed_scale : 1;
    ADA_TRY(ada_arena_zero(&m->arena, &sum, d, sizeof *sum));
    for (size_t i = 0; i < n; i += PIECE) {
        size_t len = n - i < PIECE ? n - i : PIECE;
        ADA_TRY(ada_tensor_f32(t, i, len, m->wide));
        for (size_t j = 0; j < len; j++) {
            double x = scale * (double)m->wide[j];
            sum[(i + j) % d] += x, sumsq += x * x;
        }
    }
    for (size_t j = 0; j < d; j++) {
        double of_rows = sum[j] * (double)d / (double)n;
        mean[j] = (float)of_rows, of_means += of_rows * of_rows / (double)d;
    }
    *std = sqrt(fmax(sumsq / (double)n - of_means, 0));
    return isfinite(*std) ? ADA_OK
                          : ada_fail(ADA_ENUMERIC, "the embedding table has numbers that are not finite");
}

/* [rows, cols], normal, of such a deviation. at: how many were drawn before. */
static ada_status draw(composer *m, float **w, int32_t rows, int32_t cols, double std, uint64_t *at) {
    size_t n;
    if (!ada_mul_size((size_t)rows, (size_t)cols, &n))
        return ada_fail(ADA_EINVAL, "the connector is too large");
    ADA_TRY(ada_arena_take(&m->arena, w, n, sizeof **w));
    for (size_t i = 0; i < n; i++)
        (*w)[i] = (float)(std * ada_rng_normal(m->o->seed, ADA_RNG_CONNECTOR, *at + i));
    *at += n;
    return ADA_OK;
}

/* Standardised features become rows around the mean of the text's, and as far from it. */
static ada_status draw_connector(composer *m) {
    static const double gelu_power = 0.4252; /* of standard normal numbers, squared and averaged */
    ada_connector *k = &m->k;
    uint64_t at = 0;
    float *mean;
    double std;
    ADA_TRY(ada_arena_take(&m->arena, &mean, (size_t)k->d, sizeof *mean));
    ADA_TRY(text_rows(m, mean, &std));
    if (k->kind == ADA_CONNECTOR_LINEAR) {
        k->b1 = mean;
        return draw(m, &k->w1, k->in, k->d, std / sqrt(k->in), &at);
    }
    k->b2 = mean;
    ADA_TRY(draw(m, &k->w1, k->in, k->hidden, 1 / sqrt(k->in), &at));
    ADA_TRY(ada_arena_zero(&m->arena, &k->b1, (size_t)k->hidden, sizeof(float)));
    return draw(m, &k->w2, k->hidden, k->d, std / sqrt(gelu_power * k->hidden), &at);
}

/* ---- what channels are like ---- */

static ada_status add_features(void *ctx, const float *f, size_t rows) {
    composer *m = ctx;
    size_t d = (size_t)m->k.features;
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < d; j++) {
            double x = (double)f[i * d + j];
            m->sum[j] += x, m->sumsq[j] += x * x;
        }
    m->rows += (double)rows;
    return ADA_OK;
}

static ada_status see_image(composer *m, ada_tiles *tiles, const char *path) {
    ada_arena a = {0};
    ada_image img;
    ada_pixels px;
    int32_t rows;
    ada_status st = ada_image_read(&img, &a, path);
    if (st == ADA_OK) st = ada_preprocess_run(&m->preprocess, &img, &a, &px);
    if (st == ADA_OK) st = ada_tower_rows(m->tower, (int32_t)px.height, (int32_t)px.width, &rows);
    if (st == ADA_OK) st = ada_tiles_add(tiles, &px);
    ada_arena_free(&a);
    return st;
}

static ada_status see_rows(composer *m, ada_tiles *tiles, const ada_dataset *data) {
    const char *last = "";
    for (size_t i = 0, seen = 0; i < ada_dataset_count(data); i++) {
        const ada_row *r = ada_dataset_at(data, i);
        for (size_t k = 0; k < r->nimages; k++) {
            if (strcmp(r->images[k], last) == 0) continue; /* questions about one image stand together */
            if (seen++ == IMAGES) return ada_tiles_run(tiles);
            last = r->images[k];
            ada_status st = see_image(m, tiles, last);
            if (st == ADA_OK) continue;
            ada_note("at image '%s' of %s:%zu", last, ada_dataset_path(data), r->line);
            return st;
        }
    }
    ADA_TRY(ada_tiles_run(tiles));
    return m->rows > 0 ? ADA_OK
                       : ada_fail(ADA_EINVAL, "'%s' has no row with an image", ada_dataset_path(data));
}

static ada_status look_at(composer *m, const char *path) {
    static const double least = 1e-6; /* a channel that never moves */
    size_t d = (size_t)m->k.features;
    ada_dataset_opts keys = m->o->keys;
    ada_dataset *data = NULL;
    ada_tiles tiles = {.tower = m->tower, .seen = add_features, .ctx = m};
    keys.allow_no_target = true;
    ADA_TRY(ada_arena_zero(&m->arena, &m->sum, d, sizeof *m->sum));
    ADA_TRY(ada_arena_zero(&m->arena, &m->sumsq, d, sizeof *m->sumsq));
    ADA_TRY(ada_arena_take(&m->arena, &m->mean, d, sizeof *m->mean));
    ADA_TRY(ada_arena_take(&m->arena, &m->std, d, sizeof *m->std));
    ADA_TRY(ada_dataset_open(&data, path, &keys));
    ada_status st = see_rows(m, &tiles, data);
    ada_tiles_free(&tiles);
    ada_dataset_close(&data);
    ADA_TRY(st);
    for (size_t j = 0; j < d; j++) {
        double mean = m->sum[j] / m->rows, var = m->sumsq[j] / m->rows - mean * mean;
        if (!isfinite(var)) return ada_fail(ADA_ENUMERIC, "the tower's channel %zu is not finite", j);
        m->mean[j] = (float)mean;
        m->std[j] = (float)fmax(sqrt(fmax(var, 0)), least);
    }
    return ADA_OK;
}

/* ---- the file ---- */

/* A number where that says it, 0 being none that was asked for: so files were before there were lists, and a
 * base is known by its digest. NULL: no memory. */
static ada_json *layers_of(const ada_tower_opts *o) {
    if (o->layers == 0) return ada_json_new_int(0);
    if (o->layers == 1 && o->layer[0] != 0) return ada_json_new_int(o->layer[0]);
    ada_json *list = ada_json_new_arr();
    for (int i = 0; list && i < o->layers; i++)
        if (ada_json_push(list, ada_json_new_int(o->layer[i])) != ADA_OK) ada_json_close(&list);
    return list;
}

static ada_status set_all(ada_json *j, const composer *m) {
    static const char *const rows[] = {"patches", "default", "full"};
    const ada_connector *k = &m->k;
    ada_json *config = ada_json_new_obj(), *c = ada_json_new_obj();
    ada_status st = ada_json_set(j, "config", config);
    if (st != ADA_OK) ada_json_close(&c);
    ADA_TRY(st);
    ADA_TRY(ada_json_set(config, "connector", c));
    ADA_TRY(ada_json_set_str(config, "model_type", "adalink_vlm"));
    ADA_TRY(ada_json_set_str(c, "kind", ada_connector_names[k->kind]));
    ADA_TRY(ada_json_set(c, "pixel_shuffle", ada_json_new_int(k->shuffle)));
    ADA_TRY(ada_json_set_str(c, "activation", "gelu"));
    ADA_TRY(ada_json_set(c, "hidden", ada_json_new_int(k->hidden)));
    ADA_TRY(ada_json_set(c, "scale", ada_json_new_int(1)));
    ADA_TRY(ada_json_set(config, "feature_layer", layers_of(&m->o->features)));
    ADA_TRY(ada_json_set_str(config, "feature_rows", rows[m->o->features.rows]));
    ADA_TRY(ada_json_set(j, "text", ada_json_share(ada_tensors_meta(m->text.file))));
    return ada_json_set(j, "vision", ada_json_share(m->vision_meta));
}

static ada_status make_meta(composer *m) {
    ada_buf name = {0};
    if (!(m->meta = ada_json_new_obj())) return ada_fail(ADA_ENOMEM, "no memory for metadata");
    ada_status st = ada_buf_printf(&name, "%s+%s", m->vision.name, m->text.name);
    if (st == ADA_OK) st = ada_json_set_str(m->meta, "name", name.data);
    ada_buf_free(&name);
    return st == ADA_OK ? set_all(m->meta, m) : st;
}

typedef struct own { /* a tensor of the connector */
    const char *name;
    const float *p;
    int32_t rows, cols; /* cols 0: a vector */
} own;

static void own_tensors(const composer *m, own list[OWN]) {
    const ada_connector *k = &m->k;
    bool two = k->kind == ADA_CONNECTOR_MLP2;
    int32_t first = two ? k->hidden : k->d;
    const own all[OWN] = {{two ? "connector.weight_1" : "connector.weight", k->w1, k->in, first},
                          {two ? "connector.bias_1" : "connector.bias", k->b1, first, 0},
                          {"connector.weight_2", k->w2, k->hidden, k->d},
                          {"connector.bias_2", k->b2, k->d, 0},
                          {"connector.mean", m->mean, k->features, 0},
                          {"connector.std", m->std, k->features, 0}};
    memcpy(list, all, sizeof all);
}

static size_t own_count(const own *t) {
    return (size_t)t->rows * (size_t)(t->cols ? t->cols : 1);
}

static bool is_vector(const part *p, const ada_tensor *t) {
    return t->ndim < 2 || ada_claims_vector(&p->claims, p->c.layers, t) ||
           (p->c.encoder_layers && ada_claims_vector(&p->encoder, p->c.encoder_layers, t));
}

static ada_status add(composer *m, const part *p, const char *prefix, const ada_tensor *t) {
    ada_buf name = {0};
    ada_tensor *to = &m->list[m->n];
    *to = *t;
    ada_status st = ada_buf_printf(&name, "%s%s", prefix, t->name);
    to->name = st == ADA_OK ? ada_arena_str(&m->arena, name.data, name.len) : NULL;
    ada_buf_free(&name);
    if (!to->name) return ADA_ENOMEM;
    to->dtype = is_vector(p, t) ? ADA_F32 : m->o->dtype;
    to->data = NULL;
    to->bytes = ada_tensor_count(to) * ada_type_size(to->dtype);
    m->n++;
    return ADA_OK;
}

/* The tower's own tensors: what else its file has, belongs to nobody here. */
static ada_status add_tower(composer *m) {
    const part *p = &m->vision;
    for (int i = 0; i < ADA_P_COUNT; i++)
        for (int32_t l = 0; l < (ada_param_is_layers((ada_param)i) ? p->c.layers : 1); l++)
            if (p->claims.at[i][l].t) ADA_TRY(add(m, p, "vision.", p->claims.at[i][l].t));
    return ADA_OK;
}

static ada_status make_list(composer *m) {
    size_t text = ada_tensors_count(m->text.file);
    own all[OWN];
    ADA_TRY(
        ada_arena_take(&m->arena, &m->list, text + ada_tensors_count(m->vision.file) + OWN, sizeof *m->list));
    for (size_t i = 0; i < text; i++) ADA_TRY(add(m, &m->text, "text.", ada_tensors_at(m->text.file, i)));
    ADA_TRY(add_tower(m));
    own_tensors(m, all);
    for (size_t i = 0; i < OWN; i++) {
        if (!all[i].p) continue;
        m->list[m->n++] = (ada_tensor){.name = all[i].name,
                                       .dtype = ADA_F32,
                                       .ndim = all[i].cols ? 2 : 1,
                                       .shape = {all[i].rows, all[i].cols},
                                       .bytes = own_count(&all[i]) * sizeof(float)};
    }
    return ADA_OK;
}

static const ada_tensor *source_of(const composer *m, const char *name) {
    static const char text[] = "text.", vision[] = "vision.";
    if (strncmp(name, text, sizeof text - 1) == 0)
        return ada_tensors_find(m->text.file, name + sizeof text - 1);
    if (strncmp(name, vision, sizeof vision - 1) == 0)
        return ada_tensors_find(m->vision.file, name + sizeof vision - 1);
    return NULL;
}

static ada_status fill(void *ctx, const ada_tensor *t, void *out) {
    composer *m = ctx;
    const ada_tensor *source = source_of(m, t->name);
    own all[OWN];
    own_tensors(m, all);
    for (size_t i = 0; !source && i < OWN; i++)
        if (all[i].p && strcmp(all[i].name, t->name) == 0) memcpy(out, all[i].p, t->bytes);
    for (size_t i = 0, count = ada_tensor_count(t); source && i < count; i += PIECE) {
        size_t n = count - i < PIECE ? count - i : PIECE;
        ADA_TRY(ada_tensor_f32(source, i, n, m->wide));
        ada_narrow(t->dtype, ada_at(t->dtype, out, i), m->wide, n);
    }
    return ADA_OK;
}

/* What it is made of, so that the type of its weights makes no other model of it, as of an import. */
static ada_status digest_of(const composer *m, char hex[65]) {
    ada_buf text = {0};
    own all[OWN];
    own_tensors(m, all);
    ada_status st = ada_buf_printf(&text, "vision %s text %s ", m->vision.digest, m->text.digest);
    if (st == ADA_OK) st = ada_json_text(ada_json_get(m->meta, "config"), 0, &text);
    for (size_t i = 0; st == ADA_OK && i < OWN; i++) {
        char part_hex[65];
        if (!all[i].p) continue;
        st = ada_sha_of(all[i].p, own_count(&all[i]) * sizeof(float), part_hex);
        if (st == ADA_OK) st = ada_buf_printf(&text, " %s %s", all[i].name, part_hex);
    }
    if (st == ADA_OK) st = ada_sha_of(text.data, text.len, hex);
    ada_buf_free(&text);
    return st;
}

static ada_status noted(ada_status st, const char *path) {
    if (st != ADA_OK) ada_note("while opening '%s'", path);
    return st;
}

static ada_status compose(composer *m, const char *out) {
    char digest[65];
    if (m->o->dtype != ADA_BF16 && m->o->dtype != ADA_F32)
        return ada_fail(ADA_EINVAL, "a model is written as bf16 or f32, not %s", ada_dtype_name(m->o->dtype));
    ADA_TRY(ada_engine_check());
    ADA_TRY(noted(open_text(m), m->o->text));
    ADA_TRY(noted(open_vision(m), m->o->vision));
    ADA_TRY(shape_connector(m));
    ADA_TRY(ada_arena_take(&m->arena, &m->wide, PIECE, sizeof *m->wide));
    if (m->o->normalize_on) ADA_TRY(look_at(m, m->o->normalize_on));
    ADA_TRY(draw_connector(m));
    ADA_TRY(make_meta(m));
    ADA_TRY(make_list(m));
    ADA_TRY(digest_of(m, digest));
    return ada_model_file_write(out, m->meta, digest, m->list, m->n, fill, m);
}

ada_status ada_model_compose(const ada_compose_opts *o, const char *out) {
    composer m = {.o = o, .k = {.scale = 1, .act = ADA_ACT_GELU_ERF}};
    ada_status st = compose(&m, out);
    ada_tower_close(&m.tower);
    ada_json_close(&m.vision_meta);
    ada_json_close(&m.meta);
    ada_tensors_close(&m.vision.file);
    ada_tensors_close(&m.text.file);
    ada_arena_free(&m.arena);
    return st;
}
