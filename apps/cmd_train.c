/* SPDX-License-Identifier: Apache-2.0
 * train: an adapter from rows of JSONL. Owns: the run file and run.json, the loop and its end.
 * Must not know: how a step works. Invariant: settings reach the engine by the table alone, and run.json
 * holds them resolved, so that `train -c run.json` is the same run. */
#include "engine/vision.h"
#include "apps/opt.h"
#include "apps/report.h"
#include "apps/stop.h"
#include "io/os.h"
#include "io/replace.h"
#include "io/tensors.h"
#include "io/tok.h"
#include "registry.h"
#include <string.h>
#include <sys/stat.h>

struct train {
    struct ada_common common;
    const char *config, *model, *mmproj, *adapter, *dtype;
    int threads;
    bool dry_run, shuffle, image_from_text;
    ada_dataset_opts keys;
    ada_adapter_opts made; /* of a new adapter */
    ada_train_opts run;
};
#define F(f) ADA_OPT_FIELD(struct train, f)
#define X(name) "|" #name

/* clang-format off */
static const struct ada_opt opts[] = {
    ADA_OPT_HEAD("what and where"),
    { .name = "config", .letter = 'c', F(config), .arg = "FILE", .local = true,
      .help = "a run file, YAML or JSON, with these options as keys; what the command line says wins" },
    ADA_OPT_MODEL(struct train, model),
    ADA_OPT_MMPROJ(struct train, mmproj),
    { .name = "data", .letter = 'd', F(run.data), .arg = "FILE", .need = true,
      .help = "JSONL rows to learn from: prompt and completion, messages, or text; - is standard input" },
    { .name = "output", .letter = 'o', F(run.out), .arg = "DIR", .need = true,
      .help = "folder for adapter.h5, checkpoints, metrics.jsonl and run.json" },
    { .name = "features", F(run.features), .arg = "DIR",
      .help = "keep what a model sees in images in this folder, for other runs to find; by default it is "
              "forgotten at the end" },
    { .name = "adapter", .letter = 'a', F(adapter), .arg = "FILE",
      .help = "start from this adapter, to go on with other data, instead of from a new one" },
    { .name = "image-from-text", F(image_from_text),
      .help = "begin what images pass as a copy of what text passes: for images whose rows read like words" },
    { .name = "resume", F(run.resume), .arg = "DIR", .local = true,
      .help = "go on with an interrupted run from its newest checkpoint; needs nothing else" },
    { .name = "dry-run", F(dry_run), .local = true,
      .help = "train nothing: show the first rows as tokens, the number of steps, the memory and time they "
              "will take" },
    ADA_OPT_HEAD("the adapter: e' = e + scale * f(e D) U"),
    { .name = "method", F(made.method), .arg = "NAME", .words = ADA_METHODS(X), .def = "adalink",
      .help = "what is trained: low-rank residuals at the input, or, of a model that sees, the connector "
              "that makes its rows of images; the options below are adalink's" },
    { .name = "modalities", F(made.modalities), .arg = "LIST", .words = "text|image|text,image",
      .help = "which inputs get an adapter; the default is every one that the model has" },
    { .name = "site", F(made.site), .arg = "NAME", .words = "encoder|decoder|both",
      .help = "at whose input, of a model that has an encoder; the default is the encoder, if any" },
    { .name = "rank", F(made.rank), .arg = "N", .lo = 1, .hi = 4096, .def = "64",
      .help = "columns of D; fewer make a smaller file, more can hold more of a hard task" },
    { .name = "scale", F(made.scale), .arg = "X", .lo = 1e-6, .hi = 1e6, .def = "1",
      .help = "factor of the adapter's part; acts much like --lr" },
    { .name = "activation", F(made.activation), .arg = "NAME", .words = "none|relu|gelu", .def = "none",
      .help = "f; none keeps the adapter linear, so that it can be folded into the embedding table" },
    { .name = "bias", F(made.bias), .help = "add a bias after each product" },
    { .name = "init-std", F(made.init_std), .arg = "X", .lo = 1e-9, .hi = 1e3,
      .help = "standard deviation of D at the start (U starts at 0); the default is 1/sqrt(width)" },
    ADA_OPT_HEAD("the recipe"),
    { .name = "loss", F(run.loss), .arg = "NAME", .words = "tokens|embeddings", .def = "tokens",
      .help = "what is to become small: tokens, the surprise at each; embeddings, of method connector alone, "
              "the distance of an image's last rows from the completion's embeddings, for which the language "
              "model does not run" },
    { .name = "lr", F(run.lr), .arg = "X", .lo = 1e-12, .hi = 100, .def = "0.003",
      .help = "the largest learning rate; lower it when the loss jumps" },
    { .name = "schedule", F(run.schedule), .arg = "NAME", .words = "cosine|linear|constant", .def = "cosine",
      .help = "how the learning rate falls after the warm-up; constant for a run of unknown length" },
    { .name = "warmup", F(run.warmup), .arg = "X", .lo = 0, .hi = INFINITY, .def = "0.06",
      .help = "rise of the learning rate at the start: below 1 a share of the steps, else a number of "
              "steps" },
    { .name = "epochs", F(run.epochs), .arg = "X", .lo = 0, .hi = 1e6,
      .help = "times through the data; the default is 3 unless --steps is given" },
    { .name = "steps", F(run.steps), .arg = "N", .lo = 0, .hi = INFINITY,
      .help = "optimizer steps, instead of --epochs" },
    { .name = "batch", F(run.batch), .arg = "N", .lo = 1, .hi = 65536, .def = "16", .help = "rows a step" },
    { .name = "grad-accum", F(run.grad_accum), .arg = "N", .lo = 1, .hi = 65536, .def = "1",
      .help = "batches whose gradients make one step; raise it when a larger batch does not fit in memory" },
    { .name = "max-length", F(run.max_length), .arg = "N", .lo = 2, .hi = 131072, .def = "1024",
      .help = "tokens of a row at most; longer rows are cut and counted" },
    { .name = "weight-decay", F(run.weight_decay), .arg = "X", .lo = 0, .hi = 10, .def = "0",
      .help = "AdamW's decoupled decay; for a small data set that is learnt by heart" },
    { .name = "clip", F(run.clip), .arg = "X", .lo = 0, .hi = INFINITY, .def = "1",
      .help = "largest norm of a step's gradient; 0: no limit" },
    { .name = "all-tokens", F(run.all_tokens), .help = "learn the prompts as well as the completions" },
    { .name = "shuffle", F(shuffle), .def = "true", .help = "take the rows in the file's order" },
    { .name = "seed", F(run.seed), .arg = "N", .lo = 0, .hi = 9007199254740991, .def = "0",
      .help = "of D's start and of the order of rows; change it to see how much a result varies" },
    ADA_OPT_HEAD("validation and saving"),
    { .name = "eval-data", F(run.eval_data), .arg = "FILE",
      .help = "JSONL rows to validate on; the adapter of the lowest loss is the one kept" },
    { .name = "eval-every", F(run.eval_every), .arg = "N", .lo = 0, .hi = INFINITY,
      .help = "steps between validations; the default is once an epoch" },
    { .name = "patience", F(run.patience), .arg = "N", .lo = 0, .hi = 1e6, .def = "0",
      .help = "end after so many validations without a lower loss; 0: never" },
    { .name = "save-every", F(run.save_every), .arg = "N", .lo = 0, .hi = INFINITY, .def = "0",
      .help = "steps between checkpoints, the most a crash can lose; 0: at the end only" },
    { .name = "keep", F(run.keep), .arg = "N", .lo = 1, .hi = 1e6, .def = "2",
      .help = "checkpoints kept, the newest" },
    ADA_OPT_HEAD("rows"),
    ADA_OPT_KEYS(struct train),
    { .name = "limit", F(keys.limit), .arg = "N", .lo = 0, .hi = INFINITY, .def = "0",
      .help = "rows read at most, for a trial; 0: all" },
    ADA_OPT_HEAD("machine and output"),
    ADA_OPT_DTYPE(struct train, dtype),
    ADA_OPT_THREADS(struct train, threads),
    ADA_OPT_JSON(struct train, common.json),
    ADA_OPT_COMMON(struct train),
    ADA_OPT_LAST,
};
/* clang-format on */
#undef X

