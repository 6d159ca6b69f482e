/* SPDX-License-Identifier: Apache-2.0
 * The norm op pair over rows. Must not know: layers. Owns nothing: rows in, rows out.
 * Invariant: a row's result has the same bits in any company. */
#ifndef ADA_ENGINE_NORM_H
#define ADA_ENGINE_NORM_H

#include "engine/config.h"
#include "engine/linear.h"

/* Rows m of width d. `map`, if not NULL, gives for row i its row in x (forward), in x, stat and dx
 * (backward). */
typedef struct ada_norm_rows {
    ada_norm_kind kind;
    const float *w, *b; /* [d]; b may be NULL */
    float eps;
    size_t m, d;
    const int32_t *map;
} ada_norm_rows;

/* y [m, d] of `type` = norm(x) · w + b. Unless NULL, keep [m, d] of `type` gets x, and stat [m, 2] what
 * backward reads. tmp [m, d] is scratch. */
void ada_norm_forward(const ada_norm_rows *r, ada_dtype type, const float *x, void *y, float *tmp, void *keep,
                      float *stat);
/* dx (+)= the gradient at x; dy [m, d] is consumed; x of `type`. tmp [m, d] is scratch. */
void ada_norm_backward(const ada_norm_rows *r, ada_dtype type, float *dy, const void *x, const float *stat,
                       float *tmp, float *dx, bool add);
/* x [m, d] += norm(y) · w + b, y [m, d] consumed; keep and stat as above. */
void ada_norm_add(const ada_norm_rows *r, ada_dtype type, float *y, void *keep, float *stat, float *x);
/* dy [m, d] of `type` = the gradient at y of ada_norm_add, for dx at x. tmp and wide [m, d] are
 * scratch. */
void ada_norm_add_backward(const ada_norm_rows *r, ada_dtype type, const float *dx, const void *keep,
                           const float *stat, float *tmp, float *wide, void *dy);

#endif
