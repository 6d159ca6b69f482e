/* SPDX-License-Identifier: Apache-2.0
 * Vision towers: tiny ones against what transformers says of some pixels in float32 (golden/make_vision.py),
 * the same bits alone, in company and on any number of threads, and what cannot be opened. Must not know: how
 * rows are made. Invariant: a golden's every size of image and every layer is compared. */
#include "engine/par.h"
#include "engine/tower.h"
#include "tests/pass.h"
#include <math.h>
#include <pthread.h>

/* Of the spread: measured × 4. */
static const double f32_limit = 2.4e-6, bf16_limit = 0.034;

static ada_tower *tower(const char *path, int layer, ada_tower_rows_kind rows, bool f32) {
    ada_tower *t = NULL;
    assert_ok(ada_tower_open(
        &t, path, &(ada_tower_opts){.layers = layer != 0, .layer = {layer}, .rows = rows, .f32 = f32}));
    return t;
}

static float *floats(const ada_tensor *t) {
    float *f = test_malloc(ada_tensor_count(t) * sizeof *f);
    assert_ok(ada_tensor_f32(t, 0, ada_tensor_count(t), f));
    return f;
}

static ada_tensors *answers(const char *name) {
    char file[128];
    ada_tensors *t = NULL;
    (void)snprintf(file, sizeof file, "%s.answers.safetensors", name);
    assert_ok(ada_tensors_open(&t, golden_path(file)));
    return t;
}

static const ada_tensor *answer(const ada_tensors *t, const char *what, int size, int layer) {
    char name[64];
    (void)snprintf(name, sizeof name, layer ? "%s.%d.%d" : "%s.%d", what, size, layer);
    return ada_tensors_find(t, name);
}

/* The features of a size of pixels: [n, rows, d]. */
static float *run(ada_tower *t, const ada_tensor *p, size_t *count) {
    int32_t n = (int32_t)p->shape[0], h = (int32_t)p->shape[2], w = (int32_t)p->shape[3], rows;
    float *pixels = floats(p);
    assert_ok(ada_tower_rows(t, h, w, &rows));
    *count = (size_t)n * (size_t)rows * ada_tower_features(t);
    float *f = test_malloc(*count * sizeof *f);
    assert_ok(ada_tower_run(t, pixels, n, h, w, f));
    test_free(pixels);
    return f;
}

static void compare(const char *what, const float *got, const ada_tensor *t, size_t n, double limit) {
    assert_int_equal(n, ada_tensor_count(t));
    float *want = floats(t);
    double lo = INFINITY, hi = -INFINITY, off = 0;
    for (size_t i = 0; i < n; i++) {
        lo = fmin(lo, (double)want[i]), hi = fmax(hi, (double)want[i]);
        off = fmax(off, fabs((double)got[i] - (double)want[i]));
    }
    if (!(off <= limit * (hi - lo)))
        fail_msg("%s: '%s' is off by %.3g of its spread, allowed %.3g", what, t->name, off / (hi - lo),
                 limit);
    test_free(want);
}

static void tower_agrees(const char *where, const char *name, bool f32) {
    char path[1024]; /* golden_path's is used again */
    (void)snprintf(path, sizeof path, "%s", where);
    ada_tensors *t = answers(name);
    const ada_tensor *p;
    double limit = f32 ? f32_limit : bf16_limit;
    int layers = 0;
    while (answer(t, "hidden", 0, layers + 1)) layers++;
    assert_true(layers > 0);
    for (int layer = 0; layer <= layers; layer++) {
        /* counted from the end, too */
        ada_tower *m = tower(path, layer && layer == layers - 1 ? -2 : layer, ADA_TOWER_FULL, f32);
        for (int i = 0; (p = answer(t, "pixels", i, 0)) != NULL; i++) {
            size_t n;
            float *f = run(m, p, &n);
            compare(name, f, answer(t, layer ? "hidden" : "last", i, layer), n, limit);
            test_free(f);
        }
        ada_tower_close(&m);
    }
    ada_tensors_close(&t);
}

