/* SPDX-License-Identifier: Apache-2.0
 * A template is cut into tokens once; a run walks over them with a recursive descent that evaluates as it
 * parses. Owns: the grammar of statements and expressions. Must not know: what filters do (jinja_value.c). A
 * branch not taken is parsed with `live` off, in which case nothing is looked up, called or put out.
 * Invariant: each call moves forward in the tokens or fails; loops run over lists that exist beforehand. */
#include "io/jinja_part.h"
#include "io/os.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DEPTH = 64, STEPS = 20000000, MEMORY = 256 << 20 };
enum { FLOW_NONE, FLOW_BREAK, FLOW_CONTINUE };

struct run {
    const ada_jinja *j;
    size_t at;
    ada_arena *arena;
    ada_buf *out;
    struct var {
        const char *name;
        size_t n;
        jval v;
    } * vars;
    size_t nvars, capvars, base; /* base: where the innermost loop's own begin */
    bool live, raised;
    int flow, depth;
    size_t steps;
};

static ada_status expression(run *r, jval *v);

/* ---- tokens ---- */
static const jtok *peek(const run *r) {
    return &r->j->tok[r->at];
}
static bool is(const run *r, const char *text) {
    const jtok *t = peek(r);
    return (t->kind == J_OP || t->kind == J_NAME) && t->n == strlen(text) && memcmp(t->s, text, t->n) == 0;
}

static bool accept(run *r, const char *text) {
    if (!is(r, text)) return false;
    r->at++;
    return true;
}

static ada_status bad(const run *r, const char *wanted) {
    const jtok *t = peek(r);
    if (t->kind == J_STOP)
        return ada_fail(ADA_EUNSUPPORTED, "chat template ends where '%s' is wanted", wanted);
    return ada_fail(ADA_EUNSUPPORTED, "chat template has '%.*s' where '%s' is wanted",
                    (int)(t->n < 60 ? t->n : 60), t->s, wanted);
}

static ada_status expect(run *r, const char *text) {
    return accept(r, text) ? ADA_OK : bad(r, text);
}
static bool live(const run *r) {
    return r->live && r->flow == FLOW_NONE;
}

/* A step; what it may take at once is bounded by the arena's own limit. */
static ada_status one_more(run *r) {
    if (++r->steps > STEPS || r->arena->used > MEMORY || (r->out && r->out->len > MEMORY))
        return ada_fail(ADA_EUNSUPPORTED, "chat template does not come to an end");
    return ADA_OK;
}

static ada_status deeper(run *r) {
    if (++r->depth > DEPTH) return ada_fail(ADA_EUNSUPPORTED, "chat template nests too deep");
    return one_more(r);
}

/* ---- variables ---- */
static ada_status set_var(run *r, const char *name, size_t n, jval v) {
    for (size_t i = r->base; i < r->nvars; i++)
        if (r->vars[i].n == n && memcmp(r->vars[i].name, name, n) == 0) {
            r->vars[i].v = v;
            return ADA_OK;
        }
    if (r->nvars == r->capvars) {
        struct var *p;
        size_t cap = r->capvars ? r->capvars * 2 : 32;
        ADA_TRY(ada_arena_take(r->arena, &p, cap, sizeof *p));
        if (r->nvars) memcpy(p, r->vars, r->nvars * sizeof *p);
        r->vars = p;
        r->capvars = cap;
    }
    r->vars[r->nvars++] = (struct var){name, n, v};
    return ADA_OK;
}

static ada_status get_var(const run *r, const jtok *t, jval *v) {
    static const char *const calls[] = {"raise_exception", "namespace", "range", "strftime_now"};
    *v = (jval){.kind = V_UNDEFINED, .s = t->s, .n = t->n};
    for (size_t i = r->nvars; i-- > 0;)
        if (r->vars[i].n == t->n && memcmp(r->vars[i].name, t->s, t->n) == 0) {
            *v = r->vars[i].v;
            return ADA_OK;
        }
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (ada_jtok_is(t, calls[i])) v->kind = V_CALL;
    /* transformers would know the model's other special tokens */
    if (t->n > 6 && memcmp(t->s + t->n - 6, "_token", 6) == 0 && !ada_jtok_is(t, "bos_token") &&
        !ada_jtok_is(t, "eos_token"))
        return ada_fail(ADA_EUNSUPPORTED, "chat template uses '%.*s', which is not supported", (int)t->n,
                        t->s);
    return ADA_OK;
}

