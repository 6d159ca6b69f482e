/* SPDX-License-Identifier: Apache-2.0
 * The operations of a tokenizer: rewriting, cutting and joining pieces of text. Owns: lists of operations and
 * the flow of one text through them. Must not know: files, vocabularies. Invariant: pieces lie one after
 * another in flow.text; an empty piece is dropped by the operation that made it, except among a decoder's,
 * where a piece is a token and its number counts. */
#include "io/tok_part.h"
#include "io/os.h"

#include <string.h>

/* ---- lists ---- */
static ada_status grow(void *data, size_t *cap, size_t len, size_t size) {
    if (len < *cap) return ADA_OK;
    size_t want = *cap ? *cap * 2 : 32, bytes;
    void **p = data;
    void *q = ada_mul_size(want, size, &bytes) ? ada_os.resize(*p, *cap * size, bytes) : NULL;
    if (!q) return ada_fail(ADA_ENOMEM, "no memory for a list of %zu items", want);
    *p = q;
    *cap = want;
    return ADA_OK;
}

ada_status ada_pieces_add(ada_pieces *v, ada_piece p) {
    void *data = v->data;
    ada_status st = grow(&data, &v->cap, v->len, sizeof *v->data);
    v->data = data;
    if (st == ADA_OK) v->data[v->len++] = p;
    return st;
}

ada_status ada_ops_add(ada_ops *o, ada_op **op) {
    void *data = o->data;
    ada_status st = grow(&data, &o->cap, o->len, sizeof *o->data);
    o->data = data;
    if (st != ADA_OK) return st;
    *op = &o->data[o->len++];
    **op = (ada_op){0};
    return ADA_OK;
}

void ada_ops_close(ada_ops *o) {
    for (size_t i = 0; i < o->len; i++) ada_regex_close(&o->data[i].re);
    ada_os.release(o->data);
    *o = (ada_ops){0};
}

void ada_flow_free(ada_flow *f) {
    ada_buf_free(&f->text);
    ada_buf_free(&f->spare);
    ada_os.release(f->pieces.data);
    ada_os.release(f->other.data);
    ada_regex_end(&f->walk);
    ada_os.release(f->work);
    *f = (ada_flow){0};
}

ada_status ada_flow_room(ada_flow *f, size_t bytes, size_t n) {
    if (bytes <= f->work_size) return ADA_OK;
    ada_os.release(f->work);
    f->work = ada_os.alloc(bytes);
    f->work_size = f->work ? bytes : 0;
    return f->work ? ADA_OK : ada_fail(ADA_ENOMEM, "no memory to encode %zu bytes", n);
}

/* ---- running ---- */
static void swap_text(ada_flow *f) {
    ada_buf b = f->text;
    f->text = f->spare;
    f->spare = b;
}

static void swap_pieces(ada_flow *f) {
    ada_pieces p = f->pieces;
    f->pieces = f->other;
    f->other = p;
}

static ada_status run_rewrite(const ada_op *o, ada_flow *f, bool keep_empty) {
    f->spare.len = 0;
    size_t kept = 0;
    for (size_t i = 0; i < f->pieces.len; i++) {
        ada_piece p = f->pieces.data[i];
        const char *s = f->text.data + p.at;
        size_t at = f->spare.len;
        if (p.id >= 0)
            ADA_TRY(ada_buf_add(&f->spare, s, p.len));
        else
            ADA_TRY(o->rewrite(o, &p, s, f->stream && !f->first ? i + 1 : i, &f->spare));
        p.at = at;
        p.len = f->spare.len - at;
        if (p.len || keep_empty) f->pieces.data[kept++] = p;
    }
    f->pieces.len = kept;
    ADA_TRY(ada_buf_add(&f->spare, "", 0));
    swap_text(f);
    return ADA_OK;
}

/* Parts of one piece arrive in order, matches and what lies between; the behaviours join them to pieces. */
typedef struct ada_parts {
    ada_flow *f;
    const ada_op *o;
    ada_piece of;
    size_t first; /* piece of this split in f->other */
    bool last_match;
    size_t open; /* ADA_CUT_NEXT: where a delimiter waits for its text; SIZE_MAX: none */
} ada_parts;

static ada_status part_push(ada_parts *s, size_t begin, size_t end) {
    if (begin == end) return ADA_OK;
    return ada_pieces_add(&s->f->other,
                          (ada_piece){s->of.at + begin, end - begin, -1, begin == 0 ? s->of.head : 0});
}

