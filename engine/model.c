/* SPDX-License-Identifier: Apache-2.0
 * Owns: the way from an open file to packed weights, and what a model says of itself.
 * Must not know: formats, architectures by name. Invariant: a model is whole or not there; closing takes any
 * part. */
#include "engine/model.h"
#include "engine/arch.h"
#include "engine/rope.h"
#include "io/os.h"
#include <stdio.h>

/* ---- weights ---- */

typedef struct {
    ada_model *m;
    ada_claims claims;
    int32_t *unpermute; /* [heads·head_dim] our row → the file's, where rotary pairs stand side by side */
    int32_t *by_head; /* [(heads + 2·kv_heads)·head_dim] row of q over k over v → the file's, of one tensor */
    int32_t *in_order; /* likewise, where the file's order is ours */
} loader;

static ada_status make_orders(loader *o) {
    const ada_config *c = &o->m->c;
    int32_t hd = c->head_dim, half = hd / 2, q = c->heads * hd, kv = c->kv_heads * hd, all = q + 2 * kv;
    ADA_TRY(ada_arena_take(&o->m->weights, &o->unpermute, (size_t)q, sizeof *o->unpermute));
    ADA_TRY(ada_arena_take(&o->m->weights, &o->by_head, (size_t)all, sizeof *o->by_head));
    ADA_TRY(ada_arena_take(&o->m->weights, &o->in_order, (size_t)all, sizeof *o->in_order));
    for (int32_t i = 0; i < q && half; i++)
        o->unpermute[i] = i - i % hd + 2 * (i % hd % half) + i % hd / half;
    /* A group is one kv head, the query heads that share it, its keys and its values. */
    int32_t group = q / c->kv_heads;
    for (int32_t i = 0; i < all; i++) {
        o->in_order[i] = i;
        int32_t part = i < q ? 0 : i < q + kv ? 1 : 2, at = i - (part ? q + (part - 1) * kv : 0);
        int32_t size = part ? hd : group, within = part ? group + (part - 1) * hd : 0;
        o->by_head[i] = at / size * (group + 2 * hd) + within + at % size;
    }
    return ADA_OK;
}

/* The rows of q, k or v in the tensor that holds all three; .t NULL: p is none of them, or there is none. */
static ada_mat_part fused_part(const loader *o, ada_param p, int32_t layer) {
    const ada_config *c = &o->m->c;
    size_t q = (size_t)(c->heads * c->head_dim), kv = (size_t)(c->kv_heads * c->head_dim);
    const struct {
        ada_param p, of;
        size_t first, rows;
    } all[] = {{ADA_P_Q, ADA_P_QKV, 0, q},       {ADA_P_Q_B, ADA_P_QKV_B, 0, q},
               {ADA_P_K, ADA_P_QKV, q, kv},      {ADA_P_K_B, ADA_P_QKV_B, q, kv},
               {ADA_P_V, ADA_P_QKV, q + kv, kv}, {ADA_P_V_B, ADA_P_QKV_B, q + kv, kv}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i].p != p) continue;
        const ada_claim *k = &o->claims.at[all[i].of][layer];
        const int32_t *order = k->flags & ADA_ROW_BY_HEAD ? o->by_head : o->in_order;
        return (ada_mat_part){.t = k->t,
                              .rows = all[i].rows,
                              .of = q + 2 * kv,
                              .transposed = (k->flags & ADA_ROW_TRANSPOSED) != 0,
                              .rows_perm = order + all[i].first};
    }
    return (ada_mat_part){0};
}

static ada_mat_part part_of(const loader *o, ada_param p, int32_t layer) {
    const ada_claim *k = &o->claims.at[p][layer];
    if (!k->t) return fused_part(o, p, layer);
    bool t = (k->flags & ADA_ROW_TRANSPOSED) != 0;
    return (ada_mat_part){.t = k->t,
                          .rows = (size_t)k->t->shape[t],
                          .transposed = t,
                          .rows_perm = k->flags & ADA_ROW_UNPERMUTE ? o->unpermute : NULL};
}

/* One weight of the named parameters, stacked by rows. */
static ada_status load_mat(const loader *o, ada_mat **w, int32_t layer, size_t k, const ada_param *p,
                           size_t n) {
    ada_mat_part parts[3];
    for (size_t i = 0; i < n; i++) parts[i] = part_of(o, p[i], layer);
    return ada_mat_pack(w, &o->m->weights, parts, n, k, o->m->type);
}

