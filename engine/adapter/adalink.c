/* SPDX-License-Identifier: Apache-2.0
 * AdaLink: a low-rank residual on the input embeddings of a frozen model, one for each modality.
 *     z = e·D + b_down      e [n, d], D [d, r]
 *     y = e + s·(f(z)·U + b_up)           U [r, d], f one of none, relu, gelu (by erf)
 * once a modality: text rows never meet the image's D and U, nor the reverse; with D ~ N(0, init_std²), U and
 * biases 0, so that y = e at the start. Gradients, for dy at y: dU = s·f(z)ᵀ·dy,  db_up = s·Σdy,  dz =
 * s·(dy·Uᵀ)·f'(z),  dD = eᵀ·dz,  db_down = Σdz. e is frozen, so that no gradient goes to it. Invariant: each
 * sum runs over rows in order, whatever the threads. */
#include "engine/adapter.h"
#include "engine/par.h"
#include "engine/rng.h"
#include "simd/kernels.h"
#include <stdio.h>

enum { ROW_TILE = 16, DOWN_TILE = 32, UP_TILE = 8 };
enum { DOWN, UP, DOWN_BIAS, UP_BIAS };

static int param_index(const ada_adapter *a, ada_modality m, int which) {
    return a->first[m] + which;
}
static const float *param(const ada_adapter *a, ada_modality m, int which) {
    return which >= DOWN_BIAS && !a->bias ? NULL : a->params[param_index(a, m, which)].p;
}
static float *grad(const ada_adapter *a, ada_modality m, int which) {
    return a->params[param_index(a, m, which)].g;
}

static ada_status add(ada_adapter *a, ada_modality m, const char *what, int64_t rows, int64_t cols,
                      float **p) {
    char name[sizeof a->params[0].name];
    (void)snprintf(name, sizeof name, "%s/%s", ada_modality_names[m], what);
    return ada_adapter_add(a, name, rows, cols, p);
}

static ada_status init_modality(ada_adapter *a, ada_modality m) {
    int64_t d = a->model->c.d, r = a->rank, drawn = (int64_t)m * d * r;
    float *down, *zero;
    a->first[m] = a->nparams;
    ADA_TRY(add(a, m, "down", d, r, &down));
    ADA_TRY(add(a, m, "up", r, d, &zero));
    if (a->bias) ADA_TRY(add(a, m, "down_bias", r, 0, &zero));
    if (a->bias) ADA_TRY(add(a, m, "up_bias", d, 0, &zero));
    for (int64_t i = 0; i < d * r; i++)
        down[i] = (float)(a->init_std * ada_rng_normal(a->seed, ADA_RNG_INIT, (uint64_t)(drawn + i)));
    return ADA_OK;
}

static ada_status init(ada_adapter *a) {
    bool encoder = a->model->encoder.layers != NULL, text = a->with[ADA_TEXT];
    if (text && (!encoder || a->site & ADA_SITE_ENCODER)) ADA_TRY(init_modality(a, ADA_TEXT));
    if (a->with[ADA_IMAGE]) ADA_TRY(init_modality(a, ADA_IMAGE));
    return text && encoder && a->site & ADA_SITE_DECODER ? init_modality(a, ADA_DECODER) : ADA_OK;
}

/* Scratch is three arrays [rows, r]: z, f(z), dz. Without an activation the first two are one. */
typedef struct call {
    const ada_adapter *a;
    ada_modality m;
    size_t n, d, r;
    const float *e, *dy;
    float *y, *z, *f, *dz;
} call;

static call call_of(const ada_adapter *a, ada_modality m, const float *e, size_t n, void *scratch) {
    call c = {.a = a, .m = m, .n = n, .d = (size_t)a->model->c.d, .r = (size_t)a->rank, .e = e, .z = scratch};
    c.f = a->activation == ADA_F_NONE ? c.z : c.z + n * c.r;
    c.dz = c.z + 2 * n * c.r;
    return c;
}

static size_t embed_scratch(const ada_adapter *a, size_t rows) {
    return 3 * rows * (size_t)a->rank * sizeof(float);
}