static ada_status part_add(ada_parts *s, size_t begin, size_t end, bool match) {
    match ^= s->o->invert;
    bool last = s->last_match, join = false;
    s->last_match = match;
    ada_pieces *v = &s->f->other;
    switch (s->o->how) {
    case ADA_CUT_REMOVED:
        return match ? ADA_OK : part_push(s, begin, end);
    case ADA_CUT_ISOLATED:
        return part_push(s, begin, end);
    case ADA_CUT_PREVIOUS:
        join = match && !last;
        break;
    case ADA_CUT_TOGETHER:
        join = match == last;
        break;
    case ADA_CUT_NEXT:
        if (s->open != SIZE_MAX) {
            if (match) {
                ADA_TRY(part_push(s, s->open, begin));
            } else {
                begin = s->open;
            }
        }
        s->open = match ? begin : SIZE_MAX;
        return match ? ADA_OK : part_push(s, begin, end);
    }
    if (join && v->len > s->first) {
        v->data[v->len - 1].len += end - begin;
        return ADA_OK;
    }
    return part_push(s, begin, end);
}

static ada_status cut_one(const ada_op *o, ada_flow *f, ada_piece p) {
    const char *t = f->text.data + p.at;
    ada_parts s = {.f = f, .o = o, .of = p, .first = f->other.len, .open = SIZE_MAX};
    size_t prev = 0;
    if (o->re) {
        ADA_TRY(ada_regex_begin(&f->walk, o->re, t, p.len));
        for (;;) {
            size_t b, e;
            ada_status st = ada_regex_next(&f->walk, &b, &e);
            if (st == ADA_DONE) break;
            if (st != ADA_OK) return st;
            if (prev != b) ADA_TRY(part_add(&s, prev, b, false));
            ADA_TRY(part_add(&s, b, e, true));
            prev = e;
        }
    } else {
        for (size_t at = 0; at < p.len;) {
            size_t b = at;
            if (!o->cut(ada_utf8_next(t, p.len, &at))) continue;
            if (prev != b) ADA_TRY(part_add(&s, prev, b, false));
            ADA_TRY(part_add(&s, b, at, true));
            prev = at;
        }
    }
    if (prev != p.len) ADA_TRY(part_add(&s, prev, p.len, false));
    return s.open != SIZE_MAX ? part_push(&s, s.open, p.len) : ADA_OK;
}

static ada_status run_cut(const ada_op *o, ada_flow *f) {
    f->other.len = 0;
    for (size_t i = 0; i < f->pieces.len; i++) {
        ada_piece p = f->pieces.data[i];
        if (p.id >= 0)
            ADA_TRY(ada_pieces_add(&f->other, p));
        else
            ADA_TRY(cut_one(o, f, p));
    }
    swap_pieces(f);
    return ADA_OK;
}

ada_status ada_ops_run(const ada_ops *list, ada_flow *f) {
    for (size_t i = 0; i < list->len; i++) {
        const ada_op *o = &list->data[i];
        if (o->join)
            ADA_TRY(o->join(o, f));
        else if (o->rewrite)
            ADA_TRY(run_rewrite(o, f, list->tokens));
        else
            ADA_TRY(run_cut(o, f));
    }
    return ADA_OK;
}

/* ---- rewriting ---- */
static ada_status do_replace(const ada_op *o, ada_piece *p, const char *s, size_t i, ada_buf *out) {
    (void)i;
    size_t from = 0;
    for (const char *q; o->ntext && (q = memmem(s + from, p->len - from, o->text, o->ntext));
         from = (size_t)(q - s) + o->ntext) {
        ADA_TRY(ada_buf_add(out, s + from, (size_t)(q - s) - from));
        ADA_TRY(ada_buf_add(out, o->with, o->nwith));
    }
    return ada_buf_add(out, s + from, p->len - from);
}

static ada_status do_regex_replace(const ada_op *o, ada_piece *p, const char *s, size_t i, ada_buf *out) {
    (void)i;
    ada_regex_walk w = {0};
    size_t from = 0, b, e;
    ada_status st = ada_regex_begin(&w, o->re, s, p->len);
    while (st == ADA_OK && (st = ada_regex_next(&w, &b, &e)) == ADA_OK) {
        st = ada_buf_add(out, s + from, b - from);
        if (st == ADA_OK) st = ada_buf_add(out, o->with, o->nwith);
        from = e;
    }
    ada_regex_end(&w);
    return st == ADA_DONE ? ada_buf_add(out, s + from, p->len - from) : st;
}

