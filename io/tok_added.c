/* SPDX-License-Identifier: Apache-2.0
 * Added tokens: found in the text before the model sees it, leftmost first, the longest where several begin.
 * Owns: how they are found, and the order of that and normalization. Must not know: models, files.
 * Invariant: the pieces it makes cover the text; a strip takes white space of the text beside, never of a
 * token. */
#include "io/tok_part.h"

#include <string.h>

static ada_status build_finder(ada_tok *t, ada_finder *f, bool normalized) {
    ADA_TRY(ada_vocab_size(&f->match, &t->arena, t->nadded ? t->nadded : 1));
    uint32_t *lens;
    size_t at = 0;
    ADA_TRY(ada_arena_zero(&t->arena, &lens, t->nadded * 2 + 1, sizeof *lens));
    for (size_t i = 0; i < t->nadded; i++) {
        const ada_added *a = &t->added[i];
        if (a->normalized == normalized && a->nmatch)
            ada_vocab_put(&f->match, (uint32_t)i, a->match, a->nmatch);
    }
    for (unsigned c = 0; c < 256; c++) {
        size_t begin = at;
        for (size_t i = 0; i < t->nadded; i++) {
            if (!f->match.text[i] || (unsigned char)f->match.text[i][0] != c) continue;
            uint32_t n = f->match.len[i];
            size_t k = begin;
            while (k < at && lens[k] > n) k++;
            if (k < at && lens[k] == n) continue;
            memmove(lens + k + 1, lens + k, (at - k) * sizeof *lens);
            lens[k] = n;
            at++;
        }
        f->lens[c] = at > begin ? lens + begin : NULL;
        if (at > begin) at++; /* the 0 that ends it */
    }
    return ADA_OK;
}

ada_status ada_added_build(ada_tok *t) {
    t->ids = t->vocab.ids;
    ADA_TRY(ada_vocab_size(&t->added_index, &t->arena, t->nadded ? t->nadded : 1));
    bool words = false;
    for (size_t i = 0; i < t->nadded; i++) {
        ada_added *a = &t->added[i];
        if (!ada_vocab_put(&t->added_index, (uint32_t)i, a->text, a->len))
            return ada_fail(ADA_EFORMAT, "added token '%s' is there twice", a->text);
        if ((size_t)a->id >= t->ids) t->ids = (size_t)a->id + 1;
        words |= a->single_word;
        a->match = a->text;
        a->nmatch = a->len;
        if (!a->normalized || t->normalizer.len == 0) continue;
        ada_flow f = {0};
        ada_status st = ada_buf_add(&f.text, a->text, a->len);
        if (st == ADA_OK) st = ada_pieces_add(&f.pieces, (ada_piece){0, a->len, -1, ADA_HEAD_TEXT});
        if (st == ADA_OK) st = ada_ops_run(&t->normalizer, &f);
        a->nmatch = f.pieces.len ? f.pieces.data[0].len : 0;
        if (st == ADA_OK && !(a->match = ada_arena_str(&t->arena, f.text.data, a->nmatch))) st = ADA_ENOMEM;
        ada_flow_free(&f);
        if (st != ADA_OK) return st;
    }
    ADA_TRY(ada_arena_take(&t->arena, &t->added_of, t->ids, sizeof *t->added_of));
    memset(t->added_of, 0xff, t->ids * sizeof *t->added_of);
    for (size_t i = 0; i < t->nadded; i++) t->added_of[t->added[i].id] = (int32_t)i;
    if (words) ADA_TRY(ada_regex_open(&t->word, "[" ADA_RUST_WORD "]"));
    ADA_TRY(build_finder(t, &t->raw, false));
    return build_finder(t, &t->normal, true);
}

/* The longest token at s[at], or -1. */
static int32_t token_at(const ada_tok *t, const ada_finder *f, const char *s, size_t n, bool plain) {
    for (const uint32_t *len = f->lens[(unsigned char)*s]; len && *len; len++) {
        int32_t i = *len <= n ? ada_vocab_find(&f->match, s, *len) : -1;
        if (i >= 0) return plain && t->added[i].special ? -2 - i : i;
    }
    return -1;
}