static const char *const names[] = {"vit",
                                    "vit_wide",
                                    "vit_oblong",
                                    "clip",
                                    "clip_gelu",
                                    "siglip",
                                    "siglip_bare",
                                    "smolvlm",
                                    "dinov2",
                                    "dinov2_swiglu",
                                    "dinov2_registers",
                                    "dinov2_oblong",
                                    "dinov2_registers_swiglu"};
enum { NAMES = sizeof names / sizeof *names };

static void goldens_agree(void **state) {
    (void)state;
    for (int i = 0; i < NAMES; i++)
        for (int f32 = 0; f32 < 2; f32++) tower_agrees(golden_path(names[i]), names[i], f32 != 0);
}

static void gguf_files_agree(void **state) {
    (void)state;
    tower_agrees(golden_path("clip.gguf"), "clip", true);
    tower_agrees(golden_path("siglip.gguf"), "siglip", true);
}

static void imported_files_agree(void **state) {
    (void)state;
    const char *out = io_path("tower.h5");
    static const char *const some[] = {"clip", "dinov2_swiglu", "dinov2_registers"};
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        assert_ok(ada_model_import(golden_path(some[i]), NULL, out, ADA_F32));
        tower_agrees(out, some[i], true);
    }
}

/* As in a LLaVA: the tower's configuration within the whole's, and its names behind a prefix. */
static void larger_models_have_towers(void **state) {
    (void)state;
    char *text, path[512];
    size_t n;
    ada_buf b = {0};
    (void)snprintf(path, sizeof path, "%s", io_path("whole"));
    assert_ok(ada_make_folder(path));
    assert_ok(ada_read_file(golden_path("clip/config.json"), &text, &n));
    assert_ok(ada_buf_printf(&b, "{\"model_type\": \"llava\", \"vision_config\": %s}", text));
    assert_ok(ada_write_file(io_path("whole/config.json"), b.data, b.len));
    ada_os.release(text);
    ada_buf_free(&b);
    assert_ok(ada_read_file(golden_path("clip/model.safetensors"), &text, &n));
    assert_ok(ada_write_file(io_path("whole/model.safetensors"), text, n));
    ada_os.release(text);
    tower_agrees(path, "clip", true);
    ada_tensors *file = NULL;
    ada_tower *t = NULL;
    assert_ok(ada_tensors_open(&file, path));
    assert_ok(ada_tower_of(&t, file, NULL));
    assert_int_equal(ada_tower_config(t)->layers, 3);
    ada_tower_close(&t);
    ada_tensors_close(&file);
}

/* Rows are left out as the kind says, and the rest has the bits that it has in all. */
static void rows_are_chosen(void **state) {
    (void)state;
    static const struct {
        const char *name;
        size_t first, patches; /* rows left out */
    } all[] = {{"dinov2_registers", 1, 3}, {"clip", 1, 1}, {"siglip", 1, 0}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        ada_tensors *t = answers(all[i].name);
        const ada_tensor *p = answer(t, "pixels", 1, 0);
        size_t n[3], d;
        float *f[3];
        for (int kind = 0; kind < 3; kind++) {
            ada_tower *m = tower(golden_path(all[i].name), 0, (ada_tower_rows_kind)kind, true);
            f[kind] = run(m, p, &n[kind]);
            d = (size_t)ada_tower_config(m)->d;
            ada_tower_close(&m);
        }
        assert_int_equal(n[ADA_TOWER_FULL] - n[ADA_TOWER_DROP_FIRST], all[i].first * d);
        assert_int_equal(n[ADA_TOWER_FULL] - n[ADA_TOWER_PATCHES], all[i].patches * d);
        for (int kind = 0; kind < 2; kind++)
            assert_memory_equal(f[kind], f[ADA_TOWER_FULL] + (n[ADA_TOWER_FULL] - n[kind]),
                                n[kind] * sizeof(float));
        for (int kind = 0; kind < 3; kind++) test_free(f[kind]);
        ada_tensors_close(&t);
    }
}

