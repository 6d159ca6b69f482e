/* SPDX-License-Identifier: Apache-2.0
 * Evaluation against plain passes of whole rows: log-likelihoods, losses, greedy output; metrics by
 * hand; rows that cannot be scored are refused by their line. The same bits in any batch: bits.c. */
#include "engine/adapter.h"
#include "engine/example.h"
#include "engine/score.h"
#include "tests/tiny.h"

typedef struct seen {
    int n;
    size_t line[32];
    double loglik[32][4], nll[32];
    char prediction[32][128], target[32][64];
} seen;

static void see(void *ctx, const ada_eval_row *r) {
    seen *s = ctx;
    s->line[s->n] = r->line;
    s->nll[s->n] = r->nll;
    for (size_t i = 0; i < r->nchoices; i++) s->loglik[s->n][i] = r->loglik[i];
    (void)snprintf(s->prediction[s->n], 128, "%s", r->prediction ? r->prediction : "");
    (void)snprintf(s->target[s->n], 64, "%s", r->target ? r->target : "");
    s->n++;
}

/* Sum of log p over the targets of ids, by one pass over the whole row. */
static double plain_loglik(const ada_model *m, const int32_t *ids, const uint8_t *mask, int32_t n) {
    size_t d = (size_t)m->c.d, V = (size_t)m->c.vocab;
    ada_arena arena = {0};
    ada_pass *pass;
    ada_head_ws *head;
    int32_t out[64], prefix = 0;
    float *x, *h, *l;
    double sum = 0;
    while (!mask[prefix]) prefix++;
    bool parts = m->c.mask == ADA_MASK_PREFIX && prefix < n - 1;
    if (!parts) prefix = n - 1;
    const ada_segment segs[] = {
        {.len = prefix, .parent = -1, .cache = -1, .full = m->c.mask == ADA_MASK_PREFIX},
        {.start = prefix, .len = n - 1 - prefix, .pos = prefix, .cache = -1}};
    ada_pack p = {.T = n - 1, .nsegs = parts ? 2 : 1, .nout = n - 1, .ids = ids, .segs = segs, .out = out};
    for (int32_t i = 0; i < n; i++) out[i] = i;
    assert_ok(ada_pass_layout(&pass, &arena, &m->stack, n, 2, n, n, false));
    assert_ok(ada_head_layout(&head, &arena, &m->head, n));
    assert_ok(ada_arena_take(&arena, &x, (size_t)n * d, sizeof *x));
    assert_ok(ada_arena_take(&arena, &h, (size_t)n * d, sizeof *h));
    assert_ok(ada_arena_take(&arena, &l, (size_t)n * V, sizeof *l));
    for (int32_t i = 0; i < n - 1; i++) ada_model_embed(m, ids[i], x + (size_t)i * d);
    ada_stack_forward(&m->stack, &p, pass, NULL, x, h);
    ada_head_logits(&m->head, head, h, n - 1, l);
    for (int32_t i = 1; i < n; i++) {
        double z = 0;
        const float *row = l + (size_t)(i - 1) * V;
        for (size_t v = 0; v < V; v++) z += exp((double)row[v]);
        if (mask[i]) sum += (double)row[ids[i]] - log(z);
    }
    ada_arena_free(&arena);
    return sum;
}

static double loglik_of(const ada_model *m, const char *prompt, const char *said, bool end) {
    const ada_row row = {.line = 1, .prompt = prompt, .completion = said, .nchoices = end ? 0 : 1};
    ada_arena a = {0};
    ada_example e;
    assert_ok(ada_example_make(&e, m, NULL, &row, said, false, 0, &a));
    double x = plain_loglik(m, e.ids, e.mask, e.n);
    ada_arena_free(&a);
    return x;
}

static const char rows[] =
    "{\"prompt\": \"a cat:\", \"completion\": \" yes\", \"choices\": [\" no\", \" yes\"]}\n"
    "{\"prompt\": \"a cat sat:\", \"completion\": \"n\", \"choices\": [\"n\", \"y\", \"z\"]}\n"
    "{\"prompt\": \"a dog\", \"completion\": \" ran off\"}\n"
    "{\"prompt\": \"a cat sat:\", \"completion\": \" no\", \"choices\": [\" yes\", \" no\", \" nono\"]}\n"
    "{\"text\": \"some text\"}\n"
    "{\"prompt\": \"b\", \"completion\": \" no\", \"choices\": [\" no\", \" yes\"]}\n";

