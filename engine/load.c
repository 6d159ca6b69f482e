/* SPDX-License-Identifier: Apache-2.0
 * Owns: the way from claimed tensors to a stack's packed weights: what undoes a source's quirks, what stands
 * in one tensor and what in three. Must not know: formats, architectures by name, whose stack it is.
 * Invariant: a stack loaded half may be released. */
#include "engine/load.h"
#include "engine/buckets.h"
#include "engine/rope.h"

ada_status ada_load_begin(ada_loader *o) {
    const ada_config *c = o->c;
    int32_t hd = c->head_dim, half = hd / 2, q = c->heads * hd, kv = c->kv_heads * hd, all = q + 2 * kv;
    ADA_TRY(ada_arena_take(o->weights, &o->unpermute, (size_t)q, sizeof *o->unpermute));
    ADA_TRY(ada_arena_take(o->weights, &o->by_head, (size_t)all, sizeof *o->by_head));
    for (int32_t i = 0; i < q && half; i++)
        o->unpermute[i] = i - i % hd + 2 * (i % hd % half) + i % hd / half;
    /* A group is one kv head, the query heads that share it, its keys and its values. */
    int32_t group = q / c->kv_heads;
    for (int32_t i = 0; i < all; i++) {
        int32_t part = i < q ? 0 : i < q + kv ? 1 : 2, at = i - (part ? q + (part - 1) * kv : 0);
        int32_t size = part ? hd : group, within = part ? group + (part - 1) * hd : 0;
        o->by_head[i] = at / size * (group + 2 * hd) + within + at % size;
    }
    return ADA_OK;
}

/* The rows of q, k or v in the tensor that holds all three, of gate or up in that of both; .t NULL: p is none
 * of them, or there is none. */
static ada_mat_part fused_part(const ada_loader *o, ada_param p, int32_t layer) {
    const ada_config *c = o->c;
    size_t q = (size_t)(c->heads * c->head_dim), kv = (size_t)(c->kv_heads * c->head_dim);
    size_t ffn = (size_t)c->ffn;
    const struct {
        ada_param p, of;
        size_t first, rows, of_rows;
    } all[] = {
        {ADA_P_Q, ADA_P_QKV, 0, q, q + 2 * kv},       {ADA_P_Q_B, ADA_P_QKV_B, 0, q, q + 2 * kv},
        {ADA_P_K, ADA_P_QKV, q, kv, q + 2 * kv},      {ADA_P_K_B, ADA_P_QKV_B, q, kv, q + 2 * kv},
        {ADA_P_V, ADA_P_QKV, q + kv, kv, q + 2 * kv}, {ADA_P_V_B, ADA_P_QKV_B, q + kv, kv, q + 2 * kv},
        {ADA_P_GATE, ADA_P_GATE_UP, 0, ffn, 2 * ffn}, {ADA_P_GATE_B, ADA_P_GATE_UP_B, 0, ffn, 2 * ffn},
        {ADA_P_UP, ADA_P_GATE_UP, ffn, ffn, 2 * ffn}, {ADA_P_UP_B, ADA_P_GATE_UP_B, ffn, ffn, 2 * ffn}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i].p != p) continue;
        const ada_claim *k = &o->claims.at[all[i].of][layer];
        return (ada_mat_part){.t = k->t,
                              .rows = all[i].rows,
                              .of = all[i].of_rows,
                              .first = all[i].first,
                              .transposed = (k->flags & ADA_ROW_TRANSPOSED) != 0,
                              .rows_perm = k->flags & ADA_ROW_BY_HEAD ? o->by_head + all[i].first : NULL};
    }
    return (ada_mat_part){0};
}

static ada_mat_part part_of(const ada_loader *o, ada_param p, int32_t layer) {
    const ada_claim *k = &o->claims.at[p][layer];
    if (!k->t) return fused_part(o, p, layer);
    bool t = (k->flags & ADA_ROW_TRANSPOSED) != 0;
    return (ada_mat_part){.t = k->t,
                          .rows = (size_t)k->t->shape[t],
                          .transposed = t,
                          .rows_perm = k->flags & ADA_ROW_UNPERMUTE ? o->unpermute : NULL};
}

/* One weight of the named parameters, stacked by rows. */
ada_status ada_load_mat(const ada_loader *o, ada_mat **w, int32_t layer, size_t k, const ada_param *p,
                        size_t n) {
    ada_mat_part parts[3];
    for (size_t i = 0; i < n; i++) parts[i] = part_of(o, p[i], layer);
    return ada_mat_pack(w, o->weights, parts, n, k, o->type);
}

/* The numbers of a part of a tensor that is a vector to us, however many extents it has. */
static size_t part_len(const ada_mat_part *p) {
    return p->of ? p->rows : ada_tensor_count(p->t);
}

