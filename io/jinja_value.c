/* SPDX-License-Identifier: Apache-2.0
 * Values of templates: truth, operators, filters, methods and tests, as Python and Jinja have them.
 * Owns: what each name means. Must not know: tokens in order, statements.
 * Invariant: a name or a type that is not handled here is refused by name; case is changed in ASCII only. */
#include "io/jinja_part.h"
#include "io/unicode.h"

#include <inttypes.h>
#include <string.h>

static jval boolean(bool b) {
    return (jval){.kind = V_BOOL, .i = b};
}
static jval slice_of(const char *s, size_t n) {
    return (jval){.kind = V_STR, .s = s, .n = n};
}

/* A list that is made while one goes over it is true, whatever comes of it. */
static bool lazy(jval v) {
    return v.kind == V_LIST && v.spent;
}

static const char *type_name(jval v) {
    static const char *const names[] = {"undefined", "none",   "a boolean", "a number",
                                        "a string",  "a list", "an object", "a function"};
    return lazy(v) ? "what a filter selects" : names[v.kind];
}

static ada_status no(const char *what, const jtok *name, jval v) {
    return ada_fail(ADA_EUNSUPPORTED, "chat template uses %s '%.*s' on %s, which is not supported", what,
                    (int)name->n, name->s, type_name(v));
}

static ada_status undefined(jval v) {
    return ada_fail(ADA_EUNSUPPORTED, "chat template uses '%.*s', which is not defined", (int)(v.s ? v.n : 0),
                    v.s ? v.s : "");
}

bool ada_jval_true(jval v) {
    switch (v.kind) {
    case V_BOOL:
    case V_INT:
        return v.i != 0;
    case V_STR:
        return v.n != 0;
    case V_LIST:
        return v.n != 0 || lazy(v);
    case V_DICT:
        return v.dict->n != 0;
    case V_CALL:
        return true;
    default:
        return false;
    }
}

ada_status ada_jval_text(ada_arena *a, const char *s, size_t n, jval *out) {
    char *p = ada_arena_str(a, s, n);
    *out = slice_of(p, n);
    return p ? ADA_OK : ADA_ENOMEM;
}

ada_status ada_jval_print(jval v, ada_buf *out) {
    switch (v.kind) {
    case V_UNDEFINED:
        return ADA_OK;
    case V_NONE:
        return ada_buf_puts(out, "None");
    case V_BOOL:
        return ada_buf_puts(out, v.i ? "True" : "False");
    case V_INT:
        return ada_buf_printf(out, "%" PRId64, v.i);
    case V_STR:
        return ada_buf_add(out, v.s, v.n);
    default:
        return ada_fail(ADA_EUNSUPPORTED, "chat template prints %s, which is not supported", type_name(v));
    }
}

static ada_status text_of(ada_arena *a, jval v, jval *out) {
    if (v.kind == V_STR) {
        *out = v;
        return ADA_OK;
    }
    ada_buf b = {0};
    ada_status st = ada_jval_print(v, &b);
    if (st == ADA_OK) st = ada_jval_text(a, b.data ? b.data : "", b.len, out);
    ada_buf_free(&b);
    return st;
}

ada_status ada_jval_put(ada_arena *a, jdict *d, const char *name, size_t n, jval v) {
    for (size_t i = 0; i < d->n; i++)
        if (d->pairs[i].n == n && memcmp(d->pairs[i].name, name, n) == 0) {
            d->pairs[i].v = v;
            return ADA_OK;
        }
    if (d->n == d->cap) {
        struct jpair *p;
        size_t cap = d->cap ? d->cap * 2 : 16;
        ADA_TRY(ada_arena_take(a, &p, cap, sizeof *p));
        if (d->n) memcpy(p, d->pairs, d->n * sizeof *p);
        d->pairs = p;
        d->cap = cap;
    }
    d->pairs[d->n++] = (struct jpair){name, n, v};
    return ADA_OK;
}

