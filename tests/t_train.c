/* SPDX-License-Identifier: Apache-2.0
 * Training of a tiny model: it learns; losses are means over target tokens whatever the packs; rows come in
 * the order that was promised; settings, validation, patience, non-finite losses, metrics; nothing is
 * allocated in a step. */
#include "engine/rng.h"
#include "engine/train.h"
#include "tests/tiny.h"

typedef struct run {
    ada_model *m;
    ada_adapter *a;
    ada_trainer *t;
} run;

static run begin(const ada_train_opts *o) {
    run r = {.m = tiny_model(true)};
    assert_ok(ada_adapter_new(&r.a, r.m, &(ada_adapter_opts){.rank = 4}));
    assert_ok(ada_trainer_open(&r.t, r.m, r.a, o));
    return r;
}

static void end(run *r) {
    ada_trainer_close(&r->t);
    ada_adapter_close(&r->a);
    ada_model_close(&r->m);
}

static char *slurp(const char *path) {
    char *text;
    size_t n;
    assert_ok(ada_read_file(path, &text, &n));
    return text;
}

static void learns(void **state) {
    (void)state;
    char rows_path[512];
    const char *data = tiny_rows(rows_path, "learn.jsonl", 48);
    run r = begin(&(ada_train_opts){.data = data, .steps = 60, .batch = 8, .lr = 3e-2});
    ada_report rep;
    double first = 0, last = 0;
    for (int i = 0; i < 60; i++) {
        assert_ok(ada_trainer_step(r.t, &rep));
        if (i == 0) first = rep.loss;
        last = rep.loss;
        assert_int_equal(rep.step, i + 1);
        assert_int_equal(rep.total, 60);
        assert_true(rep.grad_norm > 0 && isnan(rep.eval_loss) && !rep.saved);
    }
    assert_true(rep.epoch == 10);
    if (!(last < 0.8 * first)) fail_msg("loss %g after 60 steps, %g at first", last, first);
    assert_int_equal(ada_trainer_step(r.t, &rep), ADA_DONE);
    end(&r);
}

/* The loss of a step from the losses of its rows, each in a step of its own. */
static void loss_is_a_mean_over_tokens(void **state) {
    (void)state;
    static const char rows[] = "{\"prompt\": \"ab\", \"completion\": \"c\"}\n"
                               "{\"prompt\": \"abx\", \"completion\": \"defgh\"}\n";
    char path[512];
    const char *data = tiny_path(path, "mean.jsonl");
    assert_ok(ada_write_file(data, rows, sizeof rows - 1));
    ada_pass_sum one, both;
    double sum = 0;
    float g[4 * 32];
    run r = begin(&(ada_train_opts){.data = data, .batch = 1, .no_shuffle = true});
    memset(g, 0, sizeof g);
    for (int s = 0; s < 2; s++) {
        assert_ok(ada_trainer_gradients(r.t, s, &one));
        assert_int_equal(one.targets, s ? 6 : 2); /* the end mark counts */
        sum += one.loss * (double)one.targets;
        for (int i = 0; i < 4 * 32; i++) g[i] += r.a->params[1].g[i] * (float)one.targets / 8;
    }
    end(&r);
    for (int accum = 1; accum <= 2; accum++) {
        r = begin(&(ada_train_opts){
            .data = data, .batch = accum == 1 ? 2 : 1, .grad_accum = accum, .no_shuffle = true});
        assert_ok(ada_trainer_gradients(r.t, 0, &both));
        assert_true(fabs(both.loss - sum / 8) < 1e-6);
        for (int i = 0; i < 4 * 32; i++) assert_true(fabsf(r.a->params[1].g[i] - g[i]) < 2e-6f);
        end(&r);
    }
}

