/* SPDX-License-Identifier: Apache-2.0
 * Owns: the registry of architectures and the claiming of a file's tensors by their tables.
 * Must not know: how weights are packed. Invariant: each tensor of the file fills exactly one slot or is
 * listed as ignored; each slot that the switches want is filled with the shape they give. */
#include "engine/arch.h"
#include "registry.h"
#include <stdio.h>
#include <string.h>

#define X(a) extern const struct ada_arch ada_arch_##a;
ADA_ARCHS(X)
#undef X
static const struct ada_arch *const archs[] = {
#define X(a) &ada_arch_##a,
    ADA_ARCHS(X)
#undef X
};
enum { ARCHS = sizeof archs / sizeof *archs };

static bool listed(const char *const *names, const char *name) {
    for (; *names; names++)
        if (!strcmp(*names, name)) return true;
    return false;
}

/* The metadata's own words decide between the two vocabularies of names. */
static const char *gguf_name(const ada_json *meta) {
    return ada_json_str(ada_json_get(meta, "general.architecture"), NULL);
}

static ada_status unknown_arch(const char *name, bool gguf) {
    ada_buf known = {0};
    for (size_t i = 0; i < ARCHS; i++)
        for (const char *const *n = gguf ? archs[i]->gguf_names : archs[i]->hf_types; *n; n++) {
            ada_status st = ada_buf_printf(&known, "%s%s", known.len ? ", " : "", *n);
            if (st != ADA_OK) {
                ada_buf_free(&known);
                return st;
            }
        }
    ada_status st = ada_fail(ADA_EUNSUPPORTED, "unknown architecture '%s' (known: %s)", name, known.data);
    ada_buf_free(&known);
    return st;
}

static ada_status read_config(const struct ada_arch **arch, ada_config *c, const ada_json *meta,
                              const ada_json *config) {
    const char *gguf = gguf_name(meta);
    const char *name = gguf ? gguf : ada_json_str(ada_json_get(config, "model_type"), NULL);
    if (!name) return ada_fail(ADA_EFORMAT, "the model has no config.json with a 'model_type'");
    for (size_t i = 0; i < ARCHS; i++) {
        if (!listed(gguf ? archs[i]->gguf_names : archs[i]->hf_types, name)) continue;
        *arch = archs[i];
        memset(c, 0, sizeof *c);
        ADA_TRY(gguf ? archs[i]->from_gguf(c, meta) : archs[i]->from_hf(c, config));
        return ada_config_check(c);
    }
    return unknown_arch(name, gguf != NULL);
}

ada_status ada_arch_read(const struct ada_arch **arch, ada_config *c, const ada_json *meta) {
    return read_config(arch, c, meta, ada_json_get(meta, "config"));
}

ada_status ada_arch_read_tower(const struct ada_arch **arch, ada_config *c, const ada_json *meta) {
    const ada_json *whole = ada_json_get(meta, "config"), *part = ada_json_get(whole, "vision_config");
    ADA_TRY(read_config(arch, c, meta, ada_json_is_obj(part) ? part : whole));
    if (c->patch_h) return ADA_OK;
    return ada_fail(ADA_EUNSUPPORTED, "a model of architecture '%s' has no vision tower", (*arch)->name);
}

/* "%d" of the pattern stands for the layer. */
static bool name_matches(const char *pattern, const char *name, int32_t layers, int32_t *layer) {
    *layer = 0;
    const char *hole = strstr(pattern, "%d");
    if (!hole) return !strcmp(pattern, name);
    size_t before = (size_t)(hole - pattern);
    if (strncmp(pattern, name, before)) return false;
    const char *p = name + before;
    if (*p < '0' || *p > '9' || (*p == '0' && p[1] >= '0' && p[1] <= '9')) return false;
    for (; *p >= '0' && *p <= '9'; p++) {
        *layer = *layer * 10 + (*p - '0');
        if (*layer >= layers) return false;
    }
    return !strcmp(hole + 2, p);
}

enum { MANY_LAYERS = 1 << 12 };
typedef enum { NOT_THERE, MAY_BE, MUST_BE } presence;

