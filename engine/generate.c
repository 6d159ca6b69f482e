/* SPDX-License-Identifier: Apache-2.0
 * Generation: a session with its cache, the loop of one token at a time, text set free as it becomes certain.
 * Must not know: how logits become a token, or who reads the text.
 * Invariant: what the cache holds is always the first `session.len` tokens of this session's last call. */
#include "engine/batch.h"
#include "engine/beam.h"
#include "engine/embed.h"
#include "engine/example.h"
#include "engine/generate.h"
#include "engine/sample.h"
#include "engine/source.h"
#include "io/os.h"
#include "simd/kernels.h"
#include <string.h>

enum { PREFILL = 256, MAX_EOS = 16, DEFAULT_CAPACITY = 4096, DEFAULT_NEW = 256, IMAGE_ROWS = 1 << 20 };

struct ada_generator {
    ada_model *m;
    ada_adapter *a;
    int32_t capacity;
    int32_t rows; /* most tokens of one pass */
    ada_arena work;
    ada_kv *kv;
    ada_pass *pass;
    ada_head_ws *head;
    ada_join *join;
    ada_sampler sampler;
    ada_source *source;       /* of a model with an encoder */
    ada_images *images, *own; /* of a model with eyes; own: to be closed */
    float *x, *h, *logits;    /* [rows, d], [d], [vocab] */
    ada_ids session;          /* tokens in the cache */
    size_t prefix;            /* how many of them, the first, see each other in both directions */
    ada_ids prompt;
    int32_t eos[MAX_EOS];
    int neos;
    ada_buf text; /* of this answer, not yet given out */
    const ada_generate_opts *o;
    ada_token_fn fn;
    void *ctx;
};

/* ---- opening ---- */
static void add_eos(ada_generator *g, int64_t id) {
    if (id >= 0 && id < g->m->c.vocab && g->neos < MAX_EOS) g->eos[g->neos++] = (int32_t)id;
}

static void find_eos(ada_generator *g) {
    const ada_json *j = ada_json_get(g->m->generation, "eos_token_id");
    add_eos(g, ada_tok_eos(g->m->tok));
    add_eos(g, ada_json_int(j, -1));
    for (size_t i = 0; i < ada_json_len(j); i++) add_eos(g, ada_json_int(ada_json_at(j, i), -1));
}

/* Images are the encoder's where there is one. */
static ada_join_limits join_limits(const ada_generator *g, int32_t unique) {
    ada_images *images = g->source ? NULL : g->images;
    return (ada_join_limits){.tokens = ada_stack_modality(g->m),
                             .unique = unique,
                             .image_rows = images ? unique : 0,
                             .images = images};
}

static ada_status layout(ada_generator *g, ada_arena *a) {
    size_t d = (size_t)g->m->c.d;
    ADA_TRY(ada_pass_layout(&g->pass, a, &g->m->stack, g->rows, 1, g->capacity, 1, false));
    ADA_TRY(ada_head_layout(&g->head, a, &g->m->head, 1));
    ada_join_limits j = join_limits(g, g->rows);
    ADA_TRY(ada_join_layout(&g->join, a, g->m, g->a, &j));
    ADA_TRY(ada_sampler_layout(&g->sampler, a, g->m->c.vocab));
    ADA_TRY(ada_arena_take(a, &g->x, (size_t)g->rows * d, sizeof(float)));
    ADA_TRY(ada_arena_take(a, &g->h, d, sizeof(float)));
    return ada_arena_take(a, &g->logits, (size_t)g->m->c.vocab, sizeof(float));
}

