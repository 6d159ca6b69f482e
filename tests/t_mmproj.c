/* SPDX-License-Identifier: Apache-2.0
 * A text model and a tower and projector in a file of their own: what their images are prepared as, that the
 * .h5 imported from both is the same model to the bit, that an adapter fits either, and what goes together
 * with what. Bad files are rows of bad/manifest.txt, truth is golden_vlm.c's. */
#include "engine/adapter.h"
#include "engine/mmproj.h"
#include "engine/tower.h"
#include "io/preprocess.h"
#include "tests/pass.h"

enum { PAIRS = 4 };
static const char *const pairs[PAIRS] = {"vlm/mmproj_clip", "vlm/mmproj_layers", "vlm/mmproj_siglip",
                                         "vlm/mmproj_tiles"};

static void paths_of(const char *name, char text[1100], char mmproj[1100]) {
    (void)snprintf(text, 1100, "%s/text.gguf", golden_path(name));
    (void)snprintf(mmproj, 1100, "%s/mmproj.gguf", golden_path(name));
}

static ada_model *pair_open(const char *name, bool f32) {
    char text[1100], mmproj[1100];
    ada_model *m = NULL;
    paths_of(name, text, mmproj);
    assert_ok(ada_model_open(&m, text, &(ada_model_opts){.f32 = f32, .mmproj = mmproj}));
    return m;
}

/* ---- what is seen ---- */

static void images_are_prepared(void **state) {
    (void)state;
    static const char *const want[PAIRS] = {
        "RGB on white, padded to a square, shortest edge 12 (bicubic), centre 12 × 12, ",
        "RGB on white, padded to a square, shortest edge 12 (bicubic), centre 12 × 12, ",
        "RGB on white, padded to a square, shortest edge 8 (bicubic), centre 8 × 8, ",
        "RGB on white, longest edge 32, split into tiles of 16 (lanczos), "};
    for (int i = 0; i < PAIRS; i++) {
        ada_model *m = pair_open(pairs[i], false);
        ada_buf how = {0};
        assert_ok(ada_preprocess_text(&m->vision->preprocess, &how));
        if (strncmp(how.data, want[i], strlen(want[i])) != 0) fail_msg("%s: '%s'", pairs[i], how.data);
        ada_buf_free(&how);
        ada_model_close(&m);
    }
}

/* Files of before the key for it: four tiles in a row, as Idefics3's own default has them. */
static void tiles_without_a_size(void **state) {
    (void)state;
    char text[1100], mmproj[1100];
    ada_tensors *t = NULL;
    ada_json *less = ada_json_new_obj(), *out = NULL;
    const char *key;
    const ada_json *v;
    paths_of("vlm/mmproj_tiles", text, mmproj);
    assert_ok(ada_tensors_open(&t, mmproj));
    for (void *it = NULL; ada_json_next(ada_tensors_meta(t), &it, &key, &v);)
        if (strcmp(key, "clip.vision.preproc_image_size") != 0)
            assert_ok(ada_json_set(less, key, ada_json_share(v)));
    assert_fails(ada_mmproj_meta(&out, less, "gemma3"), ADA_EUNSUPPORTED, "(known: mlp, idefics3)");
    assert_ok(ada_mmproj_meta(&out, less, "idefics3"));
    const ada_json *size = ada_json_get(ada_json_get(out, "preprocessor_config"), "size");
    assert_int_equal(ada_json_int(ada_json_get(size, "longest_edge"), 0), 64);
    ada_json_close(&out);
    ada_json_close(&less);
    ada_tensors_close(&t);
}

/* ---- one model, in two files or in one ---- */

static void same_features(const ada_model *a, const ada_model *b) {
    const ada_config *c = ada_tower_config(a->vision->tower);
    int32_t h = c->image_h, w = c->image_w, rows;
    size_t n = 3 * (size_t)h * (size_t)w;
    assert_ok(ada_tower_rows(a->vision->tower, h, w, &rows));
    size_t count = (size_t)rows * ada_tower_features(a->vision->tower);
    float *x = test_malloc(n * sizeof *x), *y = test_malloc(count * sizeof *y),
          *z = test_malloc(count * sizeof *z);
    for (size_t i = 0; i < n; i++) x[i] = (float)(i % 17) / 8 - 1;
    assert_ok(ada_tower_run(a->vision->tower, x, 1, h, w, y));
    assert_ok(ada_tower_run(b->vision->tower, x, 1, h, w, z));
    assert_memory_equal(y, z, count * sizeof *y);
    test_free(x);
    test_free(y);
    test_free(z);
}