static seen evaluate(ada_model *m, ada_adapter *a, const char *path, size_t batch, ada_json **j) {
    seen s = {0};
    ada_json *own = NULL;
    assert_ok(ada_eval(m, a, &(ada_eval_opts){.data = path, .batch_tokens = batch, .max_new = 9}, see, &s,
                       j ? j : &own));
    ada_json_close(&own);
    return s;
}

static void against_plain_passes(void **state) {
    (void)state;
    char path[512];
    ada_model *m = tiny_model(true);
    ada_json *j = NULL;
    assert_ok(ada_write_file(tiny_path(path, "rows.jsonl"), rows, sizeof rows - 1));
    seen s = evaluate(m, NULL, path, 0, &j);
    assert_int_equal(s.n, 6);
    static const char *const prompts[] = {"a cat:", "a cat sat:", NULL, "a cat sat:", NULL, "b"};
    static const char *const choices[][3] = {
        {" no", " yes"}, {"n", "y", "z"}, {0}, {" yes", " no", " nono"}, {0}, {" no", " yes"}};
    int right = 0;
    double nll = 0;
    for (int i = 0; i < 6; i++) {
        assert_int_equal(s.line[i], i + 1);
        int best = 0, gold = 0;
        for (int k = 0; prompts[i] && k < 3 && choices[i][k]; k++) {
            double want = loglik_of(m, prompts[i], choices[i][k], false);
            if (!(fabs(want - s.loglik[i][k]) < 1e-5))
                fail_msg("row %d choice %d: %g, not %g", i, k, s.loglik[i][k], want);
            if (s.loglik[i][k] > s.loglik[i][best]) best = k;
            if (strcmp(choices[i][k], s.target[i]) == 0) gold = k;
        }
        if (!prompts[i]) continue;
        assert_string_equal(s.prediction[i], choices[i][best]);
        right += best == gold;
        nll -= s.loglik[i][gold];
    }
    assert_true(fabs(ada_json_num(ada_json_get(j, "accuracy"), -1) - right / 4.0) < 1e-12);
    assert_true(fabs(ada_json_num(ada_json_get(j, "nll"), -1) - nll / 4) < 1e-9);
    assert_int_equal(ada_json_int(ada_json_get(j, "n"), 0), 6);
    assert_true(fabs(-s.nll[2] - loglik_of(m, "a dog", " ran off", true)) < 1e-5);
    double loss =
        (s.nll[2] + s.nll[4]) /
        (9 + 9); /* " ran off" and "some text", each with its end mark, the first letter of a text apart */
    assert_true(fabs(ada_json_num(ada_json_get(j, "loss"), -1) - loss) < 1e-9);
    assert_true(fabs(ada_json_num(ada_json_get(j, "perplexity"), -1) - exp(loss)) < 1e-6 * exp(loss));
    ada_json_close(&j);
    ada_model_close(&m);
}

/* Greedy output of an open row is that of generation; a target made of it matches exactly. */
static void exact_match(void **state) {
    (void)state;
    char path[512];
    ada_model *m = tiny_model(true);
    ada_json *j = NULL;
    static const char row[] = "{\"prompt\": \"a dog\", \"completion\": \" ran off\"}\n";
    assert_ok(ada_write_file(tiny_path(path, "open.jsonl"), row, sizeof row - 1));
    seen s = evaluate(m, NULL, path, 0, &j);
    assert_true(ada_json_num(ada_json_get(j, "exact_match"), -1) == 0);
    ada_json_close(&j);
    assert_true(strlen(s.prediction[0]) > 0);
    assert_string_equal(s.target[0], " ran off");
    assert_ok(ada_eval(m, NULL, &(ada_eval_opts){.data = path, .max_new = 9}, NULL, NULL,
                       &j)); /* without a listener: cut short */
    assert_true(ada_json_num(ada_json_get(j, "exact_match"), -1) == 0);
    ada_json_close(&j);
    ada_model_close(&m);
}