/* A step larger than a pack gives the gradients of one that is not. */
static void packs_add_up(void **state) {
    (void)state;
    char rows_path[512];
    const char *data = tiny_rows(rows_path, "packs.jsonl", 30);
    ada_pass_sum sum, cut;
    float g[4 * 32];
    run r = begin(&(ada_train_opts){.data = data, .batch = 30, .all_tokens = true});
    assert_ok(ada_trainer_gradients(r.t, 0, &sum));
    memcpy(g, r.a->params[1].g, sizeof g);
    r.t->lim.rows = 20;
    assert_ok(ada_trainer_gradients(r.t, 0, &cut));
    assert_true(fabs(sum.loss - cut.loss) < 1e-6);
    double most = 0;
    for (int i = 0; i < 4 * 32; i++) most = fmax(most, fabs((double)g[i]));
    for (int i = 0; i < 4 * 32; i++) assert_true(fabs((double)(g[i] - r.a->params[1].g[i])) < 1e-5 * most);
    end(&r);
}

static void rows_in_order(void **state) {
    (void)state;
    char rows_path[512];
    const char *data = tiny_rows(rows_path, "order.jsonl", 10);
    ada_pass_sum sum;
    int seen[10] = {0}, moved = 0;
    run r = begin(&(ada_train_opts){.data = data, .batch = 4, .no_shuffle = true, .epochs = 2});
    assert_int_equal(r.t->total, 5);
    ada_trainer_draw(r.t, 2, &sum); /* rows 8, 9, then 0, 1 of the next epoch */
    for (int i = 0; i < 4; i++) seen[r.t->items[i].owner]++;
    assert_true(seen[8] == 1 && seen[9] == 1 && seen[0] == 1 && seen[1] == 1);
    end(&r);
    memset(seen, 0, sizeof seen);
    r = begin(&(ada_train_opts){.data = data, .batch = 5, .seed = 3});
    int32_t epochs[2][10];
    for (int s = 0; s < 4; s++) {
        ada_trainer_draw(r.t, s, &sum);
        for (int i = 0; i < 5; i++) seen[r.t->items[i].owner]++;
        if (s % 2 == 1) memcpy(epochs[s / 2], r.t->order, sizeof epochs[0]);
    }
    for (int i = 0; i < 10; i++) assert_int_equal(seen[i], 2);
    for (int i = 0; i < 10; i++) moved += epochs[0][i] != epochs[1][i];
    assert_true(moved > 3);
    end(&r);
}

static void validation_and_best(void **state) {
    (void)state;
    char rows_path[512], eval_path[512], out_path[512];
    const char *data = tiny_rows(rows_path, "val.jsonl", 16), *eval = tiny_rows(eval_path, "val2.jsonl", 6),
               *out = tiny_path(out_path, "val");
    run r = begin(&(ada_train_opts){.data = data,
                                    .eval_data = eval,
                                    .out = out,
                                    .steps = 12,
                                    .batch = 8,
                                    .eval_every = 2,
                                    .lr = 2,
                                    .clip = -1,
                                    .schedule = "constant",
                                    .patience = 3});
    ada_report rep;
    ada_status st;
    double best = INFINITY;
    int64_t steps = 0, best_at = 0;
    float p[32 * 4];
    while ((st = ada_trainer_step(r.t, &rep)) == ADA_OK) {
        steps = rep.step;
        assert_true(isnan(rep.eval_loss) == (rep.step % 2 != 0 && rep.step != 12));
        if (isnan(rep.eval_loss)) continue;
        assert_int_equal(rep.best, rep.eval_loss < best);
        if (!rep.best) continue;
        best = rep.eval_loss;
        best_at = rep.step;
        memcpy(p, r.a->params[0].p, sizeof p);
    }
    assert_int_equal(st, ADA_DONE);
    assert_true(rep.total == 12 &&
                (steps == 12 || steps == best_at + 6)); /* an lr of 2 wanders off: patience */
    assert_memory_equal(p, r.a->params[0].p, sizeof p);
    ada_adapter *kept = NULL;
    char path[600];
    (void)snprintf(path, sizeof path, "%s/adapter.h5", out);
    assert_ok(ada_adapter_open(&kept, r.m, path));
    assert_memory_equal(p, kept->params[0].p, sizeof p);
    assert_true(ada_json_int(ada_json_get(kept->notes, "step"), 0) == best_at);
    ada_adapter_close(&kept);
    end(&r);
}

