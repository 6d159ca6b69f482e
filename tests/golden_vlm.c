/* SPDX-License-Identifier: Apache-2.0
 * Tiny vision-language models against what transformers says of them in float32: ids as their processors
 * expand them, rows of images, logits, the loss of an AdaLink adapter of each modality and its gradients, and
 * what greedy and beam search say with and without it; conversations with images, by a template beside them;
 * a tower and an encoder-decoder that `compose` glues, against torch. Files and how they came to be:
 * golden/make_vlm.py, golden/make_vlm_chat.py, golden/make_mmproj.py, golden/make_pali.py. */
#include "tests/golden.h"
#include "engine/adapter.h"
#include "engine/generate.h"
#include "engine/rows.h"
#include "engine/step.h"
#include "io/json.h"

/* Measured × 4: f32 is within 3.4e-7 of the spread of an image's rows, 1.1e-6 of the logits', 3.8e-6 of a
 * gradient's norm; bf16 within 0.0044, 0.022 and 0.09. */
static const double rows_f32 = 1.4e-6, logits_f32 = 5e-6, grad_f32 = 2e-5, rows_bf16 = 0.018,
                    logits_bf16 = 0.09, grad_bf16 = 0.36;

enum { ROWS = 3, NEW = 12, BEAMS = 4, MOST = 256 };

typedef struct { /* two models of golden/, and the connector between them */
    const char *answers, *vision, *text, *connector;
    int shuffle, hidden;
} composed;

/* A model with its data file, as a run has them. */
typedef struct {
    ada_model *m;
    ada_tensors *t;
    ada_dataset *data;
    ada_images *images;
    ada_arena arena;
    ada_example e[ROWS];
} scene;

static const char *of_row(int i, const char *what) {
    static char name[32];
    (void)snprintf(name, sizeof name, "%d.%s", i, what);
    return name;
}

static void scene_open(scene *s, ada_model *m, const char *answers, const char *data) {
    *s = (scene){.m = m, .t = answers_open(answers)};
    assert_ok(ada_dataset_open(&s->data, golden_path(data), NULL));
    assert_int_equal(ada_dataset_count(s->data), ROWS);
    assert_ok(ada_images_open(&s->images, s->m->vision, NULL, MOST));
    for (int i = 0; i < ROWS; i++)
        assert_ok(ada_example_make(&s->e[i], s->m, s->images, ada_dataset_at(s->data, (size_t)i), NULL, false,
                                   0, &s->arena));
    assert_ok(ada_images_ready(s->images));
}

static void scene_close(scene *s) {
    ada_arena_free(&s->arena);
    ada_images_close(&s->images);
    ada_dataset_close(&s->data);
    ada_tensors_close(&s->t);
    ada_model_close(&s->m);
}

/* ---- ids, and the rows of images that they stand for ---- */

/* What holds the images: the row, or what an encoder reads. */
static const int32_t *seen_ids(const ada_example *e, int32_t *n) {
    *n = e->source ? e->nsource : e->n;
    return e->source ? e->source : e->ids;
}

static void equal_ids(const ada_model *m, int i, const int32_t *ids, const int32_t *want, int32_t n) {
    int32_t image = -1;
    for (int32_t k = 0; k < n; k++) {
        bool row = ids[k] >= m->c.vocab;
        if (row && image < 0) image = want[k];
        if (row ? want[k] != image : ids[k] != want[k])
            fail_msg("row %d: id %d is %d, wanted %d", i, k, ids[k], want[k]);
    }
}

static void same_ids(const scene *s, int i, const char *what, const int32_t *ids, int32_t n) {
    int32_t count, *want = ints(s->t, of_row(i, what), &count);
    if (n != count) fail_msg("row %d has %d ids, wanted %d", i, n, count);
    equal_ids(s->m, i, ids, want, n);
    test_free(want);
}

static void ids_agree(const scene *s, int i) {
    const ada_example *e = &s->e[i];
    if (e->source) {
        same_ids(s, i, "source", e->source, e->nsource);
        same_ids(s, i, "ids", e->ids + 1, e->n - 1); /* behind the decoder's start */
        return;
    }
    int32_t one, *prompt = ints(s->t, of_row(i, "prompt"), &one);
    same_ids(s, i, "ids", e->ids, e->n);
    assert_int_equal(e->prompt, *prompt);
    test_free(prompt);
}

