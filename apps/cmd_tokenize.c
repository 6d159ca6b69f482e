/* SPDX-License-Identifier: Apache-2.0
 * tokenize: lines of text to lines of ids, and back. Owns: the stream of lines. Needs a model's tokenizer
 * alone, so no weights are read. Must not know: how text becomes ids. Invariant: one line in, one line out,
 * in order. */
#include "engine/vision.h"
#include "apps/opt.h"
#include "apps/report.h"
#include "io/tensors.h"
#include "io/tok.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tokenize {
    struct ada_common common;
    const char *model, *data, *prompt;
    bool decode, special, plain, strings, skip_special;
};
#define F(f) ADA_OPT_FIELD(struct tokenize, f)

/* clang-format off */
static const struct ada_opt opts[] = {
    { .name = "model", .letter = 'm', F(model), .arg = "PATH", .need = true,
      .help = "whose tokenizer: a Hugging Face folder, a .gguf or an imported .h5" },
    { .name = "prompt", .letter = 'p', F(prompt), .arg = "TEXT", .help = "tokenize this text and end" },
    { .name = "data", .letter = 'd', F(data), .arg = "FILE", .def = "-",
      .help = "text, one a line (with --decode: lists of ids); - is standard input" },
    { .name = "decode", F(decode), .help = "the other way: lists of ids to text" },
    { .name = "special", F(special), .def = "true",
      .help = "leave out the marks the model puts around a text, as for a text in the middle of another" },
    { .name = "plain", F(plain),
      .help = "read the names of special tokens in the text as text, as for input one does not trust" },
    { .name = "skip-special", F(skip_special),
      .help = "with --decode: leave special tokens out of the text" },
    { .name = "strings", F(strings),
      .help = "texts are JSON strings, so that a line can hold a text of several lines" },
    { .name = "json", F(common.json), .local = true,
      .help = "print objects: the ids, and the vocabulary's entry of each" },
    ADA_OPT_COMMON(struct tokenize),
    ADA_OPT_LAST,
};
/* clang-format on */

struct line {
    const struct tokenize *o;
    const ada_tok *tok;
    const char *name; /* of the input, for errors */
    size_t number;
    ada_ids ids;
    ada_buf text, out;
};

static ada_status put_ids(struct line *l) {
    ADA_TRY(ada_buf_puts(&l->out, "["));
    for (size_t i = 0; i < l->ids.len; i++) {
        char digits[16];
        int n = snprintf(digits, sizeof digits, i ? ", %d" : "%d", (int)l->ids.data[i]);
        ADA_TRY(ada_buf_add(&l->out, digits, (size_t)n));
    }
    return ada_buf_puts(&l->out, "]");
}

static ada_status put_object(struct line *l, const char *text, size_t n) {
    struct ada_object o = ada_object_new();
    ada_json *ids = ada_json_new_arr(), *entries = ada_json_new_arr();
    for (size_t i = 0; o.st == ADA_OK && i < l->ids.len; i++) {
        const char *entry = ada_tok_text(l->tok, l->ids.data[i]);
        if (!entry) entry = "";
        o.st = ada_json_push(ids, ada_json_new_int(l->ids.data[i]));
        if (o.st == ADA_OK) o.st = ada_json_push(entries, ada_json_new_str(entry, strlen(entry)));
    }
    ada_object_tree(&o, "text", ada_json_new_str(text, n));
    ada_object_tree(&o, "ids", ids);
    ada_object_tree(&o, "tokens", entries);
    if (o.st == ADA_OK) o.st = ada_json_text(o.j, 0, &l->out);
    ada_json_close(&o.j);
    return o.st;
}

static ada_status put_string(struct line *l, const char *text, size_t n) {
    ada_json *j = ada_json_new_str(text, n);
    ada_status st = j ? ada_json_text(j, 0, &l->out) : ada_fail(ADA_ENOMEM, "out of memory");
    ada_json_close(&j);
    return st;
}

static ada_status wrong_line(const struct line *l, const char *want) {
    return ada_fail(ADA_EFORMAT, "%s:%zu: the line is not %s", l->name, l->number, want);
}

static ada_status encode_line(struct line *l, const char *p, size_t n) {
    ada_json *string = NULL;
    if (l->o->strings) {
        ADA_TRY(ada_json_parse(&string, p, n, l->name));
        if (!ada_json_is_str(string)) {
            ada_json_close(&string);
            return wrong_line(l, "a JSON string");
        }
        p = ada_json_str(string, "");
        n = ada_json_strlen(string);
    }
    unsigned flags = (l->o->special ? ADA_TOK_SPECIAL : 0u) | (l->o->plain ? ADA_TOK_PLAIN : 0u);
    l->ids.len = 0;
    ada_status st = ada_tok_encode(l->tok, p, n, flags, &l->ids);
    if (st == ADA_OK) st = l->o->common.json ? put_object(l, p, n) : put_ids(l);
    ada_json_close(&string);
    return st;
}