static ada_status do_normal(const ada_op *o, ada_piece *p, const char *s, size_t i, ada_buf *out) {
    (void)i;
    return ada_uni_normalize((ada_normal_form)o->kind, s, p->len, out);
}

static ada_status do_lower(const ada_op *o, ada_piece *p, const char *s, size_t i, ada_buf *out) {
    (void)o;
    (void)i;
    return ada_uni_lower(s, p->len, out);
}

static ada_status do_no_marks(const ada_op *o, ada_piece *p, const char *s, size_t i, ada_buf *out) {
    (void)o;
    (void)i;
    for (size_t at = 0; at < p->len;) {
        size_t b = at;
        if (!ada_uni_mark(ada_utf8_next(s, p->len, &at))) ADA_TRY(ada_buf_add(out, s + b, at - b));
    }
    return ADA_OK;
}

static ada_status do_trim(const ada_op *o, ada_piece *p, const char *s, size_t i, ada_buf *out) {
    (void)i;
    size_t b = 0, e = p->len, at = 0;
    while (o->left && at < e && ada_uni_space(ada_utf8_next(s, e, &at))) b = at;
    while (o->right && e > b) {
        size_t last = ada_utf8_last(s, e);
        at = last;
        if (!ada_uni_space(ada_utf8_next(s, e, &at))) break;
        e = last;
    }
    if (b > 0) p->head = ADA_HEAD_NONE;
    return ada_buf_add(out, s + b, e - b);
}

static ada_status do_prepend(const ada_op *o, ada_piece *p, const char *s, size_t i, ada_buf *out) {
    (void)i;
    bool there = o->left && p->len >= o->ntext && memcmp(s, o->text, o->ntext) == 0;
    bool wanted = o->right ? p->head == ADA_HEAD_TEXT : p->head != ADA_HEAD_GOES_ON;
    if (p->len && !there && wanted) ADA_TRY(ada_buf_add(out, o->text, o->ntext));
    return ada_buf_add(out, s, p->len);
}

/* GPT-2's characters for bytes: visible Latin-1 stands for itself, the rest for U+0100 onwards. */
static bool visible(unsigned b) {
    return (b >= '!' && b <= '~') || (b >= 0xa1 && b != 0xad);
}

unsigned ada_byte_char(unsigned b) {
    if (visible(b)) return b;
    return b <= 0x20 ? 0x100 + b : b == 0xad ? 0x143 : b - 0x7f + 0x121;
}

static int char_byte(uint32_t c) {
    if (c < 0x100) return visible(c) ? (int)c : -1;
    if (c <= 0x120) return (int)c - 0x100;
    return c == 0x143 ? 0xad : c < 0x143 ? (int)c - 0x121 + 0x7f : -1;
}

static ada_status do_bytes(const ada_op *o, ada_piece *p, const char *s, size_t i, ada_buf *out) {
    (void)o;
    (void)i;
    for (size_t at = 0; at < p->len;) {
        char t[512];
        size_t n = 0;
        for (; at < p->len && n < sizeof t - 2; at++) {
            unsigned c = ada_byte_char((unsigned char)s[at]);
            if (c >= 0x80) t[n++] = (char)(0xc0 | c >> 6);
            t[n++] = (char)(c >= 0x80 ? 0x80 | (c & 0x3f) : c);
        }
        ADA_TRY(ada_buf_add(out, t, n));
    }
    return ADA_OK;
}

static ada_status do_strip(const ada_op *o, ada_piece *p, const char *s, size_t i, ada_buf *out) {
    size_t b = 0, e = p->len;
    if (!o->once || i == 0)
        for (size_t k = 0; k < o->start && e - b >= o->ntext && memcmp(s + b, o->text, o->ntext) == 0; k++)
            b += o->ntext;
    for (size_t k = 0; k < o->stop && e - b >= o->ntext && memcmp(s + e - o->ntext, o->text, o->ntext) == 0;
         k++)
        e -= o->ntext;
    return ada_buf_add(out, s + b, e - b);
}

