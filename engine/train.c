/* SPDX-License-Identifier: Apache-2.0
 * Training: a step is a function and the loop belongs to the caller. Owns: the order of rows, the update,
 * validation, and when files are written. Must not know: the command line, file layouts. Invariant: a step
 * whose loss or gradient is not finite leaves parameters, moments and every file as they were. */
#include "engine/train.h"
#include "engine/rng.h"
#include "engine/settings.h"
#include "io/os.h"
#include "io/replace.h"
#include "io/tok.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- which rows a step takes ---- */
static void order_epoch(ada_trainer *t, int64_t epoch) {
    size_t n = t->rows.n;
    if (t->order_epoch == epoch) return;
    for (size_t i = 0; i < n; i++) t->order[i] = (int32_t)i;
    for (size_t i = n; !t->o.no_shuffle && i > 1; i--) {
        uint64_t index = (uint64_t)epoch << 32 | (uint64_t)i;
        size_t k = (size_t)(ada_rng_uniform(t->o.seed, ADA_RNG_SHUFFLE, index) * (double)i);
        int32_t x = t->order[i - 1];
        t->order[i - 1] = t->order[k];
        t->order[k] = x;
    }
    t->order_epoch = epoch;
}

void ada_trainer_draw(ada_trainer *t, int64_t s, ada_pass_sum *sum) {
    *sum = (ada_pass_sum){0};
    for (int32_t i = 0; i < t->per_step; i++) {
        int64_t at = s * t->per_step + i, n = (int64_t)t->rows.n;
        order_epoch(t, at / n);
        int32_t row = t->order[at % n];
        t->items[i] = ada_example_item(&t->rows.ex[row], row);
        sum->tokens += ada_example_tokens(&t->rows.ex[row]);
        sum->targets += (size_t)t->rows.ex[row].targets;
    }
    ada_items_sort(t->items, t->per_step);
}

int32_t ada_trainer_chunk(const ada_trainer *t, const ada_example *ex, int32_t first, int32_t n) {
    int64_t rows = 0, goals = 0, sources = 0;
    int32_t i = first;
    for (; i < n; i++) {
        sources += ada_item_source_cost(i > first ? &t->items[i - 1] : NULL, &t->items[i]);
        rows += ada_item_cost(i > first ? &t->items[i - 1] : NULL, &t->items[i]);
        goals += ex[t->items[i].owner].targets;
        bool full = rows > t->lim.rows || goals > t->lim.goals || sources > t->lim.sources;
        if (i > first && (full || i - first >= t->lim.items)) break;
    }
    return i - first;
}

/* ---- a step's numbers ---- */
static int32_t list_goals(ada_trainer *t, const ada_example *ex, const ada_item *items, int32_t n,
                          float weight) {
    int32_t count = 0;
    for (int32_t i = 0; i < n; i++)
        for (int32_t k = 0; k < items[i].n; k++)
            if (items[i].wanted[k])
                t->goals[count++] = (ada_goal){i, k, ex[items[i].owner].ids[k + 1], weight};
    return count;
}

/* Adds the losses of one pack. */
static ada_status run_chunk(ada_trainer *t, const ada_example *ex, const ada_item *items, int32_t n,
                            float weight, bool back, ada_pass_sum *sum) {
    ADA_TRY(ada_step_forward(t->step, items, n));
    int32_t goals = list_goals(t, ex, items, n, weight);
    ada_step_loss(t->step, t->goals, goals, t->loss, back);
    for (int32_t i = 0; i < goals; i++) sum->loss += (double)t->loss[i];
    sum->flops += ada_step_flops(t->step, goals, back);
    return ADA_OK;
}

double ada_trainer_spell_flops(const ada_trainer *t) {
    double sum = 0;
    for (int32_t i = 0, rows; i < t->per_step; i++) {
        (void)ada_step_spelled(t->step, &t->items[i], &rows);
        sum += 6.0 * rows * (double)ada_adapter_params(t->a);
    }
    return sum;
}

/* Distance and length of these items, as ada_step_spell has them. */
static void spell(ada_trainer *t, const ada_item *items, int32_t n, float scale, double sum[2]) {
    for (int32_t i = 0; i < n; i++) ada_step_spell(t->step, &items[i], t->fill, scale, sum);
}

