/* SPDX-License-Identifier: Apache-2.0
 * SentencePiece's Unigram model: of all ways to cut a piece of text into entries, the one whose scores sum to
 * most; a character that no entry begins with is unknown. Owns: entries in the order of their bytes, and
 * their scores. Must not know: where pieces come from. Invariant: a piece of n bytes takes one entry of
 * working memory a byte, and of equal sums the one found first stays, as in tokenizers. */
#include "io/os.h"
#include "io/tok_part.h"

#include <stdlib.h>
#include <string.h>

static const double unknown_penalty = 10; /* below the worst entry */

struct entry {
    const char *text;
    uint32_t len;
    int32_t id;
};
struct unigram {
    struct entry *sorted; /* [n] different entries, by their bytes */
    size_t n;
    double *score; /* [ids] */
    double unknown;
    int32_t unk;
    int32_t bytes[256]; /* ids of <0x00> … <0xFF>, -1 */
    bool byte_fallback;
};

/* ---- opening ---- */
static int entry_cmp(const void *pa, const void *pb) {
    const struct entry *a = pa, *b = pb;
    size_t n = a->len < b->len ? a->len : b->len;
    int c = memcmp(a->text, b->text, n);
    return c ? c : a->len < b->len ? -1 : a->len > b->len;
}

static ada_status state_new(ada_tok *t, struct unigram **u) {
    ADA_TRY(ada_arena_zero(&t->arena, u, 1, sizeof **u));
    t->state = *u;
    return ADA_OK;
}

/* The vocabulary is there, and a score for each of its ids. */
static ada_status settle(ada_tok *t, struct unigram *u) {
    const ada_vocab *v = &t->vocab;
    double least = 0;
    ADA_TRY(ada_arena_take(&t->arena, &u->sorted, v->ids, sizeof *u->sorted));
    for (size_t id = 0; id < v->ids; id++) {
        if (id == 0 || u->score[id] < least) least = u->score[id];
        if (!v->len[id] || ada_vocab_find(v, v->text[id], v->len[id]) != (int32_t)id) continue;
        u->sorted[u->n++] = (struct entry){v->text[id], v->len[id], (int32_t)id};
    }
    qsort(u->sorted, u->n, sizeof *u->sorted, entry_cmp);
    u->unknown = least - unknown_penalty;
    for (unsigned i = 0; i < 256; i++) {
        static const char hex[] = "0123456789ABCDEF";
        u->bytes[i] = ada_vocab_find(v, (const char[]){'<', '0', 'x', hex[i >> 4], hex[i & 15], '>'}, 6);
    }
    return ADA_OK;
}

static ada_status check_unk(struct unigram *u, const ada_json *unk, size_t ids) {
    int64_t id = ada_json_int(unk, -1);
    u->unk = -1;
    if (ada_json_is_null(unk)) return ADA_OK;
    if (!ada_json_is_int(unk) || id < 0 || (size_t)id >= ids)
        return ada_fail(ADA_EFORMAT, "unknown token's id is none of the vocabulary's %zu", ids);
    u->unk = (int32_t)id;
    return ADA_OK;
}

/* [["entry", score], …]: the place is the id; of equal entries the last counts. */
static ada_status read_scored(ada_tok *t, struct unigram *u, const ada_json *list) {
    size_t n = ada_json_len(list), bytes = 0, at = 0;
    if (!ada_json_is_arr(list) || n == 0) return ada_fail(ADA_EFORMAT, "tokenizer has no 'vocab'");
    for (size_t i = 0; i < n; i++) {
        const ada_json *e = ada_json_at(list, i), *s = ada_json_at(e, 0);
        if (ada_json_len(e) != 2 || !ada_json_is_str(s) || !ada_json_is_num(ada_json_at(e, 1)))
            return ada_fail(ADA_EFORMAT, "vocabulary entry %zu is not a string with a score", i);
        bytes += ada_json_strlen(s) + 1;
    }
    char *pool;
    ADA_TRY(ada_vocab_size(&t->vocab, &t->arena, n));
    ADA_TRY(ada_arena_take(&t->arena, &pool, bytes, 1));
    ADA_TRY(ada_arena_take(&t->arena, &u->score, n, sizeof *u->score));
    for (size_t i = n; i-- > 0;) {
        const ada_json *e = ada_json_at(list, i), *s = ada_json_at(e, 0);
        size_t len = ada_json_strlen(s);
        u->score[i] = ada_json_num(ada_json_at(e, 1), 0);
        ada_vocab_put(&t->vocab, (uint32_t)i, memcpy(pool + at, ada_json_str(s, ""), len + 1), len);
        at += len + 1;
    }
    t->vocab.count = n; /* added tokens are numbered from here on */
    return ADA_OK;
}

static ada_status open_json(ada_tok *t, const ada_json *m) {
    struct unigram *u;
    ADA_TRY(state_new(t, &u));
    ADA_TRY(read_scored(t, u, ada_json_get(m, "vocab")));
    ADA_TRY(check_unk(u, ada_json_get(m, "unk_id"), t->vocab.ids));
    u->byte_fallback = ada_json_bool(ada_json_get(m, "byte_fallback"), false);
    return settle(t, u);
}