static ada_status build(ada_generator *g, int capacity) {
    int32_t most = g->m->c.max_positions > 0 ? g->m->c.max_positions : DEFAULT_CAPACITY;
    if (capacity < 0) return ada_fail(ADA_EINVAL, "a cache of %d tokens", capacity);
    if (capacity > most)
        return ada_fail(ADA_EINVAL, "a cache of %d tokens exceeds the model's %d positions", capacity, most);
    g->capacity = capacity ? capacity : most < DEFAULT_CAPACITY ? most : DEFAULT_CAPACITY;
    ADA_TRY(ada_model_text(g->m));
    find_eos(g);
    ADA_TRY(ada_model_prepare(g->m, ADA_FORWARD));
    ADA_TRY(ada_kv_open(&g->kv, &g->m->stack, 1, g->capacity));
    if (g->m->vision && !g->images) {
        ADA_TRY(ada_images_open(&g->own, g->m->vision, NULL, IMAGE_ROWS));
        g->images = g->own;
    }
    if (g->m->encoder.layers) ADA_TRY(ada_source_open(&g->source, g->m, g->a, g->images, PREFILL));
    return layout(g, &g->work);
}

ada_status ada_generator_open(ada_generator **out, ada_model *m, ada_adapter *a, int capacity) {
    return ada_generator_open_with(out, m, a, NULL, capacity);
}

ada_status ada_generator_open_with(ada_generator **out, ada_model *m, ada_adapter *a, ada_images *images,
                                   int capacity) {
    *out = NULL;
    ada_generator *g = ada_os.alloc(sizeof *g);
    if (!g) return ada_fail(ADA_ENOMEM, "out of memory for a generator");
    *g = (ada_generator){.m = m, .a = a, .images = images, .rows = PREFILL};
    ada_status st = build(g, capacity);
    if (st != ADA_OK) ada_generator_close(&g);
    *out = g;
    return st;
}

void ada_generator_close(ada_generator **g) {
    if (!*g) return;
    ada_kv_close(&(*g)->kv);
    ada_source_close(&(*g)->source);
    ada_images_close(&(*g)->own);
    ada_arena_free(&(*g)->work);
    ada_ids_free(&(*g)->session);
    ada_ids_free(&(*g)->prompt);
    ada_buf_free(&(*g)->text);
    ada_os.release(*g);
    *g = NULL;
}

/* ---- the model ---- */
/* Feeds n ≤ g->rows tokens into the cache; the last one's logits are made if wanted. full: they are all of a
 * prefix, or its end. */
static ada_status feed(ada_generator *g, const int32_t *ids, int32_t n, bool full, bool wanted) {
    int32_t last = n - 1;
    ada_segment seg = {.len = n, .parent = -1, .pos = ada_kv_len(g->kv, 0), .cache = 0, .full = full};
    ada_pack p = {.T = n, .nsegs = 1, .nout = wanted ? 1 : 0, .ids = ids, .segs = &seg, .out = &last};
    ADA_TRY(ada_ids_add(&g->session, ids, (size_t)n));
    ada_join_clear(g->join);
    ada_join_add(g->join, ids, n);
    ADA_TRY(ada_join_start(g->join));
    ada_join_rows(g->join, ids, n, g->x);
    ada_stack_forward(&g->m->stack, &p, g->pass, g->kv, g->x, g->h);
    if (wanted) ada_head_logits(&g->m->head, g->head, g->h, 1, g->logits);
    return ADA_OK;
}

/* Rows that see each other go through in one pass: room for n of them. */
static ada_status make_room(ada_generator *g, int32_t n) {
    if (n <= g->rows) return ADA_OK;
    ada_arena_free(&g->work);
    g->rows = n;
    ada_status st = layout(g, &g->work);
    if (st != ADA_OK) g->rows = 0; /* nothing stands there: the next call lays it out again */
    return st;
}

/* Brings the cache from the old session to the prompt; its last token is always fed, for its logits. A prefix
 * that sees itself is the old one, or is fed whole. */
static ada_status prefill(ada_generator *g, const ada_ids *prompt) {
    size_t n = prompt->len, at = 0;
    bool whole = g->m->c.mask == ADA_MASK_PREFIX;
    if (n == 0) return ada_fail(ADA_EINVAL, "the prompt has no token");
    if (n > (size_t)g->capacity)
        return ada_fail(ADA_EINVAL, "the prompt has %zu tokens, the cache holds %d", n, g->capacity);
    while (at < n - 1 && at < g->session.len && g->session.data[at] == prompt->data[at]) at++;
    if (whole && !(g->prefix == n && at == n - 1 && g->session.data[at] == prompt->data[at])) at = 0;
    ada_kv_truncate(g->kv, 0, (int32_t)at);
    g->session.len = at;
    g->prefix = 0;
    if (whole) ADA_TRY(make_room(g, (int32_t)(n - at)));
    for (size_t len; at < n; at += len) {
        len = n - at < (size_t)g->rows ? n - at : (size_t)g->rows;
        ADA_TRY(feed(g, prompt->data + at, (int32_t)len, whole, at + len == n));
    }
    if (whole) g->prefix = n;
    return ADA_OK;
}