static ada_status start(ada_trainer *t, int32_t n) {
    ada_step_begin(t->step);
    ada_step_see(t->step, t->items, n);
    if (t->spells) ada_step_see_token(t->step, t->fill);
    return ada_step_start(t->step);
}

static void spell_gradients(ada_trainer *t, ada_pass_sum *sum) {
    double length[2] = {0}, all[2] = {0};
    spell(t, t->items, t->per_step, 0, length);
    spell(t, t->items, t->per_step, (float)(2 / length[1]), all);
    sum->loss = all[0] / all[1];
    sum->flops = ada_trainer_spell_flops(t);
}

static ada_status token_gradients(ada_trainer *t, ada_pass_sum *sum) {
    float weight = (float)(1.0 / (double)sum->targets);
    for (int32_t i = 0, n; i < t->per_step; i += n) {
        n = ada_trainer_chunk(t, t->rows.ex, i, t->per_step);
        ADA_TRY(run_chunk(t, t->rows.ex, t->items + i, n, weight, true, sum));
    }
    sum->loss /= (double)sum->targets;
    return ADA_OK;
}

ada_status ada_trainer_gradients(ada_trainer *t, int64_t s, ada_pass_sum *sum) {
    ada_trainer_draw(t, s, sum);
    ada_adapter_zero_grad(t->a);
    ADA_TRY(start(t, t->per_step));
    if (t->spells)
        spell_gradients(t, sum);
    else
        ADA_TRY(token_gradients(t, sum));
    ada_step_end(t->step);
    return ADA_OK;
}

static ada_status validate(ada_trainer *t, double *loss) {
    ada_pass_sum sum = {0};
    double spelled[2] = {0};
    const ada_rows *r = &t->eval_rows;
    for (size_t at = 0; at < r->n;) {
        int32_t n = 0;
        while (n < t->per_step && at + (size_t)n < r->n) {
            t->items[n] = ada_example_item(&r->ex[at + (size_t)n], (int32_t)(at + (size_t)n));
            n++;
        }
        n = ada_trainer_chunk(t, r->ex, 0, n);
        ada_items_sort(t->items, n);
        ADA_TRY(start(t, n));
        if (t->spells)
            spell(t, t->items, n, 0, spelled);
        else
            ADA_TRY(run_chunk(t, r->ex, t->items, n, 0.0f, false, &sum));
        at += (size_t)n;
    }
    *loss = t->spells ? spelled[0] / spelled[1] : sum.loss / (double)r->targets;
    return ADA_OK;
}

/* The smallest line of the step's rows above `last`; 0 if there is none. */
static size_t next_line(const ada_trainer *t, size_t last) {
    size_t best = 0;
    for (int32_t i = 0; i < t->per_step; i++) {
        size_t line = t->rows.ex[t->items[i].owner].line;
        if (line > last && (best == 0 || line < best)) best = line;
    }
    return best;
}

/* "data.jsonl:5, 17, 210 and more" */
static void name_rows(const ada_trainer *t, char *out, size_t room) {
    int at = snprintf(out, room, "%s:", t->rows.path);
    size_t line = next_line(t, 0);
    for (int32_t i = 0; line > 0 && at > 0 && (size_t)at < room; i++, line = next_line(t, line)) {
        if (i == 16) {
            snprintf(out + at, room - (size_t)at, " and more");
            return;
        }
        at += snprintf(out + at, room - (size_t)at, "%s%zu", i ? ", " : "", line);
    }
}

static ada_status check_finite(const ada_trainer *t, double loss, double norm) {
    if (isfinite(loss) && isfinite(norm)) return ADA_OK;
    char rows[512];
    name_rows(t, rows, sizeof rows);
    return ada_fail(ADA_ENUMERIC, "%s is not finite at step %" PRId64 ", rows %s",
                    isfinite(loss) ? "the gradient" : "the loss", t->state.step + 1, rows);
}

