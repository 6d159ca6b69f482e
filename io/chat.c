/* SPDX-License-Identifier: Apache-2.0
 * Chat templates: rendering, and where in the text the assistant speaks. Owns: the family's name and the
 * spans. Must not know: Jinja's grammar, tokens. What an assistant says is found by rendering: the text with
 * its turn invited and the text with its turn taken differ by it, whatever the template. Invariant: a span
 * begins where generation would begin, and holds the answer and its end mark. */
#include "io/chat.h"
#include "io/jinja.h"
#include "io/os.h"

#include <string.h>

enum { SYSTEM, USER, ASSISTANT, ROLES };

struct ada_chat {
    ada_arena arena;
    ada_jinja *template;
    const char *family, *bos, *eos;
    bool has_bos;
    /* Of each role's messages: what is said shows in the text when it comes as a string, when it comes in
     * parts; and an image among the parts does. */
    bool whole[ROLES], parts[ROLES], images[ROLES];
};

static int role_of(const ada_message *m) {
    return m->role[0] == 's' ? SYSTEM : m->role[0] == 'u' ? USER : ASSISTANT;
}

/* By what only that family writes; the first that fits. */
static const struct {
    const char *name, *marks[2];
} families[] = {
    {"chatml", {"<|im_start|>", "<|im_end|>"}},
    {"llama-3", {"<|start_header_id|>", "<|eot_id|>"}},
    {"gemma", {"<start_of_turn>", "<end_of_turn>"}},
    {"llama-2", {"[INST]", "<<SYS>>"}},
    {"mistral", {"[INST]", "[/INST]"}},
    {"zephyr", {"<|user|>", "eos_token"}},
};

static ada_status render(const ada_chat *c, const ada_message *m, size_t n, bool generate, ada_buf *out,
                         bool *raised) {
    ada_jinja_input in = {.messages = m, .n = n, .bos = c->bos, .eos = c->eos, .generate = generate};
    ADA_TRY(ada_jinja_run(c->template, &in, out, raised));
    return ada_buf_add(out, "", 0);
}

/* ---- what a template wants ---- */

/* A way to hand over a conversation that every family takes. */
typedef struct form {
    bool parts[ROLES];
    int other; /* the role whose texts are other ones; ROLES: none */
    int sees;  /* the role whose messages hold an image in front; ROLES: none */
} form;

static ada_status render_form(const ada_chat *c, const form *f, size_t from, ada_buf *out, bool *raised) {
    static const char *const roles[] = {"system", "user", "assistant", "user"};
    static const char *const texts[][2] = {{"s", "t"}, {"u", "w"}, {"a", "b"}, {"v", "x"}};
    ada_message m[4];
    const char *parts[4][2] = {{NULL}};
    for (size_t i = 0; i < 4; i++) {
        m[i] = (ada_message){.role = roles[i]};
        int role = role_of(&m[i]);
        m[i].content = parts[i][1] = texts[i][role == f->other];
        if (f->parts[role]) m[i].parts = parts[i] + (role != f->sees);
        m[i].nparts = 1 + (role == f->sees);
    }
    out->len = 0;
    return render(c, m + from, 4 - from, true, out, raised);
}

/* With a system message, without where the template wants none. */
static ada_status render_either(const ada_chat *c, const form *f, ada_buf *out) {
    bool raised;
    ada_status st = render_form(c, f, 0, out, &raised);
    return st != ADA_OK && raised ? render_form(c, f, 1, out, NULL) : st;
}

size_t ada_image_marks(const char *s, size_t n) {
    enum { MARK = sizeof ADA_IMAGE_MARK - 1 };
    size_t marks = 0;
    for (const char *at; n >= MARK && (at = memmem(s, n, ADA_IMAGE_MARK, MARK)); s = at + MARK, marks++)
        n -= (size_t)(at - s) + MARK;
    return marks;
}

