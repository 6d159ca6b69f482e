/* SPDX-License-Identifier: Apache-2.0
 * Sampling against its definition, and sessions of a tiny model: greedy output is what full passes say,
 * whatever the cache held; stop strings, limits, seeds, log-probabilities, text freed in whole UTF-8. */
#include "engine/sample.h"
#include "tests/pass.h"
#include "tests/tiny.h"

/* ---- the sampler ---- */
enum { V = 8 };
static const float logits[V] = {1, 3, 2, 3, -1, 0, 2.5f, -2};

static int32_t pick(const ada_generate_opts *o, uint64_t i, const int32_t *context, size_t n) {
    static ada_arena arena;
    static ada_sampler s;
    if (!s.vocab) assert_ok(ada_sampler_layout(&s, &arena, V));
    return ada_sample(&s, logits, context, n, o, i);
}

static void greedy_and_penalty(void **state) {
    (void)state;
    static const int32_t seen[] = {1, 1, 3};
    assert_int_equal(pick(&(ada_generate_opts){0}, 0, NULL, 0), 1); /* the first of two equals */
    assert_int_equal(pick(&(ada_generate_opts){.repetition = 1.1}, 0, seen, 2), 3);
    assert_int_equal(pick(&(ada_generate_opts){.repetition = 2}, 0, seen, 3), 6); /* 3/2 once, not 3/4 */
    assert_int_equal(pick(&(ada_generate_opts){.repetition = 2}, 0, NULL, 0),
                     1); /* nothing stays penalised */
}

/* Which tokens come, and how often, against probabilities in double. */
static void check_draws(const ada_generate_opts *o, const double *want) {
    enum { N = 20000 };
    int count[V] = {0};
    for (uint64_t i = 0; i < N; i++) count[pick(o, i, NULL, 0)]++;
    for (int i = 0; i < V; i++) {
        double p = want[i], sd = sqrt(p * (1 - p) / N);
        if (!(fabs(count[i] / (double)N - p) <= 4.5 * sd))
            fail_msg("token %d: %d of %d, not %g", i, count[i], N, p * N);
    }
}

static void distributions(void **state) {
    (void)state;
    double p[V], q[V], sum = 0;
    for (int i = 0; i < V; i++) sum += p[i] = exp((double)logits[i] / 0.8);
    for (int i = 0; i < V; i++) p[i] /= sum;
    check_draws(&(ada_generate_opts){.temperature = 0.8}, p);
    double top3 = p[1] + p[3] + p[6];
    for (int i = 0; i < V; i++) q[i] = i == 1 || i == 3 || i == 6 ? p[i] / top3 : 0;
    check_draws(&(ada_generate_opts){.temperature = 0.8, .top_k = 3}, q);
    check_draws(&(ada_generate_opts){.temperature = 0.8, .top_p = p[1] + p[3] + 0.01},
                q); /* needs the third */
    check_draws(&(ada_generate_opts){.temperature = 0.8, .min_p = exp(-0.6 / 0.8)}, q);
    double top2 = p[1] + p[3];
    for (int i = 0; i < V; i++) q[i] = i == 1 || i == 3 ? p[i] / top2 : 0;
    check_draws(&(ada_generate_opts){.temperature = 0.8, .top_k = 3, .top_p = top2 / top3 - 1e-6}, q);
    assert_int_equal(pick(&(ada_generate_opts){.temperature = 1, .top_k = 1}, 7, NULL, 0), 1);
}

static void bad_options(void **state) {
    (void)state;
    assert_fails(ada_sample_check(&(ada_generate_opts){.temperature = -1}), ADA_EINVAL, "temperature");
    assert_fails(ada_sample_check(&(ada_generate_opts){.top_k = -1}), ADA_EINVAL, "top-k");
    assert_fails(ada_sample_check(&(ada_generate_opts){.top_p = 1.5}), ADA_EINVAL, "top-p");
    assert_fails(ada_sample_check(&(ada_generate_opts){.min_p = -0.1}), ADA_EINVAL, "min-p");
    assert_fails(ada_sample_check(&(ada_generate_opts){.repetition = -2}), ADA_EINVAL, "repetition");
    assert_fails(ada_sample_check(&(ada_generate_opts){.max_new = -1}), ADA_EINVAL, "max-new");
}

/* ---- sessions ---- */
typedef struct heard {
    int32_t ids[64];
    double logprob[64];
    int n, stop_after;
    char text[512];
} heard;

static int hear(void *ctx, const ada_token_event *e) {
    heard *h = ctx;
    if (e->id >= 0) h->ids[h->n] = e->id, h->logprob[h->n++] = e->logprob;
    strncat(h->text, e->piece, e->piece_len);
    return h->stop_after && h->n >= h->stop_after;
}

static heard say(ada_generator *g, const char *text, ada_generate_opts o, const char *want) {
    heard h = {0};
    const char *finish = NULL;
    o.plain = true;
    o.ignore_eos = true;
    assert_ok(ada_generate_text(g, text, &o, hear, &h, &finish));
    assert_string_equal(finish, want);
    return h;
}

