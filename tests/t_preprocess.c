/* SPDX-License-Identifier: Apache-2.0
 * Each processor on each picture against transformers' floats, and configurations that are refused.
 * Owns nothing. Must not know: how the answers were made (golden/make_pixels.py).
 * Invariant: |difference| ≤ 1/255 of the pixel's range everywhere, and at most 0.1 % of values differ at all.
 */
#include "tests/pixels_test.h"
#include "io/preprocess.h"
#include <math.h>

static const ada_tensor *answer(const char *kind, const char *processor, const char *image) {
    char name[200];
    (void)snprintf(name, sizeof name, "%s%s%s%s", kind, processor, *image ? "/" : "", image);
    return ada_tensors_find(answers, name);
}

static void read_config(ada_preprocess *p, const char *processor) {
    ada_json *j;
    char path[200];
    (void)snprintf(path, sizeof path, "golden/pixels/%s.json", processor);
    assert_ok(ada_json_open(&j, io_tests_path(path)));
    assert_ok(ada_preprocess_read(p, j, path));
    ada_json_close(&j);
}

/* Differences of tile i beside those of its neighbours; what is padded is 0. */
static void compare(const ada_tensor *want, const float *table, const ada_pixels *got, size_t *differ,
                    size_t *far) {
    const uint8_t *index = want->data;
    size_t rows = (size_t)want->shape[2], columns = (size_t)want->shape[3];
    for (size_t i = 0; i < 3 * got->tiles; i++)
        for (size_t y = 0; y < got->height; y++)
            for (size_t x = 0; x < got->width; x++) {
                const float *t = table + i % 3 * 256;
                float v = y < rows && x < columns ? t[index[(i * rows + y) * columns + x]] : 0;
                float d = fabsf(got->data[(i * got->height + y) * got->width + x] - v);
                *differ += d != 0;
                *far += d > (t[255] - t[0]) * 1.0001f / 255;
            }
}

static void processor(const char *name, size_t most_pictures) {
    ada_preprocess p;
    size_t pictures = 0, differ = 0, far = 0, values = 0;
    const float *table = answer("table/", name, "")->data;
    read_config(&p, name);
    for (size_t i = 0; i < ada_tensors_count(answers); i++) {
        const char *image = ada_tensors_at(answers, i)->name;
        if (strncmp(image, "rgb/", 4) != 0) continue;
        const ada_tensor *want = answer("", name, image + 4), *grid = answer("grid/", name, image + 4);
        char path[200];
        ada_arena a = {0};
        ada_image img;
        ada_pixels got;
        if (want == NULL) continue;
        (void)snprintf(path, sizeof path, "golden/pixels/%s", image + 4);
        assert_ok(ada_image_read(&img, &a, io_tests_path(path)));
        assert_ok(ada_preprocess_run(&p, &img, &a, &got));
        assert_int_equal(got.tiles, want->shape[0]);
        assert_int_equal(got.height, p.pad_height > 0 ? p.pad_height : (size_t)want->shape[2]);
        assert_int_equal(got.width, p.pad_width > 0 ? p.pad_width : (size_t)want->shape[3]);
        assert_true(grid == NULL || ((int64_t)got.rows == ((const int64_t *)grid->data)[0] &&
                                     (int64_t)got.columns == ((const int64_t *)grid->data)[1]));
        compare(want, table, &got, &differ, &far);
        values += 3 * got.tiles * got.height * got.width;
        pictures++;
        ada_arena_free(&a);
    }
    print_message("%s: %zu pictures, %zu of %zu values differ, %zu by more than 1/255\n", name, pictures,
                  differ, values, far);
    assert_true(pictures >= most_pictures);
    assert_true(far == 0 && 1000 * differ <= values);
}

static void each_processor(void **state) {
    (void)state;
    static const char *const names[] = {"vit", "clip", "siglip", "dinov2", "llava", "idefics3", "smolvlm"};
    static const char *const others[] = {"plain", "bounded", "padded"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) processor(names[i], 43);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) processor(others[i], 17);
}

static ada_status read_json(ada_preprocess *p, const char *text, bool whole) {
    ada_json *j = NULL;
    ada_status st = ada_json_parse(&j, text, strlen(text), "p.json");
    if (st == ADA_OK) st = whole ? ada_preprocess_of(p, j) : ada_preprocess_read(p, j, "p.json");
    ada_json_close(&j);
    return st;
}

