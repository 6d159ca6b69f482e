/* SPDX-License-Identifier: Apache-2.0
 * Owns: the op pair that ends a sublayer; panels' room, and how rows are cut into panels. Must not know:
 * attention, ffn. Invariant: a row's result has the same bits in any company. */
#include "engine/residual.h"

enum {
    LEAST = 64,  /* rows that a thread alone is worth it for: it reads all of each weight */
    TILED = 1024 /* of a panel, where tiles are done with 256 before the next weight has come */
};

static ada_status panel_layout(ada_panel *p, ada_arena *a, ada_dtype type, size_t n, size_t d, size_t wide) {
    size_t ts = ada_type_size(type), fs = sizeof(float);
    ADA_TRY(ada_arena_rows(a, &p->a, n, d, ts));
    ADA_TRY(ada_arena_rows(a, &p->n, n, d, fs));
    ADA_TRY(ada_arena_rows(a, &p->r, n, d, fs));
    ADA_TRY(ada_arena_rows(a, &p->t, n, wide, fs));
    return ada_arena_rows(a, &p->h, n, wide, ts);
}

static size_t least_of(size_t a, size_t b) {
    return a < b ? a : b;
}

ada_status ada_panels_layout(ada_panels *p, ada_arena *a, ada_dtype type, size_t rows, size_t d, size_t wide,
                             bool alone, bool train) {
    int team = ada_par_threads();
    size_t usual = ada_k.tiles && !train ? TILED : ADA_PANEL, n, share = rows;
    *p = (ada_panels){.n = alone && rows >= (size_t)team * LEAST ? team : 1};
    if (p->n > 1) share = rows / (size_t)team * 5 / 4 + LEAST; /* parts are not quite equal */
    n = p->most = least_of(usual + usual / 4, least_of(share, rows));
    p->rows = least_of(usual, n);
    ADA_TRY(ada_arena_take(a, &p->of, (size_t)p->n, sizeof *p->of));
    for (int i = 0; i < p->n; i++) {
        ada_panel one;
        ADA_TRY(panel_layout(&one, a, type, n, d, wide));
        if (!a->counting) p->of[i] = one;
    }
    return a->counting ? ADA_OK : ada_matmul_reserve(n, wide, wide > d ? wide : d, p->n > 1);
}

typedef struct {
    const ada_panels *p;
    ada_panel_fn body;
    const void *ctx;
    size_t first, rows, step;
} panels_job;

static void run_panel(void *ctx, size_t i, int worker) {
    const panels_job *j = ctx;
    size_t at = i * j->step, left = j->rows - at;
    j->body(j->ctx, &j->p->of[worker], j->first + at, left < j->step ? left : j->step);
}

/* Threads may have become fewer since these were laid out. */
bool ada_panels_alone(const ada_panels *p, size_t rows) {
    int team = ada_par_threads();
    return team > 1 && team <= p->n && rows >= (size_t)p->n * LEAST;
}

/* Of rows that `n` threads share: as many panels for each, one more rather than a small rest. */
static size_t step_of(const ada_panels *p, size_t rows, bool part) {
    bool usual = rows == p->usual && part == p->part;
    size_t n = part ? 1 : (size_t)p->n, most = usual ? p->most : p->rows;
    size_t panels = ada_round_up((rows + most - 1) / most, n);
    return least_of(ada_round_up((rows + panels - 1) / panels, usual ? 1 : 16), p->most);
}

void ada_panels_expect(ada_panels *p, size_t rows, bool part) {
    p->usual = rows, p->part = part;
    if (!part && !ada_panels_alone(p, rows)) return;
    size_t step = step_of(p, rows, part);
    ada_matmul_expect(step);
    ada_matmul_expect(rows % step);
}

void ada_panels_run(const ada_panels *p, size_t first, size_t rows, ada_panel_fn body, const void *ctx) {
    bool within = ada_par_inside();
    if (rows == 0) return;
    if (!within && !ada_panels_alone(p, rows)) {
        for (size_t i = 0; i < rows; i += p->rows)
            body(ctx, &p->of[0], first + i, least_of(rows - i, p->rows));
        return;
    }
    size_t step = step_of(p, rows, within), n = (rows + step - 1) / step;
    panels_job j = {p, body, ctx, first, rows, step};
    if (within)
        ada_par_for(n, run_panel, &j);
    else
        ada_matmul_apart(n, run_panel, &j);
}

/* Where it is normed, the product waits in p->n. */
static void after_product(const ada_residual *r, const ada_panel *p, float *x) {
    if (r->post.w) ada_norm_add(&r->post, r->type, p->n, r->keep, r->stat, x);
}

void ada_residual_forward(const ada_residual *r, const ada_panel *p, const void *h, size_t ldh, float *x) {
    ada_linear_forward(r->out, h, ldh, r->post.m, r->post.w ? p->n : x, r->post.d, !r->post.w);
    after_product(r, p, x);
}

void ada_residual_forward_made(const ada_residual *r, const ada_panel *p, const ada_made *h, float *x) {
    ada_linear_forward_made(r->out, h, r->post.m, r->post.w ? p->n : x, r->post.d, !r->post.w);
    after_product(r, p, x);
}

/* p->a: the gradient at the product. */
static void before_product(const ada_residual *r, const ada_panel *p, const float *dx) {
    size_t m = r->post.m, d = r->post.d;
    if (r->post.w)
        ada_norm_add_backward(&r->post, r->type, dx, r->keep, r->stat, p->r, p->n, p->a);
    else
        ada_narrow_rows(r->type, p->a, dx, d, m, d);
}

void ada_residual_backward(const ada_residual *r, const ada_panel *p, const void *h, size_t ldh,
                           const float *dx, float *dh, size_t lddh) {
    before_product(r, p, dx);
    ada_linear_backward(r->out, h, ldh, p->a, r->post.d, r->post.m, dh, lddh);
}

void ada_residual_backward_narrow(const ada_residual *r, const ada_panel *p, const void *h, size_t ldh,
                                  const float *dx, void *dh) {
    before_product(r, p, dx);
    ada_linear_backward_narrow(r->out, h, ldh, p->a, r->post.d, r->post.m, p->t, dh);
}
