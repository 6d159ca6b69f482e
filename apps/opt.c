/* SPDX-License-Identifier: Apache-2.0
 * Reading option tables. Owns: the grammar of the command line (--name value, --name=value, -x value,
 * -xvalue, -qv, --no-name for switches, -- ends options) and of run files. Must not know: commands.
 * Invariant: one function, set_text, writes fields, whoever the text came from. */
#include "apps/opt.h"
#include "io/yaml.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Edit distance with transpositions, of words up to 31 bytes; more is far. */
static int distance(const char *a, const char *b) {
    enum { N = 32 };
    size_t na = strlen(a), nb = strlen(b);
    if (na >= N || nb >= N) return N;
    int d[N][N];
    for (size_t i = 0; i <= na; i++) d[i][0] = (int)i;
    for (size_t j = 0; j <= nb; j++) d[0][j] = (int)j;
    for (size_t i = 1; i <= na; i++) {
        for (size_t j = 1; j <= nb; j++) {
            int best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (d[i - 1][j] + 1 < best) best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best) best = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < best)
                best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    }
    return d[na][nb];
}

const char *ada_word_near(const char *word, const char *const *list) {
    const char *near = NULL;
    int limit = (int)strlen(word) / 3 + 1, best = limit + 1;
    for (; *list; list++) {
        int d = distance(word, *list);
        /* A beginning is what a shortened option looks like. */
        if (strlen(word) >= 3 && strncmp(*list, word, strlen(word)) == 0) d = 1;
        if (d < best) {
            best = d;
            near = *list;
        }
    }
    return near;
}

const struct ada_command *ada_command_find(const char *name) {
    for (const struct ada_command *const *c = ada_commands; *c; c++) {
        if (strcmp((*c)->name, name) == 0) return *c;
    }
    return NULL;
}

static bool is_option(const struct ada_opt *o) {
    return o->kind != ADA_OPT_HEADING && o->kind != ADA_OPT_END;
}

static const struct ada_opt *find(const struct ada_args *a, const char *name, size_t n) {
    for (const struct ada_opt *o = a->command->opts; o->kind != ADA_OPT_END; o++) {
        if (is_option(o) && strlen(o->name) == n && memcmp(o->name, name, n) == 0) return o;
    }
    return NULL;
}

static const char *near_option(const struct ada_args *a, const char *name, bool keys) {
    const char *names[ADA_OPT_MAX + 1];
    size_t n = 0;
    for (const struct ada_opt *o = a->command->opts; o->kind != ADA_OPT_END && n < ADA_OPT_MAX; o++) {
        if (is_option(o) && !(keys && o->local)) names[n++] = o->name;
    }
    names[n] = NULL;
    return ada_word_near(name, names);
}

/* How the place of a value is named in errors: "--rank" or "'run.yaml': rank". */
typedef struct source {
    const char *file; /* NULL: the command line */
    ada_opt_by by;
} source;

static ada_status refuse(const struct ada_opt *o, source s, const char *text, const char *want) {
    if (s.file) return ada_fail(ADA_EINVAL, "'%s': %s: '%s' is not %s", s.file, o->name, text, want);
    return ada_fail(ADA_EINVAL, "--%s: '%s' is not %s", o->name, text, want);
}

static bool allowed(const char *words, const char *text) {
    size_t n = strlen(text);
    while (*words) {
        size_t k = strcspn(words, "|");
        if (k == n && memcmp(words, text, n) == 0) return true;
        words += k + (words[k] == '|');
    }
    return false;
}

static ada_status refuse_word(const struct ada_opt *o, source s, const char *text) {
    char want[256];
    int n = snprintf(want, sizeof want, "one of ");
    for (const char *p = o->words + (o->words[0] == '|'); *p && n + 3 < (int)sizeof want; p++)
        n += snprintf(want + n, sizeof want - (size_t)n, *p == '|' ? ", " : "%c", *p);
    return refuse(o, s, text, want);
}

