/* SPDX-License-Identifier: Apache-2.0
 * A step's passes. Owns: rows, hidden states and their gradients of one pack at a time.
 * Must not know: where items come from. Invariant: every goal has its own row at the head, so that two goals
 * at one shared position are simply two terms of the sum. */
#include "engine/step.h"
#include "engine/cross.h"
#include "simd/kernels.h"
#include <string.h>

struct ada_step {
    const ada_model *m;
    ada_step_limits lim;
    size_t d;
    ada_join *join;
    ada_packer *packer;
    ada_pass *pass;
    ada_head_ws *head;
    float *x, *dx;           /* [rows, d] */
    float *h, *dh;           /* [out, d] at the pack's out rows */
    float *goal_h, *goal_dh; /* [goals, d] at the head */
    int32_t *token;          /* [goals] */
    int32_t *row;            /* [goals] index in out */
    float *weight;           /* [goals] */
    /* Of an encoder-decoder; rows: sources. */
    ada_join *source;
    ada_pass *encoder;
    ada_memory *memory;
    float *sx, *sh, *sdx, *sdh; /* [rows, d] the gradients only if the encoder's input is trained */
    bool source_train, train;   /* whether something is trained at the encoder's input, at the stack's */
};

static ada_status layout_encoder(ada_step *s, ada_arena *ar, ada_adapter *a, int32_t outs) {
    const ada_step_limits *lim = &s->lim;
    size_t rows;
    s->source_train = lim->train && a && (a->first[ADA_TEXT] >= 0 || a->first[ADA_IMAGE] >= 0);
    ada_memory_limits m = {.rows = lim->sources,
                           .segs = lim->items,
                           .readers = lim->rows,
                           .reader_segs = ada_packer_max_segs(lim->items),
                           .out = outs,
                           .train = lim->train,
                           .gather = s->source_train};
    if (!ada_mul_size((size_t)lim->sources, s->d, &rows))
        return ada_fail(ADA_EINVAL, "an encoder's pack of %d rows is too large", lim->sources);
    ada_join_limits j = {.tokens = ADA_TEXT,
                         .unique = lim->source_unique,
                         .image_rows = lim->image_rows,
                         .images = lim->images,
                         .train = s->source_train};
    ADA_TRY(ada_join_layout(&s->source, ar, s->m, a, &j));
    ADA_TRY(ada_pass_layout(&s->encoder, ar, &s->m->encoder, lim->sources, lim->items, lim->source_path,
                            lim->sources, s->source_train));
    ADA_TRY(ada_memory_layout(&s->memory, ar, &s->m->stack, &m));
    ADA_TRY(ada_arena_take(ar, &s->sx, rows, sizeof(float)));
    ADA_TRY(ada_arena_take(ar, &s->sh, rows, sizeof(float)));
    if (!s->source_train) return ADA_OK;
    ADA_TRY(ada_arena_take(ar, &s->sdx, rows, sizeof(float)));
    return ada_arena_take(ar, &s->sdh, rows, sizeof(float));
}