/* ---- files ---- */
/* Ends with the whole lines of steps up to `step`; what a killed run wrote after its last checkpoint goes. */
static ada_status cut_metrics(const char *path, int64_t step) {
    char *text;
    size_t n, end = 0;
    int fd = ada_os.open(path, O_RDONLY, 0);
    if (fd < 0) return ADA_OK;
    (void)ada_os.close(fd);
    ADA_TRY(ada_read_file(path, &text, &n));
    while (end < n) {
        const char *nl = memchr(text + end, '\n', n - end);
        int64_t at = 0;
        if (!nl || sscanf(text + end, "{\"step\": %" SCNd64, &at) != 1 || at > step) break;
        end = (size_t)(nl - text) + 1;
    }
    ada_status st = end < n ? ada_replace_bytes(path, text, end) : ADA_OK;
    ada_os.release(text);
    return st;
}

static ada_status out_path(const ada_trainer *t, const char *name, ada_buf *b) {
    return ada_buf_printf(b, "%s/%s", t->o.out, name);
}

/* Two runs in one folder would take turns at its checkpoints. A file system without locks is no reason to
 * stop. */
static ada_status lock_folder(ada_trainer *t) {
    if (t->folder < 0) t->folder = ada_os.open(t->o.out, O_RDONLY | O_DIRECTORY, 0);
    if (t->folder < 0) return ada_fail(ADA_EIO, "cannot open folder '%s': %s", t->o.out, strerror(errno));
    if (ada_os.lock(t->folder) != 0 && errno == EWOULDBLOCK)
        return ada_fail(ADA_EINVAL, "another run is writing to '%s': choose another folder", t->o.out);
    return ADA_OK;
}

/* Before the first step, not at opening, so that a dry run leaves no trace. */
static ada_status prepare_files(ada_trainer *t) {
    if (t->files_ready || !t->o.out) return ADA_OK;
    ADA_TRY(ada_make_folder(t->o.out));
    ADA_TRY(lock_folder(t));
    if (t->state.step == 0 && ada_state_newest(t->o.out) > 0)
        return ada_fail(ADA_EINVAL,
                        "'%s' holds the checkpoints of a run: resume it, or choose another folder", t->o.out);
    ada_buf path = {0};
    ada_status st = out_path(t, "metrics.jsonl", &path);
    if (st == ADA_OK) st = cut_metrics(path.data, t->state.step);
    ada_buf_free(&path);
    t->files_ready = st == ADA_OK;
    return st;
}

static ada_status append(const char *path, const char *line, size_t n) {
    int fd = ada_os.open(path, O_WRONLY | O_CREAT | O_APPEND, 0666);
    if (fd < 0) return ada_fail(ADA_EIO, "cannot open '%s': %s", path, strerror(errno));
    ssize_t put = ada_os.write(fd, line, n);
    int closed = ada_os.close(fd);
    return put == (ssize_t)n && closed == 0 ? ADA_OK : ada_fail(ADA_EIO, "cannot write to '%s'", path);
}

static ada_status write_metrics(const ada_trainer *t, const ada_report *r) {
    char line[512], path[4096], eval[64] = "";
    if (!t->o.out) return ADA_OK;
    if (!isnan(r->eval_loss)) snprintf(eval, sizeof eval, ", \"eval_loss\": %.9g", r->eval_loss);
    int n =
        snprintf(line, sizeof line,
                 "{\"step\": %" PRId64
                 ", \"epoch\": %.6g, \"loss\": %.9g, \"lr\": %.9g, \"grad_norm\": %.9g, \"tokens\": %zu, "
                 "\"targets\": %zu, \"seconds\": %.3f%s}\n",
                 r->step, r->epoch, r->loss, r->lr, r->grad_norm, r->tokens, r->targets, r->seconds, eval);
    if (snprintf(path, sizeof path, "%s/metrics.jsonl", t->o.out) >= (int)sizeof path)
        return ada_fail(ADA_EINVAL, "the name of '%s' is too long", t->o.out);
    return append(path, line, (size_t)n);
}

static ada_status make_notes(ada_trainer *t) {
    ada_json *j = ada_json_new_obj();
    if (!j) return ada_fail(ADA_ENOMEM, "out of memory for an adapter's notes");
    ada_status st = ada_json_set(j, "step", ada_json_new_int(t->state.step));
    if (st == ADA_OK) st = ada_json_set(j, "epoch", ada_json_new_num(t->state.epoch));
    if (st == ADA_OK && t->state.best_step > 0)
        st = ada_json_set(j, "eval_loss", ada_json_new_num(t->state.best_loss));
    if (st == ADA_OK) st = ada_json_set(j, "settings", ada_json_share(t->settings));
    if (st != ADA_OK) {
        ada_json_close(&j);
        return st;
    }
    ada_json_close(&t->a->notes);
    t->a->notes = j;
    return ADA_OK;
}

