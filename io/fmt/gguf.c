/* SPDX-License-Identifier: Apache-2.0
 * GGUF, versions 2 and 3: key-values become the metadata object, tensor infos become views.
 * Must not know: what the keys mean (but for general.alignment). Invariant: memory is bounded by the file's
 * size; every count is checked against the bytes that are left before anything is made from it. */
#include "io/fmt/format.h"
#include <string.h>

enum { KEY_MAX = 65535, ELEMENTS_MAX = 1 << 22, ALIGNMENT = 32, ALIGNMENT_MAX = 1 << 16 };

/* value types of the format */
enum { U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64, VALUE_TYPES };
static const uint8_t value_size[VALUE_TYPES] = {1, 1, 2,  2, 4, 4, 4,
                                                1, 8, 12, 8, 8, 8}; /* the least they take */

/* ggml's tensor types by number; those that are not read have only a name */
static const struct {
    const char *name;
    int ours; /* -1: not handled */
} tensor_types[] = {
    [0] = {"F32", ADA_F32},    [1] = {"F16", ADA_F16},   [2] = {"Q4_0", ADA_Q4_0},  [3] = {"Q4_1", ADA_Q4_1},
    [6] = {"Q5_0", ADA_Q5_0},  [7] = {"Q5_1", ADA_Q5_1}, [8] = {"Q8_0", ADA_Q8_0},  [9] = {"Q8_1", -1},
    [10] = {"Q2_K", -1},       [11] = {"Q3_K", -1},      [12] = {"Q4_K", ADA_Q4_K}, [13] = {"Q5_K", ADA_Q5_K},
    [14] = {"Q6_K", ADA_Q6_K}, [15] = {"Q8_K", -1},      [16] = {"IQ2_XXS", -1},    [17] = {"IQ2_XS", -1},
    [18] = {"IQ3_XXS", -1},    [19] = {"IQ1_S", -1},     [20] = {"IQ4_NL", -1},     [21] = {"IQ3_S", -1},
    [22] = {"IQ2_S", -1},      [23] = {"IQ4_XS", -1},    [24] = {"I8", ADA_I8},     [25] = {"I16", -1},
    [26] = {"I32", ADA_I32},   [27] = {"I64", ADA_I64},  [28] = {"F64", ADA_F64},   [29] = {"IQ1_M", -1},
    [30] = {"BF16", ADA_BF16}, [34] = {"TQ1_0", -1},     [35] = {"TQ2_0", -1},      [39] = {"MXFP4", -1},
};

struct gguf {
    ada_tensors *t;
    ada_reader r;
    uint64_t elements; /* of all arrays so far */
};

static int probe(const unsigned char *head, size_t n) {
    return n >= 4 && memcmp(head, "GGUF", 4) == 0;
}

static ada_status read_string(ada_reader *r, const char **s, size_t *n) {
    uint64_t len;
    const unsigned char *p;
    ADA_TRY(ada_read_u64(r, &len));
    ADA_TRY(ada_read_bytes(r, len, &p));
    *s = (const char *)p;
    *n = (size_t)len;
    return ADA_OK;
}

static ada_json *unsigned_number(uint64_t v) {
    return v <= INT64_MAX ? ada_json_new_int((int64_t)v) : ada_json_new_num((double)v);
}

/* A value of any type but ARRAY. */
static ada_status read_scalar(ada_reader *r, uint32_t type, ada_json **out) {
    union { /* as wide as it was read: the rest is zero */
        uint64_t u64;
        int8_t i8;
        int16_t i16;
        int32_t i32;
        int64_t i64;
        float f32;
        double f64;
    } v = {0};
    const char *s;
    size_t n;
    if (type == STRING) {
        ADA_TRY(read_string(r, &s, &n));
        *out = ada_json_new_str(s, n);
        return ADA_OK;
    }
    ADA_TRY(ada_read_value(r, &v, value_size[type]));
    switch (type) {
    case I8:
        *out = ada_json_new_int(v.i8);
        return ADA_OK;
    case I16:
        *out = ada_json_new_int(v.i16);
        return ADA_OK;
    case I32:
        *out = ada_json_new_int(v.i32);
        return ADA_OK;
    case I64:
        *out = ada_json_new_int(v.i64);
        return ADA_OK;
    case F32:
        *out = ada_json_new_num((double)v.f32);
        return ADA_OK;
    case F64:
        *out = ada_json_new_num(v.f64);
        return ADA_OK;
    case BOOL:
        *out = ada_json_new_bool(v.u64 != 0);
        return ADA_OK;
    default:
        *out = unsigned_number(v.u64);
        return ADA_OK;
    }
}

