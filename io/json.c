/* SPDX-License-Identifier: Apache-2.0
 * The door to jansson: the only file that includes its header. Owns: parsing, access, and the text of a tree.
 * Must not know: what the keys mean. Invariant: every allocation of jansson goes through ada_os, and a tree
 * that was parsed here prints as text that parses to the same tree. */
#include "io/json.h"
#include "io/os.h"
#include "io/replace.h"
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* A tokenizer's tree is half a million small pieces. They are cut from slabs, each given back when its last
 * piece is: a third of malloc's time, and no 64-byte alignment for each. Jansson goes on after some refusals
 * and then reads past its buffer, so a parse that is refused memory is left at once, and all its slabs with
 * it. */
enum { SLAB = 64 << 10, PIECE_MAX = SLAB / 8 };

struct parse {
    jmp_buf out;
    struct slab *all, *newest; /* made for this parse; the one that pieces are cut from */
};

struct slab {
    struct parse *owner; /* NULL when its parse is over, or was none */
    struct slab *prev, *next;
    size_t size, used;  /* of bytes */
    atomic_size_t live; /* pieces not yet released */
    char bytes[];
};

static _Thread_local struct parse *parsing;

static struct slab *slab_new(size_t bytes) {
    struct slab *s = ada_os.alloc(sizeof *s + bytes);
    if (s == NULL && parsing != NULL) longjmp(parsing->out, 1);
    if (s == NULL) return NULL;
    *s = (struct slab){.owner = parsing, .size = bytes};
    if (parsing == NULL) return s;
    s->next = parsing->all;
    if (s->next != NULL) s->next->prev = s;
    parsing->all = s;
    return s;
}

static void slab_release(struct slab *s) {
    if (s->owner != NULL && s == s->owner->newest) { /* to be cut anew */
        s->used = 0;
        return;
    }
    if (s->owner != NULL) {
        if (s->next != NULL) s->next->prev = s->prev;
        if (s->prev != NULL) s->prev->next = s->next;
        if (s == s->owner->all) s->owner->all = s->next;
    }
    ada_os.release(s);
}

/* Before each piece stands its slab. */
static void *json_alloc(size_t bytes) {
    size_t need = (bytes + sizeof(struct slab *) + 7) & ~(size_t)7;
    if (bytes > SIZE_MAX / 2) return NULL;
    bool small = parsing != NULL && need <= PIECE_MAX;
    struct slab *s = small ? parsing->newest : NULL;
    if (s == NULL || s->size - s->used < need) s = slab_new(small ? SLAB : need);
    if (s == NULL) return NULL;
    if (small) parsing->newest = s;
    char *piece = s->bytes + s->used;
    s->used += need;
    s->live++;
    memcpy(piece, &s, sizeof s);
    return piece + sizeof s;
}

static void json_release(void *p) {
    if (p == NULL) return;
    struct slab *s;
    memcpy(&s, (char *)p - sizeof s, sizeof s);
    if (atomic_fetch_sub(&s->live, 1) == 1) slab_release(s);
}

static json_t *loaded(const char *text, size_t n, json_error_t *e, bool *refused) {
    struct parse here = {0};
    json_t *volatile j = NULL; /* volatile: what it holds counts after longjmp */
    *refused = true;
    parsing = &here;
    if (setjmp(here.out) == 0) {
        j = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, e);
        *refused = false;
    }
    parsing = NULL;
    here.newest = NULL;
    for (struct slab *s = here.all, *next; s != NULL; s = next) {
        next = s->next;
        s->owner = NULL;
        if (*refused || s->live == 0) ada_os.release(s);
    }
    return j;
}

/* Before main, so that no tree is ever made by one allocator and freed by another. */
__attribute__((constructor)) static void route_allocations(void) {
    json_set_alloc_funcs(json_alloc, json_release);
}

/* ---- reading ---- */

/* The same text with "e0" after each integer of 19 digits or more, which makes it a real: jansson refuses
 * integers past 64 bits, but tokenizer configurations hold 10^30 for "no limit". */
