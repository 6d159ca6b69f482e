/* SPDX-License-Identifier: Apache-2.0
 * bench: tokens a second of prefill, decode and training. Owns: repetition and statistics.
 * Must not know: how a pass runs. Invariant: one untimed pass first; every number says its spread. */
#include "apps/opt.h"
#include "apps/report.h"
#include "apps/stop.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bench {
    struct ada_common common;
    const char *model, *dtype;
    int threads, pp, tg, train, row, repeat;
    bool csv;
};
#define F(f) ADA_OPT_FIELD(struct bench, f)

/* clang-format off */
static const struct ada_opt opts[] = {
    ADA_OPT_MODEL(struct bench, model),
    ADA_OPT_DTYPE(struct bench, dtype),
    { .name = "pp", F(pp), .arg = "N", .lo = 0, .hi = 131072, .def = "512",
      .help = "prompt tokens of a pass; 0: none" },
    { .name = "tg", F(tg), .arg = "N", .lo = 0, .hi = 131072, .def = "64",
      .help = "tokens generated in a pass; 0: none" },
    { .name = "train", F(train), .arg = "N", .lo = 0, .hi = 131072, .def = "2048",
      .help = "tokens of a training pass; 0: none" },
    { .name = "row", F(row), .arg = "N", .lo = 2, .hi = 131072, .def = "512",
      .help = "tokens of each row of a training pass; set it to the length of your rows" },
    { .name = "repeat", F(repeat), .arg = "N", .lo = 1, .hi = 1000, .def = "5",
      .help = "timed passes of each test; more when the spread is wide" },
    ADA_OPT_THREADS(struct bench, threads),
    { .name = "csv", F(csv), .local = true, .help = "print comma-separated values" },
    ADA_OPT_JSON(struct bench, common.json),
    ADA_OPT_COMMON(struct bench),
    ADA_OPT_LAST,
};
/* clang-format on */

struct result {
    const char *kind;
    int n, row, repeat;
    double median, mean, sd, best; /* tokens a second */
    double gflops;                 /* at the median */
};

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void summarise(struct result *r, double *speed, int n) {
    qsort(speed, (size_t)n, sizeof *speed, ascending);
    double sum = 0, squares = 0;
    for (int i = 0; i < n; i++) sum += speed[i];
    r->repeat = n;
    r->mean = sum / n;
    for (int i = 0; i < n; i++) squares += (speed[i] - r->mean) * (speed[i] - r->mean);
    r->sd = n > 1 ? sqrt(squares / (n - 1)) : 0;
    r->median = n % 2 ? speed[n / 2] : 0.5 * (speed[n / 2 - 1] + speed[n / 2]);
    r->best = speed[n - 1];
}

static ada_status measure(ada_model *m, const struct bench *o, struct result *r) {
    double *speed = malloc((size_t)o->repeat * sizeof *speed), seconds = 0, flops = 0;
    ada_status st = speed ? ADA_OK : ada_fail(ADA_ENOMEM, "out of memory");
    for (int i = -1; st == ADA_OK && i < o->repeat; i++) { /* -1: untimed */
        st = ada_bench(m, r->kind, r->n, r->row, &seconds, &flops);
        if (st == ADA_OK && i >= 0) speed[i] = r->n / seconds;
        if (st == ADA_OK) ada_progress_count(r->kind, (size_t)(i + 1), (size_t)o->repeat);
        if (st == ADA_OK) st = ada_stop_status();
    }
    if (st == ADA_OK) summarise(r, speed, o->repeat);
    if (st == ADA_OK) r->gflops = flops * r->median / r->n * 1e-9;
    free(speed);
    return st;
}

static ada_json *to_json(const struct result *r) {
    struct ada_object j = ada_object_new();
    ada_object_str(&j, "test", r->kind);
    ada_object_int(&j, "tokens", r->n);
    if (r->row) ada_object_int(&j, "row", r->row);
    ada_object_int(&j, "repeat", r->repeat);
    ada_object_num(&j, "median", r->median);
    ada_object_num(&j, "mean", r->mean);
    ada_object_num(&j, "sd", r->sd);
    ada_object_num(&j, "best", r->best);
    ada_object_num(&j, "gflops", r->gflops);
    if (j.st != ADA_OK) ada_json_close(&j.j);
    return j.j;
}