static void forward_tile(void *ctx, size_t tile, int worker) {
    (void)worker;
    const call *c = ctx;
    const float *down = param(c->a, c->m, DOWN), *up = param(c->a, c->m, UP);
    const float *down_bias = param(c->a, c->m, DOWN_BIAS), *up_bias = param(c->a, c->m, UP_BIAS);
    size_t at = tile * ROW_TILE, m = c->n - at < ROW_TILE ? c->n - at : ROW_TILE;
    const float *e = c->e + at * c->d;
    float *z = c->z + at * c->r, *f = c->f + at * c->r, *y = c->y + at * c->d;
    ada_k.rows_matmul(z, false, e, c->d, m, down, c->d, c->r);
    for (size_t i = 0; down_bias && i < m; i++) ada_k.add(z + i * c->r, z + i * c->r, down_bias, c->r);
    if (c->a->activation == ADA_F_RELU) ada_k.relu(f, z, m * c->r);
    if (c->a->activation == ADA_F_GELU) ada_k.gelu_erf(f, z, m * c->r);
    ada_k.rows_matmul(y, false, f, c->r, m, up, c->r, c->d);
    for (size_t i = 0; up_bias && i < m; i++) ada_k.add(y + i * c->d, y + i * c->d, up_bias, c->d);
    ada_k.scale(y, y, c->a->scale, m * c->d);
    ada_k.add(y, e, y, m * c->d);
}

static void embed_forward(const ada_adapter *a, ada_modality m, const float *e, size_t n, float *y,
                          void *scratch) {
    call c = call_of(a, m, e, n, scratch);
    c.y = y;
    ada_par_for((n + ROW_TILE - 1) / ROW_TILE, forward_tile, &c);
}

static void dz_tile(void *ctx, size_t tile, int worker) {
    (void)worker;
    const call *c = ctx;
    for (size_t i = tile * ROW_TILE; i < c->n && i < (tile + 1) * ROW_TILE; i++) {
        float *dz = c->dz + i * c->r;
        const float *z = c->z + i * c->r;
        ada_k.row_matmul_t(dz, c->dy + i * c->d, param(c->a, c->m, UP), c->r, c->d);
        ada_k.scale(dz, dz, c->a->scale, c->r);
        if (c->a->activation == ADA_F_RELU) ada_k.relu_back(dz, dz, z, c->r);
        if (c->a->activation == ADA_F_GELU) ada_k.gelu_erf_back(dz, dz, z, c->r);
    }
}

/* Items own slices of a gradient's rows, each small enough to stay in L1 while all n rows pass by. */
static void down_slice(void *ctx, size_t slice, int worker) {
    (void)worker;
    const call *c = ctx;
    size_t k = slice * DOWN_TILE, len = c->d - k < DOWN_TILE ? c->d - k : DOWN_TILE;
    float *g = grad(c->a, c->m, DOWN) + k * c->r;
    for (size_t i = 0; i < c->n; i++)
        ada_k.outer_add(g, c->e + i * c->d + k, c->dz + i * c->r, 1.0f, len, c->r);
}

static void up_slice(void *ctx, size_t slice, int worker) {
    (void)worker;
    const call *c = ctx;
    size_t k = slice * UP_TILE, len = c->r - k < UP_TILE ? c->r - k : UP_TILE;
    float *g = grad(c->a, c->m, UP) + k * c->d;
    for (size_t i = 0; i < c->n; i++)
        ada_k.outer_add(g, c->f + i * c->r + k, c->dy + i * c->d, c->a->scale, len, c->d);
}

static void embed_backward(ada_adapter *a, ada_modality m, const float *e, size_t n, const float *dy,
                           void *scratch) {
    call c = call_of(a, m, e, n, scratch);
    c.dy = dy;
    ada_par_for((n + ROW_TILE - 1) / ROW_TILE, dz_tile, &c);
    ada_par_for((c.d + DOWN_TILE - 1) / DOWN_TILE, down_slice, &c);
    ada_par_for((c.r + UP_TILE - 1) / UP_TILE, up_slice, &c);
    for (size_t i = 0; a->bias && i < n; i++) {
        ada_k.add(grad(a, m, DOWN_BIAS), grad(a, m, DOWN_BIAS), c.dz + i * c.r, c.r);
        ada_k.axpy(grad(a, m, UP_BIAS), dy + i * c.d, a->scale, c.d);
    }
}

const struct ada_method ada_method_adalink = {
    .name = "adalink",
    .low_rank = true,
    .init = init,
    .embed_scratch = embed_scratch,
    .embed_forward = embed_forward,
    .embed_backward = embed_backward,
};
