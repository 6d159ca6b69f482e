/* SPDX-License-Identifier: Apache-2.0
 * UTF-8 and Unicode properties. The only file that includes utf8proc.h. Owns: nothing.
 * White_Space is a closed list and stands here; all else comes from utf8proc's tables, corrected where those
 * of Hugging Face tokenizers have another version of Unicode. Invariant: no loop reads past n, whatever the
 * bytes. */
#include "io/unicode.h"
#include "io/os.h"
#include "io/unicode_delta.h"

#include <string.h>
#include <utf8proc.h>

size_t ada_utf8_check(const char *s, size_t n, size_t *bad) {
    const unsigned char *p = (const unsigned char *)s;
    *bad = 1;
    if (n == 0) return 0;
    if (p[0] < 0x80) return 1;
    size_t need = p[0] >= 0xc2 && p[0] <= 0xdf   ? 2
                  : (p[0] & 0xf0) == 0xe0        ? 3
                  : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4
                                                 : 0;
    if (!need) return 0;
    unsigned low = 0x80,
             high = 0xbf; /* of the second byte: no overlong form, no surrogate, no more than U+10FFFF */
    if (p[0] == 0xe0) low = 0xa0;
    if (p[0] == 0xed) high = 0x9f;
    if (p[0] == 0xf0) low = 0x90;
    if (p[0] == 0xf4) high = 0x8f;
    for (size_t i = 1; i < need; i++) {
        if (i >= n || p[i] < low || p[i] > high) {
            *bad = i;
            return 0;
        }
        low = 0x80;
        high = 0xbf;
    }
    return need;
}

bool ada_utf8_valid(const char *s, size_t n, size_t *at) {
    for (size_t i = 0, bad; i < n;) {
        size_t k = ada_utf8_check(s + i, n - i, &bad);
        if (!k) {
            if (at) *at = i;
            return false;
        }
        i += k;
    }
    return true;
}

ada_status ada_utf8_clean(const char *s, size_t n, ada_buf *out) {
    size_t from = 0, i = 0;
    while (i < n) {
        size_t bad, k = ada_utf8_check(s + i, n - i, &bad);
        if (!k) {
            ADA_TRY(ada_buf_add(out, s + from, i - from));
            ADA_TRY(ada_buf_add(out, "\xef\xbf\xbd", 3));
            from = i + bad;
        }
        i += k ? k : bad;
    }
    return ada_buf_add(out, n > 0 ? s + from : "", n - from);
}

uint32_t ada_utf8_next(const char *s, size_t n, size_t *at) {
    const unsigned char *p = (const unsigned char *)s + *at;
    size_t bad, k = ada_utf8_check(s + *at, n - *at, &bad);
    *at += k ? k : bad;
    switch (k) {
    case 1:
        return p[0];
    case 2:
        return (uint32_t)(p[0] & 0x1f) << 6 | (p[1] & 0x3f);
    case 3:
        return (uint32_t)(p[0] & 0x0f) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
    case 4:
        return (uint32_t)(p[0] & 0x07) << 18 | (uint32_t)(p[1] & 0x3f) << 12 | (uint32_t)(p[2] & 0x3f) << 6 |
               (p[3] & 0x3f);
    default:
        return 0xfffd;
    }
}

size_t ada_utf8_last(const char *s, size_t n) {
    if (n) n--;
    while (n && ((unsigned char)s[n] & 0xc0) == 0x80) n--;
    return n;
}

size_t ada_utf8_put(uint32_t c, char out[4]) {
    return (size_t)utf8proc_encode_char((utf8proc_int32_t)c, (utf8proc_uint8_t *)out);
}

bool ada_uni_space(uint32_t c) {
    return (c >= 9 && c <= 13) || c == ' ' || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
           c == 0x3000;
}

/* The row of a table that holds c, or NULL. */
static const struct delta *row_of(const struct delta *table, size_t n, uint32_t c) {
    size_t low = 0;
    while (low < n) {
        size_t mid = (low + n) / 2;
        if (table[mid].last < c)
            low = mid + 1;
        else
            n = mid;
    }
    return table[low].first <= c && c <= table[low].last ? &table[low] : NULL;
}
#define ROW(table, c) row_of(table, sizeof table / sizeof *table - 1, c)

static const char *category(uint32_t c) {
    const struct delta *d = ROW(new_category, c);
    return d ? d->category : utf8proc_category_string((utf8proc_int32_t)c);
}

bool ada_uni_numeric(uint32_t c) {
    if (c < 0x80) return c >= '0' && c <= '9';
    return category(c)[0] == 'N' || ROW(new_numeric, c);
}

bool ada_uni_punct(uint32_t c) {
    if (c < 0x80)
        return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) || (c >= 123 && c <= 126);
    return (category(c)[0] == 'P') != (ROW(other_punct, c) != NULL);
}

