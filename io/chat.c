/* SPDX-License-Identifier: Apache-2.0
 * Chat templates: rendering, and where in the text the assistant speaks. Owns: the family's name and the
 * spans. Must not know: Jinja's grammar, tokens. What an assistant says is found by rendering: the text with
 * its turn invited and the text with its turn taken differ by it, whatever the template. Invariant: a span
 * begins where generation would begin, and holds the answer and its end mark. */
#include "io/chat.h"
#include "io/jinja.h"
#include "io/os.h"

#include <string.h>

struct ada_chat {
    ada_arena arena;
    ada_jinja *template;
    const char *family, *bos, *eos;
    bool has_bos;
};

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
    const char *few[16], **text = few, **all = NULL;
    if (n > 8) {
        size_t bytes;
        if (!ada_mul_size(n, 2 * sizeof *all, &bytes) || !(all = ada_os.alloc(bytes)))
            return ada_fail(ADA_ENOMEM, "no memory for %zu messages", n);
        text = all;
    }
    for (size_t i = 0; i < n; i++) {
        text[i] = m[i].role;
        text[n + i] = m[i].content;
    }
    ada_jinja_input in = {
        .roles = text, .contents = text + n, .n = n, .bos = c->bos, .eos = c->eos, .generate = generate};
    ada_status st = ada_jinja_run(c->template, &in, out, raised);
    if (st == ADA_OK) st = ada_buf_add(out, "", 0);
    ada_os.release(all);
    return st;
}

/* A conversation that every family takes, so that what is not supported shows at opening; and does BOS come
 * first? */
static ada_status try_out(ada_chat *c) {
    static const ada_message talk[] = {{"system", "s"}, {"user", "u"}, {"assistant", "a"}, {"user", "v"}};
    ada_buf out = {0};
    ada_status st = ADA_OK;
    for (size_t from = 0; from < 2 && st == ADA_OK; from++) {
        bool raised;
        out.len = 0;
        st = render(c, talk + from, 4 - from, true, &out, &raised);
        if (st != ADA_OK && raised && from == 0) st = ADA_OK; /* no system message, says the template */
    }
    if (st == ADA_OK) c->has_bos = c->bos && *c->bos && strncmp(out.data, c->bos, strlen(c->bos)) == 0;
    ada_buf_free(&out);
    return st;
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

/* Where the answer's own text ends in out[begin, end): what follows is its mark, and white space after that
 * belongs to the next turn. A template may have trimmed the answer. */
static bool answer_end(const ada_buf *out, size_t begin, size_t end, const char *content, ada_span *span) {
    size_t b = 0, e = strlen(content);
    trim(content, &b, &e);
    const char *at = memmem(out->data + begin, end - begin, content + b, e - b);
    if (!at) return false;
    size_t own = (size_t)(at - out->data) + (e - b);
    while (content[e] && own < end && out->data[own] == content[e]) own++, e++;
    while (end > own && blank(out->data[end - 1])) end--;
    *span = (ada_span){begin, end};
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
    if (fits && i == 0) { /* nothing invites a first message: it begins with itself */
        size_t b = 0, e = strlen(m[i].content);
        trim(m[i].content, &b, &e);
        const char *at = memmem(out->data, end, m[i].content + b, e - b);
        fits = at != NULL;
        begin = at ? (size_t)(at - out->data) : 0;
    }
    if (fits && answer_end(out, begin, end, m[i].content, span)) return ADA_OK;
    return ada_fail(
        ADA_EUNSUPPORTED,
        "chat template ('%s') writes the assistant's message %zu differently once others follow it",
        c->family, i + 1);
}

ada_status ada_chat_render(const ada_chat *c, const ada_message *m, size_t n, bool generate, ada_buf *out,
                           ada_span *spans, size_t *nspans) {
    ada_buf all = {0}, part = {0};
    ada_status st = render(c, m, n, generate, &all, NULL);
    size_t found = 0, room = nspans ? *nspans : 0;
    for (size_t i = 0; i < n && spans && st == ADA_OK; i++)
        if (strcmp(m[i].role, "assistant") == 0 && found < room)
            st = find_span(c, m, n, i, &all, &part, &spans[found++]);
    for (size_t i = 0; i < found; i++) {
        spans[i].begin += out->len;
        spans[i].end += out->len;
    }
    if (nspans) *nspans = found;
    if (st == ADA_OK) st = ada_buf_add(out, all.data, all.len);
    ada_buf_free(&all);
    ada_buf_free(&part);
    return st;
}