static ada_status set_number(const struct ada_opt *o, source s, const char *text, void *field) {
    bool real = o->kind == ADA_OPT_REAL;
    char want[96];
    if (isinf(o->hi)) {
        snprintf(want, sizeof want, "%s of at least %.16g", real ? "a number" : "an integer", o->lo);
    } else {
        snprintf(want, sizeof want, "%s in %.16g..%.16g", real ? "a number" : "an integer", o->lo, o->hi);
    }
    char *end = NULL;
    errno = 0;
    double v = real ? strtod(text, &end) : (double)strtoll(text, &end, 10);
    if (end == text || *end || errno == ERANGE || !isfinite(v) || v < o->lo || v > o->hi)
        return refuse(o, s, text, want);
    switch (o->kind) {
    case ADA_OPT_INT:
        *(int *)field = (int)v;
        break;
    case ADA_OPT_I64:
        *(int64_t *)field = strtoll(text, NULL, 10);
        break;
    case ADA_OPT_U64:
        *(uint64_t *)field = strtoull(text, NULL, 10);
        break;
    default:
        *(double *)field = v;
        break;
    }
    return ADA_OK;
}

static ada_status set_text(struct ada_args *a, const struct ada_opt *o, source s, const char *text) {
    void *field = (char *)a->values + o->offset;
    switch (o->kind) {
    case ADA_OPT_BOOL:
        if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
            return refuse(o, s, text, "true or false");
        *(bool *)field = text[0] == 't';
        break;
    case ADA_OPT_STR:
        if (o->words && !allowed(o->words, text)) return refuse_word(o, s, text);
        if (o->need && !*text) return refuse(o, s, text, "a name");
        if (!(*(const char **)field = ada_arena_str(&a->memory, text, strlen(text)))) return ADA_ENOMEM;
        break;
    case ADA_OPT_LIST: {
        const char **old = *(const char ***)field, **grown = NULL;
        size_t n = 0;
        while (old && old[n]) n++;
        ADA_TRY(ada_arena_take(&a->memory, &grown, n + 2, sizeof *grown));
        if (n) memcpy(grown, old, n * sizeof *grown);
        if (!(grown[n] = ada_arena_str(&a->memory, text, strlen(text)))) return ADA_ENOMEM;
        grown[n + 1] = NULL;
        *(const char ***)field = grown;
        break;
    }
    default:
        ADA_TRY(set_number(o, s, text, field));
        break;
    }
    a->by[o - a->command->opts] = (unsigned char)s.by;
    return ADA_OK;
}

static ada_status unknown_option(const struct ada_args *a, const char *word, const char *name) {
    const char *near = near_option(a, name, false);
    return near ? ada_fail(ADA_EINVAL, "unknown option '%s'; did you mean '--%s'?", word, near)
                : ada_fail(ADA_EINVAL, "unknown option '%s'; see 'adalink help %s'", word, a->command->name);
}

static const source flag = {NULL, ADA_OPT_BY_FLAG};

/* --name, --no-name, --name=value, --name value; *used says whether the next word was taken. */
static ada_status parse_long(struct ada_args *a, char *word, const char *next, bool *used) {
    char *name = word + 2, *equal = strchr(name, '=');
    size_t n = equal ? (size_t)(equal - name) : strlen(name);
    const struct ada_opt *o = find(a, name, n);
    if (!o && n > 3 && strncmp(name, "no-", 3) == 0) {
        o = find(a, name + 3, n - 3);
        if (o && o->kind != ADA_OPT_BOOL)
            return ada_fail(ADA_EINVAL, "'%.*s' is no switch: only --%s VALUE exists", (int)n + 2, word,
                            o->name);
        if (o && equal) return ada_fail(ADA_EINVAL, "'%.*s' takes no value", (int)n + 2, word);
        if (o) return set_text(a, o, flag, "false");
    }
    if (!o) {
        if (equal) *equal = 0;
        return unknown_option(a, word, name);
    }
    if (o->kind == ADA_OPT_BOOL) {
        if (equal)
            return ada_fail(ADA_EINVAL, "'--%s' takes no value; its opposite is '--no-%s'", o->name, o->name);
        return set_text(a, o, flag, "true");
    }
    if (equal) return set_text(a, o, flag, equal + 1);
    if (!next) return ada_fail(ADA_EINVAL, "'--%s' wants a value: --%s %s", o->name, o->name, o->arg);
    *used = true;
    return set_text(a, o, flag, next);
}

