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

ada_status ada_arch_read(const struct ada_arch **arch, ada_config *c, const ada_json *meta) {
    const char *gguf = gguf_name(meta);
    const ada_json *config = ada_json_get(meta, "config");
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

static bool is_layers(ada_param p) {
    return p >= ADA_P_ATTN_NORM && p <= ADA_P_FFN_POST;
}

typedef enum { NOT_THERE, MAY_BE, MUST_BE } presence;

/* Whether the switches want a parameter, and its shape: [rows, cols], or [rows] where cols is 0. */
static presence wanted(const ada_config *c, ada_param p, int64_t shape[2]) {
    int64_t q = (int64_t)c->heads * c->head_dim, kv = (int64_t)c->kv_heads * c->head_dim;
    shape[1] = 0;
    switch (p) {
    case ADA_P_EMBED:
        return shape[0] = c->vocab, shape[1] = c->d, MUST_BE;
    /* Some tied checkpoints carry a copy of the table, which their own library ignores too. */
    case ADA_P_HEAD:
        return shape[0] = c->vocab, shape[1] = c->d, c->tie ? MAY_BE : MUST_BE;
    case ADA_P_POSITIONS:
        return shape[0] = c->max_positions, shape[1] = c->d, c->pos == ADA_POS_LEARNED ? MUST_BE : NOT_THERE;
    case ADA_P_FINAL_NORM:
    case ADA_P_ATTN_NORM:
    case ADA_P_FFN_NORM:
        return shape[0] = c->d, MUST_BE;
    case ADA_P_FINAL_NORM_B:
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
        return shape[0] = c->ffn, shape[1] = c->d, c->gated ? MUST_BE : NOT_THERE;
    case ADA_P_UP:
        return shape[0] = c->ffn, shape[1] = c->d, MUST_BE;
    case ADA_P_GATE_B:
        return shape[0] = c->ffn, c->gated && c->ffn_bias ? MUST_BE : NOT_THERE;
    case ADA_P_UP_B:
        return shape[0] = c->ffn, c->ffn_bias ? MUST_BE : NOT_THERE;
    case ADA_P_DOWN:
        return shape[0] = c->d, shape[1] = c->ffn, MUST_BE;
    case ADA_P_DOWN_B:
        return shape[0] = c->d, c->ffn_bias ? MUST_BE : NOT_THERE;
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

static ada_status check_shape(const ada_tensor *t, const int64_t want[2], bool transposed) {
    int ndim = want[1] ? 2 : 1;
    int64_t w[2] = {transposed ? want[1] : want[0], transposed ? want[0] : want[1]};
    if (t->ndim == ndim && t->shape[0] == w[0] && (ndim == 1 || t->shape[1] == w[1])) return ADA_OK;
    char found[ADA_MAX_DIMS * 24] = "", *p = found;
    for (int i = 0; i < t->ndim; i++) {
        int n =
            snprintf(p, sizeof found - (size_t)(p - found), i ? ", %lld" : "%lld", (long long)t->shape[i]);
        if (n > 0) p += n;
    }
    if (ndim == 1)
        return ada_fail(ADA_EMISMATCH, "tensor '%s' has shape [%s], wanted [%lld]", t->name, found,
                        (long long)w[0]);
    return ada_fail(ADA_EMISMATCH, "tensor '%s' has shape [%s], wanted [%lld, %lld]", t->name, found,
                    (long long)w[0], (long long)w[1]);
}

static const char *without(const char *name, const char *prefix) {
    size_t n = prefix ? strlen(prefix) : 0;
    return n && !strncmp(name, prefix, n) ? name + n : name;
}

static ada_status claim(ada_claims *cl, const struct ada_arch *arch, const ada_config *c,
                        const ada_tensors *file, bool gguf, names *strangers) {
    for (size_t i = 0; i < ada_tensors_count(file); i++) {
        const ada_tensor *t = ada_tensors_at(file, i);
        const ada_arch_row *r = arch->rows;
        int32_t layer = 0;
        for (; r->param != ADA_P_COUNT; r++) {
            const char *pattern = gguf ? r->gguf : r->hf;
            if (!pattern) continue;
            if (name_matches(pattern, t->name, c->layers, &layer)) break;
            const char *bare = gguf ? pattern : without(pattern, arch->hf_prefix);
            if (bare != pattern && name_matches(bare, t->name, c->layers, &layer)) break;
        }
        if (r->param == ADA_P_IGNORED) continue;
        if (r->param == ADA_P_COUNT || cl->at[r->param][layer].t)
            ADA_TRY(names_add(strangers, t->name, 0));
        else
            cl->at[r->param][layer] = (ada_claim){t, gguf ? r->gguf_flags : r->hf_flags};
    }
    return ADA_OK;
}

static ada_status check(ada_claims *cl, const struct ada_arch *arch, const ada_config *c, bool gguf,
                        names *strangers, names *missing) {
    for (const ada_arch_row *r = arch->rows; r->param != ADA_P_COUNT; r++) {
        const char *pattern = gguf ? r->gguf : r->hf;
        int64_t shape[2];
        presence want = wanted(c, r->param, shape);
        if (!pattern || r->param == ADA_P_IGNORED) continue;
        for (int32_t l = 0; l < (is_layers(r->param) ? c->layers : 1); l++) {
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

ada_status ada_arch_claim(ada_claims *cl, const struct ada_arch *arch, ada_config *c, const ada_tensors *file,
                          ada_arena *a) {
    bool gguf = gguf_name(ada_tensors_meta(file)) != NULL;
    for (int p = 0; p < ADA_P_COUNT; p++)
        ADA_TRY(
            ada_arena_zero(a, &cl->at[p], is_layers((ada_param)p) ? (size_t)c->layers : 1, sizeof **cl->at));
    names strangers = {0}, missing = {0};
    ada_status st = claim(cl, arch, c, file, gguf, &strangers);
    if (st == ADA_OK && gguf) {
        c->tie = !cl->at[ADA_P_HEAD][0].t;
        c->qkv_bias = cl->at[ADA_P_Q_B][0].t || cl->at[ADA_P_QKV_B][0].t;
        c->out_bias = cl->at[ADA_P_O_B][0].t != NULL;
        c->ffn_bias = cl->at[ADA_P_DOWN_B][0].t != NULL;
    }
    if (st == ADA_OK) st = check(cl, arch, c, gguf, &strangers, &missing);
    ada_buf_free(&strangers.text);
    ada_buf_free(&missing.text);
    return st;
}