static void session(void **state) {
    (void)state;
    ada_model *m = tiny_model(true);
    ada_generator *g = NULL, *h = NULL;
    assert_ok(ada_generator_open(&g, m, NULL, 0));
    assert_ok(ada_generator_open(&h, m, NULL, 0));
    ada_generate_opts o = {.max_new = 12, .logprobs = true};
    heard a = say(g, "hello there", o, "length"), b = say(g, "hello there", o, "length");
    assert_int_equal(a.n, 12);
    assert_memory_equal(a.ids, b.ids, sizeof a.ids); /* all but one token came from the cache */
    assert_memory_equal(a.logprob, b.logprob, sizeof a.logprob);
    for (int i = 0; i < a.n; i++) assert_true(a.logprob[i] < 0);
    heard c = say(g, "hello you", o, "length"), d = say(h, "hello you", o, "length");
    assert_memory_equal(c.ids, d.ids, sizeof c.ids);
    assert_memory_equal(c.logprob, d.logprob, sizeof c.logprob);
    ada_generator_close(&g);
    ada_generator_close(&h);
    ada_generator_close(&h);
    ada_model_close(&m);
}

static void limits_and_stops(void **state) {
    (void)state;
    ada_model *m = tiny_model(true);
    ada_generator *g = NULL;
    const char *finish;
    assert_fails(ada_generator_open(&g, m, NULL, 65), ADA_EINVAL, "64 positions");
    assert_ok(ada_generator_open(&g, m, NULL, 16));
    heard a = say(g, "0123456789", (ada_generate_opts){.max_new = 40}, "length");
    assert_int_equal(a.n, 7); /* 10 + 6 fill the cache; the seventh needs no room */
    assert_fails(
        ada_generate_text(g, "0123456789abcdefg", &(ada_generate_opts){.plain = true}, hear, &a, &finish),
        ADA_EINVAL, "17 tokens, the cache holds 16");
    assert_fails(ada_generate_text(g, "", &(ada_generate_opts){.plain = true}, hear, &a, &finish), ADA_EINVAL,
                 "no token");
    heard b = {.stop_after = 2};
    assert_ok(ada_generate_text(g, "0123", &(ada_generate_opts){.plain = true, .ignore_eos = true}, hear, &b,
                                &finish));
    assert_string_equal(finish, "callback");
    assert_int_equal(b.n, 2);
    heard whole = say(g, "abc", (ada_generate_opts){.max_new = 8, .temperature = 1, .seed = 5}, "length");
    size_t len = strlen(whole.text);
    if (len >= 4) { /* a stop string across two pieces is never seen, nor its beginning */
        char part[3] = {whole.text[2], whole.text[3], 0};
        const char *stop[] = {"~~", part, NULL};
        heard cut = say(g, "abc",
                        (ada_generate_opts){.max_new = 8, .temperature = 1, .seed = 5, .stop = stop}, "stop");
        assert_true(strlen(cut.text) <= 2 && strncmp(cut.text, whole.text, strlen(cut.text)) == 0);
    }
    ada_generator_close(&g);
    ada_model_close(&m);
}

static void seeds(void **state) {
    (void)state;
    ada_model *m = tiny_model(true);
    ada_generator *g = NULL;
    assert_ok(ada_generator_open(&g, m, NULL, 0));
    ada_generate_opts o = {.max_new = 16, .temperature = 1.5, .seed = 1};
    heard a = say(g, "abc", o, "length"), b = say(g, "abc", o, "length");
    o.seed = 2;
    heard c = say(g, "abc", o, "length");
    assert_memory_equal(a.ids, b.ids, sizeof a.ids);
    assert_memory_not_equal(a.ids, c.ids, sizeof a.ids);
    ada_generator_close(&g);
    ada_model_close(&m);
}

static void conversation(void **state) {
    (void)state;
    ada_model *m = tiny_model(true);
    ada_generator *g = NULL;
    heard h = {0}, k = {0};
    const ada_message msgs[] = {{.role = "user", .content = "hi"}};
    ada_generate_opts o = {.max_new = 6, .ignore_eos = true};
    assert_ok(ada_generator_open(&g, m, NULL, 0));
    assert_ok(ada_generate_chat(g, msgs, 1, &o, hear, &h, NULL));
    assert_ok(
        ada_generate_text(g, "hi", &o, hear, &k, NULL)); /* a user's turn, since the model has a template */
    assert_memory_equal(h.ids, k.ids, sizeof h.ids);
    ada_generator_close(&g);
    ada_model_close(&m);
}

