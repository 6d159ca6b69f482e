/* SPDX-License-Identifier: Apache-2.0
 * eval: what a base and an adapter do on rows with known answers. Owns: the rows' results of both, and their
 * files. Must not know: how a row is scored. Invariant: base and adapter see the same rows in the same order.
 */
#include "apps/opt.h"
#include "apps/report.h"
#include "io/os.h"
#include "io/replace.h"
#include <string.h>

struct eval {
    struct ada_common common;
    const char *model, *mmproj, *adapter, *dtype, *predictions;
    int threads, show;
    bool base;
    ada_eval_opts run;
    ada_dataset_opts keys;
};
#define F(f) ADA_OPT_FIELD(struct eval, f)

/* clang-format off */
static const struct ada_opt opts[] = {
    ADA_OPT_HEAD("what"),
    ADA_OPT_MODEL(struct eval, model),
    ADA_OPT_MMPROJ(struct eval, mmproj),
    { .name = "adapter", .letter = 'a', F(adapter), .arg = "FILE",
      .help = "an adapter of that base; it and the base alone are shown side by side" },
    { .name = "data", .letter = 'd', F(run.data), .arg = "FILE", .need = true,
      .help = "JSONL rows; those with choices are answered by the likeliest choice" },
    { .name = "features", F(run.features), .arg = "DIR",
      .help = "keep what a model sees in images in this folder, for other runs to find; by default it is "
              "forgotten at the end" },
    { .name = "base", F(base), .def = "true",
      .help = "with -a: do not run the base alone, which takes half the time" },
    ADA_OPT_HEAD("how"),
    { .name = "max-length", F(run.max_length), .arg = "N", .lo = 2, .hi = 131072,
      .help = "tokens of a row at most; the default is what the model has positions for" },
    { .name = "max-new", F(run.max_new), .arg = "N", .lo = 1, .hi = 131072, .def = "64",
      .help = "tokens of greedy output for rows without choices; as long as the longest answer" },
    { .name = "beams", F(run.beams), .arg = "N", .lo = 1, .hi = 64, .def = "1",
      .help = "above 1: that output by beam search instead, which takes as many times longer" },
    ADA_OPT_HEAD("rows"),
    ADA_OPT_KEYS(struct eval),
    { .name = "limit", F(keys.limit), .arg = "N", .lo = 0, .hi = INFINITY, .def = "0",
      .help = "rows read at most, for a first look; 0: all" },
    ADA_OPT_HEAD("machine and output"),
    { .name = "predictions", F(predictions), .arg = "FILE",
      .help = "write a JSONL row each: \"loglik\" of its choices, \"prediction\", \"target\" (and the "
              "base's)" },
    { .name = "show", F(show), .arg = "N", .lo = 0, .hi = 1000, .def = "0", .local = true,
      .help = "print N rows, spread over the file, with what was answered" },
    ADA_OPT_DTYPE(struct eval, dtype),
    ADA_OPT_THREADS(struct eval, threads),
    ADA_OPT_JSON(struct eval, common.json),
    ADA_OPT_COMMON(struct eval),
    ADA_OPT_LAST,
};
/* clang-format on */

/* ---- the rows of one pass ---- */

struct pass {
    const char *what; /* "base", "adapter" */
    size_t total;     /* rows expected; 0: unknown */
    ada_eval_row *rows;
    size_t n, cap;
    ada_arena memory;
    ada_status st;
    ada_json *result;
};

static ada_status keep_row(struct pass *p, const ada_eval_row *row) {
    if (p->n == p->cap) {
        size_t cap = p->cap ? 2 * p->cap : 1024;
        ada_eval_row *grown;
        ADA_TRY(ada_arena_take(&p->memory, &grown, cap, sizeof *grown));
        if (p->n) memcpy(grown, p->rows, p->n * sizeof *grown);
        p->rows = grown;
        p->cap = cap;
    }
    ada_eval_row *r = &p->rows[p->n];
    *r = *row;
    if (row->prediction &&
        !(r->prediction = ada_arena_str(&p->memory, row->prediction, strlen(row->prediction))))
        return ADA_ENOMEM;
    if (row->target && !(r->target = ada_arena_str(&p->memory, row->target, strlen(row->target))))
        return ADA_ENOMEM;
    if (row->nchoices) {
        double *copy;
        ADA_TRY(ada_arena_take(&p->memory, &copy, row->nchoices, sizeof *copy));
        memcpy(copy, row->loglik, row->nchoices * sizeof *copy);
        r->loglik = copy;
    }
    p->n++;
    return ADA_OK;
}

