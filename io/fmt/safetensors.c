/* SPDX-License-Identifier: Apache-2.0
 * safetensors: one file, or a Hugging Face folder with one file or an index of shards, and its json files.
 * Owns nothing beyond what it puts into the ada_tensors. Must not know: architectures.
 * Invariant: the tensors of a file cover its data exactly (no hole, no overlap), and shards agree with the
 * index. */
#include "io/fmt/format.h"
#include "io/os.h"
#include "io/replace.h"
#include "io/spiece.h"
#include "io/tok.h"
#include <string.h>

enum { HEADER_MAX = 100000000 }; /* the limit of the format's own library */

static int probe(const unsigned char *head, size_t n) {
    return n > 8 && head[8] == '{' && memcmp(head, "GGUF", 4) != 0;
}

/* The format's words for plain types are ours. */
static ada_status find_dtype(ada_dtype *type, const char *name, const ada_json *j, const char *path) {
    const char *word = ada_json_str(j, NULL);
    size_t values = 0, bytes;
    if (word == NULL) return ada_fail(ADA_EFORMAT, "tensor '%s' of '%s' has no dtype", name, path);
    if (ada_dtype_find(word, type)) ada_dtype_block(*type, &values, &bytes);
    if (values == 1) return ADA_OK;
    return ada_fail(ADA_EUNSUPPORTED, "tensor '%s' of '%s' has dtype '%s'", name, path, word);
}

static ada_status read_shape(ada_tensor *v, const char *name, const ada_json *j, const char *path) {
    size_t n = ada_json_len(j);
    if (!ada_json_is_arr(j)) return ada_fail(ADA_EFORMAT, "tensor '%s' of '%s' has no shape", name, path);
    if (n > ADA_MAX_DIMS)
        return ada_fail(ADA_EUNSUPPORTED, "tensor '%s' of '%s' has %zu dimensions, at most %d are handled",
                        name, path, n, ADA_MAX_DIMS);
    v->ndim = (int)n;
    for (size_t i = 0; i < n; i++) {
        v->shape[i] = ada_json_int(ada_json_at(j, i), -1);
        if (v->shape[i] < 0)
            return ada_fail(ADA_EFORMAT, "tensor '%s' of '%s' has a wrong shape", name, path);
    }
    return ADA_OK;
}

/* data: offset of the first data byte. Adds the tensor's bytes to *covered. */
static ada_status add_tensor(ada_tensors *t, const ada_reader *r, const char *name, const ada_json *j,
                             size_t data, size_t *covered) {
    ada_tensor v = {0};
    ADA_TRY(find_dtype(&v.dtype, name, ada_json_get(j, "dtype"), r->name));
    ADA_TRY(read_shape(&v, name, ada_json_get(j, "shape"), r->name));
    const ada_json *range = ada_json_get(j, "data_offsets");
    int64_t begin = ada_json_int(ada_json_at(range, 0), -1), end = ada_json_int(ada_json_at(range, 1), -1);
    if (ada_json_len(range) != 2 || begin < 0 || end < begin || (uint64_t)end > r->n - data)
        return ada_fail(ADA_EFORMAT,
                        "tensor '%s' has wrong data_offsets in '%s', which has %zu bytes of data", name,
                        r->name, r->n - data);
    size_t bytes;
    ADA_TRY(ada_tensor_size(name, v.dtype, v.ndim, v.shape, &bytes));
    if (bytes != (size_t)(end - begin))
        return ada_fail(ADA_EFORMAT,
                        "tensor '%s' of '%s' wants %zu bytes by its shape, but its data_offsets span %lld",
                        name, r->name, bytes, (long long)(end - begin));
    *covered += bytes;
    return ada_tensors_add(t, r, &v, name, strlen(name), data + (uint64_t)begin);
}

/* index: the weight_map of a sharded model and `shard` this file's name in it; or NULL. */
static ada_status add_all(ada_tensors *t, const ada_reader *r, const ada_json *header, const ada_json *index,
                          const char *shard) {
    size_t data = r->at, covered = 0;
    void *it = NULL;
    const char *name;
    const ada_json *value;
    if (!ada_json_is_obj(header)) return ada_fail(ADA_EFORMAT, "the header of '%s' is no object", r->name);
    while (ada_json_next(header, &it, &name, &value)) {
        if (strcmp(name, "__metadata__") == 0) continue;
        const char *home = ada_json_str(ada_json_get(index, name), "");
        if (index != NULL && strcmp(home, shard) != 0)
            return ada_fail(ADA_EFORMAT, "tensor '%s' is in '%s', but the index places it in '%s'", name,
                            r->name, home);
        ADA_TRY(add_tensor(t, r, name, value, data, &covered));
    }
    if (covered != r->n - data)
        return ada_fail(ADA_EFORMAT, "the tensors of '%s' take %zu bytes, but it has %zu bytes of data",
                        r->name, covered, r->n - data);
    return ADA_OK;
}