/* b[0] holds what the form renders; does another text, or an image, show in it? */
static ada_status shows(const ada_chat *c, form f, ada_buf b[2], bool *yes) {
    ada_status st = render_either(c, &f, &b[1]);
    *yes = false;
    if (st != ADA_OK) return st == ADA_EUNSUPPORTED ? ADA_OK : st;
    *yes = f.sees == ROLES ? strcmp(b[0].data, b[1].data) != 0
                           : ada_image_marks(b[1].data, b[1].len) ==
                                 ada_image_marks(b[0].data, b[0].len) + 1 + (f.sees == USER);
    return ADA_OK;
}

/* Does it hear what a role says, or with `image` see what is among its parts? */
static ada_status heard(const ada_chat *c, form f, int role, bool image, ada_buf b[2], bool *yes) {
    ada_status st = render_either(c, &f, &b[0]);
    *yes = false;
    if (image)
        f.sees = role;
    else
        f.other = role;
    if (st == ADA_OK) return shows(c, f, b, yes);
    return st == ADA_EUNSUPPORTED ? ADA_OK : st;
}

/* The conversation must render with and without a system message; whom does it hear? */
static ada_status try_form(const ada_chat *c, const form *f, ada_buf b[2], bool hears[ROLES], int *n) {
    ada_status st = ADA_OK;
    for (size_t from = 0; from < 2 && st == ADA_OK; from++) {
        bool raised;
        st = render_form(c, f, from, &b[0], &raised);
        if (st != ADA_OK && raised && from == 0) st = ADA_OK; /* no system message, says the template */
    }
    *n = 0;
    for (int i = 0; i < ROLES && st == ADA_OK; i++) {
        st = heard(c, *f, i, false, b, &hears[i]);
        *n += hears[i];
    }
    return st;
}

/* The first form of which a template hears most: strings, or else parts, of all roles or of some. */
static ada_status find_form(const ada_chat *c, ada_buf b[2], form *best) {
    static const form forms[] = {{{0, 0, 0}, ROLES, ROLES},
                                 {{1, 1, 1}, ROLES, ROLES},
                                 {{0, 1, 1}, ROLES, ROLES},
                                 {{0, 1, 0}, ROLES, ROLES}};
    char why[ADA_ERROR_MAX];
    int most = -1, n = 0;
    ada_status first = ADA_OK;
    for (size_t i = 0; i < sizeof forms / sizeof *forms && most < ROLES; i++) {
        bool hears[ROLES];
        ada_status st = try_form(c, &forms[i], b, hears, &n);
        if (st != ADA_OK && st != ADA_EUNSUPPORTED) return st;
        if (i == 0) first = st, ada_error_keep(why);
        if (st != ADA_OK || n <= most) continue;
        most = n;
        *best = forms[i];
    }
    bool none = most < 0 || (first != ADA_OK && most == 0);
    return none ? ada_fail(first, "%s", why) : ADA_OK;
}

/* Then each role by itself in the other form, and images among parts. */
static ada_status try_forms(ada_chat *c, ada_buf b[2]) {
    form base;
    ADA_TRY(find_form(c, b, &base));
    for (int i = 0; i < ROLES; i++) {
        form parts = base, whole = base;
        parts.parts[i] = true, whole.parts[i] = false;
        ADA_TRY(heard(c, parts, i, false, b, &c->parts[i]));
        ADA_TRY(heard(c, whole, i, false, b, &c->whole[i]));
        if (!c->parts[i] && !c->whole[i]) *(base.parts[i] ? &c->parts[i] : &c->whole[i]) = true;
        if (c->parts[i]) ADA_TRY(heard(c, parts, i, true, b, &c->images[i]));
    }
    return render_form(c, &base, 1, &b[0], NULL);
}

/* What is not supported shows at opening; and does BOS come first? */
static ada_status try_out(ada_chat *c) {
    ada_buf b[2] = {{0}, {0}};
    ada_status st = try_forms(c, b);
    if (st == ADA_OK) {
        c->has_bos = c->bos && *c->bos && strncmp(b[0].data, c->bos, strlen(c->bos)) == 0;
        ada_error_clear(); /* of what was tried */
    }
    ada_buf_free(&b[0]);
    ada_buf_free(&b[1]);
    return st;
}

/* ---- messages as the template wants them ---- */