static void on_row(void *ctx, const ada_eval_row *row) {
    struct pass *p = ctx;
    if (p->st == ADA_OK) p->st = keep_row(p, row);
    if (p->total) ada_progress_count(p->what, p->n, p->total);
}

static ada_status run_pass(struct pass *p, ada_model *m, ada_adapter *a, const ada_eval_opts *o) {
    ADA_TRY(ada_eval(m, a, o, on_row, p, &p->result));
    ada_progress_end();
    return p->st;
}

static void pass_free(struct pass *p) {
    ada_json_close(&p->result);
    ada_arena_free(&p->memory);
}

/* ---- predictions ---- */

static void add_answer(struct ada_object *o, const char *loglik, const char *prediction,
                       const ada_eval_row *r) {
    if (r->nchoices) {
        ada_json *list = ada_json_new_arr();
        for (size_t k = 0; o->st == ADA_OK && k < r->nchoices; k++)
            o->st = ada_json_push(list, ada_json_new_num(r->loglik[k]));
        ada_object_tree(o, loglik, list);
    }
    ada_object_str(o, prediction, r->prediction);
}

static ada_status write_predictions(const char *path, const struct pass *main, const struct pass *base) {
    ada_buf text = {0};
    ada_status st = ADA_OK;
    for (size_t i = 0; st == ADA_OK && i < main->n; i++) {
        const ada_eval_row *r = &main->rows[i];
        struct ada_object o = ada_object_new();
        ada_object_int(&o, "line", (int64_t)r->line);
        add_answer(&o, "loglik", "prediction", r);
        ada_object_str(&o, "target", r->target);
        ada_object_num(&o, "nll", r->nll);
        if (base && i < base->n) add_answer(&o, "base_loglik", "base_prediction", &base->rows[i]);
        st = o.st;
        if (st == ADA_OK) st = ada_json_text(o.j, 0, &text);
        if (st == ADA_OK) st = ada_buf_puts(&text, "\n");
        ada_json_close(&o.j);
    }
    if (st == ADA_OK) st = ada_replace_bytes(path, text.data ? text.data : "", text.len);
    ada_buf_free(&text);
    return st;
}

/* ---- for a person ---- */

static void print_text(const char *s, size_t most) {
    size_t n = strlen(s), from = n > most ? n - most : 0;
    while (from && from < n && ((unsigned char)s[from] & 0xC0) == 0x80) from++;
    if (from) ada_out_printf("...");
    for (; from < n; from++) ada_out_printf("%c", s[from] == '\n' ? ' ' : s[from]);
}

static void print_examples(const struct eval *o, const ada_dataset *d, const struct pass *main,
                           const struct pass *base) {
    size_t shown = (size_t)o->show < main->n ? (size_t)o->show : main->n;
    for (size_t k = 0; k < shown; k++) {
        size_t i = k * main->n / shown, at = 0;
        const ada_eval_row *r = &main->rows[i];
        while (at < ada_dataset_count(d) && ada_dataset_at(d, at)->line != r->line) at++;
        if (at == ada_dataset_count(d)) continue;
        const ada_row *row = ada_dataset_at(d, at);
        const char *prompt = row->prompt ? row->prompt : row->text;
        if (row->nmessages > 1) prompt = row->messages[row->nmessages - 2].content;
        ada_out_printf("line %zu: ", r->line);
        print_text(prompt ? prompt : "", 240);
        ada_out_printf("\n   wanted ");
        print_text(r->target ? r->target : "", 120);
        if (base && i < base->n) {
            ada_out_printf("   base ");
            print_text(base->rows[i].prediction ? base->rows[i].prediction : "", 120);
        }
        ada_out_printf("   %s ", main->what);
        print_text(r->prediction ? r->prediction : "", 120);
        ada_out_printf("\n");
    }
    if (shown) ada_out_printf("\n");
}