static bool has_row(const struct ada_arch *arch, ada_param p) {
    const ada_arch_row *r = arch->rows;
    while (r->param != ADA_P_COUNT && r->param != p) r++;
    return r->param == p;
}

/* Whether the switches want a parameter, and its shape, which ends with 0 if it is shorter than the array. */
static presence wanted(const struct ada_arch *arch, const ada_config *c, ada_param p, int32_t layer,
                       int64_t shape[ADA_MAX_DIMS]) {
    bool one_tensor = c->gated && has_row(arch, ADA_P_GATE_UP);
    int64_t q = (int64_t)c->heads * c->head_dim, kv = (int64_t)c->kv_heads * c->head_dim;
    memset(shape, 0, ADA_MAX_DIMS * sizeof *shape);
    switch (p) {
    case ADA_P_EMBED:
        return shape[0] = c->vocab, shape[1] = c->d, MUST_BE;
    /* Some tied checkpoints carry a copy of the table, which their own library ignores too. */
    case ADA_P_HEAD:
        return shape[0] = c->vocab, shape[1] = c->d, c->tie ? MAY_BE : MUST_BE;
    case ADA_P_POSITIONS:
        return shape[0] = c->max_positions, shape[1] = c->d,
               c->pos == ADA_POS_LEARNED || c->patch_h ? MUST_BE : NOT_THERE;
    case ADA_P_FINAL_NORM: /* unused where raw, but for a pooled row */
        return shape[0] = c->d, c->last_raw ? MAY_BE : MUST_BE;
    case ADA_P_FINAL_NORM_B:
        return shape[0] = c->d, c->last_raw ? MAY_BE : c->norm == ADA_NORM_LAYER ? MUST_BE : NOT_THERE;
    case ADA_P_ATTN_NORM:
    case ADA_P_FFN_NORM:
        return shape[0] = c->d, MUST_BE;
    case ADA_P_ATTN_NORM_B:
    case ADA_P_FFN_NORM_B:
        return shape[0] = c->d, c->norm == ADA_NORM_LAYER ? MUST_BE : NOT_THERE;
    case ADA_P_ATTN_POST:
    case ADA_P_FFN_POST:
        return shape[0] = c->d, c->post_norms ? MUST_BE : NOT_THERE;
    case ADA_P_Q_NORM:
    case ADA_P_K_NORM:
        return shape[0] = c->head_dim, c->qk_norm ? MUST_BE : NOT_THERE;
    case ADA_P_QKV:
        return shape[0] = q + 2 * kv, shape[1] = c->d, MUST_BE;
    case ADA_P_QKV_B:
        return shape[0] = q + 2 * kv, c->qkv_bias ? MUST_BE : NOT_THERE;
    case ADA_P_Q:
        return shape[0] = q, shape[1] = c->d, MUST_BE;
    case ADA_P_K:
    case ADA_P_V:
        return shape[0] = kv, shape[1] = c->d, MUST_BE;
    case ADA_P_Q_B:
        return shape[0] = q, c->qkv_bias ? MUST_BE : NOT_THERE;
    case ADA_P_K_B:
    case ADA_P_V_B:
        return shape[0] = kv, c->qkv_bias ? MUST_BE : NOT_THERE;
    case ADA_P_O:
        return shape[0] = c->d, shape[1] = q, MUST_BE;
    case ADA_P_O_B:
        return shape[0] = c->d, c->out_bias ? MUST_BE : NOT_THERE;
    case ADA_P_GATE:
        return shape[0] = c->ffn, shape[1] = c->d, c->gated && !one_tensor ? MUST_BE : NOT_THERE;
    case ADA_P_UP:
        return shape[0] = c->ffn, shape[1] = c->d, one_tensor ? NOT_THERE : MUST_BE;
    case ADA_P_GATE_B:
        return shape[0] = c->ffn, c->gated && !one_tensor && c->ffn_bias ? MUST_BE : NOT_THERE;
    case ADA_P_UP_B:
        return shape[0] = c->ffn, c->ffn_bias && !one_tensor ? MUST_BE : NOT_THERE;
    case ADA_P_GATE_UP:
        return shape[0] = 2 * (int64_t)c->ffn, shape[1] = c->d, one_tensor ? MUST_BE : NOT_THERE;
    case ADA_P_GATE_UP_B:
        return shape[0] = 2 * (int64_t)c->ffn, one_tensor && c->ffn_bias ? MUST_BE : NOT_THERE;
    case ADA_P_DOWN:
        return shape[0] = c->d, shape[1] = c->ffn, MUST_BE;
    case ADA_P_DOWN_B:
        return shape[0] = c->d, c->ffn_bias ? MUST_BE : NOT_THERE;
    case ADA_P_ATTN_SCALE:
    case ADA_P_FFN_SCALE:
        return shape[0] = c->d, c->layer_scale ? MUST_BE : NOT_THERE;
    case ADA_P_PATCH:
        shape[0] = c->d, shape[1] = c->channels, shape[2] = c->patch_h, shape[3] = c->patch_w;
        return MUST_BE;
    case ADA_P_PATCH_B:
        return shape[0] = c->d, c->patch_bias ? MUST_BE : NOT_THERE;
    case ADA_P_CLASS:
        return shape[0] = c->d, c->class_token ? MUST_BE : NOT_THERE;
    case ADA_P_REGISTERS:
        return shape[0] = c->registers, shape[1] = c->d, c->registers ? MUST_BE : NOT_THERE;
    case ADA_P_PRE_NORM:
    case ADA_P_PRE_NORM_B:
        return shape[0] = c->d, c->pre_norm ? MUST_BE : NOT_THERE;
    case ADA_P_BUCKETS:
        shape[0] = c->buckets, shape[1] = c->heads;
        return c->pos == ADA_POS_BUCKETS && (layer == 0 || c->bucket_layers) ? MUST_BE : NOT_THERE;
    case ADA_P_CROSS_NORM:
        return shape[0] = c->d, c->encoder_layers ? MUST_BE : NOT_THERE;
    case ADA_P_CROSS_Q:
        return shape[0] = q, shape[1] = c->d, c->encoder_layers ? MUST_BE : NOT_THERE;
    case ADA_P_CROSS_K:
    case ADA_P_CROSS_V:
        return shape[0] = kv, shape[1] = c->d, c->encoder_layers ? MUST_BE : NOT_THERE;
    case ADA_P_CROSS_O:
        return shape[0] = c->d, shape[1] = q, c->encoder_layers ? MUST_BE : NOT_THERE;
    case ADA_P_ROPE_FACTORS:
        return shape[0] = ada_config_rope_dims(c) / 2, MAY_BE;
    default:
        return NOT_THERE;
    }
}

