/* SPDX-License-Identifier: Apache-2.0
 * The .h5 of an imported model: /tensors/<name>, contiguous and aligned; /meta, the metadata as JSON text;
 * and /index, where all of it lies. The seal on the root (see h5.h) is "adalink:index:", place, size and
 * sha256 of the index, set last: opening needs no HDF5, only the seal, the index and a mapping. Must not
 * know: architectures. Invariant: what is opened was finished; index and metadata are as written (the
 * tensors' bytes are checked by ada_tensors_verify, since hashing them would cost more than all the rest). */
#include "io/fmt/format.h"
#include "io/h5.h"
#include "io/os.h"
#include "io/replace.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VERSION = 1 };
static const char prefix[] = "adalink:index:";

static int probe(const unsigned char *head, size_t n) {
    return n >= 8 && memcmp(head, "\x89HDF\r\n\x1a\n", 8) == 0;
}

/* ---- reading ---- */

/* The n bytes at `at`, which must have this sha256. */
static ada_status read_checked(ada_reader *r, const char *what, uint64_t at, uint64_t n, const char *sha,
                               const char **text) {
    const unsigned char *p;
    char hex[65];
    if (at > r->n) return ada_fail(ADA_EFORMAT, "'%s' ends at byte %zu, before its %s", r->name, r->n, what);
    r->at = (size_t)at;
    ADA_TRY(ada_read_bytes(r, n, &p));
    ADA_TRY(ada_sha_of(p, (size_t)n, hex));
    if (strcmp(hex, sha) != 0)
        return ada_fail(ADA_EFORMAT, "'%s' is damaged: its %s does not agree with its digest", r->name, what);
    *text = (const char *)p;
    return ADA_OK;
}

static ada_status read_seal(ada_reader *r, ada_json **index) {
    char seal[ADA_H5_SEAL + 1] = {0}, sha[65];
    unsigned long long at, n;
    const char *text;
    size_t place = ada_h5_find_seal(r->p, r->n, prefix);
    if (place == r->n)
        return ada_fail(ADA_EFORMAT, "'%s' is HDF5, but no imported model, or not a finished one", r->name);
    memcpy(seal, r->p + place, ADA_H5_SEAL);
    if (sscanf(seal + sizeof prefix - 1, "%16llx:%16llx:%64[0-9a-f]", &at, &n, sha) != 3)
        return ada_fail(ADA_EFORMAT, "'%s' is damaged: its seal cannot be read", r->name);
    ADA_TRY(read_checked(r, "index", at, n, sha, &text));
    return ada_json_parse(index, text, n, r->name);
}

static ada_status add_tensor(ada_tensors *t, const ada_reader *r, const ada_json *j) {
    const char *name = ada_json_str(ada_json_get(j, "name"), "");
    const ada_json *shape = ada_json_get(j, "shape");
    int64_t offset = ada_json_int(ada_json_get(j, "offset"), -1);
    size_t ndim = ada_json_len(shape);
    ada_tensor v = {.ndim = (int)ndim};
    if (!ada_dtype_find(ada_json_str(ada_json_get(j, "dtype"), ""), &v.dtype) || ndim > ADA_MAX_DIMS ||
        offset < 0)
        return ada_fail(ADA_EFORMAT, "tensor '%s' has a wrong row in the index of '%s'", name, r->name);
    for (size_t i = 0; i < ndim; i++) v.shape[i] = ada_json_int(ada_json_at(shape, i), -1);
    return ada_tensors_add(t, r, &v, name, strlen(name), (uint64_t)offset);
}

