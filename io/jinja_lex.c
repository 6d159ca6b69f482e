/* SPDX-License-Identifier: Apache-2.0
 * A template's tokens. Owns: where tags begin and end, what white space around them goes (trim_blocks,
 * lstrip_blocks, "-" and "+"), and string escapes. Must not know: the grammar.
 * Invariant: text between tags is exactly what Jinja would put out. */
#include "io/jinja_part.h"
#include "io/os.h"
#include "io/unicode.h"

#include <string.h>

bool ada_jtok_is(const jtok *t, const char *text) {
    return t->n == strlen(text) && memcmp(t->s, text, t->n) == 0;
}

static ada_status add(ada_jinja *j, jkind kind, const char *s, size_t n) {
    if (j->n == j->cap) {
        size_t cap = j->cap ? j->cap * 2 : 128;
        jtok *p = ada_os.resize(j->tok, j->cap * sizeof *p, cap * sizeof *p);
        if (!p) return ada_fail(ADA_ENOMEM, "no memory for a chat template");
        j->tok = p;
        j->cap = cap;
    }
    j->tok[j->n++] = (jtok){kind, s, n};
    return ADA_OK;
}

static bool space(char c) {
    return c && strchr(" \t\n\r\f\v", c);
}
static bool letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
static bool digit(char c) {
    return c >= '0' && c <= '9';
}

static int hex(const char *s, int digits, uint32_t *out) {
    *out = 0;
    for (int i = 0; i < digits; i++) {
        char c = (char)(s[i] | 32);
        if (!digit(s[i]) && !(c >= 'a' && c <= 'f')) return 0;
        *out = *out * 16 + (uint32_t)(digit(s[i]) ? s[i] - '0' : c - 'a' + 10);
    }
    return digits;
}

/* What an escape stands for; *used bytes behind the backslash are read. 0: it stands for itself. */
static size_t escape(const char *s, size_t *used, char out[4]) {
    static const char from[] = "ntr\\'\"abfv", to[] = "\n\t\r\\'\"\a\b\f\v";
    const char *p = *s ? strchr(from, *s) : NULL;
    uint32_t c;
    *used = 1;
    if (p) {
        out[0] = to[p - from];
        return 1;
    }
    int digits = *s == 'x' ? 2 : *s == 'u' ? 4 : *s == 'U' ? 8 : 0;
    if (!digits || !hex(s + 1, digits, &c) || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) return 0;
    *used = 1 + (size_t)digits;
    return ada_utf8_put(c, out);
}

static ada_status string(ada_jinja *j, const char *s, size_t *at) {
    char quote = s[*at], *text;
    size_t end = *at + 1, n = 0;
    while (s[end] && s[end] != quote) end += s[end] == '\\' && s[end + 1] ? 2 : 1;
    if (!s[end]) return ada_fail(ADA_EUNSUPPORTED, "chat template has a string without its end");
    ADA_TRY(ada_arena_take(&j->arena, &text, end - *at, 1));
    for (size_t i = *at + 1; i < end; i++) {
        size_t used, k = s[i] == '\\' ? escape(s + i + 1, &used, text + n) : 0;
        if (k) {
            n += k;
            i += used;
        } else {
            if (s[i] == '\\' && (digit(s[i + 1]) || s[i + 1] == 'N'))
                return ada_fail(ADA_EUNSUPPORTED,
                                "chat template has the escape '\\%c', which is not supported", s[i + 1]);
            text[n++] = s[i];
        }
    }
    *at = end + 1;
    return add(j, J_STR, text, n);
}