static ada_status read_part(const ada_mat_part *p, float *to) {
    if (!p->rows_perm) return ada_tensor_f32(p->t, p->first, part_len(p), to);
    ada_arena scratch = {0};
    size_t n = ada_tensor_count(p->t);
    float *file;
    ada_status st = ada_arena_take(&scratch, &file, n, sizeof *file);
    if (st == ADA_OK) st = ada_tensor_f32(p->t, 0, n, file);
    for (size_t r = 0; st == ADA_OK && r < part_len(p); r++) to[r] = file[p->rows_perm[r]];
    ada_arena_free(&scratch);
    return st;
}

/* One vector of the named parameters, end to end; NULL where the file has none. */
ada_status ada_load_vec(const ada_loader *o, float **out, int32_t layer, const ada_param *p, size_t n) {
    size_t total = 0, at = 0;
    *out = NULL;
    for (size_t i = 0; i < n; i++) {
        ada_mat_part part = part_of(o, p[i], layer);
        if (!part.t) return ADA_OK;
        total += part_len(&part);
    }
    ADA_TRY(ada_arena_take(o->weights, out, total, sizeof **out));
    for (size_t i = 0; i < n; i++) {
        ada_mat_part part = part_of(o, p[i], layer);
        float *to = *out + at;
        at += part_len(&part);
        ADA_TRY(read_part(&part, to));
        if (o->claims.at[p[i]][layer].flags & ADA_ROW_PLUS_ONE)
            for (; to < *out + at; to++) *to += 1;
    }
    return ADA_OK;
}

#define LIST(...)                                                                                            \
    (const ada_param[]){__VA_ARGS__}, sizeof((const ada_param[]){__VA_ARGS__}) / sizeof(ada_param)

