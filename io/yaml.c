/* SPDX-License-Identifier: Apache-2.0
 * The door to libyaml: the only file that includes its header. Owns: one parser while a file is read.
 * Must not know: what the keys mean. Invariant: the tree is no larger than the file (no aliases), no deeper
 * than DEPTH, and a node belongs to its parent before it is filled, so that one close frees what was made so
 * far. */
#include "io/yaml.h"
#include "io/os.h"
#include "io/replace.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { DEPTH = 64 };

struct reader {
    yaml_parser_t parser;
    yaml_event_t event; /* of type 0 when there is none to delete */
    const char *path;
};

static ada_status wrong(const struct reader *r, ada_status st, yaml_mark_t at, const char *what) {
    return ada_fail(st, "%s:%zu:%zu: %s", r->path, at.line + 1, at.column + 1, what);
}

static ada_status next(struct reader *r) {
    yaml_event_delete(&r->event);
    if (yaml_parser_parse(&r->parser, &r->event)) return ADA_OK;
    r->event.type = YAML_NO_EVENT;
    if (r->parser.error == YAML_MEMORY_ERROR)
        return ada_fail(ADA_ENOMEM, "out of memory while parsing '%s'", r->path);
    const char *what = r->parser.problem != NULL ? r->parser.problem : "cannot be parsed";
    if (r->parser.error == YAML_READER_ERROR)
        return ada_fail(ADA_EFORMAT, "%s: byte %zu: %s", r->path, r->parser.problem_offset, what);
    return wrong(r, ADA_EFORMAT, r->parser.problem_mark, what);
}

static bool one_of(const char *s, const char *const *words) {
    while (*words != NULL && strcmp(s, *words) != 0) words++;
    return *words != NULL;
}

static bool looks_integer(const char *s, int *base) {
    static const char decimal[] = "0123456789";
    *base = s[0] == '0' && s[1] == 'x' ? 16 : s[0] == '0' && s[1] == 'o' ? 8 : 10;
    if (*base != 10)
        return s[2] != 0 && s[2 + strspn(s + 2, *base == 16 ? "0123456789abcdefABCDEF" : "01234567")] == 0;
    s += s[0] == '-' || s[0] == '+';
    return s[0] != 0 && s[strspn(s, decimal)] == 0;
}

static bool looks_real(const char *s) {
    static const char decimal[] = "0123456789";
    s += s[0] == '-' || s[0] == '+';
    size_t before = strspn(s, decimal), after = 0;
    s += before;
    if (s[0] == '.') {
        after = strspn(s + 1, decimal);
        s += 1 + after;
    }
    if (before + after == 0) return false;
    if (s[0] != 'e' && s[0] != 'E') return s[0] == 0;
    s += 1 + (s[1] == '-' || s[1] == '+');
    return s[0] != 0 && s[strspn(s, decimal)] == 0;
}

/* A plain scalar by the core schema of YAML 1.2. */
static ada_status plain_value(const struct reader *r, const char *s, ada_json **v) {
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const trues[] = {"true", "True", "TRUE", NULL}, *const falses[] = {"false", "False",
                                                                                          "FALSE", NULL};
    static const char *const infinite[] = {".inf",  ".Inf",  ".INF", "+.inf", "+.Inf", "+.INF", "-.inf",
                                           "-.Inf", "-.INF", ".nan", ".NaN",  ".NAN",  NULL};
    int base;
    errno = 0;
    if (one_of(s, nulls))
        *v = ada_json_new_num((double)NAN); /* which becomes null */
    else if (one_of(s, trues) || one_of(s, falses))
        *v = ada_json_new_bool(one_of(s, trues));
    else if (one_of(s, infinite))
        return wrong(r, ADA_EFORMAT, r->event.start_mark, "a number that is not finite");
    else if (looks_integer(s, &base)) {
        int64_t i = strtoll(base == 10 ? s : s + 2, NULL, base);
        if (errno == ERANGE && base != 10)
            return wrong(r, ADA_EFORMAT, r->event.start_mark, "an integer past 64 bits");
        *v = errno == ERANGE ? ada_json_new_num(strtod(s, NULL)) : ada_json_new_int(i);
    } else if (looks_real(s)) {
        double d = strtod(s, NULL);
        if (!isfinite(d))
            return wrong(r, ADA_EFORMAT, r->event.start_mark, "a number past the range of a double");
        *v = ada_json_new_num(d);
    } else
        *v = ada_json_new_str(s, strlen(s));
    return ADA_OK;
}