static ada_status parse_short(struct ada_args *a, const char *word, const char *next, bool *used) {
    for (const char *p = word + 1; *p; p++) {
        const struct ada_opt *o = a->command->opts;
        while (o->kind != ADA_OPT_END && (!is_option(o) || o->letter != *p)) o++;
        if (o->kind == ADA_OPT_END) {
            if (*p == 'h') {
                a->help = true;
                continue;
            }
            return ada_fail(ADA_EINVAL, "unknown option '-%c'; see 'adalink help %s'", *p, a->command->name);
        }
        if (o->kind == ADA_OPT_BOOL) {
            ADA_TRY(set_text(a, o, flag, "true"));
            continue;
        }
        if (p[1]) return set_text(a, o, flag, p + 1);
        if (!next) return ada_fail(ADA_EINVAL, "'-%c' wants a value: -%c %s", *p, *p, o->arg);
        *used = true;
        return set_text(a, o, flag, next);
    }
    return ADA_OK;
}

ada_status ada_opt_parse(struct ada_args *a, const struct ada_command *c, int argc, char **argv) {
    a->command = c;
    ADA_TRY(ada_arena_zero(&a->memory, &a->values, 1, c->size));
    ADA_TRY(ada_arena_take(&a->memory, &a->operands, (size_t)argc + 1, sizeof *a->operands));
    size_t rows = 0;
    for (const struct ada_opt *o = c->opts; o->kind != ADA_OPT_END; o++, rows++) {
        if (rows == ADA_OPT_MAX)
            return ada_fail(ADA_EINTERNAL, "'%s' has more than %d options", c->name, ADA_OPT_MAX);
        if (is_option(o) && o->def) ADA_TRY(set_text(a, o, (source){NULL, ADA_OPT_BY_NOBODY}, o->def));
    }
    bool words = false;
    for (int i = 0; i < argc; i++) {
        char *word = argv[i];
        const char *next = i + 1 < argc ? argv[i + 1] : NULL;
        bool used = false;
        if (words || word[0] != '-' || !word[1]) {
            a->operands[a->noperands++] = word;
        } else if (strcmp(word, "--") == 0) {
            words = true;
        } else if (strcmp(word, "--help") == 0) {
            a->help = true;
        } else {
            ADA_TRY(word[1] == '-' ? parse_long(a, word, next, &used) : parse_short(a, word, next, &used));
        }
        i += used;
    }
    return ADA_OK;
}

static ada_status load_value(struct ada_args *a, const struct ada_opt *o, source s, const ada_json *v) {
    if (ada_json_is_str(v)) return set_text(a, o, s, ada_json_str(v, ""));
    ada_buf text = {0};
    ada_status st = ada_json_text(v, 0, &text);
    if (st == ADA_OK) {
        bool wants_text = o->kind == ADA_OPT_STR || o->kind == ADA_OPT_LIST;
        st = wants_text ? refuse(o, s, text.data, "text") : set_text(a, o, s, text.data);
    }
    ada_buf_free(&text);
    return st;
}

