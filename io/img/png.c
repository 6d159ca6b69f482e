/* SPDX-License-Identifier: Apache-2.0
 * The door to libpng. Owns: how each kind of PNG becomes RGB: greys of fewer bits are stretched, indices
 * looked up (past the palette: black), of 16 bits the high byte stays, but a grey of 16 bits is cut at 255;
 * which colour is transparent, by the low byte. Must not know: other formats. Invariant: libpng's errors jump
 * no further than decode. */
#include "io/img/image.h"
#include "io/os.h"
#include <png.h>

enum { CHUNK_BYTES = 8 << 20 }; /* unpacked */

struct source {
    ada_reader r;
    ada_status st; /* of the failure that jumped */
    bool refused;  /* memory was */
    size_t most;   /* bytes at a time: libpng takes an eXIf chunk's word for its length */
};

static void fail(png_structp png, png_const_charp what) {
    struct source *s = png_get_error_ptr(png);
    s->st = s->refused ? ada_fail(ADA_ENOMEM, "out of memory while reading '%s'", s->r.name)
                       : ada_fail(ADA_EFORMAT, "'%s' is no good PNG: %.100s", s->r.name, what);
    png_longjmp(png, 1);
}

static void be_quiet(png_structp png, png_const_charp what) {
    (void)png;
    (void)what;
}

static void check(png_structp png, ada_status st) {
    struct source *s = png_get_error_ptr(png);
    if (st == ADA_OK) return;
    s->st = st;
    png_longjmp(png, 1);
}

static void read_bytes(png_structp png, png_bytep to, size_t n) {
    struct source *s = png_get_io_ptr(png);
    const unsigned char *p = NULL;
    check(png, ada_read_bytes(&s->r, n, &p));
    memcpy(to, p, n);
}

static png_voidp take(png_structp png, png_alloc_size_t n) {
    struct source *s = png_get_mem_ptr(png);
    if (n > s->most) return NULL;
    void *p = ada_os.alloc(n);
    if (p == NULL) s->refused = true;
    return p;
}

static void give(png_structp png, png_voidp p) {
    (void)png;
    ada_os.release(p);
}

static void to_rgb(uint8_t *rgb, const uint8_t *raw, size_t pixels, int channels, int depth,
                   const png_color *colors) {
    int step = channels * depth / 8;
    for (size_t i = 0; i < pixels; i++, raw += step, rgb += 3) {
        if (colors != NULL) {
            rgb[0] = colors[*raw].red, rgb[1] = colors[*raw].green, rgb[2] = colors[*raw].blue;
        } else if (channels >= 3) {
            rgb[0] = raw[0], rgb[1] = raw[depth / 8], rgb[2] = raw[2 * depth / 8];
        } else {
            rgb[0] = rgb[1] = rgb[2] = channels == 1 && depth == 16 ? (raw[0] > 0 ? 255 : raw[1]) : raw[0];
        }
    }
}

static int turn_of(png_structp png, png_infop info) {
    png_uint_32 n = 0;
    png_bytep exif = NULL;
    png_textp text = NULL;
    int texts = 0, turn = 0;
    if (png_get_eXIf_1(png, info, &n, &exif) != 0 && exif != NULL) turn = ada_exif_turn(exif, n);
    (void)png_get_text(png, info, &text, &texts);
    for (int i = 0; turn == 0 && i < texts; i++)
        if (strcmp(text[i].key, "XML:com.adobe.xmp") == 0)
            turn = ada_xmp_turn(text[i].text, text[i].compression >= PNG_ITXT_COMPRESSION_NONE
                                                  ? text[i].itxt_length
                                                  : text[i].text_length);
    return turn > 0 ? turn : 1;
}

/* Pillow's: a palette has it if one entry is clear and all others are opaque; greys of few bits are not
 * stretched for it, and of those of 1 and 16 bits only black is ever met. */
