/* SPDX-License-Identifier: Apache-2.0
 * generate: a prompt goes on, or a conversation. Owns: where the prompt comes from, streaming, the
 * conversation so far. Must not know: sampling. Invariant: text appears as it is made, and a reader that went
 * away ends the work. */
#include "apps/opt.h"
#include "apps/report.h"
#include "apps/stop.h"
#include "io/os.h"
#include "io/replace.h"
#include <errno.h>
#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct generate {
    struct ada_common common;
    const char *model, *mmproj, *adapter, *dtype, *prompt, *file, *system;
    const char **stop, **image;
    bool chat;
    int threads, context;
    ada_generate_opts run;
};
#define F(f) ADA_OPT_FIELD(struct generate, f)

/* clang-format off */
static const struct ada_opt opts[] = {
    ADA_OPT_HEAD("what"),
    ADA_OPT_MODEL(struct generate, model),
    ADA_OPT_MMPROJ(struct generate, mmproj),
    { .name = "adapter", .letter = 'a', F(adapter), .arg = "FILE", .help = "an adapter of that base" },
    { .name = "prompt", .letter = 'p', F(prompt), .arg = "TEXT", .help = "the text to go on with" },
    { .name = "file", .letter = 'f', F(file), .arg = "FILE",
      .help = "read the prompt from a file; - is standard input, read too when no prompt is given and no "
              "one is there" },
    { .name = "chat", F(chat),
      .help = "the prompt is a user's turn, by the model's chat template; without a prompt, each line of "
              "input is one" },
    { .name = "system", F(system), .arg = "TEXT", .help = "with --chat: the system's message" },
    { .name = "image", F(image), .arg = "FILE",
      .help = "an image (PNG, JPEG, WebP) of the prompt, where its <image> stands, or in front; may be given "
              "several times" },
    ADA_OPT_HEAD("how"),
    { .name = "max-new", .letter = 'n', F(run.max_new), .arg = "N", .lo = 1, .hi = 1048576, .def = "256",
      .help = "tokens made at most" },
    { .name = "temperature", F(run.temperature), .arg = "X", .lo = 0, .hi = 100, .def = "0",
      .help = "0 takes the likeliest token each time; higher varies more" },
    { .name = "top-k", F(run.top_k), .arg = "N", .lo = 0, .hi = 1048576, .def = "0",
      .help = "sample among the N likeliest; 0: all" },
    { .name = "top-p", F(run.top_p), .arg = "X", .lo = 0, .hi = 1, .def = "0",
      .help = "sample among the likeliest that together reach X; 0: all" },
    { .name = "min-p", F(run.min_p), .arg = "X", .lo = 0, .hi = 1, .def = "0",
      .help = "leave out tokens less likely than X times the likeliest; 0: none" },
    { .name = "repetition-penalty", F(run.repetition), .arg = "X", .lo = 0.01, .hi = 100, .def = "1",
      .help = "above 1 makes what was said before less likely" },
    { .name = "beams", F(run.beams), .arg = "N", .lo = 1, .hi = 64, .def = "1",
      .help = "above 1: beam search, for the likeliest answer as a whole; it is said when it is complete" },
    { .name = "length-penalty", F(run.length_penalty), .arg = "X", .lo = -10, .hi = 10, .def = "1",
      .help = "with --beams: an answer's log-likelihood is divided by its length to this power; more favours "
              "long answers" },
    { .name = "stop", F(stop), .arg = "TEXT", .help = "end before this text; may be given several times" },
    { .name = "ignore-eos", F(run.ignore_eos), .help = "go on after the model's end mark, for timing" },
    { .name = "seed", F(run.seed), .arg = "N", .lo = 0, .hi = 9007199254740991, .def = "0",
      .help = "of sampling; the same seed gives the same text" },
    { .name = "context", F(context), .arg = "N", .lo = 2, .hi = 1048576,
      .help = "tokens of prompt and answer together; the default is what the model has positions for, at "
              "most 4096" },
    ADA_OPT_HEAD("machine and output"),
    ADA_OPT_DTYPE(struct generate, dtype),
    ADA_OPT_THREADS(struct generate, threads),
    { .name = "json", F(common.json), .local = true,
      .help = "print one JSON object: text, tokens with log-probabilities, why it ended, times" },
    ADA_OPT_COMMON(struct generate),
    ADA_OPT_LAST,
};
/* clang-format on */

/* ---- one answer ---- */

struct answer {
    bool json;
    ada_buf text;
    ada_json *tokens; /* for json */
    size_t n;
    double begun, first, last; /* seconds */
    ada_status st;
};

static ada_status keep_token(struct answer *w, const ada_token_event *e) {
    struct ada_object o = ada_object_new();
    if (e->id >= 0) ada_object_int(&o, "id", e->id);
    ada_object_tree(&o, "text", ada_json_new_str(e->piece ? e->piece : "", e->piece_len));
    if (e->id >= 0) ada_object_num(&o, "logprob", e->logprob);
    if (o.st == ADA_OK) return ada_json_push(w->tokens, o.j);
    ada_json_close(&o.j);
    return o.st;
}

