/* SPDX-License-Identifier: Apache-2.0
 * Where a training step's time goes: products, attention, head and the rest, at SmolLM2-135M's sizes with
 * random weights (no file is needed).  perf_step [TOKENS ROW LAYERS THREADS REPEAT]
 * Must not know: adapters, optimizers. Invariant: each row does what the step does, for all layers and with
 * the engine's own panels, so that the rows add up to the whole. */
#include "engine/attention.h"
#include "engine/ffn.h"
#include "engine/head.h"
#include "perf/measure.h"

#include <stdio.h>
#include <stdlib.h>

enum { D = 576, KV = 192, QKV = D + 2 * KV, FFN = 1536, HEADS = 9, VOCAB = 49152 };

struct bench {
    ada_stack stack;
    ada_head head;
    ada_pack pack;
    ada_pass *pass;
    ada_attn_ws *attn;
    ada_head_ws *head_ws;
    ada_arena weights, work;
    float *x, *h, *dh, *dx;     /* [T, D] */
    float *loss, *weight, *lse; /* [T], [T], [T, HEADS] */
    float *f;                   /* [T, 2·FFN] */
    uint16_t *in, *att, *datt;  /* [T, 2·FFN], [T, D], [T, D] */
    int32_t *target;            /* [T] */
};

static float draw(void) {
    static uint32_t seed = 1;
    seed = seed * 1664525u + 1013904223u;
    return (float)(int32_t)seed * 0x1p-31f;
}

static ada_status pack_weight(struct bench *b, ada_linear *l, size_t n, size_t k) {
    float *w;
    ada_arena tmp = {0};
    ada_status st = ada_arena_take(&tmp, &w, n * k, sizeof *w);
    for (size_t i = 0; st == ADA_OK && i < n * k; i++) w[i] = draw() * 0.05f;
    ada_tensor t = {.name = "w", .dtype = ADA_F32, .ndim = 2, .shape = {(int64_t)n, (int64_t)k}};
    t.data = w, t.bytes = n * k * sizeof *w;
    ada_mat_part part = {.t = &t, .rows = n};
    if (st == ADA_OK) st = ada_mat_pack(&l->w, &b->weights, &part, 1, k, ADA_BF16);
    ada_arena_free(&tmp);
    return st == ADA_OK ? ada_mat_prepare(l->w, &b->weights, ADA_FORWARD | ADA_BACKWARD) : st;
}

static ada_status build(struct bench *b, int32_t layers) {
    float *ones;
    b->stack = (ada_stack){.type = ADA_BF16, .rope_mscale = 1};
    b->stack.c = (ada_config){.d = D,
                              .layers = layers,
                              .heads = HEADS,
                              .kv_heads = 3,
                              .head_dim = 64,
                              .ffn = FFN,
                              .vocab = VOCAB,
                              .max_positions = 8192,
                              .norm_eps = 1e-5f,
                              .gated = true,
                              .tie = true};
    ADA_TRY(ada_arena_take(&b->weights, &ones, D, sizeof *ones));
    for (size_t i = 0; i < D; i++) ones[i] = 1;
    ADA_TRY(ada_arena_take(&b->weights, &b->stack.inv_freq, 32, sizeof(float)));
    for (int i = 0; i < 32; i++) b->stack.inv_freq[i] = 1.0f / (float)(1 + i);
    ADA_TRY(ada_arena_zero(&b->weights, &b->stack.layers, (size_t)layers, sizeof *b->stack.layers));
    for (int32_t l = 0; l < layers; l++) {
        ada_layer *y = &b->stack.layers[l];
        bool last = l + 1 == layers;
        y->attn_norm = y->ffn_norm = ones;
        ADA_TRY(pack_weight(b, &y->qkv, last ? 2 * KV : QKV, D));
        if (last) ADA_TRY(pack_weight(b, &y->q, D, D));
        ADA_TRY(pack_weight(b, &y->o, D, D));
        ADA_TRY(pack_weight(b, &y->up, 2 * FFN, D));
        ADA_TRY(pack_weight(b, &y->down, D, FFN));
    }
    b->head = (ada_head){.norm = ones, .c = &b->stack.c, .type = ADA_BF16};
    return pack_weight(b, &b->head.out, VOCAB, D);
}