ada_status ada_jval_join(ada_arena *a, jval x, jval y, jval *out) {
    char *p;
    size_t n;
    if (!ada_add_size(x.n, y.n, &n)) return ada_fail(ADA_ENOMEM, "chat template's text is too long");
    ADA_TRY(ada_arena_take(a, &p, n, 1));
    if (x.n) memcpy(p, x.s, x.n);
    if (y.n) memcpy(p + x.n, y.s, y.n);
    *out = slice_of(p, n);
    return ADA_OK;
}

/* The characters of a string. */
static ada_status letters(ada_arena *a, jval v, jval *out) {
    size_t at = 0;
    *out = (jval){.kind = V_LIST};
    ADA_TRY(ada_arena_take(a, &out->list, v.n, sizeof *out->list));
    for (size_t from = 0; from < v.n; from = at) {
        (void)ada_utf8_next(v.s, v.n, &at);
        out->list[out->n++] = slice_of(v.s + from, at - from);
    }
    return ADA_OK;
}

/* The i-th character, from the end if below 0; none such: *out stays. */
static void letter_at(jval v, int64_t i, jval *out) {
    size_t from = 0, at = 0, end = v.n;
    if (i < 0) {
        while (++i < 0 && end > 0) end = ada_utf8_last(v.s, end);
        from = ada_utf8_last(v.s, end), at = end;
    } else {
        for (; i >= 0 && at < end; i--) {
            from = at;
            (void)ada_utf8_next(v.s, end, &at);
        }
        if (i >= 0) return;
    }
    if (at > from) *out = slice_of(v.s + from, at - from);
}

ada_status ada_jval_each(ada_arena *a, jval v, jval *out) {
    if (v.kind == V_STR) return letters(a, v, out);
    if (lazy(v)) {
        if (*v.spent)
            return ada_fail(ADA_EUNSUPPORTED, "chat template goes twice over what a filter selects");
        *v.spent = true;
        v.spent = NULL;
    }
    *out = (jval){.kind = V_LIST};
    if (v.kind == V_LIST) *out = v;
    if (v.kind == V_LIST || v.kind == V_UNDEFINED) return ADA_OK;
    if (v.kind != V_DICT)
        return ada_fail(ADA_EUNSUPPORTED, "chat template loops over %s, which is not a list", type_name(v));
    out->n = v.dict->n;
    ADA_TRY(ada_arena_take(a, &out->list, out->n, sizeof *out->list));
    for (size_t i = 0; i < out->n; i++) out->list[i] = slice_of(v.dict->pairs[i].name, v.dict->pairs[i].n);
    return ADA_OK;
}

ada_status ada_jval_item(ada_arena *a, jval v, jval key, jval *out) {
    if (lazy(v)) return ada_fail(ADA_EUNSUPPORTED, "chat template takes an item of %s", type_name(v));
    (void)a;
    *out = (jval){
        .kind = V_UNDEFINED, .s = key.kind == V_STR ? key.s : "item", .n = key.kind == V_STR ? key.n : 4};
    if (v.kind == V_UNDEFINED) return undefined(v);
    if (v.kind == V_DICT && key.kind == V_STR)
        for (size_t i = 0; i < v.dict->n; i++)
            if (v.dict->pairs[i].n == key.n && memcmp(v.dict->pairs[i].name, key.s, key.n) == 0)
                *out = v.dict->pairs[i].v;
    if (v.kind == V_LIST && key.kind == V_INT) {
        int64_t i = key.i < 0 ? key.i + (int64_t)v.n : key.i;
        if (i >= 0 && (size_t)i < v.n) *out = v.list[i];
    }
    if (v.kind == V_STR && key.kind == V_INT) letter_at(v, key.i, out);
    return ADA_OK;
}

