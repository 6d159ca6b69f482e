/* SPDX-License-Identifier: Apache-2.0
 * inspect: what a model, adapter, checkpoint or data file holds. Owns: telling them apart by content.
 * Must not know: their layouts. Invariant: one tree is made, and shown to a person or as JSON. */
#include "apps/opt.h"
#include "apps/report.h"
#include "io/h5.h"
#include "io/tensors.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct inspect {
    struct ada_common common;
    bool tensors;
    ada_dataset_opts keys;
};

/* clang-format off */
static const struct ada_opt opts[] = {
    { .name = "tensors", ADA_OPT_FIELD(struct inspect, tensors),
      .help = "list every tensor of a model: name, type, shape" },
    ADA_OPT_KEYS(struct inspect),
    ADA_OPT_JSON(struct inspect, common.json),
    ADA_OPT_COMMON(struct inspect),
    ADA_OPT_LAST,
};
/* clang-format on */

/* ---- models ---- */

static ada_json *tensor_json(const ada_tensor *t) {
    struct ada_object o = ada_object_new();
    ada_json *shape = ada_json_new_arr();
    ada_object_str(&o, "name", t->name);
    ada_object_str(&o, "type", ada_dtype_name(t->dtype));
    for (int i = 0; o.st == ADA_OK && i < t->ndim; i++)
        o.st = ada_json_push(shape, ada_json_new_int(t->shape[i]));
    ada_object_tree(&o, "shape", shape);
    if (o.st != ADA_OK) ada_json_close(&o.j);
    return o.j;
}

static ada_status add_tensors(const ada_tensors *t, bool list, struct ada_object *o) {
    size_t bytes = 0, values = 0;
    struct ada_object types = ada_object_new();
    ada_json *all = ada_json_new_arr();
    ada_status st = ADA_OK;
    for (size_t i = 0; st == ADA_OK && i < ada_tensors_count(t); i++) {
        const ada_tensor *x = ada_tensors_at(t, i);
        const char *type = ada_dtype_name(x->dtype);
        bytes += x->bytes;
        values += ada_tensor_count(x);
        ada_object_int(&types, type, ada_json_int(ada_json_get(types.j, type), 0) + 1);
        if (list) st = ada_json_push(all, tensor_json(x));
    }
    ada_object_str(o, "format", ada_tensors_format(t));
    ada_object_int(o, "tensors", (int64_t)ada_tensors_count(t));
    ada_object_int(o, "parameters", (int64_t)values);
    ada_object_int(o, "weight_bytes", (int64_t)bytes);
    ada_object_tree(o, "types", types.j);
    if (list) {
        ada_object_tree(o, "list", all);
    } else {
        ada_json_close(&all);
    }
    return st == ADA_OK ? types.st : st;
}

/* Whether there is one that opens. */
static bool inspect_tower(const char *path, struct ada_object *o) {
    ada_tower *t = NULL;
    ada_json *j = NULL;
    ada_status st = ada_tower_open(&t, path, NULL);
    if (st == ADA_OK) st = ada_tower_describe(t, &j);
    if (st == ADA_OK) ada_object_tree(o, "tower", j);
    ada_tower_close(&t);
    return st == ADA_OK;
}

static ada_status inspect_model(const struct inspect *op, const char *path, struct ada_object *o) {
    ada_tensors *t = NULL;
    ada_model *m = NULL;
    ada_json *j = NULL;
    char digest[65];
    ada_object_str(o, "kind", "model");
    ada_status st = ada_tensors_open(&t, path);
    if (st == ADA_OK) st = add_tensors(t, op->tensors, o);
    if (st == ADA_OK) st = ada_tensors_digest(t, digest);
    if (st == ADA_OK) ada_object_str(o, "sha256", digest);
    ada_tensors_close(&t);
    if (st != ADA_OK) return st;
    st = ada_model_open(&m, path, NULL);
    if (st == ADA_OK) st = ada_model_describe(m, &j);
    if (st == ADA_OK) {
        ada_object_tree(o, "engine", j);
    } else {
        /* Its bytes are fine: that it does not run here is a finding, not a failure. */
        char why[ADA_ERROR_MAX];
        ada_error_keep(why);
        if (!inspect_tower(path, o)) ada_object_str(o, "does_not_run", why);
    }
    ada_model_close(&m);
    return ADA_OK;
}

/* ---- adapters and checkpoints ---- */

static ada_status inspect_adapter(const char *path, struct ada_object *o) {
    ada_json *j = NULL;
    ADA_TRY(ada_adapter_describe(path, &j));
    struct stat s = {0};
    void *it = NULL;
    const char *key;
    const ada_json *v;
    while (ada_json_next(j, &it, &key, &v)) ada_object_tree(o, key, ada_json_share(v));
    if (stat(path, &s) == 0) ada_object_int(o, "file_bytes", s.st_size);
    ada_json_close(&j);
    return ADA_OK;
}

/* ---- data ---- */

static size_t row_length(const ada_row *r) {
    size_t n = 0;
    const char *const texts[] = {r->prompt, r->completion, r->text};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) n += texts[i] ? strlen(texts[i]) : 0;
    for (size_t i = 0; i < r->nmessages; i++) n += strlen(r->messages[i].content);
    return n;
}

