/* SPDX-License-Identifier: Apache-2.0
 * Commands and their options as tables. Owns: what a command is, and how words on the command line, keys of a
 * run file and fields of a struct are bound to each other. Must not know: what any command does. Help,
 * errors, suggestions, completion, run files and run.json all come from the same rows. Invariant: a field's C
 * type decides how its text is read; a value outside its row's range never reaches a field. */
#ifndef ADA_APPS_OPT_H
#define ADA_APPS_OPT_H

#include "io/json.h"
#include <math.h>

enum ada_opt_kind {
    ADA_OPT_END, /* the last row */
    ADA_OPT_HEADING,
    ADA_OPT_BOOL,
    ADA_OPT_INT,
    ADA_OPT_I64,
    ADA_OPT_U64,
    ADA_OPT_REAL,
    ADA_OPT_STR,
    ADA_OPT_LIST, /* may be given more than once; a NULL-terminated array */
};

struct ada_opt {
    const char *name; /* "rank": --rank, and `rank:` in a run file */
    char letter;      /* 'm' for -m; 0: none */
    enum ada_opt_kind kind;
    size_t offset;     /* of its field in the command's struct */
    const char *arg;   /* what stands for the value in help */
    const char *words; /* "a|b|c": the only values allowed */
    double lo, hi;     /* of a number, both allowed */
    const char *def;   /* read first, as if given; NULL: the field stays zero */
    bool need;         /* the command cannot run without it */
    bool local;        /* about one invocation: not a key of run files, not written to run.json */
    const char *help;
};

/* clang-format off */
/* The kind and place of a field: ADA_OPT_FIELD(struct train, rank). */
#define ADA_OPT_KIND(x)                                                                                      \
    _Generic((x),                                                                                            \
        bool: ADA_OPT_BOOL,                                                                                  \
        int: ADA_OPT_INT,                                                                                    \
        int64_t: ADA_OPT_I64,                                                                                \
        uint64_t: ADA_OPT_U64,                                                                               \
        double: ADA_OPT_REAL,                                                                                \
        const char *: ADA_OPT_STR,                                                                           \
        const char **: ADA_OPT_LIST)
#define ADA_OPT_FIELD(T, f) .kind = ADA_OPT_KIND(((T *)0)->f), .offset = offsetof(T, f)
#define ADA_OPT_HEAD(text) { .kind = ADA_OPT_HEADING, .help = text }
#define ADA_OPT_LAST { .kind = ADA_OPT_END }

/* The rows that several commands share, so that they are spelled and explained once. */
#define ADA_OPT_MODEL(T, f)                                                                                  \
    { .name = "model", .letter = 'm', ADA_OPT_FIELD(T, f), .arg = "PATH", .need = true,                      \
      .help = "the frozen base: a Hugging Face folder, a .gguf, or an imported .h5, which opens fastest" }
#define ADA_OPT_MMPROJ(T, f)                                                                                 \
    { .name = "mmproj", ADA_OPT_FIELD(T, f), .arg = "FILE",                                                  \
      .help = "the .gguf with the tower and projector that a text model sees with, where they stand apart" }
#define ADA_OPT_THREADS(T, f)                                                                                \
    { .name = "threads", ADA_OPT_FIELD(T, f), .arg = "N", .lo = 1, .hi = 1024,                               \
      .help = "threads to use; the default is all this process may use. Results do not depend on it" }
#define ADA_OPT_DTYPE(T, f)                                                                                  \
    { .name = "dtype", ADA_OPT_FIELD(T, f), .arg = "TYPE", .words = "bf16|f32", .def = "bf16",               \
      .help = "type of weights and matmul inputs; f32 when comparing with another engine to the last digit" }
#define ADA_OPT_JSON(T, f)                                                                                   \
    { .name = "json", ADA_OPT_FIELD(T, f), .local = true, .help = "print one JSON object, for programs" }
#define ADA_OPT_QUIET(T, f)                                                                                  \
    { .name = "quiet", .letter = 'q', ADA_OPT_FIELD(T, f), .local = true, .help = "say nothing but errors" }
#define ADA_OPT_VERBOSE(T, f)                                                                                \
    { .name = "verbose", .letter = 'v', ADA_OPT_FIELD(T, f), .local = true,                                  \
      .help = "say more: what was found, chosen and skipped" }