ada_status ada_jval_slice(ada_arena *a, jval v, const jval part[3], jval *out) {
    if (v.kind == V_UNDEFINED) return undefined(v);
    if (v.kind != V_LIST || lazy(v))
        return ada_fail(ADA_EUNSUPPORTED, "chat template cuts %s, which is not supported", type_name(v));
    int64_t n = (int64_t)v.n, step = part[2].kind == V_INT ? part[2].i : 1;
    if (step != 1 && step != -1)
        return ada_fail(ADA_EUNSUPPORTED, "chat template cuts a list by steps of %" PRId64, step);
    int64_t low = step > 0 ? 0 : -1, high = step > 0 ? n : n - 1,
            bound[2] = {step > 0 ? low : high, step > 0 ? high : low};
    for (int i = 0; i < 2; i++)
        if (part[i].kind == V_INT) {
            int64_t k = part[i].i < 0 ? part[i].i + n : part[i].i;
            bound[i] = k < low ? low : k > high ? high : k;
        }
    int64_t count = (bound[1] - bound[0]) * step;
    *out = (jval){.kind = V_LIST, .n = count > 0 ? (size_t)count : 0};
    ADA_TRY(ada_arena_take(a, &out->list, out->n, sizeof *out->list));
    for (size_t i = 0; i < out->n; i++) out->list[i] = v.list[bound[0] + (int64_t)i * step];
    return ADA_OK;
}

static bool equal(jval x, jval y) {
    bool nx = x.kind == V_INT || x.kind == V_BOOL, ny = y.kind == V_INT || y.kind == V_BOOL;
    if (nx && ny) return x.i == y.i;
    if (x.kind != y.kind) return false;
    if (x.kind == V_STR) return x.n == y.n && memcmp(x.s, y.s, x.n) == 0;
    if (x.kind == V_DICT) return x.dict == y.dict;
    if (x.kind != V_LIST) return true;
    if (lazy(x) || lazy(y)) return x.spent == y.spent;
    for (size_t i = 0; i < x.n && x.n == y.n; i++)
        if (!equal(x.list[i], y.list[i])) return false;
    return x.n == y.n;
}

static ada_status contains(ada_arena *a, jval x, jval in, jval *out) {
    *out = boolean(false);
    if (lazy(in)) ADA_TRY(ada_jval_each(a, in, &in));
    if (in.kind == V_STR && x.kind == V_STR) {
        *out = boolean(memmem(in.s, in.n, x.s, x.n) != NULL);
    } else if (in.kind == V_LIST) {
        for (size_t i = 0; i < in.n; i++) out->i |= equal(x, in.list[i]);
    } else if (in.kind == V_DICT && x.kind == V_STR) {
        for (size_t i = 0; i < in.dict->n; i++)
            out->i |= in.dict->pairs[i].n == x.n && memcmp(in.dict->pairs[i].name, x.s, x.n) == 0;
    } else if (in.kind != V_UNDEFINED) {
        return ada_fail(ADA_EUNSUPPORTED, "chat template looks for %s in %s", type_name(x), type_name(in));
    }
    return ADA_OK;
}

static ada_status arithmetic(jval x, const char *op, jval y, jval *out) {
    int64_t r = 0;
    bool good = true;
    switch (*op) {
    case '+':
        good = !__builtin_add_overflow(x.i, y.i, &r);
        break;
    case '-':
        good = !__builtin_sub_overflow(x.i, y.i, &r);
        break;
    case '*':
        good = !__builtin_mul_overflow(x.i, y.i, &r);
        break;
    default:
        good = y.i > 0 && (op[0] == '%' || op[1] == '/'); /* "/" gives a float, which is not there */
        if (!good) break;
        r = x.i % y.i;
        if (r < 0) r += y.i;
        if (*op == '/') r = (x.i - r) / y.i;
    }
    *out = (jval){.kind = V_INT, .i = r};
    return good ? ADA_OK : ada_fail(ADA_EUNSUPPORTED, "chat template's arithmetic '%s' is not supported", op);
}

