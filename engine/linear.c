/* SPDX-License-Identifier: Apache-2.0
 * Owns: the op pair of a linear map. Must not know: which layer it is in.
 * Invariant: a row's result has the same bits in any company; a weight gradient sums rows in their order. */
#include "engine/linear.h"

typedef struct {
    ada_dtype type;
    void *y;
    const float *x;
    size_t ldx, m, n;
} narrow_job;

static void narrow_strip(void *ctx, size_t s, int worker) {
    (void)worker;
    const narrow_job *j = ctx;
    for (size_t i = s * ADA_STRIP; i < ada_strip_end(s, j->m); i++)
        ada_narrow(j->type, ada_at(j->type, j->y, i * j->n), j->x + i * j->ldx, j->n);
}

void ada_narrow_rows(ada_dtype type, void *y, const float *x, size_t ldx, size_t m, size_t n) {
    ada_par_for(ada_strips(m), narrow_strip, &(narrow_job){type, y, x, ldx, m, n});
}

void ada_linear_forward(const ada_linear *l, const void *x, size_t ldx, size_t m, float *y, size_t ldy,
                        bool add) {
    ada_matmul(l->w, x, ldx, m, &(ada_end){.y = y, .ld = ldy, .add = add, .bias = l->b});
}

void ada_linear_forward_made(const ada_linear *l, const ada_made *x, size_t m, float *y, size_t ldy,
                             bool add) {
    ada_matmul_made(l->w, x, m, &(ada_end){.y = y, .ld = ldy, .add = add, .bias = l->b});
}

void ada_linear_forward_narrow(const ada_linear *l, const void *x, size_t ldx, size_t m, float *scratch,
                               void *y) {
    ada_matmul(l->w, x, ldx, m,
               &(ada_end){.y = scratch, .ld = ada_mat_rows(l->w), .bias = l->b, .narrow = y});
}

/* One item of the weight gradient: GRAD_ROWS rows of g, all of its columns in pieces, all rows of the batch.
 */
enum { GRAD_ROWS = 16, GRAD_COLS = 256 };
typedef struct {
    const ada_linear *l;
    ada_dtype type;
    const void *x, *dy;
    size_t ldx, lddy, m, n, k;
} grad_job;

static void grad_rows(void *ctx, size_t item, int worker) {
    (void)worker;
    const grad_job *j = ctx;
    float x[GRAD_COLS], dy[GRAD_ROWS];
    size_t o0 = item * GRAD_ROWS, rows = j->n - o0 < GRAD_ROWS ? j->n - o0 : GRAD_ROWS;
    for (size_t c0 = 0; c0 < j->k; c0 += GRAD_COLS) {
        size_t cols = j->k - c0 < GRAD_COLS ? j->k - c0 : GRAD_COLS;
        for (size_t i = 0; i < j->m; i++) {
            ada_widen(j->type, x, ada_at_const(j->type, j->x, i * j->ldx + c0), cols);
            ada_widen(j->type, dy, ada_at_const(j->type, j->dy, i * j->lddy + o0), rows);
            for (size_t o = 0; o < rows; o++) ada_k.axpy(j->l->g + (o0 + o) * j->k + c0, x, dy[o], cols);
        }
    }
}

static void weight_gradient(const ada_linear *l, const void *x, size_t ldx, const void *dy, size_t lddy,
                            size_t m) {
    if (!l->g) return;
    size_t n = ada_mat_rows(l->w), k = ada_mat_cols(l->w);
    grad_job j = {l, ada_mat_type(l->w), x, dy, ldx, lddy, m, n, k};
    ada_par_for((n + GRAD_ROWS - 1) / GRAD_ROWS, grad_rows, &j);
}

void ada_linear_backward(const ada_linear *l, const void *x, size_t ldx, const void *dy, size_t lddy,
                         size_t m, float *dx, size_t lddx) {
    ada_matmul_back(l->w, dy, lddy, m, &(ada_end){.y = dx, .ld = lddx});
    weight_gradient(l, x, ldx, dy, lddy, m);
}

void ada_linear_backward_narrow(const ada_linear *l, const void *x, size_t ldx, const void *dy, size_t lddy,
                                size_t m, float *scratch, void *dx) {
    ada_matmul_back(l->w, dy, lddy, m, &(ada_end){.y = scratch, .ld = ada_mat_cols(l->w), .narrow = dx});
    weight_gradient(l, x, ldx, dy, lddy, m);
}
