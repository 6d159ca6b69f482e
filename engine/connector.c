/* SPDX-License-Identifier: Apache-2.0
 * Owns: pixel shuffle, and the connector's products and their gradients. Must not know: whose rows these are.
 * Invariant: a row's sums go over pieces of the weight whose borders depend on its shape alone; rows are
 * handed out in tiles, gradients in slices that see all rows in order. */
#include "engine/connector.h"
#include "engine/act.h"
#include "engine/par.h"
#include <string.h>

enum {
    ROW_TILE = 8,    /* rows of a tile at least; … */
    MOST_TILE = 64,  /* … and at most: each tile reads the whole weight */
    PIECE = 1 << 16, /* numbers of a weight that stay in L2 while a tile's rows pass by */
    SLICE = 1 << 12  /* numbers of a gradient that stay in L1 while all rows pass by */
};

const char *const ada_connector_names[ADA_CONNECTOR_MLP2 + 1] = {NULL, "linear", "mlp2"};

/* ---- rows ---- */

ada_status ada_connector_rows(const ada_connector *c, int32_t h, int32_t w, int32_t *rows) {
    int32_t s = c->shuffle;
    if (h < 1 || w < 1 || h % s != 0 || w % s != 0)
        return ada_fail(ADA_EINVAL, "%d by %d patches cannot be joined %d by %d", w, h, s, s);
    *rows = h / s * (w / s);
    return ADA_OK;
}

typedef struct {
    const ada_connector *c;
    const float *features;
    float *x;
    size_t w; /* rows of features along the picture */
} gather_job;

static void gather_row(void *ctx, size_t row, int worker) {
    (void)worker;
    const gather_job *j = ctx;
    const ada_connector *c = j->c;
    size_t s = (size_t)c->shuffle, f = (size_t)c->features, along = j->w / s;
    float *to = j->x + row * (size_t)c->in;
    for (size_t y = row / along * s, dy = 0; dy < s; dy++)
        for (size_t x = row % along * s, dx = 0; dx < s; dx++, to += f) {
            memcpy(to, j->features + ((y + dy) * j->w + x + dx) * f, f * sizeof *to);
            if (!c->mean) continue;
            ada_k.axpy(to, c->mean, -1, f);
            ada_k.mul(to, to, c->inv_std, f);
        }
}

void ada_connector_gather(const ada_connector *c, const float *features, int32_t h, int32_t w, float *x) {
    size_t s = (size_t)c->shuffle;
    ada_par_for((size_t)h / s * ((size_t)w / s), gather_row, &(gather_job){c, features, x, (size_t)w});
}

/* ---- forward ---- */

static size_t at_most(size_t n, size_t most) {
    return n < most ? n : most;
}
static size_t tiles(size_t n, size_t rows) {
    return (n + rows - 1) / rows;
}
/* Of n rows: a tile's, so that each thread has one. */
static size_t tile_rows(size_t n) {
    size_t share = at_most(tiles(n, (size_t)ada_par_threads()), MOST_TILE);
    return share > ROW_TILE ? share : ROW_TILE;
}

typedef struct call {
    const ada_connector *c;
    const float *x, *dy;
    size_t n, tile; /* rows, and those of a tile */
    float *y;
    float *z, *h, *dz; /* [n, hidden] of mlp2: before and after the activation, and the gradient at z */
} call;

static call call_of(const ada_connector *c, const float *x, size_t n, void *scratch) {
    size_t hidden = n * (size_t)c->hidden;
    call k = {.c = c, .x = x, .n = n, .tile = tile_rows(n), .z = scratch};
    k.h = k.z + hidden, k.dz = k.h + hidden;
    return k;
}

size_t ada_connector_scratch(const ada_connector *c, size_t n) {
    return 3 * n * (size_t)c->hidden * sizeof(float);
}

/* y [m, n] = x [m, k] · w + b */
static void product(const float *x, size_t m, size_t k, const float *w, const float *b, size_t n, float *y) {
    size_t step = n < PIECE ? PIECE / n : 1;
    for (size_t i = 0; b && i < m; i++) memcpy(y + i * n, b, n * sizeof *y);
    for (size_t at = 0; at < k; at += step)
        ada_k.rows_matmul(y, b || at > 0, x + at, k, m, w + at * n, at_most(k - at, step), n);
}