ada_status ada_jval_binary(ada_arena *a, jval x, const char *op, jval y, jval *out) {
    if (strcmp(op, "==") == 0 || strcmp(op, "!=") == 0) {
        *out = boolean(equal(x, y) == (*op == '='));
        return ADA_OK;
    }
    if (strcmp(op, "in") == 0) return contains(a, x, y, out);
    if (*op == '~') {
        ADA_TRY(text_of(a, x, &x));
        ADA_TRY(text_of(a, y, &y));
        return ada_jval_join(a, x, y, out);
    }
    if (x.kind == V_UNDEFINED) return undefined(x);
    if (y.kind == V_UNDEFINED) return undefined(y);
    if (*op == '+' && x.kind == V_STR && y.kind == V_STR) return ada_jval_join(a, x, y, out);
    if (*op == '+' && x.kind == V_LIST && y.kind == V_LIST && !lazy(x) && !lazy(y)) {
        *out = (jval){.kind = V_LIST, .n = x.n + y.n};
        ADA_TRY(ada_arena_take(a, &out->list, out->n, sizeof *out->list));
        if (x.n) memcpy(out->list, x.list, x.n * sizeof *x.list);
        if (y.n) memcpy(out->list + x.n, y.list, y.n * sizeof *y.list);
        return ADA_OK;
    }
    bool numbers = (x.kind == V_INT || x.kind == V_BOOL) && (y.kind == V_INT || y.kind == V_BOOL);
    if (!numbers)
        return ada_fail(ADA_EUNSUPPORTED, "chat template has '%s' between %s and %s", op, type_name(x),
                        type_name(y));
    if (*op != '<' && *op != '>') return arithmetic(x, op, y, out);
    bool less = x.i < y.i, same = x.i == y.i;
    *out = boolean((op[1] == '=' && same) || (*op == '<' ? less : !less && !same));
    return ADA_OK;
}

/* ---- strings ---- */
static bool strippable(uint32_t c, const jval *set) {
    if (!set) return ada_uni_space(c) || (c >= 0x1c && c <= 0x1f); /* Python's str.isspace */
    for (size_t i = 0; i < set->n;)
        if (ada_utf8_next(set->s, set->n, &i) == c) return true;
    return false;
}

static jval strip(jval v, bool left, bool right, const jval *set) {
    size_t b = 0, e = v.n, at = 0;
    while (left && at < e && strippable(ada_utf8_next(v.s, e, &at), set)) b = at;
    while (right && e > b) {
        size_t last = ada_utf8_last(v.s, e);
        at = last;
        if (!strippable(ada_utf8_next(v.s, e, &at), set)) break;
        e = last;
    }
    return slice_of(v.s + b, e - b);
}

static ada_status change_case(ada_arena *a, jval v, char how, jval *out) {
    char *p;
    bool start = true;
    ADA_TRY(ada_arena_take(a, &p, v.n, 1));
    for (size_t i = 0; i < v.n; i++) {
        char c = v.s[i];
        if ((unsigned char)c >= 0x80)
            return ada_fail(ADA_EUNSUPPORTED, "chat template changes the case of text that is not ASCII");
        bool upper = c >= 'A' && c <= 'Z', lower = c >= 'a' && c <= 'z';
        bool want = how == 'u' || (how != 'l' && start);
        p[i] = (char)(upper && !want ? c + 32 : lower && want ? c - 32 : c);
        start = how == 't' ? !(upper || lower) : false;
    }
    *out = slice_of(p, v.n);
    return ADA_OK;
}

static ada_status split(ada_arena *a, jval v, jval by, jval *out) {
    size_t n = 1, from = 0;
    for (const char *p = v.s, *q; (q = memmem(p, v.n - (size_t)(p - v.s), by.s, by.n)); p = q + by.n) n++;
    *out = (jval){.kind = V_LIST, .n = n};
    ADA_TRY(ada_arena_take(a, &out->list, n, sizeof *out->list));
    for (size_t i = 0; i < n; i++) {
        const char *q = i + 1 < n ? memmem(v.s + from, v.n - from, by.s, by.n) : v.s + v.n;
        out->list[i] = slice_of(v.s + from, (size_t)(q - v.s) - from);
        from = (size_t)(q - v.s) + by.n;
    }
    return ADA_OK;
}