/* A list of names for a message, cut after a few. */
typedef struct {
    ada_buf text;
    size_t n;
} names;

static ada_status names_add(names *l, const char *pattern, int32_t layer) {
    if (l->n++ >= 4) return ADA_OK;
    ADA_TRY(ada_buf_puts(&l->text, l->n > 1 ? ", '" : "'"));
    const char *hole = strstr(pattern, "%d");
    if (hole)
        ADA_TRY(ada_buf_printf(&l->text, "%.*s%d%s", (int)(hole - pattern), pattern, layer, hole + 2));
    else
        ADA_TRY(ada_buf_puts(&l->text, pattern));
    return ada_buf_puts(&l->text, "'");
}

static ada_status names_fail(const names *l, const char *what) {
    if (l->n > 4) return ada_fail(ADA_EMISMATCH, "%s: %s and %zu more", what, l->text.data, l->n - 4);
    return ada_fail(ADA_EMISMATCH, "%s: %s", what, l->text.data);
}

static void shape_text(char out[ADA_MAX_DIMS * 24], const int64_t *shape, int ndim) {
    char *p = out, *end = out + ADA_MAX_DIMS * 24;
    *p = 0;
    for (int i = 0; i < ndim; i++) {
        int n = snprintf(p, (size_t)(end - p), i ? ", %lld" : "%lld", (long long)shape[i]);
        if (n > 0) p += n;
    }
}