static int on_token(void *ctx, const ada_token_event *e) {
    struct answer *w = ctx;
    w->last = ada_os.now();
    if (e->id >= 0 && w->n++ == 0) w->first = w->last;
    w->st = ada_buf_add(&w->text, e->piece ? e->piece : "", e->piece_len);
    if (w->st == ADA_OK && w->json) w->st = keep_token(w, e);
    if (w->st == ADA_OK && !w->json && e->piece_len) {
        ada_out_write(e->piece, e->piece_len);
        w->st = ada_out_flush();
    }
    return w->st != ADA_OK || ada_stop_signal() != 0;
}

static void answer_free(struct answer *w) {
    ada_buf_free(&w->text);
    ada_json_close(&w->tokens);
}

static ada_status show_answer(struct answer *w, const char *prompt, const char *finish) {
    double all = w->last - w->begun, steps = w->last - w->first;
    double speed = w->n > 1 && steps > 0 ? (double)(w->n - 1) / steps : 0;
    if (!w->json) {
        ada_out_printf("\n");
        ada_log(ADA_LOG_INFO, "%zu tokens, ended by %s; first after %.3f s, then %.1f tokens/s", w->n, finish,
                w->n ? w->first - w->begun : 0.0, speed);
        return ada_out_flush();
    }
    struct ada_object o = ada_object_new();
    ada_object_str(&o, "prompt", prompt);
    ada_object_tree(&o, "text", ada_json_new_str(w->text.data ? w->text.data : "", w->text.len));
    ada_object_str(&o, "finish", finish);
    ada_object_tree(&o, "tokens", w->tokens);
    w->tokens = NULL;
    ada_object_num(&o, "seconds", w->n ? all : 0);
    ada_object_num(&o, "first_token_seconds", w->n ? w->first - w->begun : 0);
    ada_object_num(&o, "tokens_per_second", speed);
    return ada_object_show(&o, ADA_OK, true);
}

/* Text when messages is NULL. `said`, if wanted, gets the answer. */
static ada_status answer(const struct generate *o, ada_generator *g, const char *prompt,
                         const ada_message *messages, size_t n, ada_buf *said) {
    struct answer w = {.json = o->common.json, .begun = ada_os.now()};
    const char *finish = NULL;
    if (w.json && !(w.tokens = ada_json_new_arr())) return ada_fail(ADA_ENOMEM, "out of memory");
    ada_status st = messages ? ada_generate_chat(g, messages, n, &o->run, on_token, &w, &finish)
                             : ada_generate_text(g, prompt, &o->run, on_token, &w, &finish);
    if (st == ADA_OK) st = w.st;
    if (st == ADA_OK) st = show_answer(&w, prompt, finish);
    if (st == ADA_OK && said) {
        *said = w.text;
        w.text = (ada_buf){0};
    }
    answer_free(&w);
    return st;
}

/* ---- a conversation ---- */

struct talk {
    ada_message *messages; /* [cap] */
    size_t n, cap;
    ada_arena memory;
};

static ada_status say(struct talk *t, const char *role, const char *content, size_t n) {
    if (t->n == t->cap) {
        size_t cap = t->cap ? 2 * t->cap : 16;
        ada_message *grown;
        ADA_TRY(ada_arena_take(&t->memory, &grown, cap, sizeof *grown));
        if (t->n) memcpy(grown, t->messages, t->n * sizeof *grown);
        t->messages = grown;
        t->cap = cap;
    }
    char *copy = ada_arena_str(&t->memory, content, n);
    if (!copy) return ADA_ENOMEM;
    t->messages[t->n++] = (ada_message){.role = role, .content = copy};
    return ADA_OK;
}

static ada_status turn(const struct generate *o, ada_generator *g, struct talk *t, const char *line, size_t n,
                       bool person) {
    ada_buf said = {0};
    ADA_TRY(say(t, "user", line, n));
    const char *user = t->messages[t->n - 1].content;
    ada_status st = answer(o, g, user, t->messages, t->n, &said);
    if (st == ADA_OK) st = say(t, "assistant", said.data ? said.data : "", said.len);
    ada_buf_free(&said);
    if (st == ADA_OK && person) {
        ada_stop_clear(); /* ^C ended the answer, not the conversation */
    } else if (st == ADA_OK) {
        st = ada_stop_status();
    }
    return st;
}

