/* SPDX-License-Identifier: Apache-2.0
 * The cache of features: what a frozen tower says of an image, kept in a folder of HDF5 files from run to
 * run. Owns: these files, at most `limit` bytes of them, oldest out; entries not yet written, in memory. Must
 * not know: towers, images. Invariant: what is got has the bits that were put; a file is written whole or not
 * at all, never changed, and damaged ones are told, removed and done without; any number of runs may share a
 * folder. */
#ifndef ADA_ENGINE_FEATURES_H
#define ADA_ENGINE_FEATURES_H

#include "io/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ada_features ada_features;

/* The key of all that a tower (ada_tower_key) says of images preprocessed so. */
ada_status ada_features_key(char hex[65], const char *tower, const char *preprocessing) ADA_MUST_USE;
/* width: numbers a row. limit: bytes; 0: 4 GiB. The folder is made. */
ada_status ada_features_open(ada_features **f, const char *folder, const char *key, size_t width,
                             size_t limit) ADA_MUST_USE;
/* Writes what is not yet written. f may be NULL here and below: no cache, nothing is found. */
void ada_features_close(ada_features **f);
/* image: a digest, 64 hex digits. Whether there are so many rows of it; out [rows, width]. */
bool ada_features_get(ada_features *f, const char *image, int32_t rows, float *out);
/* Keeps them, unless they are there. What cannot be written is logged once, and nothing is from then on. */
void ada_features_put(ada_features *f, const char *image, int32_t rows, const float *x);
void ada_features_flush(ada_features *f); /* as close, and goes on */
size_t ada_features_count(const ada_features *f);

#endif
