/* SPDX-License-Identifier: Apache-2.0
 * Adapter and checkpoint files: read back by bits, refused for another base or shape, found, pruned,
 * described; a run resumed from any step ends with the bits of one that never stopped. */
#include "engine/state.h"
#include "engine/train.h"
#include "tests/tiny.h"

enum { STEPS = 7 };

static ada_adapter *adapter(ada_model *m, bool bias) {
    ada_adapter *a = NULL;
    assert_ok(ada_adapter_new(
        &a, m, &(ada_adapter_opts){.rank = 3, .scale = 0.5, .activation = "gelu", .bias = bias, .seed = 9}));
    for (int i = 1; i < a->nparams; i++)
        for (size_t k = 0; k < a->params[i].n; k++) a->params[i].p[k] = (float)sin((double)k + i);
    return a;
}

static void adapter_comes_back(void **state) {
    (void)state;
    char path[512];
    ada_model *m = tiny_model(true);
    for (int bias = 0; bias < 2; bias++) {
        ada_adapter *a = adapter(m, bias), *b = NULL;
        assert_ok(ada_adapter_save(a, tiny_path(path, "back.h5")));
        assert_ok(ada_adapter_open(&b, m, path));
        assert_true(b->rank == 3 && b->scale == 0.5f && b->activation == ADA_F_GELU && b->bias == bias &&
                    b->seed == 9);
        assert_int_equal(b->nparams, a->nparams);
        for (int i = 0; i < a->nparams; i++)
            assert_memory_equal(a->params[i].p, b->params[i].p, a->params[i].n * sizeof(float));
        ada_adapter_close(&a);
        ada_adapter_close(&b);
    }
    ada_model_close(&m);
}

/* What came back has these bits and these modalities. */
static void sees_and_comes_back(ada_model *m, const ada_adapter_opts *o) {
    char path[512];
    ada_adapter *a = NULL, *b = NULL;
    assert_ok(ada_adapter_new(&a, m, o));
    for (int i = 0; i < a->nparams; i++)
        for (size_t k = 0; k < a->params[i].n; k++) a->params[i].p[k] = (float)sin((double)k + i);
    assert_ok(ada_adapter_save(a, tiny_path(path, "sees.h5")));
    assert_ok(ada_adapter_open(&b, m, path));
    assert_ptr_equal(a->method, b->method);
    assert_memory_equal(a->first, b->first, sizeof a->first);
    assert_int_equal(a->nparams, b->nparams);
    for (int i = 0; i < a->nparams; i++)
        assert_memory_equal(a->params[i].p, b->params[i].p, a->params[i].n * sizeof(float));
    ada_adapter_close(&b);
    ada_vision *eyes = m->vision;
    m->vision = NULL;
    if (!o->modalities || strcmp(o->modalities, "text") != 0)
        assert_fails(ada_adapter_open(&b, m, path), ADA_EINVAL, "the model ");
    m->vision = eyes;
    ada_adapter_close(&a);
}

static void seeing_comes_back(void **state) {
    (void)state;
    enum { IN = 6, D = 32 };
    static float w[IN * D], bias[D];
    ada_vision v = {.connector = {.kind = ADA_CONNECTOR_LINEAR, .in = IN, .d = D, .w1 = w, .b1 = bias}};
    ada_model *m = tiny_model(true);
    m->vision = &v;
    sees_and_comes_back(m, &(ada_adapter_opts){.rank = 2});
    sees_and_comes_back(m, &(ada_adapter_opts){.rank = 2, .modalities = "image", .bias = true});
    sees_and_comes_back(m, &(ada_adapter_opts){.rank = 2, .modalities = "text"});
    sees_and_comes_back(m, &(ada_adapter_opts){.method = "connector", .seed = 7});
    char path[512];
    ada_json *j = NULL;
    assert_ok(ada_adapter_describe(tiny_path(path, "sees.h5"), &j));
    assert_string_equal(ada_json_str(ada_json_get(j, "method"), ""), "connector");
    assert_null(ada_json_get(j, "rank"));
    assert_int_equal(ada_json_int(ada_json_get(ada_json_get(j, "modalities"), "image"), 0), IN * D + D);
    assert_int_equal(ada_json_int(ada_json_get(j, "parameters"), 0), IN * D + D);
    ada_json_close(&j);
    m->vision = NULL;
    ada_model_close(&m);
}

static void other_base_refused(void **state) {
    (void)state;
    char path[512];
    ada_model *m = tiny_model(true), *other = NULL;
    ada_adapter *a = adapter(m, false), *b = NULL;
    assert_ok(ada_adapter_save(a, tiny_path(path, "base.h5")));
    assert_ok(ada_model_open(&other, io_tests_path("golden/untied_bias"), &(ada_model_opts){.f32 = true}));
    assert_fails(ada_adapter_open(&b, other, path), ADA_EMISMATCH, "was made for base '");
    assert_non_null(strstr(ada_error(), m->name));
    assert_non_null(strstr(ada_error(), other->name));
    assert_null(b);
    ada_adapter_close(&a);
    ada_model_close(&m);
    ada_model_close(&other);
}

