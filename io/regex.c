/* SPDX-License-Identifier: Apache-2.0
 * Oniguruma's syntax on PCRE2. The only file that includes pcre2.h. Owns: the translation and the matcher's
 * limits. Where they differ: \s \w \d \h \v \b name other sets, \p{Script} is a script and not its
 * extensions, (?m) and {n}? mean other things. JIT is used; where its stack ends, a larger one, then the
 * interpreter, carry on. Invariant: text is searched as valid UTF-8 without being checked again. */
#include "io/regex.h"
#include "io/os.h"
#include "io/unicode.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define SPACE                                                                                                \
    "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{" \
    "3000}"
#define NO_SPACE                                                                                             \
    "\\x{0}-\\x{8}\\x{e}-\\x{1f}\\x{21}-\\x{84}\\x{86}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}"          \
    "\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{d7ff}"        \
    "\\x{e000}-\\x{10ffff}"

struct ada_regex {
    pcre2_general_context *memory;
    pcre2_code *code;
};

static void *pcre_alloc(size_t n, void *ctx) {
    (void)ctx;
    return ada_os.alloc(n);
}

static void pcre_release(void *p, void *ctx) {
    (void)ctx;
    ada_os.release(p);
}

static ada_status refuse(const char *pattern, const char *what, size_t n) {
    return ada_fail(ADA_EUNSUPPORTED, "regular expression has '%.*s', which is not supported: '%.200s'",
                    (int)n, what, pattern);
}

/* A set and, around it outside of a class, its brackets. */
static ada_status bracket(ada_buf *out, bool in_class, bool not ) {
    return in_class ? ADA_OK : ada_buf_puts(out, not ? "[^" : "[");
}

static ada_status category(ada_buf *out, const char *name) {
    ADA_TRY(ada_buf_printf(out, "\\p{%s}", name));
    return ada_uni_newer(name, out);
}

/* Oniguruma's word characters: below U+0100 it follows another table, where ² ³ ¹ ¼ ½ ¾ are some. */
static ada_status word(ada_buf *out) {
    ADA_TRY(category(out, "Alphabetic"));
    ADA_TRY(category(out, "M"));
    ADA_TRY(category(out, "Nd"));
    ADA_TRY(category(out, "Nl"));
    ADA_TRY(category(out, "Pc"));
    return ada_buf_puts(out, "\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}");
}

/* Is what stands before (behind) a word character? */
static ada_status beside(ada_buf *out, const char *look) {
    ADA_TRY(ada_buf_printf(out, "(?%s[", look));
    ADA_TRY(word(out));
    return ada_buf_puts(out, "])");
}

static ada_status boundary(ada_buf *out, bool yes) {
    static const char *const looks[2][4] = {{"<=", "=", "<!", "!"}, {"<=", "!", "<!", "="}};
    ADA_TRY(ada_buf_puts(out, "(?:"));
    for (size_t i = 0; i < 4; i++) {
        if (i == 2) ADA_TRY(ada_buf_puts(out, "|"));
        ADA_TRY(beside(out, looks[yes][i]));
    }
    return ada_buf_puts(out, ")");
}

/* \p{…} at p, which points behind \p or \P; *len is what was read. */
static ada_status property(const char *pattern, const char *p, bool not, bool in_class, size_t *len,
                           ada_buf *out) {
    static const char categories[] =
        " Cc Cf Co L Ll Lm Lo Lt Lu M Mc Me Mn N Nd Nl No P Pc Pd Pe Pf Pi Po Ps S Sc Sk Sm So "
        "Z Zl Zp Zs Alphabetic ";
    const char *end = *p == '{' ? strchr(p, '}') : NULL;
    if (!end) return refuse(pattern, p - 2, 3);
    *len = (size_t)(end - p) + 1;
    const char *name = p + 1;
    not ^= *name == '^';
    name += *name == '^';
    size_t n = (size_t)(end - name);
    char spaced[40];
    if (n == 0 || n > 30 || *name == 'C' || (not &&in_class)) return refuse(pattern, p - 2, *len + 2);
    snprintf(spaced, sizeof spaced, " %.*s ", (int)n, name);
    bool known = strstr(categories, spaced) != NULL;
    spaced[n + 1] = 0;
    ADA_TRY(bracket(out, in_class, not ));
    ADA_TRY(ada_buf_printf(out, "\\p{%s%s}", known ? "" : "sc:", spaced + 1));
    ADA_TRY(ada_uni_newer(spaced + 1, out));
    return in_class ? ADA_OK : ada_buf_puts(out, "]");
}