static void same_logits(const ada_model *a, const ada_model *b) {
    static const int32_t ids[] = {5, 9, 30, 7, 7, 12};
    enum { T = sizeof ids / sizeof *ids };
    const ada_model *both[] = {a, b};
    float *logits[2];
    size_t bytes = T * (size_t)a->c.vocab * sizeof(float);
    for (int i = 0; i < 2; i++) {
        ada_segment seg;
        ada_pack p = pack_one(&seg, ids, T, NULL, 0);
        pass_run r;
        pass_room(&r, &both[i]->stack, &both[i]->head, &p, false);
        pass_embed(&r, both[i], &p);
        ada_stack_forward(&both[i]->stack, &p, r.pass, NULL, r.x, r.h);
        ada_head_logits(&both[i]->head, r.head, r.h, T, r.logits);
        logits[i] = test_malloc(bytes);
        memcpy(logits[i], r.logits, bytes);
        ada_arena_free(&r.arena);
    }
    assert_memory_equal(logits[0], logits[1], bytes);
    test_free(logits[0]);
    test_free(logits[1]);
}

/* A connector's numbers, whatever of them there is. */
static void same_connector(const ada_connector *a, const ada_connector *b) {
    size_t first = (size_t)(a->hidden ? a->hidden : a->d), d = (size_t)a->d;
    const struct {
        const float *a, *b;
        size_t n;
    } all[] = {{a->w1, b->w1, (size_t)a->in * first},
               {a->b1, b->b1, first},
               {a->w2, b->w2, (size_t)a->hidden * d},
               {a->b2, b->b2, d}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        assert_true((all[i].a == NULL) == (all[i].b == NULL));
        if (all[i].a) assert_memory_equal(all[i].a, all[i].b, all[i].n * sizeof(float));
    }
}

static void import_is(const char *name, bool f32) {
    char text[1100], mmproj[1100];
    const char *da, *db;
    ada_model *a = pair_open(name, f32), *b = NULL;
    ada_adapter *made = NULL, *read = NULL;
    ada_buf how[2] = {{0}, {0}};
    paths_of(name, text, mmproj);
    assert_ok(ada_model_import(text, mmproj, io_path("pair.h5"), f32 ? ADA_F32 : ADA_BF16));
    assert_ok(ada_model_open(&b, io_path("pair.h5"), &(ada_model_opts){.f32 = f32}));
    assert_ok(ada_tensors_verify(b->whole));
    assert_ok(ada_model_digest(a, &da));
    assert_ok(ada_model_digest(b, &db));
    assert_string_equal(da, db);
    assert_string_equal(a->name, b->name);
    assert_string_equal(a->name, "mmproj+golden text.gguf");
    same_features(a, b);
    same_connector(&a->vision->connector, &b->vision->connector);
    assert_ok(ada_preprocess_text(&a->vision->preprocess, &how[0]));
    assert_ok(ada_preprocess_text(&b->vision->preprocess, &how[1]));
    assert_string_equal(how[0].data, how[1].data);
    if (f32 || a->c.tie) same_logits(a, b); /* an untied table is rounded in the file */
    assert_ok(ada_adapter_new(&made, a, &(ada_adapter_opts){.rank = 2}));
    assert_ok(ada_adapter_save(made, io_path("adapter.h5")));
    assert_ok(ada_adapter_open(&read, b, io_path("adapter.h5")));
    ada_buf_free(&how[0]);
    ada_buf_free(&how[1]);
    ada_adapter_close(&made);
    ada_adapter_close(&read);
    ada_model_close(&a);
    ada_model_close(&b);
}

static void import_is_the_same(void **state) {
    (void)state;
    for (int i = 0; i < PAIRS; i++)
        for (int f32 = 0; f32 < 2; f32++) import_is(pairs[i], f32 != 0);
}

/* An imported text model is as good as its source, and the pair has the same identity. */
static void text_may_be_imported(void **state) {
    (void)state;
    char text[1100], mmproj[1100], h5[512];
    const char *da, *db;
    ada_model *a = pair_open(pairs[1], false), *b = NULL;
    paths_of(pairs[1], text, mmproj);
    (void)snprintf(h5, sizeof h5, "%s", io_path("text.h5"));
    assert_ok(ada_model_import(text, NULL, h5, ADA_BF16));
    assert_ok(ada_model_open(&b, h5, &(ada_model_opts){.mmproj = mmproj}));
    assert_ok(ada_model_digest(a, &da));
    assert_ok(ada_model_digest(b, &db));
    assert_string_equal(da, db);
    same_logits(a, b);
    ada_model_close(&b);
    /* another tower makes another model */
    (void)snprintf(mmproj, sizeof mmproj, "%s/mmproj.gguf", golden_path(pairs[2]));
    assert_ok(ada_model_open(&b, h5, &(ada_model_opts){.mmproj = mmproj}));
    assert_ok(ada_model_digest(b, &db));
    assert_string_not_equal(da, db);
    ada_model_close(&b);
    ada_model_close(&a);
}