/* Leading extents of 1 say nothing. */
static ada_status check_shape(const ada_tensor *t, const int64_t shape[ADA_MAX_DIMS], bool transposed) {
    int64_t want[ADA_MAX_DIMS];
    int ndim = 0, skip = 0;
    for (; ndim < ADA_MAX_DIMS && shape[ndim]; ndim++) want[ndim] = shape[ndim];
    if (transposed && ndim == 2) want[0] = shape[1], want[1] = shape[0];
    while (t->ndim - skip > ndim && t->shape[skip] == 1) skip++;
    bool same = t->ndim - skip == ndim;
    for (int i = 0; same && i < ndim; i++) same = t->shape[skip + i] == want[i];
    if (same) return ADA_OK;
    char found[ADA_MAX_DIMS * 24], wanted_text[ADA_MAX_DIMS * 24];
    shape_text(found, t->shape, t->ndim);
    shape_text(wanted_text, want, ndim);
    return ada_fail(ADA_EMISMATCH, "tensor '%s' has shape [%s], wanted [%s]", t->name, found, wanted_text);
}

static const char *without(const char *name, const char *prefix) {
    size_t n = prefix ? strlen(prefix) : 0;
    return n && !strncmp(name, prefix, n) ? name + n : name;
}

static const char *pattern_of(const ada_arch_row *r, bool gguf) {
    return gguf ? r->gguf : r->hf;
}

/* What stands before the name of a tower's patch embedding stands before all of its names. */
static size_t prefix_of(const struct ada_arch *arch, const ada_tensors *file, bool gguf,
                        const char **prefix) {
    *prefix = "";
    for (const ada_arch_row *r = arch->rows; r->param != ADA_P_COUNT; r++) {
        const char *pattern = pattern_of(r, gguf);
        if (r->param != ADA_P_PATCH || !pattern) continue;
        for (size_t i = 0, len = strlen(pattern); i < ada_tensors_count(file); i++) {
            const char *name = ada_tensors_at(file, i)->name;
            size_t n = strlen(name);
            bool ends = n >= len && !strcmp(name + n - len, pattern);
            if (ends && (n == len || name[n - len - 1] == '.')) return *prefix = name, n - len;
        }
    }
    return 0;
}

/* The row of `rows` that is for a tensor, or the one that ends them. */
static const ada_arch_row *find_row(const ada_arch_row *r, const struct ada_arch *arch, bool gguf,
                                    const char *name, int32_t layers, int32_t *layer) {
    for (; r->param != ADA_P_COUNT; r++) {
        const char *pattern = pattern_of(r, gguf);
        if (!pattern) continue;
        if (name_matches(pattern, name, layers, layer)) break;
        const char *bare = gguf ? pattern : without(pattern, arch->hf_prefix);
        if (bare != pattern && name_matches(bare, name, layers, layer)) break;
    }
    return r;
}

/* `others`: rows whose tensors are somebody else's, or NULL. */
static ada_status claim(ada_claims *cl, const struct ada_arch *arch, const ada_arch_row *rows,
                        const ada_arch_row *others, const ada_config *c, const ada_tensors *file, bool gguf,
                        names *strangers) {
    const char *prefix;
    size_t skip = prefix_of(arch, file, gguf, &prefix);
    for (size_t i = 0; i < ada_tensors_count(file); i++) {
        const ada_tensor *t = ada_tensors_at(file, i);
        if (strncmp(t->name, prefix, skip)) continue;
        const char *name = t->name + skip;
        int32_t layer = 0, any;
        const ada_arch_row *r = find_row(rows, arch, gguf, name, c->layers, &layer);
        if (r->param == ADA_P_IGNORED) continue;
        if (r->param == ADA_P_COUNT && others &&
            find_row(others, arch, gguf, name, MANY_LAYERS, &any)->param != ADA_P_COUNT)
            continue;
        if (r->param == ADA_P_COUNT || cl->at[r->param][layer].t)
            ADA_TRY(names_add(strangers, t->name, 0));
        else
            cl->at[r->param][layer] = (ada_claim){t, gguf ? r->gguf_flags : r->hf_flags};
    }
    return ADA_OK;
}

/* Rows for one parameter stand together: the first speaks for it. */
static bool is_again(const ada_arch_row *rows, const ada_arch_row *r, bool gguf) {
    for (const ada_arch_row *q = rows; q < r; q++)
        if (q->param == r->param && pattern_of(q, gguf)) return true;
    return false;
}