static ada_status inspect_data(const struct inspect *op, const char *path, struct ada_object *o) {
    enum { LABELS = 64 };
    ada_dataset *d = NULL;
    ada_dataset_opts keys = op->keys;
    keys.allow_no_target = true;
    ADA_TRY(ada_dataset_open(&d, path, &keys));
    size_t n = ada_dataset_count(d), forms[3] = {0}, choices = 0, total = 0, longest = 0;
    struct ada_object labels = ada_object_new();
    for (size_t i = 0; i < n; i++) {
        const ada_row *r = ada_dataset_at(d, i);
        forms[r->messages ? 1 : r->text ? 2 : 0]++;
        size_t length = row_length(r);
        total += length;
        if (length > longest) longest = length;
        if (!r->nchoices) continue;
        choices++;
        const char *label = r->answer >= 0 ? r->choices[r->answer] : "(none of its choices)";
        int64_t seen = ada_json_int(ada_json_get(labels.j, label), 0);
        if (seen || ada_json_len(labels.j) < LABELS) ada_object_int(&labels, label, seen + 1);
    }
    ada_object_str(o, "kind", "data");
    ada_object_int(o, "rows", (int64_t)n);
    static const char *const names[] = {"prompt_completion", "messages", "text"};
    for (int i = 0; i < 3; i++)
        if (forms[i]) ada_object_int(o, names[i], (int64_t)forms[i]);
    ada_object_int(o, "with_choices", (int64_t)choices);
    ada_object_num(o, "mean_row_bytes", n ? (double)total / (double)n : 0);
    ada_object_int(o, "longest_row_bytes", (int64_t)longest);
    ada_object_str(o, "sha256", ada_dataset_digest(d));
    ada_object_tree(o, "answers", labels.j);
    ada_dataset_close(&d);
    return labels.st;
}

/* ---- which ---- */

static bool is_file(const char *folder, const char *name, ada_buf *path) {
    struct stat s;
    path->len = 0;
    return ada_buf_printf(path, "%s/%s", folder, name) == ADA_OK && stat(path->data, &s) == 0 &&
           S_ISREG(s.st_mode);
}

static ada_status inspect_folder(const struct inspect *op, const char *path, struct ada_object *o) {
    ada_buf file = {0};
    ada_status st;
    if (is_file(path, "config.json", &file)) {
        st = inspect_model(op, path, o);
    } else if (is_file(path, "adapter.h5", &file)) {
        st = inspect_adapter(file.data, o);
    } else {
        st = ada_fail(ADA_EFORMAT, "'%s' is a folder with neither config.json nor adapter.h5", path);
    }
    ada_buf_free(&file);
    return st;
}

static ada_status inspect_h5(const struct inspect *op, const char *path, struct ada_object *o) {
    ada_h5_in *h = NULL;
    ADA_TRY(ada_h5_open(&h, path, false));
    bool adapter = ada_h5_has(h, "/adapter");
    ada_h5_close(&h);
    return adapter ? inspect_adapter(path, o) : inspect_model(op, path, o);
}

static ada_status inspect_path(const struct inspect *op, const char *path, struct ada_object *o) {
    struct stat s;
    unsigned char head[16] = {0};
    if (stat(path, &s) != 0) return ada_fail(ADA_EIO, "cannot open '%s': %s", path, strerror(errno));
    ada_object_str(o, "path", path);
    if (S_ISDIR(s.st_mode)) return inspect_folder(op, path, o);
    FILE *f = fopen(path, "re");
    if (!f) return ada_fail(ADA_EIO, "cannot open '%s': %s", path, strerror(errno));
    size_t n = fread(head, 1, sizeof head, f);
    fclose(f);
    if (n >= 8 && memcmp(head, "\x89HDF\r\n\x1a\n", 8) == 0) return inspect_h5(op, path, o);
    /* safetensors: the header's length in eight bytes, then its JSON */
    if (memcmp(head, "GGUF", 4) == 0 || (n >= 9 && head[7] == 0 && head[8] == '{'))
        return inspect_model(op, path, o);
    return inspect_data(op, path, o);
}

static ada_status run(struct ada_args *a, void *values) {
    const struct inspect *op = values;
    ADA_TRY(ada_opt_check(a));
    for (size_t i = 0; i < a->noperands; i++) {
        struct ada_object o = ada_object_new();
        if (i && !op->common.json) ada_out_printf("\n");
        ada_status st = inspect_path(op, a->operands[i], &o);
        ADA_TRY(ada_object_show(&o, st, op->common.json));
    }
    return ADA_OK;
}

const struct ada_command ada_command_inspect = {
    .name = "inspect",
    .summary = "what a model, adapter, checkpoint or data file holds",
    .operands = "PATH...",
    .text = "The kind is found by content. A model's sha256 is the identity that adapters are bound to. With "
            "--json, one object a path.",
    .examples = "  adalink inspect smollm2.h5\n"
                "  adalink inspect --json out/adapter.h5\n"
                "  adalink inspect train.jsonl\n",
    .opts = opts,
    .size = sizeof(struct inspect),
    .run = run,
};