/* Several layers stand side by side in the order asked for, with the bits that each has alone; before the
 * first layer is one of them, and one may come twice. */
static void layers_stand_side_by_side(void **state) {
    (void)state;
    static const ada_tower_opts all[] = {
        {.layers = 3, .layer = {-1, 1, -1}},
        {.layers = 2, .layer = {2, 1}, .rows = ADA_TOWER_FULL},
        {.layers = 4, .layer = {0, 3, 0, -2}, .rows = ADA_TOWER_DROP_FIRST, .f32 = true},
        {.layers = 2, .layer = {0, 0}}};
    ada_tensors *a = answers("clip");
    const ada_tensor *p = answer(a, "pixels", 1, 0);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        size_t n, one;
        ada_tower *t = NULL;
        assert_ok(ada_tower_open(&t, golden_path("clip"), &all[i]));
        size_t d = (size_t)ada_tower_config(t)->d, layers = (size_t)all[i].layers;
        assert_int_equal(ada_tower_features(t), layers * d);
        float *joined = run(t, p, &n);
        ada_tower_close(&t);
        for (size_t k = 0; k < layers; k++) {
            ada_tower_opts o = all[i];
            o.layers = 1, o.layer[0] = all[i].layer[k];
            assert_ok(ada_tower_open(&t, golden_path("clip"), &o));
            float *alone = run(t, p, &one);
            assert_int_equal(n, one * layers);
            for (size_t r = 0; r < one / d; r++)
                assert_memory_equal(joined + (r * layers + k) * d, alone + r * d, d * sizeof *alone);
            ada_tower_close(&t);
            test_free(alone);
        }
        test_free(joined);
    }
    ada_tensors_close(&a);
}

/* Where layers are joined too, bench has room for what the tower says. */
static void bench_has_room(void **state) {
    (void)state;
    ada_tower_opts o = {.layers = ADA_TOWER_LAYERS};
    ada_tower *t = NULL;
    double seconds = 0, flops = 0;
    assert_ok(ada_tower_open(&t, golden_path("clip"), &o));
    assert_ok(ada_tower_bench(t, 1000, 16, &seconds, &flops));
    assert_true(seconds > 0 && flops > 0);
    ada_tower_close(&t);
}

/* Many more images than a pass takes, on 1 and 3 threads, and each alone. */
static void bits_do_not_depend_on_company(void **state) {
    (void)state;
    enum { N = 150, SIDE = 16, SIZE = 3 * SIDE * SIDE };
    static float pixels[N * SIZE];
    for (int i = 0; i < N * SIZE; i++) pixels[i] = (float)ada_rng_normal(3, ADA_RNG_BENCH, (uint64_t)i);
    for (int f32 = 0; f32 < 2; f32++) {
        const ada_tower_opts o = {.f32 = f32 != 0, .layers = f32 ? 0 : 2, .layer = {1, -1}};
        ada_tower *t = NULL;
        int32_t rows;
        assert_ok(ada_tower_open(&t, golden_path("dinov2"), &o));
        assert_ok(ada_tower_rows(t, SIDE, SIDE, &rows));
        size_t n = (size_t)rows * ada_tower_features(t);
        float *all = test_malloc(N * n * sizeof *all), *more = test_malloc(N * n * sizeof *more);
        (void)ada_par_force(1);
        assert_ok(ada_tower_run(t, pixels, N, SIDE, SIDE, all));
        for (int i = 0; i < N; i += 37) {
            assert_ok(ada_tower_run(t, pixels + i * SIZE, 1, SIDE, SIDE, more));
            assert_memory_equal(more, all + (size_t)i * n, n * sizeof *all);
        }
        ada_tower_close(&t);
        (void)ada_par_force(3);
        assert_ok(ada_tower_open(&t, golden_path("dinov2"), &o));
        assert_ok(ada_tower_run(t, pixels, N, SIDE, SIDE, more));
        assert_memory_equal(more, all, N * n * sizeof *all);
        ada_tower_close(&t);
        test_free(all);
        test_free(more);
    }
}