/* Rows whose greedy output needs care: a prompt longer than the model, none at all, a talk that ends with the
 * user, one that is longer than the model. The first is cut as its loss is; what nothing can be said to, or
 * what has lost its question, is not compared. */
static void awkward_prompts(void **state) {
    (void)state;
    char path[512], text[2048];
    ada_model *m = tiny_model(true);
    ada_json *j = NULL;
    int n = snprintf(text, sizeof text,
                     "{\"prompt\": \"%0200d\", \"completion\": \" ab\"}\n"
                     "{\"prompt\": \"%048d\", \"completion\": \" ab\"}\n"
                     "{\"prompt\": \"\", \"completion\": \" ab\"}\n"
                     "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", "
                     "\"content\": \"yo\"}, {\"role\": \"user\", \"content\": \"b\"}]}\n"
                     "{\"messages\": [{\"role\": \"assistant\", \"content\": \"yo\"}, {\"role\": \"user\", "
                     "\"content\": \"%070d\"}, {\"role\": \"assistant\", \"content\": \"no\"}]}\n",
                     0, 0, 0);
    assert_ok(ada_write_file(tiny_path(path, "awkward.jsonl"), text, (size_t)n));
    seen s = evaluate(m, NULL, path, 0, &j);
    assert_int_equal(s.n, 5);
    assert_string_equal(s.target[0], " ab");
    assert_true(strlen(s.prediction[0]) > 0 && strlen(s.prediction[1]) > 0);
    assert_string_equal(s.target[2], "");
    assert_string_equal(s.prediction[2], "");
    assert_string_equal(s.target[3], "yo"); /* not what the user says */
    assert_string_equal(s.target[4], "");
    for (int i = 0; i < 5; i++) assert_true(s.nll[i] > 0);
    ada_json_close(&j);
    ada_model_close(&m);
}

extern const struct ada_metric ada_metric_accuracy, ada_metric_macro_f1, ada_metric_nll;
static void metrics_by_hand(void **state) {
    (void)state;
    static const int32_t gold[] = {0, 0, 1, 1, 2}, pred[] = {0, 1, 1, 1, 0};
    static const double nll[] = {1, 2, 3, 4, 5};
    ada_arena arena = {0};
    ada_scored s = {5, gold, pred, nll, 4, &arena}; /* class 3 never occurs */
    double v;
    assert_ok(ada_metric_accuracy.value(&s, &v));
    assert_true(v == 0.6);
    assert_ok(ada_metric_nll.value(&s, &v));
    assert_true(v == 3);
    assert_ok(ada_metric_macro_f1.value(&s, &v));
    assert_true(fabs(v - (2.0 / 4 + 4.0 / 5 + 0) / 3) < 1e-15);
    ada_arena_free(&arena);
}

static void refusals(void **state) {
    (void)state;
    char path[512];
    static const char empty[] = "{\"prompt\": \"ab\", \"completion\": \"c\", \"choices\": [\"c\", \"d\"]}\n"
                                "{\"prompt\": \"\", \"completion\": \"c\", \"choices\": [\"c\", \"d\"]}\n";
    ada_model *m = tiny_model(true);
    ada_json *j = NULL;
    assert_fails(ada_eval(m, NULL, &(ada_eval_opts){0}, NULL, NULL, &j), ADA_EINVAL, "data file");
    assert_ok(ada_write_file(tiny_path(path, "empty.jsonl"), empty, sizeof empty - 1));
    assert_fails(ada_eval(m, NULL, &(ada_eval_opts){.data = path}, NULL, NULL, &j), ADA_EFORMAT,
                 "empty.jsonl:2");
    assert_null(j);
    ada_model_close(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(against_plain_passes), cmocka_unit_test(exact_match),
                                       cmocka_unit_test(awkward_prompts), cmocka_unit_test(metrics_by_hand),
                                       cmocka_unit_test(refusals)};
    const struct CMUnitTest prefix[] = {cmocka_unit_test(against_plain_passes)};
    return cmocka_run_group_tests(tests, tiny_begin, io_test_end) +
           cmocka_run_group_tests(prefix, tiny_begin_prefix, io_test_end);
}