static void images_agree(const scene *s, int i, double limit) {
    const ada_connector *c = &s->m->vision->connector;
    int32_t seen;
    const int32_t *ids = seen_ids(&s->e[i], &seen);
    if (!ada_tensors_find(s->t, of_row(i, "images"))) {
        for (int32_t k = 0; k < seen; k++) assert_true(ids[k] < s->m->c.vocab);
        return;
    }
    float *want = floats(s->t, of_row(i, "images"));
    int32_t n = (int32_t)answer(s->t, of_row(i, "images"))->shape[0], at = 0;
    size_t d = (size_t)c->d;
    float *x = test_malloc((size_t)c->in * sizeof *x), *y = test_malloc((size_t)n * d * sizeof *y);
    void *scratch = test_malloc(ada_connector_scratch(c, 1) + 1);
    for (int32_t k = 0; k < seen; k++) {
        int32_t row = ids[k] - s->m->c.vocab;
        if (row < 0) continue;
        assert_true(at < n);
        assert_ok(ada_images_read(s->images, &row, 1, x));
        ada_connector_forward(c, x, 1, y + (size_t)at++ * d, scratch);
    }
    assert_int_equal(at, n);
    check("rows of images, of their spread,", max_diff(y, want, (size_t)n * d) / spread(want, (size_t)n * d),
          limit);
    test_free(x);
    test_free(y);
    test_free(scratch);
    test_free(want);
}

/* ---- logits, and the gradients of an adapter ---- */

static ada_step *step_new(const scene *s, ada_arena *a, ada_adapter *adapter) {
    ada_step *step;
    ada_step_limits lim = {.rows = ROWS * MOST,
                           .items = ROWS,
                           .path = MOST,
                           .goals = ROWS * MOST,
                           .unique = ROWS * MOST,
                           .train = adapter != NULL,
                           .images = s->images,
                           .image_rows = ada_images_rows(s->images)};
    if (s->m->encoder.layers) lim.sources = lim.source_unique = lim.rows, lim.source_path = lim.path;
    assert_ok(ada_step_layout(&step, a, s->m, adapter, &lim));
    ada_step_begin(step);
    return step;
}

static void logits_agree(const scene *s, int i, double limit) {
    static uint8_t all[MOST];
    ada_arena a = {0};
    ada_step *step = step_new(s, &a, NULL);
    const ada_example *e = &s->e[i];
    ada_item item = {.ids = e->ids,
                     .wanted = all,
                     .n = e->source ? e->n - 1 : e->n, /* a decoder's last target is none of its inputs */
                     .prefix = e->prefix,
                     .source = e->source,
                     .nsource = e->nsource};
    size_t n = (size_t)item.n * (size_t)s->m->c.vocab;
    float *want = floats(s->t, of_row(i, "logits")), *logits = test_malloc(n * sizeof *logits);
    memset(all, 1, sizeof all);
    ada_step_see(step, &item, 1);
    assert_ok(ada_step_start(step));
    assert_ok(ada_step_forward(step, &item, 1));
    ada_step_logits(step, 0, item.n, logits);
    check("logits, of their spread,", max_diff(logits, want, n) / spread(want, n), limit);
    test_free(want);
    test_free(logits);
    ada_arena_free(&a);
}

static const ada_modality modalities[] = {ADA_TEXT, ADA_IMAGE};
static const char *const params[] = {"down", "up"};

static ada_adapter *adapter_of(const scene *s) {
    ada_adapter *a = NULL;
    float *scale = floats(s->t, "scale");
    int rank = (int)answer(s->t, "text.down")->shape[1];
    assert_ok(ada_adapter_new(&a, s->m, &(ada_adapter_opts){.rank = rank, .scale = (double)*scale}));
    for (int m = 0; m < 2; m++)
        for (int k = 0; k < 2; k++) {
            char name[32];
            (void)snprintf(name, sizeof name, "%s.%s", m ? "image" : "text", params[k]);
            ada_param_set *p = &a->params[a->first[modalities[m]] + k];
            float *value = floats(s->t, name);
            memcpy(p->p, value, p->n * sizeof *value);
            test_free(value);
        }
    assert_ok(ada_adapter_trainable(a));
    test_free(scale);
    return a;
}