ada_status ada_message_picture(ada_arena *a, ada_message *m, size_t n) {
    const char **parts;
    char *text;
    size_t len = strlen(m->content), own = m->parts ? m->nparts : len > 0, mark = sizeof ADA_IMAGE_MARK - 1;
    ADA_TRY(ada_arena_take(a, &parts, n + own, sizeof *parts));
    ADA_TRY(ada_arena_take(a, &text, n * mark + len + 1, 1));
    for (size_t i = 0; i < n; i++) {
        parts[i] = NULL;
        memcpy(text + i * mark, ADA_IMAGE_MARK, mark);
    }
    memcpy(text + n * mark, m->content, len + 1);
    for (size_t i = 0; i < own; i++) parts[n + i] = m->parts ? m->parts[i] : m->content;
    m->content = text, m->parts = parts, m->nparts = n + own;
    return ADA_OK;
}

/* The text as parts: cut at its marks, or one. */
static ada_status cut(ada_arena *a, ada_message *m, bool pictures) {
    const char **parts, *s = m->content;
    size_t n = 0, marks = pictures ? ada_image_marks(s, strlen(s)) : 0;
    ADA_TRY(ada_arena_take(a, &parts, 2 * marks + 1, sizeof *parts));
    for (size_t i = 0; i < marks; i++) {
        const char *at = strstr(s, ADA_IMAGE_MARK);
        if (at > s && !(parts[n++] = ada_arena_str(a, s, (size_t)(at - s)))) return ADA_ENOMEM;
        parts[n++] = NULL;
        s = at + sizeof ADA_IMAGE_MARK - 1;
    }
    if (*s || n == 0) parts[n++] = s;
    m->parts = parts, m->nparts = n;
    return ADA_OK;
}

/* As given if the template reads that; an image that it would not show stays a mark in the text. */
static ada_status hand_over(const ada_chat *c, ada_message *m, bool pictures, ada_arena *a) {
    int role = role_of(m);
    bool drawn = true;
    if (m->parts && !c->parts[role]) m->parts = NULL;
    if (!m->parts && !c->whole[role]) ADA_TRY(cut(a, m, pictures));
    for (size_t i = 0; m->parts && i < m->nparts; i++) drawn &= m->parts[i] || c->images[role];
    if (drawn) return ADA_OK;
    m->parts = NULL;
    return c->whole[role] ? ADA_OK : cut(a, m, false);
}

static ada_status open_into(ada_chat *c, const char *source, const char *bos, const char *eos) {
    if (bos && !(c->bos = ada_arena_str(&c->arena, bos, strlen(bos)))) return ADA_ENOMEM;
    if (eos && !(c->eos = ada_arena_str(&c->arena, eos, strlen(eos)))) return ADA_ENOMEM;
    for (size_t i = sizeof families / sizeof *families; i-- > 0;)
        if (strstr(source, families[i].marks[0]) && strstr(source, families[i].marks[1]))
            c->family = families[i].name;
    if (!c->family) c->family = "other";
    ADA_TRY(ada_jinja_open(&c->template, source));
    return try_out(c);
}

ada_status ada_chat_open(ada_chat **c, const char *source, const char *bos, const char *eos) {
    *c = NULL;
    if (!source) return ada_fail(ADA_EUNSUPPORTED, "this model has no chat template");
    *c = ada_os.alloc(sizeof **c);
    if (!*c) return ada_fail(ADA_ENOMEM, "no memory for a chat template");
    **c = (ada_chat){0};
    ada_status st = open_into(*c, source, bos, eos);
    if (st != ADA_OK) ada_chat_close(c);
    return st;
}

void ada_chat_close(ada_chat **c) {
    if (!*c) return;
    ada_jinja_close(&(*c)->template);
    ada_arena_free(&(*c)->arena);
    ada_os.release(*c);
    *c = NULL;
}

const char *ada_chat_family(const ada_chat *c) {
    return c->family;
}
bool ada_chat_has_bos(const ada_chat *c) {
    return c->has_bos;
}

/* ---- spans ---- */
static bool blank(char ch) {
    return ch == ' ' || ch == '\n' || ch == '\t' || ch == '\r';
}