static ada_status load_tree(struct ada_args *a, const char *path, const ada_json *tree) {
    if (!ada_json_is_obj(tree)) return ada_fail(ADA_EINVAL, "'%s' holds no 'option: value' pairs", path);
    void *it = NULL;
    const char *key;
    const ada_json *v;
    source s = {path, ADA_OPT_BY_FILE};
    while (ada_json_next(tree, &it, &key, &v)) {
        const struct ada_opt *o = find(a, key, strlen(key));
        if (!o || o->local) {
            const char *near = near_option(a, key, true);
            return ada_fail(ADA_EINVAL, "'%s': unknown key '%s'%s%s%s", path, key,
                            near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
        }
        if (ada_json_is_null(v)) continue;
        if (a->by[o - a->command->opts] == ADA_OPT_BY_FLAG) {
            a->overruled[o - a->command->opts] = true;
            continue;
        }
        if (o->kind == ADA_OPT_LIST && ada_json_is_arr(v)) {
            for (size_t i = 0; i < ada_json_len(v); i++) ADA_TRY(load_value(a, o, s, ada_json_at(v, i)));
        } else {
            ADA_TRY(load_value(a, o, s, v));
        }
    }
    return ADA_OK;
}

ada_status ada_opt_load(struct ada_args *a, const char *path) {
    size_t n = strlen(path);
    ada_json *tree = NULL;
    ADA_TRY(n > 5 && strcmp(path + n - 5, ".json") == 0 ? ada_json_open(&tree, path)
                                                        : ada_yaml_open(&tree, path));
    ada_status st = load_tree(a, path, tree);
    ada_json_close(&tree);
    return st;
}

ada_status ada_opt_set(struct ada_args *a, const char *name, const char *text) {
    const struct ada_opt *o = find(a, name, strlen(name));
    if (!o) return ada_fail(ADA_EINTERNAL, "'%s' has no option '%s'", a->command->name, name);
    unsigned char by = a->by[o - a->command->opts];
    if (by == ADA_OPT_BY_FLAG) a->overruled[o - a->command->opts] = true;
    if (by != ADA_OPT_BY_NOBODY) return ADA_OK;
    return set_text(a, o, (source){NULL, ADA_OPT_BY_FILE}, text);
}

ada_status ada_opt_check(const struct ada_args *a) {
    for (const struct ada_opt *o = a->command->opts; o->kind != ADA_OPT_END; o++) {
        if (is_option(o) && o->need && a->by[o - a->command->opts] == ADA_OPT_BY_NOBODY)
            return ada_fail(ADA_EINVAL, "--%s %s is missing", o->name, o->arg);
    }
    if (a->command->operands && a->command->operands[0] != '[' && a->noperands == 0)
        return ada_fail(ADA_EINVAL, "%s is missing", a->command->operands);
    if (!a->command->operands && a->noperands > 0)
        return ada_fail(ADA_EINVAL, "unexpected argument '%s'; see 'adalink help %s'", a->operands[0],
                        a->command->name);
    return ADA_OK;
}

ada_opt_by ada_opt_given(const struct ada_args *a, const char *name) {
    const struct ada_opt *o = find(a, name, strlen(name));
    return o ? (ada_opt_by)a->by[o - a->command->opts] : ADA_OPT_BY_NOBODY;
}

bool ada_opt_overruled(const struct ada_args *a, const char *name) {
    const struct ada_opt *o = find(a, name, strlen(name));
    return o && a->overruled[o - a->command->opts];
}

void ada_opt_forget(struct ada_args *a, const char *name) {
    const struct ada_opt *o = find(a, name, strlen(name));
    if (!o || o->kind != ADA_OPT_STR || o->def) return;
    *(const char **)((char *)a->values + o->offset) = NULL;
    a->by[o - a->command->opts] = ADA_OPT_BY_NOBODY;
}

static ada_json *value_json(const struct ada_opt *o, const void *field) {
    switch (o->kind) {
    case ADA_OPT_BOOL:
        return ada_json_new_bool(*(const bool *)field);
    case ADA_OPT_INT:
        return ada_json_new_int(*(const int *)field);
    case ADA_OPT_I64:
        return ada_json_new_int(*(const int64_t *)field);
    case ADA_OPT_U64:
        return ada_json_new_int((int64_t) * (const uint64_t *)field);
    case ADA_OPT_REAL:
        return ada_json_new_num(*(const double *)field);
    case ADA_OPT_STR:
        return ada_json_new_str(*(const char *const *)field, strlen(*(const char *const *)field));
    default: {
        ada_json *list = ada_json_new_arr();
        for (const char **s = *(const char **const *)field; list && *s; s++) {
            if (ada_json_push(list, ada_json_new_str(*s, strlen(*s))) != ADA_OK) ada_json_close(&list);
        }
        return list;
    }
    }
}

/* In the engine's words "eval-every" is "eval_every". */
static const ada_json *resolved_value(const ada_json *resolved, const char *name) {
    char key[64];
    size_t n = strlen(name);
    if (n >= sizeof key) return NULL;
    for (size_t i = 0; i <= n; i++) key[i] = (char)(name[i] == '-' ? '_' : name[i]);
    return ada_json_get(resolved, key);
}

ada_status ada_opt_settings(const struct ada_args *a, const ada_json *resolved, ada_json **j) {
    ada_json *made = ada_json_new_obj();
    ada_status st = made ? ADA_OK : ada_fail(ADA_ENOMEM, "out of memory");
    for (const struct ada_opt *o = a->command->opts; st == ADA_OK && o->kind != ADA_OPT_END; o++) {
        if (!is_option(o) || o->local) continue;
        bool given = a->by[o - a->command->opts] != ADA_OPT_BY_NOBODY;
        const ada_json *theirs = given ? NULL : resolved_value(resolved, o->name);
        if (theirs) {
            st = ada_json_set(made, o->name, ada_json_share(theirs));
        } else if (given || o->def) {
            st = ada_json_set(made, o->name, value_json(o, (const char *)a->values + o->offset));
        }
    }
    if (st == ADA_OK) {
        *j = made;
    } else {
        ada_json_close(&made);
    }
    return st;
}

void ada_args_free(struct ada_args *a) {
    ada_arena_free(&a->memory);
    memset(a, 0, sizeof *a);
}
