/* SPDX-License-Identifier: Apache-2.0
 * Evaluation: rows with choices by log-likelihood, others by loss and greedy output. Owns: groups of rows
 * that share a pack, and what is summed over a file. Must not know: how a metric is computed, who prints.
 * Invariant: a prompt is computed once for all its choices; a choice of one token costs no row at all. */
#include "engine/score.h"
#include "engine/generate.h"
#include "engine/par.h"
#include "engine/rows.h"
#include "engine/step.h"
#include "io/os.h"
#include "registry.h"
#include "simd/kernels.h"
#include <ctype.h>
#include <string.h>

#define X(name) extern const struct ada_metric ada_metric_##name;
ADA_METRICS(X)
#undef X

#define X(name) &ada_metric_##name,
static const struct ada_metric *const metrics[] = {ADA_METRICS(X)};
#undef X

enum { HEAD_BLOCK = 16, DEFAULT_BATCH = 1024, DEFAULT_NEW = 64 };

typedef struct path { /* one choice of a row, or the row's own completion */
    ada_example e;
    double loglik;
    bool greedy; /* every target so far is the likeliest token */
    int32_t class;
} path;

typedef struct entry { /* one row */
    const ada_row *row;
    path *paths;
    size_t npaths;
    int32_t cost;    /* rows it adds to a pack at most */
    int32_t sources; /* and to its encoder's */
} entry;

typedef struct class_slot {
    const char *text;
    int32_t class;
} class_slot;

typedef struct evaluation {
    ada_model *m;
    ada_adapter *a;
    ada_eval_opts o;
    ada_dataset *data;
    ada_images *images; /* NULL: the model has no eyes */
    ada_arena keep, work;
    entry *entries; /* [n] */
    size_t n, npaths;
    class_slot *table; /* open addressing, [2 · choices + 1] */
    size_t table_size;
    int32_t classes;
    ada_step_limits lim;
    ada_step *step;
    ada_item *items; /* [lim.items] */
    path **owners;   /* [lim.items] */
    float *logits;   /* [HEAD_BLOCK, vocab] */
    double lse[HEAD_BLOCK];
    int32_t best[HEAD_BLOCK];
    int32_t *gold, *pred; /* [n] rows with an answer so far */
    double *nll;
    size_t scored;
    size_t open_rows, matched, compared; /* rows without choices */
    double open_nll;
    size_t open_tokens, tokens, truncated; /* truncated: rows */
    int32_t longest;                       /* of the rows without choices: tokens, and room for an answer */
    ada_generator *gen;
    ada_buf said;
    const char *target; /* of the row being generated; NULL: the whole answer is wanted */
    ada_eval_fn fn;
    void *ctx;
} evaluation;

/* ---- reading ---- */
static uint64_t hash(const char *s) {
    uint64_t h = 14695981039346656037u;
    for (; *s; s++) h = (h ^ (unsigned char)*s) * 1099511628211u;
    return h;
}

static int32_t class_of(evaluation *v, const char *text) {
    size_t i = (size_t)(hash(text) % v->table_size);
    while (v->table[i].text && strcmp(v->table[i].text, text) != 0) i = (i + 1) % v->table_size;
    if (!v->table[i].text) v->table[i] = (class_slot){text, v->classes++};
    return v->table[i].class;
}