/* To where the first token's logits are there: the prompt is read by the encoder, or by the model itself. */
static ada_status begin(ada_generator *g) {
    const ada_ids *p = &g->prompt;
    if (!g->source) return prefill(g, p);
    if (p->len > (size_t)g->capacity)
        return ada_fail(ADA_EINVAL, "the prompt has %zu tokens, the cache holds %d", p->len, g->capacity);
    ADA_TRY(ada_source_read(g->source, p->data, (int32_t)p->len));
    ada_pass_read(g->pass, ada_source_memory(g->source));
    ada_kv_truncate(g->kv, 0, 0);
    g->session.len = 0;
    return feed(g, &g->m->c.start_token, 1, false, true);
}

/* ---- text ---- */
/* Length without a UTF-8 sequence that has begun but not ended. */
static size_t whole_utf8(const char *s, size_t n) {
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        unsigned char c = (unsigned char)s[n - back];
        if ((c & 0xC0) == 0x80) continue;
        size_t want = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC0 ? 2 : 1;
        return want > back ? n - back : n;
    }
    return n;
}

/* Where the first stop string begins in the text; n if none does. `safe`: what cannot be part of one yet to
 * come. */
static size_t find_stop(const ada_generator *g, size_t *safe) {
    size_t n = g->text.len, at = n;
    *safe = n;
    for (const char *const *stop = g->o->stop; stop && *stop; stop++) {
        size_t len = strlen(*stop);
        for (size_t i = 0; len > 0 && i < n; i++) {
            size_t left = n - i < len ? n - i : len;
            if (memcmp(g->text.data + i, *stop, left) != 0) continue;
            if (left == len && i < at) at = i;
            if (left < len && i < *safe) *safe = i;
            break;
        }
    }
    return at;
}

static bool give(ada_generator *g, int32_t id, double logprob, size_t n) {
    ada_token_event e = {.id = id, .logprob = logprob, .piece = n ? g->text.data : "", .piece_len = n};
    bool stop = g->fn && g->fn(g->ctx, &e) != 0;
    if (n > 0) memmove(g->text.data, g->text.data + n, g->text.len - n);
    g->text.len -= n;
    return stop;
}

static bool is_eos(const ada_generator *g, int32_t id) {
    for (int i = 0; i < g->neos; i++)
        if (g->eos[i] == id) return true;
    return false;
}

/* Takes one token; *finish is set when it ends the answer. */
static ada_status take_token(ada_generator *g, int32_t id, bool first, const char **finish) {
    double logprob = g->o->logprobs
                         ? (double)g->logits[id] - (double)ada_k.lse(g->logits, (size_t)g->m->c.vocab)
                         : (double)NAN;
    size_t n = g->text.len, safe, stop;
    const char *end = "eos";
    if (g->o->ignore_eos || !is_eos(g, id)) {
        ADA_TRY(ada_tok_piece(g->m->tok, id, first, &g->text));
        stop = find_stop(g, &safe);
        end = stop < g->text.len ? "stop" : NULL;
        n = end ? stop : whole_utf8(g->text.data, safe);
    }
    if (end) g->text.len = n;
    *finish = give(g, id, logprob, n) ? "callback" : end;
    return ADA_OK;
}

/* ---- beams ---- */
typedef struct beam_search { /* room of one call */
    ada_arena arena;
    ada_beams *beams;
    ada_kv *kv; /* twice as many slots as beams: those of this step, those of the next */
    ada_pass *pass;
    ada_head_ws *head;
    ada_join *join;
    float *x, *h, *logits; /* [beams, d], [beams, d], [beams, vocab] */
    ada_segment *segs;     /* [beams] */
    int32_t *out;          /* [beams] */
} beam_search;

