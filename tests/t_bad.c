/* SPDX-License-Identifier: Apache-2.0
 * Every malformed file of tests/bad: opened as its kind says, it gives the status and the words of
 * manifest.txt, in one line. Owns nothing. Must not know: why a file is wrong (bad/make_bad.py does).
 * Invariant: a row of an unknown kind, an unknown status or a file that no row names is a failure. */
#include "tests/io_test.h"
#include "engine/adalink.h"
#include "io/dataset.h"
#include "io/h5.h"
#include "io/preprocess.h"
#include "io/spiece.h"
#include "io/tok.h"
#include "io/yaml.h"

static ada_status open_json(const char *path) {
    ada_json *j;
    ada_status st = ada_json_open(&j, path);
    ada_json_close(&j);
    return st;
}

static ada_status open_yaml(const char *path) {
    ada_json *j;
    ada_status st = ada_yaml_open(&j, path);
    ada_json_close(&j);
    return st;
}

static ada_status open_tensors(const char *path) {
    ada_tensors *t = NULL;
    ada_status st = ada_tensors_open(&t, path);
    ada_tensors_close(&t);
    return st;
}

static ada_status open_tower(const char *path) {
    ada_tower *t = NULL;
    ada_status st = ada_tower_open(&t, path, NULL);
    ada_tower_close(&t);
    return st;
}

/* Beside a text model of width 32 that is good. */
static ada_status open_mmproj(const char *path) {
    ada_model *m = NULL;
    char mmproj[1200];
    (void)snprintf(mmproj, sizeof mmproj, "%s", path);
    ada_status st = ada_model_open(&m, io_tests_path("golden/vlm/mmproj_siglip/text.gguf"),
                                   &(ada_model_opts){.mmproj = mmproj});
    ada_model_close(&m);
    return st;
}

static ada_status open_h5(const char *path) {
    ada_h5_in *f = NULL;
    ada_status st = ada_h5_open(&f, path, true);
    ada_h5_close(&f);
    return st;
}

static ada_status read_h5(const char *path) {
    ada_h5_in *f = NULL;
    float x[4];
    ada_status st = ada_h5_open(&f, path, false);
    if (st == ADA_OK) st = ada_h5_get_f32(f, "/x", 4, x);
    ada_h5_close(&f);
    return st;
}

static ada_status open_tokenizer(const char *path) {
    ada_json *j = NULL;
    ada_tok *t = NULL;
    ada_status st = ada_json_open(&j, path);
    if (st == ADA_OK) st = ada_tok_open(&t, j, NULL);
    ada_tok_close(&t);
    ada_json_close(&j);
    return st;
}

static ada_status read_spiece(const char *path) {
    char *bytes;
    size_t n;
    ada_json *meta = ada_json_new_obj();
    ada_tok *t = NULL;
    assert_ok(ada_read_file(path, &bytes, &n));
    ada_status st = ada_spiece_read(meta, bytes, n, NULL, path);
    if (st == ADA_OK) st = ada_tok_open_gguf(&t, meta);
    ada_os.release(bytes);
    ada_tok_close(&t);
    ada_json_close(&meta);
    return st;
}

static ada_status open_jsonl(const char *path) {
    ada_dataset *d = NULL;
    ada_status st = ada_dataset_open(&d, path, &(ada_dataset_opts){0});
    ada_dataset_close(&d);
    return st;
}

static ada_status open_chat(const char *path) {
    static const ada_message messages[] = {{.role = "user", .content = "u"},
                                           {.role = "assistant", .content = "a"}};
    char *text;
    size_t n;
    ada_chat *c = NULL;
    ada_buf out = {0};
    assert_ok(ada_read_file(path, &text, &n));
    ada_status st = ada_chat_open(&c, text, "<s>", "</s>");
    if (st == ADA_OK) st = ada_chat_render(c, messages, 2, false, false, &out, NULL, NULL);
    ada_buf_free(&out);
    ada_chat_close(&c);
    ada_os.release(text);
    return st;
}

static ada_status read_image(const char *path) {
    ada_image img;
    ada_arena a = {0};
    ada_status st = ada_image_read(&img, &a, path);
    ada_arena_free(&a);
    return st;
}