/* ---- settings ---- */

/* A run goes on as it began: only where it runs may differ. */
static ada_status check_resume(const struct ada_args *a) {
    static const char *const free_ones[] = {"resume",  "output", "model", "mmproj",  "threads",
                                            "dry-run", "json",   "quiet", "verbose", NULL};
    for (const struct ada_opt *o = opts; o->kind != ADA_OPT_END; o++) {
        if (o->kind == ADA_OPT_HEADING || a->by[o - opts] != ADA_OPT_BY_FLAG) continue;
        const char *const *f = free_ones;
        while (*f && strcmp(*f, o->name) != 0) f++;
        if (!*f)
            return ada_fail(ADA_EINVAL, "--%s cannot be changed by --resume: the run's own settings hold",
                            o->name);
    }
    return ADA_OK;
}

/* What is shaped by these is adalink's; their defaults are no options of another method. */
static ada_status settle_method(const struct train *o, const struct ada_args *args, ada_adapter_opts *made) {
    static const char *const low_rank[] = {"modalities", "site", "rank",     "scale",
                                           "activation", "bias", "init-std", NULL};
    *made = o->made;
    if (strcmp(o->made.method, "adalink") == 0) return ADA_OK;
    for (const char *const *f = low_rank; *f; f++)
        if (ada_opt_given(args, *f) == ADA_OPT_BY_FLAG)
            return ada_fail(ADA_EINVAL, "--%s is no option of method '%s'", *f, o->made.method);
    *made = (ada_adapter_opts){.method = o->made.method, .seed = o->made.seed};
    return ADA_OK;
}