static ada_status lay_out(struct bench *b, int32_t T, int32_t row) {
    int32_t segs = (T + row - 1) / row, *out;
    size_t n = (size_t)T, wide = n * 2 * FFN;
    ada_segment *seg;
    ADA_TRY(ada_arena_zero(&b->work, &seg, (size_t)segs, sizeof *seg));
    ADA_TRY(ada_arena_take(&b->work, &out, n, sizeof *out));
    ADA_TRY(ada_arena_take(&b->work, &b->target, n, sizeof *b->target));
    for (int32_t i = 0; i < T; i++) out[i] = i, b->target[i] = i * 37 % VOCAB;
    for (int32_t g = 0, at = 0; g < segs; g++, at += row)
        seg[g] = (ada_segment){.start = at, .len = T - at < row ? T - at : row, .parent = -1, .cache = -1};
    b->pack = (ada_pack){T, segs, T, out, seg, out};
    ADA_TRY(ada_pass_layout(&b->pass, &b->work, &b->stack, T, segs, row, T, true));
    ADA_TRY(ada_attn_layout(&b->attn, &b->work, &b->stack.c, ADA_BF16, T, segs, row, T, true));
    ADA_TRY(ada_head_layout(&b->head_ws, &b->work, &b->head, T));
    ADA_TRY(ada_arena_zero(&b->work, &b->x, n * D, sizeof(float)));
    ADA_TRY(ada_arena_zero(&b->work, &b->h, n * D, sizeof(float)));
    ADA_TRY(ada_arena_zero(&b->work, &b->dh, n * D, sizeof(float)));
    ADA_TRY(ada_arena_zero(&b->work, &b->dx, n * D, sizeof(float)));
    ADA_TRY(ada_arena_zero(&b->work, &b->loss, n, sizeof(float)));
    ADA_TRY(ada_arena_take(&b->work, &b->weight, n, sizeof(float)));
    ADA_TRY(ada_arena_zero(&b->work, &b->lse, n * HEADS, sizeof(float)));
    ADA_TRY(ada_arena_take(&b->work, &b->f, wide, sizeof(float)));
    ADA_TRY(ada_arena_take(&b->work, &b->in, wide, sizeof(uint16_t)));
    ADA_TRY(ada_arena_zero(&b->work, &b->att, n * D, sizeof(uint16_t)));
    ADA_TRY(ada_arena_take(&b->work, &b->datt, n * D, sizeof(uint16_t)));
    for (size_t i = 0; i < n; i++) b->weight[i] = 1.0f / (float)T;
    for (size_t i = 0; i < wide; i++) b->f[i] = draw();
    ada_k.f32_to_bf16(b->in, b->f, wide);
    ada_k.f32_to_bf16(b->datt, b->f, n * D);
    return ADA_OK;
}

/* ---- the phases ---- */

struct products {
    struct bench *b;
    size_t at; /* of the linear in ada_layer */
    bool back;
};

static const ada_linear *linear_of(const struct products *p, int32_t layer) {
    return (const ada_linear *)(const void *)((const char *)&p->b->stack.layers[layer] + p->at);
}

static void multiply(void *ctx) {
    const struct products *p = ctx;
    size_t T = (size_t)p->b->pack.T;
    /* the last layer is cut otherwise: another stands for it */
    for (int32_t l = 0; l < p->b->stack.c.layers; l++) {
        const ada_mat *w = linear_of(p, l % (p->b->stack.c.layers - 1))->w;
        size_t n = ada_mat_rows(w), k = ada_mat_cols(w);
        for (size_t i = 0; i < T; i += ADA_PANEL) {
            size_t m = T - i < ADA_PANEL ? T - i : ADA_PANEL;
            if (p->back)
                ada_matmul_back(w, p->b->in + i * n, n, m, &(ada_end){.y = p->b->f, .ld = k});
            else
                ada_matmul(w, p->b->in + i * k, k, m, &(ada_end){.y = p->b->f, .ld = n});
        }
    }
}

static double products(struct bench *b, const char *name, size_t at, bool back) {
    struct products p = {b, at, back};
    const ada_mat *w = linear_of(&p, 0)->w;
    return perf_flops(name, 2.0 * (double)(ada_mat_rows(w) * ada_mat_cols(w)) * b->pack.T * b->stack.c.layers,
                      multiply, &p);
}