static ada_status read_preprocess(const char *path) {
    ada_json *j = NULL;
    ada_preprocess p;
    ada_status st = ada_json_open(&j, path);
    if (st == ADA_OK) st = ada_preprocess_read(&p, j, path);
    ada_json_close(&j);
    return st;
}

static const struct {
    const char *name;
    ada_status (*open)(const char *path);
} kinds[] = {
    {"json", open_json},    {"yaml", open_yaml},           {"safetensors", open_tensors},
    {"gguf", open_tensors}, {"model", open_tensors},       {"hdf5", open_h5},
    {"hdf5-read", read_h5}, {"tokenizer", open_tokenizer}, {"jsonl", open_jsonl},
    {"chat", open_chat},    {"image", read_image},         {"preprocess", read_preprocess},
    {"tower", open_tower},  {"spiece", read_spiece},       {"mmproj", open_mmproj},
};

static ada_status (*kind_named(const char *name))(const char *) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, name) == 0) return kinds[i].open;
    return NULL;
}

static ada_status status_named(const char *name) {
    char whole[64];
    (void)snprintf(whole, sizeof whole, "ADA_%s", name);
    for (ada_status st = ADA_OK; st <= ADA_EINTERNAL; st++)
        if (strcmp(ada_status_name(st), whole) == 0) return st;
    return -1;
}

/* One row: file, kind, status, words. Returns whether it holds, and says what does not. */
static bool row_holds(char *row) {
    char *field[4] = {NULL}, *rest = row;
    for (int i = 0; i < 4; i++) field[i] = strsep(&rest, "\t");
    if (field[3] == NULL || rest != NULL) {
        print_error("'%s' is no row of four fields\n", row);
        return false;
    }
    char path[1200];
    (void)snprintf(path, sizeof path, "%s/%s", io_tests_path("bad"), field[0]);
    ada_status (*open_kind)(const char *) = kind_named(field[1]), want = status_named(field[2]);
    if (open_kind == NULL || want < 0 || access(path, R_OK) != 0) {
        print_error("%s: no such file, kind '%s' or status '%s'\n", path, field[1], field[2]);
        return false;
    }
    ada_error_clear();
    ada_status st = open_kind(path);
    bool one_line = strchr(ada_error(), '\n') == NULL && (st == ADA_OK) == (ada_error()[0] == 0);
    if (st == want && one_line && strstr(ada_error(), field[3]) != NULL) return true;
    print_error("%s: %s '%s', but %s with '%s' is wanted\n", field[0], ada_status_name(st), ada_error(),
                field[2], field[3]);
    return false;
}

static void each_row(void **state) {
    (void)state;
    char *text;
    size_t n;
    int rows = 0, wrong = 0;
    assert_ok(ada_read_file(io_tests_path("bad/manifest.txt"), &text, &n));
    for (char *rest = text, *line; (line = strsep(&rest, "\n")) != NULL;) {
        if (line[0] == 0) continue;
        rows++;
        wrong += !row_holds(line);
    }
    ada_os.release(text);
    assert_int_equal(wrong, 0);
    assert_true(rows >= 150);
}

static char *manifest;
static int unnamed;

static void is_named(void *ctx, const char *name) {
    (void)ctx;
    char row[300];
    (void)snprintf(row, sizeof row, "\n%s\t", name);
    if (name[0] == '.' || strcmp(name, "manifest.txt") == 0 || strcmp(name, "make_bad.py") == 0 ||
        strstr(manifest, row) != NULL)
        return;
    print_error("no row of the manifest names '%s'\n", name);
    unnamed++;
}

static void each_file(void **state) {
    (void)state;
    size_t n;
    ada_buf b = {0};
    char *text;
    assert_ok(ada_read_file(io_tests_path("bad/manifest.txt"), &text, &n));
    assert_ok(ada_buf_printf(&b, "\n%s", text));
    manifest = b.data;
    assert_int_equal(ada_os.list(io_tests_path("bad"), is_named, NULL), 0);
    ada_os.release(text);
    ada_buf_free(&b);
    assert_int_equal(unnamed, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_row), cmocka_unit_test(each_file)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
