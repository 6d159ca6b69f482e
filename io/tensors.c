/* SPDX-License-Identifier: Apache-2.0
 * Named views of an open model, whatever its format. Owns: the mappings, the list and its index by name.
 * Must not know: how a format lays out its bytes. Invariant: once open, names are unique, and no two tensors
 * share a byte. */
#include "io/fmt/format.h"
#include "io/os.h"
#include "io/replace.h"
#include "registry.h"
#include "simd/kernels.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define X(name) extern const struct ada_format ada_format_##name;
ADA_FORMATS(X)
#undef X

#define X(name) &ada_format_##name,
static const struct ada_format *const formats[] = {ADA_FORMATS(X)};
#undef X

struct ada_map {
    struct ada_map *next;
    void *p;
    size_t n;
};

static const struct {
    ada_dtype type;
    const char *name;
    uint16_t values, bytes; /* of a block */
} types[] = {
    {ADA_F32, "F32", 1, 4},       {ADA_F16, "F16", 1, 2},       {ADA_BF16, "BF16", 1, 2},
    {ADA_I8, "I8", 1, 1},         {ADA_I32, "I32", 1, 4},       {ADA_I64, "I64", 1, 8},
    {ADA_U8, "U8", 1, 1},         {ADA_F64, "F64", 1, 8},       {ADA_Q8_0, "Q8_0", 32, 34},
    {ADA_Q4_0, "Q4_0", 32, 18},   {ADA_Q4_1, "Q4_1", 32, 20},   {ADA_Q5_0, "Q5_0", 32, 22},
    {ADA_Q5_1, "Q5_1", 32, 24},   {ADA_Q4_K, "Q4_K", 256, 144}, {ADA_Q5_K, "Q5_K", 256, 176},
    {ADA_Q6_K, "Q6_K", 256, 210},
};

static size_t type_row(ada_dtype t) {
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].type == t) return i;
    return 0;
}

const char *ada_dtype_name(ada_dtype t) {
    return types[type_row(t)].name;
}

bool ada_dtype_find(const char *name, ada_dtype *type) {
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].name, name) == 0) {
            *type = types[i].type;
            return true;
        }
    return false;
}

void ada_dtype_block(ada_dtype t, size_t *values, size_t *bytes) {
    size_t i = type_row(t);
    *values = types[i].values;
    *bytes = types[i].bytes;
}

ada_status ada_tensor_size(const char *name, ada_dtype type, int ndim, const int64_t *shape, size_t *bytes) {
    size_t values, block, count = 1;
    ada_dtype_block(type, &values, &block);
    for (int i = 0; i < ndim; i++) {
        if (shape[i] < 0)
            return ada_fail(ADA_EFORMAT, "tensor '%s' has an extent of %lld", name, (long long)shape[i]);
        if (!ada_mul_size(count, (size_t)shape[i], &count))
            return ada_fail(ADA_EFORMAT, "the shape of tensor '%s' overflows", name);
    }
    if (values > 1 && (ndim == 0 || (size_t)shape[ndim - 1] % values != 0))
        return ada_fail(ADA_EFORMAT,
                        "tensor '%s' has rows that are no multiple of the %zu values of a %s block", name,
                        values, ada_dtype_name(type));
    if (!ada_mul_size(count / values, block, bytes))
        return ada_fail(ADA_EFORMAT, "the shape of tensor '%s' overflows", name);
    return ADA_OK;
}

bool ada_is_folder(const char *path) {
    int fd = ada_os.open(path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0) return false;
    (void)ada_os.close(fd);
    return true;
}

/* ---- filling: what formats call ---- */

ada_status ada_tensors_map(ada_tensors *t, const char *path, ada_reader *r) {
    struct ada_map *m;
    ADA_TRY(ada_arena_zero(&t->arena, &m, 1, sizeof *m));
    ADA_TRY(ada_map_file(path, &m->p, &m->n));
    m->next = t->maps;
    t->maps = m;
    *r = (ada_reader){.p = m->p, .n = m->n, .name = path};
    return ADA_OK;
}