static ada_status read_entry(evaluation *v, entry *e, const ada_row *row) {
    e->row = row;
    e->npaths = row->nchoices ? row->nchoices : 1;
    ADA_TRY(ada_arena_zero(&v->keep, &e->paths, e->npaths, sizeof *e->paths));
    for (size_t i = 0; i < e->npaths; i++) {
        path *p = &e->paths[i];
        const char *choice = row->nchoices ? row->choices[i] : NULL;
        ada_status st =
            ada_example_make(&p->e, v->m, v->images, row, choice, false, v->o.max_length, &v->keep);
        if (st != ADA_OK && ada_row_may_fail(row)) ada_note("%s:%zu", v->o.data, row->line);
        ADA_TRY(st);
        if (p->e.targets == 0)
            return ada_fail(ADA_EFORMAT,
                            "%s:%zu: nothing to predict: an empty completion, or nothing before it",
                            v->o.data, row->line);
        p->greedy = true;
        if (choice) p->class = class_of(v, choice);
        int32_t inputs = ada_example_inputs(&p->e);
        if (inputs > v->lim.path) v->lim.path = inputs;
        e->cost +=
            i == 0 || p->e.truncated ? inputs : inputs - p->e.prompt; /* choices share the prompt at least */
        v->tokens += i == 0 ? ada_example_tokens(&p->e) : (size_t)(p->e.n - p->e.prompt);
        e->sources = p->e.nsource;
        if (e->sources > v->lim.source_path) v->lim.source_path = e->sources;
    }
    v->npaths += e->npaths;
    v->truncated += e->paths[0].e.truncated;
    int64_t room = (int64_t)e->paths[0].e.n + v->o.max_new;
    if (e->sources > room) room = e->sources;
    if (row->nchoices == 0 && room > v->longest) v->longest = room < INT32_MAX ? (int32_t)room : INT32_MAX;
    return ADA_OK;
}

static ada_status read_all(evaluation *v) {
    size_t choices = 0;
    ADA_TRY(ada_dataset_open(&v->data, v->o.data, &v->o.keys));
    if (v->m->vision)
        ADA_TRY(ada_images_open(&v->images, v->m->vision, v->o.features, INT32_MAX - v->m->c.vocab));
    v->n = ada_dataset_count(v->data);
    if (v->n == 0) return ada_fail(ADA_EFORMAT, "'%s' has no rows", v->o.data);
    for (size_t i = 0; i < v->n; i++) choices += ada_dataset_at(v->data, i)->nchoices;
    v->table_size = 2 * choices + 1;
    ADA_TRY(ada_arena_zero(&v->keep, &v->table, v->table_size, sizeof *v->table));
    ADA_TRY(ada_arena_zero(&v->keep, &v->entries, v->n, sizeof *v->entries));
    ADA_TRY(ada_arena_take(&v->keep, &v->gold, v->n, sizeof *v->gold));
    ADA_TRY(ada_arena_take(&v->keep, &v->pred, v->n, sizeof *v->pred));
    ADA_TRY(ada_arena_take(&v->keep, &v->nll, v->n, sizeof *v->nll));
    for (size_t i = 0; i < v->n; i++) ADA_TRY(read_entry(v, &v->entries[i], ada_dataset_at(v->data, i)));
    if (v->images) {
        ADA_TRY(ada_images_ready(v->images));
        ada_images_seal(v->images);
    }
    if (v->truncated > 0)
        ada_log(ADA_LOG_WARN, "%zu rows of '%s' are cut to %d tokens", v->truncated, v->o.data,
                v->o.max_length);
    return ADA_OK;
}

/* ---- room ---- */
static ada_status layout(evaluation *v, ada_arena *a) {
    ADA_TRY(ada_step_layout(&v->step, a, v->m, v->a, &v->lim));
    ADA_TRY(ada_arena_take(a, &v->items, (size_t)v->lim.items, sizeof *v->items));
    ADA_TRY(ada_arena_take(a, &v->owners, (size_t)v->lim.items, sizeof *v->owners));
    return ada_arena_take(a, &v->logits, HEAD_BLOCK * (size_t)v->m->c.vocab, sizeof(float));
}

