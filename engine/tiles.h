/* SPDX-License-Identifier: Apache-2.0
 * Tiles of pictures that wait for a tower, so that it runs on passes of many. Owns: their pixels, until they
 * have been seen. Must not know: files of images, what features are for. Invariant: features come in the
 * order of the tiles, and each tile's once. */
#ifndef ADA_ENGINE_TILES_H
#define ADA_ENGINE_TILES_H

#include "engine/tower.h"
#include "io/preprocess.h"

typedef struct ada_tiles {
    ada_tower *tower;
    /* features [rows, d] of all that waited, of which each picture's are whole; not kept afterwards */
    ada_status (*seen)(void *ctx, const float *features, size_t rows);
    void *ctx;
    float *pixels; /* [n, channels, h, w]; this and the rest begin as zeros */
    size_t room;
    int32_t n, h, w;
} ada_tiles;

/* px [tiles, 3, h, w] are copied. Runs first what waits, if it is a pass or of another size. */
ada_status ada_tiles_add(ada_tiles *t, const ada_pixels *px) ADA_MUST_USE;
/* Runs what waits. */
ada_status ada_tiles_run(ada_tiles *t) ADA_MUST_USE;
void ada_tiles_free(ada_tiles *t);

#endif
