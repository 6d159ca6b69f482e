/* SPDX-License-Identifier: Apache-2.0
 * Generation: a session with its cache, the loop of one token at a time, text set free as it becomes certain.
 * Must not know: how logits become a token, or who reads the text.
 * Invariant: what the cache holds is always the first `session.len` tokens of this session's last call. */
#include "engine/batch.h"
#include "engine/embed.h"
#include "engine/example.h"
#include "engine/sample.h"
#include "io/os.h"
#include "simd/kernels.h"
#include <string.h>

enum { PREFILL = 256, MAX_EOS = 16, DEFAULT_CAPACITY = 4096, DEFAULT_NEW = 256 };

struct ada_generator {
    ada_model *m;
    ada_adapter *a;
    int32_t capacity;
    ada_arena work;
    ada_kv *kv;
    ada_pass *pass;
    ada_head_ws *head;
    ada_join *join;
    ada_sampler sampler;
    float *x, *h, *logits; /* [PREFILL, d], [d], [vocab] */
    ada_ids session;       /* tokens in the cache */
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

static ada_status layout(ada_generator *g, ada_arena *a) {
    size_t d = (size_t)g->m->c.d;
    ADA_TRY(ada_pass_layout(&g->pass, a, &g->m->stack, PREFILL, 1, g->capacity, 1, false));
    ADA_TRY(ada_head_layout(&g->head, a, &g->m->head, 1));
    ADA_TRY(ada_join_layout(&g->join, a, g->m, g->a, ADA_TEXT, PREFILL, false));
    ADA_TRY(ada_sampler_layout(&g->sampler, a, g->m->c.vocab));
    ADA_TRY(ada_arena_take(a, &g->x, PREFILL * d, sizeof(float)));
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
    if (g->m->encoder.layers)
        return ada_fail(ADA_EUNSUPPORTED, "generation by a model with an encoder is not there yet");
    find_eos(g);
    ADA_TRY(ada_model_prepare(g->m, ADA_FORWARD));
    ADA_TRY(ada_kv_open(&g->kv, &g->m->stack, 1, g->capacity));
    return layout(g, &g->work);
}

ada_status ada_generator_open(ada_generator **out, ada_model *m, ada_adapter *a, int capacity) {
    *out = NULL;
    ada_generator *g = ada_os.alloc(sizeof *g);
    if (!g) return ada_fail(ADA_ENOMEM, "out of memory for a generator");
    *g = (ada_generator){.m = m, .a = a};
    ada_status st = build(g, capacity);
    if (st != ADA_OK) ada_generator_close(&g);
    *out = g;
    return st;
}

void ada_generator_close(ada_generator **g) {
    if (!*g) return;
    ada_kv_close(&(*g)->kv);
    ada_arena_free(&(*g)->work);
    ada_ids_free(&(*g)->session);
    ada_ids_free(&(*g)->prompt);
    ada_buf_free(&(*g)->text);
    ada_os.release(*g);
    *g = NULL;
}

/* ---- the model ---- */
/* Feeds n ≤ PREFILL tokens into the cache; the last one's logits are made if wanted. */
static ada_status feed(ada_generator *g, const int32_t *ids, int32_t n, bool wanted) {
    int32_t last = n - 1;
    ada_segment seg = {.len = n, .parent = -1, .pos = ada_kv_len(g->kv, 0), .cache = 0};
    ada_pack p = {.T = n, .nsegs = 1, .nout = wanted ? 1 : 0, .ids = ids, .segs = &seg, .out = &last};
    ADA_TRY(ada_ids_add(&g->session, ids, (size_t)n));
    ada_join_clear(g->join);
    ada_join_add(g->join, ids, n);
    ada_join_start(g->join);
    ada_join_rows(g->join, ids, n, g->x);
    ada_stack_forward(&g->m->stack, &p, g->pass, g->kv, g->x, g->h);
    if (wanted) ada_head_logits(&g->m->head, g->head, g->h, 1, g->logits);
    return ADA_OK;
}

/* Brings the cache from the old session to the prompt; its last token is always fed, for its logits. */
static ada_status prefill(ada_generator *g, const ada_ids *prompt) {
    size_t n = prompt->len, at = 0;
    if (n == 0) return ada_fail(ADA_EINVAL, "the prompt has no token");
    if (n > (size_t)g->capacity)
        return ada_fail(ADA_EINVAL, "the prompt has %zu tokens, the cache holds %d", n, g->capacity);
    while (at < n - 1 && at < g->session.len && g->session.data[at] == prompt->data[at]) at++;
    ada_kv_truncate(g->kv, 0, (int32_t)at);
    g->session.len = at;
    for (size_t len; at < n; at += len) {
        len = n - at < PREFILL ? n - at : PREFILL;
        ADA_TRY(feed(g, prompt->data + at, (int32_t)len, at + len == n));
    }
    return ADA_OK;
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

static ada_status run(ada_generator *g, bool chat, const char **finish) {
    int max_new = g->o->max_new ? g->o->max_new : DEFAULT_NEW;
    ADA_TRY(ada_sample_check(g->o));
    ADA_TRY(prefill(g, &g->prompt));
    g->text.len = 0;
    for (int i = 0; !*finish; i++) {
        int32_t id =
            ada_sample(&g->sampler, g->logits, g->session.data, g->session.len, g->o, g->session.len);
        if (!isfinite(g->logits[id]))
            return ada_fail(ADA_ENUMERIC, "the model's output is not finite after %zu tokens",
                            g->session.len);
        ADA_TRY(take_token(g, id, chat && i == 0, finish));
        if (*finish) return ADA_OK;
        if (i + 1 >= max_new || g->session.len >= (size_t)g->capacity)
            *finish = "length";
        else
            ADA_TRY(feed(g, &id, 1, true));
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

ada_status ada_generate_chat(ada_generator *g, const ada_message *msgs, size_t n, const ada_generate_opts *o,
                             ada_token_fn fn, void *ctx, const char **finish) {
    g->prompt.len = 0;
    ADA_TRY(ada_prompt_chat(g->m, msgs, n, &g->prompt));
    return start(g, o, fn, ctx, true, finish);
}

ada_status ada_generate_ids(ada_generator *g, const int32_t *ids, size_t n, const ada_generate_opts *o,
                            ada_token_fn fn, void *ctx, const char **finish) {
    g->prompt.len = 0;
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= g->m->c.vocab)
            return ada_fail(ADA_EINVAL, "token %d is not in the model's vocabulary of %d", (int)ids[i],
                            (int)g->m->c.vocab);
    ADA_TRY(ada_ids_add(&g->prompt, ids, n));
    return start(g, o, fn, ctx, false, finish);
}

ada_status ada_generate_text(ada_generator *g, const char *text, const ada_generate_opts *o, ada_token_fn fn,
                             void *ctx, const char **finish) {
    if (g->m->chat && !(o && o->plain))
        return ada_generate_chat(g, &(ada_message){"user", text}, 1, o, fn, ctx, finish);
    g->prompt.len = 0;
    ADA_TRY(ada_prompt_text(g->m, text, strlen(text), &g->prompt));
    return start(g, o, fn, ctx, false, finish);
}
