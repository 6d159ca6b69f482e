/* SPDX-License-Identifier: Apache-2.0
 * Tokenise and mask. Owns: where BOS and EOS go, what is a target, what is cut.
 * Must not know: packs or losses. Invariant: text is encoded in the pieces generation would see: what the
 * model is to say is encoded apart from what precedes it, so that no token straddles the border, and as
 * its continuation, so that the ids are those of the whole text wherever no merge crosses the border. */
#include "engine/example.h"
#include <string.h>

/* A row while it is being read: ids, and a run of targets at a time. */
typedef struct draft {
    ada_ids ids;
    ada_ids source; /* of an encoder-decoder */
    ada_ids mask;   /* 0 or 1 for each id */
    ada_buf text, prompt;
    ada_sight sight;
    int32_t bos; /* 1 when a BOS was put in front */
    bool begun;  /* some of the text stands there */
} draft;

static ada_status add_text(draft *x, const ada_model *m, const char *s, size_t n, int32_t target) {
    ADA_TRY(ada_spell(&x->sight, m, s, n, x->begun ? ADA_TOK_CONTINUE : 0, &x->ids));
    x->begun |= n > 0;
    while (x->mask.len < x->ids.len) ADA_TRY(ada_ids_push(&x->mask, target));
    return ADA_OK;
}

static ada_status add_id(draft *x, int32_t id, int32_t target) {
    ADA_TRY(ada_ids_push(&x->ids, id));
    return ada_ids_push(&x->mask, target);
}

static ada_status add_bos(draft *x, const ada_model *m) {
    if (!ada_tok_adds_bos(m->tok)) return ADA_OK;
    x->bos = 1;
    return add_id(x, ada_tok_bos(m->tok), 0);
}

static ada_status draft_completion(draft *x, const ada_model *m, const ada_row *row, const char *completion) {
    const char *said = completion ? completion : row->completion, *prompt = row->prompt;
    size_t n = strlen(prompt);
    bool bos;
    ADA_TRY(ada_sight_check(&x->sight, m, ada_image_marks(prompt, n)));
    ADA_TRY(ada_spell_prompt(m, &x->prompt, &prompt, &n, &bos));
    if (!bos) ADA_TRY(add_bos(x, m));
    ADA_TRY(add_text(x, m, prompt, n, 0));
    if (!said) return ADA_OK;
    ADA_TRY(add_text(x, m, said, strlen(said), 1));
    bool ends = row->nchoices == 0 && ada_tok_eos(m->tok) >= 0;
    return ends ? add_id(x, ada_tok_eos(m->tok), 1) : ADA_OK;
}

static ada_status draft_text(draft *x, const ada_model *m, const ada_row *row) {
    ADA_TRY(ada_sight_check(&x->sight, m, ada_image_marks(row->text, strlen(row->text))));
    ADA_TRY(add_bos(x, m));
    ADA_TRY(add_text(x, m, row->text, strlen(row->text), 1));
    return ada_tok_eos(m->tok) >= 0 ? add_id(x, ada_tok_eos(m->tok), 1) : ADA_OK;
}

static ada_status draft_source(const ada_model *m, ada_sight *sight, const char *text, size_t n,
                               ada_ids *out) {
    ADA_TRY(ada_sight_check(sight, m, ada_image_marks(text, n)));
    ADA_TRY(ada_spell(sight, m, text, n, ADA_TOK_SPECIAL, out));
    if (out->len == 0 && ada_tok_eos(m->tok) >= 0) ADA_TRY(ada_ids_push(out, ada_tok_eos(m->tok)));
    return out->len > 0 ? ADA_OK : ada_fail(ADA_EINVAL, "the prompt has no token");
}

static ada_status draft_pair(draft *x, const ada_model *m, const ada_row *row, const char *completion) {
    const char *said = completion ? completion : row->completion;
    if (!row->prompt)
        return ada_fail(ADA_EUNSUPPORTED, "line %zu: a model with an encoder wants a prompt and a completion",
                        row->line);
    ADA_TRY(draft_source(m, &x->sight, row->prompt, strlen(row->prompt), &x->source));
    x->bos = 1;
    ADA_TRY(add_id(x, m->c.start_token, 0));
    if (!said) return ADA_OK;
    ADA_TRY(add_text(x, m, said, strlen(said), 1));
    return ada_tok_eos(m->tok) >= 0 ? add_id(x, ada_tok_eos(m->tok), 1) : ADA_OK;
}

