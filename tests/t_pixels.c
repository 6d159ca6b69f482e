/* SPDX-License-Identifier: Apache-2.0
 * Pictures of every kind against Pillow's pixels, resizing against Pillow's bytes, and what is refused.
 * Owns nothing. Must not know: how the answers were made (golden/make_pixels.py).
 * Invariant: decoding is held to 1/255 everywhere and 0.1 % of values differing, resizing to equality. */
#include "tests/pixels_test.h"
#include "io/img/image.h"
#include "simd/kernels.h"

static const char *picture(const char *name) {
    char path[200];
    (void)snprintf(path, sizeof path, "golden/pixels/%s", name);
    return io_tests_path(path);
}

static void each_picture(void **state) {
    (void)state;
    size_t pictures = 0, wrong = 0;
    for (size_t i = 0; i < ada_tensors_count(answers); i++) {
        const ada_tensor *t = ada_tensors_at(answers, i);
        if (strncmp(t->name, "rgb/", 4) != 0) continue;
        ada_arena a = {0};
        ada_image img;
        size_t differ = 0, far = 0;
        assert_ok(ada_image_read(&img, &a, picture(t->name + 4)));
        pictures++;
        assert_int_equal(img.height, t->shape[0]);
        assert_int_equal(img.width, t->shape[1]);
        for (size_t k = 0; k < t->bytes; k++) {
            int d = abs(img.rgb[k] - ((const uint8_t *)t->data)[k]);
            differ += d > 0;
            far += d > 1;
        }
        if (far > 0 || 1000 * differ > t->bytes) {
            print_error("%s: %zu of %zu values differ, %zu by more than 1\n", t->name, differ, t->bytes, far);
            wrong++;
        }
        ada_arena_free(&a);
    }
    assert_int_equal(wrong, 0);
    assert_true(pictures >= 32);
}

static void each_filter(void **state) {
    (void)state;
    ada_arena a = {0};
    ada_image img, out;
    size_t sizes = 0;
    assert_ok(ada_image_read(&img, &a, picture("rgb.png")));
    for (size_t i = 0; i < ada_tensors_count(answers); i++) {
        const ada_tensor *t = ada_tensors_at(answers, i);
        int filter;
        if (sscanf(t->name, "resize/%d/", &filter) != 1) continue;
        assert_ok(
            ada_image_resize(&out, &a, &img, (size_t)t->shape[0], (size_t)t->shape[1], (ada_filter)filter));
        if (memcmp(out.rgb, t->data, t->bytes) != 0) fail_msg("%s differs", t->name);
        sizes++;
    }
    assert_int_equal(sizes, 36);
    ada_arena_free(&a);
}

static void sizes_that_cannot_be(void **state) {
    (void)state;
    ada_arena a = {0};
    uint8_t rgb[3] = {0};
    const ada_image img = {.width = 1, .height = 1, .rgb = rgb};
    ada_image out;
    assert_fails(ada_image_resize(&out, &a, &img, 0, 5, ADA_BICUBIC), ADA_EUNSUPPORTED, "cannot become");
    assert_fails(ada_image_resize(&out, &a, &img, 1 << 14, 1 << 14, ADA_BICUBIC), ADA_EUNSUPPORTED, "limit");
    assert_fails(ada_image_new(&out, &a, UINT64_MAX, UINT64_MAX, "x"), ADA_EUNSUPPORTED, "'x'");
    assert_fails(ada_image_new(&out, &a, 0, 1, "x"), ADA_EFORMAT, "0 × 1");
    assert_true(a.peak == 0);
    ada_arena_free(&a);
}

static void cutting(void **state) {
    (void)state;
    ada_arena a = {0};
    uint8_t rgb[12] = {1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4};
    static const uint8_t fill[3] = {7, 8, 9}, want[27] = {7, 8, 9, 7, 8, 9, 7, 8, 9, 7, 8, 9, 1, 1,
                                                          1, 2, 2, 2, 7, 8, 9, 3, 3, 3, 4, 4, 4};
    ada_image out;
    assert_ok(ada_image_cut(&out, &a, &(ada_image){.width = 2, .height = 2, .rgb = rgb}, -1, -1, 3, 3, fill));
    assert_memory_equal(out.rgb, want, sizeof want);
    ada_arena_free(&a);
}

/* A prefix of any length is refused, by its name, and gives all its memory back. */
static void cut_short(void **state) {
    (void)state;
    static const char *const names[] = {
        "rgb.png",  "grey4_interlaced.png", "half_colours.jpg",   "progressive.jpg",
        "cmyk.jpg", "lossy.webp",           "lossless_alpha.webp"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *bytes;
        size_t n;
        assert_ok(ada_read_file(picture(names[i]), &bytes, &n));
        for (size_t cut = 0; cut < n; cut++) {
            ada_arena a = {0};
            ada_image img;
            char *part = malloc(cut + 1); /* of that length, for the sanitizers */
            memcpy(part, bytes, cut);
            assert_fails(ada_image_decode(&img, &a, part, cut, "cut.png"), ADA_EFORMAT, "'cut.png'");
            free(part);
            ada_arena_free(&a);
        }
        ada_os.release(bytes);
    }
}

static void *(*real_alloc)(size_t bytes);
static int until_refused;

static void *refusing_alloc(size_t bytes) {
    return until_refused-- == 0 ? NULL : real_alloc(bytes);
}