static void metrics_lines(void **state) {
    (void)state;
    char rows_path[512], out_path[512];
    const char *data = tiny_rows(rows_path, "met.jsonl", 8), *out = tiny_path(out_path, "met");
    run r = begin(&(ada_train_opts){.data = data, .out = out, .steps = 3, .batch = 4});
    ada_report rep;
    while (ada_trainer_step(r.t, &rep) == ADA_OK) {
    }
    char *text = slurp(io_path("met/metrics.jsonl"));
    int lines = 0;
    for (char *s = text, *nl; (nl = strchr(s, '\n')); s = nl + 1, lines++) {
        ada_json *j = NULL;
        assert_ok(ada_json_parse(&j, s, (size_t)(nl - s), "line"));
        assert_int_equal(ada_json_int(ada_json_get(j, "step"), -1), lines + 1);
        assert_true(ada_json_num(ada_json_get(j, "loss"), 0) > 0);
        ada_json_close(&j);
    }
    assert_int_equal(lines, 3);
    ada_os.release(text);
    end(&r);
    r = begin(&(ada_train_opts){.data = data, .out = out, .steps = 3, .batch = 4});
    assert_fails(ada_trainer_step(r.t, &rep), ADA_EINVAL, "resume it");
    end(&r);
}

/* Before either has a checkpoint to be known by, too. */
static void one_run_a_folder(void **state) {
    (void)state;
    char rows_path[512], out_path[512];
    const char *data = tiny_rows(rows_path, "two.jsonl", 8), *out = tiny_path(out_path, "two");
    const ada_train_opts o = {.data = data, .out = out, .steps = 3, .batch = 4};
    run first = begin(&o), second = begin(&o);
    ada_report rep;
    assert_ok(ada_trainer_step(first.t, &rep));
    assert_fails(ada_trainer_step(second.t, &rep), ADA_EINVAL, "another run is writing");
    end(&first);
    assert_ok(ada_trainer_step(second.t, &rep));
    end(&second);
}

static void not_finite(void **state) {
    (void)state;
    char rows_path[512], out_path[512];
    const char *data = tiny_rows(rows_path, "nan.jsonl", 8), *out = tiny_path(out_path, "nan");
    run r = begin(&(ada_train_opts){
        .data = data, .out = out, .steps = 3, .batch = 4, .no_shuffle = true, .save_every = 1});
    ada_report rep;
    assert_ok(ada_trainer_step(r.t, &rep));
    float *up = r.a->params[1].p, was = up[0];
    up[0] = NAN;
    assert_fails(ada_trainer_step(r.t, &rep), ADA_ENUMERIC, "at step 2, rows ");
    assert_non_null(strstr(ada_error(), "nan.jsonl:5, 6, 7, 8"));
    assert_int_equal(ada_state_newest(out), 1);
    up[0] = was;
    assert_ok(ada_trainer_step(r.t, &rep)); /* the trainer is where it was */
    assert_int_equal(rep.step, 2);
    end(&r);
}

