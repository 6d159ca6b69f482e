/* SPDX-License-Identifier: Apache-2.0
 * Owns: the resizing of a table of positions, as the reference does it: bicubic between the centres of cells,
 * with a kernel of -0.75 whose taps stop at the border, or antialiased, with a kernel of -0.5 that is widened
 * to the step and cut at the border; or, for buckets, picked. Must not know: what the positions are added to.
 */
#include "engine/positions.h"
#include "io/arena.h"
#include "simd/kernels.h"
#include <math.h>
#include <string.h>

/* The taps of one output cell along a side. */
typedef struct {
    int32_t first, n;
    float *w; /* [n] */
} taps;

static double cubic(double x, double a) {
    x = fabs(x);
    if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? ((x - 5) * x + 8) * x * a - 4 * a : 0;
}

static int32_t within(int32_t i, int32_t n) {
    return i < 0 ? 0 : i < n ? i : n - 1;
}

/* Those beyond the border fall on its last cell. */
static ada_status plain_taps(taps *t, int32_t i, int32_t from, double step, ada_arena *a) {
    double at = step * (i + 0.5) - 0.5, left = floor(at);
    int32_t first = (int32_t)left - 1;
    t->first = within(first, from);
    t->n = within(first + 3, from) - t->first + 1;
    ADA_TRY(ada_arena_zero(a, &t->w, (size_t)t->n, sizeof *t->w));
    for (int32_t k = 0; k < 4; k++)
        t->w[within(first + k, from) - t->first] += (float)cubic(at - (first + k), -0.75);
    return ADA_OK;
}

static ada_status smooth_taps(taps *t, int32_t i, int32_t from, double step, ada_arena *a) {
    double wide = step > 1 ? step : 1, reach = 2 * wide, centre = step * (i + 0.5), sum = 0;
    int32_t first = (int32_t)fmax(floor(centre - reach + 0.5), 0);
    int32_t end = (int32_t)fmin(floor(centre + reach + 0.5), from);
    t->first = first, t->n = end - first;
    ADA_TRY(ada_arena_zero(a, &t->w, (size_t)t->n, sizeof *t->w));
    for (int32_t k = first; k < end; k++) sum += cubic((k + 0.5 - centre) / wide, -0.5);
    for (int32_t k = first; k < end; k++)
        t->w[k - first] = (float)(cubic((k + 0.5 - centre) / wide, -0.5) / sum);
    return ADA_OK;
}

/* Where cell i of n begins, among the table's `from`; in float32, for there the reference rounds. */
static ada_status bucket_taps(taps *t, int32_t i, int32_t n, int32_t from, ada_arena *a) {
    float at = fminf((float)i * (1.0F / (float)n), (float)(1.0 - 1e-6));
    int32_t k = 0;
    while (k + 1 < from && at >= (float)(1.0 / from + k * (1.0 / from))) k++;
    t->first = k, t->n = 1;
    ADA_TRY(ada_arena_take(a, &t->w, 1, sizeof *t->w));
    return *t->w = 1, ADA_OK;
}

static ada_status make_taps(taps **out, ada_resize_kind kind, int32_t from, int32_t to, ada_arena *a) {
    ADA_TRY(ada_arena_take(a, out, (size_t)to, sizeof **out));
    for (int32_t i = 0; i < to; i++) {
        taps *t = &(*out)[i];
        double step = (double)from / to;
        if (kind == ADA_RESIZE_BUCKETS)
            ADA_TRY(bucket_taps(t, i, to, from, a));
        else if (kind == ADA_RESIZE_ANTIALIAS)
            ADA_TRY(smooth_taps(t, i, from, step, a));
        else
            ADA_TRY(plain_taps(t, i, from, step, a));
    }
    return ADA_OK;
}

typedef struct {
    int32_t h, w;
} grid;

/* Along each row of cells, then down. */
static ada_status resize(const ada_config *c, const float *table, grid from, grid to, float *out,
                         ada_arena *a) {
    size_t d = (size_t)c->d, wide = (size_t)to.w * d;
    taps *down, *along;
    float *mid; /* [from.h, to.w, d] */
    ADA_TRY(make_taps(&down, c->resize, from.h, to.h, a));
    ADA_TRY(make_taps(&along, c->resize, from.w, to.w, a));
    ADA_TRY(ada_arena_zero(a, &mid, (size_t)from.h * (size_t)to.w, d * sizeof *mid));
    for (int32_t y = 0; y < from.h; y++)
        for (int32_t x = 0; x < to.w; x++)
            for (int32_t k = 0; k < along[x].n; k++)
                ada_k.axpy(mid + (size_t)y * wide + (size_t)x * d,
                           table + (size_t)(y * from.w + along[x].first + k) * d, along[x].w[k], d);
    memset(out, 0, (size_t)to.h * wide * sizeof *out);
    for (int32_t y = 0; y < to.h; y++)
        for (int32_t k = 0; k < down[y].n; k++)
            ada_k.axpy(out + (size_t)y * wide, mid + (size_t)(down[y].first + k) * wide, down[y].w[k], wide);
    return ADA_OK;
}

ada_status ada_positions_resize(const ada_config *c, const float *table, int32_t h, int32_t w, float *out) {
    grid own = {c->image_h / c->patch_h, c->image_w / c->patch_w}, to = {h / c->patch_h, w / c->patch_w};
    int32_t rows = own.h * own.w, side = (int32_t)sqrt((double)rows);
    bool native = h == c->image_h && w == c->image_w && (h == w || !c->square_positions);
    if (c->resize != ADA_RESIZE_BUCKETS && (native || (h == w && to.h * to.w == rows)))
        return memcpy(out, table, (size_t)rows * (size_t)c->d * sizeof *out), ADA_OK;
    if (side * side != rows)
        return ada_fail(ADA_EUNSUPPORTED,
                        "positions of %d by %d patches cannot be resized, for that is no square", own.h,
                        own.w);
    ada_arena a = {0};
    ada_status st = resize(c, table, (grid){side, side}, to, out, &a);
    ada_arena_free(&a);
    return st;
}