/* Each allocation in turn is refused: always ENOMEM, and nothing leaks. */
static void no_memory(void **state) {
    (void)state;
    static const char *const names[] = {"grey4_interlaced.png", "turned4_xmp.png", "turned6.jpg", "cmyk.jpg",
                                        "turned6.webp"};
    real_alloc = ada_os.alloc;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *bytes;
        size_t n;
        ada_status st = ADA_ENOMEM;
        assert_ok(ada_read_file(picture(names[i]), &bytes, &n));
        ada_os.alloc = refusing_alloc;
        for (int k = 0; st != ADA_OK && k < 1000; k++) {
            ada_arena a = {0};
            ada_image img, small;
            until_refused = k;
            st = ada_image_decode(&img, &a, bytes, n, names[i]);
            if (st == ADA_OK) st = ada_image_resize(&small, &a, &img, 5, 6, ADA_LANCZOS);
            ada_arena_free(&a);
            if (st != ADA_OK && st != ADA_ENOMEM) break;
        }
        ada_os.alloc = real_alloc;
        ada_os.release(bytes);
        if (st != ADA_OK) fail_msg("%s: %s", names[i], ada_error());
    }
}

/* A progressive file whose last scan comes again and again would cost a pass over the picture each time. */
static void many_scans(void **state) {
    (void)state;
    char *bytes;
    size_t n, scan = 0;
    ada_arena a = {0};
    ada_image img;
    ada_buf b = {0};
    assert_ok(ada_read_file(picture("progressive.jpg"), &bytes, &n));
    for (size_t i = 0; i + 1 < n; i++)
        if (memcmp(bytes + i, "\xff\xda", 2) == 0) scan = i;
    assert_ok(ada_buf_add(&b, bytes, n - 2));
    for (int i = 0; i < 250; i++) assert_ok(ada_buf_add(&b, bytes + scan, n - 2 - scan));
    assert_ok(ada_buf_add(&b, "\xff\xd9", 2));
    assert_fails(ada_image_decode(&img, &a, b.data, b.len, "x.jpg"), ADA_EUNSUPPORTED, "more than 200 scans");
    ada_os.release(bytes);
    ada_buf_free(&b);
    ada_arena_free(&a);
}

static size_t largest;
static void *measuring_alloc(size_t bytes) {
    if (bytes > largest) largest = bytes;
    return real_alloc(bytes);
}

/* A chunk that claims a gigabyte, in a file of 61 bytes (found by fuzz_image). */
static void absurd_chunk(void **state) {
    static const uint8_t claim[12] = {0x40, 0, 0, 0x32, 'e', 'X', 'I', 'f'};
    uint8_t png[61];
    char *good;
    size_t n;
    ada_arena a = {0};
    ada_image img;
    (void)state;
    assert_ok(ada_read_file(picture("rgb.png"), &good, &n));
    memcpy(png, good, 33);
    memset(png + 33, 0, sizeof png - 33);
    memcpy(png + 33, claim, sizeof claim);
    largest = 0, real_alloc = ada_os.alloc, ada_os.alloc = measuring_alloc;
    ada_status st = ada_image_decode(&img, &a, png, sizeof png, "claim.png");
    ada_os.alloc = real_alloc;
    assert_fails(st, ADA_EFORMAT, "");
    assert_true(largest < 32 << 20);
    ada_arena_free(&a);
    ada_os.release(good);
}

static void no_files(void **state) {
    (void)state;
    ada_arena a = {0};
    ada_image img;
    assert_fails(ada_image_read(&img, &a, io_path("absent.png")), ADA_EIO, "cannot open");
    assert_fails(ada_image_read(&img, &a, io_folder), ADA_EIO, "cannot map");
    assert_fails(ada_image_read(&img, &a, io_file("empty.png", "", 0)), ADA_EFORMAT, "is empty");
    assert_fails(ada_image_read(&img, &a, io_file("text.png", "hello", 5)), ADA_EFORMAT, "png jpeg webp");
}

static void turns(void **state) {
    (void)state;
    static const unsigned char little[] = {'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12,
                                           1,   3,   0,  1, 0, 0, 0, 5, 0, 0, 0};
    unsigned char e[sizeof little];
    ada_error_clear();
    memcpy(e, little, sizeof e);
    assert_int_equal(ada_exif_turn(e, sizeof e), 5);
    for (size_t n = 0; n < sizeof e; n++) assert_int_equal(ada_exif_turn(e, n), 0);
    e[18] = 9;
    assert_int_equal(ada_exif_turn(e, sizeof e), 1);
    e[4] = 255;
    assert_int_equal(ada_exif_turn(e, sizeof e), 0);
    assert_int_equal(ada_xmp_turn("<tiff:Orientation>6</tiff:Orientation>", 38), 6);
    assert_int_equal(ada_xmp_turn("tiff:Orientation tiff:Orientation=\"8\"", 37), 8);
    assert_int_equal(ada_xmp_turn("tiff:Orientation=\"8\"", 18), 0);
    assert_string_equal(ada_error(), "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_picture), cmocka_unit_test(each_filter), cmocka_unit_test(sizes_that_cannot_be),
        cmocka_unit_test(cutting),      cmocka_unit_test(cut_short),   cmocka_unit_test(no_memory),
        cmocka_unit_test(absurd_chunk), cmocka_unit_test(many_scans),  cmocka_unit_test(no_files),
        cmocka_unit_test(turns)};
    return cmocka_run_group_tests(tests, pixels_begin, pixels_end);
}