static ada_status replace(ada_arena *a, jval v, jval old, jval new, jval *out) {
    jval parts;
    ADA_TRY(split(a, v, old, &parts));
    char *p;
    size_t n, at = 0;
    if (!ada_mul_size(parts.n - 1, new.n, &n) || !ada_add_size(n, v.n, &n))
        return ada_fail(ADA_ENOMEM, "chat template's text is too long");
    ADA_TRY(ada_arena_take(a, &p, n, 1));
    for (size_t i = 0; i < parts.n; i++) {
        if (i > 0 && new.n > 0) memcpy(p + at, new.s, new.n);
        at += i > 0 ? new.n : 0;
        if (parts.list[i].n > 0) memcpy(p + at, parts.list[i].s, parts.list[i].n);
        at += parts.list[i].n;
    }
    *out = slice_of(p, at);
    return ADA_OK;
}

static bool strings(const jval *args, size_t n, size_t want) {
    for (size_t i = 0; i < n; i++)
        if (args[i].kind != V_STR || args[i].n == 0) return false;
    return n == want;
}

ada_status ada_jval_method(ada_arena *a, jval v, const jtok *name, const jval *args, size_t n, jval *out) {
    if (v.kind == V_UNDEFINED) return undefined(v);
    if (v.kind == V_DICT && ada_jtok_is(name, "get") && n >= 1 && n <= 2 && args[0].kind == V_STR) {
        ADA_TRY(ada_jval_item(a, v, args[0], out));
        if (out->kind == V_UNDEFINED) *out = n == 2 ? args[1] : (jval){.kind = V_NONE};
        return ADA_OK;
    }
    if (v.kind != V_STR) return no("method", name, v);
    const jval *set = strings(args, n, 1) ? args : NULL;
    bool left = ada_jtok_is(name, "lstrip"), right = ada_jtok_is(name, "rstrip"),
         both = ada_jtok_is(name, "strip");
    if ((left || right || both) && (set || n == 0)) {
        *out = strip(v, left || both, right || both, set);
        return ADA_OK;
    }
    if (n == 0 && ada_jtok_is(name, "upper")) return change_case(a, v, 'u', out);
    if (n == 0 && ada_jtok_is(name, "lower")) return change_case(a, v, 'l', out);
    if (n == 0 && ada_jtok_is(name, "title")) return change_case(a, v, 't', out);
    if (n == 0 && ada_jtok_is(name, "capitalize")) return change_case(a, v, 'c', out);
    if (set && ada_jtok_is(name, "split")) return split(a, v, *set, out);
    if (n == 2 && args[0].kind == V_STR && args[0].n && args[1].kind == V_STR && ada_jtok_is(name, "replace"))
        return replace(a, v, args[0], args[1], out);
    if (set && ada_jtok_is(name, "startswith")) {
        *out = boolean(v.n >= set->n && memcmp(v.s, set->s, set->n) == 0);
        return ADA_OK;
    }
    if (set && ada_jtok_is(name, "endswith")) {
        *out = boolean(v.n >= set->n && memcmp(v.s + v.n - set->n, set->s, set->n) == 0);
        return ADA_OK;
    }
    return no("method", name, v);
}

/* ---- filters and tests ---- */

static ada_status attribute(ada_arena *a, jval item, jval name, jval *out) {
    if (name.kind != V_STR || memchr(name.s, '.', name.n))
        return ada_fail(ADA_EUNSUPPORTED, "chat template selects in a way that is not supported");
    return ada_jval_item(a, item, name, out);
}