/* ---- calls ---- */
static ada_status arguments(run *r, jargs *a) {
    a->n = 0;
    while (!accept(r, ")")) {
        if (a->n && !accept(r, ",")) return bad(r, ",");
        if (accept(r, ")")) break;
        if (a->n == ADA_JINJA_ARGS) return bad(r, ")");
        const jtok *name = peek(r);
        bool keyed = name->kind == J_NAME && name[1].kind == J_OP && ada_jtok_is(name + 1, "=");
        if (keyed) r->at += 2;
        a->key[a->n] = keyed ? name : NULL;
        ADA_TRY(expression(r, &a->v[a->n]));
        a->n++;
    }
    return ADA_OK;
}

static ada_status call(run *r, jval f, const jargs *a, jval *v) {
    if (f.kind != V_CALL)
        return ada_fail(ADA_EUNSUPPORTED, "chat template calls '%.*s', which is not supported",
                        (int)(f.s ? f.n : 0), f.s ? f.s : "");
    jtok name = {J_NAME, f.s, f.n};
    if (ada_jtok_is(&name, "raise_exception") && a->n == 1 && a->v[0].kind == V_STR) {
        r->raised = true;
        return ada_fail(ADA_EUNSUPPORTED, "chat template refuses these messages: %.*s",
                        (int)(a->v[0].n < 300 ? a->v[0].n : 300), a->v[0].s);
    }
    if (ada_jtok_is(&name, "strftime_now") && a->n == 1 && a->v[0].kind == V_STR && a->v[0].n < 60) {
        char format[64], text[256];
        struct tm tm;
        time_t now = time(NULL);
        memcpy(format, a->v[0].s, a->v[0].n);
        format[a->v[0].n] = 0;
        localtime_r(&now, &tm);
        return ada_jval_text(r->arena, text, strftime(text, sizeof text, format, &tm), v);
    }
    if (ada_jtok_is(&name, "namespace")) {
        *v = (jval){.kind = V_DICT};
        ADA_TRY(ada_arena_zero(r->arena, &v->dict, 1, sizeof *v->dict));
        for (size_t i = 0; i < a->n; i++) {
            if (!a->key[i])
                return ada_fail(ADA_EUNSUPPORTED, "chat template makes a namespace of what has no name");
            ADA_TRY(ada_jval_put(r->arena, v->dict, a->key[i]->s, a->key[i]->n, a->v[i]));
        }
        return ADA_OK;
    }
    if (ada_jtok_is(&name, "range") && (a->n == 1 || a->n == 2) && a->v[0].kind == V_INT &&
        a->v[a->n - 1].kind == V_INT) {
        int64_t from = a->n == 2 ? a->v[0].i : 0, to = a->v[a->n - 1].i;
        *v = (jval){.kind = V_LIST, .n = to > from ? (size_t)(to - from) : 0};
        if (v->n > 100000) return ada_fail(ADA_EUNSUPPORTED, "chat template counts to %lld", (long long)to);
        ADA_TRY(ada_arena_take(r->arena, &v->list, v->n, sizeof *v->list));
        for (size_t i = 0; i < v->n; i++) v->list[i] = (jval){.kind = V_INT, .i = from + (int64_t)i};
        return ADA_OK;
    }
    return ada_fail(ADA_EUNSUPPORTED, "chat template calls '%.*s' in a way that is not supported", (int)f.n,
                    f.s);
}

/* ---- expressions ---- */
static ada_status list_literal(run *r, const char *end, jval *v) {
    jval items[32];
    size_t n = 0;
    while (!accept(r, end)) {
        if (n == 32 || (n && !accept(r, ","))) return bad(r, end);
        if (n && accept(r, end)) break;
        ADA_TRY(expression(r, &items[n++]));
    }
    *v = (jval){.kind = V_LIST, .n = n};
    ADA_TRY(ada_arena_take(r->arena, &v->list, n, sizeof *v->list));
    if (n) memcpy(v->list, items, n * sizeof *items);
    return ADA_OK;
}