/* The inside of a tag; *at moves behind its end. */
static ada_status tag(ada_jinja *j, const char *s, size_t *at, char close) {
    size_t i = *at;
    int braces = 0;
    for (;;) {
        while (space(s[i])) i++;
        size_t sign = (s[i] == '-' || s[i] == '+') && s[i + 1] == close && s[i + 2] == '}' ? 1 : 0;
        if (braces == 0 && s[i + sign] == close && s[i + sign + 1] == '}') {
            ADA_TRY(add(j, J_END, s + i, sign + 2));
            bool trim = sign && s[i] == '-';
            i += sign + 2;
            while (trim && space(s[i])) i++;
            if (!sign && close == '%' && s[i] == '\n') i++;
            *at = i;
            return ADA_OK;
        }
        if (!s[i]) return ada_fail(ADA_EUNSUPPORTED, "chat template has a tag without its end");
        size_t n = 1;
        if (s[i] == '\'' || s[i] == '"') {
            ADA_TRY(string(j, s, &i));
        } else if (letter(s[i])) {
            while (letter(s[i + n]) || digit(s[i + n])) n++;
            ADA_TRY(add(j, J_NAME, s + i, n));
            i += n;
        } else if (digit(s[i])) {
            while (digit(s[i + n])) n++;
            if (n > 15 || letter(s[i + n]) || (s[i + n] == '.' && digit(s[i + n + 1])))
                return ada_fail(ADA_EUNSUPPORTED,
                                "chat template has the number '%.20s', which is not supported", s + i);
            ADA_TRY(add(j, J_INT, s + i, n));
            i += n;
        } else {
            static const char *const two[] = {"==", "!=", "<=", ">=", "//"};
            for (size_t k = 0; k < 5; k++)
                if (strncmp(s + i, two[k], 2) == 0) n = 2;
            if (n == 1 && !strchr("+-*/%~|.,:()[]{}<>=", s[i]))
                return ada_fail(ADA_EUNSUPPORTED,
                                "chat template has the character '%c', which is not supported", s[i]);
            braces += s[i] == '{' ? 1 : s[i] == '}' ? -1 : 0;
            ADA_TRY(add(j, J_OP, s + i, n));
            i += n;
        }
    }
}

/* Comments vanish; their white space rules are those of statements. */
static ada_status comment(const char *s, size_t *at) {
    const char *end = strstr(s + *at, "#}");
    if (!end) return ada_fail(ADA_EUNSUPPORTED, "chat template has a comment without its end");
    char sign = end[-1];
    *at = (size_t)(end - s) + 2;
    while (sign == '-' && space(s[*at])) ++*at;
    if (sign != '-' && sign != '+' && s[*at] == '\n') ++*at;
    return ADA_OK;
}

static ada_status lex(ada_jinja *j, const char *s) {
    for (size_t at = 0; s[at];) {
        size_t tag_at = at;
        while (s[tag_at] && !(s[tag_at] == '{' && s[tag_at + 1] && strchr("{%#", s[tag_at + 1]))) tag_at++;
        size_t end = tag_at;
        char kind = s[tag_at] ? s[tag_at + 1] : 0, sign = kind ? s[tag_at + 2] : 0;
        if (sign == '-') {
            while (end > at && space(s[end - 1])) end--;
        } else if (kind && kind != '{' && sign != '+') { /* white space from the line's begin to the tag */
            size_t k = end;
            while (k > at && space(s[k - 1]) && s[k - 1] != '\n') k--;
            if (k == 0 || s[k - 1] == '\n') end = k;
        }
        if (end > at) ADA_TRY(add(j, J_TEXT, s + at, end - at));
        if (!kind) break;
        at = tag_at + 2 + (sign == '-' || sign == '+');
        if (kind == '#') {
            ADA_TRY(comment(s, &at));
        } else {
            ADA_TRY(add(j, kind == '{' ? J_EXPR : J_STMT, s + tag_at, 2));
            ADA_TRY(tag(j, s, &at, kind == '{' ? '}' : '%'));
        }
    }
    ADA_TRY(add(j, J_STOP, "", 0));
    return add(j, J_STOP, "", 0);
}

ada_status ada_jinja_lex(ada_jinja *j, const char *source) {
    char *s;
    size_t n = 0;
    ADA_TRY(ada_arena_take(&j->arena, &s, strlen(source) + 1, 1));
    for (const char *p = source; *p; p++) { /* line ends are line feeds to Jinja */
        if (*p == '\r' && p[1] == '\n') continue;
        s[n++] = *p == '\r' ? '\n' : *p;
    }
    if (n && s[n - 1] == '\n') n--; /* and the last one is dropped */
    s[n] = 0;
    return lex(j, s);
}