ada_status ada_step_layout(ada_step **out, ada_arena *ar, const ada_model *m, ada_adapter *a,
                           const ada_step_limits *lim) {
    ada_step s = {.m = m, .lim = *lim, .d = (size_t)m->c.d};
    int32_t outs = lim->goals < lim->rows ? lim->goals : lim->rows;
    size_t rows, hidden, goals, n = (size_t)lim->goals;
    if (!ada_mul_size((size_t)lim->rows, s.d, &rows) || !ada_mul_size((size_t)outs, s.d, &hidden) ||
        !ada_mul_size(n, s.d, &goals))
        return ada_fail(ADA_EINVAL, "a pack of %d rows is too large", lim->rows);
    ADA_TRY(ada_arena_take(ar, out, 1, sizeof **out));
    bool encodes = m->encoder.layers != NULL; /* then images are its encoder's */
    s.train = lim->train && (!encodes || (a && a->first[ADA_DECODER] >= 0));
    ada_join_limits j = {.tokens = ada_stack_modality(m),
                         .unique = lim->unique,
                         .image_rows = encodes ? 0 : lim->image_rows,
                         .images = encodes ? NULL : lim->images,
                         .train = s.train};
    ADA_TRY(ada_join_layout(&s.join, ar, m, a, &j));
    ADA_TRY(ada_packer_layout(&s.packer, ar, lim->rows, lim->items, lim->sources));
    if (encodes) ADA_TRY(layout_encoder(&s, ar, a, outs));
    ADA_TRY(ada_pass_layout(&s.pass, ar, &m->stack, lim->rows, ada_packer_max_segs(lim->items), lim->path,
                            outs, lim->train));
    ADA_TRY(ada_head_layout(&s.head, ar, &m->head, lim->goals));
    ADA_TRY(ada_arena_take(ar, &s.x, rows, sizeof(float)));
    ADA_TRY(ada_arena_take(ar, &s.h, hidden, sizeof(float)));
    ADA_TRY(ada_arena_take(ar, &s.goal_h, goals, sizeof(float)));
    if (lim->train) ADA_TRY(ada_arena_take(ar, &s.dx, rows, sizeof(float)));
    if (lim->train) ADA_TRY(ada_arena_take(ar, &s.dh, hidden, sizeof(float)));
    if (lim->train) ADA_TRY(ada_arena_take(ar, &s.goal_dh, goals, sizeof(float)));
    ADA_TRY(ada_arena_take(ar, &s.token, n, sizeof *s.token));
    ADA_TRY(ada_arena_take(ar, &s.row, n, sizeof *s.row));
    ADA_TRY(ada_arena_take(ar, &s.weight, n, sizeof(float)));
    if (ar->counting) return ADA_OK;
    if (s.memory) ada_pass_read(s.pass, s.memory);
    if (!s.train) ada_pass_end_early(s.pass);
    **out = s;
    return ADA_OK;
}

void ada_step_begin(ada_step *s) {
    ada_join_clear(s->join);
    if (s->source) ada_join_clear(s->source);
}

void ada_step_see(ada_step *s, const ada_item *items, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        ada_join_add(s->join, items[i].ids, items[i].n);
        if (s->source) ada_join_add(s->source, items[i].source, items[i].nsource);
    }
}

void ada_step_see_token(ada_step *s, int32_t id) {
    ada_join_add(s->join, &id, 1);
}

ada_status ada_step_start(ada_step *s) {
    ADA_TRY(ada_join_start(s->join));
    return s->source ? ada_join_start(s->source) : ADA_OK;
}

ada_status ada_step_pack(ada_step *s, const ada_item *sorted, int32_t n) {
    return ada_packer_build(s->packer, sorted, n);
}

static void encode(ada_step *s) {
    const ada_pack *p = ada_packer_sources(s->packer);
    ada_join_rows(s->source, p->ids, p->T, s->sx);
    ada_stack_forward(&s->m->encoder, p, s->encoder, NULL, s->sx, s->sh);
    ada_memory_fill(s->memory, p, s->sh);
    ada_memory_read(s->memory, ada_packer_reads(s->packer));
}

static void encode_back(ada_step *s) {
    const ada_pack *p = ada_packer_sources(s->packer);
    ada_memory_back(s->memory, s->sdh);
    ada_stack_backward(&s->m->encoder, p, s->encoder, s->sdh, s->sdx);
    ada_join_back(s->source, p->ids, p->T, s->sdx);
}

ada_status ada_step_forward(ada_step *s, const ada_item *sorted, int32_t n) {
    ADA_TRY(ada_step_pack(s, sorted, n));
    const ada_pack *p = ada_packer_pack(s->packer);
    if (s->source) encode(s);
    ada_join_rows(s->join, p->ids, p->T, s->x);
    ada_stack_forward(&s->m->stack, p, s->pass, NULL, s->x, s->h);
    return ADA_OK;
}

