/* SPDX-License-Identifier: Apache-2.0
 * libFuzzer target: any bytes as a picture give pixels that each processor takes, or a status and one line;
 * as JSON they give switches by which a small picture is made ready, or the same. Owns nothing. Must not
 * know: formats. Invariant: no input crashes, hangs or leaks. */
#include "io/preprocess.h"
#include "tests/fuzz.h"

static void use(const ada_preprocess *p, const ada_image *img) {
    ada_arena a = {0};
    ada_pixels out;
    ada_status st = ada_preprocess_run(p, img, &a, &out);
    fuzz_check(st);
    if (st == ADA_OK && (out.tiles == 0 || out.height == 0 || out.width == 0)) abort();
    ada_arena_free(&a);
}

static void as_picture(const uint8_t *data, size_t n) {
    static const ada_preprocess ways[] = {
        {.resize = true, .rule = ADA_SIZE_SHORTEST, .shortest = 9, .longest = 30, .filter = ADA_BICUBIC},
        {.tiling = true, .split = true, .tile_side = 8, .filter = ADA_LANCZOS},
        {.resize = true,
         .height = 7,
         .width = 5,
         .filter = ADA_NEAREST,
         .crop = true,
         .crop_height = 6,
         .crop_width = 6}};
    ada_arena a = {0};
    ada_image img;
    ada_status st = ada_image_decode(&img, &a, data, n, "bytes");
    fuzz_check(st);
    if (st == ADA_OK && img.width * img.height <= 1 << 16)
        for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) use(&ways[i], &img);
    ada_arena_free(&a);
}

static void as_switches(const uint8_t *data, size_t n) {
    static uint8_t rgb[7 * 4 * 3];
    ada_json *j = NULL;
    ada_preprocess p;
    ada_buf text = {0};
    ada_status st = ada_json_parse(&j, (const char *)data, n, "json");
    if (st == ADA_OK) st = ada_preprocess_read(&p, j, "json");
    fuzz_check(st);
    ada_json_close(&j);
    if (st != ADA_OK) return;
    fuzz_check(ada_preprocess_text(&p, &text));
    ada_buf_free(&text);
    size_t most = p.shortest > p.longest ? p.shortest : p.longest;
    bool small = p.height * p.width <= 1 << 18 && most <= 1 << 9 && p.tile_side <= 1 << 9;
    if (small)
        use(&p, &(ada_image){
                    .width = 7, .height = 4, .rgb = rgb, .keyed = true}); /* time is not what is looked for */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    as_picture(data, n);
    as_switches(data, n);
    return 0;
}