static void find_key(png_structp png, png_infop info, ada_image *img, const png_color *colors) {
    png_bytep alpha = NULL;
    png_color_16p c = NULL;
    int n = 0, clear = -1, depth = png_get_bit_depth(png, info), kind = png_get_color_type(png, info);
    if (png_get_tRNS(png, info, &alpha, &n, &c) == 0) return;
    for (int i = 0; kind == PNG_COLOR_TYPE_PALETTE && i < n; i++) {
        if (alpha[i] == 255) continue;
        if (alpha[i] != 0 || clear >= 0) return;
        clear = i;
    }
    uint8_t *key = img->key;
    if (kind == PNG_COLOR_TYPE_PALETTE) {
        if (clear < 0) return;
        key[0] = colors[clear].red, key[1] = colors[clear].green, key[2] = colors[clear].blue;
    } else if (kind == PNG_COLOR_TYPE_RGB) {
        key[0] = (uint8_t)c->red, key[1] = (uint8_t)c->green, key[2] = (uint8_t)c->blue;
    } else if (depth == 1 || depth == 16) {
        key[0] = depth == 1 ? c->gray > 0 : (uint8_t)c->gray;
    } else {
        key[0] = key[1] = key[2] = c->gray > 255 ? 255 : (uint8_t)c->gray;
    }
    img->keyed = true;
}

/* Rows are read whole and only then made RGB: an interlaced file comes in seven passes. */
static void read_rgb(png_structp png, png_infop info, ada_image *img, ada_arena *scratch) {
    png_color colors[256] = {{0, 0, 0}}, *palette = NULL;
    int given = 0, kind = png_get_color_type(png, info);
    png_set_packing(png);
    if (kind == PNG_COLOR_TYPE_GRAY && png_get_bit_depth(png, info) < 8) png_set_expand_gray_1_2_4_to_8(png);
    int passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);
    if (png_get_PLTE(png, info, &palette, &given) != 0 && palette != NULL)
        memcpy(colors, palette, (size_t)given * sizeof *colors);
    find_key(png, info, img, colors);
    size_t stride = png_get_rowbytes(png, info);
    uint8_t *raw = NULL;
    check(png, ada_arena_zero(scratch, &raw, passes > 1 ? img->height : 1, stride));
    for (int pass = 0; pass < passes; pass++)
        for (size_t y = 0; y < img->height; y++) {
            uint8_t *row = raw + (passes > 1 ? y * stride : 0);
            png_read_row(png, row, NULL);
            if (pass == passes - 1)
                to_rgb(img->rgb + 3 * y * img->width, row, img->width, png_get_channels(png, info),
                       png_get_bit_depth(png, info), kind == PNG_COLOR_TYPE_PALETTE ? colors : NULL);
        }
}

static void decode_all(png_structp png, png_infop info, ada_image *img, int *turn, ada_arena *a,
                       ada_arena *scratch) {
    struct source *s = png_get_error_ptr(png);
    png_set_user_limits(png, 0x7fffffff, 0x7fffffff); /* the size is ours to check */
    png_set_chunk_cache_max(png, 1000);
    png_set_chunk_malloc_max(png, CHUNK_BYTES);
    png_set_read_fn(png, s, read_bytes);
    png_read_info(png, info);
    check(png,
          ada_image_new(img, a, png_get_image_width(png, info), png_get_image_height(png, info), s->r.name));
    size_t rows = 16 * img->width + 4096; /* two of the widest kind */
    s->most += rows;
    read_rgb(png, info, img, scratch);
    s->most -= rows;
    png_read_end(png, info);
    *turn = turn_of(png, info);
}

static ada_status decode(ada_image *img, int *turn, ada_arena *a, const ada_reader *r) {
    struct source s = {.r = *r, .st = ADA_OK, .most = r->n + 2 * CHUNK_BYTES};
    ada_arena scratch = {0};
    png_infop info = NULL;
    png_structp png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &s, fail, be_quiet, &s, take, give);
    if (png == NULL) return ada_fail(ADA_ENOMEM, "out of memory while reading '%s'", r->name);
    info = png_create_info_struct(png);
    if (info == NULL)
        s.st = ada_fail(ADA_ENOMEM, "out of memory while reading '%s'", r->name);
    else if (setjmp(png_jmpbuf(png)) == 0)
        decode_all(png, info, img, turn, a, &scratch);
    png_destroy_read_struct(&png, &info, NULL);
    ada_arena_free(&scratch);
    return s.st;
}

static bool probe(const unsigned char *head, size_t n) {
    return n >= 8 && memcmp(head, "\x89PNG\r\n\x1a\n", 8) == 0;
}

const struct ada_image_format ada_image_format_png = {.name = "png", .probe = probe, .decode = decode};