static ada_status dict_literal(run *r, jval *v) {
    *v = (jval){.kind = V_DICT};
    ADA_TRY(ada_arena_zero(r->arena, &v->dict, 1, sizeof *v->dict));
    for (size_t n = 0; !accept(r, "}"); n++) {
        jval key, value;
        if (n) ADA_TRY(expect(r, ","));
        ADA_TRY(expression(r, &key));
        ADA_TRY(expect(r, ":"));
        ADA_TRY(expression(r, &value));
        if (live(r) && key.kind != V_STR)
            return ada_fail(ADA_EUNSUPPORTED, "chat template has a key that is not a string");
        if (live(r)) ADA_TRY(ada_jval_put(r->arena, v->dict, key.s, key.n, value));
    }
    return ADA_OK;
}

static ada_status primary(run *r, jval *v) {
    const jtok *t = peek(r);
    *v = (jval){.kind = V_UNDEFINED};
    if (t->kind == J_STR) {
        *v = (jval){.kind = V_STR, .s = t->s, .n = t->n};
        r->at++;
        while (peek(r)->kind == J_STR) { /* neighbours are one string */
            ADA_TRY(ada_jval_join(r->arena, *v, (jval){.kind = V_STR, .s = peek(r)->s, .n = peek(r)->n}, v));
            r->at++;
        }
        return ADA_OK;
    }
    if (t->kind == J_INT) {
        *v = (jval){.kind = V_INT, .i = strtoll(t->s, NULL, 10)};
        r->at++;
        return ADA_OK;
    }
    if (t->kind == J_NAME) {
        r->at++;
        if (ada_jtok_is(t, "true") || ada_jtok_is(t, "True") || ada_jtok_is(t, "false") ||
            ada_jtok_is(t, "False"))
            *v = (jval){.kind = V_BOOL, .i = (t->s[0] | 32) == 't'};
        else if (ada_jtok_is(t, "none") || ada_jtok_is(t, "None"))
            v->kind = V_NONE;
        else if (r->live)
            return get_var(r, t, v);
        return ADA_OK;
    }
    if (accept(r, "[")) return list_literal(r, "]", v);
    if (accept(r, "{")) return dict_literal(r, v);
    if (accept(r, "(")) {
        ADA_TRY(expression(r, v));
        return expect(r, ")");
    }
    return bad(r, "a value");
}

static ada_status subscript(run *r, jval *v) {
    jval part[3] = {{.kind = V_NONE}, {.kind = V_NONE}, {.kind = V_NONE}};
    size_t k = 0;
    bool slice = false;
    while (!accept(r, "]")) {
        if (accept(r, ":")) {
            slice = true;
            if (++k == 3) return bad(r, "]");
            continue;
        }
        ADA_TRY(expression(r, &part[k]));
    }
    if (!live(r)) return ADA_OK;
    return slice ? ada_jval_slice(r->arena, *v, part, v) : ada_jval_item(r->arena, *v, part[0], v);
}

static ada_status postfix(run *r, jval *v) {
    for (;;) {
        if (accept(r, "[")) {
            ADA_TRY(subscript(r, v));
        } else if (accept(r, ".")) {
            const jtok *name = peek(r);
            if (name->kind != J_NAME) return bad(r, "a name");
            r->at++;
            if (is(r, "(")) {
                jargs a;
                r->at++;
                ADA_TRY(arguments(r, &a));
                if (live(r)) ADA_TRY(ada_jval_method(r->arena, *v, name, a.v, a.n, v));
            } else if (live(r)) {
                ADA_TRY(ada_jval_item(r->arena, *v, (jval){.kind = V_STR, .s = name->s, .n = name->n}, v));
            }
        } else if (accept(r, "(")) {
            jargs a;
            ADA_TRY(arguments(r, &a));
            if (live(r)) ADA_TRY(call(r, *v, &a, v));
        } else {
            return ADA_OK;
        }
    }
}

static ada_status filters(run *r, jval *v) {
    for (;;) {
        if (accept(r, "|")) {
            const jtok *name = peek(r);
            jargs a = {.n = 0};
            if (name->kind != J_NAME) return bad(r, "a filter");
            r->at++;
            if (accept(r, "(")) ADA_TRY(arguments(r, &a));
            if (live(r)) ADA_TRY(ada_jval_filter(r->arena, *v, name, &a, v));
        } else if (accept(r, "is")) {
            bool not = accept(r, "not");
            const jtok *name = peek(r);
            bool yes = false;
            if (name->kind != J_NAME) return bad(r, "a test");
            r->at++;
            if (live(r)) ADA_TRY(ada_jval_test(*v, name, &yes));
            *v = (jval){.kind = V_BOOL, .i = yes != not };
        } else {
            return ADA_OK;
        }
    }
}