static void to_engine(struct train *o) {
    o->run.keys = o->keys;
    o->run.model = o->model, o->run.mmproj = o->mmproj;
    o->run.no_shuffle = !o->shuffle;
    o->made.seed = o->run.seed;
    /* The engine's zero means its default; here zero means none. */
    if (o->run.warmup == 0) o->run.warmup = -1;
    if (o->run.clip == 0) o->run.clip = -1;
    if (o->dry_run) o->run.out = NULL;
}

/* The engine's keys have underscores where options have hyphens; paths are the absolute ones it found. */
static ada_status write_settings(const struct ada_args *a, const ada_trainer *t, const char *path) {
    static const char *const paths[][2] = {
        {"model", "model"},         {"mmproj", "mmproj"},     {"data", "data"},
        {"eval-data", "eval_data"}, {"features", "features"}};
    ada_json *resolved = NULL, *settings = NULL;
    ada_buf text = {0};
    ada_status st = ada_trainer_settings(t, &resolved);
    if (st == ADA_OK) st = ada_opt_settings(a, resolved, &settings);
    for (size_t i = 0; st == ADA_OK && i < sizeof paths / sizeof *paths; i++) {
        const ada_json *v = ada_json_get(resolved, paths[i][1]);
        if (v) st = ada_json_set(settings, paths[i][0], ada_json_share(v));
    }
    if (st == ADA_OK) st = ada_json_text(settings, 2, &text);
    if (st == ADA_OK) st = ada_buf_puts(&text, "\n");
    if (st == ADA_OK) st = ada_replace_bytes(path, text.data, text.len);
    ada_buf_free(&text);
    ada_json_close(&settings);
    ada_json_close(&resolved);
    return st;
}

/* ---- the run ---- */

struct job { /* what a run holds open */
    struct ada_args *args;
    ada_model *m;
    ada_adapter *a;
    ada_trainer *t;
    ada_buf checkpoint, run_file; /* run.json of the output folder */
    ada_json *settings;           /* of the run that goes on */
    ada_report last;              /* of the last step done */
    double best_loss;
    size_t tokens;
};

static bool exists(const char *path) {
    struct stat s;
    return stat(path, &s) == 0;
}

/* A checkpoint says where its model, data and folder are; the run.json beside it has the settings of before.
 */