static ada_attn attention(struct bench *b) {
    return (ada_attn){.c = &b->stack.c,
                      .type = ADA_BF16,
                      .pack = &b->pack,
                      .m = b->pack.T,
                      .q = b->in,
                      .ldq = QKV,
                      .k = b->in + D,
                      .v = b->in + D + KV,
                      .ldkv = QKV,
                      .o = b->att,
                      .lse = b->lse};
}
static void attend(void *ctx) {
    struct bench *b = ctx;
    ada_attn a = attention(b);
    ada_part whole = ada_pack_whole(&b->pack, &(ada_reading){0});
    ada_attn_survey(&a, b->attn);
    for (a.layer = 0; a.layer < b->stack.c.layers; a.layer++) ada_attn_forward(&a, b->attn, &whole);
}
static void attend_back(void *ctx) {
    struct bench *b = ctx;
    ada_attn a = attention(b);
    ada_part whole = ada_pack_whole(&b->pack, &(ada_reading){0});
    ada_attn_survey(&a, b->attn);
    for (a.layer = 0; a.layer < b->stack.c.layers; a.layer++)
        ada_attn_backward(&a, b->attn, &whole, b->datt,
                          &(ada_attn_grad){ADA_F32, b->f, b->f + D, b->f + D + KV, QKV, QKV});
}
static void forward(void *ctx) {
    struct bench *b = ctx;
    for (size_t i = 0; i < (size_t)b->pack.T * D; i++) b->x[i] = (float)(i % 7) - 3;
    ada_stack_forward(&b->stack, &b->pack, b->pass, NULL, b->x, b->h);
}
static void head_forward(void *ctx) {
    struct bench *b = ctx;
    ada_head_loss(&b->head, b->head_ws, b->h, b->target, b->weight, b->pack.T, b->loss, NULL);
}
static void head(void *ctx) {
    struct bench *b = ctx;
    ada_head_loss(&b->head, b->head_ws, b->h, b->target, b->weight, b->pack.T, b->loss, b->dh);
}
static void backward(void *ctx) {
    struct bench *b = ctx;
    ada_stack_backward(&b->stack, &b->pack, b->pass, b->dh, b->dx);
}
static void step(void *ctx) {
    forward(ctx), head(ctx), backward(ctx);
}

static void measure(struct bench *b) {
    static const struct {
        const char *forward, *back;
        size_t at;
    } list[] = {{"qkv", "qkv back", offsetof(ada_layer, qkv)},
                {"o", "o back", offsetof(ada_layer, o)},
                {"up", "up back", offsetof(ada_layer, up)},
                {"down", "down back", offsetof(ada_layer, down)}};
    double ways[2] = {0}, keys = 0, heads = ada_head_flops(&b->head, b->pack.T);
    double f = ada_stack_flops(&b->stack, &b->pack, false), g = ada_stack_flops(&b->stack, &b->pack, true);
    for (int32_t i = 0; i < b->pack.nsegs; i++)
        keys += 0.5 * b->pack.segs[i].len * (b->pack.segs[i].len + 1.0) * b->stack.c.layers;
    for (int i = 0; i < 4; i++) ways[0] += products(b, list[i].forward, list[i].at, false);
    ways[0] += perf_flops("attention", 4 * keys * D, attend, b);
    double all = perf_flops("forward", f, forward, b);
    perf_rest("  rest of it", all - ways[0]);
    double loss = perf_flops("head and loss", heads, head_forward, b);
    all = perf_flops("head, both ways", 2 * heads, head, b);
    perf_rest("  its gradient", all - loss);
    for (int i = 0; i < 4; i++) ways[1] += products(b, list[i].back, list[i].at, true);
    ways[1] += perf_flops("attention back", 8 * keys * D, attend_back, b);
    all = perf_flops("backward", g, backward, b);
    perf_rest("  rest of it", all - ways[1]);
    all = perf_flops("step", f + g + 2 * heads, step, b);
    printf("# %.1f tokens a second\n", b->pack.T * 1e3 / all);
}

int main(int argc, char **argv) {
    static struct bench b;
    int set[] = {1024, 256, 30, 0, 5};
    for (int i = 1; i < argc && i < 6; i++) set[i - 1] = atoi(argv[i]);
    if (set[0] < 1 || set[1] < 1 || set[2] < 2) {
        fprintf(stderr, "usage: perf_step [TOKENS ROW LAYERS THREADS REPEAT]\n");
        return 2;
    }
    ada_par_set(set[3]);
    ada_status st = build(&b, set[2]);
    if (st == ADA_OK) st = lay_out(&b, set[0], set[1]);
    if (st == ADA_OK) {
        perf_begin(set[4]);
        measure(&b);
    } else {
        fprintf(stderr, "perf_step: %s\n", ada_error());
    }
    ada_arena_free(&b.work);
    ada_arena_free(&b.weights);
    ada_matmul_release();
    return st == ADA_OK ? 0 : 1;
}