static ada_status widen_integers(const char *text, size_t n, ada_buf *out) {
    size_t from = 0;
    bool quoted = false;
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '"') quoted = !quoted;
        if (quoted && text[i] == '\\') i++;
        if (quoted || i >= n || text[i] < '0' || text[i] > '9') continue;
        size_t begin = i, digits = 0;
        for (; i < n && text[i] != 0 && strchr("0123456789+-.eE", text[i]) != NULL; i++)
            digits += text[i] >= '0' && text[i] <= '9';
        if (digits >= 19 && digits == i - begin) {
            ADA_TRY(ada_buf_add(out, text + from, i - from));
            ADA_TRY(ada_buf_puts(out, "e0"));
            from = i;
        }
        i--;
    }
    return ada_buf_add(out, text + from, n - from);
}

static ada_status parse(ada_json **j, const char *text, size_t n, const char *name, bool widen) {
    json_error_t e;
    bool refused = false;
    *j = loaded(text, n, &e, &refused);
    if (*j != NULL) return ADA_OK;
    if (refused) return ada_fail(ADA_ENOMEM, "out of memory while parsing '%s'", name);
    if (json_error_code(&e) == json_error_numeric_overflow && widen) {
        ada_buf wide = {0};
        ada_status st = widen_integers(text, n, &wide);
        if (st == ADA_OK) st = parse(j, wide.data, wide.len, name, false);
        ada_buf_free(&wide);
        return st;
    }
    return ada_fail(ADA_EFORMAT, "%s:%d:%d: %s", name, e.line, e.column, e.text);
}

ada_status ada_json_parse(ada_json **j, const char *text, size_t n, const char *name) {
    return parse(j, text, n, name, true);
}

ada_status ada_json_open(ada_json **j, const char *path) {
    char *text;
    size_t n;
    *j = NULL;
    ADA_TRY(ada_read_file(path, &text, &n));
    ada_status st = ada_json_parse(j, text, n, path);
    ada_os.release(text);
    return st;
}

void ada_json_close(ada_json **j) {
    json_decref(*j);
    *j = NULL;
}

ada_json *ada_json_share(const ada_json *j) {
    return json_incref((json_t *)j);
}

const ada_json *ada_json_get(const ada_json *j, const char *key) {
    return json_object_get(j, key);
}
const ada_json *ada_json_at(const ada_json *j, size_t i) {
    return json_array_get(j, i);
}
size_t ada_json_len(const ada_json *j) {
    return json_is_array(j) ? json_array_size(j) : json_object_size(j);
}
bool ada_json_is_str(const ada_json *j) {
    return json_is_string(j);
}
bool ada_json_is_num(const ada_json *j) {
    return json_is_number(j);
}
bool ada_json_is_bool(const ada_json *j) {
    return json_is_boolean(j);
}
bool ada_json_is_arr(const ada_json *j) {
    return json_is_array(j);
}
bool ada_json_is_obj(const ada_json *j) {
    return json_is_object(j);
}
bool ada_json_is_null(const ada_json *j) {
    return j == NULL || json_is_null(j);
}

bool ada_json_is_int(const ada_json *j) {
    if (json_is_integer(j)) return true;
    if (!json_is_real(j)) return false;
    double v = json_real_value(j);
    return v >= -0x1p63 && v < 0x1p63 && v == floor(v);
}

const char *ada_json_str(const ada_json *j, const char *def) {
    return json_is_string(j) ? json_string_value(j) : def;
}
size_t ada_json_strlen(const ada_json *j) {
    return json_string_length(j);
}
double ada_json_num(const ada_json *j, double def) {
    return json_is_number(j) ? json_number_value(j) : def;
}
bool ada_json_bool(const ada_json *j, bool def) {
    return json_is_boolean(j) ? json_is_true(j) : def;
}

int64_t ada_json_int(const ada_json *j, int64_t def) {
    if (!ada_json_is_int(j)) return def;
    return json_is_integer(j) ? (int64_t)json_integer_value(j) : (int64_t)json_real_value(j);
}