static ada_status read_ids(struct line *l, const ada_json *list) {
    if (ada_json_is_obj(list)) list = ada_json_get(list, "ids");
    if (!ada_json_is_arr(list)) return wrong_line(l, "a list of ids");
    l->ids.len = 0;
    for (size_t i = 0; i < ada_json_len(list); i++) {
        const ada_json *v = ada_json_at(list, i);
        int64_t id = ada_json_int(v, -1);
        if (!ada_json_is_int(v) || id < 0 || id >= ada_tok_size(l->tok))
            return ada_fail(ADA_EFORMAT, "%s:%zu: entry %zu is no id of this vocabulary of %d", l->name,
                            l->number, i + 1, (int)ada_tok_size(l->tok));
        ADA_TRY(ada_ids_push(&l->ids, (int32_t)id));
    }
    return ADA_OK;
}

static ada_status decode_line(struct line *l, const char *p, size_t n) {
    ada_json *list = NULL;
    ADA_TRY(ada_json_parse(&list, p, n, l->name));
    ada_status st = read_ids(l, list);
    ada_json_close(&list);
    ADA_TRY(st);
    l->text.len = 0;
    ADA_TRY(ada_tok_decode(l->tok, l->ids.data, l->ids.len, l->o->skip_special, &l->text));
    const char *text = l->text.data ? l->text.data : "";
    if (l->o->common.json) return put_object(l, text, l->text.len);
    if (l->o->strings) return put_string(l, text, l->text.len);
    return ada_buf_add(&l->out, text, l->text.len);
}

static ada_status one_line(struct line *l, const char *p, size_t n) {
    l->number++;
    l->out.len = 0;
    ADA_TRY(l->o->decode ? decode_line(l, p, n) : encode_line(l, p, n));
    ADA_TRY(ada_buf_puts(&l->out, "\n"));
    ada_out_write(l->out.data, l->out.len);
    return ADA_OK;
}

static ada_status all_lines(struct line *l, const char *path) {
    bool input = strcmp(path, "-") == 0;
    FILE *f = input ? stdin : fopen(path, "re");
    if (!f) return ada_fail(ADA_EIO, "cannot open '%s': %s", path, strerror(errno));
    l->name = input ? "standard input" : path;
    char *p = NULL;
    size_t cap = 0;
    ada_status st = ADA_OK;
    errno = 0;
    for (ssize_t n; st == ADA_OK && (n = getline(&p, &cap, f)) >= 0;) {
        if (n && p[n - 1] == '\n') n--;
        st = one_line(l, p, (size_t)n);
        /* A reader that went away ends the work, not only its last line. */
        if (st == ADA_OK && (l->number % 1024 == 0 || (input && ada_out_is_tty()))) st = ada_out_flush();
    }
    if (st == ADA_OK && !feof(f)) st = ada_fail(ADA_EIO, "cannot read '%s': %s", l->name, strerror(errno));
    free(p);
    if (!input) fclose(f);
    return st;
}

static ada_status run(struct ada_args *a, void *values) {
    const struct tokenize *o = values;
    ADA_TRY(ada_opt_check(a));
    ada_tensors *file = NULL;
    ada_tok *tok = NULL;
    ada_status st = ada_tensors_open(&file, o->model);
    if (st == ADA_OK) st = ada_vision_tok(&tok, file);
    struct line l = {.o = o, .tok = tok, .name = "--prompt"};
    if (st == ADA_OK) st = o->prompt ? one_line(&l, o->prompt, strlen(o->prompt)) : all_lines(&l, o->data);
    ada_ids_free(&l.ids);
    ada_buf_free(&l.text);
    ada_buf_free(&l.out);
    ada_tok_close(&tok);
    ada_tensors_close(&file);
    return st;
}

const struct ada_command ada_command_tokenize = {
    .name = "tokenize",
    .summary = "text to token ids, and back",
    .text = "Each line of input is one text; each line of output is its ids as a JSON list. With --decode, "
            "each line of input is such a list (or an object that has one as \"ids\") and each line of "
            "output its text.",
    .examples = "  adalink tokenize -m model.h5 -p 'Hello, world'\n"
                "  adalink tokenize -m model.h5 -d book.txt > ids.jsonl\n"
                "  adalink tokenize -m model.h5 --decode -d ids.jsonl\n",
    .opts = opts,
    .size = sizeof(struct tokenize),
    .run = run,
};