static ada_status save_adapter(ada_trainer *t) {
    ada_buf path = {0};
    ada_status st = make_notes(t);
    if (st == ADA_OK) st = out_path(t, "adapter.h5", &path);
    if (st == ADA_OK) st = ada_adapter_save(t->a, path.data);
    ada_buf_free(&path);
    return st;
}

ada_status ada_trainer_save(ada_trainer *t) {
    if (!t->o.out) return ada_fail(ADA_EINVAL, "no output folder to save into");
    ADA_TRY(prepare_files(t));
    ada_buf path = {0};
    ada_status st = ada_state_path(t->o.out, t->state.step, &path);
    if (st == ADA_OK) st = ada_state_save(t->a, &t->state, path.data);
    ada_buf_free(&path);
    ADA_TRY(st);
    ada_state_prune(t->o.out, t->o.keep);
    return t->eval_rows.n == 0 ? save_adapter(t) : ADA_OK;
}

/* ---- the step ---- */
static bool finished(const ada_trainer *t) {
    return t->state.step >= t->total || (t->o.patience > 0 && t->state.stale >= t->o.patience);
}

static double epoch_at(const ada_trainer *t, int64_t step) {
    return (double)step * t->per_step / (double)t->rows.n;
}

static bool eval_due(const ada_trainer *t) {
    int64_t s = t->state.step;
    if (t->eval_rows.n == 0) return false;
    if (s == t->total) return true;
    if (t->o.eval_every > 0) return s % t->o.eval_every == 0;
    return floor(epoch_at(t, s)) > floor(epoch_at(t, s - 1));
}

static ada_status take_validation(ada_trainer *t, ada_report *r) {
    ADA_TRY(validate(t, &r->eval_loss));
    if (!isfinite(r->eval_loss))
        return ada_fail(ADA_ENUMERIC, "the validation loss is not finite after step %" PRId64, t->state.step);
    r->best = t->state.best_step == 0 || r->eval_loss < t->state.best_loss;
    t->state.stale = r->best ? 0 : t->state.stale + 1;
    if (!r->best) return ADA_OK;
    t->state.best_step = t->state.step;
    t->state.best_loss = r->eval_loss;
    for (int i = 0; i < t->a->nparams; i++)
        memcpy(t->state.best[i], t->a->params[i].p, t->a->params[i].n * sizeof(float));
    return t->o.out ? save_adapter(t) : ADA_OK;
}

static void use_best(ada_trainer *t) {
    for (int i = 0; t->state.best_step > 0 && i < t->a->nparams; i++)
        memcpy(t->a->params[i].p, t->state.best[i], t->a->params[i].n * sizeof(float));
}

static ada_status update(ada_trainer *t, ada_report *r) {
    ada_pass_sum sum;
    ADA_TRY(ada_trainer_gradients(t, t->state.step, &sum));
    r->loss = sum.loss;
    r->tokens = sum.tokens;
    r->targets = sum.targets;
    r->grad_norm = ada_grad_norm(t->a);
    ADA_TRY(check_finite(t, r->loss, r->grad_norm));
    r->lr = t->o.lr * ada_schedule_at(t->schedule, t->state.step, t->warm, t->total);
    ada_adamw w = {r->lr, t->o.beta1, t->o.beta2, t->o.eps, t->o.weight_decay};
    t->state.step++;
    t->state.epoch = epoch_at(t, t->state.step);
    ada_adamw_step(t->a, &w, ada_clip_factor(r->grad_norm, t->o.clip), t->state.step);
    return ADA_OK;
}