static void gradients_agree(const scene *s, ada_adapter *adapter, double limit) {
    static ada_goal goals[ROWS * MOST];
    static float loss[ROWS * MOST];
    ada_item items[ROWS];
    ada_arena arena = {0};
    ada_step *step = step_new(s, &arena, adapter);
    int32_t n = 0, targets = 0;
    double mean = 0;
    for (int i = 0; i < ROWS; i++) {
        items[i] = ada_example_item(&s->e[i], i);
        targets += s->e[i].targets;
    }
    ada_items_sort(items, ROWS);
    for (int32_t i = 0; i < ROWS; i++)
        for (int32_t k = 0; k < items[i].n; k++)
            if (items[i].wanted[k]) goals[n++] = (ada_goal){i, k, items[i].ids[k + 1], 1.0F / (float)targets};
    assert_int_equal(n, targets);
    ada_step_see(step, items, ROWS);
    assert_ok(ada_step_start(step));
    assert_ok(ada_step_forward(step, items, ROWS));
    ada_step_loss(step, goals, n, loss, true);
    ada_step_end(step);
    for (int32_t i = 0; i < n; i++) mean += (double)loss[i] / n;
    float *want_loss = floats(s->t, "loss");
    check("loss", fabs(mean - (double)*want_loss) / fabs((double)*want_loss), limit);
    test_free(want_loss);
    for (int m = 0; m < 2; m++)
        for (int k = 0; k < 2; k++) {
            char name[32];
            (void)snprintf(name, sizeof name, "%s.%s.grad", m ? "image" : "text", params[k]);
            const ada_param_set *p = &adapter->params[adapter->first[modalities[m]] + k];
            float *want = floats(s->t, name);
            check(name, relative(p->g, want, p->n), limit);
            test_free(want);
        }
    ada_arena_free(&arena);
}

/* ---- what is said ---- */

typedef struct {
    int32_t ids[64], n;
} answered;

static int listen(void *ctx, const ada_token_event *e) {
    answered *a = ctx;
    if (e->id >= 0) a->ids[a->n++] = e->id;
    return 0;
}

static void same_answer(const scene *s, int i, const char *what, const answered *a) {
    int32_t n, *want = ints(s->t, of_row(i, what), &n);
    for (int32_t k = 0; k < n && k < a->n; k++)
        if (a->ids[k] != want[k])
            fail_msg("row %d, %s: token %d is %d, wanted %d", i, what, k, a->ids[k], want[k]);
    assert_int_equal(a->n, n);
    test_free(want);
}

/* From the ids of a run, and from text and files. */
static void says(const scene *s, ada_generator *g, int i, const char *what, int beams) {
    const ada_row *row = ada_dataset_at(s->data, (size_t)i);
    const ada_example *e = &s->e[i];
    const ada_generate_opts o = {
        .max_new = NEW, .beams = beams, .plain = true, .images = row->images, .nimages = row->nimages};
    answered a = {.n = 0}, b = {.n = 0};
    const int32_t *prompt = e->source ? e->source : e->ids;
    int32_t n = e->source ? e->nsource : e->prompt;
    assert_ok(ada_generate_ids(g, prompt, (size_t)n, &o, listen, &a, NULL));
    same_answer(s, i, what, &a);
    assert_ok(ada_generate_text(g, row->prompt, &o, listen, &b, NULL));
    same_answer(s, i, what, &b);
}

static void answers_agree(const scene *s, ada_adapter *adapter) {
    ada_generator *g = NULL, *h = NULL;
    assert_ok(ada_generator_open_with(&g, s->m, NULL, s->images, 0));
    assert_ok(ada_generator_open_with(&h, s->m, adapter, s->images, 0));
    for (int i = 0; i < ROWS; i++) {
        says(s, g, i, "greedy", 0);
        says(s, g, i, "beam", BEAMS);
        says(s, h, i, "adapted", 0);
    }
    ada_generator_close(&g);
    ada_generator_close(&h);
}

static void scene_agrees(scene *s, bool f32) {
    ada_adapter *a = adapter_of(s);
    for (int i = 0; i < ROWS; i++) {
        ids_agree(s, i);
        images_agree(s, i, f32 ? rows_f32 : rows_bf16);
        logits_agree(s, i, f32 ? logits_f32 : logits_bf16);
    }
    gradients_agree(s, a, f32 ? grad_f32 : grad_bf16);
    if (f32) answers_agree(s, a);
    ada_adapter_close(&a);
    scene_close(s);
}