static ada_status make_room(evaluation *v) {
    int64_t rows = (int64_t)v->o.batch_tokens, sources = rows, all = 0, all_sources = 0;
    size_t most = 1;
    for (size_t i = 0; i < v->n; i++) {
        const entry *e = &v->entries[i];
        if (e->cost > rows) rows = e->cost;
        if (e->npaths > most) most = e->npaths;
        all += e->cost;
        if (e->sources > sources) sources = e->sources;
        all_sources += e->sources;
    }
    if (rows > all) rows = all;
    if (rows < 1) rows = 1;
    v->lim.rows = (int32_t)rows;
    v->lim.goals = v->lim.unique = v->lim.rows;
    v->lim.images = v->images;
    int64_t image_rows = v->m->encoder.layers ? (sources > all_sources ? all_sources : sources) : rows;
    if (v->images && image_rows > ada_images_rows(v->images)) image_rows = ada_images_rows(v->images);
    v->lim.image_rows = v->images ? (int32_t)image_rows : 0;
    v->lim.sources = v->lim.source_unique = (int32_t)(sources > all_sources ? all_sources : sources);
    v->lim.items = (int32_t)(most > (size_t)rows ? most : (size_t)rows);
    ada_arena count = {0};
    ada_arena_count(&count);
    ADA_TRY(layout(v, &count));
    ADA_TRY(ada_arena_fix(&v->work, count.used));
    return layout(v, &v->work);
}

/* ---- a group of rows in one pack ---- */
static size_t group_end(const evaluation *v, size_t first) {
    int64_t cost = 0, items = 0, sources = 0;
    size_t i = first;
    for (; i < v->n; i++) {
        cost += v->entries[i].cost;
        items += (int64_t)v->entries[i].npaths;
        sources += v->entries[i].sources;
        if (i > first && (cost > v->lim.rows || items > v->lim.items || sources > v->lim.sources)) break;
    }
    return i;
}

static void read_row(void *ctx, size_t i, int worker) {
    (void)worker;
    evaluation *v = ctx;
    size_t n = (size_t)v->m->c.vocab;
    const float *row = v->logits + i * n;
    v->lse[i] = (double)ada_k.lse(row, n);
    v->best[i] = (int32_t)ada_k.argmax(row, n);
}

/* Adds what the out rows [first, first + n) say about one item's targets. */
static void read_targets(evaluation *v, int32_t item, int32_t first, int32_t n) {
    path *p = v->owners[v->items[item].owner];
    for (int32_t k = p->e.prompt - 1; k < v->items[item].n; k++) {
        if (!v->items[item].wanted[k]) continue;
        int32_t row = ada_packer_out(ada_step_packer(v->step), item, k) - first, token = p->e.ids[k + 1];
        if (row < 0 || row >= n) continue;
        p->loglik += (double)v->logits[(size_t)row * (size_t)v->m->c.vocab + (size_t)token] - v->lse[row];
        p->greedy = p->greedy && v->best[row] == token;
    }
}

static ada_status run_group(evaluation *v, size_t first, size_t end) {
    int32_t n = 0;
    for (size_t i = first; i < end; i++)
        for (size_t k = 0; k < v->entries[i].npaths; k++, n++) {
            v->owners[n] = &v->entries[i].paths[k];
            v->items[n] = ada_example_item(&v->owners[n]->e, n);
        }
    ada_items_sort(v->items, n);
    ada_step_begin(v->step);
    ada_step_see(v->step, v->items, n);
    ADA_TRY(ada_step_start(v->step));
    ADA_TRY(ada_step_forward(v->step, v->items, n));
    int32_t outs = ada_packer_pack(ada_step_packer(v->step))->nout;
    for (int32_t at = 0, len; at < outs; at += len) {
        len = outs - at < HEAD_BLOCK ? outs - at : HEAD_BLOCK;
        ada_step_logits(v->step, at, len, v->logits);
        ada_par_for((size_t)len, read_row, v);
        for (int32_t i = 0; i < n; i++) read_targets(v, i, at, len);
    }
    return ADA_OK;
}

/* ---- greedy output of rows without choices ---- */
static int hear(void *ctx, const ada_token_event *e) {
    evaluation *v = ctx;
    if (ada_buf_add(&v->said, e->piece, e->piece_len) != ADA_OK) return 1;
    if (!v->target || !v->said.data) return 0;
    const char *said = v->said.data, *want = v->target;
    while (isspace((unsigned char)*said)) said++;
    while (isspace((unsigned char)*want)) want++;
    size_t n = strlen(said), room = strlen(want);
    while (n > room && isspace((unsigned char)said[n - 1])) n--;
    return n > room || memcmp(said, want, n) != 0; /* it can no longer become the target */
}

