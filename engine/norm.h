/* SPDX-License-Identifier: Apache-2.0
 * The norm op pair over rows. Must not know: layers. Owns nothing: rows in, rows out.
 * Invariant: a row's result has the same bits in any company. */
#ifndef ADA_ENGINE_NORM_H
#define ADA_ENGINE_NORM_H

#include "engine/linear.h"

/* Rows m of width d. `map`, if not NULL, gives for row i its row in x (forward), in x, rstd and dx
 * (backward). */
typedef struct ada_norm_rows {
    const float *w; /* [d] */
    float eps;
    size_t m, d;
    const int32_t *map;
} ada_norm_rows;

/* y [m, d] of `type` = norm(x) · w. Unless NULL, keep [m, d] of `type` gets x, and rstd [m] what backward
 * reads. tmp [m, d] is scratch. */
void ada_norm_forward(const ada_norm_rows *r, ada_dtype type, const float *x, void *y, float *tmp, void *keep,
                      float *rstd);
/* dx (+)= the gradient at x; dy [m, d] is consumed; x of `type`. tmp [m, d] is scratch. */
void ada_norm_backward(const ada_norm_rows *r, ada_dtype type, float *dy, const void *x, const float *rstd,
                       float *tmp, float *dx, bool add);

#endif