/* One vector of the named parameters, end to end; NULL where the file has none. */
static ada_status load_vec(const loader *o, float **out, int32_t layer, const ada_param *p, size_t n) {
    size_t total = 0, at = 0, longest = 0;
    for (size_t i = 0; i < n; i++) {
        ada_mat_part part = part_of(o, p[i], layer);
        if (!part.t) return *out = NULL, ADA_OK;
        size_t len = ada_tensor_count(part.t);
        total += part.of ? part.rows : len;
        if (len > longest) longest = len;
    }
    float *file;
    ADA_TRY(ada_arena_take(&o->m->weights, out, total, sizeof **out));
    ADA_TRY(ada_arena_take(&o->m->weights, &file, longest, sizeof *file));
    for (size_t i = 0; i < n; i++) {
        ada_mat_part part = part_of(o, p[i], layer);
        size_t len = ada_tensor_count(part.t), rows = part.of ? part.rows : len;
        bool plus_one = (o->claims.at[p[i]][layer].flags & ADA_ROW_PLUS_ONE) != 0;
        ADA_TRY(ada_tensor_f32(part.t, 0, len, file));
        for (size_t r = 0; r < rows; r++) {
            float v = file[part.rows_perm ? part.rows_perm[r] : (int32_t)r];
            (*out)[at + r] = plus_one ? v + 1 : v;
        }
        at += rows;
    }
    return ADA_OK;
}

#define LIST(...)                                                                                            \
    (const ada_param[]){__VA_ARGS__}, sizeof((const ada_param[]){__VA_ARGS__}) / sizeof(ada_param)

static ada_status load_norms(const loader *o, ada_layer *y, int32_t l) {
    struct {
        float **to;
        ada_param p;
    } all[] = {{&y->attn_norm, ADA_P_ATTN_NORM}, {&y->attn_norm_b, ADA_P_ATTN_NORM_B},
               {&y->ffn_norm, ADA_P_FFN_NORM},   {&y->ffn_norm_b, ADA_P_FFN_NORM_B},
               {&y->attn_post, ADA_P_ATTN_POST}, {&y->ffn_post, ADA_P_FFN_POST},
               {&y->q_norm, ADA_P_Q_NORM},       {&y->k_norm, ADA_P_K_NORM}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) ADA_TRY(load_vec(o, all[i].to, l, &all[i].p, 1));
    return ADA_OK;
}

static ada_status load_layer(const loader *o, ada_layer *y, int32_t l) {
    const ada_config *c = &o->m->c;
    size_t d = (size_t)c->d, q = (size_t)c->heads * (size_t)c->head_dim, ffn = (size_t)c->ffn;
    ADA_TRY(load_norms(o, y, l));
    if (l + 1 < c->layers) {
        ADA_TRY(load_mat(o, &y->qkv.w, l, d, LIST(ADA_P_Q, ADA_P_K, ADA_P_V)));
        if (c->qkv_bias) ADA_TRY(load_vec(o, &y->qkv.b, l, LIST(ADA_P_Q_B, ADA_P_K_B, ADA_P_V_B)));
    } else {
        ADA_TRY(load_mat(o, &y->q.w, l, d, LIST(ADA_P_Q)));
        ADA_TRY(load_mat(o, &y->qkv.w, l, d, LIST(ADA_P_K, ADA_P_V)));
        if (c->qkv_bias) ADA_TRY(load_vec(o, &y->q.b, l, LIST(ADA_P_Q_B)));
        if (c->qkv_bias) ADA_TRY(load_vec(o, &y->qkv.b, l, LIST(ADA_P_K_B, ADA_P_V_B)));
    }
    ADA_TRY(load_mat(o, &y->o.w, l, q, LIST(ADA_P_O)));
    if (c->out_bias) ADA_TRY(load_vec(o, &y->o.b, l, LIST(ADA_P_O_B)));
    if (c->gated) {
        ADA_TRY(load_mat(o, &y->up.w, l, d, LIST(ADA_P_GATE, ADA_P_UP)));
        if (c->ffn_bias) ADA_TRY(load_vec(o, &y->up.b, l, LIST(ADA_P_GATE_B, ADA_P_UP_B)));
    } else {
        ADA_TRY(load_mat(o, &y->up.w, l, d, LIST(ADA_P_UP)));
        if (c->ffn_bias) ADA_TRY(load_vec(o, &y->up.b, l, LIST(ADA_P_UP_B)));
    }
    ADA_TRY(load_mat(o, &y->down.w, l, ffn, LIST(ADA_P_DOWN)));
    if (c->ffn_bias) ADA_TRY(load_vec(o, &y->down.b, l, LIST(ADA_P_DOWN_B)));
    return ADA_OK;
}