static ada_status do_metaspace(const ada_op *o, ada_piece *p, const char *s, size_t i, ada_buf *out) {
    size_t from = 0;
    for (const char *q; (q = memmem(s + from, p->len - from, o->text, o->ntext));
         from = (size_t)(q - s) + o->ntext) {
        ADA_TRY(ada_buf_add(out, s + from, (size_t)(q - s) - from));
        if (i > 0 || !o->left) ADA_TRY(ada_buf_add(out, " ", 1));
    }
    return ada_buf_add(out, s + from, p->len - from);
}

/* ---- joining: for decoders ---- */
static ada_status one_piece(ada_flow *f) {
    f->pieces.len = 0;
    return ada_pieces_add(&f->pieces, (ada_piece){0, f->text.len, -1, ADA_HEAD_TEXT});
}

/* What of s is UTF-8. */
static ada_status keep_valid(const char *s, size_t n, ada_buf *out) {
    for (size_t at = 0, bad; at < n;) {
        size_t len = ada_utf8_check(s + at, n - at, &bad);
        if (len) ADA_TRY(ada_buf_add(out, s + at, len));
        at += len ? len : bad;
    }
    return ada_buf_add(out, "", 0);
}

static ada_status do_unbytes(const ada_op *o, ada_flow *f) {
    ada_buf raw = f->spare;
    raw.len = 0;
    for (size_t i = 0; i < f->pieces.len; i++) {
        const ada_piece *p = &f->pieces.data[i];
        const char *s = f->text.data + p->at;
        size_t start = raw.len;
        for (size_t at = 0; at < p->len;) {
            int b = char_byte(ada_utf8_next(s, p->len, &at));
            char c = (char)b;
            ada_status st = b >= 0 ? ada_buf_add(&raw, &c, 1) : ADA_DONE;
            if (st == ADA_DONE) { /* a token with any other character stands for itself */
                raw.len = start;
                st = ada_buf_add(&raw, s, p->len);
                at = p->len;
            }
            f->spare = raw;
            if (st != ADA_OK) return st;
        }
    }
    f->spare = raw;
    if (f->stream) {
        ADA_TRY(ada_buf_add(&f->spare, "", 0));
        swap_text(f);
    } else {
        f->text.len = 0;
        ADA_TRY(o->left ? keep_valid(raw.data, raw.len, &f->text)
                        : ada_utf8_clean(raw.data, raw.len, &f->text));
    }
    return one_piece(f);
}

static int fallback_byte(const char *s, size_t n) {
    if (n != 6 || memcmp(s, "<0x", 3) != 0 || s[5] != '>') return -1;
    int v = 0;
    for (int i = 3; i < 5; i++) {
        int c = s[i], d = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                                 : -1;
        if (i == 3 && c == '+') d = 0;
        if (d < 0) return -1;
        v = v * 16 + d;
    }
    return v;
}

/* A run of byte tokens is one piece of text if it is UTF-8, else one U+FFFD for each. */
static ada_status do_fallback(const ada_op *o, ada_flow *f) {
    (void)o;
    f->spare.len = 0;
    f->other.len = 0;
    for (size_t i = 0; i < f->pieces.len;) {
        size_t at = f->spare.len, run = 0;
        for (int b; i + run < f->pieces.len; run++) {
            const ada_piece *p = &f->pieces.data[i + run];
            if ((b = fallback_byte(f->text.data + p->at, p->len)) < 0) break;
            char c = (char)b;
            ADA_TRY(ada_buf_add(&f->spare, &c, 1));
        }
        if (run && !f->stream && !ada_utf8_valid(f->spare.data + at, run, NULL)) {
            f->spare.len = at;
            for (size_t k = 0; k < run; k++) ADA_TRY(ada_buf_add(&f->spare, "\xef\xbf\xbd", 3));
        }
        if (!run) {
            ADA_TRY(ada_buf_add(&f->spare, f->text.data + f->pieces.data[i].at, f->pieces.data[i].len));
            run = 1;
        }
        i += run;
        ADA_TRY(ada_pieces_add(&f->other, (ada_piece){at, f->spare.len - at, -1, ADA_HEAD_NONE}));
    }
    ADA_TRY(ada_buf_add(&f->spare, "", 0));
    swap_text(f);
    swap_pieces(f);
    return ADA_OK;
}