/* [*b, *e) of s without white space around it. */
static void trim(const char *s, size_t *b, size_t *e) {
    while (*b < *e && blank(s[*b])) ++*b;
    while (*e > *b && blank(s[*e - 1])) --*e;
}

/* Where in out[begin, end) the answer stands, parts in their order: what follows its own text is its mark,
 * and white space after that belongs to the next turn. A template may have trimmed it. */
static bool answer_at(const ada_buf *out, size_t begin, size_t end, const ada_message *m, ada_span *span) {
    size_t own = begin, e = 0;
    const char *last = "";
    bool first = true;
    *span = (ada_span){begin, end};
    for (size_t i = 0; i < (m->parts ? m->nparts : 1); i++) {
        const char *s = m->parts ? m->parts[i] : m->content;
        if (!s) continue;
        size_t b = 0;
        e = strlen(s);
        trim(s, &b, &e);
        const char *at = memmem(out->data + own, end - own, s + b, e - b);
        if (!at) return false;
        own = (size_t)(at - out->data) + (e - b), last = s;
        if (first) span->begin = (size_t)(at - out->data);
        first = false;
    }
    while (last[e] && own < end && out->data[own] == last[e]) own++, e++;
    while (end > own && blank(out->data[end - 1])) end--;
    span->end = end;
    return true;
}

/* out holds all n messages; message i is an assistant's. */
static ada_status find_span(const ada_chat *c, const ada_message *m, size_t n, size_t i, const ada_buf *out,
                            ada_buf *part, ada_span *span) {
    size_t begin = 0, end = out->len;
    bool fits = true;
    if (i > 0) {
        part->len = 0;
        ADA_TRY(render(c, m, i, true, part, NULL));
        begin = part->len;
        fits = begin <= out->len && memcmp(part->data, out->data, begin) == 0;
    }
    if (fits && i + 1 < n) {
        part->len = 0;
        ADA_TRY(render(c, m, i + 1, false, part, NULL));
        end = part->len;
        fits = end >= begin && end <= out->len && memcmp(part->data, out->data, end) == 0;
    }
    if (fits && answer_at(out, begin, end, &m[i], span)) {
        if (i > 0) span->begin = begin; /* nothing invites a first message: it begins with itself */
        return ADA_OK;
    }
    return ada_fail(
        ADA_EUNSUPPORTED,
        "chat template ('%s') writes the assistant's message %zu differently once others follow it",
        c->family, i + 1);
}

static ada_status render_spans(const ada_chat *c, const ada_message *m, size_t n, bool generate, ada_buf *all,
                               ada_span *spans, size_t *nspans) {
    ada_buf part = {0};
    ada_status st = render(c, m, n, generate, all, NULL);
    size_t found = 0, room = nspans ? *nspans : 0;
    for (size_t i = 0; i < n && spans && st == ADA_OK; i++)
        if (strcmp(m[i].role, "assistant") == 0 && found < room)
            st = find_span(c, m, n, i, all, &part, &spans[found++]);
    if (nspans) *nspans = found;
    ada_buf_free(&part);
    return st;
}

ada_status ada_chat_render(const ada_chat *c, const ada_message *m, size_t n, bool pictures, bool generate,
                           ada_buf *out, ada_span *spans, size_t *nspans) {
    ada_arena a = {0};
    ada_buf all = {0};
    ada_message *own;
    ada_status st = ada_arena_take(&a, &own, n, sizeof *own);
    for (size_t i = 0; i < n && st == ADA_OK; i++) {
        own[i] = m[i];
        st = hand_over(c, &own[i], pictures, &a);
    }
    if (st == ADA_OK) st = render_spans(c, own, n, generate, &all, spans, nspans);
    for (size_t i = 0; st == ADA_OK && spans && i < *nspans; i++) {
        spans[i].begin += out->len;
        spans[i].end += out->len;
    }
    if (st == ADA_OK) st = ada_buf_add(out, all.data, all.len);
    ada_buf_free(&all);
    ada_arena_free(&a);
    return st;
}