void ada_step_loss(ada_step *s, const ada_goal *goals, int32_t n, float *loss, bool back) {
    const ada_pack *p = ada_packer_pack(s->packer);
    size_t row_bytes = s->d * sizeof(float);
    for (int32_t i = 0; i < n; i++) {
        s->row[i] = ada_packer_out(s->packer, goals[i].item, goals[i].position);
        s->token[i] = goals[i].token;
        s->weight[i] = goals[i].weight;
        memcpy(s->goal_h + (size_t)i * s->d, s->h + (size_t)s->row[i] * s->d, row_bytes);
    }
    ada_head_loss(&s->m->head, s->head, s->goal_h, s->token, s->weight, n, loss, back ? s->goal_dh : NULL);
    if (!back) return;
    memset(s->dh, 0, (size_t)p->nout * row_bytes);
    for (int32_t i = 0; i < n; i++) {
        float *dh = s->dh + (size_t)s->row[i] * s->d;
        ada_k.add(dh, dh, s->goal_dh + (size_t)i * s->d, s->d);
    }
    ada_stack_backward(&s->m->stack, p, s->pass, s->dh, s->dx);
    if (s->train) ada_join_back(s->join, p->ids, p->T, s->dx);
    if (s->source_train) encode_back(s);
}

/* The first of a path's image rows; *n: how many. They stand together but for marks between tiles, of which
 * the last tile's count. */
static const int32_t *last_image(const ada_step *s, const ada_item *item, int32_t *n) {
    const int32_t *ids = s->source ? item->source : item->ids;
    int32_t end = s->source ? item->nsource : item->n, first;
    while (end > 0 && ids[end - 1] < s->m->c.vocab) end--;
    for (first = end; first > 0 && ids[first - 1] >= s->m->c.vocab;) first--;
    *n = end - first;
    return ids + first;
}

int32_t ada_step_spelled(const ada_step *s, const ada_item *item, int32_t *rows) {
    int32_t tokens = 0;
    (void)last_image(s, item, rows);
    for (int32_t i = 0; i + 1 < item->n; i++) tokens += item->wanted[i];
    return tokens;
}

void ada_step_spell(ada_step *s, const ada_item *item, int32_t fill, float scale, double sum[2]) {
    ada_join *images = s->source ? s->source : s->join;
    float *x = s->source ? s->sx : s->x, *dx = s->source ? s->sdx : s->dx, *to = s->goal_h;
    int32_t n, at = item->n - 1; /* of a token: where it is an input */
    const int32_t *ids = last_image(s, item, &n);
    ada_join_rows(images, ids, n, x);
    for (int32_t i = n; i-- > 0;) {
        float *off = x + (size_t)i * s->d;
        while (at > 0 && !item->wanted[at - 1]) at--;
        ada_join_rows(s->join, at > 0 ? &item->ids[at] : &fill, 1, to);
        if (at > 0) at--;
        sum[1] += (double)ada_k.dot(to, to, s->d);
        ada_k.axpy(off, to, -1, s->d);
        sum[0] += (double)ada_k.dot(off, off, s->d);
        if (scale != 0) ada_k.scale(dx + (size_t)i * s->d, off, scale, s->d);
    }
    if (scale != 0) ada_join_back(images, ids, n, dx);
}

void ada_step_end(ada_step *s) {
    ada_join_end(s->join);
    if (s->source) ada_join_end(s->source);
}

const ada_packer *ada_step_packer(const ada_step *s) {
    return s->packer;
}

void ada_step_logits(ada_step *s, int32_t first, int32_t n, float *logits) {
    ada_head_logits(&s->m->head, s->head, s->h + (size_t)first * s->d, n, logits);
}

static double source_flops(const ada_step *s, bool back) {
    const ada_pack *p = ada_packer_pack(s->packer), *e = ada_packer_sources(s->packer);
    double cross =
        ada_cross_flops(&s->m->stack, p, e, ada_packer_reads(s->packer), back, !back || s->source_train);
    return back && !s->source_train ? cross : cross + ada_stack_flops(&s->m->encoder, e, back);
}

double ada_step_flops(const ada_step *s, int32_t goals, bool back) {
    const ada_pack *p = ada_packer_pack(s->packer);
    double head = 2.0 * (double)s->m->c.d * (double)s->m->c.vocab * (double)goals;
    double sum = ada_stack_flops(&s->m->stack, p, false) + head;
    if (s->source) sum += source_flops(s, false);
    if (s->source && back) sum += source_flops(s, true);
    if (s->source && back && !s->train) sum -= ada_stack_flops_spared(&s->m->stack, p);
    return back ? sum + ada_stack_flops(&s->m->stack, p, true) + head : sum;
}
