/* SPDX-License-Identifier: Apache-2.0
 * A frozen vision tower: pixels in, features out. Owns: its weights, the positions and the workspace of the
 * size of image it last saw. Forward only. Must not know: files of images, projectors, text. Invariant: an
 * image's features have the same bits alone and in any company. */
#ifndef ADA_ENGINE_TOWER_H
#define ADA_ENGINE_TOWER_H

#include "engine/adalink.h"
#include "engine/config.h"
#include "io/tensors.h"

/* The tower of an open file, which outlives it: that of a vision model, or of a larger model with a
 * "vision_config". */
ada_status ada_tower_of(ada_tower **t, ada_tensors *file, const ada_tower_opts *o) ADA_MUST_USE;
const ada_config *ada_tower_config(const ada_tower *t);
/* Numbers of a row of features: the width, times the layers they are of. */
size_t ada_tower_features(const ada_tower *t);
/* Rows of features of an image of h by w pixels, each of ada_tower_features() numbers. EINVAL where it is
 * smaller than a patch, or too large. Whatever is left over of a patch at the right and at the bottom is not
 * seen. */
ada_status ada_tower_rows(const ada_tower *t, int32_t h, int32_t w, int32_t *rows) ADA_MUST_USE;
/* Images of such a size that are seen at once: so many together cost less than each alone. */
int32_t ada_tower_pass(const ada_tower *t, int32_t h, int32_t w);
/* pixels [n, channels, h, w], as preprocessing leaves them; features [n, rows, features]. Another size than
 * the last call's lays out anew. Any number of threads: one call at a time. */
ada_status ada_tower_run(ada_tower *t, const float *pixels, int32_t n, int32_t h, int32_t w,
                         float *features) ADA_MUST_USE;
/* Multiply-adds × 2 of an image of that size. EINVAL as ada_tower_rows. */
ada_status ada_tower_flops(ada_tower *t, int32_t h, int32_t w, double *flops) ADA_MUST_USE;
/* A digest of all that decides what the features of some pixels are, to the bit. */
ada_status ada_tower_key(ada_tower *t, char hex[65]) ADA_MUST_USE;

#endif
