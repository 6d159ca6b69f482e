/* SPDX-License-Identifier: Apache-2.0
 * A picture made ready for a tower. Owns: the sizes that the switches lead to, with transformers' roundings,
 * and the order of the steps. Must not know: the json (preprocess_read.c).
 * Invariant: pictures stay bytes until the last step, a table of 256 values a channel. */
#include "io/preprocess.h"
#include "simd/kernels.h"
#include <math.h>
#include <string.h>

enum { LONGEST_TILED = 4096 }; /* no tiling model sees more, whatever its size says */

struct table {
    float of[3][256];
};

/* One rounding where transformers has one: the product in double, the rest in float. */
static void make_table(const ada_preprocess *p, struct table *t) {
    for (size_t c = 0; c < 3; c++)
        for (size_t i = 0; i < 256; i++) {
            float v = p->rescale ? (float)((double)i * p->factor) : (float)i;
            t->of[c][i] = p->normalize ? (v - (float)p->mean[c]) / (float)p->std[c] : v;
        }
}

static ada_status new_pixels(ada_pixels *out, ada_arena *a, size_t tiles, size_t height, size_t width) {
    size_t n, area;
    if (!ada_mul_size(height, width, &area) || !ada_mul_size(tiles, area, &n) || n > ADA_IMAGE_PIXELS)
        return ada_fail(ADA_EUNSUPPORTED, "%zu tiles of %zu × %zu pixels are more than the limit of %d",
                        tiles, width, height, ADA_IMAGE_PIXELS);
    *out = (ada_pixels){.tiles = tiles, .height = height, .width = width};
    return ada_arena_zero(a, &out->data, 3 * n, sizeof *out->data);
}

/* height × width pixels of img from (top, left) on become the upper left of tile i. */
static void put(ada_pixels *out, size_t i, const struct table *t, const ada_image *img, size_t top,
                size_t left, size_t height, size_t width) {
    size_t plane = out->height * out->width;
    for (size_t y = 0; y < height; y++)
        ada_k.planes(out->data + 3 * i * plane + y * out->width, plane,
                     img->rgb + 3 * ((top + y) * img->width + left), t->of[0], width);
}

/* ---- sizes ---- */

/* x·a/b in double, towards 0 */
static size_t share(double x, size_t a, size_t b) {
    return (size_t)(x * (double)a / (double)b);
}

static void by_shortest(const ada_preprocess *p, const ada_image *img, size_t *height, size_t *width) {
    size_t s = img->width <= img->height ? img->width : img->height;
    size_t l = img->width <= img->height ? img->height : img->width;
    double edge = (double)p->shortest;
    size_t short_edge = p->shortest;
    if (p->longest > 0 && (double)l / (double)s * edge > (double)p->longest) {
        edge = (double)p->longest * (double)s / (double)l;
        short_edge = (size_t)rint(edge);
    }
    bool is_so = p->longest > 0 && s == short_edge;
    size_t long_edge = is_so ? l : share(edge, l, s);
    *height = img->width <= img->height ? long_edge : short_edge;
    *width = img->width <= img->height ? short_edge : long_edge;
}

/* The longer edge is `most`, the other follows. */
static void follow(size_t *height, size_t *width, size_t most, bool even) {
    double aspect = (double)*width / (double)*height;
    size_t *other = *width >= *height ? height : width;
    if (*width >= *height) {
        *width = most;
        *height = (size_t)((double)most / aspect);
    } else {
        *height = most;
        *width = (size_t)((double)most * aspect);
    }
    if (even) *other += *other % 2;
    if (*other == 0) *other = 1;
}

static void by_longest(const ada_preprocess *p, const ada_image *img, size_t *height, size_t *width) {
    *height = img->height;
    *width = img->width;
    follow(height, width, p->longest, true);
    if (*height > LONGEST_TILED || *width > LONGEST_TILED) follow(height, width, LONGEST_TILED, false);
}

static ada_status resize(const ada_preprocess *p, ada_image *img, ada_arena *scratch) {
    size_t height = p->height, width = p->width;
    if (p->rule == ADA_SIZE_SHORTEST) by_shortest(p, img, &height, &width);
    if (p->rule == ADA_SIZE_LONGEST) by_longest(p, img, &height, &width);
    return ada_image_resize(img, scratch, img, height, width, p->filter);
}

/* ---- steps ---- */

static int64_t half(int64_t n) {
    return (n - (n & 1)) / 2; /* downwards */
}