/* selectattr(name), selectattr(name, test), selectattr(name, test, value): what jinja2 makes of them. */
static ada_status selected(ada_arena *a, jval item, const jargs *args, bool *yes) {
    jval v, truth;
    ADA_TRY(attribute(a, item, args->v[0], &v));
    *yes = ada_jval_true(v);
    if (args->n == 1) return ADA_OK;
    jtok how = {J_NAME, args->v[1].s, args->v[1].n};
    if (args->v[1].kind != V_STR)
        return ada_fail(ADA_EUNSUPPORTED, "chat template selects in a way that is not supported");
    if (args->n == 2) return ada_jval_test(v, &how, yes);
    bool same = ada_jtok_is(&how, "equalto") || ada_jtok_is(&how, "eq") || ada_jtok_is(&how, "==");
    bool other = ada_jtok_is(&how, "ne") || ada_jtok_is(&how, "!=");
    if (args->n != 3 || !(same || other || ada_jtok_is(&how, "in"))) return no("test", &how, v);
    ADA_TRY(ada_jval_binary(a, v, same ? "==" : other ? "!=" : "in", args->v[2], &truth));
    *yes = truth.i != 0;
    return ADA_OK;
}

static ada_status make_lazy(ada_arena *a, jval *v) {
    return ada_arena_zero(a, &v->spent, 1, sizeof *v->spent);
}

static ada_status select_by(ada_arena *a, jval v, bool reject, const jargs *args, jval *out) {
    jval list = {.kind = V_LIST};
    bool yes;
    ADA_TRY(ada_arena_take(a, &list.list, v.n, sizeof *list.list));
    for (size_t i = 0; i < v.n; i++) {
        ADA_TRY(selected(a, v.list[i], args, &yes));
        if (yes != reject) list.list[list.n++] = v.list[i];
    }
    *out = list;
    return make_lazy(a, out);
}

/* map(attribute=name), or map(filter, …). */
static ada_status map(ada_arena *a, jval v, const jargs *args, jval *out) {
    jval list = {.kind = V_LIST, .n = v.n};
    jargs rest = {.n = 0};
    jtok how = {J_NAME, args->v[0].s, args->v[0].n};
    bool attr = args->key[0] != NULL;
    if (attr ? args->n > 1 || !ada_jtok_is(args->key[0], "attribute") : args->v[0].kind != V_STR)
        return ada_fail(ADA_EUNSUPPORTED, "chat template maps in a way that is not supported");
    for (size_t i = 1; i < args->n; i++) rest.key[rest.n] = args->key[i], rest.v[rest.n++] = args->v[i];
    ADA_TRY(ada_arena_take(a, &list.list, v.n, sizeof *list.list));
    for (size_t i = 0; i < v.n; i++)
        ADA_TRY(attr ? attribute(a, v.list[i], args->v[0], &list.list[i])
                     : ada_jval_filter(a, v.list[i], &how, &rest, &list.list[i]));
    *out = list;
    return make_lazy(a, out);
}

static ada_status join(ada_arena *a, jval v, jval by, jval *out) {
    jval all = slice_of("", 0), item;
    for (size_t i = 0; i < v.n; i++) {
        ADA_TRY(text_of(a, v.list[i], &item));
        if (i) ADA_TRY(ada_jval_join(a, all, by, &all));
        ADA_TRY(ada_jval_join(a, all, item, &all));
    }
    *out = all;
    return ADA_OK;
}

