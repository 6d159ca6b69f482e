/* SPDX-License-Identifier: Apache-2.0
 * Pictures: PNG, JPEG and WebP files become RGB bytes. Owns: what any picture is turned into (grey, palette,
 * alpha, CMYK, 16 bits, turned by EXIF or XMP: as Pillow's exif_transpose and convert("RGB") do, so alpha is
 * dropped and a grey of 16 bits is cut at 255), and the most that a picture may be.
 * Must not know: models, or what a library is called; io/img has one format a file.
 * Invariant: no pixel is allocated before the size that a file claims was checked. */
#ifndef ADA_IO_PIXELS_H
#define ADA_IO_PIXELS_H

#include "io/arena.h"

enum { ADA_IMAGE_PIXELS = 1 << 26 }; /* of one picture, read or made */

typedef struct ada_image {
    size_t width, height; /* neither is 0 */
    uint8_t *rgb;         /* [height, width, 3] */
    bool keyed;           /* a PNG calls one colour transparent: */
    uint8_t key[3];       /* the one that Pillow keeps of it, which need not occur */
} ada_image;

/* Files of up to 1 GiB, known by their first bytes, whatever their names. Pixels are taken from the arena,
 * with a second picture's worth where one is turned. Any number of threads. EFORMAT: not all of the file is
 * there, or it is damaged; EUNSUPPORTED: too large, animated, or of a kind that Pillow refuses, too. */
ada_status ada_image_read(ada_image *img, ada_arena *a, const char *path) ADA_MUST_USE;
/* The same of n bytes in memory; name for errors. */
ada_status ada_image_decode(ada_image *img, ada_arena *a, const void *bytes, size_t n,
                            const char *name) ADA_MUST_USE;

/* Pillow's numbers, which preprocessor_config.json holds. */
typedef enum ada_filter {
    ADA_NEAREST = 0,
    ADA_LANCZOS = 1,
    ADA_BILINEAR = 2,
    ADA_BICUBIC = 3,
    ADA_BOX = 4,
    ADA_HAMMING = 5
} ada_filter;

/* Pillow's Image.resize, bit for bit. out takes its pixels from the arena; of the same size they are in's.
 * EUNSUPPORTED: a size of 0, or too many pixels. */
ada_status ada_image_resize(ada_image *out, ada_arena *a, const ada_image *in, size_t height, size_t width,
                            ada_filter filter) ADA_MUST_USE;
/* height × width pixels from (top, left) on; what is outside of the picture is `fill`. */
ada_status ada_image_cut(ada_image *out, ada_arena *a, const ada_image *in, int64_t top, int64_t left,
                         size_t height, size_t width, const uint8_t fill[3]) ADA_MUST_USE;

#endif
