/* SPDX-License-Identifier: Apache-2.0
 * What a picture format needs, and what it registers: io/img/<name>.c defines
 * `const struct ada_image_format ada_image_format_<name>`. Only pixels.c, exif.c and the formats include
 * this. Invariant: a picture gets its memory from ada_image_new, which checks the size. */
#ifndef ADA_IO_IMG_IMAGE_H
#define ADA_IO_IMG_IMAGE_H

#include "io/pixels.h"
#include "io/reader.h"
#include <stdbool.h>

struct ada_image_format {
    const char *name;
    bool (*probe)(const unsigned char *head, size_t n);
    /* Fills img from all bytes of r; *turn is how EXIF says to turn it, 1 to 8, and 1 on entry. */
    ada_status (*decode)(ada_image *img, int *turn, ada_arena *a, const ada_reader *r);
};

ada_status ada_image_new(ada_image *img, ada_arena *a, uint64_t width, uint64_t height,
                         const char *name) ADA_MUST_USE;

/* The orientation, 1 to 8, that EXIF data says ("Exif" and two NUL before it or not), or XMP text; 0 where
 * they say none. What is malformed says none. */
int ada_exif_turn(const void *p, size_t n);
int ada_xmp_turn(const void *p, size_t n);

#endif
