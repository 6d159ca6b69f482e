/* SPDX-License-Identifier: Apache-2.0
 * Option tables, held to a toy command: every way a value comes in, every way it is refused with its words,
 * run files whose values are what was written, and the near words that errors suggest. */
#include "apps/opt.h"
#include "io/replace.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct toy {
    struct ada_common common;
    const char *model, *mode;
    const char **stop;
    bool bias, shuffle;
    int rank;
    int64_t steps;
    uint64_t seed;
    double lr;
};
#define F(f) ADA_OPT_FIELD(struct toy, f)

/* clang-format off */
static const struct ada_opt opts[] = {
    ADA_OPT_HEAD("toys"),
    ADA_OPT_MODEL(struct toy, model),
    { .name = "mode", F(mode), .arg = "NAME", .words = "|slow|fast", .def = "slow" },
    { .name = "stop", F(stop), .arg = "TEXT" },
    { .name = "bias", .letter = 'b', F(bias) },
    { .name = "shuffle", F(shuffle), .def = "true" },
    { .name = "rank", .letter = 'r', F(rank), .arg = "N", .lo = 1, .hi = 4096, .def = "64" },
    { .name = "eval-every", F(steps), .arg = "N", .lo = 0, .hi = INFINITY },
    { .name = "seed", F(seed), .arg = "N", .lo = 0, .hi = 9007199254740991, .def = "0" },
    { .name = "lr", F(lr), .arg = "X", .lo = 0, .hi = 10 },
    ADA_OPT_COMMON(struct toy),
    ADA_OPT_LAST,
};
/* clang-format on */

static ada_status no_run(struct ada_args *a, void *values) {
    (void)a;
    (void)values;
    return ADA_OK;
}

static const struct ada_command toy = {
    .name = "toy", .opts = opts, .size = sizeof(struct toy), .run = no_run};
static const struct ada_command eater = {
    .name = "eater", .opts = opts, .operands = "FILE...", .size = sizeof(struct toy), .run = no_run};
const struct ada_command *const ada_commands[] = {&toy, &eater, NULL};

/* Splits at '|', so that words may hold spaces. */
static ada_status parse(struct ada_args *a, const struct ada_command *c, const char *line) {
    static char text[512];
    char *argv[32];
    int argc = 0;
    snprintf(text, sizeof text, "%s", line);
    for (char *p = strtok(text, "|"); p; p = strtok(NULL, "|")) argv[argc++] = p;
    memset(a, 0, sizeof *a);
    return ada_opt_parse(a, c, argc, argv);
}

static void refused(const char *line, const char *message) {
    struct ada_args a;
    assert_int_equal(parse(&a, &toy, line), ADA_EINVAL);
    assert_string_equal(ada_error(), message);
    ada_args_free(&a);
}

static void test_defaults(void **state) {
    (void)state;
    struct ada_args a;
    assert_int_equal(parse(&a, &toy, ""), ADA_OK);
    const struct toy *t = a.values;
    assert_null(t->model);
    assert_string_equal(t->mode, "slow");
    assert_true(t->shuffle);
    assert_int_equal(t->rank, 64);
    assert_true(t->lr == 0);
    assert_int_equal(ada_opt_given(&a, "rank"), ADA_OPT_BY_NOBODY);
    assert_int_equal(ada_opt_check(&a), ADA_EINVAL);
    assert_string_equal(ada_error(), "--model PATH is missing");
    ada_args_free(&a);
}