static ada_status open_gguf(ada_tok *t, const ada_json *meta) {
    struct unigram *u;
    const ada_json *scores = ada_json_get(meta, "tokenizer.ggml.scores"),
                   *unk = ada_json_get(meta, "tokenizer.ggml.unknown_token_id");
    ADA_TRY(state_new(t, &u));
    if (ada_json_len(scores) != t->vocab.ids)
        return ada_fail(ADA_EFORMAT, "'tokenizer.ggml.scores' has %zu values for %zu tokens",
                        ada_json_len(scores), t->vocab.ids);
    ADA_TRY(ada_arena_take(&t->arena, &u->score, t->vocab.ids, sizeof *u->score));
    for (size_t i = 0; i < t->vocab.ids; i++) u->score[i] = ada_json_num(ada_json_at(scores, i), 0);
    ADA_TRY(check_unk(u, unk, t->vocab.ids));
    return settle(t, u);
}

/* ---- encoding ---- */
struct node { /* the best way to reach a byte */
    double score;
    uint32_t from; /* where its last entry begins; NONE: not reached */
    uint32_t to;   /* where the next one ends, on the way that was chosen */
    int32_t id;
};
enum { NONE = UINT32_MAX };

static void reach(struct node *to, double score, size_t from, int32_t id) {
    if (to->from == (uint32_t)NONE || score > to->score) *to = (struct node){score, (uint32_t)from, 0, id};
}

/* First of the entries [lo, hi), equal up to byte k, whose byte k is at least c. */
static size_t first_with(const struct unigram *u, size_t lo, size_t hi, size_t k, unsigned c) {
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if ((unsigned char)u->sorted[mid].text[k] < c)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* All entries that s [n] begins with, shortest first. */
static void reach_all(const struct unigram *u, struct node *best, size_t at, const char *s, size_t n,
                      size_t character) {
    size_t lo = 0, hi = u->n;
    bool alone = false;
    for (size_t k = 0; k < n && lo < hi; k++) {
        unsigned c = (unsigned char)s[k];
        lo = first_with(u, lo, hi, k, c);
        hi = first_with(u, lo, hi, k, c + 1);
        if (lo == hi || u->sorted[lo].len != k + 1) continue;
        reach(&best[k + 1], best->score + u->score[u->sorted[lo].id], at, u->sorted[lo].id);
        alone |= k + 1 == character;
        lo++; /* the rest is longer */
    }
    if (!alone) reach(&best[character], best->score + u->unknown, at, u->unk);
}

static ada_status add_unknown(const struct unigram *u, const char *s, size_t n, ada_ids *out) {
    bool bytes = u->byte_fallback;
    for (size_t i = 0; i < n && bytes; i++) bytes = u->bytes[(unsigned char)s[i]] >= 0;
    for (size_t i = 0; i < n && bytes; i++) ADA_TRY(ada_ids_push(out, u->bytes[(unsigned char)s[i]]));
    if (bytes) return ADA_OK;
    if (u->unk >= 0) return ada_ids_push(out, u->unk);
    return ada_fail(ADA_EFORMAT, "tokenizer has no unknown token, and '%.*s' is none of its entries", (int)n,
                    s);
}

static ada_status add_entry(const ada_tok *t, const struct unigram *u, const char *s, size_t n,
                            ada_ids *out) {
    int32_t id = ada_vocab_find(&t->vocab, s, n);
    return id >= 0 ? ada_ids_push(out, id) : add_unknown(u, s, n, out);
}

static ada_status encode(const ada_tok *t, ada_flow *f, const char *s, size_t n, ada_ids *out) {
    const struct unigram *u = t->state;
    size_t bytes;
    if (n >= INT32_MAX || !ada_mul_size(n + 1, sizeof(struct node), &bytes))
        return ada_fail(ADA_EUNSUPPORTED, "text of %zu bytes is too long to encode", n);
    ADA_TRY(ada_flow_room(f, bytes, n));
    struct node *best = f->work;
    for (size_t i = 0; i <= n; i++) best[i] = (struct node){0, (uint32_t)NONE, 0, -1};
    for (size_t at = 0, next = 0; at < n; at = next) {
        ada_utf8_next(s, n, &next);
        reach_all(u, best + at, at, s + at, n - at, next - at);
    }
    for (uint32_t to = (uint32_t)n, from; to > 0; to = from) {
        from = best[to].from;
        if (best[to].id == u->unk) /* unknown ones side by side are one */
            while (from > 0 && best[from].id == u->unk) from = best[from].from;
        best[from].to = to;
    }
    for (size_t at = 0; at < n; at = best[at].to) ADA_TRY(add_entry(t, u, s + at, best[at].to - at, out));
    return ADA_OK;
}

const struct ada_tok_model ada_tok_model_unigram = {
    .type = "Unigram", .ggml = {"t5"}, .open = open_json, .open_gguf = open_gguf, .encode = encode};
