/* SPDX-License-Identifier: Apache-2.0
 * Rows of images, of every kind of vision-language model: training and generation start from the same bits,
 * neither adapter touches the other modality's rows, and company, order and cache change nothing. What the
 * right rows are: golden_vlm.c. Whole runs: bits.c. Invariant: rows are compared by their bytes. */
#include "engine/adapter.h"
#include "engine/embed.h"
#include "engine/rows.h"
#include "tests/golden.h"
#include "tests/io_test.h"

enum { MOST = 512, RANK = 3 };

static const char *const kinds[] = {"llava_clip",  "llava_siglip",   "llava_tied", "paligemma_1",
                                    "paligemma_2", "idefics3_tiles", "smolvlm"};
enum { KINDS = sizeof kinds / sizeof *kinds };

static const char *in_vlm(const char *name, const char *file) {
    static char path[64];
    (void)snprintf(path, sizeof path, "vlm/%s%s", name, file);
    return path;
}

static ada_model *open_kind(const char *name, bool f32) {
    return golden_model(in_vlm(name, ""), f32);
}

/* With every parameter drawn, so that both adapters do something; nothing of a modality that `but` names. */
static ada_adapter *drawn(ada_model *m, int but) {
    ada_adapter *a = NULL;
    assert_ok(ada_adapter_new(&a, m, &(ada_adapter_opts){.rank = RANK, .init_std = 0.3}));
    assert_true(a->first[ADA_TEXT] >= 0 && a->first[ADA_IMAGE] >= 0);
    for (int i = 0; i < a->nparams; i++) {
        bool out = but >= 0 && i >= a->first[but] && i < a->first[but] + 2;
        for (size_t k = 0; k < a->params[i].n; k++)
            a->params[i].p[k] = out ? 0 : (float)((double)((k * 37 + (size_t)i * 11) % 19) / 19 - 0.5);
    }
    return a;
}

/* The rows of ids as a step of training has them: all at once, with room for gradients. */
static void train_rows(ada_model *m, ada_adapter *a, ada_images *images, const int32_t *ids, int32_t n,
                       float *x) {
    ada_arena arena = {0};
    ada_join *j;
    ada_join_limits lim = {.unique = MOST, .image_rows = n, .images = images, .train = true};
    assert_ok(ada_join_layout(&j, &arena, m, a, &lim));
    ada_join_clear(j);
    ada_join_add(j, ids, n);
    assert_ok(ada_join_start(j));
    ada_join_rows(j, ids, n, x);
    ada_arena_free(&arena);
}

/* As generation has them: a few at a time, the cuts anywhere. */
static void generate_rows(ada_model *m, ada_adapter *a, ada_images *images, const int32_t *ids, int32_t n,
                          float *x) {
    enum { PIECE = 5 };
    ada_arena arena = {0};
    ada_join *j;
    ada_join_limits lim = {.unique = PIECE, .image_rows = PIECE, .images = images};
    assert_ok(ada_join_layout(&j, &arena, m, a, &lim));
    for (int32_t i = 0, k; i < n; i += k) {
        k = n - i < PIECE ? n - i : PIECE;
        ada_join_clear(j);
        ada_join_add(j, ids + i, k);
        assert_ok(ada_join_start(j));
        ada_join_rows(j, ids + i, k, x + (size_t)i * (size_t)m->c.d);
    }
    ada_arena_free(&arena);
}

typedef struct {
    ada_model *m;
    ada_images *images;
    ada_rows rows;
    ada_arena arena;
} scene;

static scene scene_open(const char *name, bool f32, const char *cache) {
    scene s = {.m = open_kind(name, f32)};
    char data[1024];
    (void)snprintf(data, sizeof data, "%s", golden_path(in_vlm(name, "/data.jsonl")));
    assert_ok(ada_images_open(&s.images, s.m->vision, cache, MOST));
    assert_ok(ada_rows_load(&s.rows, s.m, s.images, data, NULL, false, 0, &s.arena));
    return s;
}

static void scene_close(scene *s) {
    ada_images_close(&s->images);
    ada_model_close(&s->m);
    ada_arena_free(&s->arena);
}

