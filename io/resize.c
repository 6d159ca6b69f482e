/* SPDX-License-Identifier: Apache-2.0
 * Resizing as Pillow does it, bit for bit: across and down, each with 22 bits of fraction and rounded to
 * bytes. Owns: the filters and their weights. Must not know: where pictures come from.
 * Invariant: across is down on a picture turned over, so that one kernel does both. */
#include "io/img/image.h"
#include "simd/kernels.h"
#include <math.h>

static const double pi = 3.14159265358979323846;

static double box(double x) {
    return x > -0.5 && x <= 0.5;
}
static double bilinear(double x) {
    return fmax(1 - fabs(x), 0);
}
static double bicubic(double x) {
    const double a = -0.5;
    x = fabs(x);
    if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}
static double hamming(double x) {
    x = fabs(x);
    if (x == 0) return 1;
    if (x >= 1) return 0;
    x *= pi;
    return sin(x) / x * (0.54 + 0.46 * cos(x));
}
static double sinc(double x) {
    if (x == 0) return 1;
    x *= pi;
    return sin(x) / x;
}
static double lanczos(double x) {
    return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0;
}

static const struct {
    double (*at)(double x);
    double support;
} filters[] = {[ADA_LANCZOS] = {lanczos, 3},
               [ADA_BILINEAR] = {bilinear, 1},
               [ADA_BICUBIC] = {bicubic, 2},
               [ADA_BOX] = {box, 0.5},
               [ADA_HAMMING] = {hamming, 1}};

/* The weights k of input places first, first + 1, …, of which there are `taps`, for one output place. w has
 * room for them. */
static void weigh(int32_t *k, double *w, size_t *first, size_t *taps, size_t at, size_t from, size_t to,
                  ada_filter filter) {
    double scale = (double)from / (double)to, stretch = fmax(scale, 1);
    double support = filters[filter].support * stretch, centre = ((double)at + 0.5) * scale, sum = 0;
    double low = fmax(centre - support + 0.5, 0), high = fmin(centre + support + 0.5, (double)from);
    *first = (size_t)low;
    *taps = (size_t)high - *first;
    for (size_t i = 0; i < *taps; i++) {
        w[i] = filters[filter].at(((double)(i + *first) - centre + 0.5) * (1 / stretch));
        sum += w[i];
    }
    for (size_t i = 0; i < *taps; i++) {
        double v = (sum != 0 ? w[i] / sum : w[i]) * (1 << 22);
        k[i] = (int32_t)(v < 0 ? v - 0.5 : v + 0.5);
    }
}

/* in [from, n] → out [to, n] */
static ada_status down(uint8_t *out, const uint8_t *in, size_t n, size_t from, size_t to, ada_filter filter,
                       ada_arena *scratch) {
    double *w = NULL;
    int32_t *k = NULL;
    size_t first, taps;
    double most = ceil(filters[filter].support * fmax((double)from / (double)to, 1)) * 2 + 1;
    ADA_TRY(ada_arena_take(scratch, &w, (size_t)most, sizeof *w));
    ADA_TRY(ada_arena_take(scratch, &k, (size_t)most, sizeof *k));
    for (size_t i = 0; i < to; i++) {
        weigh(k, w, &first, &taps, i, from, to, filter);
        ada_k.resample(out + i * n, in + first * n, n, k, taps, n);
    }
    return ADA_OK;
}

/* in [rows, columns, 3] → out [columns, rows, 3], by squares that stay in the first cache */
static void turn_over(uint8_t *out, const uint8_t *in, size_t rows, size_t columns) {
    enum { SIDE = 32 };
    for (size_t r = 0; r < rows; r += SIDE)
        for (size_t c = 0; c < columns; c += SIDE)
            for (size_t i = r; i < rows && i < r + SIDE; i++)
                for (size_t j = c; j < columns && j < c + SIDE; j++)
                    memcpy(out + 3 * (j * rows + i), in + 3 * (i * columns + j), 3);
}