static ada_status print_json(ada_model *m, const struct result *r, int n) {
    struct ada_object j = ada_object_new();
    ada_json *list = ada_json_new_arr(), *model = NULL;
    ada_status st = ada_model_describe(m, &model);
    if (st == ADA_OK) ada_object_tree(&j, "model", model);
    for (int i = 0; st == ADA_OK && i < n; i++) st = ada_json_push(list, to_json(&r[i]));
    ada_object_tree(&j, "tests", list);
    return ada_object_show(&j, st, true);
}

static void print_table(const struct result *r, int n) {
    struct ada_table t = {.columns = 6};
    for (const char *const *h =
             (const char *const[]){"test", "repeat", "median tok/s", "mean ± sd", "best", "GFLOP/s", NULL};
         *h; h++)
        ada_table_cell(&t, "%s", *h);
    for (int i = 0; i < n; i++) {
        if (r[i].row) {
            ada_table_cell(&t, "%s%d rows of %d", r[i].kind, r[i].n, r[i].row);
        } else {
            ada_table_cell(&t, "%s%d", r[i].kind, r[i].n);
        }
        ada_table_cell(&t, "%d", r[i].repeat);
        ada_table_cell(&t, "%.1f", r[i].median);
        ada_table_cell(&t, "%.1f ± %.1f", r[i].mean, r[i].sd);
        ada_table_cell(&t, "%.1f", r[i].best);
        ada_table_cell(&t, "%.1f", r[i].gflops);
    }
    ada_table_print(&t);
}

static ada_status run(struct ada_args *a, void *values) {
    const struct bench *o = values;
    ADA_TRY(ada_opt_check(a));
    ada_model *m = NULL;
    struct result tests[] = {{.kind = "pp", .n = o->pp},
                             {.kind = "tg", .n = o->tg},
                             {.kind = "train", .n = o->train, .row = o->row < o->train ? o->row : o->train}};
    struct result done[3];
    int n = 0;
    ada_status st =
        ada_model_open(&m, o->model, &(ada_model_opts){.f32 = o->dtype[0] == 'f', .threads = o->threads});
    ada_stop_catch();
    for (int i = 0; st == ADA_OK && i < 3; i++) {
        if (tests[i].n == 0) continue;
        st = measure(m, o, &tests[i]);
        done[n++] = tests[i];
    }
    if (st == ADA_OK && o->common.json) {
        st = print_json(m, done, n);
    } else if (st == ADA_OK && o->csv) {
        ada_out_printf("test,tokens,row,repeat,median,mean,sd,best,gflops\n");
        for (int i = 0; i < n; i++)
            ada_out_printf("%s,%d,%d,%d,%.6g,%.6g,%.6g,%.6g,%.6g\n", done[i].kind, done[i].n, done[i].row,
                           done[i].repeat, done[i].median, done[i].mean, done[i].sd, done[i].best,
                           done[i].gflops);
    } else if (st == ADA_OK) {
        print_table(done, n);
    }
    ada_model_close(&m);
    return st;
}

const struct ada_command ada_command_bench = {
    .name = "bench",
    .summary = "tokens a second of prefill (pp), decode (tg) and training",
    .text = "Random tokens; one untimed pass, then --repeat timed ones. A busy machine shows in the spread: "
            "compare numbers of one run on one machine only. GFLOP/s counts 2 operations a weight and token "
            "forward and 2 backward, the head where it runs, and attention over visible keys.",
    .examples = "  adalink bench -m smollm2.h5\n"
                "  adalink bench -m smollm2.h5 --pp 0 --tg 0 --train 2048 --row 256 --repeat 9 --csv\n",
    .opts = opts,
    .size = sizeof(struct bench),
    .run = run,
};