struct looker {
    ada_tower *t;
    const float *pixels, *want;
    int32_t side;
    size_t n; /* features */
    float *got;
    bool differs;
};

static void *look(void *ctx) {
    struct looker *l = ctx;
    for (int i = 0; i < 200 && !l->differs; i++) {
        memset(l->got, 0, l->n * sizeof *l->got);
        l->differs = ada_tower_run(l->t, l->pixels, 1, l->side, l->side, l->got) != ADA_OK ||
                     memcmp(l->got, l->want, l->n * sizeof *l->got) != 0;
    }
    return NULL;
}

/* Two sizes of image in turn, so that each thread finds the other's layout. */
static void threads_share_a_tower(void **state) {
    (void)state;
    enum { MOST = 24 };
    static float pixels[3 * MOST * MOST];
    pthread_t threads[2];
    struct looker l[2] = {{.side = 16}, {.side = MOST}};
    for (int i = 0; i < 3 * MOST * MOST; i++)
        pixels[i] = (float)ada_rng_normal(4, ADA_RNG_BENCH, (uint64_t)i);
    ada_tower *t = tower(golden_path("dinov2"), 0, ADA_TOWER_PATCHES, false);
    for (int i = 0; i < 2; i++) {
        int32_t rows;
        assert_ok(ada_tower_rows(t, l[i].side, l[i].side, &rows));
        l[i].t = t, l[i].pixels = pixels;
        l[i].n = (size_t)rows * (size_t)ada_tower_config(t)->d;
        float *want = test_malloc(l[i].n * sizeof *want);
        l[i].want = want, l[i].got = test_malloc(l[i].n * sizeof *want);
        assert_ok(ada_tower_run(t, pixels, 1, l[i].side, l[i].side, want));
    }
    for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&threads[i], NULL, look, &l[i]), 0);
    for (int i = 0; i < 2; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < 2; i++) {
        assert_false(l[i].differs);
        test_free((void *)(uintptr_t)l[i].want);
        test_free(l[i].got);
    }
    ada_tower_close(&t);
}

static void keys_differ_with_what_decides(void **state) {
    (void)state;
    static const ada_tower_opts opts[] = {
        {0}, {.layers = 1, .layer = {-2}}, {.rows = ADA_TOWER_FULL}, {.f32 = true}};
    char key[6][65], again[65];
    for (int i = 0; i < 4; i++) {
        ada_tower *t = NULL;
        assert_ok(ada_tower_open(&t, golden_path("clip"), &opts[i]));
        assert_ok(ada_tower_key(t, key[i]));
        assert_ok(ada_tower_key(t, again));
        assert_string_equal(key[i], again);
        ada_tower_close(&t);
    }
    ada_tower *t = tower(golden_path("clip_gelu"), 0, ADA_TOWER_PATCHES, false);
    assert_ok(ada_tower_key(t, key[4]));
    const char *isa = ada_k.isa;
    assert_int_equal(ada_simd_init("scalar"), ADA_SIMD_OK);
    assert_ok(ada_tower_key(t, key[5]));
    assert_int_equal(ada_simd_init(isa), ADA_SIMD_OK);
    ada_tower_close(&t);
    for (int i = 0; i < 6; i++)
        for (int k = 0; k < i; k++) assert_string_not_equal(key[i], key[k]);
}