/* T has a member `keys` of type ada_dataset_opts. */
#define ADA_OPT_KEYS(T)                                                                                      \
    { .name = "prompt-key", ADA_OPT_FIELD(T, keys.prompt_key), .arg = "KEY", .def = "prompt",                \
      .help = "key of a row's prompt, when the file calls it otherwise" },                                   \
    { .name = "completion-key", ADA_OPT_FIELD(T, keys.completion_key), .arg = "KEY", .def = "completion",    \
      .help = "key of a row's completion" },                                                                 \
    { .name = "messages-key", ADA_OPT_FIELD(T, keys.messages_key), .arg = "KEY", .def = "messages",          \
      .help = "key of a row's chat messages" },                                                              \
    { .name = "text-key", ADA_OPT_FIELD(T, keys.text_key), .arg = "KEY", .def = "text",                      \
      .help = "key of a row of plain text" },                                                                \
    { .name = "choices-key", ADA_OPT_FIELD(T, keys.choices_key), .arg = "KEY", .def = "choices",             \
      .help = "key of the completions a row allows" },                                                       \
    { .name = "image-key", ADA_OPT_FIELD(T, keys.image_key), .arg = "KEY", .def = "image",                   \
      .help = "key of a row's image, a file's name" },                                                       \
    { .name = "images-key", ADA_OPT_FIELD(T, keys.images_key), .arg = "KEY", .def = "images",                \
      .help = "key of a row's list of images" }

/* What every command's struct begins with. */
struct ada_common {
    bool quiet, verbose, json;
};
#define ADA_OPT_COMMON(T)                                                                                    \
    ADA_OPT_QUIET(T, common.quiet), ADA_OPT_VERBOSE(T, common.verbose)
/* clang-format on */

struct ada_args;
struct ada_command {
    const char *name;
    const char *summary;  /* one line, for the list of commands */
    const char *operands; /* "FILE…" or NULL: takes none */
    const char *text;     /* paragraphs of its help */
    const char *examples; /* lines */
    const struct ada_opt *opts;
    size_t size; /* of the struct the rows bind to; its first member is a struct ada_common */
    ada_status (*run)(struct ada_args *args, void *values);
};
extern const struct ada_command *const ada_commands[]; /* NULL-terminated; made from meson.build's list */

enum { ADA_OPT_MAX = 64 };
typedef enum { ADA_OPT_BY_NOBODY = 0, ADA_OPT_BY_FILE, ADA_OPT_BY_FLAG } ada_opt_by;
struct ada_args { /* one command line, read */
    const struct ada_command *command;
    void *values;
    unsigned char by[ADA_OPT_MAX]; /* who set each row */
    bool overruled[ADA_OPT_MAX];   /* a flag did, and a run file says something of it, too */
    const char **operands;         /* [noperands] */
    size_t noperands;
    bool help;        /* --help was met: nothing else counts */
    ada_arena memory; /* values, strings and lists */
};

/* Reads argv[0..argc) (the words after the command's name) into a new struct. EINVAL says what is wrong. */
ada_status ada_opt_parse(struct ada_args *a, const struct ada_command *c, int argc, char **argv) ADA_MUST_USE;
/* Reads a run file (YAML or JSON): keys are option names; what the command line gave stays. */
ada_status ada_opt_load(struct ada_args *a, const char *path) ADA_MUST_USE;
/* Sets one option that nobody gave, as a run file would. */
ada_status ada_opt_set(struct ada_args *a, const char *name, const char *text) ADA_MUST_USE;
bool ada_opt_overruled(const struct ada_args *a, const char *name);
/* A text without a default, as if nobody had given it. */
void ada_opt_forget(struct ada_args *a, const char *name);
/* Every needed option was given, and operands agree with the command. */
ada_status ada_opt_check(const struct ada_args *a) ADA_MUST_USE;
/* Who set an option. */
ada_opt_by ada_opt_given(const struct ada_args *a, const char *name);
/* The settings as an object that ada_opt_load reads back. A key of `resolved` (may be NULL; underscores for
 * hyphens) answers for what nobody gave: the engine knows what its defaults came to. */
ada_status ada_opt_settings(const struct ada_args *a, const ada_json *resolved, ada_json **j) ADA_MUST_USE;
void ada_args_free(struct ada_args *a);

const struct ada_command *ada_command_find(const char *name);
/* The word of a NULL-terminated list nearest to `word`, or NULL when none is near. */
const char *ada_word_near(const char *word, const char *const *list);

#endif