static ada_status is_word(const ada_tok *t, const char *s, size_t n, bool *yes) {
    ada_regex_walk w = {0};
    size_t b, e;
    ada_status st = ada_regex_begin(&w, t->word, s, n);
    if (st == ADA_OK) st = ada_regex_next(&w, &b, &e);
    ada_regex_end(&w);
    *yes = st == ADA_OK;
    return st == ADA_DONE ? ADA_OK : st;
}

/* Does text[begin, end) stand alone in text[0, n)? */
static ada_status stands_alone(const ada_tok *t, const char *s, size_t n, size_t begin, size_t end,
                               bool *yes) {
    bool left = false, right = false;
    size_t last = ada_utf8_last(s, begin), next = end;
    if (begin) ADA_TRY(is_word(t, s + last, begin - last, &left));
    if (end < n) {
        ada_utf8_next(s, n, &next);
        ADA_TRY(is_word(t, s + end, next - end, &right));
    }
    *yes = !left && !right;
    return ADA_OK;
}

static ada_status cut_piece(const ada_tok *t, const ada_finder *f, ada_flow *flow, ada_piece p, bool plain) {
    const char *s = flow->text.data + p.at;
    size_t from = 0;
    for (size_t at = 0; at < p.len;) {
        if (!f->lens[(unsigned char)s[at]]) {
            at++;
            continue;
        }
        int32_t i = token_at(t, f, s + at, p.len - at, plain);
        if (i < 0) {
            at += i == -1 ? 1 : t->added[-2 - i].nmatch;
            continue;
        }
        const ada_added *a = &t->added[i];
        size_t begin = at, end = at + a->nmatch;
        at = end;
        if (a->single_word) {
            bool alone;
            ADA_TRY(stands_alone(t, s, p.len, begin, end, &alone));
            if (!alone) continue;
        }
        if (a->lstrip) {
            for (size_t k = begin, q; k > from; k = begin = q) {
                q = ada_utf8_last(s, k);
                size_t next = q;
                if (q < from || !ada_uni_space(ada_utf8_next(s, k, &next))) break;
            }
            if (begin < from) begin = from < end ? from : end;
        }
        if (a->rstrip)
            for (size_t next = end; end < p.len && ada_uni_space(ada_utf8_next(s, p.len, &next));
                 end = next) {
            }
        if (from < begin)
            ADA_TRY(ada_pieces_add(&flow->other,
                                   (ada_piece){p.at + from, begin - from, -1, from == 0 ? p.head : 0}));
        ADA_TRY(ada_pieces_add(&flow->other, (ada_piece){p.at + begin, end - begin, a->id, ADA_HEAD_NONE}));
        from =
            end; /* but the search goes on behind the token itself, and may find one in the space it took */
    }
    return from < p.len ? ada_pieces_add(&flow->other,
                                         (ada_piece){p.at + from, p.len - from, -1, from == 0 ? p.head : 0})
                        : ADA_OK;
}

static ada_status cut_all(const ada_tok *t, const ada_finder *f, ada_flow *flow, bool plain) {
    flow->other.len = 0;
    for (size_t i = 0; i < flow->pieces.len; i++) {
        ada_piece p = flow->pieces.data[i];
        if (p.id >= 0)
            ADA_TRY(ada_pieces_add(&flow->other, p));
        else
            ADA_TRY(cut_piece(t, f, flow, p, plain));
    }
    ada_pieces v = flow->pieces;
    flow->pieces = flow->other;
    flow->other = v;
    return ADA_OK;
}

ada_status ada_added_cut(const ada_tok *t, ada_flow *f, bool plain) {
    if (t->raw.match.count) ADA_TRY(cut_all(t, &t->raw, f, plain));
    ADA_TRY(ada_ops_run(&t->normalizer, f));
    return t->normal.match.count ? cut_all(t, &t->normal, f, plain) : ADA_OK;
}
