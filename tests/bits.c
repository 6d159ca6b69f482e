/* SPDX-License-Identifier: Apache-2.0
 * The promise of bits, for every kind of model: training, evaluation and generation end with the same bits
 * for 1, 2, 3 and 4 threads; resumed at every step; with a cache of features that is empty, full or absent;
 * with rows alone and batched, prompts in a new generator and a used one; in f32 and bf16. Must not know:
 * what the right bits are. Invariant: each run starts from files, as a process of its own would. */
#include "engine/adapter.h"
#include "engine/par.h"
#include "engine/state.h"
#include "engine/tower.h"
#include "engine/vision.h"
#include "tests/tiny.h"

enum { STEPS = 5, RANK = 4, MAX = 1 << 16, ROWS = 12, LONG = 5, PROMPTS = 3, GOLDEN = 1024 };

typedef struct kind {
    const char *name, *golden; /* whose weights, in tests/golden */
    const char *site;          /* of the adapter; NULL: the only one there is */
    const char *vision;        /* a tower of tests/golden to be glued before it */
    bool prefix;               /* as tiny_prefix */
    bool sees;
    bool spells; /* what is trained is the connector, by the loss of embeddings */
} kind;

static const kind kinds[] = {
    {.name = "decoder", .golden = "tied_gqa"},
    {.name = "decoder with a prefix mask", .golden = "tied_gqa", .prefix = true},
    {.name = "encoder-decoder, its encoder", .golden = "t5_gated", .site = "encoder"},
    {.name = "encoder-decoder, its decoder", .golden = "t5_gated", .site = "decoder"},
    {.name = "encoder-decoder, both", .golden = "t5_relu", .site = "both"},
    {.name = "LLaVA", .golden = "vlm/llava_clip", .sees = true},
    {.name = "PaliGemma", .golden = "vlm/paligemma_1", .sees = true},
    {.name = "Idefics3", .golden = "vlm/idefics3_tiles", .sees = true},
    {.name = "SmolVLM", .golden = "vlm/smolvlm", .sees = true},
    {.name = "a connector that spells", .golden = "tied_gqa", .vision = "vit", .sees = true, .spells = true},
    {.name = "PaLI", .golden = "t5_gated", .site = "both", .vision = "vit", .sees = true},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* ---- a kind's model and rows ---- */

static char model_path[GOLDEN], data[512], cache[512];

static const char *golden(char out[GOLDEN], const char *name) {
    char path[128];
    (void)snprintf(path, sizeof path, "golden/%s", name);
    (void)snprintf(out, GOLDEN, "%s", io_tests_path(path));
    return out;
}

static const char *picture(char out[GOLDEN], int i) {
    return golden(out, i % 2 ? "vlm/llava_clip/b.png" : "vlm/llava_clip/a.png");
}

static void glue(const char *vision) {
    char tower[GOLDEN], text[512];
    golden(tower, vision);
    (void)tiny_path(model_path, "composed.h5");
    assert_ok(ada_model_compose(
        &(ada_compose_opts){
            .vision = tower, .text = tiny_path(text, "model"), .pixel_shuffle = 2, .dtype = ADA_F32},
        model_path));
}

/* Rows with choices and without, a text where no encoder is; one so long that each of four threads has panels
 * of its own; of a model that sees: with images or none, but one each where it is spelled. */
static void rows_write(bool sees, bool encodes, bool spells) {
    char path[GOLDEN], words[301];
    ada_buf b = {0};
    for (size_t i = 0; i < sizeof words; i++) words[i] = "xyzuvwxyz "[i % 10];
    words[sizeof words - 1] = '\0';
    for (int i = 0; i < ROWS; i++) {
        static const char *const marks[] = {"", "", "<image> and <image>"};
        int images = spells ? 1 : sees ? (i + 1) % 3 : 0;
        assert_ok(ada_buf_printf(&b, "{\"prompt\": \"%ssay %.*s%c:\", \"completion\": \" %s\"", marks[images],
                                 i == LONG ? (int)sizeof words : i % 5, words, "abcd"[i % 4],
                                 i % 4 < 2 ? "yes" : "no"));
        if (i % 4) assert_ok(ada_buf_puts(&b, ", \"choices\": [\" no\", \" yes\"]"));
        for (int k = 0; k < images; k++)
            assert_ok(ada_buf_printf(&b, "%s\"%s\"", k ? ", " : ", \"images\": [", picture(path, i + k)));
        assert_ok(ada_buf_puts(&b, images ? "]}\n" : "}\n"));
    }
    if (!encodes && !spells) assert_ok(ada_buf_puts(&b, "{\"text\": \"some text\"}\n"));
    assert_ok(ada_write_file(tiny_path(data, "rows.jsonl"), b.data, b.len));
    ada_buf_free(&b);
}

static int begin(void **state) {
    const kind *k = *state;
    tiny_golden = k->golden, tiny_prefix = k->prefix;
    bool whole = k->sees && !k->vision; /* with a tokenizer of its own */
    if (whole ? io_test_begin(state) : tiny_begin(state)) return 1;
    if (whole)
        (void)golden(model_path, k->golden);
    else
        (void)tiny_path(model_path, "model");
    if (k->vision) glue(k->vision);
    rows_write(k->sees, k->site != NULL, k->spells);
    (void)tiny_path(cache, "cache");
    return 0;
}

/* ---- what a run ends with ---- */

typedef struct outcome {
    struct {
        double loss, grad_norm;
    } step[STEPS];
    size_t n;
    unsigned char bytes[MAX]; /* the adapter, what it says of rows, and to prompts */
} outcome;

static void add(outcome *o, const void *p, size_t n) {
    assert_true(o->n + n <= MAX);
    memcpy(o->bytes + o->n, p, n);
    o->n += n;
}

static int hear(void *ctx, const ada_token_event *e) {
    add(ctx, &e->id, sizeof e->id);
    add(ctx, &e->logprob, sizeof e->logprob);
    return 0;
}

static void see(void *ctx, const ada_eval_row *r) {
    if (r->nchoices) add(ctx, r->loglik, r->nchoices * sizeof(double));
    add(ctx, &r->nll, sizeof r->nll);
    if (r->prediction) add(ctx, r->prediction, strlen(r->prediction));
}

static void evaluate(outcome *o, ada_model *m, ada_adapter *a, const char *rows, const char *features,
                     size_t batch, int beams) {
    ada_json *j = NULL;
    assert_ok(
        ada_eval(m, a,
                 &(ada_eval_opts){
                     .data = rows, .features = features, .batch_tokens = batch, .max_new = 6, .beams = beams},
                 see, o, &j));
    ada_json_close(&j);
}

/* Sampled, then by beams. */
static void say(outcome *o, ada_generator *g, int prompt, bool sees) {
    static const char *const text[PROMPTS] = {"say it:", "say xyz:", "no"};
    char path[2][GOLDEN];
    const char *const images[] = {picture(path[0], 1), picture(path[1], 0)};
    ada_generate_opts opts = {.max_new = 8,
                              .temperature = 1,
                              .logprobs = true,
                              .plain = true,
                              .ignore_eos = true,
                              .images = images,
                              .nimages = sees ? (size_t)prompt : 0};
    assert_ok(ada_generate_text(g, text[prompt], &opts, hear, o, NULL));
    opts.temperature = 0, opts.logprobs = opts.ignore_eos = false, opts.beams = 3;
    assert_ok(ada_generate_text(g, text[prompt], &opts, hear, o, NULL));
}

typedef struct run { /* how it is done, which must not matter */
    int threads;
    const char *features, *out, *resume;
    bool spoilt; /* the tower would say other things, if it were asked */
} run;

static void train(outcome *o, ada_model *m, ada_adapter *a, const run *r, bool spells) {
    ada_trainer *t = NULL;
    ada_report rep;
    ada_status st;
    assert_ok(ada_trainer_open(&t, m, a,
                               &(ada_train_opts){.data = data,
                                                 .steps = STEPS,
                                                 .batch = 4,
                                                 .lr = spells ? 0.005 : 0.05,
                                                 .loss = spells ? "embeddings" : NULL,
                                                 .all_tokens = !spells,
                                                 .features = r->features,
                                                 .out = r->out,
                                                 .save_every = r->out ? 1 : 0,
                                                 .keep = STEPS,
                                                 .resume = r->resume}));
    while ((st = ada_trainer_step(t, &rep)) == ADA_OK) {
        o->step[rep.step - 1].loss = rep.loss;
        o->step[rep.step - 1].grad_norm = rep.grad_norm;
    }
    assert_int_equal(st, ADA_DONE);
    ada_trainer_close(&t);
    for (int i = 0; i < a->nparams; i++) add(o, a->params[i].p, a->params[i].n * sizeof(float));
}

static float tower_eps(const ada_model *m, float eps) {
    ada_config *c = (ada_config *)(uintptr_t)ada_tower_config(m->vision->tower);
    float old = c->norm_eps;
    c->norm_eps = eps;
    return old;
}

static outcome whole_run(const kind *k, bool f32, run r) {
    outcome o = {.n = 0};
    ada_adapter *a = NULL;
    ada_generator *g = NULL;
    ada_model *m = tiny_open(model_path, f32);
    (void)ada_par_force(r.threads);
    float eps = r.spoilt ? tower_eps(m, 1) : 0;
    if (r.resume)
        assert_ok(ada_adapter_open(&a, m, r.resume));
    else
        assert_ok(ada_adapter_new(
            &a, m,
            k->spells ? &(ada_adapter_opts){.method = "connector"}
                      : &(ada_adapter_opts){.rank = RANK, .activation = "gelu", .site = k->site}));
    train(&o, m, a, &r, k->spells);
    evaluate(&o, m, a, data, r.features, 0, 1);
    if (r.spoilt) (void)tower_eps(m, eps); /* generation has no cache */
    assert_ok(ada_generator_open(&g, m, a, 0));
    for (int i = 0; i < PROMPTS; i++) say(&o, g, i, k->sees);
    ada_generator_close(&g);
    ada_adapter_close(&a);
    ada_model_close(&m);
    return o;
}

/* from: the first step that both did. */
static void same(const outcome *a, const outcome *b, int from, const char *how, int which) {
    for (int i = from; i < STEPS; i++)
        if (memcmp(&a->step[i], &b->step[i], sizeof a->step[i]) != 0)
            fail_msg("%s %d: step %d has another loss or gradient", how, which, i + 1);
    for (size_t i = 0; i < a->n && i < b->n; i++)
        if (a->bytes[i] != b->bytes[i]) fail_msg("%s %d: byte %zu of %zu differs", how, which, i, a->n);
    assert_int_equal(a->n, b->n);
}

/* ---- what must not matter ---- */

static void threads_and_resumption(const kind *k, bool f32) {
    char out[512];
    ada_buf from = {0};
    static outcome one, other;
    one = whole_run(k, f32, (run){.threads = 1, .out = tiny_path(out, f32 ? "out32" : "out16")});
    assert_true(one.n > 2 * RANK * 32 * sizeof(float) && one.step[STEPS - 1].loss < one.step[0].loss);
    for (int threads = 2; threads <= 4; threads++) {
        other = whole_run(k, f32, (run){.threads = threads});
        same(&one, &other, 0, "threads", threads);
    }
    for (int step = 1; step < STEPS; step++) {
        from.len = 0;
        assert_ok(ada_state_path(out, step, &from));
        other = whole_run(k, f32, (run){.threads = 1, .resume = from.data});
        same(&one, &other, step, "resumed after step", step);
    }
    ada_buf_free(&from);
    for (int found = 0; k->sees && found < 2; found++) {
        other = whole_run(k, f32, (run){.threads = 1, .features = cache, .spoilt = found});
        same(&one, &other, 0, "cache, found", found);
    }
}

/* Every row in a file of its own. */
static void evaluate_alone(outcome *o, ada_model *m, ada_adapter *a, int beams) {
    char *text, one[512];
    size_t n;
    assert_ok(ada_read_file(data, &text, &n));
    for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        assert_ok(ada_write_file(tiny_path(one, "one.jsonl"), line, (size_t)(end + 1 - line)));
        evaluate(o, m, a, one, NULL, 0, beams);
    }
    ada_os.release(text);
}