static bool same_text(const char *a, const char *b) {
    while (isspace((unsigned char)*a)) a++;
    while (isspace((unsigned char)*b)) b++;
    size_t n = strlen(a), m = strlen(b);
    while (n > 0 && isspace((unsigned char)a[n - 1])) n--;
    while (m > 0 && isspace((unsigned char)b[m - 1])) m--;
    return n == m && memcmp(a, b, n) == 0;
}

/* Which message is the answer: the assistant's last. */
static size_t answer_of(const ada_row *row) {
    size_t i = row->nmessages;
    while (i > 0 && row->messages[i - 1].role[0] != 'a') i--;
    return i > 0 ? i - 1 : 0;
}

/* A text has no answer; nothing can be said without a token to go on from, nor a conversation's answer when
 * the cut took it or its question. */
static const char *open_target(const evaluation *v, const ada_row *row, const ada_example *e) {
    if (row->messages) return e->truncated ? NULL : row->messages[answer_of(row)].content;
    if (!row->prompt) return NULL;
    if (e->source) return row->completion;
    bool some = ada_tok_adds_bos(v->m->tok) || (*row->prompt && !(e->truncated && e->prompt < 2));
    return some ? row->completion : NULL;
}

/* A prompt is the one whose completion was scored, as cut as it was. */
static ada_status say(evaluation *v, const ada_row *row, const ada_example *e, const char *target) {
    ada_generate_opts o = {.max_new = v->o.max_new, .plain = true, .beams = v->o.beams};
    const char *finish;
    int32_t most = v->m->c.max_positions;
    if (!v->gen)
        ADA_TRY(ada_generator_open_with(&v->gen, v->m, v->a, v->images,
                                        most == 0 || v->longest < most ? v->longest : most));
    v->said.len = 0;
    ADA_TRY(ada_buf_puts(&v->said, ""));
    v->target = v->fn ? NULL : target;
    if (e->source) return ada_generate_ids(v->gen, e->source, (size_t)e->nsource, &o, hear, v, &finish);
    if (row->prompt) return ada_generate_ids(v->gen, e->ids, (size_t)e->prompt, &o, hear, v, &finish);
    o.images = row->images, o.nimages = row->nimages;
    return ada_generate_chat(v->gen, row->messages, answer_of(row), &o, hear, v, &finish);
}

static ada_status finish_open(evaluation *v, entry *e, ada_eval_row *r) {
    const ada_row *row = e->row;
    path *p = &e->paths[0];
    v->open_rows++;
    v->open_nll += r->nll = -p->loglik;
    v->open_tokens += r->target_tokens = (size_t)p->e.targets;
    r->target = open_target(v, row, &p->e);
    if (!r->target) return ADA_OK;
    v->compared++;
    r->prediction = r->target;
    if (!p->greedy || v->o.beams > 1) {
        ADA_TRY(say(v, row, &p->e, r->target));
        r->prediction = v->said.data;
    }
    v->matched += same_text(r->prediction, r->target);
    return ADA_OK;
}

/* ---- rows with choices ---- */
static void finish_choices(evaluation *v, entry *e, double *loglik, ada_eval_row *r) {
    size_t best = 0;
    for (size_t i = 0; i < e->npaths; i++) {
        loglik[i] = e->paths[i].loglik;
        if (loglik[i] > loglik[best]) best = i;
    }
    r->loglik = loglik;
    r->nchoices = e->npaths;
    r->prediction = e->row->choices[best];
    int answer = e->row->answer;
    if (answer < 0) return;
    r->target = e->row->choices[answer];
    r->nll = -loglik[answer];
    r->target_tokens = (size_t)e->paths[answer].e.targets;
    v->gold[v->scored] = e->paths[answer].class;
    v->pred[v->scored] = e->paths[best].class;
    v->nll[v->scored++] = r->nll;
}

