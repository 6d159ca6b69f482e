/* SPDX-License-Identifier: Apache-2.0
 * SentencePiece's precompiled normalizer: a double-array trie from character sequences to their replacements.
 * Owns: reading the map and looking up in it. Must not know: where it came from; it is untrusted.
 * Invariant: no unit beyond the array and no replacement beyond the blob is read. */
#include "io/tok_part.h"

#include <string.h>

struct charsmap {
    const uint8_t *units; /* little-endian, 4 bytes each */
    size_t nunits, nblob;
    const char *blob; /* NUL-terminated replacements; the blob ends with a NUL of ours */
};

static uint32_t unit(const struct charsmap *m, size_t i) {
    const uint8_t *p = m->units + 4 * i;
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static size_t offset(uint32_t u) {
    return (size_t)(u >> 10) << ((u & 0x200) >> 6);
}

/* The replacement of the shortest prefix of s that has one, which is what tokenizers takes; NULL if none has.
 */
static const char *lookup(const struct charsmap *m, const char *s, size_t n) {
    size_t at = offset(unit(m, 0));
    for (size_t i = 0; i < n && s[i]; i++) {
        at ^= (unsigned char)s[i];
        if (at >= m->nunits) return NULL;
        uint32_t u = unit(m, at);
        if ((u & 0x800000ff) != (unsigned char)s[i]) return NULL;
        at ^= offset(u);
        if (!(u & 0x100)) continue;
        size_t value = at < m->nunits ? unit(m, at) & 0x7fffffff : m->nblob;
        return value < m->nblob ? m->blob + value : NULL;
    }
    return NULL;
}

static ada_status do_charsmap(const ada_op *o, ada_piece *p, const char *s, size_t i, ada_buf *out) {
    (void)i;
    const struct charsmap *m = o->data;
    for (size_t at = 0; at < p->len;) {
        size_t end = at + ada_uni_grapheme(s + at, p->len - at);
        const char *r = end - at < 6 ? lookup(m, s + at, end - at) : NULL;
        if (r) {
            ADA_TRY(ada_buf_puts(out, r));
            at = end;
        }
        while (at < end) {
            size_t from = at;
            ada_utf8_next(s, end, &at);
            r = lookup(m, s + from, at - from);
            ADA_TRY(r ? ada_buf_puts(out, r) : ada_buf_add(out, s + from, at - from));
        }
    }
    return ADA_OK;
}

/* In place of an allocation: the decoded bytes are never more than the text. */
static ada_status base64(const char *s, size_t n, uint8_t *out, size_t *len) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    unsigned have = 0;
    *len = 0;
    while (n && s[n - 1] == '=') n--;
    for (size_t i = 0; i < n; i++) {
        const char *d = s[i] ? strchr(digits, s[i]) : NULL;
        if (!d) return ada_fail(ADA_EFORMAT, "'precompiled_charsmap' is not base64");
        bits = bits << 6 | (uint32_t)(d - digits);
        have += 6;
        if (have < 8) continue;
        have -= 8;
        out[(*len)++] = (uint8_t)(bits >> have);
    }
    return ADA_OK;
}

ada_status ada_op_charsmap_bytes(ada_ops *o, ada_arena *a, uint8_t *bytes, size_t len) {
    struct charsmap *m;
    ADA_TRY(ada_arena_zero(a, &m, 1, sizeof *m));
    *m = (struct charsmap){.units = bytes};
    size_t trie = len >= 4 ? unit(m, 0) : 0;
    if (trie < 4 || trie % 4 || trie > len - 4)
        return ada_fail(ADA_EFORMAT, "'precompiled_charsmap' holds no trie");
    *m = (struct charsmap){bytes + 4, trie / 4, len - 4 - trie, (const char *)bytes + 4 + trie};
    bytes[len] = 0;
    if (!ada_utf8_valid(m->blob, m->nblob, NULL))
        return ada_fail(ADA_EFORMAT, "'precompiled_charsmap' is not UTF-8");
    ada_op *op;
    ADA_TRY(ada_ops_add(o, &op));
    op->rewrite = do_charsmap;
    op->data = m;
    return ADA_OK;
}

ada_status ada_op_charsmap(ada_ops *o, ada_arena *a, const char *text) {
    uint8_t *bytes;
    size_t n = strlen(text), len;
    ADA_TRY(ada_arena_zero(a, &bytes, n + 1, 1));
    ADA_TRY(base64(text, n, bytes, &len));
    return ada_op_charsmap_bytes(o, a, bytes, len);
}
