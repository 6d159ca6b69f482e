/* SPDX-License-Identifier: Apache-2.0
 * Encoder-decoders from rows to numbers: what is source and what is target, packs whose rows have sources,
 * training at either site, the adapter's file. Choices alone and in company: bits.c. */
#include "engine/adapter.h"
#include "engine/batch.h"
#include "engine/buckets.h"
#include "engine/rows.h"
#include "engine/train.h"
#include "tests/tiny.h"

/* T5's own: 32 buckets up to 128, both sides; checked against its formula by hand. */
static void test_buckets(void **state) {
    (void)state;
    ada_config c = {.buckets = 32, .max_distance = 128, .mask = ADA_MASK_FULL};
    static const int32_t both[][2] = {{0, 0},    {-1, 1},    {1, 17},   {7, 23},   {-7, 7},
                                      {8, 24},   {11, 24},   {12, 25},  {-16, 10}, {-32, 12},
                                      {-64, 14}, {-127, 15}, {128, 31}, {500, 31}};
    for (size_t i = 0; i < sizeof both / sizeof *both; i++)
        assert_int_equal(ada_bucket(&c, both[i][0]), both[i][1]);
    c.mask = ADA_MASK_CAUSAL;
    static const int32_t one[][2] = {{0, 0}, {3, 0}, {-15, 15}, {-16, 16}, {-32, 21}, {-64, 26}, {-128, 31}};
    for (size_t i = 0; i < sizeof one / sizeof *one; i++)
        assert_int_equal(ada_bucket(&c, one[i][0]), one[i][1]);
}

static void test_example(void **state) {
    (void)state;
    ada_arena a = {0};
    ada_model *m = tiny_model(true);
    ada_example e;
    ada_row row = {.line = 7, .prompt = "abc", .completion = "de"};
    int32_t source[] = {tiny_id('a'), tiny_id('b'), tiny_id('c')};
    int32_t ids[] = {m->c.start_token, tiny_id('d'), tiny_id('e'), TINY_EOS};
    uint8_t mask[] = {0, 1, 1, 1};
    assert_ok(ada_example_make(&e, m, NULL, &row, NULL, true, 0, &a));
    assert_int_equal(e.nsource, 3);
    assert_memory_equal(e.source, source, sizeof source);
    assert_int_equal(e.n, 4);
    assert_memory_equal(e.ids, ids, sizeof ids);
    assert_memory_equal(e.mask, mask, sizeof mask);
    assert_true(e.prompt == 1 && e.targets == 3 && !e.truncated && ada_example_tokens(&e) == 7);
    assert_ok(ada_example_make(&e, m, NULL, &row, "dd", false, 2, &a)); /* each side is cut on its own */
    assert_true(e.truncated && e.nsource == 2 && e.source[0] == tiny_id('b') && e.n == 2 && e.targets == 1);
    row.prompt = ""; /* an encoder has something to read in any case */
    assert_ok(ada_example_make(&e, m, NULL, &row, NULL, false, 0, &a));
    assert_true(e.nsource == 1 && e.source[0] == TINY_EOS);
    assert_fails(ada_example_make(&e, m, NULL, &(ada_row){.line = 3, .text = "abc"}, NULL, false, 0, &a),
                 ADA_EUNSUPPORTED, "line 3: a model with an encoder wants a prompt and a completion");
    ada_arena_free(&a);
    ada_model_close(&m);
}

/* Equal prefixes of different sources share nothing; a source is stored once. */
static void test_pack(void **state) {
    (void)state;
    static const int32_t s[] = {5, 6, 7}, t[] = {0, 9, 8, 7}, u[] = {0, 9, 4};
    static const uint8_t all[] = {1, 1, 1, 1};
    ada_arena a = {0};
    ada_packer *p;
    ada_item v[] = {
        {t, all, 4, 0, s, 3, 0}, {u, all, 3, 1, s, 2, 0}, {u, all, 3, 2, s, 3, 0}, {t, all, 2, 3, s, 2, 0}};
    assert_ok(ada_packer_layout(&p, &a, 10, 4, 5));
    ada_items_sort(v, 4);
    int32_t rows = 0, sources = 0;
    for (int i = 0; i < 4; i++) {
        rows += ada_item_cost(i ? &v[i - 1] : NULL, &v[i]);
        sources += ada_item_source_cost(i ? &v[i - 1] : NULL, &v[i]);
    }
    assert_true(rows == 8 && sources == 5);
    assert_ok(ada_packer_build(p, v, 4));
    const ada_pack *k = ada_packer_pack(p), *e = ada_packer_sources(p);
    assert_true(k->T == 8 && e->T == 5 && e->nsegs == 2 && e->nout == 5);
    assert_true(e->segs[0].len == 2 && e->segs[1].start == 2 && e->segs[1].len == 3);
    for (int32_t g = 0; g < k->nsegs; g++) {
        const ada_segment *x = &k->segs[g];
        assert_int_equal(ada_packer_reads(p)[g], x->start < 3 ? 0 : 1);
        if (x->parent >= 0) assert_int_equal(ada_packer_reads(p)[x->parent], ada_packer_reads(p)[g]);
    }
    ada_item more = {u, all, 3, 0, t, 4, 0};
    ada_item two[] = {more, v[3]};
    assert_fails(ada_packer_build(p, two, 2), ADA_EINTERNAL, "outgrew");
    ada_arena_free(&a);
}