/* ---- what does not go together ---- */

static void refused(void **state) {
    (void)state;
    char text[1100], mmproj[1100], h5[512], other[1100];
    ada_model *m = NULL;
    paths_of(pairs[0], text, mmproj);
    const ada_model_opts with = {.mmproj = mmproj};
    (void)snprintf(h5, sizeof h5, "%s", io_path("pair.h5"));
    assert_ok(ada_model_import(text, mmproj, h5, ADA_BF16));
    assert_fails(ada_model_open(&m, h5, &with), ADA_EINVAL, "has a tower and a projector already");
    assert_null(m);
    (void)snprintf(other, sizeof other, "%s", golden_path("vlm/llava_clip"));
    assert_fails(ada_model_open(&m, other, &with), ADA_EINVAL, "has a tower and a projector already");
    assert_fails(ada_model_open(&m, mmproj, &with), ADA_EUNSUPPORTED, "vision tower, which has no text");
    (void)snprintf(other, sizeof other, "%s", io_path("absent.gguf"));
    assert_fails(ada_model_open(&m, text, &(ada_model_opts){.mmproj = other}), ADA_EIO, "absent.gguf");
    assert_fails(ada_model_open(&m, text, &(ada_model_opts){.mmproj = text}), ADA_EINVAL, "is no tower");
    assert_fails(ada_model_open(&m, io_path("absent"), &with), ADA_EIO, "absent");
    (void)snprintf(other, sizeof other, "%s", io_path("out.h5"));
    assert_fails(ada_model_import(text, text, other, ADA_BF16), ADA_EINVAL, "is no tower");
    assert_true(access(other, F_OK) != 0);
    /* to be glued anew it would need a text model that sees nothing yet */
    assert_fails(
        ada_model_compose(&(ada_compose_opts){.vision = mmproj, .text = h5, .dtype = ADA_BF16}, other),
        ADA_EINVAL, "sees already");
}

/* ---- no memory ---- */

static void *(*take)(size_t);
static void *(*again)(void *, size_t, size_t);
static void (*give)(void *);
static long left, live; /* allocations until one is refused; blocks not given back */

static void *taken(size_t n) {
    void *p = left-- == 0 ? NULL : take(n);
    live += p != NULL;
    return p;
}
static void *taken_again(void *p, size_t old, size_t n) {
    void *q = left-- == 0 ? NULL : again(p, old, n);
    live += q && !p;
    return q;
}
static void given(void *p) {
    live -= p != NULL;
    give(p);
}

/* Each allocation in turn: an error of its own, and nothing kept. */
static void memory_is_refused(void **state) {
    (void)state;
    enum { MANY = 100000 };
    char text[1100], mmproj[1100];
    long k = 0;
    paths_of("vlm/mmproj_tiles", text, mmproj);
    take = ada_os.alloc, again = ada_os.resize, give = ada_os.release;
    ada_os.alloc = taken, ada_os.resize = taken_again, ada_os.release = given;
    ada_status st = ADA_ENOMEM;
    for (; st != ADA_OK && k < MANY; k++) {
        ada_tensors *t = NULL;
        left = k, live = 0;
        st = ada_mmproj_open(&t, text, mmproj);
        ada_tensors_close(&t);
        if (st != ADA_OK && st != ADA_ENOMEM) break;
        if (live != 0) break;
    }
    left = -1;
    ada_os.alloc = take, ada_os.resize = again, ada_os.release = give;
    if (st != ADA_OK || live != 0) fail_msg("allocation %ld: status %d, %ld blocks left", k, st, live);
    assert_in_range(k, 30, MANY - 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(images_are_prepared),
        cmocka_unit_test(tiles_without_a_size),
        cmocka_unit_test_setup_teardown(import_is_the_same, io_test_begin, io_test_end),
        cmocka_unit_test_setup_teardown(text_may_be_imported, io_test_begin, io_test_end),
        cmocka_unit_test_setup_teardown(refused, io_test_begin, io_test_end),
        cmocka_unit_test(memory_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