ada_status ada_trainer_step(ada_trainer *t, ada_report *r) {
    *r = (ada_report){.total = t->total, .eval_loss = NAN};
    if (finished(t)) {
        use_best(t);
        /* A run killed between its last checkpoint and its adapter is resumed just to write the adapter. */
        if (t->o.out && t->steps_here == 0) {
            ADA_TRY(prepare_files(t));
            ADA_TRY(save_adapter(t));
        }
        return ADA_DONE;
    }
    ADA_TRY(prepare_files(t));
    double start = ada_os.now();
    ADA_TRY(update(t, r));
    r->seconds = ada_os.now() - start;
    r->step = t->state.step;
    r->epoch = t->state.epoch;
    if (eval_due(t)) ADA_TRY(take_validation(t, r));
    ADA_TRY(write_metrics(t, r));
    bool due = t->o.save_every > 0 && r->step % t->o.save_every == 0;
    if (t->o.out && (due || finished(t))) {
        ADA_TRY(ada_trainer_save(t));
        r->saved = true;
    }
    t->seconds += ada_os.now() - start;
    t->steps_here++;
    r->tokens_per_second = r->seconds > 0.0 ? (double)r->tokens / r->seconds : 0.0;
    r->eta_seconds = finished(t) ? 0.0 : t->seconds / (double)t->steps_here * (double)(t->total - r->step);
    r->memory_peak = ada_os_rss_peak();
    return ADA_OK;
}

ada_status ada_trainer_row(const ada_trainer *t, size_t i, const int32_t **ids, const uint8_t **mask,
                           size_t *n) {
    if (i >= t->rows.n) return ada_fail(ADA_EINVAL, "row %zu of %zu", i, t->rows.n);
    *ids = t->rows.ex[i].ids;
    *mask = t->rows.ex[i].mask;
    *n = (size_t)t->rows.ex[i].n;
    return ADA_OK;
}

ada_status ada_trainer_settings(const ada_trainer *t, ada_json **settings) {
    *settings = ada_json_share(t->settings);
    return ADA_OK;
}

/* ---- opening ---- */
static int32_t at_most(int64_t x, int64_t limit) {
    return (int32_t)(x < limit ? x : limit);
}
static int64_t at_least(int64_t x, int64_t limit) {
    return x > limit ? x : limit;
}

static ada_status set_limits(ada_trainer *t) {
    ada_extent x, v = {0};
    size_t k = (size_t)t->per_step;
    ADA_TRY(ada_rows_extent(&t->rows, t->m->c.vocab, k, &x));
    if (t->eval_rows.n > 0) ADA_TRY(ada_rows_extent(&t->eval_rows, t->m->c.vocab, k, &v));
    int32_t longest = (int32_t)at_least(x.longest, v.longest), most = (int32_t)at_least(x.most, v.most);
    int64_t inputs = at_least(x.inputs, v.inputs), targets = at_least(x.targets, v.targets);
    t->lim.train = true;
    t->lim.path = longest;
    t->lim.rows = at_most(inputs, at_least(ADA_CHUNK_TOKENS, longest));
    t->lim.goals = at_most(targets, at_least(ADA_CHUNK_TOKENS, most));
    t->lim.items = at_most(t->per_step, t->lim.goals);
    int64_t images = t->images ? at_least(x.images, v.images) : 0, vocab = t->m->c.vocab;
    t->lim.images = t->images;
    t->lim.image_rows = t->images ? at_most(images, ada_images_rows(t->images)) : 0;
    t->lim.unique = at_most(inputs, vocab + t->lim.image_rows);
    int64_t sources = at_least(x.sources, v.sources);
    t->lim.source_path = (int32_t)at_least(x.longest_source, v.longest_source);
    t->lim.sources = at_most(sources, at_least(ADA_CHUNK_TOKENS, t->lim.source_path));
    t->lim.source_unique = at_most(sources, vocab + t->lim.image_rows);
    if (t->spells) { /* the language model has nothing to do */
        t->lim.rows = longest, t->lim.sources = t->lim.source_path;
        t->lim.goals = t->lim.items = 1;
        t->lim.unique = at_most(inputs + 1, vocab + t->lim.image_rows);
    }
    return ADA_OK;
}

static ada_status layout(ada_trainer *t, ada_arena *a) {
    ADA_TRY(ada_step_layout(&t->step, a, t->m, t->a, &t->lim));
    ADA_TRY(ada_arena_take(a, &t->items, (size_t)t->per_step, sizeof *t->items));
    ADA_TRY(ada_arena_take(a, &t->goals, (size_t)t->lim.goals, sizeof *t->goals));
    return ada_arena_take(a, &t->loss, (size_t)t->lim.goals, sizeof(float));
}