static double train(ada_model *m, ada_adapter *a, const char *data, const char *out, double *first) {
    ada_trainer *t = NULL;
    ada_report r;
    double last = 0;
    assert_ok(ada_trainer_open(
        &t, m, a, &(ada_train_opts){.data = data, .steps = 30, .batch = 8, .lr = 0.03, .out = out}));
    for (int i = 0; ada_trainer_step(t, &r) == ADA_OK; i++) {
        if (i == 0) *first = r.loss;
        last = r.loss;
    }
    ada_trainer_close(&t);
    return last;
}

static void learns(void **state) {
    static const char *const encoder[] = {"text/down", "text/up", NULL},
                             *const decoder[] = {"decoder_text/down", "decoder_text/up", NULL},
                             *const both[] = {"text/down", "text/up", "decoder_text/down", "decoder_text/up",
                                              NULL};
    const char *site = *state, *const *names = !strcmp(site, "encoder")   ? encoder
                                               : !strcmp(site, "decoder") ? decoder
                                                                          : both;
    char data[512], out[512], file[600];
    ada_model *m = tiny_model(true);
    ada_adapter *a = NULL, *b = NULL;
    ada_json *j = NULL;
    double first;
    (void)tiny_rows(data, "rows.jsonl", 40);
    assert_ok(ada_adapter_new(&a, m, &(ada_adapter_opts){.rank = 8, .site = site}));
    for (int i = 0; i < a->nparams; i++) assert_string_equal(a->params[i].name, names[i]);
    assert_null(names[a->nparams]);
    double last = train(m, a, data, tiny_path(out, site), &first);
    if (!(last < 0.8 * first)) fail_msg("loss from %g to %g", first, last);
    (void)snprintf(file, sizeof file, "%s/adapter.h5", out);
    assert_ok(ada_adapter_describe(file, &j));
    assert_string_equal(ada_json_str(ada_json_get(j, "site"), ""), site);
    assert_ok(ada_adapter_open(&b, m, file));
    assert_int_equal(b->nparams, a->nparams);
    for (int i = 0; i < a->nparams; i++)
        assert_memory_equal(a->params[i].p, b->params[i].p, a->params[i].n * sizeof(float));
    ada_json_close(&j);
    ada_adapter_close(&a);
    ada_adapter_close(&b);
    ada_model_close(&m);
}

static void test_default_site(void **state) {
    (void)state;
    ada_model *m = tiny_model(true);
    ada_adapter *a = NULL;
    assert_ok(ada_adapter_new(&a, m, NULL));
    assert_true(a->site == ADA_SITE_ENCODER && a->first[ADA_TEXT] == 0 && a->first[ADA_DECODER] < 0);
    ada_adapter_close(&a);
    assert_fails(ada_adapter_new(&a, m, &(ada_adapter_opts){.site = "head"}), ADA_EINVAL, "site 'head'");
    ada_model_close(&m);
    assert_ok(ada_model_open(&m, io_tests_path("golden/tied_gqa"), NULL));
    assert_fails(ada_adapter_new(&a, m, &(ada_adapter_opts){.site = "both"}), ADA_EINVAL, "has no encoder");
    ada_model_close(&m);
}

typedef struct {
    double loglik[256];
    size_t n;
} heard;

static void hear(void *ctx, const ada_eval_row *r) {
    heard *h = ctx;
    for (size_t i = 0; i < r->nchoices; i++) h->loglik[h->n++] = r->loglik[i];
}

/* Exact match goes by what is generated from the source, greedily or by beams. */
static void test_exact_match(void **state) {
    (void)state;
    char data[512];
    ada_model *m = tiny_model(true);
    ada_json *j = NULL;
    static const char rows[] = "{\"prompt\": \"abc\", \"completion\": \"de\"}\n"
                               "{\"prompt\": \"\", \"completion\": \"f\"}\n";
    assert_ok(ada_write_file(tiny_path(data, "open.jsonl"), rows, sizeof rows - 1));
    for (int beams = 1; beams < 4; beams += 2) {
        assert_ok(
            ada_eval(m, NULL, &(ada_eval_opts){.data = data, .max_new = 8, .beams = beams}, NULL, NULL, &j));
        assert_true(ada_json_num(ada_json_get(j, "loss"), 0) > 0);
        assert_true(ada_json_num(ada_json_get(j, "exact_match"), -1) == 0);
        ada_json_close(&j);
    }
    ada_model_close(&m);
}

/* Our own file says the same as the one it was made from. */
static void test_import(void **state) {
    (void)state;
    char data[512], file[512], out[512];
    ada_model *m = tiny_model(true), *own = NULL;
    ada_json *j = NULL;
    heard a = {0}, b = {0};
    (void)tiny_rows(data, "import.jsonl", 4);
    assert_ok(ada_model_import(tiny_path(out, "model"), NULL, tiny_path(file, "pair.h5"), ADA_F32));
    assert_ok(ada_model_open(&own, file, &(ada_model_opts){.f32 = true}));
    assert_ok(ada_eval(m, NULL, &(ada_eval_opts){.data = data}, hear, &a, &j));
    ada_json_close(&j);
    assert_ok(ada_eval(own, NULL, &(ada_eval_opts){.data = data}, hear, &b, &j));
    ada_json_close(&j);
    assert_int_equal(a.n, 8);
    assert_memory_equal(&a, &b, sizeof a);
    ada_model_close(&own);
    ada_model_close(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buckets),
        cmocka_unit_test(test_example),
        cmocka_unit_test(test_pack),
        {"learns at the encoder", learns, NULL, NULL, "encoder"},
        {"learns at the decoder", learns, NULL, NULL, "decoder"},
        {"learns at both", learns, NULL, NULL, "both"},
        cmocka_unit_test(test_default_site),
        cmocka_unit_test(test_exact_match),
        cmocka_unit_test(test_import),
    };
    return cmocka_run_group_tests(tests, tiny_begin_pair, io_test_end);
}
