/* SPDX-License-Identifier: Apache-2.0
 * The features of images, for tests/oracle_tower.py: tower_driver MODEL f32|bf16 LAYER IMAGES HEIGHT WIDTH
 * reads pixels, float32 [images, channels, height, width], and writes all rows of features. Says on stderr
 * how many images a second that was, the second time. Owns: nothing. Must not know: pictures. */
#include "engine/tower.h"
#include "io/os.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ada_status run(ada_tower *t, int32_t n, int32_t h, int32_t w) {
    const ada_config *c = ada_tower_config(t);
    ada_arena a = {0};
    int32_t rows;
    float *pixels, *features;
    size_t size = (size_t)n * (size_t)c->channels * (size_t)h * (size_t)w;
    ADA_TRY(ada_tower_rows(t, h, w, &rows));
    size_t out = (size_t)n * (size_t)rows * ada_tower_features(t);
    ADA_TRY(ada_arena_take(&a, &pixels, size, sizeof *pixels));
    ADA_TRY(ada_arena_take(&a, &features, out, sizeof *features));
    if (fread(pixels, sizeof *pixels, size, stdin) != size)
        return ada_fail(ADA_EIO, "%zu numbers are wanted on standard input", size);
    ADA_TRY(ada_tower_run(t, pixels, n, h, w, features));
    double start = ada_os.now();
    ADA_TRY(ada_tower_run(t, pixels, n, h, w, features));
    fprintf(stderr, "%.2f images/s\n", n / (ada_os.now() - start));
    size_t written = fwrite(features, sizeof *features, out, stdout);
    ada_arena_free(&a);
    return written == out ? ADA_OK : ada_fail(ADA_EIO, "cannot write features");
}

int main(int argc, char **argv) {
    if (argc != 7) {
        fprintf(stderr, "usage: tower_driver MODEL f32|bf16 LAYER IMAGES HEIGHT WIDTH <pixels\n");
        return 2;
    }
    ada_tower *t = NULL;
    ada_tower_opts o = {.rows = ADA_TOWER_FULL, .f32 = !strcmp(argv[2], "f32")};
    o.layers = (o.layer[0] = atoi(argv[3])) != 0;
    ada_status st = ada_tower_open(&t, argv[1], &o);
    if (st == ADA_OK) st = run(t, atoi(argv[4]), atoi(argv[5]), atoi(argv[6]));
    if (st != ADA_OK) fprintf(stderr, "tower_driver: %s\n", ada_error());
    ada_tower_close(&t);
    return ada_status_exit(st);
}