static ada_status do_fuse(const ada_op *o, ada_flow *f) {
    (void)o;
    return one_piece(f); /* pieces lie one after another already */
}

/* ---- makers ---- */
static ada_status text_op(ada_ops *o, ada_op **op, const char *text, const char *with) {
    ADA_TRY(ada_ops_add(o, op));
    (*op)->text = text;
    (*op)->ntext = strlen(text);
    (*op)->with = with;
    (*op)->nwith = strlen(with);
    return ADA_OK;
}

ada_status ada_op_replace(ada_ops *o, const char *text, const char *with) {
    ada_op *op;
    ADA_TRY(text_op(o, &op, text, with));
    op->rewrite = do_replace;
    return ADA_OK;
}

ada_status ada_op_regex_replace(ada_ops *o, const char *pattern, const char *with) {
    ada_op *op;
    ADA_TRY(text_op(o, &op, "", with));
    op->rewrite = do_regex_replace;
    return ada_regex_open(&op->re, pattern);
}

ada_status ada_op_regex(ada_ops *o, const char *pattern, ada_cut how, bool invert) {
    ada_op *op;
    ADA_TRY(ada_ops_add(o, &op));
    op->how = how;
    op->invert = invert;
    return ada_regex_open(&op->re, pattern);
}

ada_status ada_op_class(ada_ops *o, bool (*of)(uint32_t), ada_cut how) {
    ada_op *op;
    ADA_TRY(ada_ops_add(o, &op));
    op->cut = of;
    op->how = how;
    return ADA_OK;
}

ada_status ada_op_normal(ada_ops *o, ada_normal_form form) {
    ada_op *op;
    ADA_TRY(ada_ops_add(o, &op));
    op->rewrite = do_normal;
    op->kind = (int)form;
    return ADA_OK;
}

static ada_status plain_rewrite(ada_ops *o, ada_status (*f)(const ada_op *, ada_piece *, const char *, size_t,
                                                            ada_buf *)) {
    ada_op *op;
    ADA_TRY(ada_ops_add(o, &op));
    op->rewrite = f;
    return ADA_OK;
}

ada_status ada_op_lower(ada_ops *o) {
    return plain_rewrite(o, do_lower);
}
ada_status ada_op_no_marks(ada_ops *o) {
    return plain_rewrite(o, do_no_marks);
}
ada_status ada_op_bytes(ada_ops *o) {
    return plain_rewrite(o, do_bytes);
}

ada_status ada_op_trim(ada_ops *o, bool left, bool right) {
    ADA_TRY(plain_rewrite(o, do_trim));
    o->data[o->len - 1].left = left;
    o->data[o->len - 1].right = right;
    return ADA_OK;
}

ada_status ada_op_prepend(ada_ops *o, const char *text, bool unless, bool head) {
    ada_op *op;
    ADA_TRY(text_op(o, &op, text, ""));
    op->rewrite = do_prepend;
    op->left = unless;
    op->right = head;
    return ADA_OK;
}

static ada_status plain_join(ada_ops *o, ada_status (*f)(const ada_op *, ada_flow *)) {
    ada_op *op;
    ADA_TRY(ada_ops_add(o, &op));
    op->join = f;
    return ADA_OK;
}

ada_status ada_op_unbytes(ada_ops *o, bool drop) {
    ADA_TRY(plain_join(o, do_unbytes));
    o->data[o->len - 1].left = drop;
    return ADA_OK;
}
ada_status ada_op_fallback(ada_ops *o) {
    return plain_join(o, do_fallback);
}
ada_status ada_op_fuse(ada_ops *o) {
    return plain_join(o, do_fuse);
}

ada_status ada_op_strip(ada_ops *o, const char *text, size_t start, size_t stop) {
    ada_op *op;
    bool once = false;
    for (size_t i = 0; i < o->len; i++) once |= o->data[i].join == do_fuse || o->data[i].join == do_unbytes;
    ADA_TRY(text_op(o, &op, text, ""));
    op->rewrite = do_strip;
    op->start = start;
    op->stop = stop;
    op->once = once;
    return ADA_OK;
}

ada_status ada_op_metaspace(ada_ops *o, const char *mark, bool drop_first) {
    ada_op *op;
    ADA_TRY(text_op(o, &op, mark, ""));
    op->rewrite = do_metaspace;
    op->left = drop_first;
    return ADA_OK;
}