static ada_status load_positions(const loader *o) {
    ada_model *m = o->m;
    float *factors = NULL;
    size_t half = (size_t)ada_config_rope_dims(&m->c) / 2;
    ADA_TRY(load_vec(o, &m->stack.positions, 0, LIST(ADA_P_POSITIONS)));
    if (!half) return ADA_OK;
    ADA_TRY(load_vec(o, &factors, 0, LIST(ADA_P_ROPE_FACTORS)));
    ADA_TRY(ada_arena_take(&m->weights, &m->stack.inv_freq, half, sizeof(float)));
    ada_rope_freqs(&m->c, factors, m->stack.inv_freq);
    m->stack.rope_mscale = m->c.rope_mscale != 0 ? m->c.rope_mscale : 1;
    if (m->c.rope_local == 0) return ADA_OK;
    ada_config local = m->c;
    local.rope_theta = m->c.rope_local, local.rope_scaling = ADA_ROPE_PLAIN;
    ADA_TRY(ada_arena_take(&m->weights, &m->stack.inv_local, half, sizeof(float)));
    ada_rope_freqs(&local, NULL, m->stack.inv_local);
    return ADA_OK;
}

static ada_status load(ada_model *m) {
    loader o = {.m = m};
    ADA_TRY(ada_arch_read(&m->arch, &m->c, ada_tensors_meta(m->file)));
    ADA_TRY(ada_arch_claim(&o.claims, m->arch, &m->c, m->file, &m->weights));
    m->params = o.claims.params;
    ADA_TRY(make_orders(&o));
    m->stack.c = m->c, m->stack.type = m->type;
    m->head.c = &m->c, m->head.type = m->type;
    ADA_TRY(ada_arena_zero(&m->weights, &m->stack.layers, (size_t)m->c.layers, sizeof *m->stack.layers));
    for (int32_t l = 0; l < m->c.layers; l++) ADA_TRY(load_layer(&o, &m->stack.layers[l], l));
    ADA_TRY(load_positions(&o));
    ADA_TRY(load_vec(&o, &m->head.norm, 0, LIST(ADA_P_FINAL_NORM)));
    ADA_TRY(load_vec(&o, &m->head.norm_b, 0, LIST(ADA_P_FINAL_NORM_B)));
    const ada_param out = m->c.tie ? ADA_P_EMBED : ADA_P_HEAD;
    ADA_TRY(load_mat(&o, &m->head.out.w, 0, (size_t)m->c.d, &out, 1));
    if (!m->c.tie) {
        /* Rows are read from the file as they are asked for: the first shows that its type can be. */
        float *row;
        m->table = o.claims.at[ADA_P_EMBED][0].t;
        ADA_TRY(ada_arena_take(&m->weights, &row, (size_t)m->c.d, sizeof *row));
        ADA_TRY(ada_tensor_f32(m->table, 0, (size_t)m->c.d, row));
    }
    return ada_model_prepare(m, ADA_FORWARD);
}

static ada_status each_linear(ada_model *m, ada_status (*fn)(ada_model *m, ada_mat **w, int directions),
                              int directions) {
    for (int32_t l = 0; m->stack.layers && l < m->c.layers; l++) {
        ada_layer *y = &m->stack.layers[l];
        ada_mat **all[] = {&y->qkv.w, &y->q.w, &y->o.w, &y->up.w, &y->down.w};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            if (*all[i]) ADA_TRY(fn(m, all[i], directions));
    }
    return m->head.out.w ? fn(m, &m->head.out.w, directions) : ADA_OK;
}

static ada_status prepare_one(ada_model *m, ada_mat **w, int directions) {
    return ada_mat_prepare(*w, &m->weights, directions);
}

static ada_status close_one(ada_model *m, ada_mat **w, int directions) {
    (void)m, (void)directions;
    ada_mat_close(w);
    return ADA_OK;
}

ada_status ada_model_prepare(ada_model *m, int directions) {
    ADA_TRY(each_linear(m, prepare_one, directions));
    m->directions |= directions;
    return ADA_OK;
}

void ada_model_embed(const ada_model *m, int32_t id, float *e) {
    size_t d = (size_t)m->c.d;
    if (!m->table) ada_mat_row(m->head.out.w, (size_t)id, e);
    /* cannot fail: type and shape were shown good at open */
    else if (ada_tensor_f32(m->table, (size_t)id * d, d, e) != ADA_OK)
        memset(e, 0, d * sizeof *e);
    if (m->c.embed_scale > 0) ada_k.scale(e, e, m->c.embed_scale, d);
}

/* ---- text ---- */