ada_status ada_tensors_add(ada_tensors *t, const ada_reader *r, const ada_tensor *v, const char *name,
                           size_t n, uint64_t offset) {
    if (memchr(name, 0, n) != NULL || n == 0)
        return ada_fail(ADA_EFORMAT, "'%s' has a tensor whose name is empty or holds NUL", r->name);
    char *copy = ada_arena_str(&t->arena, name, n);
    if (copy == NULL) return ADA_ENOMEM;
    size_t bytes;
    ADA_TRY(ada_tensor_size(copy, v->dtype, v->ndim, v->shape, &bytes));
    if (offset > r->n || bytes > r->n - (size_t)offset)
        return ada_fail(ADA_EFORMAT, "tensor '%s' is %zu bytes at %llu, but '%s' ends at %zu", copy, bytes,
                        (unsigned long long)offset, r->name, r->n);
    if (t->count == t->cap) {
        size_t cap = t->cap == 0 ? 256 : 2 * t->cap;
        ada_tensor *list = ada_os.resize(t->list, t->count * sizeof *list, cap * sizeof *list);
        if (list == NULL) return ada_fail(ADA_ENOMEM, "out of memory: a list of %zu tensors", cap);
        t->list = list;
        t->cap = cap;
    }
    ada_tensor *to = &t->list[t->count++];
    *to = *v;
    to->name = copy;
    to->data = r->p + offset;
    to->bytes = bytes;
    return ADA_OK;
}

/* ---- opening ---- */

int ada_tensor_by_name(const void *a, const void *b) {
    return strcmp((*(const ada_tensor *const *)a)->name, (*(const ada_tensor *const *)b)->name);
}

static int by_place(const void *a, const void *b) {
    const ada_tensor *x = *(const ada_tensor *const *)a, *y = *(const ada_tensor *const *)b;
    if (x->data != y->data) return (uintptr_t)x->data < (uintptr_t)y->data ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

static ada_status check_and_index(ada_tensors *t, const char *path) {
    if (t->count == 0) return ada_fail(ADA_EFORMAT, "'%s' holds no tensor", path);
    ADA_TRY(ada_arena_take(&t->arena, &t->by_name, t->count, sizeof *t->by_name));
    const ada_tensor **s = t->by_name;
    for (size_t i = 0; i < t->count; i++) s[i] = &t->list[i];
    qsort(s, t->count, sizeof *s, by_place);
    for (size_t i = 1; i < t->count; i++)
        if ((uintptr_t)s[i]->data - (uintptr_t)s[i - 1]->data < s[i - 1]->bytes)
            return ada_fail(ADA_EFORMAT, "tensors '%s' and '%s' overlap in '%s'", s[i - 1]->name, s[i]->name,
                            path);
    qsort(s, t->count, sizeof *s, ada_tensor_by_name);
    for (size_t i = 1; i < t->count; i++)
        if (strcmp(s[i]->name, s[i - 1]->name) == 0)
            return ada_fail(ADA_EFORMAT, "tensor '%s' is twice in '%s'", s[i]->name, path);
    return ADA_OK;
}

/* The format of a file by its first bytes; a folder is one of Hugging Face's, which is safetensors'. */
static ada_status find_format(const struct ada_format **f, const char *path) {
    extern const struct ada_format ada_format_safetensors;
    if (ada_is_folder(path)) {
        *f = &ada_format_safetensors;
        return ADA_OK;
    }
    int fd = ada_os.open(path, O_RDONLY | O_NONBLOCK, 0);
    if (fd < 0) return ada_fail(ADA_EIO, "cannot open '%s': %s", path, strerror(errno));
    unsigned char head[64];
    ssize_t n = ada_os.pread(fd, head, sizeof head, 0);
    int why = errno;
    (void)ada_os.close(fd);
    if (n < 0) return ada_fail(ADA_EIO, "cannot read '%s': %s", path, strerror(why));
    if (n == 0) return ada_fail(ADA_EFORMAT, "'%s' is empty", path);
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        *f = formats[i];
        if (formats[i]->probe(head, (size_t)n)) return ADA_OK;
    }
#define X(name) " " #name
    return ada_fail(ADA_EFORMAT, "'%s' is in no format known here:" ADA_FORMATS(X), path);
#undef X
}

static ada_status open_into(ada_tensors *t, const char *path) {
    ADA_TRY(find_format(&t->format, path));
    ADA_TRY(t->format->open(t, path));
    return check_and_index(t, path);
}

ada_status ada_tensors_open(ada_tensors **t, const char *path) {
    *t = ada_os.alloc(sizeof **t);
    if (*t == NULL) return ada_fail(ADA_ENOMEM, "out of memory while opening '%s'", path);
    **t = (ada_tensors){0};
    ada_status st = open_into(*t, path);
    if (st != ADA_OK) ada_tensors_close(t);
    return st;
}

/* ---- a part of it, two as one ---- */

/* v under a name of two halves; the list has room. name: scratch. */
static ada_status add_named(ada_tensors *t, ada_buf *name, const ada_tensor *v, const char *front,
                            const char *rest) {
    ada_tensor *to = &t->list[t->count];
    name->len = 0;
    ADA_TRY(ada_buf_printf(name, "%s%s", front, rest));
    *to = *v;
    to->name = ada_arena_str(&t->arena, name->data, name->len);
    if (!to->name) return ADA_ENOMEM;
    t->count++;
    return ADA_OK;
}

