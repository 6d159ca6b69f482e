/* SPDX-License-Identifier: Apache-2.0
 * Pictures from files. Owns: which format a file is, the limit of size, turning by EXIF, cutting.
 * Must not know: how a format stores pixels (io/img). Invariant: a size was checked before anything was
 * allocated for it. */
#include "io/img/image.h"
#include "io/os.h"
#include "io/replace.h"
#include "registry.h"

#define X(name) extern const struct ada_image_format ada_image_format_##name;
ADA_IMAGES(X)
#undef X

#define X(name) &ada_image_format_##name,
static const struct ada_image_format *const formats[] = {ADA_IMAGES(X)};
#undef X

ada_status ada_image_new(ada_image *img, ada_arena *a, uint64_t width, uint64_t height, const char *name) {
    if (width == 0 || height == 0)
        return ada_fail(ADA_EFORMAT, "'%s' is a picture of %llu × %llu pixels", name,
                        (unsigned long long)width, (unsigned long long)height);
    if (width > ADA_IMAGE_PIXELS || height > ADA_IMAGE_PIXELS / width)
        return ada_fail(ADA_EUNSUPPORTED,
                        "'%s' is a picture of %llu × %llu pixels, more than the limit of %d", name,
                        (unsigned long long)width, (unsigned long long)height, ADA_IMAGE_PIXELS);
    *img = (ada_image){.width = (size_t)width, .height = (size_t)height};
    return ada_arena_take(a, &img->rgb, img->height * img->width, 3);
}

/* Turns 5 to 8 exchange the axes; whether x or y then runs backwards. */
static ada_status turn_up(ada_image *img, ada_arena *a, int turn, const char *name) {
    static const struct {
        bool swap, back_x, back_y;
    } ways[9] = {[2] = {false, true, false}, [3] = {false, true, true}, [4] = {false, false, true},
                 [5] = {true, false, false}, [6] = {true, false, true}, [7] = {true, true, true},
                 [8] = {true, true, false}};
    const bool swap = ways[turn].swap, back_x = ways[turn].back_x, back_y = ways[turn].back_y;
    if (turn == 1) return ADA_OK;
    ada_image to;
    ADA_TRY(ada_image_new(&to, a, swap ? img->height : img->width, swap ? img->width : img->height, name));
    uint8_t *p = to.rgb;
    for (size_t y = 0; y < to.height; y++)
        for (size_t x = 0; x < to.width; x++, p += 3) {
            size_t sx = swap ? y : x, sy = swap ? x : y; /* of the source */
            if (back_x) sx = img->width - 1 - sx;
            if (back_y) sy = img->height - 1 - sy;
            memcpy(p, img->rgb + 3 * (sy * img->width + sx), 3);
        }
    img->width = to.width, img->height = to.height, img->rgb = to.rgb;
    return ADA_OK;
}

ada_status ada_image_decode(ada_image *img, ada_arena *a, const void *bytes, size_t n, const char *name) {
    const ada_reader r = {.p = bytes, .n = n, .name = name};
    if (n == 0) return ada_fail(ADA_EFORMAT, "'%s' is empty", name);
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        int turn = 1;
        if (!formats[i]->probe(bytes, n)) continue;
        ADA_TRY(formats[i]->decode(img, &turn, a, &r));
        return turn_up(img, a, turn, name);
    }
#define X(name) " " #name
    return ada_fail(ADA_EFORMAT, "'%s' is no picture of a format known here:" ADA_IMAGES(X), name);
#undef X
}

ada_status ada_image_read(ada_image *img, ada_arena *a, const char *path) {
    void *p;
    size_t n;
    ADA_TRY(ada_map_file(path, &p, &n));
    ada_status st = ada_image_decode(img, a, p, n, path);
    ada_os.unmap(p, n);
    return st;
}

ada_status ada_image_cut(ada_image *out, ada_arena *a, const ada_image *in, int64_t top, int64_t left,
                         size_t height, size_t width, const uint8_t fill[3]) {
    ADA_TRY(ada_image_new(out, a, width, height, "a part"));
    for (size_t y = 0; y < height; y++) {
        int64_t sy = top + (int64_t)y;
        uint8_t *p = out->rgb + 3 * y * width;
        for (size_t x = 0; x < width; x++, p += 3) {
            int64_t sx = left + (int64_t)x;
            bool inside = sy >= 0 && sx >= 0 && sy < (int64_t)in->height && sx < (int64_t)in->width;
            memcpy(p, inside ? in->rgb + 3 * ((size_t)sy * in->width + (size_t)sx) : fill, 3);
        }
    }
    return ADA_OK;
}
