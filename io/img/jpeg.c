/* SPDX-License-Identifier: Apache-2.0
 * The door to libjpeg. Owns: how each kind of JPEG becomes RGB: CMYK and YCCK are taken as inverted, which is
 * what programs write. Must not know: other formats. Invariant: libjpeg's errors jump no further than decode;
 * a file that ends too early is refused, where libjpeg would fill with grey. */
#include "io/img/image.h"
#include "io/os.h"
#include <setjmp.h>
#include <stdio.h>
#include <jpeglib.h>
#include <jerror.h>

enum { SCANS = 200 }; /* of a progressive file; each costs a pass over all of it */

struct source {
    struct jpeg_error_mgr error;
    struct jpeg_source_mgr bytes;
    struct jpeg_progress_mgr progress;
    jmp_buf out;
    ada_reader r;
    ada_status st; /* of the failure that jumped */
};

static struct source *source_of(j_common_ptr j) {
    return j->client_data;
}

_Noreturn static void leave(struct source *s, ada_status st) {
    s->st = st;
    longjmp(s->out, 1);
}

static void fail(j_common_ptr j) {
    struct source *s = source_of(j);
    char what[JMSG_LENGTH_MAX];
    j->err->format_message(j, what);
    switch (j->err->msg_code) {
    case JERR_OUT_OF_MEMORY:
        leave(s, ada_fail(ADA_ENOMEM, "out of memory while reading '%s'", s->r.name));
    case JERR_BAD_PRECISION:
    case JERR_ARITH_NOTIMPL:
    case JERR_SOF_UNSUPPORTED:
    case JERR_CONVERSION_NOTIMPL:
    case JERR_NOTIMPL:
    case JERR_NOT_COMPILED:
        leave(s, ada_fail(ADA_EUNSUPPORTED, "'%s' is of a kind that libjpeg does not read: %.100s", s->r.name,
                          what));
    default:
        leave(s, ada_fail(ADA_EFORMAT, "'%s' is no good JPEG: %.100s", s->r.name, what));
    }
}

static void be_quiet(j_common_ptr j, int level) {
    (void)j;
    (void)level;
}

static void scan_begins(j_common_ptr j) {
    struct source *s = source_of(j);
    if (((j_decompress_ptr)j)->input_scan_number > SCANS)
        leave(s, ada_fail(ADA_EUNSUPPORTED, "'%s' is a JPEG of more than %d scans", s->r.name, SCANS));
}

/* ---- bytes: all of them are there from the start ---- */

static void nothing(j_decompress_ptr j) {
    (void)j;
}

static boolean ends_early(j_decompress_ptr j) {
    struct source *s = source_of((j_common_ptr)j);
    leave(s, ada_fail(ADA_EFORMAT, "'%s' ends at byte %zu, but the picture goes on", s->r.name, s->r.n));
    return FALSE;
}

static void skip(j_decompress_ptr j, long n) {
    size_t left = j->src->bytes_in_buffer, by = n < 0 ? 0 : (size_t)n < left ? (size_t)n : left;
    j->src->next_input_byte += by;
    j->src->bytes_in_buffer -= by; /* none left: the next byte wanted ends it */
}

static void read_from(j_decompress_ptr j, struct source *s) {
    s->bytes = (struct jpeg_source_mgr){.init_source = nothing,
                                        .fill_input_buffer = ends_early,
                                        .skip_input_data = skip,
                                        .resync_to_restart = jpeg_resync_to_restart,
                                        .term_source = nothing,
                                        .next_input_byte = s->r.p,
                                        .bytes_in_buffer = s->r.n};
    j->src = &s->bytes;
}

/* ---- pixels ---- */

/* x·y / 255, rounded */
static unsigned share(unsigned x, unsigned y) {
    unsigned t = x * y + 128;
    return ((t >> 8) + t) >> 8;
}

/* in place, from the end: rgb has room for three of four bytes */
static void cmyk_to_rgb(uint8_t *rgb, const uint8_t *cmyk, size_t pixels) {
    for (size_t i = 0; i < pixels; i++)
        for (size_t c = 0; c < 3; c++) {
            unsigned k = cmyk[4 * i + 3]; /* inverted: 255 is no ink */
            rgb[3 * i + c] = (uint8_t)(k - share(255u - cmyk[4 * i + c], k));
        }
}

