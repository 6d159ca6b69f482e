/* SPDX-License-Identifier: Apache-2.0
 * Byte-pair encoding: characters of a piece become ids, then neighbours merge, lowest rank first, leftmost of
 * equals. Owns: the table of merges. Must not know: where pieces come from; byte-level and
 * SentencePiece-style vocabularies differ only by what has been done to the text before. Invariant: a piece
 * of n characters takes O(n log n) steps and one block of working memory. */
#include "io/os.h"
#include "io/tok_part.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST = 0x180 }; /* characters below have their ids in a table: all of the byte-level alphabet */

struct merge {
    uint64_t pair; /* left << 32 | right; UINT64_MAX: free */
    uint32_t rank, id;
};
struct bpe {
    struct merge *merges; /* [mask + 1] */
    size_t mask;
    int32_t first[FIRST];
    int32_t bytes[256]; /* ids of <0x00> … <0xFF>, -1 */
    int32_t unk;
    bool fuse_unk, byte_fallback, ignore_merges;
};

static const struct merge *merge_find(const struct bpe *b, uint32_t left, uint32_t right) {
    uint64_t pair = (uint64_t)left << 32 | right, h = pair * 0x9e3779b97f4a7c15u;
    for (size_t i = (h >> 32) & b->mask;; i = (i + 1) & b->mask) {
        if (b->merges[i].pair == pair) return &b->merges[i];
        if (b->merges[i].pair == UINT64_MAX) return NULL;
    }
}

static ada_status merges_size(ada_tok *t, struct bpe *b, size_t n) {
    if (n > (size_t)1 << 26)
        return ada_fail(ADA_EUNSUPPORTED, "tokenizer has %zu merges, more than %d", n, 1 << 26);
    b->mask = 1;
    while (b->mask < 2 * n) b->mask = b->mask * 2 + 1;
    ADA_TRY(ada_arena_take(&t->arena, &b->merges, b->mask + 1, sizeof *b->merges));
    memset(b->merges, 0xff, (b->mask + 1) * sizeof *b->merges);
    return ADA_OK;
}

/* The last of equal pairs counts, as in a map that is filled in order. */
static void merge_put(struct bpe *b, uint32_t left, uint32_t right, uint32_t rank, uint32_t id) {
    uint64_t pair = (uint64_t)left << 32 | right, h = pair * 0x9e3779b97f4a7c15u;
    size_t i = (h >> 32) & b->mask;
    while (b->merges[i].pair != UINT64_MAX && b->merges[i].pair != pair) i = (i + 1) & b->mask;
    b->merges[i] = (struct merge){pair, rank, id};
}

static ada_status merge_named(ada_tok *t, struct bpe *b, uint32_t rank, const char *l, size_t nl,
                              const char *r, size_t nr, ada_buf *both) {
    both->len = 0;
    ADA_TRY(ada_buf_add(both, l, nl));
    ADA_TRY(ada_buf_add(both, r, nr));
    int32_t left = ada_vocab_find(&t->vocab, l, nl), right = ada_vocab_find(&t->vocab, r, nr);
    int32_t id = ada_vocab_find(&t->vocab, both->data, both->len);
    if (left < 0 || right < 0 || id < 0)
        return ada_fail(ADA_EFORMAT, "merge %u has '%.*s', which is not in the vocabulary", rank,
                        (int)(left < 0    ? nl
                              : right < 0 ? nr
                                          : both->len),
                        left < 0    ? l
                        : right < 0 ? r
                                    : both->data);
    merge_put(b, (uint32_t)left, (uint32_t)right, rank, (uint32_t)id);
    return ADA_OK;
}

static ada_status read_merges(ada_tok *t, struct bpe *b, const ada_json *list, ada_buf *both) {
    size_t n = ada_json_len(list);
    ADA_TRY(merges_size(t, b, n));
    for (size_t i = 0; i < n; i++) {
        const ada_json *m = ada_json_at(list, i), *l = ada_json_at(m, 0), *r = ada_json_at(m, 1);
        const char *s = ada_json_str(m, NULL);
        const char *space = s ? strchr(s, ' ') : NULL;
        if (space && !strchr(space + 1, ' ')) {
            ADA_TRY(
                merge_named(t, b, (uint32_t)i, s, (size_t)(space - s), space + 1, strlen(space + 1), both));
        } else if (!s && ada_json_len(m) == 2 && ada_json_is_str(l) && ada_json_is_str(r)) {
            ADA_TRY(merge_named(t, b, (uint32_t)i, ada_json_str(l, ""), ada_json_strlen(l),
                                ada_json_str(r, ""), ada_json_strlen(r), both));
        } else {
            return ada_fail(ADA_EFORMAT, "merge %zu is not a pair of tokens", i);
        }
    }
    return ADA_OK;
}

