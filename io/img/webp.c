/* SPDX-License-Identifier: Apache-2.0
 * The door to libwebp. Owns: still pictures, their alpha dropped; where EXIF and XMP lie in the file.
 * Must not know: other formats. Invariant: the size is checked before libwebp decodes anything. */
#include "io/img/image.h"
#include <webp/decode.h>

/* The chunks of a RIFF file; one cut short ends them. */
static int turn_of(ada_reader r) {
    const unsigned char *kind = NULL, *data = NULL;
    uint32_t n;
    int exif = 0, xmp = 0;
    if (ada_read_left(&r) < 12 || ada_read_bytes(&r, 12, &data) != ADA_OK) return 1;
    while (ada_read_left(&r) >= 8) {
        if (ada_read_bytes(&r, 4, &kind) != ADA_OK || ada_read_u32(&r, &n) != ADA_OK) break;
        if (ada_read_left(&r) < n || ada_read_bytes(&r, n, &data) != ADA_OK) break;
        if (memcmp(kind, "EXIF", 4) == 0) exif = ada_exif_turn(data, n);
        if (memcmp(kind, "XMP ", 4) == 0) xmp = ada_xmp_turn(data, n);
        if (n % 2 == 1 && (ada_read_left(&r) < 1 || ada_read_bytes(&r, 1, &data) != ADA_OK)) break;
    }
    return exif > 0 ? exif : xmp > 0 ? xmp : 1;
}

static ada_status decode(ada_image *img, int *turn, ada_arena *a, const ada_reader *r) {
    WebPBitstreamFeatures f;
    VP8StatusCode code = WebPGetFeatures(r->p, r->n, &f);
    if (code == VP8_STATUS_OK && f.has_animation)
        return ada_fail(ADA_EUNSUPPORTED, "'%s' is animated", r->name);
    if (code == VP8_STATUS_OK) {
        ADA_TRY(ada_image_new(img, a, (uint64_t)f.width, (uint64_t)f.height, r->name));
        WebPDecoderConfig c;
        if (!WebPInitDecoderConfig(&c)) return ada_fail(ADA_EINTERNAL, "libwebp is of another version");
        c.output.colorspace = MODE_RGB;
        c.output.is_external_memory = 1;
        c.output.u.RGBA = (WebPRGBABuffer){
            .rgba = img->rgb, .stride = (int)(3 * img->width), .size = 3 * img->width * img->height};
        code = WebPDecode(r->p, r->n, &c);
    }
    *turn = turn_of(*r);
    switch (code) {
    case VP8_STATUS_OK:
        return ADA_OK;
    case VP8_STATUS_OUT_OF_MEMORY:
        return ada_fail(ADA_ENOMEM, "out of memory while reading '%s'", r->name);
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED:
        return ada_fail(ADA_EFORMAT, "'%s' ends at byte %zu, but the picture goes on", r->name, r->n);
    case VP8_STATUS_UNSUPPORTED_FEATURE:
        return ada_fail(ADA_EUNSUPPORTED, "'%s' is of a kind that libwebp does not read", r->name);
    default:
        return ada_fail(ADA_EFORMAT, "'%s' is no good WebP", r->name);
    }
}

static bool probe(const unsigned char *head, size_t n) {
    return n >= 12 && memcmp(head, "RIFF", 4) == 0 && memcmp(head + 8, "WEBP", 4) == 0;
}

const struct ada_image_format ada_image_format_webp = {.name = "webp", .probe = probe, .decode = decode};