static void company(const kind *k, bool f32) {
    static outcome all, other;
    ada_model *m = tiny_open(model_path, f32);
    ada_adapter *a = NULL;
    ada_generator *g = NULL;
    (void)ada_par_force(2);
    assert_ok(ada_adapter_new(&a, m, &(ada_adapter_opts){.rank = RANK, .site = k->site}));
    for (int i = 0; i < a->nparams; i++)
        for (size_t j = 0; j < a->params[i].n; j++) a->params[i].p[j] = (float)sin((double)j + i) / 4;
    for (int beams = 1; beams <= 3; beams += 2) {
        all.n = 0, evaluate(&all, m, a, data, NULL, 1000, beams);
        for (int tokens = 1; tokens < 50; tokens += 40) {
            other.n = 0, evaluate(&other, m, a, data, NULL, (size_t)tokens, beams);
            same(&all, &other, 0, "batches of fewer tokens:", tokens);
        }
        other.n = 0, evaluate_alone(&other, m, a, beams);
        same(&all, &other, 0, "rows alone, beams", beams);
    }
    assert_ok(ada_generator_open(&g, m, a, 0));
    all.n = other.n = 0;
    for (int i = 0; i < PROMPTS; i++) say(&all, g, i, k->sees);
    for (int i = 0; i < PROMPTS; i++) {
        ada_generator_close(&g);
        assert_ok(ada_generator_open(&g, m, a, 0));
        say(&other, g, i, k->sees);
    }
    same(&all, &other, 0, "a new generator for each of", PROMPTS);
    ada_generator_close(&g);
    ada_adapter_close(&a);
    ada_model_close(&m);
}

static void same_bits(void **state) {
    for (int f32 = 0; f32 < 2; f32++) {
        threads_and_resumption(*state, f32);
        company(*state, f32);
    }
}

int main(void) {
    struct CMUnitTest tests[KINDS];
    for (int i = 0; i < KINDS; i++) {
        static kind all[KINDS];
        all[i] = kinds[i];
        tests[i] = (struct CMUnitTest){all[i].name, same_bits, begin, io_test_end, &all[i]};
    }
    return _cmocka_run_group_tests("bits", tests, KINDS, NULL, NULL);
}
