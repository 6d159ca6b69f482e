/* SPDX-License-Identifier: Apache-2.0
 * Owns: the scores and tokens of running and finished beams. Must not know: where logits come from.
 * Invariant: more candidates are kept than could all end in EOS, so that as many beams run on as before. */
#include "engine/beam.h"
#include "simd/kernels.h"
#include <math.h>
#include <string.h>

static const float NEVER = -1e9F; /* the score of a beam that is none */

typedef struct {
    float score;
    int32_t beam, token;
} candidate;

typedef struct {
    float score;
    int32_t n; /* 0: none yet */
} answer;

struct ada_beams {
    int32_t beams, vocab, max_new, keep, step;
    const int32_t *eos;
    int neos;
    float power;
    bool hopeful;           /* a running beam may still beat a finished one */
    float *running;         /* [beams] scores */
    int32_t *tokens, *next; /* [beams, max_new] of running beams; of the next step's */
    answer *done;           /* [beams] best first */
    int32_t *done_tokens;   /* [beams, max_new] */
    candidate *best;        /* [keep] best first */
    int32_t *parent, *token;
};

ada_status ada_beams_layout(ada_beams **out, ada_arena *a, int32_t beams, int32_t vocab, int32_t max_new,
                            const int32_t *eos, int neos) {
    ada_beams b = {.beams = beams, .vocab = vocab, .max_new = max_new, .eos = eos, .neos = neos};
    size_t n = (size_t)beams, all;
    b.keep = (neos > 1 ? 1 + neos : 2) * beams;
    if (!ada_mul_size(n, (size_t)max_new, &all))
        return ada_fail(ADA_EINVAL, "%d beams of %d tokens are too many", beams, max_new);
    ADA_TRY(ada_arena_take(a, out, 1, sizeof **out));
    ADA_TRY(ada_arena_take(a, &b.running, n, sizeof *b.running));
    ADA_TRY(ada_arena_take(a, &b.tokens, all, sizeof *b.tokens));
    ADA_TRY(ada_arena_take(a, &b.next, all, sizeof *b.next));
    ADA_TRY(ada_arena_take(a, &b.done, n, sizeof *b.done));
    ADA_TRY(ada_arena_take(a, &b.done_tokens, all, sizeof *b.done_tokens));
    ADA_TRY(ada_arena_take(a, &b.best, (size_t)b.keep, sizeof *b.best));
    ADA_TRY(ada_arena_take(a, &b.parent, n, sizeof *b.parent));
    ADA_TRY(ada_arena_take(a, &b.token, n, sizeof *b.token));
    if (!a->counting) **out = b;
    return ADA_OK;
}

void ada_beams_begin(ada_beams *b, double length_penalty) {
    b->step = 0;
    b->power = (float)length_penalty;
    b->hopeful = true;
    for (int32_t i = 0; i < b->beams; i++) {
        b->running[i] = i ? NEVER : 0;
        b->done[i] = (answer){NEVER, 0};
    }
}

static int32_t *row(const ada_beams *b, int32_t *tokens, int32_t i) {
    return tokens + (size_t)i * (size_t)b->max_new;
}

/* The `keep` best continuations; returns how many there are. */
static int32_t choose(ada_beams *b, const float *logits) {
    int32_t n = 0;
    for (int32_t beam = 0; beam < (b->step ? b->beams : 1); beam++) {
        const float *x = logits + (size_t)beam * (size_t)b->vocab;
        float lse = ada_k.lse(x, (size_t)b->vocab);
        for (int32_t id = 0; id < b->vocab; id++) {
            float score = x[id] - lse + b->running[beam];
            if (n == b->keep && !(score > b->best[n - 1].score)) continue;
            int32_t at = n < b->keep ? n++ : n - 1;
            for (; at > 0 && score > b->best[at - 1].score; at--) b->best[at] = b->best[at - 1];
            b->best[at] = (candidate){score, beam, id};
        }
    }
    return n;
}

static bool ends(const ada_beams *b, int32_t token) {
    for (int i = 0; i < b->neos; i++)
        if (b->eos[i] == token) return true;
    return b->step + 1 == b->max_new;
}

/* Puts a finished candidate among the answers, where it is good enough. */
static void finish(ada_beams *b, const candidate *c) {
    float score = c->score / powf((float)(b->step + 1), b->power);
    int32_t at = b->beams;
    while (at > 0 && (score > b->done[at - 1].score || !b->done[at - 1].n)) at--;
    while (at < b->beams && b->done[at].n && !(score > b->done[at].score)) at++;
    if (at == b->beams) return;
    size_t bytes = (size_t)b->max_new * sizeof(int32_t);
    for (int32_t i = b->beams - 1; i > at; i--) {
        b->done[i] = b->done[i - 1];
        memcpy(row(b, b->done_tokens, i), row(b, b->done_tokens, i - 1), bytes);
    }
    b->done[at] = (answer){score, b->step + 1};
    memcpy(row(b, b->done_tokens, at), row(b, b->tokens, c->beam), (size_t)b->step * sizeof(int32_t));
    row(b, b->done_tokens, at)[b->step] = c->token;
}

/* The first candidates that do not end run on; returns how many. */
static int32_t run_on(ada_beams *b, int32_t n) {
    int32_t live = 0;
    for (int32_t i = 0; i < n && live < b->beams; i++) {
        const candidate *c = &b->best[i];
        if (ends(b, c->token)) continue;
        memcpy(row(b, b->next, live), row(b, b->tokens, c->beam), (size_t)b->step * sizeof(int32_t));
        row(b, b->next, live)[b->step] = c->token;
        b->parent[live] = c->beam, b->token[live] = c->token;
        b->running[live++] = c->score;
    }
    int32_t *was = b->tokens;
    b->tokens = b->next, b->next = was;
    return live;
}

bool ada_beams_step(ada_beams *b, const float *logits, const int32_t **parent, const int32_t **token) {
    int32_t n = choose(b, logits);
    for (int32_t i = 0; b->hopeful && i < n && i < b->beams; i++)
        if (ends(b, b->best[i].token)) finish(b, &b->best[i]);
    int32_t live = run_on(b, n);
    /* a vocabulary smaller than the number of beams leaves some without a token at first */
    for (int32_t i = live; live > 0 && i < b->beams; i++) {
        b->parent[i] = b->parent[0], b->token[i] = b->token[0], b->running[i] = NEVER;
        memcpy(row(b, b->tokens, i), row(b, b->tokens, 0), (size_t)(b->step + 1) * sizeof(int32_t));
    }
    b->step++;
    const answer *worst = &b->done[b->beams - 1];
    float hope = b->running[0] / powf((float)b->step, b->power);
    b->hopeful = b->hopeful && (!worst->n || hope > worst->score);
    *parent = b->parent, *token = b->token;
    return live > 0 && b->hopeful;
}

const int32_t *ada_beams_best(const ada_beams *b, int32_t *n) {
    *n = b->done[0].n;
    return b->done_tokens;
}