static ada_status find_run(struct train *o, struct job *j) {
    ADA_TRY(check_resume(j->args));
    ADA_TRY(ada_checkpoint_find(o->run.resume, &j->checkpoint, &j->settings));
    const char *slash = strrchr(j->checkpoint.data, '/');
    char *folder = ada_arena_str(&j->args->memory, slash ? j->checkpoint.data : ".",
                                 slash ? (size_t)(slash - j->checkpoint.data) : 1);
    if (!folder) return ADA_ENOMEM;
    ada_buf path = {0};
    ada_status st = ada_buf_printf(&path, "%s/run.json", folder);
    if (st == ADA_OK && exists(path.data)) st = ada_opt_load(j->args, path.data);
    ada_buf_free(&path);
    ADA_TRY(st);
    static const char *const keys[] = {"model", "mmproj", "data"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *v = ada_json_str(ada_json_get(j->settings, keys[i]), NULL);
        if (v) ADA_TRY(ada_opt_set(j->args, keys[i], v));
    }
    ADA_TRY(ada_opt_set(j->args, "output", folder));
    if (ada_json_bool(ada_json_get(j->settings, "f32"), false)) ADA_TRY(ada_opt_set(j->args, "dtype", "f32"));
    if (ada_opt_given(j->args, "output") != ADA_OPT_BY_FLAG) o->run.out = folder;
    o->run.resume = j->checkpoint.data;
    return ADA_OK;
}

/* The tower of a run that is done again goes with its model: where a flag names another, without it. */
static void settle_model(const struct train *o, struct ada_args *args) {
    if (!ada_opt_overruled(args, "model") || ada_opt_given(args, "mmproj") != ADA_OPT_BY_FILE) return;
    ada_log(ADA_LOG_WARN, "'%s' is left out: it went with the model that --model takes the place of",
            o->mmproj);
    ada_opt_forget(args, "mmproj");
}

static ada_status settle_length(struct train *o, const struct ada_args *args) {
    if (!(o->run.steps > 0 && o->run.epochs > 0)) return ADA_OK;
    ada_opt_by steps = ada_opt_given(args, "steps"), epochs = ada_opt_given(args, "epochs");
    if (steps == epochs) return ada_fail(ADA_EINVAL, "--steps and --epochs exclude each other");
    if (steps == ADA_OPT_BY_FLAG) {
        o->run.epochs = 0;
    } else {
        o->run.steps = 0;
    }
    return ADA_OK;
}

static ada_status open_run(struct train *o, struct job *j) {
    ada_adapter_opts made;
    if (o->config) ADA_TRY(ada_opt_load(j->args, o->config));
    if (o->run.resume) ADA_TRY(find_run(o, j));
    if (o->dry_run) ADA_TRY(ada_opt_set(j->args, "output", "."));
    ADA_TRY(ada_opt_check(j->args));
    ADA_TRY(settle_length(o, j->args));
    settle_model(o, j->args);
    to_engine(o);
    ADA_TRY(settle_method(o, j->args, &made));
    const ada_model_opts how = {
        .f32 = o->dtype[0] == 'f', .threads = o->threads, .mmproj = o->mmproj};
    ADA_TRY(ada_model_open(&j->m, o->model, &how));
    const char *from = o->run.resume ? o->run.resume : o->adapter;
    ADA_TRY(from ? ada_adapter_open(&j->a, j->m, from) : ada_adapter_new(&j->a, j->m, &made));
    if (o->image_from_text && !o->run.resume) ADA_TRY(ada_adapter_image_from_text(j->a));
    if (o->run.out) ADA_TRY(ada_buf_printf(&j->run_file, "%s/run.json", o->run.out));
    return ada_trainer_open(&j->t, j->m, j->a, &o->run);
}

/* run.json is written after the first step, when the engine has accepted the folder. */
static ada_status after_step(const struct train *o, struct job *j, const ada_report *r, bool first) {
    j->last = *r;
    j->tokens += r->tokens;
    if (r->best) j->best_loss = r->eval_loss;
    ada_progress_step(r);
    bool resumed = o->run.resume && exists(j->run_file.data);
    return first && !resumed ? write_settings(j->args, j->t, j->run_file.data) : ADA_OK;
}