static void test_spellings(void **state) {
    (void)state;
    struct ada_args a;
    assert_int_equal(
        parse(&a, &eater,
              "--model|m x|--rank=8|-bqr9|--no-shuffle|one|--lr|1e-3|--stop|a|--stop=b|--|--rank"),
        ADA_OK);
    const struct toy *t = a.values;
    assert_string_equal(t->model, "m x");
    assert_int_equal(t->rank, 9);
    assert_true(t->bias && t->common.quiet && !t->shuffle && !t->common.verbose);
    assert_true(t->lr == 1e-3);
    assert_string_equal(t->stop[0], "a");
    assert_string_equal(t->stop[1], "b");
    assert_null(t->stop[2]);
    assert_int_equal(a.noperands, 2);
    assert_string_equal(a.operands[1], "--rank");
    assert_int_equal(ada_opt_given(&a, "rank"), ADA_OPT_BY_FLAG);
    assert_int_equal(ada_opt_check(&a), ADA_OK);
    ada_args_free(&a);
    assert_int_equal(parse(&a, &toy, "-m|x|-|--help"), ADA_OK);
    assert_true(a.help);
    assert_int_equal(ada_opt_check(&a), ADA_EINVAL);
    assert_string_equal(ada_error(), "unexpected argument '-'; see 'adalink help toy'");
    ada_args_free(&a);
    assert_int_equal(parse(&a, &eater, "-m|x"), ADA_OK);
    assert_int_equal(ada_opt_check(&a), ADA_EINVAL);
    assert_string_equal(ada_error(), "FILE... is missing");
    ada_args_free(&a);
}

static void test_refusals(void **state) {
    (void)state;
    refused("--rank|abc", "--rank: 'abc' is not an integer in 1..4096");
    refused("--rank|0", "--rank: '0' is not an integer in 1..4096");
    refused("--rank|4097", "--rank: '4097' is not an integer in 1..4096");
    refused("--rank|7.5", "--rank: '7.5' is not an integer in 1..4096");
    refused("--rank|99999999999999999999", "--rank: '99999999999999999999' is not an integer in 1..4096");
    refused("--rank=", "--rank: '' is not an integer in 1..4096");
    refused("--seed|-1", "--seed: '-1' is not an integer in 0..9007199254740991");
    refused("--eval-every|-1", "--eval-every: '-1' is not an integer of at least 0");
    refused("--lr|nan", "--lr: 'nan' is not a number in 0..10");
    refused("--lr|1e999", "--lr: '1e999' is not a number in 0..10");
    refused("--mode|medium", "--mode: 'medium' is not one of slow, fast");
    refused("--mode|slow ", "--mode: 'slow ' is not one of slow, fast");
    refused("--rank", "'--rank' wants a value: --rank N");
    refused("-r", "'-r' wants a value: -r N");
    refused("--model=", "--model: '' is not a name");
    refused("--rnak|8", "unknown option '--rnak'; did you mean '--rank'?");
    refused("--shuf", "unknown option '--shuf'; did you mean '--shuffle'?");
    refused("--eval_every=3", "unknown option '--eval_every'; did you mean '--eval-every'?");
    refused("--zzz", "unknown option '--zzz'; see 'adalink help toy'");
    refused("-x", "unknown option '-x'; see 'adalink help toy'");
    refused("--no-rank", "'--no-rank' is no switch: only --rank VALUE exists");
    refused("--bias=yes", "'--bias' takes no value; its opposite is '--no-bias'");
    refused("--no-bias=1", "'--no-bias' takes no value");
}

struct files {
    char folder[32], path[64];
};

static ada_status load(struct files *f, struct ada_args *a, const char *line, const char *name,
                       const char *text) {
    snprintf(f->path, sizeof f->path, "%s/%s", f->folder, name);
    assert_int_equal(ada_replace_bytes(f->path, text, strlen(text)), ADA_OK);
    assert_int_equal(parse(a, &toy, line), ADA_OK);
    return ada_opt_load(a, f->path);
}

static void not_loaded(struct files *f, const char *text, const char *message) {
    struct ada_args a;
    char want[256];
    assert_int_equal(load(f, &a, "", "bad.yaml", text), ADA_EINVAL);
    snprintf(want, sizeof want, "'%s'%s", f->path, message);
    assert_string_equal(ada_error(), want);
    ada_args_free(&a);
}