bool ada_json_next(const ada_json *obj, void **it, const char **key, const ada_json **value) {
    *it = *it == NULL ? json_object_iter((json_t *)obj) : json_object_iter_next((json_t *)obj, *it);
    if (*it == NULL) return false;
    *key = json_object_iter_key(*it);
    *value = json_object_iter_value(*it);
    return true;
}

/* ---- making ---- */

/* Length of the UTF-8 sequence at s, or 0 with *bad the number of bytes that one U+FFFD stands for. */
static size_t utf8_step(const unsigned char *s, size_t n, size_t *bad) {
    *bad = 1;
    if (s[0] < 0x80) return 1;
    size_t len = s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : 2;
    if (s[0] < 0xC2 || s[0] > 0xF4) return 0;
    unsigned lo = s[0] == 0xE0 ? 0xA0 : s[0] == 0xF0 ? 0x90 : 0x80;
    unsigned hi = s[0] == 0xED ? 0x9F : s[0] == 0xF4 ? 0x8F : 0xBF;
    for (size_t i = 1; i < len; i++, lo = 0x80, hi = 0xBF) {
        *bad = i;
        if (i >= n || s[i] < lo || s[i] > hi) return 0;
    }
    return len;
}

static bool utf8_valid(const char *s, size_t n) {
    size_t bad, step;
    for (size_t i = 0; i < n; i += step)
        if ((step = utf8_step((const unsigned char *)s + i, n - i, &bad)) == 0) return false;
    return true;
}

ada_json *ada_json_new_obj(void) {
    return json_object();
}
ada_json *ada_json_new_arr(void) {
    return json_array();
}
ada_json *ada_json_new_num(double v) {
    return isfinite(v) ? json_real(v) : json_null();
}
ada_json *ada_json_new_int(int64_t v) {
    return json_integer(v);
}
ada_json *ada_json_new_bool(bool v) {
    return json_boolean(v);
}

ada_json *ada_json_new_str(const char *s, size_t n) {
    if (utf8_valid(s, n)) return json_stringn_nocheck(s, n);
    ada_buf b = {0};
    ada_status st = ADA_OK;
    for (size_t i = 0; st == ADA_OK && i < n;) {
        size_t bad, step = utf8_step((const unsigned char *)s + i, n - i, &bad);
        st = step > 0 ? ada_buf_add(&b, s + i, step) : ada_buf_puts(&b, "\xEF\xBF\xBD");
        i += step > 0 ? step : bad;
    }
    ada_json *j = st == ADA_OK ? json_stringn_nocheck(b.data, b.len) : NULL;
    ada_buf_free(&b);
    return j;
}

ada_status ada_json_set(ada_json *obj, const char *key, ada_json *v) {
    if (v == NULL) return ada_fail(ADA_ENOMEM, "out of memory while setting '%s'", key);
    if (!json_is_object(obj) || !utf8_valid(key, strlen(key))) {
        json_decref(v);
        return json_is_object(obj) ? ada_fail(ADA_EFORMAT, "key '%s' is not UTF-8", key)
                                   : ada_fail(ADA_EINTERNAL, "key '%s' is set in what is no object", key);
    }
    if (json_object_set_new_nocheck(obj, key, v) == 0) return ADA_OK;
    return ada_fail(ADA_ENOMEM, "out of memory while setting '%s'", key);
}

ada_status ada_json_set_str(ada_json *obj, const char *key, const char *s) {
    return ada_json_set(obj, key, ada_json_new_str(s, strlen(s)));
}

ada_status ada_json_set_all(ada_json *obj, const ada_json *from) {
    const ada_json *v;
    const char *key;
    for (void *it = NULL; ada_json_next(from, &it, &key, &v);)
        ADA_TRY(ada_json_set(obj, key, ada_json_share(v)));
    return ADA_OK;
}

ada_status ada_json_push(ada_json *arr, ada_json *v) {
    if (v == NULL) return ada_fail(ADA_ENOMEM, "out of memory while adding to an array");
    if (!json_is_array(arr)) {
        json_decref(v);
        return ada_fail(ADA_EINTERNAL, "a value is added to what is no array");
    }
    if (json_array_append_new(arr, v) == 0) return ADA_OK;
    return ada_fail(ADA_ENOMEM, "out of memory while adding to an array");
}

