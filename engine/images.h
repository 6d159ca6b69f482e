/* SPDX-License-Identifier: Apache-2.0
 * The images of a run: files become features, once each, and features the connector's input rows. Owns: which
 * numbers the rows of an image have, features in memory, and the cache they are kept in. Must not know: rows
 * of data, adapters. Invariant: a row's bits are the same whether its features were made, kept or found. */
#ifndef ADA_ENGINE_IMAGES_H
#define ADA_ENGINE_IMAGES_H

#include "engine/vision.h"

typedef struct ada_images ada_images;

typedef struct ada_picture { /* rows first … first + tiles · rows - 1 are its, tile by tile */
    int32_t first, tiles;
    int32_t rows;         /* of a tile */
    int32_t across, down; /* tiles side by side, the last one left out; both 0: one tile alone */
} ada_picture;

/* cache: a folder of features, or NULL. most: rows of all images at most. */
ada_status ada_images_open(ada_images **im, ada_vision *v, const char *cache, int32_t most) ADA_MUST_USE;
void ada_images_close(ada_images **im);
/* A file already added is the same picture again. EIO, EFORMAT, EUNSUPPORTED with the file's name. */
ada_status ada_images_add(ada_images *im, const char *path, ada_picture *p) ADA_MUST_USE;
/* Sees what was added and not yet seen; before read. */
ada_status ada_images_ready(ada_images *im) ADA_MUST_USE;
int32_t ada_images_rows(const ada_images *im); /* so far */
int32_t ada_images_most(const ada_images *im);
/* From now on there are no others than those there are. */
void ada_images_seal(ada_images *im);
/* x [n, connector.in] of n rows, ascending. */
ada_status ada_images_read(ada_images *im, const int32_t *rows, int32_t n, float *x) ADA_MUST_USE;

#endif