static ada_status need_chat(const ada_model *m) {
    ADA_TRY(ada_model_text(m));
    return m->chat ? ADA_OK
                   : ada_fail(ADA_EUNSUPPORTED, "model '%s' has no chat template for messages: %s", m->name,
                              m->chat_why);
}

/* What the assistant says is a target; with `completion`, its last message is that text and the only target.
 */
static ada_status draft_messages(draft *x, const ada_model *m, const ada_row *row, const char *completion,
                                 ada_arena *a) {
    ADA_TRY(need_chat(m));
    ada_message *msgs;
    ada_span *spans;
    size_t n = row->nmessages, nspans = n, at = 0;
    ADA_TRY(ada_arena_take(a, &msgs, n, sizeof *msgs));
    ADA_TRY(ada_arena_take(a, &spans, n, sizeof *spans));
    memcpy(msgs, row->messages, n * sizeof *msgs);
    if (completion) msgs[n - 1] = (ada_message){.role = msgs[n - 1].role, .content = completion};
    ADA_TRY(ada_chat_render(m->chat, msgs, n, row->nimages > 0, false, &x->text, spans, &nspans));
    ADA_TRY(ada_sight_check(&x->sight, m, ada_image_marks(x->text.data, x->text.len)));
    if (!ada_chat_has_bos(m->chat)) ADA_TRY(add_bos(x, m));
    for (size_t i = completion && nspans > 0 ? nspans - 1 : 0; i < nspans; i++) {
        ADA_TRY(add_text(x, m, x->text.data + at, spans[i].begin - at, 0));
        ADA_TRY(add_text(x, m, x->text.data + spans[i].begin, spans[i].end - spans[i].begin, 1));
        at = spans[i].end;
    }
    return ADA_OK; /* what follows the last answer is neither input nor target */
}

/* Cuts to max_length and copies into the arena. A prompt loses its left, its BOS excepted; all else its
 * right. */
static ada_status settle(draft *x, ada_example *e, const ada_model *m, const ada_row *row, bool all_tokens,
                         int max_length, ada_arena *a) {
    size_t n = x->ids.len, keep = n, drop = 0, bos = (size_t)x->bos, first = 0;
    while (first < n && !x->mask.data[first]) first++;
    if (max_length > 0 && n > (size_t)max_length) {
        keep = (size_t)max_length;
        e->truncated = true;
        if (row->prompt) drop = n - keep < first - bos ? n - keep : first - bos;
    }
    ADA_TRY(ada_arena_take(a, &e->ids, keep, sizeof *e->ids));
    ADA_TRY(ada_arena_take(a, &e->mask, keep, 1));
    for (size_t i = 0; i < keep; i++) {
        size_t from = i < bos ? i : i + drop;
        e->ids[i] = x->ids.data[from];
        e->mask[i] = i > 0 && (all_tokens || x->mask.data[from]) && e->ids[i] < m->c.vocab;
        e->targets += e->mask[i];
    }
    e->n = (int32_t)keep;
    while (e->prompt < e->n && !e->mask[e->prompt]) e->prompt++;
    return ADA_OK;
}

static ada_status settle_source(const draft *x, ada_example *e, int max_length, ada_arena *a) {
    size_t n = x->source.len, drop = max_length > 0 && n > (size_t)max_length ? n - (size_t)max_length : 0;
    if (n == 0) return ADA_OK;
    e->truncated |= drop > 0;
    e->nsource = (int32_t)(n - drop);
    ADA_TRY(ada_arena_take(a, &e->source, n - drop, sizeof *e->source));
    memcpy(e->source, x->source.data + drop, (n - drop) * sizeof *e->source);
    return ADA_OK;
}

static ada_status fill_draft(draft *x, const ada_model *m, const ada_row *row, const char *completion,
                             ada_arena *a) {
    ADA_TRY(ada_model_text(m));
    if (m->encoder.layers) return draft_pair(x, m, row, completion);
    if (row->messages) return draft_messages(x, m, row, completion, a);
    if (row->prompt) return draft_completion(x, m, row, completion);
    return draft_text(x, m, row);
}