static void what_cannot_be_is_refused(void **state) {
    (void)state;
    ada_tower *t = NULL;
    ada_model *m = NULL;
    int32_t rows;
    static float pixels[3 * 8 * 8];
    static float features[4 * 24];
    static const struct {
        ada_tower_opts o;
        const char *words;
    } wrong[] = {{{.layers = 1, .layer = {4}}, "layer 4"},
                 {{.layers = 2, .layer = {-1, -5}}, "layer -5"},
                 {{.layers = ADA_TOWER_LAYERS + 1}, "features of 17 layers"},
                 {{.layers = -1}, "features of -1 layers"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_fails(ada_tower_open(&t, golden_path("clip"), &wrong[i].o), ADA_EINVAL, wrong[i].words);
    assert_fails(ada_tower_open(&t, golden_path("tied_gqa"), NULL), ADA_EUNSUPPORTED, "has no vision tower");
    assert_fails(ada_model_open(&m, golden_path("clip"), NULL), ADA_EUNSUPPORTED, "has no text");
    assert_null(t);
    t = tower(golden_path("vit_wide"), 0, ADA_TOWER_PATCHES, true);
    assert_fails(ada_tower_rows(t, 3, 16, &rows), ADA_EINVAL, "smaller than a patch");
    assert_fails(ada_tower_rows(t, 16000, 16000, &rows), ADA_EINVAL, "rows, at most");
    ada_tower_close(&t);
    t = tower(golden_path("siglip_bare"), 0, ADA_TOWER_PATCHES, true);
    assert_ok(ada_tower_run(t, pixels, 1, 8, 8, features));
    ada_tower_close(&t);
}

static int allocs_left;
static void *(*real_alloc)(size_t bytes);
static void *refuse_alloc(size_t bytes) {
    return allocs_left-- > 0 ? real_alloc(bytes) : NULL;
}

/* Each allocation in turn, of opening and of the first images of a size. */
static void lack_of_memory_is_told(void **state) {
    (void)state;
    static float pixels[3 * 24 * 28], features[50 * 2 * 24];
    const ada_tower_opts two = {.layers = 2, .layer = {1, -1}};
    int k = 0;
    real_alloc = ada_os.alloc, ada_os.alloc = refuse_alloc;
    for (ada_status st = ADA_ENOMEM; st != ADA_OK; k++) {
        ada_tower *t = NULL;
        allocs_left = k;
        st = ada_tower_open(&t, golden_path("dinov2_registers"), &two);
        if (st == ADA_OK) st = ada_tower_run(t, pixels, 1, 24, 28, features);
        ada_tower_close(&t);
        if (st != ADA_OK && st != ADA_ENOMEM) break;
    }
    ada_os.alloc = real_alloc;
    assert_true(allocs_left >= 0);
    assert_true(k > 10);
}

/* A table of 2 by 4 patches is no square's. */
static void positions_of_no_square_stay(void **state) {
    (void)state;
    ada_tower *t = tower(golden_path("vit_oblong"), 0, ADA_TOWER_PATCHES, true);
    static float pixels[3 * 16 * 16], features[16 * 24];
    assert_ok(ada_tower_run(t, pixels, 1, 8, 16, features));
    assert_fails(ada_tower_run(t, pixels, 1, 16, 16, features), ADA_EUNSUPPORTED, "no square");
    ada_tower_close(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goldens_agree),
        cmocka_unit_test(gguf_files_agree),
        cmocka_unit_test(imported_files_agree),
        cmocka_unit_test(larger_models_have_towers),
        cmocka_unit_test(rows_are_chosen),
        cmocka_unit_test(layers_stand_side_by_side),
        cmocka_unit_test(bench_has_room),
        cmocka_unit_test(bits_do_not_depend_on_company),
        cmocka_unit_test(threads_share_a_tower),
        cmocka_unit_test(keys_differ_with_what_decides),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(lack_of_memory_is_told),
        cmocka_unit_test(positions_of_no_square_stay),
    };
    return cmocka_run_group_tests(tests, io_test_begin, io_test_end);
}
