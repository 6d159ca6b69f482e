/* SPDX-License-Identifier: Apache-2.0
 * Owns: what stands for an image between tokens. Must not know: how tokens are made. Invariant: a mark that
 * the tokenizer knows is encoded where it stands, so that the text around it is cut as that tokenizer cuts
 * it. */
#include "engine/spell.h"
#include <string.h>

static const char mark[] = ADA_IMAGE_MARK;
enum { MARK = sizeof mark - 1 };

static const char *next_mark(const char *s, size_t n) {
    return n < MARK ? NULL : memmem(s, n, mark, MARK);
}

ada_status ada_sight_check(const ada_sight *s, const ada_model *m, size_t marks) {
    if (s->n == 0) return ADA_OK;
    if (!m->vision || !s->images)
        return ada_fail(ADA_EINVAL, "an image, but model '%s' has no vision tower: see adalink compose",
                        m->name);
    if (marks == s->n) return ADA_OK;
    return ada_fail(ADA_EINVAL, "%zu of '%s' in the text for %zu images", marks, mark, s->n);
}

ada_status ada_spell_prompt(const ada_model *m, ada_buf *b, const char **text, size_t *n, bool *bos) {
    *bos = m->vision && m->vision->prompt == ADA_PROMPT_FIRST && ada_tok_bos(m->tok) >= 0;
    if (!*bos) return ADA_OK;
    size_t end = 0;
    for (const char *at; (at = next_mark(*text + end, *n - end));) end = (size_t)(at - *text) + MARK;
    b->len = 0;
    ADA_TRY(ada_buf_add(b, *text, end));
    ADA_TRY(ada_buf_puts(b, ada_tok_text(m->tok, ada_tok_bos(m->tok))));
    ADA_TRY(ada_buf_add(b, *text + end, *n - end));
    ADA_TRY(ada_buf_puts(b, "\n"));
    *text = b->data, *n = b->len;
    return ADA_OK;
}

/* ---- an image as text: a mark for each tile ---- */

static ada_status spell_tiles(const ada_picture *p, ada_buf *b) {
    static const char fake[] = "<fake_token_around_image>";
    for (int32_t y = 0; y < p->down; y++) {
        for (int32_t x = 0; x < p->across; x++)
            ADA_TRY(ada_buf_printf(b, "%s<row_%d_col_%d>%s", fake, y + 1, x + 1, mark));
        ADA_TRY(ada_buf_puts(b, "\n"));
    }
    return ada_buf_printf(b, "%s%s<global-img>%s%s", p->down ? "\n" : "", fake, mark, fake);
}

static ada_status spell_image(const ada_model *m, const ada_picture *p, ada_buf *b) {
    if (m->vision->prompt == ADA_PROMPT_TILES) return spell_tiles(p, b);
    for (int32_t i = 0; i < p->tiles; i++) ADA_TRY(ada_buf_puts(b, mark));
    return ADA_OK;
}

/* ---- marks as rows ---- */

typedef struct tiles { /* of the images met so far: a tile's first row, and how many */
    ada_ids first, rows;
} tiles;

static ada_status add_tiles(tiles *t, const ada_picture *p) {
    for (int32_t i = 0; i < p->tiles; i++) {
        ADA_TRY(ada_ids_push(&t->first, p->first + i * p->rows));
        ADA_TRY(ada_ids_push(&t->rows, p->rows));
    }
    return ADA_OK;
}

static ada_status push_rows(const ada_model *m, const tiles *t, size_t i, ada_ids *out) {
    for (int32_t k = 0; k < t->rows.data[i]; k++)
        ADA_TRY(ada_ids_push(out, m->c.vocab + t->first.data[i] + k));
    return ADA_OK;
}

/* The tokenizer has a token for a mark. */
static ada_status encode_known(const ada_model *m, const ada_buf *b, const tiles *t, int32_t id,
                               unsigned flags, ada_ids *out) {
    ada_ids raw = {0};
    size_t tile = 0;
    ada_status st = ada_tok_encode(m->tok, b->data, b->len, flags, &raw);
    for (size_t i = 0; st == ADA_OK && i < raw.len; i++) {
        if (raw.data[i] != id)
            st = ada_ids_push(out, raw.data[i]);
        else if (tile < t->first.len)
            st = push_rows(m, t, tile++, out);
        else
            st = ada_fail(ADA_EINVAL, "the tokenizer finds more images in the text than it has");
    }
    ada_ids_free(&raw);
    if (st == ADA_OK && tile < t->first.len)
        st = ada_fail(ADA_EUNSUPPORTED, "the tokenizer does not find '%s' in the text", mark);
    return st;
}

/* It has none: the text is encoded in the pieces between them. */
static ada_status encode_pieces(const ada_model *m, const ada_buf *b, const tiles *t, unsigned flags,
                                ada_ids *out) {
    const char *s = b->data, *end = s + b->len;
    for (size_t tile = 0;; tile++) {
        const char *at = next_mark(s, (size_t)(end - s));
        size_t n = (size_t)((at ? at : end) - s);
        unsigned own = at ? flags & ~(unsigned)ADA_TOK_SPECIAL : flags;
        if (n || !at) ADA_TRY(ada_tok_encode(m->tok, s, n, own, out));
        if (n) flags |= ADA_TOK_CONTINUE;
        if (!at) return ADA_OK;
        ADA_TRY(push_rows(m, t, tile, out));
        s = at + MARK;
    }
}

/* The stretch with its images spelled as text, and their tiles. */
static ada_status expand(ada_sight *s, const ada_model *m, const char *text, size_t n, ada_buf *b, tiles *t) {
    const char *end = text + n;
    ADA_TRY(ada_buf_puts(b, ""));
    for (const char *at; (at = next_mark(text, (size_t)(end - text))) && s->used < s->n; text = at + MARK) {
        ada_picture p;
        ADA_TRY(ada_images_add(s->images, s->paths[s->used++], &p));
        ADA_TRY(add_tiles(t, &p));
        ADA_TRY(ada_buf_add(b, text, (size_t)(at - text)));
        ADA_TRY(spell_image(m, &p, b));
    }
    return ada_buf_add(b, text, (size_t)(end - text));
}

ada_status ada_spell(ada_sight *s, const ada_model *m, const char *text, size_t n, unsigned flags,
                     ada_ids *out) {
    if (s->n == 0 || !next_mark(text, n)) return ada_tok_encode(m->tok, text, n, flags, out);
    ada_buf b = {0};
    tiles t = {{0}, {0}};
    int32_t id = ada_tok_find(m->tok, mark);
    ada_status st = expand(s, m, text, n, &b, &t);
    if (st == ADA_OK)
        st = id >= 0 ? encode_known(m, &b, &t, id, flags, out) : encode_pieces(m, &b, &t, flags, out);
    ada_ids_free(&t.first);
    ada_ids_free(&t.rows);
    ada_buf_free(&b);
    return st;
}