static ada_status converse(const struct generate *o, ada_generator *g, struct talk *t) {
    bool person = isatty(0) == 1;
    char *line = NULL;
    size_t cap = 0;
    ada_status st = ADA_OK;
    if (person) ada_err_printf("a line is a turn; ^C ends an answer, /exit or ^D the conversation");
    while (st == ADA_OK) {
        if (person) fputs("> ", stderr);
        errno = 0;
        ssize_t n = getline(&line, &cap, stdin);
        if (n < 0) {
            if (ferror(stdin) && !ada_stop_signal())
                st = ada_fail(ADA_EIO, "cannot read standard input: %s", strerror(errno));
            if (st == ADA_OK) st = ada_stop_status();
            if (person) fputc('\n', stderr);
            break;
        }
        if (n && line[n - 1] == '\n') line[--n] = 0;
        if (strcmp(line, "/exit") == 0) break;
        if (n) st = turn(o, g, t, line, (size_t)n, person);
    }
    free(line);
    return st;
}

/* ---- where the prompt comes from ---- */

/* Standard input has no size to ask for. */
static ada_status read_input(char **text) {
    ada_buf b = {0};
    char part[4096];
    size_t n;
    ada_status st = ADA_OK;
    while (st == ADA_OK && (n = fread(part, 1, sizeof part, stdin)) > 0) st = ada_buf_add(&b, part, n);
    if (st == ADA_OK && ferror(stdin))
        st = ada_fail(ADA_EIO, "cannot read standard input: %s", strerror(errno));
    if (st == ADA_OK && !b.data) st = ada_buf_puts(&b, "");
    if (st != ADA_OK) ada_buf_free(&b);
    *text = b.data;
    return st;
}

static bool is_talk(const struct generate *o) {
    return !o->prompt && !o->file && (o->chat || isatty(0) == 1);
}

static ada_status check(const struct generate *o) {
    if (o->prompt && o->file) return ada_fail(ADA_EINVAL, "--prompt and --file exclude each other");
    if (o->system && !o->chat && !is_talk(o)) return ada_fail(ADA_EINVAL, "--system is for --chat");
    return ADA_OK;
}

static ada_status generate(struct generate *o, ada_model *m, ada_adapter *a, struct talk *t, char **text) {
    bool talk = is_talk(o);
    const char *prompt = o->prompt;
    ada_generator *g = NULL;
    size_t n;
    if (!prompt && !talk) {
        ADA_TRY(o->file && strcmp(o->file, "-") != 0 ? ada_read_file(o->file, text, &n) : read_input(text));
        prompt = *text;
    }
    ADA_TRY(ada_generator_open(&g, m, a, o->context));
    ada_status st = ADA_OK;
    ada_stop_catch();
    if (o->system) st = say(t, "system", o->system, strlen(o->system));
    if (st == ADA_OK && talk) {
        st = converse(o, g, t);
    } else if (st == ADA_OK && o->chat) {
        st = turn(o, g, t, prompt, strlen(prompt), false);
    } else if (st == ADA_OK) {
        st = answer(o, g, prompt, NULL, 0, NULL);
        if (st == ADA_OK) st = ada_stop_status();
    }
    ada_generator_close(&g);
    return st;
}

static ada_status run(struct ada_args *args, void *values) {
    struct generate *o = values;
    struct talk t = {0};
    ada_model *m = NULL;
    ada_adapter *a = NULL;
    char *text = NULL;
    ADA_TRY(ada_opt_check(args));
    ADA_TRY(check(o));
    o->run.plain = !o->chat;
    o->run.logprobs = o->common.json && o->run.beams <= 1;
    /* The engine's zero means its default; here zero means that length does not count. */
    if (o->run.length_penalty == 0) o->run.length_penalty = DBL_MIN;
    o->run.stop = o->stop;
    o->run.images = o->image;
    while (o->image && o->image[o->run.nimages]) o->run.nimages++;
    const ada_model_opts how = {
        .f32 = o->dtype[0] == 'f', .threads = o->threads, .mmproj = o->mmproj};
    ada_status st = ada_model_open(&m, o->model, &how);
    if (st == ADA_OK && o->adapter) st = ada_adapter_open(&a, m, o->adapter);
    if (st == ADA_OK) st = generate(o, m, a, &t, &text);
    ada_os.release(text);
    ada_arena_free(&t.memory);
    ada_adapter_close(&a);
    ada_model_close(&m);
    return st;
}

const struct ada_command ada_command_generate = {
    .name = "generate",
    .summary = "go on with a prompt, or talk",
    .text = "The prompt is plain text, as prompt/completion rows are; with --chat it is a user's turn. "
            "Without a prompt, on a terminal, a conversation begins. Text is streamed to standard output as "
            "it is made.",
    .examples = "  adalink generate -m smollm2.h5 -p 'The capital of France is' -n 8\n"
                "  adalink generate -m smollm2.h5 -a out/adapter.h5 --chat -p 'Write a haiku about rivers.'\n"
                "  adalink generate -m smollm2.h5\n",
    .opts = opts,
    .size = sizeof(struct generate),
    .run = run,
};