ada_status ada_example_make(ada_example *e, const ada_model *m, ada_images *images, const ada_row *row,
                            const char *completion, bool all_tokens, int max_length, ada_arena *a) {
    draft x = {.sight = {.images = images, .paths = row->images, .n = row->nimages}};
    *e = (ada_example){.line = row->line};
    ada_status st = fill_draft(&x, m, row, completion, a);
    if (st == ADA_OK && (x.ids.len > INT32_MAX / 2 || x.source.len > INT32_MAX / 2))
        st = ada_fail(ADA_EUNSUPPORTED, "line %zu has %zu tokens", row->line, x.ids.len);
    if (st == ADA_OK) st = settle(&x, e, m, row, all_tokens, max_length, a);
    if (st == ADA_OK) st = settle_source(&x, e, max_length, a);
    if (m->c.mask == ADA_MASK_PREFIX) e->prefix = e->prompt;
    ada_ids_free(&x.source);
    ada_ids_free(&x.ids);
    ada_ids_free(&x.mask);
    ada_buf_free(&x.text);
    ada_buf_free(&x.prompt);
    return st;
}

/* ---- prompts of generation ---- */

/* The text with a mark for each image in front, in b, where it has none. */
static ada_status with_marks(const ada_sight *s, ada_buf *b, const char **text, size_t *n) {
    if (s->n == 0 || ada_image_marks(*text, *n) > 0) return ADA_OK;
    b->len = 0;
    for (size_t i = 0; i < s->n; i++) ADA_TRY(ada_buf_puts(b, ADA_IMAGE_MARK));
    ADA_TRY(ada_buf_add(b, *text, *n));
    *text = b->data, *n = b->len;
    return ADA_OK;
}

static ada_status spell_text(const ada_model *m, ada_sight *s, ada_buf b[2], const char *text, size_t n,
                             ada_ids *out) {
    bool bos;
    ADA_TRY(with_marks(s, &b[0], &text, &n));
    if (m->encoder.layers) return draft_source(m, s, text, n, out);
    ADA_TRY(ada_sight_check(s, m, ada_image_marks(text, n)));
    ADA_TRY(ada_spell_prompt(m, &b[1], &text, &n, &bos));
    if (!bos && ada_tok_adds_bos(m->tok)) ADA_TRY(ada_ids_push(out, ada_tok_bos(m->tok)));
    return ada_spell(s, m, text, n, 0, out);
}

ada_status ada_prompt_text(const ada_model *m, ada_sight *sight, const char *text, size_t n, ada_ids *out) {
    ada_buf b[2] = {{0}, {0}};
    ADA_TRY(ada_model_text(m));
    ada_status st = spell_text(m, sight, b, text, n, out);
    ada_buf_free(&b[0]);
    ada_buf_free(&b[1]);
    return st;
}

/* A copy of the messages in which the user's first has the images, where none has. */
static ada_status mark_messages(const ada_sight *s, ada_arena *a, const ada_message **msgs, size_t n) {
    ada_message *copy;
    size_t user = 0;
    for (size_t i = 0; i < n; i++)
        if (s->n == 0 || ada_image_marks((*msgs)[i].content, strlen((*msgs)[i].content)) > 0) return ADA_OK;
    while (user < n && (*msgs)[user].role[0] != 'u') user++;
    if (user == n) return ADA_OK;
    ADA_TRY(ada_arena_take(a, &copy, n, sizeof *copy));
    memcpy(copy, *msgs, n * sizeof *copy);
    *msgs = copy;
    return ada_message_picture(a, &copy[user], s->n);
}

static ada_status spell_chat(const ada_model *m, ada_sight *s, ada_arena *a, ada_buf *b,
                             const ada_message *msgs, size_t n, ada_ids *out) {
    ADA_TRY(need_chat(m));
    ADA_TRY(mark_messages(s, a, &msgs, n));
    ADA_TRY(ada_chat_render(m->chat, msgs, n, s->n > 0, true, b, NULL, NULL));
    ADA_TRY(ada_sight_check(s, m, ada_image_marks(b->data, b->len)));
    if (!ada_chat_has_bos(m->chat) && ada_tok_adds_bos(m->tok))
        ADA_TRY(ada_ids_push(out, ada_tok_bos(m->tok)));
    return ada_spell(s, m, b->data, b->len, 0, out);
}

ada_status ada_prompt_chat(const ada_model *m, ada_sight *sight, const ada_message *msgs, size_t n,
                           ada_ids *out) {
    ada_arena a = {0};
    ada_buf b = {0};
    ada_status st = spell_chat(m, sight, &a, &b, msgs, n, out);
    ada_buf_free(&b);
    ada_arena_free(&a);
    return st;
}