/* A folder of Hugging Face's, or of llama.cpp's two files. */
static ada_model *open_either(const char *name, bool f32) {
    char text[1100], mmproj[1100];
    ada_model *m = NULL;
    (void)snprintf(text, sizeof text, "%s/text.gguf", golden_path(name));
    (void)snprintf(mmproj, sizeof mmproj, "%s/mmproj.gguf", golden_path(name));
    if (access(mmproj, R_OK) != 0) return golden_model(name, f32);
    assert_ok(ada_model_open(&m, text, &(ada_model_opts){.f32 = f32, .mmproj = mmproj}));
    assert_ok(ada_model_prepare(m, ADA_FORWARD | ADA_BACKWARD));
    return m;
}

static void agrees(const golden *g, bool f32) {
    char data[128];
    scene s;
    (void)snprintf(data, sizeof data, "%s/data.jsonl", g->model);
    scene_open(&s, open_either(g->model, f32), g->answers, data);
    scene_agrees(&s, f32);
}

static void f32_agrees(void **state) {
    agrees(*state, true);
}
static void bf16_agrees(void **state) {
    agrees(*state, false);
}

/* ---- composed: the connector's numbers are the answers' ---- */

static void connector_of(const ada_tensors *t, ada_connector *c) {
    bool two = c->kind == ADA_CONNECTOR_MLP2;
    size_t in = (size_t)c->in, hidden = (size_t)c->hidden, d = (size_t)c->d;
    float *const to[] = {c->w1, c->b1, c->w2, c->b2};
    const size_t count[] = {in * (two ? hidden : d), two ? hidden : d, hidden * d, d};
    for (int i = 0; i < (two ? 4 : 2); i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "connector.%d", i);
        float *value = floats(t, name);
        assert_int_equal(ada_tensor_count(answer(t, name)), count[i]);
        memcpy(to[i], value, count[i] * sizeof *value);
        test_free(value);
    }
    c->scale = 1;
}

static void composed_agrees(void **state) {
    const composed *k = *state;
    char vision[1024], text[1024], out[1024];
    ada_model *m = NULL;
    scene s;
    (void)snprintf(vision, sizeof vision, "%s", golden_path(k->vision));
    (void)snprintf(text, sizeof text, "%s", golden_path(k->text));
    (void)snprintf(out, sizeof out, "%s", io_path("composed.h5"));
    assert_ok(ada_model_compose(&(ada_compose_opts){.vision = vision,
                                                    .text = text,
                                                    .connector = k->connector,
                                                    .pixel_shuffle = k->shuffle,
                                                    .hidden = k->hidden,
                                                    .dtype = ADA_F32},
                                out));
    assert_ok(ada_model_open(&m, out, &(ada_model_opts){.f32 = true}));
    assert_ok(ada_model_prepare(m, ADA_FORWARD | ADA_BACKWARD));
    scene_open(&s, m, k->answers, "vlm/pali.jsonl");
    connector_of(s.t, &m->vision->connector);
    scene_agrees(&s, true);
}

/* ---- conversations ---- */

/* A model's folder with a template and one row; returns the row's file. */
static const char *furnish(const ada_json *k) {
    static const char *const files[] = {"config.json",
                                        "model.safetensors",
                                        "processor_config.json",
                                        "preprocessor_config.json",
                                        "tokenizer.json",
                                        "tokenizer_config.json",
                                        "a.png",
                                        "b.png"};
    const char *template = ada_json_str(ada_json_get(k, "template"), "");
    ada_json *row = ada_json_new_obj();
    ada_buf b = {0};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char file[128], name[64];
        (void)snprintf(file, sizeof file, "vlm/%s/%s", ada_json_str(ada_json_get(k, "model"), ""), files[i]);
        (void)snprintf(name, sizeof name, "model/%s", files[i]);
        (void)unlink(io_path(name));
        if (access(golden_path(file), R_OK) == 0)
            assert_int_equal(symlink(golden_path(file), io_path(name)), 0);
    }
    (void)io_file("model/chat_template.jinja", template, strlen(template));
    assert_ok(ada_json_set(row, "messages", ada_json_share(ada_json_get(k, "messages"))));
    assert_ok(ada_json_text(row, 0, &b));
    const char *path = io_file("model/row.jsonl", b.data, b.len);
    ada_json_close(&row);
    ada_buf_free(&b);
    return path;
}