static ada_status open_file(ada_tensors *t, const char *path, const ada_json *index, const char *shard) {
    ada_reader r;
    ADA_TRY(ada_tensors_map(t, path, &r));
    uint64_t n;
    const unsigned char *text;
    ADA_TRY(ada_read_u64(&r, &n));
    if (n > HEADER_MAX)
        return ada_fail(ADA_EFORMAT,
                        "the header of '%s' would be %llu bytes, more than the format's limit of %d", path,
                        (unsigned long long)n, HEADER_MAX);
    ADA_TRY(ada_read_bytes(&r, n, &text));
    ada_json *header = NULL;
    ADA_TRY(ada_json_parse(&header, (const char *)text, (size_t)n, path));
    ada_status st = add_all(t, &r, header, index, shard);
    ada_json_close(&header);
    return st;
}

/* ---- a folder ---- */

static ada_status join(ada_tensors *t, const char *folder, const char *file, const char **path) {
    ada_buf b = {0};
    ada_status st = ada_buf_printf(&b, "%s/%s", folder, file);
    *path = st == ADA_OK ? ada_arena_str(&t->arena, b.data, b.len) : NULL;
    ada_buf_free(&b);
    return *path != NULL ? ADA_OK : ADA_ENOMEM;
}

/* Sets meta[key] to the file's tree; a file that is not there is left out. */
static ada_status add_json(ada_tensors *t, const char *folder, const char *file, const char *key) {
    const char *path;
    ADA_TRY(join(t, folder, file, &path));
    if (!ada_is_there(path)) return ADA_OK;
    ada_json *j;
    ADA_TRY(ada_json_open(&j, path));
    if (ada_json_is_obj(j)) return ada_json_set(t->meta, key, j);
    ada_json_close(&j);
    return ada_fail(ADA_EFORMAT, "'%s' is no JSON object", path);
}

/* A SentencePiece file or ByT5's bytes, where there is no tokenizer.json. */
static ada_status add_spiece(ada_tensors *t, const char *folder) {
    static const char *const files[] = {"spiece.model", "tokenizer.model"};
    for (size_t i = 0; i < 2 && !ada_json_get(t->meta, "tokenizer"); i++) {
        const char *path;
        ADA_TRY(join(t, folder, files[i], &path));
        if (!ada_is_there(path)) continue;
        char *bytes;
        size_t n;
        ADA_TRY(ada_read_file(path, &bytes, &n));
        ada_status st = ada_spiece_read(t->meta, bytes, n, ada_json_get(t->meta, "tokenizer_config"), path);
        ada_os.release(bytes);
        return st;
    }
    return ada_json_get(t->meta, "tokenizer") ? ADA_OK : ada_tok_set_byt5(t->meta);
}

/* As if tokenizer_config.json held it; takes j. */
static ada_status set_template(ada_tensors *t, ada_json *j) {
    if (ada_json_get(t->meta, "tokenizer_config") == NULL) {
        ada_status st = ada_json_set(t->meta, "tokenizer_config", ada_json_new_obj());
        if (st != ADA_OK) {
            ada_json_close(&j);
            return st;
        }
    }
    return ada_json_set((ada_json *)ada_json_get(t->meta, "tokenizer_config"), "chat_template", j);
}

static ada_status add_template(ada_tensors *t, const char *folder) {
    const char *path;
    ADA_TRY(join(t, folder, "chat_template.jinja", &path));
    if (!ada_is_there(path)) return ADA_OK;
    char *text;
    size_t n;
    ADA_TRY(ada_read_file(path, &text, &n));
    ada_json *j = ada_json_new_str(text, n);
    ada_os.release(text);
    return set_template(t, j);
}