static ada_status load_norms(const ada_loader *o, ada_layer *y, int32_t l) {
    struct {
        float **to;
        ada_param p;
    } all[] = {{&y->attn_norm, ADA_P_ATTN_NORM},  {&y->attn_norm_b, ADA_P_ATTN_NORM_B},
               {&y->ffn_norm, ADA_P_FFN_NORM},    {&y->ffn_norm_b, ADA_P_FFN_NORM_B},
               {&y->attn_post, ADA_P_ATTN_POST},  {&y->ffn_post, ADA_P_FFN_POST},
               {&y->q_norm, ADA_P_Q_NORM},        {&y->k_norm, ADA_P_K_NORM},
               {&y->cross_norm, ADA_P_CROSS_NORM}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        ADA_TRY(ada_load_vec(o, all[i].to, l, &all[i].p, 1));
    return ADA_OK;
}

/* What ends a sublayer. A scale of its columns is frozen as it is, and becomes part of it. */
static ada_status load_end(const ada_loader *o, ada_linear *y, int32_t l, size_t k, ada_param w, ada_param b,
                           ada_param scale) {
    float *by;
    ADA_TRY(ada_load_vec(o, &by, l, &scale, 1));
    ada_mat_part part = part_of(o, w, l);
    part.scale = by;
    ADA_TRY(ada_mat_pack(&y->w, o->weights, &part, 1, k, o->type));
    ADA_TRY(ada_load_vec(o, &y->b, l, &b, 1));
    if (by && y->b) ada_k.mul(y->b, y->b, by, (size_t)o->c->d);
    return ADA_OK;
}

static ada_status load_layer(const ada_loader *o, ada_layer *y, int32_t l) {
    const ada_config *c = o->c;
    size_t d = (size_t)c->d, q = (size_t)c->heads * (size_t)c->head_dim, ffn = (size_t)c->ffn;
    ADA_TRY(load_norms(o, y, l));
    if (l + 1 < c->layers) {
        ADA_TRY(ada_load_mat(o, &y->qkv.w, l, d, LIST(ADA_P_Q, ADA_P_K, ADA_P_V)));
        if (c->qkv_bias) ADA_TRY(ada_load_vec(o, &y->qkv.b, l, LIST(ADA_P_Q_B, ADA_P_K_B, ADA_P_V_B)));
    } else {
        ADA_TRY(ada_load_mat(o, &y->q.w, l, d, LIST(ADA_P_Q)));
        ADA_TRY(ada_load_mat(o, &y->qkv.w, l, d, LIST(ADA_P_K, ADA_P_V)));
        if (c->qkv_bias) ADA_TRY(ada_load_vec(o, &y->q.b, l, LIST(ADA_P_Q_B)));
        if (c->qkv_bias) ADA_TRY(ada_load_vec(o, &y->qkv.b, l, LIST(ADA_P_K_B, ADA_P_V_B)));
    }
    ADA_TRY(load_end(o, &y->o, l, q, ADA_P_O, ADA_P_O_B, ADA_P_ATTN_SCALE));
    if (c->gated) {
        ADA_TRY(ada_load_mat(o, &y->up.w, l, d, LIST(ADA_P_GATE, ADA_P_UP)));
        if (c->ffn_bias) ADA_TRY(ada_load_vec(o, &y->up.b, l, LIST(ADA_P_GATE_B, ADA_P_UP_B)));
    } else {
        ADA_TRY(ada_load_mat(o, &y->up.w, l, d, LIST(ADA_P_UP)));
        if (c->ffn_bias) ADA_TRY(ada_load_vec(o, &y->up.b, l, LIST(ADA_P_UP_B)));
    }
    ADA_TRY(load_end(o, &y->down, l, ffn, ADA_P_DOWN, ADA_P_DOWN_B, ADA_P_FFN_SCALE));
    if (!c->encoder_layers) return ADA_OK;
    ADA_TRY(ada_load_mat(o, &y->cross_q.w, l, d, LIST(ADA_P_CROSS_Q)));
    ADA_TRY(ada_load_mat(o, &y->cross_kv.w, l, d, LIST(ADA_P_CROSS_K, ADA_P_CROSS_V)));
    return ada_load_mat(o, &y->cross_o.w, l, q, LIST(ADA_P_CROSS_O));
}

/* Biases are added before the scale. */
static ada_status load_buckets(const ada_loader *o, ada_stack *s) {
    const ada_config *c = o->c;
    size_t n = (size_t)c->heads * ada_attn_bias_width(c->max_distance);
    ADA_TRY(ada_arena_take(o->weights, &s->bias, (size_t)c->layers, sizeof *s->bias));
    for (int32_t l = 0; l < c->layers; l++) {
        float *bias, *at;
        s->bias[l] = s->bias[0];
        if (l > 0 && !c->bucket_layers) continue;
        ADA_TRY(ada_load_vec(o, &bias, l, LIST(ADA_P_BUCKETS)));
        ADA_TRY(ada_arena_take(o->weights, &at, n, sizeof *at));
        ada_bucket_table(c, bias, at);
        if (c->attn_scale > 0 && c->attn_scale != 1) ada_k.scale(at, at, 1 / c->attn_scale, n);
        s->bias[l] = (ada_attn_bias){at, c->max_distance};
    }
    return ADA_OK;
}

static ada_status load_positions(const ada_loader *o, ada_stack *s) {
    const ada_config *c = o->c;
    float *factors = NULL;
    size_t half = (size_t)ada_config_rope_dims(c) / 2;
    if (c->pos == ADA_POS_BUCKETS) return load_buckets(o, s);
    if (c->pos == ADA_POS_LEARNED) ADA_TRY(ada_load_vec(o, &s->positions, 0, LIST(ADA_P_POSITIONS)));
    if (!half) return ADA_OK;
    ADA_TRY(ada_load_vec(o, &factors, 0, LIST(ADA_P_ROPE_FACTORS)));
    ADA_TRY(ada_arena_take(o->weights, &s->inv_freq, half, sizeof(float)));
    ada_rope_freqs(c, factors, s->inv_freq);
    s->rope_mscale = c->rope_mscale != 0 ? c->rope_mscale : 1;
    if (c->rope_local == 0) return ADA_OK;
    ada_config local = *c;
    local.rope_theta = c->rope_local, local.rope_scaling = ADA_ROPE_PLAIN;
    ADA_TRY(ada_arena_take(o->weights, &s->inv_local, half, sizeof(float)));
    ada_rope_freqs(&local, NULL, s->inv_local);
    return ADA_OK;
}

ada_status ada_load_stack(const ada_loader *o, ada_stack *s) {
    s->c = *o->c, s->type = o->type;
    ADA_TRY(ada_arena_zero(o->weights, &s->layers, (size_t)s->c.layers, sizeof *s->layers));
    for (int32_t l = 0; l < s->c.layers; l++) ADA_TRY(load_layer(o, &s->layers[l], l));
    return load_positions(o, s);
}

/* ---- all weights of a stack ---- */

static ada_mat **mat_of(ada_layer *y, size_t i) {
    ada_mat **all[] = {&y->qkv.w,  &y->q.w,       &y->o.w,        &y->up.w,
                       &y->down.w, &y->cross_q.w, &y->cross_kv.w, &y->cross_o.w};
    return i < sizeof all / sizeof *all ? all[i] : NULL;
}

ada_status ada_stack_prepare(const ada_stack *s, ada_arena *weights, int directions) {
    for (int32_t l = 0; s->layers && l < s->c.layers; l++)
        for (size_t i = 0; mat_of(&s->layers[l], i); i++) {
            ada_mat *w = *mat_of(&s->layers[l], i);
            if (w) ADA_TRY(ada_mat_prepare(w, weights, directions));
        }
    return ADA_OK;
}

void ada_stack_release(ada_stack *s) {
    for (int32_t l = 0; s->layers && l < s->c.layers; l++)
        for (size_t i = 0; mat_of(&s->layers[l], i); i++) ada_mat_close(mat_of(&s->layers[l], i));
}