static ada_status layout_beams(const ada_generator *g, beam_search *s, int32_t n, int32_t max_new) {
    size_t d = (size_t)g->m->c.d, vocab = (size_t)g->m->c.vocab, k = (size_t)n, wide;
    int32_t len = (int32_t)g->session.len + max_new;
    ada_arena *a = &s->arena;
    if (!ada_mul_size(k, vocab, &wide)) return ada_fail(ADA_EINVAL, "%d beams are too many", n);
    ADA_TRY(
        ada_beams_layout(&s->beams, a, n, g->m->c.vocab, max_new, g->eos, g->o->ignore_eos ? 0 : g->neos));
    ADA_TRY(ada_kv_open(&s->kv, &g->m->stack, 2 * n, len));
    ADA_TRY(ada_pass_layout(&s->pass, a, &g->m->stack, n, n, len, n, false));
    ADA_TRY(ada_head_layout(&s->head, a, &g->m->head, n));
    ada_join_limits j = {.tokens = ada_stack_modality(g->m), .unique = n};
    ADA_TRY(ada_join_layout(&s->join, a, g->m, g->a, &j));
    ADA_TRY(ada_arena_take(a, &s->x, k * d, sizeof(float)));
    ADA_TRY(ada_arena_take(a, &s->h, k * d, sizeof(float)));
    ADA_TRY(ada_arena_take(a, &s->logits, wide, sizeof(float)));
    ADA_TRY(ada_arena_take(a, &s->segs, k, sizeof *s->segs));
    ADA_TRY(ada_arena_take(a, &s->out, k, sizeof *s->out));
    if (g->source) ada_pass_read(s->pass, ada_source_memory(g->source));
    for (int32_t i = 0; i < n; i++) s->out[i] = i;
    for (int32_t i = 0; i < 2 * n; i++) ada_kv_copy(s->kv, i, g->kv, 0, 0, (int32_t)g->session.len);
    return ADA_OK;
}

/* One token for each beam, each continuing another's cache, into the slots from `first` on. */
static ada_status feed_beams(const ada_generator *g, beam_search *s, int32_t n, int32_t first, int32_t pos,
                             const int32_t *parent, const int32_t *token) {
    int32_t prompt = (int32_t)g->session.len, other = first ? 0 : n;
    for (int32_t i = 0; i < n; i++) {
        ada_kv_copy(s->kv, first + i, s->kv, other + parent[i], prompt, pos - prompt);
        s->segs[i] = (ada_segment){.start = i, .len = 1, .parent = -1, .pos = pos, .cache = first + i};
    }
    ada_pack p = {.T = n, .nsegs = n, .nout = n, .ids = token, .segs = s->segs, .out = s->out};
    ada_join_clear(s->join);
    ada_join_add(s->join, token, n);
    ADA_TRY(ada_join_start(s->join));
    ada_join_rows(s->join, token, n, s->x);
    ada_stack_forward(&g->m->stack, &p, s->pass, s->kv, s->x, s->h);
    ada_head_logits(&g->m->head, s->head, s->h, n, s->logits);
    return ADA_OK;
}

static ada_status search(ada_generator *g, beam_search *s, int32_t n, int32_t max_new, bool own,
                         const char **finish) {
    int32_t pos = (int32_t)g->session.len, first = 0, len;
    const int32_t *parent, *token, *best;
    ADA_TRY(layout_beams(g, s, n, max_new));
    ada_beams_begin(s->beams, g->o->length_penalty != 0 ? g->o->length_penalty : 1);
    const float *logits = g->logits;
    while (ada_beams_step(s->beams, logits, &parent, &token)) {
        ADA_TRY(feed_beams(g, s, n, first, pos++, parent, token));
        first = first ? 0 : n;
        logits = s->logits;
    }
    best = ada_beams_best(s->beams, &len);
    if (len == 0) return ada_fail(ADA_ENUMERIC, "the model's output is not finite");
    for (int32_t i = 0; i < len && !*finish; i++) ADA_TRY(take_token(g, best[i], own && i == 0, finish));
    return ADA_OK;
}