static ada_status read_array(struct gguf *g, const char *key, ada_json *array) {
    uint32_t type;
    uint64_t n;
    ADA_TRY(ada_read_u32(&g->r, &type));
    ADA_TRY(ada_read_u64(&g->r, &n));
    if (type == ARRAY)
        return ada_fail(ADA_EUNSUPPORTED, "'%s' of '%s' is an array of arrays", key, g->r.name);
    if (type >= VALUE_TYPES)
        return ada_fail(ADA_EFORMAT, "'%s' of '%s' is an array of the unknown type %u", key, g->r.name, type);
    if (n > ada_read_left(&g->r) / value_size[type])
        return ada_fail(ADA_EFORMAT, "'%s' of '%s' claims %llu elements, but only %zu bytes are left", key,
                        g->r.name, (unsigned long long)n, ada_read_left(&g->r));
    g->elements += n;
    if (g->elements > ELEMENTS_MAX)
        return ada_fail(ADA_EUNSUPPORTED, "the arrays of '%s' have more than %d elements", g->r.name,
                        ELEMENTS_MAX);
    for (uint64_t i = 0; i < n; i++) {
        ada_json *v;
        ADA_TRY(read_scalar(&g->r, type, &v));
        ADA_TRY(ada_json_push(array, v));
    }
    return ADA_OK;
}

static ada_status read_value(struct gguf *g, const char *key, ada_json *meta) {
    uint32_t type;
    ADA_TRY(ada_read_u32(&g->r, &type));
    if (type >= VALUE_TYPES)
        return ada_fail(ADA_EFORMAT, "'%s' of '%s' has the unknown type %u", key, g->r.name, type);
    if (ada_json_get(meta, key) != NULL)
        return ada_fail(ADA_EFORMAT, "key '%s' is twice in '%s'", key, g->r.name);
    ada_json *v;
    if (type != ARRAY) {
        ADA_TRY(read_scalar(&g->r, type, &v));
        return ada_json_set(meta, key, v);
    }
    ADA_TRY(ada_json_set(meta, key, v = ada_json_new_arr())); /* the tree owns it before it is filled */
    return read_array(g, key, v);
}

static ada_status read_pairs(struct gguf *g, uint64_t pairs) {
    if (pairs > ada_read_left(&g->r) / 13) /* a length of 8, a type of 4, a value of 1 */
        return ada_fail(ADA_EFORMAT, "'%s' claims %llu key-values, but only %zu bytes are left", g->r.name,
                        (unsigned long long)pairs, ada_read_left(&g->r));
    for (uint64_t i = 0; i < pairs; i++) {
        const char *s;
        size_t n;
        ADA_TRY(read_string(&g->r, &s, &n));
        if (n == 0 || n > KEY_MAX || memchr(s, 0, n) != NULL)
            return ada_fail(ADA_EFORMAT, "key %llu of '%s' is empty, too long or holds NUL",
                            (unsigned long long)i, g->r.name);
        char *key = ada_arena_str(&g->t->arena, s, n);
        if (key == NULL) return ADA_ENOMEM;
        ADA_TRY(read_value(g, key, g->t->meta));
    }
    return ADA_OK;
}

struct info {
    ada_tensor v;
    const char *name;
    size_t name_len;
    uint64_t offset;
};