static void forward_tile(void *ctx, size_t tile, int worker) {
    (void)worker;
    const call *k = ctx;
    const ada_connector *c = k->c;
    size_t i = tile * k->tile, m = at_most(k->n - i, k->tile), in = (size_t)c->in, d = (size_t)c->d,
           hidden = (size_t)c->hidden;
    const float *x = k->x + i * in;
    float *y = k->y + i * d, *z = k->z + i * hidden, *h = k->h + i * hidden;
    if (c->kind == ADA_CONNECTOR_LINEAR) {
        product(x, m, in, c->w1, c->b1, d, y);
    } else {
        product(x, m, in, c->w1, c->b1, hidden, z);
        ada_act_forward(c->act, h, z, m * hidden);
        product(h, m, hidden, c->w2, c->b2, d, y);
    }
    ada_k.scale(y, y, c->scale, m * d);
}

void ada_connector_forward(const ada_connector *c, const float *x, size_t n, float *y, void *scratch) {
    call k = call_of(c, x, n, scratch);
    k.y = y;
    ada_par_for(tiles(n, k.tile), forward_tile, &k);
}

/* ---- backward ---- */

static void dz_tile(void *ctx, size_t tile, int worker) {
    (void)worker;
    const call *k = ctx;
    const ada_connector *c = k->c;
    size_t first = tile * k->tile, m = at_most(k->n - first, k->tile), d = (size_t)c->d,
           hidden = (size_t)c->hidden, step = d < PIECE ? PIECE / d : 1;
    float *dz = k->dz + first * hidden;
    for (size_t at = 0; at < hidden; at += step)
        for (size_t i = 0; i < m; i++)
            ada_k.row_matmul_t(dz + i * hidden + at, k->dy + (first + i) * d, c->w2 + at * d,
                               at_most(hidden - at, step), d);
    ada_k.scale(dz, dz, c->scale, m * hidden);
    ada_act_backward(c->act, dz, dz, k->z + first * hidden, m * hidden);
}

typedef struct outer { /* g [k, n] += s · xᵀ·y of x [rows, k], y [rows, n] */
    float *g;
    const float *x, *y;
    size_t rows, k, n, step;
    float s;
} outer;

static void outer_slice(void *ctx, size_t slice, int worker) {
    (void)worker;
    const outer *o = ctx;
    size_t at = slice * o->step, len = at_most(o->k - at, o->step);
    for (size_t i = 0; i < o->rows; i++)
        ada_k.outer_add(o->g + at * o->n, o->x + i * o->k + at, o->y + i * o->n, o->s, len, o->n);
}

/* Gradients at a weight [k, n] and at its bias. */
static void outer_sum(float *g, float *bias, const float *x, size_t k, const float *y, size_t n, size_t rows,
                      float s) {
    outer o = {g, x, y, rows, k, n, n < SLICE ? SLICE / n : 1, s};
    if (g) ada_par_for((k + o.step - 1) / o.step, outer_slice, &o);
    for (size_t i = 0; bias && i < rows; i++) ada_k.axpy(bias, y + i * n, s, n);
}

void ada_connector_backward(const ada_connector *c, const float *x, size_t n, const float *dy, void *scratch,
                            const ada_connector_grads *g) {
    call k = call_of(c, x, n, scratch);
    size_t in = (size_t)c->in, hidden = (size_t)c->hidden, d = (size_t)c->d;
    k.dy = dy;
    if (c->kind == ADA_CONNECTOR_LINEAR) {
        outer_sum(g->w1, g->b1, x, in, dy, d, n, c->scale);
        return;
    }
    ada_par_for(tiles(n, k.tile), dz_tile, &k);
    outer_sum(g->w2, g->b2, k.h, hidden, dy, d, n, c->scale);
    outer_sum(g->w1, g->b1, x, in, k.dz, hidden, n, 1);
}