static ada_status list_new(ada_tensors *t, size_t n) {
    t->list = ada_os.alloc(n * sizeof *t->list);
    if (!t->list) return ada_fail(ADA_ENOMEM, "out of memory: a list of %zu tensors", n);
    t->cap = n;
    return ADA_OK;
}

static const ada_rename *rename_of(const ada_rename *r, const char *name) {
    while (r->from && strncmp(name, r->from, strlen(r->from)) != 0) r++;
    return r->from ? r : NULL;
}

static ada_status take_part(ada_tensors *t, const ada_tensors *whole, const ada_rename *renames) {
    ada_buf name = {0};
    ada_status st = list_new(t, whole->count);
    for (size_t i = 0; st == ADA_OK && i < whole->count; i++) {
        const ada_tensor *v = &whole->list[i];
        const ada_rename *r = rename_of(renames, v->name);
        if (r) st = add_named(t, &name, v, r->to, v->name + strlen(r->from));
    }
    ada_buf_free(&name);
    ADA_TRY(st);
    if (t->count == 0)
        return ada_fail(ADA_EMISMATCH, "no tensor's name begins with '%s', as this kind of model has it",
                        renames->from);
    return check_and_index(t, "the model");
}

ada_status ada_tensors_part(ada_tensors **part, const ada_tensors *whole, const ada_rename *renames,
                            const ada_json *meta) {
    ada_tensors *t = *part = ada_os.alloc(sizeof *t);
    if (!t) return ada_fail(ADA_ENOMEM, "out of memory for a part of a model");
    *t = (ada_tensors){.format = whole->format, .meta = ada_json_share(meta)};
    ada_status st = take_part(t, whole, renames);
    if (st != ADA_OK) ada_tensors_close(part);
    return st;
}

static ada_status take_both(ada_tensors *t, const char *const front[2]) {
    ada_buf name = {0};
    ada_status st = list_new(t, t->joined[0]->count + t->joined[1]->count);
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; st == ADA_OK && i < t->joined[k]->count; i++)
            st = add_named(t, &name, &t->joined[k]->list[i], front[k], t->joined[k]->list[i].name);
    ada_buf_free(&name);
    return st == ADA_OK ? check_and_index(t, "the two files") : st;
}

ada_status ada_tensors_join(ada_tensors **joined, ada_tensors *one, const char *first, ada_tensors *other,
                            const char *second, const ada_json *meta) {
    ada_tensors *t = *joined = ada_os.alloc(sizeof *t);
    if (!t) {
        ada_tensors_close(&one);
        ada_tensors_close(&other);
        return ada_fail(ADA_ENOMEM, "out of memory for a model of two files");
    }
    *t = (ada_tensors){.format = one->format, .meta = ada_json_share(meta), .joined = {one, other}};
    ada_status st = take_both(t, (const char *const[]){first, second});
    if (st != ADA_OK) ada_tensors_close(joined);
    return st;
}

void ada_tensors_close(ada_tensors **t) {
    if (*t == NULL) return;
    for (int k = 0; k < 2; k++) ada_tensors_close(&(*t)->joined[k]);
    for (struct ada_map *m = (*t)->maps; m != NULL; m = m->next) ada_os.unmap(m->p, m->n);
    ada_json_close(&(*t)->meta);
    ada_os.release((*t)->list);
    ada_arena_free(&(*t)->arena);
    ada_os.release(*t);
    *t = NULL;
}

/* ---- reading ---- */

size_t ada_tensors_count(const ada_tensors *t) {
    return t->count;
}
const ada_tensor *ada_tensors_at(const ada_tensors *t, size_t i) {
    return i < t->count ? &t->list[i] : NULL;
}
const char *ada_tensors_format(const ada_tensors *t) {
    return t->format->name;
}
const ada_json *ada_tensors_meta(const ada_tensors *t) {
    return t->meta;
}

const ada_tensor *ada_tensors_find(const ada_tensors *t, const char *name) {
    const ada_tensor key = {.name = name}, *p = &key;
    const ada_tensor *const *at = bsearch(&p, t->by_name, t->count, sizeof *t->by_name, ada_tensor_by_name);
    return at == NULL ? NULL : *at;
}

size_t ada_tensor_count(const ada_tensor *t) {
    size_t n = 1;
    for (int i = 0; i < t->ndim; i++) n *= (size_t)t->shape[i];
    return n;
}