static ada_status unary(run *r, jval *v) {
    if (accept(r, "-")) {
        ADA_TRY(deeper(r));
        ADA_TRY(unary(r, v));
        r->depth--;
        if (live(r) && v->kind != V_INT)
            return ada_fail(ADA_EUNSUPPORTED, "chat template negates what is not a number");
        v->i = -v->i;
        return ADA_OK;
    }
    ADA_TRY(primary(r, v));
    ADA_TRY(postfix(r, v));
    return filters(r, v);
}

/* Binary operators by level, the loosest first; "or", "and" and "not" stand above. */
static const char *const levels[][8] = {
    {"==", "!=", "<=", ">=", "<", ">", "in", "not"},
    {"+", "-"},
    {"~"},
    {"*", "//", "/", "%"},
};

static ada_status binary(run *r, size_t level, jval *v) {
    if (level == sizeof levels / sizeof *levels) return unary(r, v);
    ADA_TRY(binary(r, level + 1, v));
    for (;;) {
        const char *op = NULL;
        for (size_t i = 0; i < 8 && levels[level][i] && !op; i++)
            if (is(r, levels[level][i])) op = levels[level][i];
        if (!op) return ADA_OK;
        r->at++;
        bool not = op[0] == 'n';
        if (not ) {
            op = "in";
            ADA_TRY(expect(r, "in"));
        }
        jval b;
        ADA_TRY(binary(r, level + 1, &b));
        if (!live(r)) continue;
        ADA_TRY(ada_jval_binary(r->arena, *v, op, b, v));
        if (not ) v->i = !v->i;
    }
}

static ada_status negation(run *r, jval *v) {
    if (!accept(r, "not")) return binary(r, 0, v);
    ADA_TRY(deeper(r));
    ADA_TRY(negation(r, v));
    r->depth--;
    *v = (jval){.kind = V_BOOL, .i = !ada_jval_true(*v)};
    return ADA_OK;
}

/* The right side is evaluated only where it decides, and a value, not a truth, is the result: as in Python.
 */
static ada_status logical(run *r, bool or, jval *v) {
    ADA_TRY(or ? logical(r, false, v) : negation(r, v));
    while (accept(r, or ? "or" : "and")) {
        bool was = r->live, decided = ada_jval_true(*v) == or ;
        jval b;
        r->live = was && !decided;
        ADA_TRY(or ? logical(r, false, &b) : negation(r, &b));
        r->live = was;
        if (!decided) *v = b;
    }
    return ADA_OK;
}

/* "a if c else b" is seen only behind a, which must not be evaluated before c: so a is parsed first, then
 * run. */
static ada_status expression(run *r, jval *v) {
    ADA_TRY(deeper(r));
    size_t start = r->at, after;
    bool was = r->live;
    jval c = {.kind = V_BOOL, .i = 1};
    *v = (jval){.kind = V_UNDEFINED};
    r->live = false;
    ADA_TRY(logical(r, true, v));
    bool chosen = accept(r, "if");
    r->live = was;
    if (chosen) ADA_TRY(logical(r, true, &c));
    after = r->at;
    bool yes = was && ada_jval_true(c);
    if (yes) {
        r->at = start;
        ADA_TRY(logical(r, true, v));
        if (chosen) r->at = after;
    }
    if (chosen && accept(r, "else")) {
        jval b;
        r->live = was && !yes;
        ADA_TRY(expression(r, yes ? &b : v));
        r->live = was;
    }
    r->depth--;
    return ADA_OK;
}

/* ---- statements ---- */
static ada_status block(run *r, const char *const *ends);

static ada_status end_of(run *r) {
    if (peek(r)->kind != J_END) return bad(r, "the end of a tag");
    r->at++;
    return ADA_OK;
}

static ada_status do_if(run *r) {
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    bool was = r->live, taken = false, plain = false;
    for (;;) {
        jval c = {.kind = V_BOOL, .i = 1};
        r->live = was && !taken;
        if (!plain) ADA_TRY(expression(r, &c));
        ADA_TRY(end_of(r));
        bool yes = ada_jval_true(c);
        r->live = was && !taken && yes;
        taken |= yes;
        ADA_TRY(block(r, ends));
        r->live = was;
        if (accept(r, "endif")) return end_of(r);
        plain = accept(r, "else");
        if (!plain) ADA_TRY(expect(r, "elif"));
    }
}

