/* SPDX-License-Identifier: Apache-2.0
 * Composed files: both parts' tensors under their prefixes, to the bit; a connector of the right shape and
 * spread; channels' means and deviations as the tower's features have them; identity; what is refused. */
#include "engine/tower.h"
#include "engine/adapter.h"
#include "io/preprocess.h"
#include "tests/tiny.h"

static char vision_path[1024], clip_path[1024], gguf_path[1024];

static int begin(void **state) {
    if (tiny_begin(state)) return 1;
    (void)snprintf(vision_path, sizeof vision_path, "%s", io_tests_path("golden/siglip"));
    (void)snprintf(clip_path, sizeof clip_path, "%s", io_tests_path("golden/clip"));
    (void)snprintf(gguf_path, sizeof gguf_path, "%s", io_tests_path("golden/clip.gguf"));
    return 0;
}

static ada_compose_opts of(const char *vision) {
    static char text[512];
    return (ada_compose_opts){.vision = vision, .text = tiny_path(text, "model"), .dtype = ADA_F32};
}

static ada_tensors *composed(const ada_compose_opts *o, const char *name) {
    char path[512];
    ada_tensors *t = NULL;
    assert_ok(ada_model_compose(o, tiny_path(path, name)));
    assert_ok(ada_tensors_open(&t, path));
    assert_ok(ada_tensors_verify(t));
    return t;
}

static float *numbers(const ada_tensors *t, const char *name, size_t *n) {
    const ada_tensor *x = ada_tensors_find(t, name);
    if (!x) fail_msg("'%s' is not there", name);
    *n = ada_tensor_count(x);
    float *f = test_malloc(*n * sizeof *f);
    assert_ok(ada_tensor_f32(x, 0, *n, f));
    return f;
}

/* Every tensor of `path` is there; NULL of skip: all. */
static void same_numbers(const ada_tensors *t, const char *path, const char *prefix, const char *skip) {
    ada_tensors *source = NULL;
    assert_ok(ada_tensors_open(&source, path));
    for (size_t i = 0; i < ada_tensors_count(source); i++) {
        const ada_tensor *x = ada_tensors_at(source, i);
        char name[256];
        size_t n, m;
        (void)snprintf(name, sizeof name, "%s%s", prefix, x->name);
        if (skip && strstr(x->name, skip)) {
            assert_null(ada_tensors_find(t, name));
            continue;
        }
        float *a = numbers(source, x->name, &n), *b = numbers(t, name, &m);
        assert_int_equal(n, m);
        assert_memory_equal(a, b, n * sizeof *a);
        test_free(a);
        test_free(b);
    }
    ada_tensors_close(&source);
}

static double deviation(const float *x, size_t n) {
    double sum = 0, sq = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i], sq += (double)x[i] * (double)x[i];
    return sqrt(sq / (double)n - sum / (double)n * (sum / (double)n));
}

/* The mean of rows [n/d, d] into mean; by how much their numbers deviate from it. */
static double around_mean(const float *e, size_t n, size_t d, double *mean) {
    double sq = 0;
    for (size_t j = 0; j < d; j++) mean[j] = 0;
    for (size_t i = 0; i < n; i++) mean[i % d] += (double)e[i] * (double)d / (double)n;
    for (size_t i = 0; i < n; i++) sq += ((double)e[i] - mean[i % d]) * ((double)e[i] - mean[i % d]);
    return sqrt(sq / (double)n);
}

static void parts_are_whole(void **state) {
    (void)state;
    char text[512];
    ada_compose_opts o = of(vision_path);
    o.pixel_shuffle = 2, o.seed = 3;
    ada_tensors *t = composed(&o, "one.h5");
    same_numbers(t, tiny_path(text, "model"), "text.", NULL);
    same_numbers(t, vision_path, "vision.", "head.");
    size_t n, m;
    float *w = numbers(t, "connector.weight", &n), *b = numbers(t, "connector.bias", &m),
          *e = numbers(t, "text.model.embed_tokens.weight", &m);
    assert_int_equal(n, 4 * 24 * 32);
    /* 3072 draws: four standard errors of a deviation */
    double mean[32], std = around_mean(e, m, 32, mean);
    assert_true(fabs(deviation(w, n) * sqrt(4 * 24) / std - 1) < 4 / sqrt(2.0 * (double)n));
    for (int i = 0; i < 32; i++) assert_true(fabs((double)b[i] - mean[i]) < 1e-6);
    assert_null(ada_tensors_find(t, "connector.mean"));
    const ada_json *config = ada_json_get(ada_tensors_meta(t), "config"),
                   *c = ada_json_get(config, "connector"), *v = ada_json_get(ada_tensors_meta(t), "vision");
    assert_string_equal(ada_json_str(ada_json_get(config, "model_type"), ""), "adalink_vlm");
    assert_string_equal(ada_json_str(ada_json_get(config, "feature_rows"), ""), "patches");
    assert_string_equal(ada_json_str(ada_json_get(c, "kind"), ""), "linear");
    assert_int_equal(ada_json_int(ada_json_get(c, "pixel_shuffle"), 0), 2);
    assert_true(ada_json_is_obj(ada_json_get(v, "preprocessor_config")));
    assert_true(ada_json_is_obj(ada_json_get(ada_json_get(ada_tensors_meta(t), "text"), "tokenizer")));
    test_free(w);
    test_free(b);
    test_free(e);
    ada_tensors_close(&t);
}