/* As a row to learn the last answer from, and as what generation starts from. */
static void talk_agrees(const ada_json *k, int i) {
    ada_model *m = NULL;
    ada_dataset *data = NULL;
    ada_images *images = NULL;
    ada_arena arena = {0};
    ada_example e = {0};
    ada_ids ids = {0};
    const ada_json *list = ada_json_get(k, "ids");
    int32_t want[MOST], n = (int32_t)ada_json_len(list);
    int32_t prompt = (int32_t)ada_json_int(ada_json_get(k, "prompt"), -1);
    assert_in_range(n, 1, MOST);
    for (int32_t j = 0; j < n; j++) want[j] = (int32_t)ada_json_int(ada_json_at(list, (size_t)j), -1);
    assert_ok(ada_dataset_open(&data, furnish(k), NULL));
    assert_ok(ada_model_open(&m, io_path("model"), NULL));
    assert_ok(ada_images_open(&images, m->vision, NULL, MOST));
    const ada_row *row = ada_dataset_at(data, 0);
    size_t turns = row->nmessages;
    assert_int_equal(row->nimages, ada_json_len(ada_json_get(k, "images")));
    assert_ok(ada_example_make(&e, m, images, row, row->messages[turns - 1].content, false, 0, &arena));
    /* the white space that a template puts behind the last answer is no part of the row: up to two tokens */
    assert_in_range(e.n, prompt + 1, n);
    assert_true(n - e.n <= 2);
    equal_ids(m, i, e.ids, want, e.n);
    assert_int_equal(e.prompt, prompt);
    assert_int_equal(e.targets, e.n - prompt);
    ada_sight sight = {.images = images, .paths = row->images, .n = row->nimages};
    assert_ok(ada_prompt_chat(m, &sight, row->messages, turns - 1, &ids));
    assert_int_equal(ids.len, prompt);
    equal_ids(m, i, ids.data, want, prompt);
    assert_memory_equal(ids.data, e.ids, (size_t)prompt * sizeof *ids.data); /* the same rows of images */
    ada_ids_free(&ids);
    ada_arena_free(&arena);
    ada_images_close(&images);
    ada_dataset_close(&data);
    ada_model_close(&m);
}

static void talks_agree(void **state) {
    (void)state;
    ada_json *cases = NULL;
    assert_ok(ada_json_open(&cases, golden_path("vlm/chat.json")));
    assert_true(ada_json_len(cases) >= 6);
    assert_int_equal(mkdir(io_path("model"), 0777), 0);
    for (size_t i = 0; i < ada_json_len(cases); i++) talk_agrees(ada_json_at(cases, i), (int)i);
    ada_json_close(&cases);
}

int main(void) {
    static composed pali[] = {{"vlm/pali_linear", "vit", "t5_gated", "linear", 2, 0},
                              {"vlm/pali_mlp2", "siglip_bare", "t5_relu", "mlp2", 1, 20}};
    const struct CMUnitTest glued[] = {
        {"a ViT and T5 1.1, one product", composed_agrees, io_test_begin, io_test_end, &pali[0]},
        {"a SigLIP and T5 1.0, two products", composed_agrees, io_test_begin, io_test_end, &pali[1]},
        {"conversations", talks_agree, io_test_begin, io_test_end, NULL}};
    static golden all[] = {
        {"vlm/llava_clip", "vlm/llava_clip"},
        {"vlm/llava_siglip", "vlm/llava_siglip"},
        {"vlm/llava_tied", "vlm/llava_tied"},
        {"vlm/paligemma_1", "vlm/paligemma_1"},
        {"vlm/paligemma_2", "vlm/paligemma_2"},
        {"vlm/idefics3_tiles", "vlm/idefics3_tiles"},
        {"vlm/smolvlm", "vlm/smolvlm"},
        {"vlm/llava_layers", "vlm/llava_layers"},
        {"vlm/llava_first", "vlm/llava_first"},
        {"vlm/mmproj_clip", "vlm/mmproj_clip"},
        {"vlm/mmproj_layers", "vlm/mmproj_layers"},
        {"vlm/mmproj_siglip", "vlm/mmproj_siglip"},
        {"vlm/mmproj_tiles", "vlm/mmproj_tiles"},
    };
    return golden_run(all, sizeof all / sizeof *all, f32_agrees, bf16_agrees) +
           cmocka_run_group_tests(glued, NULL, NULL);
}