static void damage_refused(void **state) {
    (void)state;
    char path[512], *bytes;
    size_t n;
    ada_model *m = tiny_model(true);
    ada_adapter *a = adapter(m, false), *b = NULL;
    assert_ok(ada_adapter_save(a, tiny_path(path, "hurt.h5")));
    assert_ok(ada_read_file(path, &bytes, &n));
    bytes[n / 2] ^= 1;
    assert_ok(ada_write_file(path, bytes, n));
    assert_int_equal(ada_adapter_open(&b, m, path), ADA_EFORMAT);
    assert_ok(ada_write_file(path, bytes, n / 2));
    assert_int_equal(ada_adapter_open(&b, m, path), ADA_EFORMAT);
    assert_null(b);
    ada_os.release(bytes);
    ada_adapter_close(&a);
    ada_model_close(&m);
}

static void described(void **state) {
    (void)state;
    char path[512];
    ada_model *m = tiny_model(true);
    ada_adapter *a = adapter(m, true);
    ada_json *j = NULL;
    assert_ok(ada_adapter_save(a, tiny_path(path, "desc.h5")));
    assert_ok(ada_adapter_describe(path, &j));
    assert_string_equal(ada_json_str(ada_json_get(j, "kind"), ""), "adapter");
    assert_string_equal(ada_json_str(ada_json_get(j, "method"), ""), "adalink");
    assert_string_equal(ada_json_str(ada_json_get(j, "activation"), ""), "gelu");
    assert_int_equal(ada_json_int(ada_json_get(j, "parameters"), 0), (int64_t)ada_adapter_params(a));
    assert_int_equal(ada_json_len(ada_json_get(j, "tensors")), 4);
    assert_int_equal(ada_json_int(ada_json_at(ada_json_get(ada_json_get(j, "tensors"), "text/down"), 0), 0),
                     32);
    ada_json_close(&j);
    assert_int_not_equal(ada_adapter_describe(io_path("absent.h5"), &j), ADA_OK);
    assert_null(j);
    ada_adapter_close(&a);
    ada_model_close(&m);
}

typedef struct run {
    ada_adapter *a;
    ada_trainer *t;
} run;

static run begin(ada_model *m, const ada_train_opts *o, const char *checkpoint) {
    run r = {0};
    if (checkpoint)
        assert_ok(ada_adapter_open(&r.a, m, checkpoint));
    else
        assert_ok(ada_adapter_new(&r.a, m, &(ada_adapter_opts){.rank = 3, .seed = 2}));
    assert_ok(ada_trainer_open(&r.t, m, r.a, o));
    return r;
}

static void end(run *r) {
    ada_trainer_close(&r->t);
    ada_adapter_close(&r->a);
}

static void finish(run *r, float *p, size_t n) {
    ada_report rep;
    ada_status st;
    while ((st = ada_trainer_step(r->t, &rep)) == ADA_OK) {
    }
    assert_int_equal(st, ADA_DONE);
    memcpy(p, r->a->params[0].p, n * sizeof *p);
}

static void resumes_at_every_step(void **state) {
    (void)state;
    char data[512], eval[512], whole[512], part[512], kept[512], other[512];
    float want[3 * 32], got[3 * 32];
    ada_report rep;
    ada_model *m = tiny_model(true);
    (void)tiny_rows(data, "res.jsonl", 10);
    (void)tiny_rows(eval, "res2.jsonl", 5);
    ada_train_opts o = {.data = data,
                        .eval_data = eval,
                        .out = tiny_path(whole, "whole"),
                        .steps = STEPS,
                        .batch = 4,
                        .eval_every = 2,
                        .lr = 0.1,
                        .seed = 4};
    run r = begin(m, &o, NULL);
    finish(&r, want, 3 * 32);
    end(&r);
    for (int stop = 1; stop < STEPS; stop++) {
        char name[32];
        ada_buf path = {0};
        ada_json *settings = NULL;
        (void)snprintf(name, sizeof name, "part%d", stop);
        o.out = tiny_path(part, name);
        r = begin(m, &o, NULL);
        for (int s = 0; s < stop; s++) assert_ok(ada_trainer_step(r.t, &rep));
        assert_ok(ada_trainer_save(r.t));
        if (stop + 1 < STEPS)
            assert_ok(ada_trainer_step(r.t, &rep)); /* lost by a kill: its line of metrics must go */
        end(&r);
        assert_ok(ada_checkpoint_find(part, &path, &settings));
        assert_string_equal(ada_json_str(ada_json_get(settings, "schedule"), ""), "cosine");
        r = begin(m, &(ada_train_opts){.resume = part}, path.data);
        assert_int_equal(r.t->state.step, stop);
        finish(&r, got, 3 * 32);
        assert_memory_equal(want, got, sizeof want);
        end(&r);
        ada_buf_free(&path);
        ada_json_close(&settings);
        char *text, *first = NULL;
        size_t n;
        int lines = 0;
        (void)snprintf(kept, sizeof kept, "%.400s/metrics.jsonl", part);
        assert_ok(ada_read_file(kept, &text, &n));
        for (first = text; (first = strchr(first, '\n')); first++) lines++;
        assert_int_equal(lines, STEPS);
        ada_os.release(text);
        for (int i = 0; i < 2; i++) { /* the kept adapters are the same too */
            ada_adapter *k = NULL;
            (void)snprintf(other, sizeof other, "%.400s/adapter.h5", i ? part : whole);
            assert_ok(ada_adapter_open(&k, m, other));
            assert_memory_equal(k->params[0].p, want, sizeof want);
            ada_adapter_close(&k);
        }
    }
    ada_model_close(&m);
}

