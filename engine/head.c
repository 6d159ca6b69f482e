/* SPDX-License-Identifier: Apache-2.0
 * Owns: final norm, LM head, cross-entropy and its gradient. Must not know: which rows these are, or tokens'
 * meaning. Backward of the loss runs at once in each chunk, so the logits of a chunk are all that ever
 * exists. */
#include "engine/head.h"
#include "engine/norm.h"

enum { CHUNK = 128 };

struct ada_head_ws {
    void *a;       /* [chunk, d] of the stack's type */
    float *n, *r;  /* [chunk, d] */
    float *stat;   /* [chunk, 2] */
    float *logits; /* [chunk, vocab] */
    void *dlogits; /* [chunk, vocab] of the stack's type */
    size_t chunk;
};

ada_status ada_head_layout(ada_head_ws **ws, ada_arena *a, const ada_head *h, int32_t max_rows) {
    size_t d = (size_t)h->c->d, vocab = (size_t)h->c->vocab,
           chunk = max_rows < CHUNK ? (size_t)max_rows : CHUNK;
    size_t wide, ts = ada_type_size(h->type);
    ada_head_ws w = {.chunk = chunk};
    if (!ada_mul_size(chunk, vocab, &wide))
        return ada_fail(ADA_ENOMEM, "logits of %zu rows are too many", chunk);
    ADA_TRY(ada_arena_take(a, ws, 1, sizeof **ws));
    ADA_TRY(ada_arena_take(a, &w.a, chunk * d, ts));
    ADA_TRY(ada_arena_take(a, &w.n, chunk * d, sizeof(float)));
    ADA_TRY(ada_arena_take(a, &w.r, chunk * d, sizeof(float)));
    ADA_TRY(ada_arena_take(a, &w.stat, chunk * 2, sizeof(float)));
    ADA_TRY(ada_arena_take(a, &w.logits, wide, sizeof(float)));
    ADA_TRY(ada_arena_take(a, &w.dlogits, wide, ts));
    if (a->counting) return ADA_OK;
    **ws = w;
    return ada_matmul_reserve(chunk, vocab, d, false);
}

static ada_norm_rows final_norm(const ada_head *hd, size_t m) {
    return (ada_norm_rows){.kind = hd->c->norm,
                           .w = hd->norm,
                           .b = hd->norm_b,
                           .eps = hd->c->norm_eps,
                           .m = m,
                           .d = (size_t)hd->c->d};
}

typedef struct {
    float *logits; /* [m, vocab] in place */
    size_t vocab;
    float cap;
} cap_job;

static void cap_row(void *ctx, size_t i, int worker) {
    (void)worker;
    const cap_job *j = ctx;
    float *x = j->logits + i * j->vocab;
    ada_k.softcap(x, x, j->cap, j->vocab);
}

void ada_head_logits(const ada_head *hd, ada_head_ws *ws, const float *h, int32_t n, float *logits) {
    size_t d = (size_t)hd->c->d, vocab = (size_t)hd->c->vocab;
    for (size_t i = 0; i < (size_t)n; i += ws->chunk) {
        size_t m = (size_t)n - i < ws->chunk ? (size_t)n - i : ws->chunk;
        ada_norm_rows norm = final_norm(hd, m);
        ada_norm_forward(&norm, hd->type, h + i * d, ws->a, ws->n, NULL, NULL);
        ada_linear_forward(&hd->out, ws->a, d, m, logits + i * vocab, vocab, false);
        if (hd->c->logit_cap > 0)
            ada_par_for(m, cap_row, &(cap_job){logits + i * vocab, vocab, hd->c->logit_cap});
    }
}

typedef struct {
    const ada_head *hd;
    ada_head_ws *ws;
    const int32_t *target;
    const float *weight;
    float *loss;
    bool back;
} loss_job;

enum { PIECE = 2048 }; /* logits at a time: made into gradient and narrowed while in L1 */

static void loss_row(void *ctx, size_t i, int worker) {
    (void)worker;
    const loss_job *j = ctx;
    ada_dtype type = j->hd->type;
    size_t vocab = (size_t)j->hd->c->vocab, target = (size_t)j->target[i];
    float *x = j->ws->logits + i * vocab, dx[PIECE], cap = j->hd->c->logit_cap;
    if (cap > 0) ada_k.softcap(x, x, cap, vocab);
    float lse = ada_k.lse(x, vocab);
    j->loss[i] = lse - x[target];
    for (size_t c = 0; j->back && c < vocab; c += PIECE) {
        size_t n = vocab - c < PIECE ? vocab - c : PIECE;
        /* a target before this piece wraps around to none of it */
        ada_k.xent_back(dx, x + c, lse, target - c, j->weight[i], n);
        if (cap > 0) ada_k.softcap_back(dx, dx, x + c, cap, n);
        ada_narrow(type, ada_at(type, j->ws->dlogits, i * vocab + c), dx, n);
    }
}

void ada_head_loss(const ada_head *hd, ada_head_ws *ws, const float *h, const int32_t *target,
                   const float *weight, int32_t n, float *loss, float *dh) {
    size_t d = (size_t)hd->c->d, vocab = (size_t)hd->c->vocab;
    for (size_t i = 0; i < (size_t)n; i += ws->chunk) {
        size_t m = (size_t)n - i < ws->chunk ? (size_t)n - i : ws->chunk;
        ada_norm_rows norm = final_norm(hd, m);
        ada_norm_forward(&norm, hd->type, h + i * d, ws->a, ws->n, NULL, ws->stat);
        ada_linear_forward(&hd->out, ws->a, d, m, ws->logits, vocab, false);
        ada_par_for(m, loss_row, &(loss_job){hd, ws, target + i, weight + i, loss + i, dh != NULL});
        if (!dh) continue;
        ada_linear_backward(&hd->out, ws->a, d, ws->dlogits, vocab, m, ws->n, d);
        ada_norm_backward(&norm, ADA_F32, ws->n, h + i * d, ws->stat, ws->r, dh + i * d, false);
    }
}

double ada_head_flops(const ada_head *hd, int32_t n) {
    return 2.0 * hd->c->vocab * hd->c->d * n;
}