static ada_status loop_vars(run *r, const jtok *name, const jtok *second, const jval *list, size_t i,
                            size_t n) {
    jval loop = {.kind = V_DICT};
    ADA_TRY(ada_arena_zero(r->arena, &loop.dict, 1, sizeof *loop.dict));
    const struct {
        const char *name;
        jval v;
    } all[] = {
        {"index0", {.kind = V_INT, .i = (int64_t)i}},
        {"index", {.kind = V_INT, .i = (int64_t)i + 1}},
        {"revindex0", {.kind = V_INT, .i = (int64_t)(n - i) - 1}},
        {"revindex", {.kind = V_INT, .i = (int64_t)(n - i)}},
        {"length", {.kind = V_INT, .i = (int64_t)n}},
        {"first", {.kind = V_BOOL, .i = i == 0}},
        {"last", {.kind = V_BOOL, .i = i + 1 == n}},
        {"previtem", i ? list[i - 1] : (jval){.kind = V_UNDEFINED}},
        {"nextitem", i + 1 < n ? list[i + 1] : (jval){.kind = V_UNDEFINED}},
    };
    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        ADA_TRY(ada_jval_put(r->arena, loop.dict, all[k].name, strlen(all[k].name), all[k].v));
    ADA_TRY(set_var(r, "loop", 4, loop));
    if (!second) return set_var(r, name->s, name->n, list[i]);
    if (list[i].kind != V_LIST || list[i].n != 2)
        return ada_fail(ADA_EUNSUPPORTED, "chat template unpacks what is not a pair");
    ADA_TRY(set_var(r, name->s, name->n, list[i].list[0]));
    return set_var(r, second->s, second->n, list[i].list[1]);
}

static ada_status do_for(run *r) {
    static const char *const ends[] = {"endfor", NULL};
    const jtok *name = peek(r), *second = NULL;
    if (name->kind != J_NAME) return bad(r, "a name");
    r->at++;
    if (accept(r, ",")) second = &r->j->tok[r->at++];
    ADA_TRY(expect(r, "in"));
    jval all, *kept = NULL;
    ADA_TRY(logical(r, true, &all));
    size_t n = 0, cond = 0, base = r->base, nvars = r->nvars;
    bool was = r->live;
    if (live(r)) ADA_TRY(ada_jval_each(r->arena, all, &all));
    size_t count = live(r) ? all.n : 0;
    if (accept(r, "if")) cond = r->at;
    ADA_TRY(ada_arena_take(r->arena, &kept, count, sizeof *kept));
    r->base = r->nvars;
    if (cond) {
        jval c;
        for (size_t i = 0; i < count; i++) {
            r->at = cond;
            ADA_TRY(loop_vars(r, name, second, all.list, i, count));
            ADA_TRY(expression(r, &c));
            if (ada_jval_true(c)) kept[n++] = all.list[i];
        }
        if (!count) {
            r->live = false;
            ADA_TRY(expression(r, &c));
            r->live = was;
        }
    } else if (count) {
        memcpy(kept, all.list, count * sizeof *kept);
        n = count;
    }
    ADA_TRY(end_of(r));
    size_t body = r->at;
    for (size_t i = 0; i < n && r->flow != FLOW_BREAK; i++) {
        r->flow = FLOW_NONE;
        r->at = body;
        r->nvars = nvars;
        ADA_TRY(loop_vars(r, name, second, kept, i, n));
        ADA_TRY(block(r, ends));
    }
    if (n == 0) {
        r->live = false;
        ADA_TRY(block(r, ends));
        r->live = was;
    } else {
        r->flow = FLOW_NONE;
    }
    r->base = base;
    r->nvars = nvars;
    ADA_TRY(expect(r, "endfor"));
    return end_of(r);
}

static ada_status do_set(run *r) {
    const jtok *name = peek(r), *field = NULL;
    if (name->kind != J_NAME) return bad(r, "a name");
    r->at++;
    if (accept(r, ".")) field = &r->j->tok[r->at++];
    ADA_TRY(expect(r, "="));
    jval v, space;
    ADA_TRY(expression(r, &v));
    if (live(r) && !field) ADA_TRY(set_var(r, name->s, name->n, v));
    if (live(r) && field) {
        ADA_TRY(get_var(r, name, &space));
        if (space.kind != V_DICT)
            return ada_fail(ADA_EUNSUPPORTED, "chat template sets a field of '%.*s'", (int)name->n, name->s);
        ADA_TRY(ada_jval_put(r->arena, space.dict, field->s, field->n, v));
    }
    return end_of(r);
}