static ada_status lay_out_work(ada_trainer *t) {
    ada_arena count = {0};
    ada_arena_count(&count);
    ADA_TRY(layout(t, &count));
    ADA_TRY(ada_arena_fix(&t->work, count.used));
    return layout(t, &t->work);
}

/* A path that still means the same from another folder; what has no such name stays as it is. */
static ada_status absolute(ada_trainer *t, const char **path) {
    char full[PATH_MAX];
    if (!*path || !realpath(*path, full)) return ADA_OK;
    *path = ada_arena_str(&t->data, full, strlen(full));
    return *path ? ADA_OK : ADA_ENOMEM;
}

static ada_status make_settings(ada_trainer *t) {
    ADA_TRY(absolute(t, &t->o.model));
    ADA_TRY(absolute(t, &t->o.mmproj));
    ADA_TRY(absolute(t, &t->o.data));
    ADA_TRY(absolute(t, &t->o.eval_data));
    ADA_TRY(absolute(t, &t->o.features));
    ADA_TRY(ada_settings_write(&t->o, &t->settings));
    t->state.settings = t->settings;
    return ada_json_set(t->settings, "f32", ada_json_new_bool(t->m->type == ADA_F32));
}

static void warn_of_rows(const ada_rows *r, int max_length) {
    if (r->truncated > 0)
        ada_log(ADA_LOG_WARN, "%zu rows of '%s' are cut to %d tokens", r->truncated, r->path, max_length);
    if (r->dropped > 0)
        ada_log(ADA_LOG_WARN, "%zu rows of '%s' have no token to learn from", r->dropped, r->path);
}

static ada_status load_rows(ada_trainer *t) {
    const ada_train_opts *o = &t->o;
    if (t->m->vision)
        ADA_TRY(ada_images_open(&t->images, t->m->vision, o->features, INT32_MAX - t->m->c.vocab));
    ADA_TRY(
        ada_rows_load(&t->rows, t->m, t->images, o->data, &o->keys, o->all_tokens, o->max_length, &t->data));
    if (t->rows.n > INT32_MAX) return ada_fail(ADA_EUNSUPPORTED, "'%s' has more than 2^31 rows", o->data);
    if (o->eval_data)
        ADA_TRY(ada_rows_load(&t->eval_rows, t->m, t->images, o->eval_data, &o->keys, o->all_tokens,
                              o->max_length, &t->data));
    if (t->images) ada_images_seal(t->images);
    warn_of_rows(&t->rows, o->max_length);
    warn_of_rows(&t->eval_rows, o->max_length);
    return ADA_OK;
}

static ada_status set_counts(ada_trainer *t) {
    int64_t rows = (int64_t)t->rows.n, per;
    if (__builtin_mul_overflow((int64_t)t->o.batch, (int64_t)t->o.grad_accum, &per) || per > INT32_MAX / 4)
        return ada_fail(ADA_EINVAL, "batch %d × grad-accum %d is too large", t->o.batch, t->o.grad_accum);
    t->per_step = (int32_t)per;
    t->total = t->o.steps > 0 ? t->o.steps : (int64_t)floor((double)rows * t->o.epochs / (double)per);
    if (t->total < 1) t->total = 1;
    t->warm = ada_warmup_steps(t->o.warmup, t->total);
    t->order_epoch = -1;
    return ada_arena_take(&t->data, &t->order, t->rows.n, sizeof *t->order);
}

/* Rows before a completion's say a line feed, or the end where the tokenizer has none. */
static ada_status find_fill(ada_trainer *t) {
    ada_ids ids = {0};
    ada_status st = ada_tok_encode(t->m->tok, "\n", 1, 0, &ids);
    t->fill = ids.len > 0 ? ids.data[ids.len - 1] : ada_tok_eos(t->m->tok);
    ada_ids_free(&ids);
    if (st == ADA_OK && t->fill < 0) st = ada_fail(ADA_EUNSUPPORTED, "the tokenizer has no line feed");
    return st;
}

static ada_status check_spelling(const ada_trainer *t, const ada_rows *r) {
    for (size_t i = 0; t->spells && i < r->n; i++) {
        ada_item item = ada_example_item(&r->ex[i], 0);
        int32_t rows, tokens = ada_step_spelled(t->step, &item, &rows);
        if (tokens > rows || rows == 0)
            return ada_fail(ADA_EINVAL, "%s:%zu: a completion of %d tokens for %d rows of an image", r->path,
                            r->ex[i].line, tokens, rows);
    }
    return ADA_OK;
}

