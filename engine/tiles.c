/* SPDX-License-Identifier: Apache-2.0
 * Owns: when the tower runs on what waits: where a pass is full, where the size changes, where it is asked.
 * Must not know: whose tiles these are. Invariant: all that wait are of one size; after a failure none do. */
#include "engine/tiles.h"
#include "io/os.h"
#include <string.h>

ada_status ada_tiles_run(ada_tiles *t) {
    ada_arena a = {0};
    int32_t n = t->n, rows;
    float *features;
    if (n == 0) return ADA_OK;
    t->n = 0;
    ADA_TRY(ada_tower_rows(t->tower, t->h, t->w, &rows));
    size_t all = (size_t)n * (size_t)rows;
    ada_status st = ada_arena_rows(&a, &features, all, ada_tower_features(t->tower), sizeof *features);
    if (st == ADA_OK) st = ada_tower_run(t->tower, t->pixels, n, t->h, t->w, features);
    if (st == ADA_OK) st = t->seen(t->ctx, features, all);
    ada_arena_free(&a);
    return st;
}

static ada_status make_room(ada_tiles *t, size_t numbers) {
    size_t bytes;
    if (numbers <= t->room) return ADA_OK;
    float *x = ada_mul_size(numbers, sizeof *x, &bytes) ? ada_os.resize(t->pixels, t->room * sizeof *x, bytes)
                                                        : NULL;
    if (!x) {
        t->n = 0;
        return ada_fail(ADA_ENOMEM, "no memory for %zu numbers of images", numbers);
    }
    t->pixels = x, t->room = numbers;
    return ADA_OK;
}

ada_status ada_tiles_add(ada_tiles *t, const ada_pixels *px) {
    int32_t h = (int32_t)px->height, w = (int32_t)px->width;
    size_t size = 3 * px->height * px->width;
    if (h != t->h || w != t->w || t->n >= ada_tower_pass(t->tower, h, w)) ADA_TRY(ada_tiles_run(t));
    ADA_TRY(make_room(t, ((size_t)t->n + px->tiles) * size));
    memcpy(t->pixels + (size_t)t->n * size, px->data, px->tiles * size * sizeof *px->data);
    t->h = h, t->w = w;
    t->n += (int32_t)px->tiles;
    return ADA_OK;
}

void ada_tiles_free(ada_tiles *t) {
    ada_os.release(t->pixels);
    t->pixels = NULL, t->room = 0, t->n = 0;
}