/* Macros serve tools, which are not there; a call of one is refused. */
static ada_status skip_macro(run *r) {
    while (peek(r)->kind != J_STOP) {
        bool tag = peek(r)->kind == J_STMT;
        r->at++;
        if (tag && accept(r, "endmacro")) return end_of(r);
    }
    return bad(r, "endmacro");
}

static ada_status statement(run *r) {
    if (accept(r, "if")) return do_if(r);
    if (accept(r, "for")) return do_for(r);
    if (accept(r, "set")) return do_set(r);
    if (accept(r, "macro")) return skip_macro(r);
    if (accept(r, "generation") || accept(r, "endgeneration"))
        return end_of(r); /* marks, for transformers' own mask */
    bool stop = is(r, "break");
    if (!stop && !is(r, "continue")) return bad(r, "a statement that is supported");
    r->at++;
    if (live(r)) r->flow = stop ? FLOW_BREAK : FLOW_CONTINUE;
    return end_of(r);
}

/* Until one of `ends`, which is left to the caller, its tag opened. */
static ada_status block(run *r, const char *const *ends) {
    ADA_TRY(deeper(r));
    for (;;) {
        const jtok *t = peek(r);
        if (t->kind == J_STOP) {
            if (ends) return bad(r, *ends);
            break;
        }
        r->at++;
        ADA_TRY(one_more(r));
        if (t->kind == J_TEXT) {
            if (live(r)) ADA_TRY(ada_buf_add(r->out, t->s, t->n));
        } else if (t->kind == J_EXPR) {
            jval v;
            ADA_TRY(expression(r, &v));
            if (live(r)) ADA_TRY(ada_jval_print(v, r->out));
            ADA_TRY(end_of(r));
        } else {
            for (size_t i = 0; ends && ends[i]; i++)
                if (is(r, ends[i])) {
                    r->depth--;
                    return ADA_OK;
                }
            ADA_TRY(statement(r));
        }
    }
    r->depth--;
    return ADA_OK;
}

/* ---- open, run ---- */
ada_status ada_jinja_open(ada_jinja **j, const char *source) {
    *j = ada_os.alloc(sizeof **j);
    if (!*j) return ada_fail(ADA_ENOMEM, "no memory for a chat template");
    **j = (ada_jinja){0};
    ada_arena arena = {0};
    run r = {.j = *j, .arena = &arena};
    ada_status st = ada_jinja_lex(*j, source);
    if (st == ADA_OK) st = block(&r, NULL);
    ada_arena_free(&arena);
    return st;
}

void ada_jinja_close(ada_jinja **j) {
    if (!*j) return;
    ada_arena_free(&(*j)->arena);
    ada_os.release((*j)->tok);
    ada_os.release(*j);
    *j = NULL;
}

static ada_status named_text(run *r, const char *name, const char *s) {
    return s ? set_var(r, name, strlen(name), (jval){.kind = V_STR, .s = s, .n = strlen(s)}) : ADA_OK;
}

static ada_status run_all(run *r, const ada_jinja_input *in) {
    jval list;
    ADA_TRY(ada_jval_messages(r->arena, in->messages, in->n, &list));
    ADA_TRY(set_var(r, "messages", 8, list));
    ADA_TRY(set_var(r, "tools", 5, (jval){.kind = V_NONE}));
    ADA_TRY(set_var(r, "documents", 9, (jval){.kind = V_NONE}));
    ADA_TRY(set_var(r, "add_generation_prompt", 21, (jval){.kind = V_BOOL, .i = in->generate}));
    ADA_TRY(named_text(r, "bos_token", in->bos));
    ADA_TRY(named_text(r, "eos_token", in->eos));
    return block(r, NULL);
}

ada_status ada_jinja_run(const ada_jinja *j, const ada_jinja_input *in, ada_buf *out, bool *raised) {
    ada_arena arena = {.limit = 2 * (size_t)MEMORY};
    run r = {.j = j, .arena = &arena, .out = out, .live = true};
    ada_status st = run_all(&r, in);
    if (st == ADA_ENOMEM) ada_note("while rendering a chat template");
    if (raised) *raised = r.raised;
    ada_arena_free(&arena);
    return st;
}