static int make_folder(void **state) {
    static struct files f;
    strcpy(f.folder, "/tmp/t_opt.");
    memset(f.folder + strlen(f.folder), 'X', 6);
    *state = &f;
    return mkdtemp(f.folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    struct files *f = *state;
    static const char *const names[] = {"run.yaml", "run.json", "bad.yaml"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(f->path, sizeof f->path, "%s/%s", f->folder, names[i]);
        unlink(f->path);
    }
    return rmdir(f->folder);
}

static void test_run_file(void **state) {
    struct ada_args a;
    const char *text = "model: small\nrank: 16\nlr: 2e-3\nbias: true\nshuffle: false\nmode: fast\nstop: [x, "
                       "'y z']\nseed: null\n";
    assert_int_equal(load(*state, &a, "--rank|8", "run.yaml", text), ADA_OK);
    const struct toy *t = a.values;
    assert_string_equal(t->model, "small");
    assert_int_equal(t->rank, 8); /* flags win */
    assert_true(t->lr == 2e-3 && t->bias && !t->shuffle);
    assert_string_equal(t->mode, "fast");
    assert_string_equal(t->stop[1], "y z");
    assert_int_equal(ada_opt_given(&a, "lr"), ADA_OPT_BY_FILE);
    assert_int_equal(ada_opt_given(&a, "seed"), ADA_OPT_BY_NOBODY);
    assert_int_equal(ada_opt_check(&a), ADA_OK);
    ada_args_free(&a);
    not_loaded(*state, "rnk: 3\n", ": unknown key 'rnk'; did you mean 'rank'?");
    not_loaded(*state, "quiet: true\n", ": unknown key 'quiet'");
    not_loaded(*state, "rank: abc\n", ": rank: 'abc' is not an integer in 1..4096");
    not_loaded(*state, "rank: 1.5\n", ": rank: '1.5' is not an integer in 1..4096");
    not_loaded(*state, "bias: 1\n", ": bias: '1' is not true or false");
    not_loaded(*state, "model: 5\n", ": model: '5' is not text");
    not_loaded(*state, "mode: [slow]\n", ": mode: '[\"slow\"]' is not text");
    not_loaded(*state, "- 5\n", " holds no 'option: value' pairs");
}

/* What is written reads back as the same values, and the engine's answer stands for what nobody gave. */
static void test_settings(void **state) {
    struct ada_args a, b;
    ada_json *j = NULL, *resolved = NULL;
    ada_buf text = {0};
    assert_int_equal(parse(&a, &toy, "--model|m|--lr|0.1|--stop|s|--no-shuffle|-q"), ADA_OK);
    const char *answer = "{\"eval_every\": 41, \"lr\": 5.0, \"unknown\": 1}";
    assert_int_equal(ada_json_parse(&resolved, answer, strlen(answer), "answer"), ADA_OK);
    assert_int_equal(ada_opt_settings(&a, resolved, &j), ADA_OK);
    assert_int_equal(ada_json_text(j, 0, &text), ADA_OK);
    assert_string_equal(
        text.data,
        "{\"model\": \"m\", \"mode\": \"slow\", \"stop\": [\"s\"], \"shuffle\": false, \"rank\": 64, "
        "\"eval-every\": 41, \"seed\": 0, \"lr\": 0.1}");
    assert_int_equal(load(*state, &b, "", "run.json", text.data), ADA_OK);
    const struct toy *x = a.values, *y = b.values;
    assert_string_equal(x->model, y->model);
    assert_string_equal(x->stop[0], y->stop[0]);
    assert_true(x->lr == y->lr && x->rank == y->rank && x->shuffle == y->shuffle && y->steps == 41);
    ada_json_close(&j);
    ada_json_close(&resolved);
    ada_buf_free(&text);
    ada_args_free(&a);
    ada_args_free(&b);
}

static void test_near(void **state) {
    (void)state;
    const char *const words[] = {"train", "eval", "generate", "tokenize", NULL};
    assert_string_equal(ada_word_near("trian", words), "train");
    assert_string_equal(ada_word_near("gen", words), "generate");
    assert_string_equal(ada_word_near("tokenise", words), "tokenize");
    assert_null(ada_word_near("x", words));
    assert_null(ada_word_near("frobnicate", words));
    assert_ptr_equal(ada_command_find("toy"), &toy);
    assert_null(ada_command_find("to"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults), cmocka_unit_test(test_spellings), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_run_file), cmocka_unit_test(test_settings),  cmocka_unit_test(test_near),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