/* In bf16 weights are narrowed; what is read as a vector is not, nor is the connector. */
static void types(void **state) {
    (void)state;
    ada_compose_opts o = of(clip_path);
    o.dtype = ADA_BF16, o.connector = "mlp2", o.hidden = 20;
    ada_tensors *t = composed(&o, "bf16.h5");
    size_t vectors = 0;
    for (size_t i = 0; i < ada_tensors_count(t); i++) {
        const ada_tensor *x = ada_tensors_at(t, i);
        bool vector = x->ndim < 2 || !strncmp(x->name, "connector.", 10) ||
                      strstr(x->name, "position_embedding") || strstr(x->name, "class_embedding");
        vectors += vector && x->ndim > 1;
        if ((x->dtype == ADA_F32) != vector)
            fail_msg("'%s' is of type %s", x->name, ada_dtype_name(x->dtype));
    }
    assert_int_equal(vectors, 3); /* two weights of the connector, the positions */
    const ada_tensor *two = ada_tensors_find(t, "connector.weight_2");
    assert_true(two && two->shape[0] == 20 && two->shape[1] == 32);
    assert_non_null(ada_tensors_find(t, "connector.bias_1"));
    assert_non_null(ada_tensors_find(t, "connector.bias_2"));
    ada_tensors_close(&t);
}

static void digest(const ada_compose_opts *o, char hex[65]) {
    ada_tensors *t = composed(o, "digest.h5");
    assert_ok(ada_tensors_digest(t, hex));
    ada_tensors_close(&t);
}

static void identity(void **state) {
    (void)state;
    char one[65], two[65];
    ada_compose_opts o = of(vision_path);
    digest(&o, one);
    o.dtype = ADA_BF16;
    digest(&o, two);
    assert_string_equal(one, two);
    o.seed = 1;
    digest(&o, two);
    assert_string_not_equal(one, two);
    o.seed = 0, o.features.layers = 1, o.features.layer[0] = -2;
    digest(&o, two);
    assert_string_not_equal(one, two);
}

/* One layer stands as a number, as in files of before there were lists; 0 alone says that none was asked for.
 */
static void layers_are_written(void **state) {
    (void)state;
    static const struct {
        int n, layer[2];
        const char *words;
    } all[] = {{0, {0}, "0"}, {1, {-2}, "-2"}, {1, {0}, "[0]"}, {2, {0, -1}, "[0, -1]"}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        ada_compose_opts o = of(vision_path);
        ada_buf b = {0};
        o.features.layers = all[i].n;
        memcpy(o.features.layer, all[i].layer, sizeof all[i].layer);
        ada_tensors *t = composed(&o, "layers.h5");
        assert_ok(
            ada_json_text(ada_json_get(ada_json_get(ada_tensors_meta(t), "config"), "feature_layer"), 0, &b));
        assert_string_equal(b.data, all[i].words);
        ada_buf_free(&b);
        ada_tensors_close(&t);
    }
}

static char told[512];
static void hear(void *ctx, int level, const char *message) {
    (void)ctx;
    if (level == ADA_LOG_WARN) (void)snprintf(told, sizeof told, "%s", message);
}

/* A tower from GGUF says in its own words how it wants its images; that its projector is left out is said. */
static void from_gguf(void **state) {
    (void)state;
    ada_preprocess p;
    ada_compose_opts o = of(gguf_path), other = of(clip_path);
    ada_log_set(hear, NULL);
    ada_tensors *t = composed(&other, "folder.h5");
    ada_tensors_close(&t);
    assert_string_equal(told, "");
    t = composed(&o, "gguf.h5");
    ada_log_set(NULL, NULL);
    assert_non_null(strstr(told, "clip.gguf' holds a projector ('mlp', tensors: 1), which is left out"));
    assert_ok(ada_preprocess_read(
        &p, ada_json_get(ada_json_get(ada_tensors_meta(t), "vision"), "preprocessor_config"), "made"));
    assert_true(p.resize && p.rule == ADA_SIZE_EXACT && p.height == p.width && p.filter == ADA_BICUBIC);
    ada_tensors_close(&t);
}