static ada_status read_text(ada_preprocess *p, const char *text) {
    return read_json(p, text, false);
}

static void defaults(void **state) {
    (void)state;
    static const struct {
        const char *text, *means;
    } rows[] = {
        {"{\"image_processor_type\": \"ViTImageProcessorFast\"}",
         "RGB, resized to 224 × 224 (bilinear), times 0.0039215686274509803, mean 0.5 0.5 0.5, std 0.5 0.5 "
         "0.5"},
        {"{\"feature_extractor_type\": \"CLIPFeatureExtractor\", \"size\": 9, \"crop_size\": 7, "
         "\"resample\": null}",
         "RGB on white, shortest edge 9 (bicubic), centre 7 × 7, times 0.0039215686274509803, mean "
         "0.48145466 "
         "0.4578275 "
         "0.40821073, std 0.26862954 0.26130258 0.27577711"},
        {"{\"image_processor_type\": \"Idefics3ImageProcessor\", \"do_normalize\": false, \"do_other\": "
         "false}",
         "RGB on white, longest edge 1456, split into tiles of 364 (lanczos), times 0.0039215686274509803"},
        {"{\"image_processor_type\": \"LlavaImageProcessor\", \"do_pad\": true, \"do_resize\": false, "
         "\"do_center_crop\": false, \"do_rescale\": false, \"image_mean\": 0.5, \"image_std\": [1, 2, 3]}",
         "RGB on white, padded to a square, mean 0.5 0.5 0.5, std 1 2 3"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ada_preprocess p;
        ada_buf b = {0};
        assert_ok(read_text(&p, rows[i].text));
        assert_ok(ada_preprocess_text(&p, &b));
        assert_string_equal(b.data, rows[i].means);
        ada_buf_free(&b);
    }
}

static ada_status read_meta(ada_preprocess *p, const char *text) {
    return read_json(p, text, true);
}

static void models(void **state) {
    (void)state;
    ada_preprocess p;
#define VIT "\"preprocessor_config\": {\"image_processor_type\": \"ViTImageProcessor\"}"
#define BIT "\"image_processor\": {\"image_processor_type\": \"BitImageProcessor\"}"
    assert_fails(read_meta(&p, "{}"), ADA_EFORMAT, "neither preprocessor_config.json nor");
    assert_ok(read_meta(&p, "{" VIT "}"));
    assert_string_equal(p.type, "ViT");
    assert_ok(read_meta(&p, "{\"processor_config\": {\"image_seq_len\": 64}, " VIT "}"));
    assert_string_equal(p.type, "ViT");
    assert_ok(read_meta(&p, "{\"processor_config\": {" BIT "}, " VIT "}"));
    assert_string_equal(p.type, "Bit");
}

static void results_that_cannot_be(void **state) {
    (void)state;
    ada_preprocess p;
    ada_arena a = {0};
    ada_pixels out;
    uint8_t *rgb;
    assert_ok(ada_arena_zero(&a, &rgb, 60000, 3));
    const ada_image row = {.width = 60000, .height = 1, .rgb = rgb};
    assert_ok(read_text(&p, "{\"image_processor_type\": \"CLIPImageProcessor\"}"));
    assert_fails(ada_preprocess_run(&p, &row, &a, &out), ADA_EUNSUPPORTED, "13440000 × 224");
    assert_ok(read_text(&p, "{\"image_processor_type\": \"CLIPImageProcessor\", "
                            "\"size\": {\"shortest_edge\": 8, \"longest_edge\": 9}}"));
    assert_fails(ada_preprocess_run(&p, &row, &a, &out), ADA_EUNSUPPORTED, "cannot become");
    assert_ok(read_text(&p, "{\"image_processor_type\": \"ViTImageProcessor\", \"do_resize\": false, "
                            "\"do_pad\": true, \"pad_size\": 9}"));
    assert_fails(ada_preprocess_run(&p, &row, &a, &out), ADA_EUNSUPPORTED, "'pad_size' is 9 × 9");
    ada_arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_processor), cmocka_unit_test(defaults),
                                       cmocka_unit_test(models), cmocka_unit_test(results_that_cannot_be)};
    return cmocka_run_group_tests(tests, pixels_begin, pixels_end);
}
