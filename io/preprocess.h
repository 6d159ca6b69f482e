/* SPDX-License-Identifier: Apache-2.0
 * What a vision model does to a picture before it looks at it, as its own preprocessor_config.json says:
 * resize, cut, tile, normalise. Owns: the switches, their defaults by image_processor_type, and the
 * arithmetic of transformers' PIL processors. Must not know: models, tokens. Invariant: a switch is honoured
 * or refused by name; a key that is null keeps its type's default. */
#ifndef ADA_IO_PREPROCESS_H
#define ADA_IO_PREPROCESS_H

#include "io/json.h"
#include "io/pixels.h"

typedef enum ada_size_rule {
    ADA_SIZE_EXACT,    /* height, width */
    ADA_SIZE_SHORTEST, /* the shorter edge becomes `shortest`; the longer at most `longest`, if that is not 0
                        */
    ADA_SIZE_LONGEST   /* the longer edge becomes `longest`; tiling types only */
} ada_size_rule;

typedef struct ada_preprocess {
    const char *type; /* ViT, CLIP, Siglip (PaliGemma, too), Bit (DINOv2), Llava, Idefics3 or SmolVLM */
    bool white;       /* what is of the picture's transparent colour becomes white */
    bool resize, crop, rescale, normalize;
    bool pad;    /* Llava: to a square of the mean colour, first of all. Others: zeros to pad_*, at the end */
    bool tiling; /* Idefics3, SmolVLM: what is resized is brought to multiples of tile_side and … */
    bool split;  /* … cut up, with the whole picture as the last tile; or, if not, becomes one tile */
    ada_size_rule rule;
    size_t height, width, shortest, longest;
    size_t crop_height, crop_width, pad_height, pad_width, tile_side;
    ada_filter filter;
    double factor, mean[3], std[3];
} ada_preprocess;

/* Of ada_tensors_meta, where a folder's files stand under their names: "image_processor" of processor_config
 * or else preprocessor_config. Nothing to close. EFORMAT where there is neither. */
ada_status ada_preprocess_of(ada_preprocess *p, const ada_json *meta) ADA_MUST_USE;
/* Of the object itself; name for errors. EFORMAT: a value is wrong; EUNSUPPORTED: a type or switch we lack.
 */
ada_status ada_preprocess_read(ada_preprocess *p, const ada_json *j, const char *name) ADA_MUST_USE;
/* All of it on one line, two of which are equal if and only if they do the same: for people, and for keys. */
ada_status ada_preprocess_text(const ada_preprocess *p, ada_buf *out) ADA_MUST_USE;

typedef struct ada_pixels {
    size_t tiles, height, width;
    size_t rows, columns; /* of the tiles before the last, row by row; both 0: not split, one tile */
    float *data;          /* [tiles, 3, height, width] */
} ada_pixels;

/* Only the result is taken from the arena. Any number of threads. EUNSUPPORTED: it would be of 0 pixels, or
 * of more than ADA_IMAGE_PIXELS. The picture is not named: add an ada_note. */
ada_status ada_preprocess_run(const ada_preprocess *p, const ada_image *img, ada_arena *a,
                              ada_pixels *out) ADA_MUST_USE;

#endif