bool ada_uni_mark(uint32_t c) {
    return c >= 0x80 && (category(c)[0] == 'M') != (ROW(other_mark, c) != NULL);
}

ada_status ada_uni_newer(const char *name, ada_buf *out) {
    size_t n = strlen(name);
    bool all =
        strcmp(name, "Alphabetic") == 0; /* letters; marks and numbers stand beside it wherever it is used */
    for (size_t i = 0; i < sizeof new_category / sizeof *new_category; i++) {
        const struct delta *d = &new_category[i];
        if (all ? d->category[0] == 'L' : strncmp(d->category, name, n) == 0)
            ADA_TRY(ada_buf_printf(out, "\\x{%x}-\\x{%x}", d->first, d->last));
    }
    for (size_t i = 0; i < sizeof new_han / sizeof *new_han && strcmp(name, "Han") == 0; i++)
        ADA_TRY(ada_buf_printf(out, "\\x{%x}-\\x{%x}", new_han[i].first, new_han[i].last));
    return ADA_OK;
}

static ada_status normalize(ada_normal_form f, const char *s, size_t n, ada_buf *out) {
    static const int form[] = {
        [ADA_NFC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE,
        [ADA_NFD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE,
        [ADA_NFKC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT,
        [ADA_NFKD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT,
    };
    if (n == 0) return ADA_OK;
    utf8proc_option_t opt = (utf8proc_option_t)form[f];
    const utf8proc_uint8_t *p = (const utf8proc_uint8_t *)s;
    utf8proc_ssize_t k = utf8proc_decompose(p, (utf8proc_ssize_t)n, NULL, 0, opt);
    size_t bytes;
    if (k < 0 || !ada_mul_size((size_t)k + 1, sizeof(utf8proc_int32_t), &bytes))
        return ada_fail(ADA_EUNSUPPORTED, "text of %zu bytes is too long to normalize", n);
    utf8proc_int32_t *c = ada_os.alloc(bytes);
    if (!c) return ada_fail(ADA_ENOMEM, "no memory to normalize %zu bytes of text", n);
    ada_status st = ADA_OK;
    k = utf8proc_decompose(p, (utf8proc_ssize_t)n, c, k, opt);
    if (k >= 0) k = utf8proc_normalize_utf32(c, k, opt);
    if (k < 0) st = ada_fail(ADA_EINTERNAL, "unicode normalization fails: %s", utf8proc_errmsg(k));
    for (utf8proc_ssize_t i = 0; i < k && st == ADA_OK; i++) {
        char u[4];
        st = ada_buf_add(out, u, ada_utf8_put((uint32_t)c[i], u));
    }
    ada_os.release(c);
    return st;
}

/* A character that tokenizers' tables don't know is to them one that nothing moves over or joins with. */
ada_status ada_uni_normalize(ada_normal_form f, const char *s, size_t n, ada_buf *out) {
    size_t from = 0;
    for (size_t at = 0; at < n;) {
        size_t begin = at;
        uint32_t c = ada_utf8_next(s, n, &at);
        if (c < 0x80 || (!ROW(no_decomposition, c) && !ROW(other_mark, c))) continue;
        ADA_TRY(normalize(f, s + from, begin - from, out));
        ADA_TRY(ada_buf_add(out, s + begin, at - begin));
        from = at;
    }
    return normalize(f, s + from, n - from, out);
}

ada_status ada_uni_lower(const char *s, size_t n, ada_buf *out) {
    for (size_t i = 0; i < n;) {
        uint32_t c = ada_utf8_next(s, n, &i);
        char u[4];
        if (c == 0x130) { /* the one character whose lower case is two */
            ADA_TRY(ada_buf_add(out, "i\xcc\x87", 3));
            continue;
        }
        const struct delta *d = c < 0x80 ? NULL : ROW(new_lower, c);
        uint32_t low = c < 0x80 ? (c >= 'A' && c <= 'Z' ? c + 32 : c)
                       : d      ? (uint32_t)((int32_t)c + d->add)
                                : (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
        ADA_TRY(ada_buf_add(out, u, ada_utf8_put(low, u)));
    }
    return ADA_OK;
}

size_t ada_uni_grapheme(const char *s, size_t n) {
    size_t i = 0;
    utf8proc_int32_t state = 0, c = (utf8proc_int32_t)ada_utf8_next(s, n, &i);
    while (i < n) {
        size_t next = i;
        utf8proc_int32_t d = (utf8proc_int32_t)ada_utf8_next(s, n, &next);
        if (utf8proc_grapheme_break_stateful(c, d, &state)) break;
        c = d;
        i = next;
    }
    return i;
}
