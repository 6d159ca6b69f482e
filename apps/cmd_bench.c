/* SPDX-License-Identifier: Apache-2.0
 * bench: tokens a second of prefill, decode and training, and images a second. Owns: repetition and
 * statistics. Must not know: how a pass runs. Invariant: one untimed pass first; every number says its
 * spread. */
#include "apps/opt.h"
#include "apps/report.h"
#include "apps/stop.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bench {
    struct ada_common common;
    const char *model, *mmproj, *dtype;
    int threads, pp, tg, train, row, target, images, size, repeat;
    bool csv;
};
#define F(f) ADA_OPT_FIELD(struct bench, f)

/* clang-format off */
static const struct ada_opt opts[] = {
    ADA_OPT_MODEL(struct bench, model),
    ADA_OPT_MMPROJ(struct bench, mmproj),
    ADA_OPT_DTYPE(struct bench, dtype),
    { .name = "pp", F(pp), .arg = "N", .lo = 0, .hi = 131072, .def = "512",
      .help = "prompt tokens of a pass; 0: none" },
    { .name = "tg", F(tg), .arg = "N", .lo = 0, .hi = 131072, .def = "64",
      .help = "tokens generated in a pass; 0: none" },
    { .name = "train", F(train), .arg = "N", .lo = 0, .hi = 131072, .def = "2048",
      .help = "prompt tokens of a training pass; 0: none" },
    { .name = "row", F(row), .arg = "N", .lo = 2, .hi = 131072, .def = "512",
      .help = "prompt tokens of each row of a training pass; set it to the length of your rows" },
    { .name = "target", F(target), .arg = "N", .lo = -1, .hi = 131072, .def = "-1",
      .help = "tokens that follow them, on which the loss is; 0: it is on every token; -1: 64 where an "
              "encoder reads the prompt, else 0" },
    { .name = "images", F(images), .arg = "N", .lo = 0, .hi = 4096, .def = "16",
      .help = "images of a pass through a vision tower, where there is one; 0: none" },
    { .name = "image-size", F(size), .arg = "N", .lo = 0, .hi = 4096, .def = "0",
      .help = "their side in pixels; 0: what the tower was trained on" },
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
    int n, row, target, size, repeat;
    double median, mean, sd, best; /* tokens or images a second */
    double gflops;                 /* at the median */
};
/* What is timed: a model, or a tower that is none. */
struct subject {
    ada_model *m;
    ada_tower *t;
    ada_json *described; /* owned until it is printed */
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

static ada_status time_once(const struct subject *s, const struct result *r, double *seconds, double *flops) {
    if (!s->m) return ada_tower_bench(s->t, r->n, r->size, seconds, flops);
    return ada_bench(s->m, &(ada_bench_task){r->kind, r->n, r->row, r->target, r->size}, seconds, flops);
}

/* tokens, or images, of a pass */
static double amount(const struct result *r) {
    return r->n + (r->row ? (double)r->target * ((r->n + r->row - 1) / r->row) : 0.0);
}

static ada_status measure(const struct subject *s, const struct bench *o, struct result *r) {
    double *speed = malloc((size_t)o->repeat * sizeof *speed), seconds = 0, flops = 0;
    ada_status st = speed ? ADA_OK : ada_fail(ADA_ENOMEM, "out of memory");
    for (int i = -1; st == ADA_OK && i < o->repeat; i++) { /* -1: untimed */
        st = time_once(s, r, &seconds, &flops);
        if (st == ADA_OK && i >= 0) speed[i] = amount(r) / seconds;
        if (st == ADA_OK) ada_progress_count(r->kind, (size_t)(i + 1), (size_t)o->repeat);
        if (st == ADA_OK) st = ada_stop_status();
    }
    if (st == ADA_OK) summarise(r, speed, o->repeat);
    if (st == ADA_OK) r->gflops = flops * r->median / amount(r) * 1e-9;
    free(speed);
    return st;
}

static ada_json *to_json(const struct result *r) {
    struct ada_object j = ada_object_new();
    ada_object_str(&j, "test", r->kind);
    ada_object_int(&j, strcmp(r->kind, "images") == 0 ? "images" : "tokens", (int)amount(r));
    if (r->row) ada_object_int(&j, "row", r->row);
    if (r->target) ada_object_int(&j, "target", r->target);
    if (r->size) ada_object_int(&j, "image_size", r->size);
    ada_object_int(&j, "repeat", r->repeat);
    ada_object_num(&j, "median", r->median);
    ada_object_num(&j, "mean", r->mean);
    ada_object_num(&j, "sd", r->sd);
    ada_object_num(&j, "best", r->best);
    ada_object_num(&j, "gflops", r->gflops);
    if (j.st != ADA_OK) ada_json_close(&j.j);
    return j.j;
}

static ada_status print_json(struct subject *s, const struct result *r, int n) {
    struct ada_object j = ada_object_new();
    ada_json *list = ada_json_new_arr();
    ada_status st = ADA_OK;
    ada_object_tree(&j, s->m ? "model" : "tower", s->described);
    s->described = NULL;
    for (int i = 0; st == ADA_OK && i < n; i++) st = ada_json_push(list, to_json(&r[i]));
    ada_object_tree(&j, "tests", list);
    return ada_object_show(&j, st, true);
}

static void print_table(const struct result *r, int n) {
    struct ada_table t = {.columns = 6};
    for (const char *const *h =
             (const char *const[]){"test", "repeat", "median /s", "mean ± sd", "best", "GFLOP/s", NULL};
         *h; h++)
        ada_table_cell(&t, "%s", *h);
    for (int i = 0; i < n; i++) {
        char shape[64] = "";
        if (r[i].row && r[i].target)
            (void)snprintf(shape, sizeof shape, " rows of %d + %d", r[i].row, r[i].target);
        else if (r[i].row)
            (void)snprintf(shape, sizeof shape, " rows of %d", r[i].row);
        else if (r[i].size)
            (void)snprintf(shape, sizeof shape, " of %d × %d", r[i].size, r[i].size);
        ada_table_cell(&t, "%s%d%s", r[i].kind, r[i].n, shape);
        ada_table_cell(&t, "%d", r[i].repeat);
        ada_table_cell(&t, "%.1f", r[i].median);
        ada_table_cell(&t, "%.1f ± %.1f", r[i].mean, r[i].sd);
        ada_table_cell(&t, "%.1f", r[i].best);
        ada_table_cell(&t, "%.1f", r[i].gflops);
    }
    ada_table_print(&t);
}

static void print_csv(const struct result *r, int n) {
    ada_out_printf("test,amount,row,target,image_size,repeat,median,mean,sd,best,gflops\n");
    for (; n > 0; n--, r++)
        ada_out_printf("%s,%.0f,%d,%d,%d,%d,%.6g,%.6g,%.6g,%.6g,%.6g\n", r->kind, amount(r), r->row,
                       r->target, r->size, r->repeat, r->median, r->mean, r->sd, r->best, r->gflops);
}

static ada_status open_tower(struct subject *s, const struct bench *o) {
    char why[ADA_ERROR_MAX]; /* why it is no language model: told where it is no tower either */
    ada_error_keep(why);
    ada_status st = ada_tower_open(&s->t, o->model, &(ada_tower_opts){.f32 = o->dtype[0] == 'f'});
    if (st != ADA_OK) return ada_fail(st, "%s", why);
    return ada_tower_describe(s->t, &s->described);
}

static ada_status subject_open(struct subject *s, const struct bench *o) {
    const ada_model_opts how = {
        .f32 = o->dtype[0] == 'f', .threads = o->threads, .mmproj = o->mmproj};
    ada_status st = ada_model_open(&s->m, o->model, &how);
    if (st == ADA_EUNSUPPORTED && !o->mmproj) return open_tower(s, o);
    return st == ADA_OK ? ada_model_describe(s->m, &s->described) : st;
}

static void subject_close(struct subject *s) {
    ada_json_close(&s->described);
    ada_tower_close(&s->t);
    ada_model_close(&s->m);
}

/* What there is to time; returns how many. */
static int list_tests(const struct subject *s, const struct bench *o, struct result to[4]) {
    bool encodes = ada_json_get(s->described, "encoder_layers") != NULL;
    bool sees = s->t || ada_json_get(s->described, "tower") != NULL;
    int n = 0, target = o->target >= 0 ? o->target : encodes ? 64 : 0;
    int row = o->row < o->train ? o->row : o->train;
    if (s->m && o->pp) to[n++] = (struct result){.kind = "pp", .n = o->pp};
    if (s->m && o->tg) to[n++] = (struct result){.kind = "tg", .n = o->tg};
    if (s->m && o->train)
        to[n++] = (struct result){.kind = "train", .n = o->train, .row = row, .target = target};
    if (sees && o->images) to[n++] = (struct result){.kind = "images", .n = o->images, .size = o->size};
    return n;
}

static ada_status run(struct ada_args *a, void *values) {
    const struct bench *o = values;
    ADA_TRY(ada_opt_check(a));
    struct subject s = {0};
    struct result tests[4];
    ada_status st = subject_open(&s, o);
    int n = st == ADA_OK ? list_tests(&s, o, tests) : 0;
    ada_stop_catch();
    for (int i = 0; st == ADA_OK && i < n; i++) st = measure(&s, o, &tests[i]);
    if (st == ADA_OK && o->common.json)
        st = print_json(&s, tests, n);
    else if (st == ADA_OK && o->csv)
        print_csv(tests, n);
    else if (st == ADA_OK)
        print_table(tests, n);
    subject_close(&s);
    return st;
}

const struct ada_command ada_command_bench = {
    .name = "bench",
    .summary = "tokens a second of prefill (pp), decode (tg) and training; images a second",
    .text =
        "Random input; one untimed pass, then --repeat timed ones. A busy machine shows in the spread: "
        "compare numbers of one run on one machine only. GFLOP/s counts 2 operations a weight and token "
        "forward and 2 backward, the head where it runs, and attention over visible keys. Where an "
        "encoder reads the prompt, pp ends with the decoder's first token. A model that is a vision tower "
        "alone has images alone.",
    .examples = "  adalink bench -m smollm2.h5\n"
                "  adalink bench -m smollm2.h5 --pp 0 --tg 0 --train 2048 --row 256 --repeat 9 --csv\n",
    .opts = opts,
    .size = sizeof(struct bench),
    .run = run,
};