/* One escape; *at stands on the backslash and moves past it. */
static ada_status escape(const char *pattern, size_t *at, bool in_class, ada_buf *out) {
    const char *p = pattern + *at;
    char c = p[1];
    size_t used = 2;
    switch (c) {
    case 's':
    case 'S': /* within a class, "not white space" is spelt out */
        ADA_TRY(bracket(out, in_class, c == 'S'));
        ADA_TRY(ada_buf_puts(out, c == 'S' && in_class ? NO_SPACE : SPACE));
        if (!in_class) ADA_TRY(ada_buf_puts(out, "]"));
        break;
    case 'd':
    case 'D':
    case 'w':
    case 'W':
    case 'h':
    case 'H':
        if (c < 'a' && in_class) return refuse(pattern, p, 2);
        ADA_TRY(bracket(out, in_class, c < 'a'));
        c |= 32;
        ADA_TRY(c == 'd' ? category(out, "Nd") : c == 'w' ? word(out) : ada_buf_puts(out, "0-9a-fA-F"));
        if (!in_class) ADA_TRY(ada_buf_puts(out, "]"));
        break;
    case 'b':
    case 'B':
        if (in_class)
            ADA_TRY(c == 'b' ? ada_buf_puts(out, "\\x{8}") : refuse(pattern, p, 2));
        else
            ADA_TRY(boundary(out, c == 'b'));
        break;
    case 'v':
        ADA_TRY(ada_buf_puts(out, "\\x{b}"));
        break;
    case 'n':
    case 'r':
    case 't':
    case 'f':
    case 'a':
    case 'e':
        ADA_TRY(ada_buf_add(out, p, 2));
        break;
    case 'A':
    case 'z':
    case 'Z':
        if (in_class) return refuse(pattern, p, 2);
        ADA_TRY(ada_buf_add(out, p, 2));
        break;
    case 'p':
    case 'P': {
        size_t n = 0;
        ADA_TRY(property(pattern, p + 2, c == 'P', in_class, &n, out));
        used += n;
        break;
    }
    case 'x': {
        size_t hex = strspn(p + 2 + (p[2] == '{'), "0123456789abcdefABCDEF");
        bool braced = p[2] == '{' && hex >= 1 && hex <= 6 && p[3 + hex] == '}';
        if (!braced && !(p[2] != '{' && hex >= 2 && p[2] < '8')) return refuse(pattern, p, 3);
        used += braced ? hex + 2 : 2;
        ADA_TRY(ada_buf_add(out, p, used));
        break;
    }
    case 'u':
        if (strspn(p + 2, "0123456789abcdefABCDEF") < 4) return refuse(pattern, p, 2);
        used += 4;
        ADA_TRY(ada_buf_printf(out, "\\x{%.4s}", p + 2));
        break;
    default:
        if (c == 0 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
            return refuse(pattern, p, c ? 2 : 1);
        if ((unsigned char)c < 0x80) ADA_TRY(ada_buf_puts(out, "\\"));
        ADA_TRY(ada_buf_add(out, &c, 1));
    }
    *at += used;
    return ADA_OK;
}

/* What stands behind "(?" decides; those kept mean the same in both. */
static ada_status group(const char *pattern, size_t at) {
    static const char *const same[] = {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:", "(?-i:"};
    const char *p = pattern + at;
    if (p[1] != '?') return p[1] == '*' ? refuse(pattern, p, 2) : ADA_OK;
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        if (strncmp(p, same[i], strlen(same[i])) == 0) return ADA_OK;
    if (at == 0 && strncmp(p, "(?i)", 4) == 0) return ADA_OK;
    return refuse(pattern, p, strcspn(p, ":)") + 1);
}

static ada_status translate(const char *pattern, ada_buf *out) {
    bool in_class = false;
    for (size_t i = 0; pattern[i];) {
        const char *p = pattern + i;
        if (*p == '\\') {
            ADA_TRY(escape(pattern, &i, in_class, out));
            continue;
        }
        size_t take = 1;
        if (in_class) {
            if (*p == '[' || strncmp(p, "&&", 2) == 0) return refuse(pattern, p, *p == '[' ? 1 : 2);
            in_class = *p != ']';
        } else if (*p == '[') {
            in_class = true;
            take = p[1] == '^' ? 2 : 1;
            if (p[take] == ']') return refuse(pattern, p, take + 1);
        } else if (*p == '(') {
            ADA_TRY(group(pattern, i));
            take = p[1] == '?' ? 2 : 1;
        } else if (*p == '{') {
            size_t n = 1 + strspn(p + 1, "0123456789,");
            if (n > 1 && p[n] == '}' && (p[1] == ',' || p[n + 1] == '+' || p[n + 1] == '?'))
                return refuse(pattern, p, n + 2);
        }
        ADA_TRY(ada_buf_add(out, p, take));
        i += take;
    }
    return ADA_OK;
}

static ada_status compile(ada_regex *r, const char *pattern, const ada_buf *own) {
    int code;
    PCRE2_SIZE at;
    r->memory = pcre2_general_context_create(pcre_alloc, pcre_release, NULL);
    pcre2_compile_context *c = r->memory ? pcre2_compile_context_create(r->memory) : NULL;
    if (c) {
        pcre2_set_newline(c, PCRE2_NEWLINE_LF);
        r->code = pcre2_compile((PCRE2_SPTR)own->data, own->len, PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE,
                                &code, &at, c);
    }
    pcre2_compile_context_free(c);
    if (!c || (!r->code && code == PCRE2_ERROR_HEAP_FAILED))
        return ada_fail(ADA_ENOMEM, "no memory to compile a regular expression");
    if (!r->code) {
        char why[200];
        if (pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof why) < 0) why[0] = 0;
        return ada_fail(ADA_EUNSUPPORTED, "regular expression is not understood (%s): '%.200s'", why,
                        pattern);
    }
    (void)pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE); /* where there is no JIT, pcre2_match interprets */
    return ADA_OK;
}

ada_status ada_regex_open(ada_regex **r, const char *pattern) {
    *r = ada_os.alloc(sizeof **r);
    if (!*r) return ada_fail(ADA_ENOMEM, "no memory for a regular expression");
    **r = (ada_regex){0};
    ada_buf own = {0};
    ada_status st = translate(pattern, &own);
    if (st == ADA_OK && !own.data) st = ada_buf_puts(&own, "");
    if (st == ADA_OK) st = compile(*r, pattern, &own);
    ada_buf_free(&own);
    return st;
}

void ada_regex_close(ada_regex **r) {
    if (!*r) return;
    pcre2_code_free((*r)->code);
    pcre2_general_context_free((*r)->memory);
    ada_os.release(*r);
    *r = NULL;
}

ada_status ada_regex_begin(ada_regex_walk *w, const ada_regex *r, const char *s, size_t n) {
    if (w->re != r) {
        ada_regex_end(w);
        w->match = pcre2_match_data_create_from_pattern(r->code, r->memory);
        if (!w->match) return ada_fail(ADA_ENOMEM, "no memory to match a regular expression");
        w->re = r;
    }
    w->s = s;
    w->n = n;
    w->at = w->last = 0;
    w->any = false;
    return ADA_OK;
}

/* After a limit was hit: first a larger JIT stack, then the interpreter with its memory unlimited. */
static ada_status widen(ada_regex_walk *w, int why) {
    if (!w->context && !(w->context = pcre2_match_context_create(w->re->memory)))
        return ada_fail(ADA_ENOMEM, "no memory to match a regular expression");
    if (why == PCRE2_ERROR_JIT_STACKLIMIT && !w->stack) {
        w->stack = pcre2_jit_stack_create(1 << 16, 1 << 26, w->re->memory);
        if (!w->stack) return ada_fail(ADA_ENOMEM, "no memory to match a regular expression");
        pcre2_jit_stack_assign(w->context, NULL, w->stack);
        return ADA_OK;
    }
    if (!w->plain && why != PCRE2_ERROR_NOMEMORY) {
        w->plain = true;
        pcre2_set_match_limit(w->context, UINT32_MAX);
        pcre2_set_depth_limit(w->context, UINT32_MAX);
        pcre2_set_heap_limit(w->context, 1 << 20); /* KiB */
        return ADA_OK;
    }
    char text[200];
    if (pcre2_get_error_message(why, (PCRE2_UCHAR *)text, sizeof text) < 0) text[0] = 0;
    return ada_fail(why == PCRE2_ERROR_NOMEMORY ? ADA_ENOMEM : ADA_EUNSUPPORTED,
                    "regular expression cannot be matched: %s", text);
}

ada_status ada_regex_next(ada_regex_walk *w, size_t *begin, size_t *end) {
    while (w->at <= w->n) {
        int k = pcre2_match(w->re->code, (PCRE2_SPTR)w->s, w->n, w->at,
                            PCRE2_NO_UTF_CHECK | (w->plain ? PCRE2_NO_JIT : 0u), w->match, w->context);
        if (k == PCRE2_ERROR_NOMATCH) break;
        if (k < 0) {
            ADA_TRY(widen(w, k));
            continue;
        }
        const PCRE2_SIZE *v = pcre2_get_ovector_pointer(w->match);
        if (v[0] == v[1] && w->any && w->last == v[1]) {
            do w->at++;
            while (w->at < w->n && ((unsigned char)w->s[w->at] & 0xc0) == 0x80);
            continue;
        }
        *begin = v[0];
        *end = w->at = w->last = v[1];
        w->any = true;
        return ADA_OK;
    }
    w->at = w->n + 1;
    return ADA_DONE;
}

void ada_regex_end(ada_regex_walk *w) {
    pcre2_match_data_free(w->match);
    pcre2_match_context_free(w->context);
    pcre2_jit_stack_free(w->stack);
    *w = (ada_regex_walk){0};
}