static void channels(void **state) {
    const ada_tower_opts *how = *state;
    const size_t width = how->layers ? 24 * (size_t)how->layers : 24;
    static const char *const images[] = {"rgb.png", "grey.png", "palette.png"};
    static const int turns[] = {200, 200, 1}; /* more than a pass, and one that comes last */
    char paths[3][1024];
    char rows[512];
    ada_buf b = {0};
    ada_arena a = {0};
    ada_tower *tower = NULL;
    ada_preprocess p;
    double sum[48] = {0}, sq[48] = {0}, count = 0;
    assert_ok(ada_tower_open(&tower, vision_path, how));
    ada_tensors *vision = NULL;
    assert_ok(ada_tensors_open(&vision, vision_path));
    assert_ok(ada_preprocess_of(&p, ada_tensors_meta(vision)));
    ada_tensors_close(&vision);
    for (size_t i = 0; i < 3; i++) {
        char name[64];
        ada_image img;
        ada_pixels px;
        int32_t n;
        float *f;
        (void)snprintf(name, sizeof name, "golden/pixels/%s", images[i]);
        (void)snprintf(paths[i], sizeof paths[i], "%s", io_tests_path(name));
        assert_ok(ada_image_read(&img, &a, paths[i]));
        assert_ok(ada_preprocess_run(&p, &img, &a, &px));
        assert_ok(ada_tower_rows(tower, (int32_t)px.height, (int32_t)px.width, &n));
        assert_ok(ada_arena_take(&a, &f, (size_t)n * width, sizeof *f));
        assert_ok(ada_tower_run(tower, px.data, 1, (int32_t)px.height, (int32_t)px.width, f));
        assert_true(ada_tower_pass(tower, (int32_t)px.height, (int32_t)px.width) < turns[0] + turns[1]);
        for (size_t k = 0; k < (size_t)n * width; k++) {
            sum[k % width] += turns[i] * (double)f[k];
            sq[k % width] += turns[i] * (double)f[k] * (double)f[k];
        }
        count += turns[i] * n;
    }
    for (int turn = 0; turn < turns[0]; turn++)
        for (size_t i = 0; i < 3; i++)
            for (int twice = 0; turn + turns[i] >= turns[0] && twice < 2; twice++) /* counts once */
                assert_ok(ada_buf_printf(&b, "{\"prompt\": \"what\", \"image\": \"%s\"}\n", paths[i]));
    assert_ok(ada_write_file(tiny_path(rows, "rows.jsonl"), b.data, b.len));
    ada_compose_opts o = of(vision_path);
    o.normalize_on = rows, o.features = *how;
    ada_tensors *t = composed(&o, "channels.h5");
    size_t n;
    float *mean = numbers(t, "connector.mean", &n), *std = numbers(t, "connector.std", &n);
    assert_int_equal(n, width);
    for (size_t k = 0; k < width; k++) {
        double m = sum[k] / count, s = sqrt(sq[k] / count - m * m);
        assert_true(fabs((double)mean[k] - m) <= 1e-6 * fmax(fabs(m), 1));
        assert_true(fabs((double)std[k] - s) <= 1e-6 * fmax(s, 1));
    }
    test_free(mean);
    test_free(std);
    ada_tensors_close(&t);
    b.len = 0;
    assert_ok(ada_buf_puts(&b, "{\"prompt\": \"a\"}\n{\"prompt\": \"b\", \"image\": \"absent.png\"}\n"));
    assert_ok(ada_write_file(rows, b.data, b.len));
    char out[512];
    assert_fails(ada_model_compose(&o, tiny_path(out, "none.h5")), ADA_EIO, "rows.jsonl:2");
    assert_ok(ada_write_file(rows, "{\"prompt\": \"a\"}\n", 16));
    assert_fails(ada_model_compose(&o, out), ADA_EINVAL, "no row with an image");
    assert_int_not_equal(access(out, F_OK), 0);
    ada_tower_close(&tower);
    ada_arena_free(&a);
    ada_buf_free(&b);
}

static void refuse(ada_compose_opts o, ada_status status, const char *words) {
    char out[512];
    assert_fails(ada_model_compose(&o, tiny_path(out, "refused.h5")), status, words);
    assert_int_not_equal(access(out, F_OK), 0);
}