static ada_status finish_entry(evaluation *v, entry *e, double *loglik) {
    ada_eval_row r = {.line = e->row->line, .nll = (double)NAN};
    for (size_t i = 0; i < e->npaths; i++)
        if (!isfinite(e->paths[i].loglik))
            return ada_fail(ADA_ENUMERIC, "%s:%zu: the log-likelihood is not finite", v->o.data,
                            e->row->line);
    if (e->row->nchoices)
        finish_choices(v, e, loglik, &r);
    else
        ADA_TRY(finish_open(v, e, &r));
    if (v->fn) v->fn(v->ctx, &r);
    return ADA_OK;
}

static ada_status run_all(evaluation *v) {
    double *loglik;
    ADA_TRY(ada_arena_take(&v->keep, &loglik, (size_t)v->lim.items, sizeof *loglik));
    for (size_t at = 0, end; at < v->n; at = end) {
        end = group_end(v, at);
        ADA_TRY(run_group(v, at, end));
        for (size_t i = at; i < end; i++) ADA_TRY(finish_entry(v, &v->entries[i], loglik));
    }
    return ADA_OK;
}

static ada_status report(evaluation *v, double seconds, ada_json *j) {
    ADA_TRY(ada_json_set(j, "n", ada_json_new_int((int64_t)v->n)));
    ada_scored s = {v->scored, v->gold, v->pred, v->nll, v->classes, &v->keep};
    for (size_t i = 0; v->scored > 0 && i < sizeof metrics / sizeof *metrics; i++) {
        double value;
        ADA_TRY(metrics[i]->value(&s, &value));
        ADA_TRY(ada_json_set(j, metrics[i]->name, ada_json_new_num(value)));
    }
    if (v->open_rows > 0) {
        double loss = v->open_nll / (double)v->open_tokens;
        ADA_TRY(ada_json_set(j, "loss", ada_json_new_num(loss)));
        ADA_TRY(ada_json_set(j, "perplexity", ada_json_new_num(exp(loss))));
    }
    if (v->compared > 0)
        ADA_TRY(ada_json_set(j, "exact_match", ada_json_new_num((double)v->matched / (double)v->compared)));
    ADA_TRY(ada_json_set(j, "tokens", ada_json_new_int((int64_t)v->tokens)));
    return ada_json_set(j, "seconds", ada_json_new_num(seconds));
}

static ada_status evaluate(evaluation *v, ada_json *result) {
    double start = ada_os.now();
    if (!v->o.data) return ada_fail(ADA_EINVAL, "evaluation needs a data file");
    if (v->o.batch_tokens == 0) v->o.batch_tokens = DEFAULT_BATCH;
    if (v->o.batch_tokens > 1 << 20)
        return ada_fail(ADA_EINVAL, "batch-tokens %zu is above 2^20", v->o.batch_tokens);
    if (v->o.max_length == 0) v->o.max_length = v->m->c.max_positions;
    if (v->o.max_new == 0) v->o.max_new = DEFAULT_NEW;
    ADA_TRY(ada_model_prepare(v->m, ADA_FORWARD));
    ADA_TRY(read_all(v));
    ADA_TRY(make_room(v));
    ADA_TRY(run_all(v));
    return report(v, ada_os.now() - start, result);
}

ada_status ada_eval(ada_model *m, ada_adapter *a, const ada_eval_opts *o, ada_eval_fn fn, void *ctx,
                    ada_json **result) {
    evaluation v = {.m = m, .a = a, .o = *o, .fn = fn, .ctx = ctx};
    *result = ada_json_new_obj();
    ada_status st = *result ? evaluate(&v, *result) : ada_fail(ADA_ENOMEM, "out of memory for a result");
    ada_generator_close(&v.gen);
    ada_buf_free(&v.said);
    ada_arena_free(&v.work);
    ada_arena_free(&v.keep);
    ada_images_close(&v.images);
    ada_dataset_close(&v.data);
    if (st != ADA_OK) ada_json_close(result);
    return st;
}