static void fill_tables(const ada_tok *t, struct bpe *b) {
    for (uint32_t c = 0; c < FIRST; c++) {
        char s[4];
        b->first[c] = ada_vocab_find(&t->vocab, s, ada_utf8_put(c, s));
    }
    for (unsigned i = 0; i < 256; i++) {
        static const char hex[] = "0123456789ABCDEF";
        b->bytes[i] =
            ada_vocab_find(&t->vocab, (const char[]){'<', '0', 'x', hex[i >> 4], hex[i & 15], '>'}, 6);
    }
}

static ada_status state_new(ada_tok *t, struct bpe **b) {
    ADA_TRY(ada_arena_zero(&t->arena, b, 1, sizeof **b));
    t->state = *b;
    (*b)->unk = -1;
    return ADA_OK;
}

static ada_status open_json(ada_tok *t, const ada_json *m) {
    struct bpe *b;
    ADA_TRY(state_new(t, &b));
    const ada_json *drop = ada_json_get(m, "dropout");
    if (ada_json_num(drop, 0) != 0)
        return ada_fail(ADA_EUNSUPPORTED, "tokenizer has 'dropout', which makes encoding random");
    static const char *const marks[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    for (size_t i = 0; i < 2; i++)
        if (*ada_json_str(ada_json_get(m, marks[i]), ""))
            return ada_fail(ADA_EUNSUPPORTED, "tokenizer has '%s', which is not supported", marks[i]);
    ADA_TRY(ada_tok_read_vocab(t, ada_json_get(m, "vocab")));
    b->fuse_unk = ada_json_bool(ada_json_get(m, "fuse_unk"), false);
    b->byte_fallback = ada_json_bool(ada_json_get(m, "byte_fallback"), false);
    b->ignore_merges = ada_json_bool(ada_json_get(m, "ignore_merges"), false);
    const char *unk = ada_json_str(ada_json_get(m, "unk_token"), NULL);
    if (unk && (b->unk = ada_vocab_find(&t->vocab, unk, strlen(unk))) < 0)
        return ada_fail(ADA_EFORMAT, "unknown token '%s' is not in the vocabulary", unk);
    fill_tables(t, b);
    const ada_json *merges = ada_json_get(m, "merges");
    if (!ada_json_is_arr(merges)) return ada_fail(ADA_EFORMAT, "tokenizer has no list 'merges'");
    ada_buf both = {0};
    ada_status st = read_merges(t, b, merges, &both);
    ada_buf_free(&both);
    return st;
}

/* ---- SentencePiece's scores: every way to put an entry together from two others is a merge, of higher score
 * first; the order among equals is the one that transformers' conversion gives ---- */
struct split {
    float score;
    uint32_t nleft, nright; /* in characters */
    uint32_t left, right, id;
};

static uint32_t count_chars(const char *s, size_t n) {
    uint32_t k = 0;
    for (size_t i = 0; i < n; i++) k += ((unsigned char)s[i] & 0xc0) != 0x80;
    return k;
}

static int split_cmp(const void *pa, const void *pb) {
    const struct split *a = pa, *b = pb;
    if (a->score != b->score) return a->score > b->score ? -1 : 1;
    if (a->nleft != b->nleft) return a->nleft > b->nleft ? -1 : 1;
    if (a->nright != b->nright) return a->nright > b->nright ? -1 : 1;
    if (a->id != b->id) return a->id < b->id ? -1 : 1;
    if (a->left != b->left) return a->left < b->left ? -1 : 1;
    return a->right < b->right ? -1 : a->right > b->right;
}

static ada_status scores_to_merges(ada_tok *t, struct bpe *b, const ada_json *scores) {
    const ada_vocab *v = &t->vocab;
    size_t n = 0, bytes;
    for (size_t id = 0; id < v->ids; id++) n += v->text[id] && v->len[id] ? v->len[id] - 1 : 0;
    if (!ada_mul_size(n + 1, sizeof(struct split), &bytes))
        return ada_fail(ADA_ENOMEM, "no memory for %zu merges", n);
    ADA_TRY(merges_size(t, b, n));
    struct split *list = ada_os.alloc(bytes);
    if (!list) return ada_fail(ADA_ENOMEM, "no memory for %zu merges", n);
    n = 0;
    for (uint32_t id = 0; id < v->ids; id++) {
        const char *s = t->normal_token[id] ? v->text[id] : NULL;
        for (size_t k = 1; s && k < v->len[id]; k++) {
            if (((unsigned char)s[k] & 0xc0) == 0x80) continue;
            int32_t l = ada_vocab_find(v, s, k), r = l < 0 ? -1 : ada_vocab_find(v, s + k, v->len[id] - k);
            if (r < 0 || !t->normal_token[l] || !t->normal_token[r]) continue;
            list[n++] = (struct split){.score = (float)ada_json_num(ada_json_at(scores, id), 0),
                                       .nleft = count_chars(s, k),
                                       .nright = count_chars(s + k, v->len[id] - k),
                                       .left = (uint32_t)l,
                                       .right = (uint32_t)r,
                                       .id = id};
        }
    }
    qsort(list, n, sizeof *list, split_cmp);
    for (size_t i = 0; i < n; i++) merge_put(b, list[i].left, list[i].right, (uint32_t)i, list[i].id);
    ada_os.release(list);
    return ADA_OK;
}

static ada_status open_gguf(ada_tok *t, const ada_json *meta) {
    struct bpe *b;
    ADA_TRY(state_new(t, &b));
    fill_tables(t, b);
    if (strcmp(ada_json_str(ada_json_get(meta, "tokenizer.ggml.model"), ""), "gpt2") == 0) {
        const ada_json *merges = ada_json_get(meta, "tokenizer.ggml.merges");
        if (!ada_json_is_arr(merges)) return ada_fail(ADA_EFORMAT, "model has no 'tokenizer.ggml.merges'");
        b->ignore_merges = t->whole;
        ada_buf both = {0};
        ada_status st = read_merges(t, b, merges, &both);
        ada_buf_free(&both);
        return st;
    }
    const ada_json *scores = ada_json_get(meta, "tokenizer.ggml.scores");
    if (ada_json_len(scores) != t->vocab.ids)
        return ada_fail(ADA_EFORMAT, "'tokenizer.ggml.scores' has %zu values for %zu tokens",
                        ada_json_len(scores), t->vocab.ids);
    int64_t unk = ada_json_int(ada_json_get(meta, "tokenizer.ggml.unknown_token_id"), 0);
    b->unk = unk >= 0 && (size_t)unk < t->vocab.ids ? (int32_t)unk : -1;
    b->fuse_unk = b->byte_fallback = true;
    return scores_to_merges(t, b, scores);
}

/* ---- encoding ---- */
struct symbol {
    int32_t id, prev, next; /* id -1: merged into the one before */
};
struct candidate {
    uint32_t rank;
    int32_t at;
    uint32_t id;
};
struct work {
    struct symbol *sym;
    struct candidate *heap;
    size_t nsym, nheap;
};

static bool before(struct candidate a, struct candidate b) {
    return a.rank != b.rank ? a.rank < b.rank : a.at < b.at;
}

static void heap_push(struct work *w, struct candidate c) {
    size_t i = w->nheap++;
    for (; i && before(c, w->heap[(i - 1) / 2]); i = (i - 1) / 2) w->heap[i] = w->heap[(i - 1) / 2];
    w->heap[i] = c;
}

static struct candidate heap_pop(struct work *w) {
    struct candidate top = w->heap[0], c = w->heap[--w->nheap];
    size_t i = 0;
    for (size_t k; (k = 2 * i + 1) < w->nheap; i = k) {
        if (k + 1 < w->nheap && before(w->heap[k + 1], w->heap[k])) k++;
        if (!before(w->heap[k], c)) break;
        w->heap[i] = w->heap[k];
    }
    w->heap[i] = c;
    return top;
}

static void consider(const struct bpe *b, struct work *w, int32_t left) {
    if (left < 0 || w->sym[left].next < 0) return;
    const struct merge *m = merge_find(b, (uint32_t)w->sym[left].id, (uint32_t)w->sym[w->sym[left].next].id);
    if (m) heap_push(w, (struct candidate){m->rank, left, m->id});
}

/* Each merge removes a symbol and adds at most two candidates to the n - 1 there were: the heap holds 3 n. */
static void merge_all(const struct bpe *b, struct work *w) {
    for (size_t i = 0; i < w->nsym; i++) {
        w->sym[i].prev = (int32_t)i - 1;
        w->sym[i].next = i + 1 < w->nsym ? (int32_t)i + 1 : -1;
    }
    for (size_t i = 0; i < w->nsym; i++) consider(b, w, (int32_t)i);
    while (w->nheap) {
        struct candidate c = heap_pop(w);
        struct symbol *l = &w->sym[c.at];
        if (l->id < 0 || l->next < 0) continue;
        struct symbol *r = &w->sym[l->next];
        const struct merge *m = merge_find(b, (uint32_t)l->id, (uint32_t)r->id);
        if (!m || m->id != c.id) continue; /* a neighbour has changed since */
        l->id = (int32_t)c.id;
        l->next = r->next;
        r->id = -1;
        if (l->next >= 0) w->sym[l->next].prev = c.at;
        consider(b, w, l->prev);
        consider(b, w, c.at);
    }
}

static ada_status work_size(ada_flow *f, size_t n, struct work *w) {
    size_t bytes, each = sizeof(struct symbol) + 3 * sizeof(struct candidate);
    if (n > INT32_MAX || !ada_mul_size(n, each, &bytes))
        return ada_fail(ADA_EUNSUPPORTED, "text of %zu bytes is too long to encode", n);
    ADA_TRY(ada_flow_room(f, bytes, n));
    *w = (struct work){.sym = f->work, .heap = (struct candidate *)((struct symbol *)f->work + n)};
    return ADA_OK;
}

static void add_symbol(struct work *w, int32_t id) {
    w->sym[w->nsym++].id = id;
}

/* A byte without a token makes the whole character unknown. An unknown waits until the next known character,
 * over byte tokens in between: that is what tokenizers does. */
static void characters(const ada_tok *t, const struct bpe *b, const char *s, size_t n, struct work *w) {
    bool pending = false;
    for (size_t at = 0; at < n;) {
        size_t from = at;
        uint32_t c = ada_utf8_next(s, n, &at);
        int32_t id = c < FIRST ? b->first[c] : ada_vocab_find(&t->vocab, s + from, at - from);
        if (id >= 0) {
            if (pending) add_symbol(w, b->unk);
            pending = false;
            add_symbol(w, id);
            continue;
        }
        bool bytes = b->byte_fallback;
        for (size_t i = from; i < at && bytes; i++) bytes = b->bytes[(unsigned char)s[i]] >= 0;
        if (bytes) {
            for (size_t i = from; i < at; i++) add_symbol(w, b->bytes[(unsigned char)s[i]]);
        } else if (b->unk >= 0) {
            if (pending && !b->fuse_unk) add_symbol(w, b->unk);
            pending = true;
        }
    }
    if (pending) add_symbol(w, b->unk);
}

static ada_status encode(const ada_tok *t, ada_flow *f, const char *s, size_t n, ada_ids *out) {
    const struct bpe *b = t->state;
    if (b->ignore_merges) {
        int32_t id = ada_vocab_find(&t->vocab, s, n);
        if (id >= 0) return ada_ids_push(out, id);
    }
    struct work w;
    ADA_TRY(work_size(f, n, &w));
    characters(t, b, s, n, &w);
    merge_all(b, &w);
    for (size_t i = 0; i < w.nsym; i++)
        if (w.sym[i].id >= 0) ADA_TRY(ada_ids_push(out, w.sym[i].id));
    return ADA_OK;
}

const struct ada_tok_model ada_tok_model_bpe = {
    .type = "BPE", .ggml = {"gpt2", "llama"}, .open = open_json, .open_gguf = open_gguf, .encode = encode};