/* in [rows, from, 3] → out [rows, to, 3] */
static ada_status across(uint8_t *out, const uint8_t *in, size_t rows, size_t from, size_t to,
                         ada_filter filter, ada_arena *scratch) {
    uint8_t *turned = NULL, *done = NULL;
    ADA_TRY(ada_arena_take(scratch, &turned, rows * from, 3));
    ADA_TRY(ada_arena_take(scratch, &done, rows * to, 3));
    turn_over(turned, in, rows, from);
    ADA_TRY(down(done, turned, 3 * rows, from, to, filter, scratch));
    turn_over(out, done, to, rows);
    return ADA_OK;
}

/* The places are summed up, not multiplied: Pillow's roundings. */
static ada_status nearest(ada_image *out, const ada_image *in, ada_arena *scratch) {
    double dx = (double)in->width / (double)out->width, dy = (double)in->height / (double)out->height;
    double x = dx * 0.5, y = dy * 0.5;
    size_t *column = NULL;
    ADA_TRY(ada_arena_take(scratch, &column, out->width, sizeof *column));
    for (size_t i = 0; i < out->width; i++, x += dx)
        column[i] = (size_t)x < in->width ? (size_t)x : in->width - 1;
    for (size_t j = 0; j < out->height; j++, y += dy) {
        size_t row = (size_t)y < in->height ? (size_t)y : in->height - 1;
        for (size_t i = 0; i < out->width; i++)
            memcpy(out->rgb + 3 * (j * out->width + i), in->rgb + 3 * (row * in->width + column[i]), 3);
    }
    return ADA_OK;
}

/* Which pass comes first shows in the roundings, and where a filter overshoots. Pillow 13 goes down first by
 * this rule, found by trying; earlier ones never do. */
static bool goes_down_first(const ada_image *out, const ada_image *in) {
    int64_t dy = (int64_t)in->height - (int64_t)out->height, dx = (int64_t)in->width - (int64_t)out->width;
    return dy > 0 && dy > 2 * dx;
}

static ada_status resize(ada_image *out, const ada_image *in, ada_filter filter, ada_arena *scratch) {
    const size_t n = 3 * (goes_down_first(out, in) ? in->width : out->width);
    ada_image half;
    if (filter == ADA_NEAREST) return nearest(out, in, scratch);
    if (out->height == in->height)
        return across(out->rgb, in->rgb, in->height, in->width, out->width, filter, scratch);
    if (out->width == in->width) return down(out->rgb, in->rgb, n, in->height, out->height, filter, scratch);
    if (goes_down_first(out, in)) {
        ADA_TRY(ada_image_new(&half, scratch, in->width, out->height, "a picture half resized"));
        ADA_TRY(down(half.rgb, in->rgb, n, in->height, out->height, filter, scratch));
        return across(out->rgb, half.rgb, out->height, in->width, out->width, filter, scratch);
    }
    ADA_TRY(ada_image_new(&half, scratch, out->width, in->height, "a picture half resized"));
    ADA_TRY(across(half.rgb, in->rgb, in->height, in->width, out->width, filter, scratch));
    return down(out->rgb, half.rgb, n, in->height, out->height, filter, scratch);
}

ada_status ada_image_resize(ada_image *out, ada_arena *a, const ada_image *in, size_t height, size_t width,
                            ada_filter filter) {
    if (height == in->height && width == in->width) {
        *out = *in;
        return ADA_OK;
    }
    if (height == 0 || width == 0)
        return ada_fail(ADA_EUNSUPPORTED, "a picture of %zu × %zu pixels cannot become one of %zu × %zu",
                        in->width, in->height, width, height);
    ada_image to;
    ada_arena scratch = {0};
    ADA_TRY(ada_image_new(&to, a, width, height, "a picture resized"));
    ada_status st = resize(&to, in, filter, &scratch);
    ada_arena_free(&scratch);
    if (st == ADA_OK) *out = to;
    return st;
}