static ada_status read_info(ada_reader *r, struct info *o) {
    uint32_t ndim, type;
    ADA_TRY(read_string(r, &o->name, &o->name_len));
    int shown = o->name_len < 200 ? (int)o->name_len : 200;
    ADA_TRY(ada_read_u32(r, &ndim));
    if (ndim == 0 || ndim > ADA_MAX_DIMS)
        return ada_fail(ADA_EFORMAT, "tensor '%.*s' of '%s' has %u dimensions", shown, o->name, r->name,
                        ndim);
    o->v.ndim = (int)ndim;
    for (uint32_t i = 0; i < ndim; i++) { /* the file's order is innermost first */
        uint64_t extent;
        ADA_TRY(ada_read_u64(r, &extent));
        if (extent > INT64_MAX)
            return ada_fail(ADA_EFORMAT, "the shape of tensor '%.*s' overflows in '%s'", shown, o->name,
                            r->name);
        o->v.shape[ndim - 1 - i] = (int64_t)extent;
    }
    ADA_TRY(ada_read_u32(r, &type));
    if (type >= sizeof tensor_types / sizeof *tensor_types || tensor_types[type].name == NULL)
        return ada_fail(ADA_EUNSUPPORTED, "tensor '%.*s' of '%s' has the unknown type %u", shown, o->name,
                        r->name, type);
    if (tensor_types[type].ours < 0)
        return ada_fail(ADA_EUNSUPPORTED, "tensor '%.*s' of '%s' has type %s, which is not read", shown,
                        o->name, r->name, tensor_types[type].name);
    o->v.dtype = (ada_dtype)tensor_types[type].ours;
    return ada_read_u64(r, &o->offset);
}

/* Where data begins is known only after the last info: read them twice rather than keep them. */
static ada_status read_tensors(struct gguf *g, uint64_t tensors) {
    if (tensors >
        ada_read_left(&g->r) / 33) /* lengths of 8, 4 and 8, a name of 1, a type of 4, an offset of 8 */
        return ada_fail(ADA_EFORMAT, "'%s' claims %llu tensors, but only %zu bytes are left", g->r.name,
                        (unsigned long long)tensors, ada_read_left(&g->r));
    int64_t align = ada_json_int(ada_json_get(g->t->meta, "general.alignment"), ALIGNMENT);
    if (align <= 0 || align > ALIGNMENT_MAX || (align & (align - 1)) != 0)
        return ada_fail(ADA_EFORMAT, "'general.alignment' of '%s' is %lld, no power of two up to %d",
                        g->r.name, (long long)align, ALIGNMENT_MAX);
    struct info o;
    ada_reader infos = g->r;
    for (uint64_t i = 0; i < tensors; i++) ADA_TRY(read_info(&g->r, &o));
    uint64_t data = (g->r.at + (uint64_t)align - 1) / (uint64_t)align * (uint64_t)align;
    for (uint64_t i = 0; i < tensors; i++) {
        ADA_TRY(read_info(&infos, &o));
        if (o.offset > INT64_MAX || o.offset % (uint64_t)align != 0)
            return ada_fail(ADA_EFORMAT, "tensor %llu of '%s' is at %llu, no multiple of %lld",
                            (unsigned long long)i, g->r.name, (unsigned long long)o.offset, (long long)align);
        ADA_TRY(ada_tensors_add(g->t, &g->r, &o.v, o.name, o.name_len, data + o.offset));
    }
    return ADA_OK;
}

static ada_status open_format(ada_tensors *t, const char *path) {
    struct gguf g = {.t = t};
    const unsigned char *magic;
    uint32_t version;
    uint64_t tensors, pairs;
    t->meta = ada_json_new_obj();
    if (t->meta == NULL) return ada_fail(ADA_ENOMEM, "out of memory while opening '%s'", path);
    ADA_TRY(ada_tensors_map(t, path, &g.r));
    ADA_TRY(ada_read_bytes(&g.r, 4, &magic));
    ADA_TRY(ada_read_u32(&g.r, &version));
    if (version == 2u << 24 || version == 3u << 24)
        return ada_fail(ADA_EUNSUPPORTED, "'%s' is a big-endian GGUF", path);
    if (version != 2 && version != 3)
        return ada_fail(ADA_EUNSUPPORTED, "'%s' is GGUF version %u, only 2 and 3 are read", path, version);
    ADA_TRY(ada_read_u64(&g.r, &tensors));
    ADA_TRY(ada_read_u64(&g.r, &pairs));
    ADA_TRY(read_pairs(&g, pairs));
    return read_tensors(&g, tensors);
}

const struct ada_format ada_format_gguf = {.name = "gguf", .probe = probe, .open = open_format};