static ada_status loop(const struct train *o, struct job *j) {
    ada_status st;
    ada_report r;
    bool first = true;
    ada_stop_catch();
    while ((st = ada_trainer_step(j->t, &r)) == ADA_OK) {
        ADA_TRY(after_step(o, j, &r, first));
        first = false;
        if (!ada_stop_signal()) continue;
        ADA_TRY(ada_trainer_save(j->t));
        return ada_stop_status();
    }
    return st == ADA_DONE ? ADA_OK : st;
}

static ada_status train(const struct train *o, struct job *j) {
    double begun = ada_os.now();
    j->best_loss = NAN;
    ADA_TRY(loop(o, j));
    double seconds = ada_os.now() - begun;
    struct ada_object out = ada_object_new();
    ada_buf path = {0};
    struct stat s = {0};
    ada_status st = ada_buf_printf(&path, "%s/adapter.h5", o->run.out);
    if (st == ADA_OK) ada_object_str(&out, "adapter", path.data);
    if (st == ADA_OK && stat(path.data, &s) == 0) ada_object_int(&out, "adapter_bytes", s.st_size);
    ada_buf_free(&path);
    ada_object_int(&out, "parameters", (int64_t)ada_adapter_params(j->a));
    ada_object_int(&out, "steps", j->last.step);
    ada_object_num(&out, "epochs", j->last.epoch);
    ada_object_num(&out, "loss", j->last.loss);
    if (!isnan(j->best_loss)) ada_object_num(&out, "best_eval_loss", j->best_loss);
    ada_object_int(&out, "tokens", (int64_t)j->tokens);
    ada_object_num(&out, "seconds", seconds);
    ada_object_num(&out, "tokens_per_second", seconds > 0 ? (double)j->tokens / seconds : 0);
    ada_object_int(&out, "peak_memory_bytes", (int64_t)ada_os_rss_peak());
    return ada_object_show(&out, st, o->common.json);
}

/* ---- --dry-run ---- */

enum { SHOWN_ROWS = 3 };

static ada_status add_row(const struct job *j, const ada_tok *tok, size_t i, ada_json *list) {
    const int32_t *ids;
    const uint8_t *mask;
    size_t n;
    ADA_TRY(ada_trainer_row(j->t, i, &ids, &mask, &n));
    struct ada_object row = ada_object_new();
    ada_json *tokens = ada_json_new_arr(), *marks = ada_json_new_arr(), *texts = ada_json_new_arr();
    for (size_t k = 0; row.st == ADA_OK && k < n; k++) {
        ada_buf piece = {0};
        const char *entry = ids[k] < ada_tok_size(tok) ? ada_tok_text(tok, ids[k]) : ADA_IMAGE_MARK;
        row.st = ada_tok_piece(tok, ids[k], k == 0, &piece);
        /* A special token says nothing in a text: show its name. */
        bool named = piece.len == 0 && entry;
        if (row.st == ADA_OK)
            row.st = ada_json_push(texts, ada_json_new_str(named        ? entry
                                                           : piece.data ? piece.data
                                                                        : "",
                                                           named ? strlen(entry) : piece.len));
        if (row.st == ADA_OK) row.st = ada_json_push(tokens, ada_json_new_int(ids[k]));
        if (row.st == ADA_OK) row.st = ada_json_push(marks, ada_json_new_int(mask[k]));
        ada_buf_free(&piece);
    }
    ada_object_tree(&row, "ids", tokens);
    ada_object_tree(&row, "mask", marks);
    ada_object_tree(&row, "tokens", texts);
    if (row.st == ADA_OK) return ada_json_push(list, row.j);
    ada_json_close(&row.j);
    return row.st;
}

/* Tokens side by side, what is learnt in brackets. */
static ada_status print_row(const ada_json *row, size_t i) {
    const ada_json *texts = ada_json_get(row, "tokens"), *mask = ada_json_get(row, "mask");
    size_t n = ada_json_len(texts), targets = 0;
    ada_buf line = {0};
    ada_status st = ADA_OK;
    for (size_t k = 0; st == ADA_OK && k < n; k++) {
        ada_buf text = {0};
        bool target = ada_json_int(ada_json_at(mask, k), 0) != 0;
        targets += target;
        st = ada_json_text(ada_json_at(texts, k), 0, &text);
        if (st == ADA_OK) /* without the quotes: line ends and controls stay escaped */
            st = ada_buf_printf(&line, target ? "[%.*s]" : "%.*s|", (int)text.len - 2, text.data + 1);
        ada_buf_free(&text);
    }
    if (st == ADA_OK)
        ada_out_printf("row %zu: %zu tokens, %zu learnt\n  %s\n", i + 1, n, targets,
                       line.data ? line.data : "");
    ada_buf_free(&line);
    return st;
}