static ada_status settle_loss(ada_trainer *t) {
    t->spells = strcmp(t->o.loss, "embeddings") == 0;
    if (!t->spells) return ADA_OK;
    if (!t->a->method->connects)
        return ada_fail(ADA_EINVAL, "loss 'embeddings' is of method 'connector' alone");
    return find_fill(t);
}

static ada_status keep_room_for_best(ada_trainer *t) {
    for (int i = 0; t->eval_rows.n > 0 && i < t->a->nparams; i++)
        ADA_TRY(ada_arena_take(&t->data, &t->state.best[i], t->a->params[i].n, sizeof(float)));
    return ADA_OK;
}

static ada_status same_data(const ada_rows *r, const char *was) {
    if (strcmp(r->digest, was) == 0) return ADA_OK;
    return ada_fail(ADA_EMISMATCH, "'%s' has changed since the checkpoint (sha256 %.12s…, was %.12s…)",
                    r->path ? r->path : "", r->digest, was);
}

static ada_status read_options(ada_trainer *t, const ada_train_opts *o, ada_buf *path) {
    if (!o->resume) return ada_settings_resolve(&t->o, o, &t->data);
    ada_json *settings = NULL;
    ada_train_opts was;
    ADA_TRY(ada_checkpoint_find(o->resume, path, &settings));
    ada_status st = ada_settings_read(&was, settings, &t->data);
    ada_json_close(&settings);
    ADA_TRY(st);
    const char *slash = strrchr(path->data, '/');
    was.out = o->out  ? o->out
              : slash ? ada_arena_str(&t->data, path->data, (size_t)(slash - path->data))
                      : ".";
    if (!was.out) return ADA_ENOMEM;
    return ada_settings_resolve(&t->o, &was, &t->data);
}

static ada_status build(ada_trainer *t, const ada_train_opts *o, ada_buf *checkpoint) {
    ADA_TRY(read_options(t, o, checkpoint));
    ADA_TRY(make_settings(t));
    ADA_TRY(ada_schedule_parse(t->o.schedule, &t->schedule));
    ADA_TRY(settle_loss(t));
    ADA_TRY(load_rows(t));
    ADA_TRY(set_counts(t));
    ADA_TRY(keep_room_for_best(t));
    if (!t->spells) ADA_TRY(ada_model_prepare(t->m, ADA_FORWARD | ADA_BACKWARD));
    ADA_TRY(ada_adapter_trainable(t->a));
    if (checkpoint->data) {
        ADA_TRY(ada_state_load(t->a, &t->state, checkpoint->data));
        ADA_TRY(same_data(&t->rows, t->state.data_digest));
        ADA_TRY(same_data(&t->eval_rows, t->state.eval_digest));
    }
    memcpy(t->state.data_digest, t->rows.digest, sizeof t->state.data_digest);
    memcpy(t->state.eval_digest, t->eval_rows.digest, sizeof t->state.eval_digest);
    ADA_TRY(set_limits(t));
    t->before = ada_os_rss();
    ADA_TRY(lay_out_work(t));
    ADA_TRY(check_spelling(t, &t->rows));
    return check_spelling(t, &t->eval_rows);
}

ada_status ada_trainer_open(ada_trainer **out, ada_model *m, ada_adapter *a, const ada_train_opts *o) {
    ada_buf checkpoint = {0};
    *out = NULL;
    ada_trainer *t = ada_os.alloc(sizeof *t);
    if (!t) return ada_fail(ADA_ENOMEM, "out of memory for a trainer");
    *t = (ada_trainer){.m = m, .a = a, .folder = -1};
    ada_status st = build(t, o, &checkpoint);
    ada_buf_free(&checkpoint);
    if (st != ADA_OK) ada_trainer_close(&t);
    *out = t;
    return st;
}

void ada_trainer_close(ada_trainer **t) {
    if (!*t) return;
    if ((*t)->folder >= 0) (void)ada_os.close((*t)->folder);
    ada_json_close(&(*t)->settings);
    ada_images_close(&(*t)->images);
    ada_arena_free(&(*t)->work);
    ada_arena_free(&(*t)->data);
    ada_os.release(*t);
    *t = NULL;
}