static ada_status read_index(ada_tensors *t, ada_reader *r, const ada_json *index) {
    int64_t version = ada_json_int(ada_json_get(index, "version"), 0);
    if (version != VERSION)
        return ada_fail(ADA_EUNSUPPORTED, "'%s' is version %lld of a model's .h5, only %d is read", r->name,
                        (long long)version, VERSION);
    const ada_json *tensors = ada_json_get(index, "tensors"), *meta = ada_json_get(index, "meta");
    for (size_t i = 0; i < ada_json_len(tensors); i++) ADA_TRY(add_tensor(t, r, ada_json_at(tensors, i)));
    (void)snprintf(t->digest, sizeof t->digest, "%s", ada_json_str(ada_json_get(index, "source_sha256"), ""));
    (void)snprintf(t->own, sizeof t->own, "%s", ada_json_str(ada_json_get(index, "sha256"), ""));
    int64_t at = ada_json_int(ada_json_get(meta, "offset"), INT64_MAX);
    int64_t n = ada_json_int(ada_json_get(meta, "bytes"), INT64_MAX);
    const char *text;
    ADA_TRY(read_checked(r, "metadata", (uint64_t)at, (uint64_t)n,
                         ada_json_str(ada_json_get(meta, "sha256"), ""), &text));
    return ada_json_parse(&t->meta, text, (size_t)n, r->name);
}

static ada_status open_format(ada_tensors *t, const char *path) {
    ada_reader r;
    ada_json *index = NULL;
    ADA_TRY(ada_tensors_map(t, path, &r));
    ada_status st = read_seal(&r, &index);
    if (st == ADA_OK) st = read_index(t, &r, index);
    ada_json_close(&index);
    return st;
}

const struct ada_format ada_format_hdf5 = {.name = "hdf5", .probe = probe, .open = open_format};

/* ---- writing ---- */

struct writer {
    const ada_json *meta;
    const char *source;
    const ada_tensor **list; /* in name order */
    size_t n;
    ada_tensor_fill fill;
    void *ctx;
    void *buffer; /* of the largest tensor */
    ada_h5_out *f;
    ada_json *index, *tensors; /* tensors belongs to index */
    ada_sha *sha;
};

static ada_status put_tensor(struct writer *w, const ada_tensor *v) {
    ada_buf path = {0};
    uint64_t at = 0;
    if (strchr(v->name, '/') != NULL || strcmp(v->name, ".") == 0)
        return ada_fail(ADA_EUNSUPPORTED, "tensor '%s' has a name that HDF5 cannot hold", v->name);
    ada_tensor t = *v;
    t.data = w->buffer;
    ADA_TRY(ada_tensor_size(t.name, t.dtype, t.ndim, t.shape, &t.bytes));
    ADA_TRY(w->fill(w->ctx, &t, w->buffer));
    ADA_TRY(ada_tensor_hash(w->sha, &t));
    ada_status st = ada_buf_printf(&path, "/tensors/%s", t.name);
    if (st == ADA_OK) st = ada_h5_put(w->f, path.data, t.dtype, t.ndim, t.shape, t.data);
    if (st == ADA_OK && t.bytes > 0) st = ada_h5_offset(w->f, path.data, &at);
    ada_buf_free(&path);
    ADA_TRY(st);
    ada_json *row = ada_json_new_obj(), *shape;
    ADA_TRY(ada_json_push(w->tensors, row));
    ADA_TRY(ada_json_set(row, "name", ada_json_new_str(t.name, strlen(t.name))));
    const char *type = ada_dtype_name(t.dtype);
    ADA_TRY(ada_json_set(row, "dtype", ada_json_new_str(type, strlen(type))));
    ADA_TRY(ada_json_set(row, "shape", shape = ada_json_new_arr()));
    for (int i = 0; i < t.ndim; i++) ADA_TRY(ada_json_push(shape, ada_json_new_int(t.shape[i])));
    return ada_json_set(row, "offset", ada_json_new_int((int64_t)at));
}

static ada_status put_meta(struct writer *w, const ada_buf *text) {
    char hex[65];
    uint64_t at;
    ada_json *meta = ada_json_new_obj();
    ADA_TRY(ada_json_set(w->index, "meta", meta));
    ADA_TRY(ada_sha_of(text->data, text->len, hex));
    ADA_TRY(ada_h5_put_text(w->f, "/meta", text->data, text->len));
    ADA_TRY(ada_h5_offset(w->f, "/meta", &at));
    ADA_TRY(ada_json_set(meta, "offset", ada_json_new_int((int64_t)at)));
    ADA_TRY(ada_json_set(meta, "bytes", ada_json_new_int((int64_t)text->len)));
    return ada_json_set(meta, "sha256", ada_json_new_str(hex, 64));
}