/* ---- printing: our own, since jansson prints 0.1 with 17 digits ---- */

static ada_status put_string(const char *s, size_t n, ada_buf *out) {
    ADA_TRY(ada_buf_puts(out, "\""));
    size_t from = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7F) continue;
        ADA_TRY(ada_buf_add(out, s + from, i - from));
        from = i + 1;
        if (c == '"' || c == '\\')
            ADA_TRY(ada_buf_printf(out, "\\%c", c));
        else if (c == '\n')
            ADA_TRY(ada_buf_puts(out, "\\n"));
        else if (c == '\t')
            ADA_TRY(ada_buf_puts(out, "\\t"));
        else if (c == '\r')
            ADA_TRY(ada_buf_puts(out, "\\r"));
        else
            ADA_TRY(ada_buf_printf(out, "\\u%04x", c));
    }
    ADA_TRY(ada_buf_add(out, s + from, n - from));
    return ada_buf_puts(out, "\"");
}

/* The fewest digits that read back as the same double, and always a mark that it is a real. */
static ada_status put_real(double v, ada_buf *out) {
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, v);
        double back;
        if (sscanf(text, "%lf", &back) == 1 && back == v) break;
    }
    if (strpbrk(text, ".e") == NULL) strcat(text, ".0");
    return ada_buf_puts(out, text);
}

static ada_status put_break(int indent, int depth, ada_buf *out) {
    if (indent == 0) return ADA_OK;
    return ada_buf_printf(out, "\n%*s", indent * depth, "");
}

static ada_status put_value(const json_t *j, int indent, int depth, ada_buf *out);

static ada_status put_array(const json_t *j, int indent, int depth, ada_buf *out) {
    ADA_TRY(ada_buf_puts(out, "["));
    for (size_t i = 0; i < json_array_size(j); i++) {
        if (i > 0) ADA_TRY(ada_buf_puts(out, indent > 0 ? "," : ", "));
        ADA_TRY(put_break(indent, depth + 1, out));
        ADA_TRY(put_value(json_array_get(j, i), indent, depth + 1, out));
    }
    if (json_array_size(j) > 0) ADA_TRY(put_break(indent, depth, out));
    return ada_buf_puts(out, "]");
}

static ada_status put_object(const json_t *j, int indent, int depth, ada_buf *out) {
    void *it = NULL;
    const char *key;
    const ada_json *value;
    bool first = true;
    ADA_TRY(ada_buf_puts(out, "{"));
    while (ada_json_next(j, &it, &key, &value)) {
        if (!first) ADA_TRY(ada_buf_puts(out, indent > 0 ? "," : ", "));
        first = false;
        ADA_TRY(put_break(indent, depth + 1, out));
        ADA_TRY(put_string(key, strlen(key), out));
        ADA_TRY(ada_buf_puts(out, ": "));
        ADA_TRY(put_value(value, indent, depth + 1, out));
    }
    if (!first) ADA_TRY(put_break(indent, depth, out));
    return ada_buf_puts(out, "}");
}

static ada_status put_value(const json_t *j, int indent, int depth, ada_buf *out) {
    switch (json_typeof(j)) {
    case JSON_OBJECT:
        return put_object(j, indent, depth, out);
    case JSON_ARRAY:
        return put_array(j, indent, depth, out);
    case JSON_STRING:
        return put_string(json_string_value(j), json_string_length(j), out);
    case JSON_INTEGER:
        return ada_buf_printf(out, "%lld", (long long)json_integer_value(j));
    case JSON_REAL:
        return put_real(json_real_value(j), out);
    case JSON_TRUE:
        return ada_buf_puts(out, "true");
    case JSON_FALSE:
        return ada_buf_puts(out, "false");
    case JSON_NULL:
        return ada_buf_puts(out, "null");
    }
    return ada_fail(ADA_EINTERNAL, "a JSON value of no known type");
}

ada_status ada_json_text(const ada_json *j, int indent, ada_buf *out) {
    if (j == NULL) return ada_buf_puts(out, "null");
    return put_value(j, indent, 0, out);
}