static void changed_data_refused(void **state) {
    (void)state;
    char data[512], out[512];
    ada_report rep;
    ada_model *m = tiny_model(true);
    ada_adapter *a = NULL;
    ada_trainer *t = NULL;
    ada_buf path = {0};
    ada_json *settings = NULL;
    run r = begin(
        m,
        &(ada_train_opts){.data = tiny_rows(data, "chg.jsonl", 6), .out = tiny_path(out, "chg"), .batch = 2},
        NULL);
    assert_ok(ada_trainer_step(r.t, &rep));
    assert_ok(ada_trainer_save(r.t));
    end(&r);
    (void)tiny_rows(data, "chg.jsonl", 7);
    assert_ok(ada_checkpoint_find(out, &path, &settings));
    assert_ok(ada_adapter_open(&a, m, path.data));
    assert_fails(ada_trainer_open(&t, m, a, &(ada_train_opts){.resume = out}), ADA_EMISMATCH, "has changed");
    ada_buf_free(&path);
    ada_json_close(&settings);
    ada_adapter_close(&a);
    ada_model_close(&m);
}

static void keeps_the_newest(void **state) {
    (void)state;
    char data[512], out[512], path[600];
    ada_report rep;
    ada_model *m = tiny_model(true);
    ada_buf found = {0};
    ada_json *settings = NULL;
    run r = begin(m,
                  &(ada_train_opts){.data = tiny_rows(data, "keep.jsonl", 6),
                                    .out = tiny_path(out, "keep"),
                                    .batch = 2,
                                    .steps = 5,
                                    .save_every = 1,
                                    .keep = 2},
                  NULL);
    while (ada_trainer_step(r.t, &rep) == ADA_OK) assert_true(rep.saved);
    end(&r);
    assert_int_equal(ada_state_newest(out), 5);
    for (int i = 1; i <= 5; i++) {
        char *text = NULL;
        size_t n;
        (void)snprintf(path, sizeof path, "%s/checkpoint-%08d.h5", out, i);
        assert_int_equal(ada_read_file(path, &text, &n) == ADA_OK, i > 3);
        ada_os.release(text);
    }
    assert_ok(ada_write_file(path, "torn", 4)); /* the newest is broken: the one before it serves */
    assert_ok(ada_checkpoint_find(out, &found, &settings));
    assert_non_null(strstr(found.data, "checkpoint-00000004.h5"));
    ada_buf_free(&found);
    ada_json_close(&settings);
    ada_model_close(&m);
}

/* A kill between the last checkpoint and adapter.h5: resuming has no step to do, but the file to write. */
static void adapter_of_a_finished_run(void **state) {
    (void)state;
    char data[512], out[512], path[600];
    float want[3 * 32], got[3 * 32];
    ada_model *m = tiny_model(true);
    ada_adapter *a = NULL;
    ada_buf found = {0};
    ada_json *settings = NULL;
    run r = begin(
        m,
        &(ada_train_opts){
            .data = tiny_rows(data, "last.jsonl", 6), .out = tiny_path(out, "last"), .batch = 2, .steps = 3},
        NULL);
    finish(&r, want, 3 * 32);
    end(&r);
    (void)snprintf(path, sizeof path, "%s/adapter.h5", out);
    assert_int_equal(remove(path), 0);
    assert_ok(ada_checkpoint_find(out, &found, &settings));
    r = begin(m, &(ada_train_opts){.resume = out}, found.data);
    finish(&r, got, 3 * 32);
    end(&r);
    assert_ok(ada_adapter_open(&a, m, path));
    assert_memory_equal(a->params[0].p, want, sizeof want);
    ada_adapter_close(&a);
    ada_buf_free(&found);
    ada_json_close(&settings);
    ada_model_close(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(adapter_comes_back),
                                       cmocka_unit_test(seeing_comes_back),
                                       cmocka_unit_test(other_base_refused),
                                       cmocka_unit_test(damage_refused),
                                       cmocka_unit_test(described),
                                       cmocka_unit_test(resumes_at_every_step),
                                       cmocka_unit_test(changed_data_refused),
                                       cmocka_unit_test(adapter_of_a_finished_run),
                                       cmocka_unit_test(keeps_the_newest)};
    return cmocka_run_group_tests(tests, tiny_begin, io_test_end);
}