/* The whole answer is known before its first token is given. */
static ada_status run_beams(ada_generator *g, int32_t max_new, bool own, const char **finish) {
    beam_search s = {0};
    int32_t room = g->capacity - (int32_t)g->session.len + 1;
    ada_status st = search(g, &s, g->o->beams, max_new < room ? max_new : room, own, finish);
    ada_kv_close(&s.kv);
    ada_arena_free(&s.arena);
    ADA_TRY(st);
    if (!*finish) *finish = "length";
    return ADA_OK;
}

/* own: the answer is a text of its own, not the prompt's continuation. */
static ada_status run(ada_generator *g, bool own, const char **finish) {
    int max_new = g->o->max_new ? g->o->max_new : DEFAULT_NEW;
    ADA_TRY(ada_sample_check(g->o));
    ADA_TRY(begin(g));
    g->text.len = 0;
    if (g->o->beams > 1) ADA_TRY(run_beams(g, max_new, own, finish));
    for (int i = 0; !*finish; i++) {
        int32_t id =
            ada_sample(&g->sampler, g->logits, g->session.data, g->session.len, g->o, g->session.len);
        if (!isfinite(g->logits[id]))
            return ada_fail(ADA_ENUMERIC, "the model's output is not finite after %zu tokens",
                            g->session.len);
        ADA_TRY(take_token(g, id, own && i == 0, finish));
        if (*finish) return ADA_OK;
        if (i + 1 >= max_new || g->session.len >= (size_t)g->capacity)
            *finish = "length";
        else
            ADA_TRY(feed(g, &id, 1, false, true));
    }
    if (g->text.len > 0 && give(g, -1, (double)NAN, g->text.len)) *finish = "callback";
    return ADA_OK;
}

static ada_status start(ada_generator *g, const ada_generate_opts *o, ada_token_fn fn, void *ctx, bool chat,
                        const char **finish) {
    static const ada_generate_opts none;
    const char *end = NULL;
    g->o = o ? o : &none;
    g->fn = fn;
    g->ctx = ctx;
    ADA_TRY(run(g, chat, &end));
    if (finish) *finish = end;
    return ADA_OK;
}

static ada_sight sight_of(const ada_generator *g, const ada_generate_opts *o) {
    if (!o) return (ada_sight){0};
    return (ada_sight){.images = g->images, .paths = o->images, .n = o->nimages};
}

ada_status ada_generate_chat(ada_generator *g, const ada_message *msgs, size_t n, const ada_generate_opts *o,
                             ada_token_fn fn, void *ctx, const char **finish) {
    ada_sight sight = sight_of(g, o);
    g->prompt.len = 0;
    ADA_TRY(ada_prompt_chat(g->m, &sight, msgs, n, &g->prompt));
    if (g->images) ADA_TRY(ada_images_ready(g->images));
    return start(g, o, fn, ctx, true, finish);
}

ada_status ada_generate_ids(ada_generator *g, const int32_t *ids, size_t n, const ada_generate_opts *o,
                            ada_token_fn fn, void *ctx, const char **finish) {
    int32_t end = g->m->c.vocab + (g->images ? ada_images_rows(g->images) : 0);
    g->prompt.len = 0;
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= end)
            return ada_fail(ADA_EINVAL, "token %d is not in the model's vocabulary of %d", (int)ids[i],
                            (int)g->m->c.vocab);
    ADA_TRY(ada_ids_add(&g->prompt, ids, n));
    return start(g, o, fn, ctx, g->source != NULL, finish);
}

ada_status ada_generate_text(ada_generator *g, const char *text, const ada_generate_opts *o, ada_token_fn fn,
                             void *ctx, const char **finish) {
    if (g->m->chat && !(o && o->plain))
        return ada_generate_chat(g, &(ada_message){.role = "user", .content = text}, 1, o, fn, ctx, finish);
    g->prompt.len = 0;
    ada_sight sight = sight_of(g, o);
    ADA_TRY(ada_prompt_text(g->m, &sight, text, strlen(text), &g->prompt));
    if (g->images) ADA_TRY(ada_images_ready(g->images));
    return start(g, o, fn, ctx, g->source != NULL, finish);
}