/* Filters of what one can go over. */
static ada_status filter_each(ada_arena *a, jval v, const jtok *name, const jargs *args, jval *out) {
    size_t n = args->n;
    bool plain = true; /* its arguments have no names */
    for (size_t i = 0; i < n; i++) plain &= args->key[i] == NULL;
    bool list = n == 0 && ada_jtok_is(name, "list"), last = n == 0 && ada_jtok_is(name, "last") && !lazy(v),
         first = n == 0 && ada_jtok_is(name, "first"), mapped = n > 0 && ada_jtok_is(name, "map"),
         joined = plain && n <= 1 && ada_jtok_is(name, "join"), reject = ada_jtok_is(name, "rejectattr"),
         some = plain && n > 0 && (reject || ada_jtok_is(name, "selectattr"));
    if (!(list || last || first || mapped || joined || some)) return no("filter", name, v);
    ADA_TRY(ada_jval_each(a, v, &v));
    *out = v;
    if (list) return ADA_OK;
    if (mapped) return map(a, v, args, out);
    if (some) return select_by(a, v, reject, args, out);
    if (joined) return join(a, v, n && args->v[0].kind == V_STR ? args->v[0] : slice_of("", 0), out);
    return ada_jval_item(a, v, (jval){.kind = V_INT, .i = last ? -1 : 0}, out);
}

ada_status ada_jval_filter(ada_arena *a, jval v, const jtok *name, const jargs *args, jval *out) {
    size_t n = args->n;
    if (ada_jtok_is(name, "default") && n >= 1) {
        bool empty = n == 2 && ada_jval_true(args->v[1]) && !ada_jval_true(v);
        *out = v.kind == V_UNDEFINED || empty ? args->v[0] : v;
        return ADA_OK;
    }
    if (n == 0 && ada_jtok_is(name, "trim")) {
        ADA_TRY(text_of(a, v, &v));
        *out = strip(v, true, true, NULL);
        return ADA_OK;
    }
    if (n == 0 && ada_jtok_is(name, "string")) return text_of(a, v, out);
    if (v.kind == V_UNDEFINED) return undefined(v);
    if (n == 0 && v.kind == V_STR && ada_jtok_is(name, "upper")) return change_case(a, v, 'u', out);
    if (n == 0 && v.kind == V_STR && ada_jtok_is(name, "lower")) return change_case(a, v, 'l', out);
    if (n == 0 && v.kind == V_STR && ada_jtok_is(name, "capitalize")) return change_case(a, v, 'c', out);
    bool iterable = v.kind == V_STR || v.kind == V_LIST || v.kind == V_DICT;
    if (n == 0 && (ada_jtok_is(name, "length") || ada_jtok_is(name, "count")) && iterable && !lazy(v)) {
        size_t k = v.kind == V_DICT ? v.dict->n : v.kind == V_LIST ? v.n : 0;
        for (size_t i = 0; v.kind == V_STR && i < v.n; i++) k += ((unsigned char)v.s[i] & 0xc0) != 0x80;
        *out = (jval){.kind = V_INT, .i = (int64_t)k};
        return ADA_OK;
    }
    return iterable ? filter_each(a, v, name, args, out) : no("filter", name, v);
}

ada_status ada_jval_test(jval v, const jtok *name, bool *yes) {
    const struct {
        const char *name;
        bool yes;
    } all[] = {
        {"defined", v.kind != V_UNDEFINED},
        {"undefined", v.kind == V_UNDEFINED},
        {"none", v.kind == V_NONE},
        {"string", v.kind == V_STR},
        {"true", v.kind == V_BOOL && v.i},
        {"false", v.kind == V_BOOL && !v.i},
        {"boolean", v.kind == V_BOOL},
        {"integer", v.kind == V_INT},
        {"number", v.kind == V_INT || v.kind == V_BOOL},
        {"mapping", v.kind == V_DICT},
        {"iterable", v.kind == V_STR || v.kind == V_LIST || v.kind == V_DICT || v.kind == V_UNDEFINED},
        {"sequence",
         v.kind == V_STR || (v.kind == V_LIST && !v.spent) || v.kind == V_DICT || v.kind == V_UNDEFINED},
        {"odd", v.kind == V_INT && v.i % 2 != 0},
        {"even", v.kind == V_INT && v.i % 2 == 0},
        {"callable", v.kind == V_CALL},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (ada_jtok_is(name, all[i].name)) {
            *yes = all[i].yes;
            return ADA_OK;
        }
    return no("test", name, v);
}