static void refusals(void **state) {
    (void)state;
    char rows_path[512];
    const char *data = tiny_rows(rows_path, "ref.jsonl", 4);
    ada_model *m = tiny_model(true);
    ada_adapter *a = NULL;
    ada_trainer *t = NULL;
    assert_ok(ada_adapter_new(&a, m, &(ada_adapter_opts){.rank = 2}));
    assert_fails(ada_trainer_open(&t, m, a, &(ada_train_opts){0}), ADA_EINVAL, "data file");
    assert_fails(ada_trainer_open(&t, m, a, &(ada_train_opts){.data = data, .lr = -1}), ADA_EINVAL, "lr -1");
    assert_fails(ada_trainer_open(&t, m, a, &(ada_train_opts){.data = data, .schedule = "x"}), ADA_EINVAL,
                 "'x'");
    assert_fails(ada_trainer_open(&t, m, a, &(ada_train_opts){.data = data, .batch = -3}), ADA_EINVAL,
                 "batch");
    assert_fails(ada_trainer_open(&t, m, a, &(ada_train_opts){.data = data, .patience = 2}), ADA_EINVAL,
                 "eval-data");
    assert_fails(ada_trainer_open(&t, m, a, &(ada_train_opts){.data = data, .save_every = 2}), ADA_EINVAL,
                 "output folder");
    assert_fails(ada_trainer_open(&t, m, a, &(ada_train_opts){.data = "nowhere.jsonl"}), ADA_EIO,
                 "nowhere.jsonl");
    assert_fails(ada_trainer_open(&t, m, a, &(ada_train_opts){.resume = io_folder}), ADA_EIO,
                 "no checkpoint");
    assert_null(t);
    ada_adapter_close(&a);
    ada_model_close(&m);
}

static size_t allocations;
static void *(*real_alloc)(size_t);
static void *count_alloc(size_t n) {
    allocations++;
    return real_alloc(n);
}

static void no_allocation_in_a_step(void **state) {
    (void)state;
    char rows_path[512];
    const char *data = tiny_rows(rows_path, "alloc.jsonl", 40);
    run r =
        begin(&(ada_train_opts){.data = data, .steps = 9, .batch = 8, .eval_data = data, .eval_every = 3});
    ada_report rep;
    real_alloc = ada_os.alloc;
    ada_os.alloc = count_alloc;
    while (ada_trainer_step(r.t, &rep) == ADA_OK) {
    }
    ada_os.alloc = real_alloc;
    assert_int_equal(allocations, 0);
    end(&r);
}

static void planned(void **state) {
    (void)state;
    char rows_path[512], out_path[512];
    const char *data = tiny_rows(rows_path, "plan.jsonl", 32), *out = tiny_path(out_path, "plan");
    run r = begin(&(ada_train_opts){.data = data, .eval_data = data, .out = out, .epochs = 3, .batch = 8});
    ada_train_plan plan;
    const int32_t *ids;
    const uint8_t *mask;
    size_t n;
    float was = r.a->params[0].p[0];
    assert_ok(ada_trainer_plan(r.t, &plan));
    assert_true(plan.rows == 32 && plan.eval_rows == 32 && plan.steps == 12 && plan.epochs == 3);
    assert_true(plan.flops > 0 && plan.seconds > 0 && plan.memory > 1 << 20 && plan.targets_per_epoch > 64);
    assert_true(r.a->params[0].p[0] == was && r.a->params[0].m[0] == 0 && r.t->state.step == 0);
    assert_int_equal(ada_os.open(out, 0, 0), -1); /* no trace */
    assert_ok(ada_trainer_row(r.t, 1, &ids, &mask, &n));
    assert_int_equal(ids[0], tiny_id('s'));
    assert_int_equal(mask[n - 1], 1);
    assert_fails(ada_trainer_row(r.t, 32, &ids, &mask, &n), ADA_EINVAL, "row 32");
    end(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(learns),
                                       cmocka_unit_test(loss_is_a_mean_over_tokens),
                                       cmocka_unit_test(packs_add_up),
                                       cmocka_unit_test(rows_in_order),
                                       cmocka_unit_test(validation_and_best),
                                       cmocka_unit_test(metrics_lines),
                                       cmocka_unit_test(one_run_a_folder),
                                       cmocka_unit_test(not_finite),
                                       cmocka_unit_test(refusals),
                                       cmocka_unit_test(no_allocation_in_a_step),
                                       cmocka_unit_test(planned)};
    return cmocka_run_group_tests(tests, tiny_begin, io_test_end);
}