/* What a search finds is at least as likely as what greed does, and it leaves the session as it was. */
static void beams(void **state) {
    (void)state;
    ada_model *m = tiny_model(true);
    ada_generator *g = NULL;
    heard h = {0};
    assert_ok(ada_generator_open(&g, m, NULL, 20));
    heard greedy = say(g, "hello", (ada_generate_opts){.max_new = 8}, "length");
    heard one = say(g, "hello", (ada_generate_opts){.max_new = 1, .beams = 4}, "length");
    assert_true(one.n == 1 && one.ids[0] == greedy.ids[0]);
    heard a = say(g, "hello", (ada_generate_opts){.max_new = 40, .beams = 5}, "length");
    assert_int_equal(a.n, 16); /* 5 + 15 fill the cache; the last needs no room */
    heard b = say(g, "hello", (ada_generate_opts){.max_new = 40, .beams = 5}, "length");
    assert_memory_equal(a.ids, b.ids, sizeof a.ids);
    heard again = say(g, "hello", (ada_generate_opts){.max_new = 8}, "length");
    assert_memory_equal(again.ids, greedy.ids, sizeof again.ids);
    const ada_generate_opts bad[] = {{.beams = 65, .plain = true},
                                     {.beams = 2, .temperature = 1, .plain = true},
                                     {.beams = 2, .repetition = 1.5, .plain = true}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_fails(ada_generate_text(g, "hello", &bad[i], hear, &h, NULL), ADA_EINVAL, "beams");
    ada_generator_close(&g);
    ada_model_close(&m);
}

/* What full passes say after a prompt that sees itself in both directions. */
static void plain_greedy(const ada_model *m, int32_t *ids, int32_t prompt, int n) {
    for (int32_t at = prompt; at < prompt + n; at++) {
        const ada_segment segs[] = {{.len = prompt, .parent = -1, .cache = -1, .full = true},
                                    {.start = prompt, .len = at - prompt, .pos = prompt, .cache = -1}};
        int32_t last = at - 1;
        ada_pack p = {
            .T = at, .nsegs = at > prompt ? 2 : 1, .nout = 1, .ids = ids, .segs = segs, .out = &last};
        pass_run r;
        pass_room(&r, &m->stack, &m->head, &p, false);
        pass_embed(&r, m, &p);
        ada_stack_forward(&m->stack, &p, r.pass, NULL, r.x, r.h);
        ada_head_logits(&m->head, r.head, r.h, 1, r.logits);
        ids[at] = (int32_t)ada_k.argmax(r.logits, (size_t)m->c.vocab);
        ada_arena_free(&r.arena);
    }
}

/* A prompt of more tokens than a pass has rows otherwise, in windowed layers too. */
static void prefix(void **state) {
    (void)state;
    enum { PROMPT = 300, NEW = 6 };
    char text[PROMPT + 1];
    int32_t ids[PROMPT + NEW];
    ada_model *m = tiny_model(true);
    ada_generator *g = NULL, *h = NULL;
    const ada_generate_opts o = {.max_new = NEW, .logprobs = true}, beams = {.max_new = NEW, .beams = 3};
    m->c.max_positions = m->stack.c.max_positions = 2 * PROMPT;
    m->c.window = m->stack.c.window = 7, m->c.window_every = m->stack.c.window_every = 2;
    for (int i = 0; i < PROMPT; i++) ids[i] = tiny_id(text[i] = tiny_letters[(i * 5 + i / 7) % 26]);
    text[PROMPT] = 0;
    assert_ok(ada_generator_open(&g, m, NULL, 0));
    assert_ok(ada_generator_open(&h, m, NULL, 0));
    heard a = say(g, text, o, "length"), b = say(g, text, o, "length");
    plain_greedy(m, ids, PROMPT, NEW);
    assert_memory_equal(a.ids, ids + PROMPT, NEW * sizeof *ids);
    assert_memory_equal(&a, &b, sizeof a); /* the whole prefix came from the cache */
    say(g, text, beams, "length");
    b = say(g, text, o, "length");
    assert_memory_equal(&a, &b, sizeof a);
    text[40] = 0; /* a beginning of it alone sees less, and more of it more */
    heard c = say(g, text, o, "length"), d = say(h, text, o, "length");
    assert_memory_equal(&c, &d, sizeof c);
    text[40] = 'x', text[60] = 0;
    c = say(g, text, o, "length"), d = say(h, text, o, "length");
    assert_memory_equal(&c, &d, sizeof c);
    ada_generator_close(&g);
    ada_generator_close(&h);
    ada_model_close(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(greedy_and_penalty), cmocka_unit_test(distributions),
                                       cmocka_unit_test(bad_options),        cmocka_unit_test(session),
                                       cmocka_unit_test(limits_and_stops),   cmocka_unit_test(seeds),
                                       cmocka_unit_test(conversation),       cmocka_unit_test(beams)};
    const struct CMUnitTest whole[] = {cmocka_unit_test(prefix)};
    return cmocka_run_group_tests(tests, tiny_begin, io_test_end) +
           cmocka_run_group_tests(whole, tiny_begin_prefix, io_test_end);
}