/* What transformers' processors read, which tokenizers do not, in the order of their say. */
static ada_status add_processor_template(ada_tensors *t, const char *folder) {
    static const char key[] = "chat_template";
    const ada_json *own = ada_json_get(ada_json_get(t->meta, "processor_config"), key);
    const char *path;
    ada_json *j = NULL;
    if (!ada_json_get(t->meta, "processor_config") && !ada_json_get(t->meta, "preprocessor_config"))
        return ADA_OK;
    if (!ada_json_is_null(own)) return set_template(t, ada_json_share(own));
    ADA_TRY(join(t, folder, "chat_template.json", &path));
    if (!ada_is_there(path)) return ADA_OK;
    ADA_TRY(ada_json_open(&j, path));
    const ada_json *text = ada_json_get(j, key);
    ada_status st = ada_json_is_str(text) ? set_template(t, ada_json_share(text))
                                          : ada_fail(ADA_EFORMAT, "'%s' has no string '%s'", path, key);
    ada_json_close(&j);
    return st;
}

/* Opens the shard unless it is among `done`. */
static ada_status open_shard(ada_tensors *t, const char *folder, const ada_json *map, const char *shard,
                             ada_json *done) {
    if (ada_json_get(done, shard) != NULL) return ADA_OK;
    const char *path;
    ADA_TRY(join(t, folder, shard, &path));
    ADA_TRY(open_file(t, path, map, shard));
    return ada_json_set(done, shard, ada_json_new_bool(true));
}

static bool listed(const ada_tensors *t, const char *name) {
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->list[i].name, name) == 0) return true;
    return false;
}

static ada_status open_all_shards(ada_tensors *t, const char *folder, const char *index, const ada_json *map,
                                  ada_json *done) {
    void *it = NULL;
    const char *name;
    const ada_json *value;
    if (!ada_json_is_obj(map)) return ada_fail(ADA_EFORMAT, "'%s' has no weight_map", index);
    while (ada_json_next(map, &it, &name, &value)) {
        const char *shard = ada_json_str(value, "");
        if (shard[0] == 0 || strchr(shard, '/') != NULL || strlen(shard) != ada_json_strlen(value))
            return ada_fail(ADA_EFORMAT, "'%s' places tensor '%s' in '%s', which is no file of its folder",
                            index, name, shard);
        ADA_TRY(open_shard(t, folder, map, shard, done));
    }
    if (t->count == ada_json_len(map))
        return ADA_OK; /* shards hold only what the index names, each name once */
    for (it = NULL; ada_json_next(map, &it, &name, &value);)
        if (!listed(t, name))
            return ada_fail(ADA_EFORMAT, "tensor '%s' is not in '%s', where '%s' places it", name,
                            ada_json_str(value, ""), index);
    return ADA_OK;
}

static ada_status open_index(ada_tensors *t, const char *folder, const char *index) {
    ada_json *j = NULL, *done = ada_json_new_obj();
    ada_status st =
        done != NULL ? ada_json_open(&j, index) : ada_fail(ADA_ENOMEM, "out of memory for '%s'", index);
    if (st == ADA_OK) st = open_all_shards(t, folder, index, ada_json_get(j, "weight_map"), done);
    ada_json_close(&j);
    ada_json_close(&done);
    return st;
}

static ada_status open_weights(ada_tensors *t, const char *folder) {
    const char *one, *index;
    ADA_TRY(join(t, folder, "model.safetensors", &one));
    ADA_TRY(join(t, folder, "model.safetensors.index.json", &index));
    if (ada_is_there(one)) return open_file(t, one, NULL, NULL);
    if (ada_is_there(index)) return open_index(t, folder, index);
    return ada_fail(ADA_EFORMAT, "folder '%s' has neither model.safetensors nor model.safetensors.index.json",
                    folder);
}

static ada_status open_format(ada_tensors *t, const char *path) {
    t->meta = ada_json_new_obj();
    if (t->meta == NULL) return ada_fail(ADA_ENOMEM, "out of memory while opening '%s'", path);
    if (!ada_is_folder(path)) return open_file(t, path, NULL, NULL);
    ADA_TRY(add_json(t, path, "config.json", "config"));
    if (ada_json_get(t->meta, "config") == NULL)
        return ada_fail(ADA_EFORMAT, "folder '%s' has no config.json", path);
    ADA_TRY(open_weights(t, path));
    ADA_TRY(add_json(t, path, "tokenizer.json", "tokenizer"));
    ADA_TRY(add_json(t, path, "tokenizer_config.json", "tokenizer_config"));
    ADA_TRY(add_spiece(t, path));
    ADA_TRY(add_json(t, path, "generation_config.json", "generation_config"));
    ADA_TRY(add_json(t, path, "preprocessor_config.json", "preprocessor_config"));
    ADA_TRY(add_json(t, path, "processor_config.json", "processor_config"));
    ADA_TRY(add_template(t, path));
    return add_processor_template(t, path);
}

const struct ada_format ada_format_safetensors = {.name = "safetensors", .probe = probe, .open = open_format};