static void one_path(void **state) {
    (void)state;
    for (int k = 0; k < KINDS; k++) {
        scene s = scene_open(kinds[k], false, NULL);
        ada_adapter *a = drawn(s.m, -1);
        size_t d = (size_t)s.m->c.d;
        int32_t images = 0;
        for (size_t i = 0; i < s.rows.n; i++) {
            const ada_example *e = &s.rows.ex[i];
            float *x = test_malloc((size_t)e->n * d * sizeof *x),
                  *y = test_malloc((size_t)e->n * d * sizeof *y);
            train_rows(s.m, a, s.images, e->ids, e->n, x);
            generate_rows(s.m, a, s.images, e->ids, e->n, y);
            assert_memory_equal(x, y, (size_t)e->n * d * sizeof *x);
            images += ada_example_images(e, s.m->c.vocab);
            test_free(x);
            test_free(y);
        }
        assert_true(images > 0);
        ada_adapter_close(&a);
        scene_close(&s);
    }
}

/* Each adapter alone changes each row of its own modality and no other. */
static void to_each_its_own(void **state) {
    (void)state;
    for (int k = 0; k < KINDS; k++) {
        scene s = scene_open(kinds[k], false, NULL);
        size_t d = (size_t)s.m->c.d;
        const ada_example *e = &s.rows.ex[s.rows.n - 1];
        float *base = test_malloc((size_t)e->n * d * sizeof *base),
              *x = test_malloc((size_t)e->n * d * sizeof *x);
        train_rows(s.m, NULL, s.images, e->ids, e->n, base);
        for (int but = ADA_TEXT; but <= ADA_IMAGE; but++) {
            ada_adapter *a = drawn(s.m, but);
            generate_rows(s.m, a, s.images, e->ids, e->n, x);
            for (int32_t i = 0; i < e->n; i++) {
                bool left = (e->ids[i] >= s.m->c.vocab) == (but == ADA_IMAGE);
                bool same = memcmp(x + (size_t)i * d, base + (size_t)i * d, d * sizeof *x) == 0;
                if (same != left) fail_msg("%s: row %d, without %s", kinds[k], i, ada_modality_names[but]);
            }
            ada_adapter_close(&a);
        }
        test_free(base);
        test_free(x);
        scene_close(&s);
    }
}

/* The connector's input of every picture, in the order a, b. */
static size_t inputs(ada_images *im, const char *name, size_t in, bool turned, float *x, size_t room) {
    ada_picture p[2];
    size_t n = 0;
    int32_t rows[MOST];
    for (int i = 0; i < 2; i++) {
        int k = turned ? 1 - i : i;
        assert_ok(ada_images_add(im, golden_path(in_vlm(name, k ? "/b.png" : "/a.png")), &p[k]));
        if (turned) assert_ok(ada_images_ready(im)); /* each alone */
    }
    assert_ok(ada_images_ready(im));
    for (int k = 0; k < 2; k++) {
        int32_t count = p[k].tiles * p[k].rows;
        for (int32_t i = 0; i < count; i++) rows[i] = p[k].first + i;
        assert_true(n + (size_t)count * in <= room);
        assert_ok(ada_images_read(im, rows, count, x + n));
        n += (size_t)count * in;
    }
    return n;
}

static void company_and_cache(void **state) {
    (void)state;
    enum { ROOM = 1 << 16 };
    for (int k = 0; k < KINDS; k++) {
        ada_model *m = open_kind(kinds[k], false);
        float *want = test_calloc(ROOM, sizeof *want), *x = test_calloc(ROOM, sizeof *x);
        for (int way = 0; way < 4;
             way++) { /* together; apart in the other order; cached; found in the cache */
            ada_images *im = NULL;
            assert_ok(ada_images_open(&im, m->vision, way < 2 ? NULL : io_path("cache"), MOST));
            memset(x, 0, ROOM * sizeof *x);
            size_t n = inputs(im, kinds[k], (size_t)m->vision->connector.in, way == 1, way ? x : want, ROOM);
            assert_true(n > 0);
            if (way) assert_memory_equal(x, want, ROOM * sizeof *x);
            ada_images_close(&im);
        }
        test_free(want);
        test_free(x);
        ada_model_close(&m);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_path), cmocka_unit_test(to_each_its_own),
                                       cmocka_unit_test(company_and_cache)};
    return cmocka_run_group_tests(tests, io_test_begin, io_test_end);
}