static ada_status show_plan(const struct train *o, const ada_train_plan *p, ada_json *rows) {
    struct ada_object j = ada_object_new();
    ada_status st = ADA_OK;
    if (!o->common.json) {
        for (size_t i = 0; st == ADA_OK && i < ada_json_len(rows); i++)
            st = print_row(ada_json_at(rows, i), i);
        ada_json_close(&rows);
    }
    ada_object_int(&j, "rows", (int64_t)p->rows);
    ada_object_int(&j, "rows_without_target", (int64_t)p->dropped);
    ada_object_int(&j, "rows_truncated", (int64_t)p->truncated);
    if (o->run.eval_data) ada_object_int(&j, "eval_rows", (int64_t)p->eval_rows);
    ada_object_int(&j, "steps", p->steps);
    ada_object_num(&j, "epochs", p->epochs);
    ada_object_int(&j, "tokens_per_epoch", (int64_t)p->tokens_per_epoch);
    ada_object_int(&j, "targets_per_epoch", (int64_t)p->targets_per_epoch);
    ada_object_int(&j, "memory_bytes", (int64_t)p->memory);
    ada_object_num(&j, "flops", p->flops);
    ada_object_num(&j, "seconds", p->seconds);
    if (rows) ada_object_tree(&j, "first_rows", rows);
    return ada_object_show(&j, st, o->common.json);
}

static ada_status dry_run(const struct train *o, struct job *j) {
    ada_train_plan plan = {0};
    ada_tensors *file = NULL;
    ada_tok *tok = NULL;
    ada_json *rows = ada_json_new_arr();
    ada_status st = ada_trainer_plan(j->t, &plan);
    if (st == ADA_OK) st = ada_tensors_open(&file, o->model);
    if (st == ADA_OK) st = ada_vision_tok(&tok, file);
    for (size_t i = 0; st == ADA_OK && i < SHOWN_ROWS && i < plan.rows; i++) st = add_row(j, tok, i, rows);
    if (st == ADA_OK) {
        st = show_plan(o, &plan, rows);
        rows = NULL;
    }
    ada_json_close(&rows);
    ada_tok_close(&tok);
    ada_tensors_close(&file);
    return st;
}

static ada_status run(struct ada_args *args, void *values) {
    struct train *o = values;
    struct job j = {.args = args};
    ada_status st = open_run(o, &j);
    if (st == ADA_OK) st = o->dry_run ? dry_run(o, &j) : train(o, &j);
    ada_trainer_close(&j.t);
    ada_adapter_close(&j.a);
    ada_model_close(&j.m);
    ada_json_close(&j.settings);
    ada_buf_free(&j.checkpoint);
    ada_buf_free(&j.run_file);
    return st;
}

const struct ada_command ada_command_train = {
    .name = "train",
    .summary = "train an adapter on the rows of a JSONL file",
    .text = "The base stays frozen; D and U of e' = e + scale * f(e D) U are trained with AdamW on the rows' "
            "completions. The output folder gets adapter.h5 (the best by validation loss, else the last), "
            "checkpoints, metrics.jsonl and run.json, which holds every setting: `adalink train -c "
            "DIR/run.json` is the same run again.\n"
            "SIGINT, SIGTERM and SIGUSR1 end the step, write a checkpoint and exit with 128 + the signal's "
            "number; `adalink train --resume DIR` goes on from there as if nothing had happened. A loss or "
            "gradient that is not finite ends the run and leaves every file alone.",
    .examples = "  adalink train -m smollm2.h5 -d train.jsonl -o out --dry-run\n"
                "  adalink train -m smollm2.h5 -d train.jsonl -o out --epochs 2 --eval-data dev.jsonl\n"
                "  adalink train --resume out\n",
    .opts = opts,
    .size = sizeof(struct train),
    .run = run,
};