static void print_table(const struct pass *main, const struct pass *base) {
    struct ada_table t = {.columns = base ? 4 : 2};
    void *it = NULL;
    const char *key;
    const ada_json *v;
    ada_table_cell(&t, " ");
    if (base) ada_table_cell(&t, "base");
    ada_table_cell(&t, "%s", main->what);
    if (base) ada_table_cell(&t, "change");
    while (ada_json_next(main->result, &it, &key, &v)) {
        const ada_json *b = base ? ada_json_get(base->result, key) : NULL;
        if (!ada_json_is_num(v) || (base && !ada_json_is_num(b))) continue;
        bool whole = strcmp(key, "n") == 0 || strcmp(key, "tokens") == 0;
        double x = ada_json_num(v, 0), y = ada_json_num(b, 0);
        ada_table_cell(&t, "%s", key);
        if (base) ada_table_cell(&t, whole ? "%.0f" : "%.4f", y);
        ada_table_cell(&t, whole ? "%.0f" : "%.4f", x);
        if (base && strcmp(key, "n") == 0) {
            ada_table_cell(&t, " ");
        } else if (base) {
            ada_table_cell(&t, whole ? "%+.0f" : "%+.4f", x - y);
        }
    }
    ada_table_print(&t);
}

/* One object: what was asked about, and the base's beside it. */
static ada_status print_json(const struct eval *o, const struct pass *main, const struct pass *base,
                             double seconds) {
    struct ada_object j = ada_object_new();
    void *it = NULL;
    const char *key;
    const ada_json *v;
    while (ada_json_next(main->result, &it, &key, &v)) ada_object_tree(&j, key, ada_json_share(v));
    if (base) ada_object_tree(&j, "base", ada_json_share(base->result));
    ada_object_str(&j, "model", o->model);
    ada_object_str(&j, "adapter", o->adapter);
    ada_object_str(&j, "data", o->run.data);
    ada_object_num(&j, "seconds", seconds);
    ada_object_int(&j, "peak_memory_bytes", (int64_t)ada_os_rss_peak());
    return ada_object_show(&j, ADA_OK, true);
}

struct job {
    ada_model *m;
    ada_adapter *a;
    ada_dataset *d; /* NULL when rows come from standard input */
    struct pass base, main;
};

static ada_status evaluate(struct eval *o, struct job *j) {
    double begun = ada_os.now();
    bool input = strcmp(o->run.data, "-") == 0, both = o->adapter && o->base;
    if (input && (both || o->show))
        return ada_fail(ADA_EINVAL,
                        "standard input can be read once: name a file, or use --no-base and no --show");
    o->run.keys = o->keys;
    if (!input) ADA_TRY(ada_dataset_open(&j->d, o->run.data, &o->keys));
    const ada_model_opts how = {
        .f32 = o->dtype[0] == 'f', .threads = o->threads, .mmproj = o->mmproj};
    ADA_TRY(ada_model_open(&j->m, o->model, &how));
    if (o->adapter) ADA_TRY(ada_adapter_open(&j->a, j->m, o->adapter));
    j->base.what = "base";
    j->main.what = o->adapter ? "adapter" : "base";
    j->base.total = j->main.total = j->d ? ada_dataset_count(j->d) : 0;
    if (both) ADA_TRY(run_pass(&j->base, j->m, NULL, &o->run));
    ADA_TRY(run_pass(&j->main, j->m, j->a, &o->run));
    const struct pass *base = both ? &j->base : NULL;
    if (o->predictions) ADA_TRY(write_predictions(o->predictions, &j->main, base));
    if (o->common.json) return print_json(o, &j->main, base, ada_os.now() - begun);
    if (o->show) print_examples(o, j->d, &j->main, base);
    print_table(&j->main, base);
    return ADA_OK;
}

static ada_status run(struct ada_args *a, void *values) {
    struct job j = {0};
    ADA_TRY(ada_opt_check(a));
    ada_status st = evaluate(values, &j);
    pass_free(&j.base);
    pass_free(&j.main);
    ada_dataset_close(&j.d);
    ada_adapter_close(&j.a);
    ada_model_close(&j.m);
    return st;
}

const struct ada_command ada_command_eval = {
    .name = "eval",
    .summary = "score a base and an adapter on rows with known answers",
    .text = "Rows with choices are answered by the choice whose tokens have the largest sum of "
            "log-probabilities: accuracy and macro-F1. Other rows give loss, perplexity and exact match of "
            "greedy output. All logarithms are natural.",
    .examples = "  adalink eval -m smollm2.h5 -a out/adapter.h5 -d dev.jsonl --show 5\n"
                "  adalink eval -m smollm2.h5 -d dev.jsonl --json --predictions base.jsonl\n",
    .opts = opts,
    .size = sizeof(struct eval),
    .run = run,
};