static void grey_to_rgb(uint8_t *rgb, const uint8_t *grey, size_t pixels) {
    for (size_t i = 0; i < pixels; i++) rgb[3 * i] = rgb[3 * i + 1] = rgb[3 * i + 2] = grey[i];
}

static void read_rgb(j_decompress_ptr j, ada_image *img, ada_arena *scratch) {
    struct source *s = source_of((j_common_ptr)j);
    j->out_color_space = j->num_components == 1 ? JCS_GRAYSCALE : j->num_components == 3 ? JCS_RGB : JCS_CMYK;
    (void)jpeg_start_decompress(j);
    uint8_t *raw = NULL;
    ada_status st = ada_arena_take(scratch, &raw, img->width, 4);
    if (st != ADA_OK) leave(s, st);
    for (size_t y = 0; y < img->height; y++) {
        uint8_t *rgb = img->rgb + 3 * y * img->width, *row = j->num_components == 3 ? rgb : raw;
        (void)jpeg_read_scanlines(j, &row, 1);
        if (j->num_components == 1) grey_to_rgb(rgb, raw, img->width);
        if (j->num_components == 4) cmyk_to_rgb(rgb, raw, img->width);
    }
    (void)jpeg_finish_decompress(j);
}

static bool begins(const struct jpeg_marker_struct *m, const char *with, size_t n) {
    return m->data_length >= n && memcmp(m->data, with, n) == 0;
}

/* EXIF may go on in further markers; of XMP the last counts. */
static int turn_of(j_decompress_ptr j, ada_arena *scratch) {
    static const char xmp[] = "http://ns.adobe.com/xap/1.0/";
    struct source *s = source_of((j_common_ptr)j);
    size_t n = 0;
    int turn = 0, xmp_turn = 0;
    uint8_t *exif = NULL;
    ada_status st = ada_arena_take(scratch, &exif, s->r.n, 1);
    if (st != ADA_OK) leave(s, st);
    for (const struct jpeg_marker_struct *m = j->marker_list; m != NULL; m = m->next) {
        if (begins(m, "Exif\0", 6)) {
            memcpy(exif + n, m->data + 6, m->data_length - 6);
            n += m->data_length - 6;
        } else if (begins(m, xmp, sizeof xmp))
            xmp_turn = ada_xmp_turn(m->data, m->data_length);
    }
    turn = ada_exif_turn(exif, n);
    return turn > 0 ? turn : xmp_turn > 0 ? xmp_turn : 1;
}

static void decode_all(j_decompress_ptr j, struct source *s, ada_image *img, int *turn, ada_arena *a,
                       ada_arena *scratch) {
    jpeg_create_decompress(j);
    s->progress.progress_monitor = scan_begins;
    j->progress = &s->progress;
    read_from(j, s);
    jpeg_save_markers(j, JPEG_APP0 + 1, 0xffff);
    (void)jpeg_read_header(j, TRUE);
    if (j->num_components != 1 && j->num_components != 3 && j->num_components != 4)
        leave(s, ada_fail(ADA_EUNSUPPORTED, "'%s' is a JPEG of %d components", s->r.name, j->num_components));
    ada_status st = ada_image_new(img, a, j->image_width, j->image_height, s->r.name);
    if (st != ADA_OK) leave(s, st);
    *turn = turn_of(j, scratch);
    read_rgb(j, img, scratch);
}

static ada_status decode(ada_image *img, int *turn, ada_arena *a, const ada_reader *r) {
    struct source s = {.r = *r, .st = ADA_OK};
    struct jpeg_decompress_struct j = {.err = jpeg_std_error(&s.error), .client_data = &s};
    ada_arena scratch = {0};
    s.error.error_exit = fail;
    s.error.emit_message = be_quiet;
    if (setjmp(s.out) == 0) decode_all(&j, &s, img, turn, a, &scratch);
    jpeg_destroy_decompress(&j);
    ada_arena_free(&scratch);
    return s.st;
}

static bool probe(const unsigned char *head, size_t n) {
    return n >= 3 && memcmp(head, "\xff\xd8\xff", 3) == 0;
}

const struct ada_image_format ada_image_format_jpeg = {.name = "jpeg", .probe = probe, .decode = decode};