static ada_status put_index(struct writer *w, const ada_buf *text) {
    char hex[65], seal[ADA_H5_SEAL + 1];
    uint64_t at;
    ADA_TRY(ada_h5_put_text(w->f, "/index", text->data, text->len));
    ADA_TRY(ada_h5_offset(w->f, "/index", &at));
    ADA_TRY(ada_sha_of(text->data, text->len, hex));
    (void)snprintf(seal, sizeof seal, "%s%016llx:%016llx:%s", prefix, (unsigned long long)at,
                   (unsigned long long)text->len, hex);
    return ada_h5_seal(w->f, seal);
}

/* Prints j and gives the text to `put`. */
static ada_status put_json(struct writer *w, const ada_json *j,
                           ada_status (*put)(struct writer *, const ada_buf *)) {
    ada_buf text = {0};
    ada_status st = ada_json_text(j, 0, &text);
    if (st == ADA_OK) st = put(w, &text);
    ada_buf_free(&text);
    return st;
}

static ada_status write_all(struct writer *w) {
    char own[65];
    ADA_TRY(ada_json_set(w->index, "version", ada_json_new_int(VERSION)));
    ADA_TRY(ada_json_set(w->index, "source_sha256", ada_json_new_str(w->source, strlen(w->source))));
    ADA_TRY(ada_h5_attr_str(w->f, "/", "source_sha256", w->source));
    ADA_TRY(put_json(w, w->meta, put_meta));
    ADA_TRY(ada_json_set(w->index, "tensors", w->tensors = ada_json_new_arr()));
    ADA_TRY(ada_sha_open(&w->sha));
    for (size_t i = 0; i < w->n; i++) ADA_TRY(put_tensor(w, w->list[i]));
    ADA_TRY(ada_sha_close(&w->sha, own));
    ADA_TRY(ada_json_set(w->index, "sha256", ada_json_new_str(own, 64)));
    return put_json(w, w->index, put_index);
}

static ada_status fill_file(void *ctx, const char *temp) {
    struct writer *w = ctx;
    ADA_TRY(ada_h5_create_large(&w->f, temp));
    ada_status st = write_all(w), end = ADA_OK;
    if (st == ADA_OK) return ada_h5_finish(&w->f);
    if (w->sha != NULL) end = ada_sha_close(&w->sha, NULL);
    ada_h5_abandon(&w->f);
    return end != ADA_OK ? end : st;
}

static ada_status prepare(struct writer *w, ada_arena *a, const ada_tensor *list) {
    size_t largest = 0, values, bytes;
    ADA_TRY(ada_arena_take(a, &w->list, w->n, sizeof *w->list));
    for (size_t i = 0; i < w->n; i++) {
        w->list[i] = &list[i];
        ada_dtype_block(list[i].dtype, &values, &bytes);
        if (values != 1)
            return ada_fail(ADA_EINTERNAL, "tensor '%s' is to be written as %s", list[i].name,
                            ada_dtype_name(list[i].dtype));
        ADA_TRY(ada_tensor_size(list[i].name, list[i].dtype, list[i].ndim, list[i].shape, &bytes));
        if (bytes > largest) largest = bytes;
    }
    qsort(w->list, w->n, sizeof *w->list, ada_tensor_by_name);
    ADA_TRY(ada_arena_take(a, &w->buffer, largest, 1));
    w->index = ada_json_new_obj();
    return w->index != NULL ? ADA_OK : ada_fail(ADA_ENOMEM, "out of memory for an index");
}

ada_status ada_model_file_write(const char *path, const ada_json *meta, const char *source,
                                const ada_tensor *list, size_t n, ada_tensor_fill fill, void *ctx) {
    ada_arena a = {0};
    struct writer w = {.meta = meta, .source = source, .n = n, .fill = fill, .ctx = ctx};
    ada_status st = prepare(&w, &a, list);
    if (st == ADA_OK) st = ada_replace(path, fill_file, &w);
    ada_json_close(&w.index);
    ada_arena_free(&a);
    return st;
}