ada_status ada_tensor_hash(ada_sha *s, const ada_tensor *t) {
    const char *type = ada_dtype_name(t->dtype);
    ADA_TRY(ada_sha_add(s, t->name, strlen(t->name) + 1));
    ADA_TRY(ada_sha_add(s, type, strlen(type) + 1));
    const int64_t ndim = t->ndim;
    ADA_TRY(ada_sha_add(s, &ndim, sizeof ndim));
    ADA_TRY(ada_sha_add(s, t->shape, (size_t)t->ndim * sizeof *t->shape));
    return ada_sha_add(s, t->data, t->bytes);
}

static ada_status rehash(const ada_tensors *t, char hex[65]) {
    ada_sha *s = NULL;
    ADA_TRY(ada_sha_open(&s));
    ada_status st = ADA_OK;
    for (size_t i = 0; st == ADA_OK && i < t->count; i++) st = ada_tensor_hash(s, t->by_name[i]);
    ada_status end = ada_sha_close(&s, hex);
    return st != ADA_OK ? st : end;
}

/* So that it is the same, whatever format either part is kept in. */
static ada_status digest_of_both(const ada_tensors *t, char hex[65]) {
    char of[2][65], text[160];
    for (int k = 0; k < 2; k++) ADA_TRY(ada_tensors_digest(t->joined[k], of[k]));
    int n = snprintf(text, sizeof text, "joined %s %s", of[0], of[1]);
    return ada_sha_of(text, (size_t)n, hex);
}

ada_status ada_tensors_digest(const ada_tensors *t, char hex[65]) {
    if (t->joined[0]) return digest_of_both(t, hex);
    if (t->digest[0] == 0) return rehash(t, hex);
    memcpy(hex, t->digest, sizeof t->digest);
    return ADA_OK;
}

ada_status ada_tensors_verify(const ada_tensors *t) {
    char hex[65];
    for (int k = 0; k < 2; k++)
        if (t->joined[k]) ADA_TRY(ada_tensors_verify(t->joined[k]));
    if (t->own[0] == 0) return ADA_OK;
    ADA_TRY(rehash(t, hex));
    if (strcmp(hex, t->own) == 0) return ADA_OK;
    return ada_fail(ADA_EFORMAT, "the tensors are damaged: their bytes do not agree with their digest");
}

/* ---- widening ---- */

static void widen_f64(float *y, const void *x, size_t n) {
    for (size_t i = 0; i < n; i++) {
        double v;
        memcpy(&v, (const char *)x + i * sizeof v, sizeof v);
        y[i] = (float)v;
    }
}

/* n values at x, whatever its alignment. */
static ada_status widen(ada_dtype type, const char *name, float *y, const void *x, size_t n) {
    switch (type) {
    case ADA_F32:
        memcpy(y, x, n * sizeof *y);
        return ADA_OK;
    case ADA_F64:
        widen_f64(y, x, n);
        return ADA_OK;
    case ADA_F16:
        ada_k.f16_to_f32(y, x, n);
        return ADA_OK;
    case ADA_BF16:
        ada_k.bf16_to_f32(y, x, n);
        return ADA_OK;
    case ADA_Q8_0:
        ada_k.q8_0_to_f32(y, x, n);
        return ADA_OK;
    case ADA_Q4_0:
        ada_k.q4_0_to_f32(y, x, n);
        return ADA_OK;
    case ADA_Q4_1:
        ada_k.q4_1_to_f32(y, x, n);
        return ADA_OK;
    case ADA_Q5_0:
        ada_k.q5_0_to_f32(y, x, n);
        return ADA_OK;
    case ADA_Q5_1:
        ada_k.q5_1_to_f32(y, x, n);
        return ADA_OK;
    case ADA_Q4_K:
        ada_k.q4_k_to_f32(y, x, n);
        return ADA_OK;
    case ADA_Q5_K:
        ada_k.q5_k_to_f32(y, x, n);
        return ADA_OK;
    case ADA_Q6_K:
        ada_k.q6_k_to_f32(y, x, n);
        return ADA_OK;
    case ADA_I8:
    case ADA_I32:
    case ADA_I64:
    case ADA_U8:
        break;
    }
    return ada_fail(ADA_EUNSUPPORTED, "tensor '%s' holds %s, where real numbers are wanted", name,
                    ada_dtype_name(type));
}

ada_status ada_tensor_f32(const ada_tensor *t, size_t first, size_t n, float *out) {
    size_t values, bytes, count = ada_tensor_count(t);
    ada_dtype_block(t->dtype, &values, &bytes);
    if (first > count || n > count - first || first % values != 0 || n % values != 0)
        return ada_fail(ADA_EINTERNAL, "tensor '%s' of %zu values is read at %zu+%zu", t->name, count, first,
                        n);
    return widen(t->dtype, t->name, out, (const char *)t->data + first / values * bytes, n);
}