static ada_status make_square(const ada_preprocess *p, ada_image *img, ada_arena *scratch) {
    size_t side = img->width > img->height ? img->width : img->height;
    const ada_image from = *img;
    uint8_t fill[3];
    if (img->width == img->height) return ADA_OK;
    for (size_t c = 0; c < 3; c++) fill[c] = (uint8_t)(int)(p->mean[c] * 255);
    return ada_image_cut(img, scratch, &from, -(int64_t)((side - img->height) / 2),
                         -(int64_t)((side - img->width) / 2), side, side, fill);
}

static ada_status centre(const ada_preprocess *p, ada_image *img, ada_arena *scratch) {
    const ada_image from = *img;
    return ada_image_cut(img, scratch, &from, half((int64_t)from.height - (int64_t)p->crop_height),
                         half((int64_t)from.width - (int64_t)p->crop_width), p->crop_height, p->crop_width,
                         (const uint8_t[3]){0, 0, 0});
}

static ada_status run_plain(const ada_preprocess *p, ada_image img, const struct table *t, ada_arena *a,
                            ada_pixels *out, ada_arena *scratch) {
    bool square = p->pad && p->pad_height == 0;
    if (square) ADA_TRY(make_square(p, &img, scratch));
    if (p->resize) ADA_TRY(resize(p, &img, scratch));
    if (p->crop) ADA_TRY(centre(p, &img, scratch));
    size_t height = p->pad && !square ? p->pad_height : img.height;
    size_t width = p->pad && !square ? p->pad_width : img.width;
    if (height < img.height || width < img.width)
        return ada_fail(ADA_EUNSUPPORTED, "'pad_size' is %zu × %zu, but a picture of %zu × %zu comes to it",
                        width, height, img.width, img.height);
    ADA_TRY(new_pixels(out, a, 1, height, width));
    put(out, 0, t, &img, 0, 0, img.height, img.width);
    return ADA_OK;
}

static size_t up_to_tiles(size_t n, size_t side) {
    return (n + side - 1) / side * side;
}

/* To whole tiles: the longer edge first, the other by the aspect. */
static ada_status fit_tiles(const ada_preprocess *p, ada_image *img, ada_arena *scratch) {
    size_t side = p->tile_side, height = img->height, width = img->width;
    follow(&height, &width, up_to_tiles(width >= height ? width : height, side), false);
    return ada_image_resize(img, scratch, img, up_to_tiles(height, side), up_to_tiles(width, side),
                            p->filter);
}

static ada_status run_tiles(const ada_preprocess *p, ada_image img, const struct table *t, ada_arena *a,
                            ada_pixels *out, ada_arena *scratch) {
    size_t side = p->tile_side, rows = 1, columns = 1;
    if (p->resize) ADA_TRY(resize(p, &img, scratch));
    if (p->split) {
        ADA_TRY(fit_tiles(p, &img, scratch));
        rows = img.height / side;
        columns = img.width / side;
    }
    bool many = rows * columns > 1;
    ADA_TRY(new_pixels(out, a, many ? rows * columns + 1 : 1, side, side));
    for (size_t i = 0; many && i < rows * columns; i++)
        put(out, i, t, &img, i / columns * side, i % columns * side, side, side);
    out->rows = many ? rows : 0;
    out->columns = many ? columns : 0;
    ADA_TRY(ada_image_resize(&img, scratch, &img, side, side, p->filter));
    put(out, out->tiles - 1, t, &img, 0, 0, side, side);
    return ADA_OK;
}

/* transformers converts to RGB twice, of which the second time knows only this colour. */
static ada_status put_on_white(ada_image *img, ada_arena *scratch) {
    size_t n = img->height * img->width;
    const uint8_t *from = img->rgb;
    ADA_TRY(ada_arena_take(scratch, &img->rgb, n, 3));
    for (size_t i = 0; i < 3 * n; i += 3)
        if (memcmp(from + i, img->key, 3) == 0)
            memset(img->rgb + i, 255, 3);
        else
            memcpy(img->rgb + i, from + i, 3);
    return ADA_OK;
}

ada_status ada_preprocess_run(const ada_preprocess *p, const ada_image *img, ada_arena *a, ada_pixels *out) {
    ada_arena scratch = {0};
    struct table t;
    make_table(p, &t);
    ada_image picture = *img;
    ada_status st = p->white && img->keyed ? put_on_white(&picture, &scratch) : ADA_OK;
    if (st == ADA_OK) st = (p->tiling ? run_tiles : run_plain)(p, picture, &t, a, out, &scratch);
    ada_arena_free(&scratch);
    return st;
}