static ada_status check(ada_claims *cl, const struct ada_arch *arch, const ada_arch_row *rows,
                        const ada_config *c, bool gguf, names *strangers, names *missing) {
    for (const ada_arch_row *r = rows; r->param != ADA_P_COUNT; r++) {
        const char *pattern = pattern_of(r, gguf);
        int64_t shape[ADA_MAX_DIMS];
        if (!pattern || r->param == ADA_P_IGNORED || is_again(rows, r, gguf)) continue;
        for (int32_t l = 0; l < (ada_param_is_layers(r->param) ? c->layers : 1); l++) {
            presence want = wanted(arch, c, r->param, l, shape);
            const ada_claim *k = &cl->at[r->param][l];
            if (k->t && want == NOT_THERE)
                ADA_TRY(names_add(strangers, k->t->name, 0));
            else if (k->t)
                ADA_TRY(check_shape(k->t, shape, (k->flags & ADA_ROW_TRANSPOSED) != 0));
            else if (want == MUST_BE)
                ADA_TRY(names_add(missing, pattern, l));
            if (k->t && !(c->tie && r->param == ADA_P_HEAD)) cl->params += ada_tensor_count(k->t);
        }
    }
    if (missing->n) return names_fail(missing, "tensors missing from the model");
    if (strangers->n)
        return names_fail(strangers, "tensors that this architecture and configuration do not have");
    return ADA_OK;
}

/* What only the file's tensors can say. */
static void complete(ada_claims *cl, const struct ada_arch *arch, ada_config *c, bool gguf) {
    if (gguf || c->encoder_layers) c->tie = !cl->at[ADA_P_HEAD][0].t;
    if (!gguf) return;
    c->qkv_bias = cl->at[ADA_P_Q_B][0].t || cl->at[ADA_P_QKV_B][0].t;
    c->out_bias = cl->at[ADA_P_O_B][0].t != NULL;
    c->ffn_bias = cl->at[ADA_P_DOWN_B][0].t != NULL;
    if (arch->from_gguf_tensors) arch->from_gguf_tensors(c, cl);
}

static ada_status claim_rows(ada_claims *cl, const struct ada_arch *arch, const ada_arch_row *rows,
                             const ada_arch_row *others, ada_config *c, const ada_tensors *file,
                             ada_arena *a) {
    bool gguf = gguf_name(ada_tensors_meta(file)) != NULL;
    for (int p = 0; p < ADA_P_COUNT; p++) {
        size_t n = ada_param_is_layers((ada_param)p) ? (size_t)c->layers : 1;
        ADA_TRY(ada_arena_zero(a, &cl->at[p], n, sizeof **cl->at));
    }
    names strangers = {0}, missing = {0};
    ada_status st = claim(cl, arch, rows, others, c, file, gguf, &strangers);
    if (st == ADA_OK && rows == arch->rows) complete(cl, arch, c, gguf);
    if (st == ADA_OK) st = check(cl, arch, rows, c, gguf, &strangers, &missing);
    ada_buf_free(&strangers.text);
    ada_buf_free(&missing.text);
    return st;
}

ada_status ada_arch_claim(ada_claims *cl, const struct ada_arch *arch, ada_config *c, const ada_tensors *file,
                          ada_arena *a) {
    return claim_rows(cl, arch, arch->rows, arch->encoder, c, file, a);
}

ada_status ada_arch_claim_encoder(ada_claims *cl, const struct ada_arch *arch, const ada_config *c,
                                  const ada_tensors *file, ada_arena *a) {
    ada_config mine = *c;
    return claim_rows(cl, arch, arch->encoder, arch->rows, &mine, file, a);
}

bool ada_claims_vector(const ada_claims *cl, int32_t layers, const ada_tensor *t) {
    static const ada_param single[] = {ADA_P_POSITIONS, ADA_P_CLASS, ADA_P_REGISTERS};
    for (size_t i = 0; i < sizeof single / sizeof *single; i++) {
        const ada_tensor *k = cl->at[single[i]][0].t;
        if (k && k->data == t->data) return true;
    }
    for (int32_t l = 0; l < layers; l++) {
        const ada_tensor *k = cl->at[ADA_P_BUCKETS][l].t;
        if (k && k->data == t->data) return true;
    }
    return false;
}