static void refusals(void **state) {
    (void)state;
    ada_compose_opts good = of(vision_path), o;
    o = good, o.connector = "mlp3", refuse(o, ADA_EINVAL, "unknown connector 'mlp3'");
    o = good, o.pixel_shuffle = 3, refuse(o, ADA_EINVAL, "4 by 4 patches cannot be joined 3 by 3");
    o = good, o.pixel_shuffle = -1, refuse(o, ADA_EINVAL, "pixel shuffle of -1");
    o = good, o.hidden = 8, refuse(o, ADA_EINVAL, "no hidden width");
    o = good, o.dtype = ADA_F16, refuse(o, ADA_EINVAL, "bf16 or f32, not F16");
    o = good, o.features.layers = 1, o.features.layer[0] = 9, refuse(o, ADA_EINVAL, "no features at layer 9");
    o = good, o.text = vision_path, refuse(o, ADA_EINVAL, "where a text model is wanted");
    o = good, o.vision = o.text, refuse(o, ADA_EUNSUPPORTED, "has no vision tower");
    o = good, o.text = "absent", refuse(o, ADA_EIO, "absent");
    o = of(clip_path), o.features.rows = ADA_TOWER_FULL, o.pixel_shuffle = 2;
    refuse(o, ADA_EINVAL, "joins patches alone");
    char seeing[512];
    ada_tensors *t = composed(&good, "seeing.h5");
    ada_tensors_close(&t);
    o = good, o.text = tiny_path(seeing, "seeing.h5"), refuse(o, ADA_EINVAL, "sees already");
}

/* A trained connector becomes the model's own; all else stays, but for whose adapters fit. */
static void a_connector_is_folded(void **state) {
    (void)state;
    char model[512], adapter[512], out[512], other[512];
    ada_compose_opts o = of(vision_path);
    ada_model *m = NULL;
    ada_adapter *a = NULL;
    o.pixel_shuffle = 2;
    ada_tensors *t = composed(&o, "unfolded.h5"), *folded = NULL;
    (void)tiny_path(model, "unfolded.h5"), (void)tiny_path(adapter, "connector.h5");
    (void)tiny_path(out, "folded.h5"), (void)tiny_path(other, "adalink.h5");
    assert_ok(ada_model_open(&m, model, NULL));
    assert_ok(ada_adapter_new(&a, m, &(ada_adapter_opts){.method = "connector"}));
    for (int i = 0; i < a->nparams; i++)
        for (size_t k = 0; k < a->params[i].n; k++) a->params[i].p[k] = (float)(i + 1) + (float)k * 0.01f;
    assert_ok(ada_adapter_save(a, adapter));
    assert_ok(ada_model_fold(model, adapter, out));
    assert_ok(ada_tensors_open(&folded, out));
    assert_ok(ada_tensors_verify(folded));
    assert_int_equal(ada_tensors_count(folded), ada_tensors_count(t));
    for (size_t i = 0; i < ada_tensors_count(t); i++) {
        const ada_tensor *x = ada_tensors_at(t, i), *y = ada_tensors_find(folded, x->name);
        bool first = strcmp(x->name, "connector.weight") == 0,
             second = strcmp(x->name, "connector.bias") == 0;
        assert_non_null(y);
        assert_true(x->dtype == y->dtype && x->bytes == y->bytes);
        assert_memory_equal(first || second ? (const void *)a->params[second].p : x->data, y->data, x->bytes);
    }
    ada_adapter_close(&a);
    assert_ok(ada_adapter_new(&a, m, &(ada_adapter_opts){.rank = 2}));
    assert_ok(ada_adapter_save(a, other));
    assert_fails(ada_model_fold(model, other, out), ADA_EUNSUPPORTED, "of method 'adalink', 'connector' is");
    assert_fails(ada_model_fold(out, adapter, other), ADA_EMISMATCH, "");
    ada_adapter_close(&a);
    ada_model_close(&m);
    ada_tensors_close(&folded);
    ada_tensors_close(&t);
}

int main(void) {
    static ada_tower_opts last = {.f32 = true}, two = {.layers = 2, .layer = {1, -2}, .f32 = true};
    const struct CMUnitTest tests[] = {cmocka_unit_test(parts_are_whole),
                                       cmocka_unit_test(types),
                                       cmocka_unit_test(identity),
                                       cmocka_unit_test(layers_are_written),
                                       cmocka_unit_test(from_gguf),
                                       cmocka_unit_test_prestate(channels, &last),
                                       cmocka_unit_test_prestate(channels, &two),
                                       cmocka_unit_test(refusals),
                                       cmocka_unit_test(a_connector_is_folded)};
    return cmocka_run_group_tests(tests, begin, io_test_end);
}