/* What is fine but not ours is remembered as a reason; anything else fails. */
static ada_status or_reason(ada_status st, char *why, size_t n) {
    if (st != ADA_EUNSUPPORTED) return st;
    snprintf(why, n, "%s", ada_error());
    ada_error_clear();
    return ADA_OK;
}

static ada_status open_text(ada_model *m) {
    const ada_json *meta = ada_tensors_meta(m->file);
    m->generation = ada_json_share(ada_json_get(meta, "generation_config"));
    ada_status st = ada_json_get(meta, "tokenizer") || ada_json_get(meta, "tokenizer.ggml.model")
                        ? ada_tok_open_meta(&m->tok, meta)
                        : ada_fail(ADA_EUNSUPPORTED, "the model's files hold no tokenizer");
    ADA_TRY(or_reason(st, m->tok_why, sizeof m->tok_why));
    if (!m->tok) {
        snprintf(m->chat_why, sizeof m->chat_why, "%s", m->tok_why);
        return ADA_OK;
    }
    if (ada_tok_size(m->tok) > m->c.vocab)
        return ada_fail(ADA_EMISMATCH, "tokenizer has %d ids, the embedding table %d rows",
                        ada_tok_size(m->tok), m->c.vocab);
    const char *bos = ada_tok_text(m->tok, ada_tok_bos(m->tok)),
               *eos = ada_tok_text(m->tok, ada_tok_eos(m->tok));
    return or_reason(ada_chat_open(&m->chat, ada_tok_template(m->tok), bos, eos), m->chat_why,
                     sizeof m->chat_why);
}

ada_status ada_model_text(const ada_model *m) {
    if (m->tok) return ADA_OK;
    return ada_fail(ADA_EUNSUPPORTED, "model '%s' cannot read text: %s", m->name, m->tok_why);
}

/* ---- open, close ---- */

/* The name a model gives itself, unless that is a path on somebody's disk; else the file's own. */
ada_status ada_model_name(char **name, ada_arena *a, const ada_tensors *file, const char *path) {
    const ada_json *meta = ada_tensors_meta(file);
    const char *own = ada_json_str(ada_json_get(meta, "name"), "");
    if (!*own) own = ada_json_str(ada_json_get(ada_json_get(meta, "config"), "_name_or_path"), "");
    if (!*own) own = ada_json_str(ada_json_get(meta, "general.name"), "");
    size_t n = strlen(path), from;
    while (n > 1 && path[n - 1] == '/') n--;
    for (from = n; from > 0 && path[from - 1] != '/'; from--) {
    }
    for (const char *const *ext = (const char *const[]){".gguf", ".h5", NULL}; *ext; ext++) {
        size_t len = strlen(*ext);
        if (n - from > len && !strncmp(path + n - len, *ext, len)) n -= len;
    }
    bool given = *own && *own != '/' && *own != '.';
    *name = given ? ada_arena_str(a, own, strlen(own)) : ada_arena_str(a, path + from, n - from);
    return *name ? ADA_OK : ADA_ENOMEM;
}

static ada_status open_into(ada_model *m, const char *path) {
    ADA_TRY(ada_tensors_open(&m->file, path));
    ADA_TRY(ada_model_name(&m->name, &m->weights, m->file, path));
    ADA_TRY(load(m));
    return open_text(m);
}

ada_status ada_model_open(ada_model **m, const char *path, const ada_model_opts *o) {
    double start = ada_os.now();
    *m = NULL;
    ADA_TRY(ada_engine_check());
    if (o && o->threads > 0) (void)ada_par_wish(o->threads);
    ada_model *x = ada_os.alloc(sizeof *x);
    if (!x) return ada_fail(ADA_ENOMEM, "no memory for a model");
    memset(x, 0, sizeof *x);
    x->type = o && o->f32 ? ADA_F32 : ADA_BF16;
    ada_status st = open_into(x, path);
    if (st != ADA_OK) {
        ada_note("while opening '%s'", path);
        ada_model_close(&x);
        return st;
    }
    x->open_seconds = ada_os.now() - start;
    *m = x;
    return ADA_OK;
}

void ada_model_close(ada_model **m) {
    ada_model *x = *m;
    if (!x) return;
    (void)!each_linear(x, close_one, 0);
    ada_tok_close(&x->tok);
    ada_chat_close(&x->chat);
    ada_json_close(&x->generation);
    ada_tensors_close(&x->file);
    ada_arena_free(&x->weights);
    ada_os.release(x);
    *m = NULL;
}

ada_status ada_model_digest(ada_model *m, const char **hex) {
    if (!*m->digest) ADA_TRY(ada_tensors_digest(m->file, m->digest));
    *hex = m->digest;
    return ADA_OK;
}