/* The current event as a node; *open says that it has children to come. */
static ada_status node(const struct reader *r, ada_json **v, bool *open) {
    const yaml_event_t *e = &r->event;
    const yaml_char_t *tag = NULL, *anchor = NULL;
    *open = e->type != YAML_SCALAR_EVENT;
    if (e->type == YAML_SCALAR_EVENT) {
        tag = e->data.scalar.tag;
        anchor = e->data.scalar.anchor;
    } else if (e->type == YAML_SEQUENCE_START_EVENT) {
        tag = e->data.sequence_start.tag;
        anchor = e->data.sequence_start.anchor;
    } else if (e->type == YAML_MAPPING_START_EVENT) {
        tag = e->data.mapping_start.tag;
        anchor = e->data.mapping_start.anchor;
    }
    if (e->type == YAML_ALIAS_EVENT || anchor != NULL)
        return wrong(r, ADA_EUNSUPPORTED, e->start_mark, "anchors and aliases are not read");
    if (tag != NULL) return wrong(r, ADA_EUNSUPPORTED, e->start_mark, "tags are not read");
    if (e->type == YAML_SEQUENCE_START_EVENT)
        *v = ada_json_new_arr();
    else if (e->type == YAML_MAPPING_START_EVENT)
        *v = ada_json_new_obj();
    else if (e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
        return plain_value(r, (const char *)e->data.scalar.value, v);
    else
        *v = ada_json_new_str((const char *)e->data.scalar.value, e->data.scalar.length);
    return ADA_OK;
}

static ada_status fill_node(struct reader *r, ada_json *parent, int depth);

/* What follows a node that was just added: its children, if it has any. */
static ada_status descend(struct reader *r, ada_json *v, bool open, int depth) {
    if (!open) return ADA_OK;
    if (depth >= DEPTH) return wrong(r, ADA_EFORMAT, r->event.start_mark, "nested too deeply");
    return fill_node(r, v, depth + 1);
}

static ada_status fill_pair(struct reader *r, ada_json *parent, int depth) {
    const yaml_event_t *e = &r->event;
    if (e->type != YAML_SCALAR_EVENT)
        return wrong(r, ADA_EUNSUPPORTED, e->start_mark, "a key that is no scalar");
    const char *text = (const char *)e->data.scalar.value;
    if (strlen(text) != e->data.scalar.length)
        return wrong(r, ADA_EFORMAT, e->start_mark, "a key that holds NUL");
    if (ada_json_get(parent, text) != NULL)
        return wrong(r, ADA_EFORMAT, e->start_mark, "a key that is there twice");
    ada_buf key = {0};
    ada_json *v = NULL;
    bool open = false;
    ada_status st = ada_buf_puts(&key, text);
    if (st == ADA_OK) st = next(r);
    if (st == ADA_OK) st = node(r, &v, &open);
    if (st == ADA_OK) st = ada_json_set(parent, key.data, v);
    ada_buf_free(&key);
    ADA_TRY(st);
    return descend(r, v, open, depth);
}

static ada_status fill_node(struct reader *r, ada_json *parent, int depth) {
    for (;;) {
        ada_json *v = NULL;
        bool open = false;
        ADA_TRY(next(r));
        if (r->event.type == YAML_SEQUENCE_END_EVENT || r->event.type == YAML_MAPPING_END_EVENT)
            return ADA_OK;
        if (ada_json_is_obj(parent)) {
            ADA_TRY(fill_pair(r, parent, depth));
            continue;
        }
        ADA_TRY(node(r, &v, &open));
        ADA_TRY(ada_json_push(parent, v));
        ADA_TRY(descend(r, v, open, depth));
    }
}

static ada_status read_document(struct reader *r, ada_json **j) {
    bool open = false;
    do ADA_TRY(next(r));
    while (r->event.type == YAML_STREAM_START_EVENT || r->event.type == YAML_DOCUMENT_START_EVENT);
    if (r->event.type == YAML_STREAM_END_EVENT) return ada_fail(ADA_EFORMAT, "'%s' holds nothing", r->path);
    ADA_TRY(node(r, j, &open));
    if (*j == NULL) return ada_fail(ADA_ENOMEM, "out of memory while parsing '%s'", r->path);
    ADA_TRY(descend(r, *j, open, 1));
    ADA_TRY(next(r)); /* the document's end */
    ADA_TRY(next(r));
    if (r->event.type == YAML_STREAM_END_EVENT) return ADA_OK;
    return wrong(r, ADA_EUNSUPPORTED, r->event.start_mark, "a second document");
}

ada_status ada_yaml_open(ada_json **j, const char *path) {
    char *text;
    size_t n;
    *j = NULL;
    ADA_TRY(ada_read_file(path, &text, &n));
    struct reader r = {.path = path};
    ada_status st = ADA_OK;
    if (yaml_parser_initialize(&r.parser)) {
        yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, n);
        st = read_document(&r, j);
        yaml_event_delete(&r.event);
        yaml_parser_delete(&r.parser);
    } else
        st = ada_fail(ADA_ENOMEM, "out of memory while parsing '%s'", path);
    ada_os.release(text);
    if (st != ADA_OK) ada_json_close(j);
    return st;
}
