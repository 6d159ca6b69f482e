/* SPDX-License-Identifier: Apache-2.0
 * The inside of a tokenizer, for tok.c, its parts and the model kinds in tok/. Text flows through lists of
 * operations: pieces of one buffer are rewritten, cut or joined. A Sequence is flattened, and what Hugging
 * Face calls one step may be two operations here (ByteLevel: cut by the regex, then bytes to characters).
 * Invariant: an operation that is in a list is understood whole; anything else was refused at opening. */
#ifndef ADA_IO_TOK_PART_H
#define ADA_IO_TOK_PART_H

#include "io/regex.h"
#include "io/tok.h"
#include "io/unicode.h"

/* ---- the vocabulary: entry ↔ id ---- */
typedef struct ada_vocab {
    const char **text; /* [ids] NULL in holes */
    uint32_t *len;     /* [ids] */
    uint32_t *slot;    /* [mask + 1] id + 1, 0 if free */
    size_t mask, ids, count;
} ada_vocab;
/* Room for ids 0..ids-1, then one call each. The text must outlive the vocabulary. False if it was there
 * before. */
ada_status ada_vocab_size(ada_vocab *v, ada_arena *a, size_t ids) ADA_MUST_USE;
bool ada_vocab_put(ada_vocab *v, uint32_t id, const char *s, size_t n);
int32_t ada_vocab_find(const ada_vocab *v, const char *s, size_t n); /* -1 if absent */

/* ---- text on its way ---- */
/* What a piece begins with: nothing of note, the whole text, or the middle of a text encoded before. */
enum { ADA_HEAD_NONE, ADA_HEAD_TEXT, ADA_HEAD_GOES_ON };
typedef struct ada_piece {
    size_t at, len;
    int32_t id;   /* >= 0: an added token, which nothing touches any more */
    uint8_t head; /* ADA_HEAD_* */
} ada_piece;
typedef struct ada_pieces {
    ada_piece *data;
    size_t len, cap;
} ada_pieces;
ada_status ada_pieces_add(ada_pieces *v, ada_piece p) ADA_MUST_USE;

typedef struct ada_flow {
    ada_buf text, spare;
    ada_pieces pieces, other;
    ada_regex_walk walk;
    void *work; /* the model's; freed by ada_os.release */
    size_t work_size;
    bool stream, first; /* decoding one id of a stream, and the first one */
} ada_flow;
void ada_flow_free(ada_flow *f);
/* f->work of `bytes` at least; n: of the text, for the error. */
ada_status ada_flow_room(ada_flow *f, size_t bytes, size_t n) ADA_MUST_USE;

typedef enum { ADA_CUT_REMOVED, ADA_CUT_ISOLATED, ADA_CUT_PREVIOUS, ADA_CUT_NEXT, ADA_CUT_TOGETHER } ada_cut;
typedef struct ada_op ada_op;
struct ada_op {
    /* One of the three. rewrite: piece number i becomes what is appended to out. */
    ada_status (*rewrite)(const ada_op *o, ada_piece *p, const char *s, size_t i, ada_buf *out);
    bool (*cut)(uint32_t c); /* cut at characters of a class, or at matches of `re` */
    ada_status (*join)(const ada_op *o, ada_flow *f); /* all pieces at once */
    ada_regex *re;
    const char *text, *with; /* what to look for, what to put */
    size_t ntext, nwith;
    ada_cut how;
    bool invert, left, right, once; /* once: after a Fuse, so that a stream does it for its first id only */
    size_t start, stop;
    int kind;
    const void *data;
};
typedef struct ada_ops {
    ada_op *data;
    size_t len, cap;
    bool tokens; /* a decoder: pieces are tokens, and empty ones stay */
} ada_ops;
ada_status ada_ops_run(const ada_ops *o, ada_flow *f) ADA_MUST_USE;
void ada_ops_close(ada_ops *o);
/* A new, zeroed operation at the end. */
ada_status ada_ops_add(ada_ops *o, ada_op **op) ADA_MUST_USE;

/* ---- added tokens ---- */
typedef struct ada_added {
    const char *text, *match; /* entry; what is looked for: the entry, normalized where it says so */
    size_t len, nmatch;
    int32_t id;
    bool special, normalized, single_word, lstrip, rstrip;
} ada_added;
typedef struct ada_finder {
    ada_vocab match;           /* match text → index in tokens */
    const uint32_t *lens[256]; /* by first byte: lengths there are, longest first, 0 at the end */
} ada_finder;

/* ---- the tokenizer ---- */
struct ada_tok_model;
struct ada_tok {
    ada_arena arena;
    ada_vocab vocab;
    const struct ada_tok_model *model;
    void *state; /* the model's, in the arena */
    ada_ops normalizer, pre, decoder;
    bool has_decoder;
    ada_added *added;
    size_t nadded;
    ada_vocab added_index;   /* entry → index in added */
    int32_t *added_of;       /* [ids] index in added or -1 */
    size_t ids;              /* vocabulary and added tokens */
    ada_finder raw, normal;  /* tokens matched before and after normalization */
    ada_regex *word;         /* \w, where a token wants single words */
    int32_t *before, *after; /* what ADA_TOK_SPECIAL adds */
    size_t nbefore, nafter;
    int32_t bos, eos, pad;
    const char *chat;
    /* what GGUF metadata tells the model: a piece that is an entry is not merged; entries that are plain text
     */
    bool whole;
    const uint8_t *normal_token; /* [vocab.ids] */
};

struct ada_tok_model {
    const char *type;                                          /* tokenizer.json: model.type */
    const char *ggml[4];                                       /* tokenizer.ggml.model, NULL at the end */
    ada_status (*open)(ada_tok *t, const ada_json *model);     /* fills vocab and state */
    ada_status (*open_gguf)(ada_tok *t, const ada_json *meta); /* state only: the vocabulary is there */
    ada_status (*encode)(const ada_tok *t, ada_flow *f, const char *s, size_t n,
                         ada_ids *out); /* one piece */
};

/* tok.c: an empty tokenizer; the kind that answers to a model.type or a tokenizer.ggml.model, or NULL. */
ada_status ada_tok_new(ada_tok **t) ADA_MUST_USE;
const struct ada_tok_model *ada_tok_model_of(const char *type, bool ggml);
/* Of a tokenizer.json object {"token": id}. */
ada_status ada_tok_read_vocab(ada_tok *t, const ada_json *vocab) ADA_MUST_USE;
/* Of an array of strings, where the index is the id. */
ada_status ada_tok_read_tokens(ada_tok *t, const ada_json *tokens) ADA_MUST_USE;
/* tok_added.c: the list is in t->added; builds what finds them. */
ada_status ada_added_build(ada_tok *t) ADA_MUST_USE;
/* Cuts pieces at added tokens and normalizes the rest. plain: special ones are text. */
ada_status ada_added_cut(const ada_tok *t, ada_flow *f, bool plain) ADA_MUST_USE;
/* tok_read.c: the lists of a tokenizer.json; null gives an empty list. */
ada_status ada_tok_read_normalizer(ada_tok *t, const ada_json *j) ADA_MUST_USE;
ada_status ada_tok_read_pre(ada_tok *t, const ada_json *j) ADA_MUST_USE;
ada_status ada_tok_read_decoder(ada_tok *t, const ada_json *j) ADA_MUST_USE;
ada_status ada_tok_read_post(ada_tok *t, const ada_json *j) ADA_MUST_USE;
/* tok_charsmap.c */
ada_status ada_op_charsmap(ada_ops *o, ada_arena *a, const char *base64) ADA_MUST_USE;
/* bytes [n + 1], of the arena; the last becomes a NUL. */
ada_status ada_op_charsmap_bytes(ada_ops *o, ada_arena *a, uint8_t *bytes, size_t n) ADA_MUST_USE;
/* tok_op.c: makers of operations, used by both readers. Text must outlive the tokenizer. */
ada_status ada_op_replace(ada_ops *o, const char *text, const char *with) ADA_MUST_USE;
ada_status ada_op_regex_replace(ada_ops *o, const char *pattern, const char *with) ADA_MUST_USE;
ada_status ada_op_regex(ada_ops *o, const char *pattern, ada_cut how, bool invert) ADA_MUST_USE;
ada_status ada_op_class(ada_ops *o, bool (*of)(uint32_t), ada_cut how) ADA_MUST_USE;
ada_status ada_op_normal(ada_ops *o, ada_normal_form form) ADA_MUST_USE;
ada_status ada_op_lower(ada_ops *o) ADA_MUST_USE;
ada_status ada_op_no_marks(ada_ops *o) ADA_MUST_USE;
ada_status ada_op_trim(ada_ops *o, bool left, bool right) ADA_MUST_USE;
/* Puts text in front. unless: not where it is there already; head: only at the head of the whole text. */
ada_status ada_op_prepend(ada_ops *o, const char *text, bool unless, bool head) ADA_MUST_USE;
ada_status ada_op_bytes(ada_ops *o) ADA_MUST_USE;              /* bytes to GPT-2's visible characters */
ada_status ada_op_unbytes(ada_ops *o, bool drop) ADA_MUST_USE; /* drop: what is not UTF-8 */
unsigned ada_byte_char(unsigned b);                            /* GPT-2's character for a byte */
ada_status ada_op_fallback(ada_ops *o) ADA_MUST_USE;
ada_status ada_op_fuse(ada_ops *o) ADA_MUST_USE;
ada_status ada_op_strip(ada_ops *o, const char *text, size_t start, size_t stop) ADA_MUST_USE;
ada_status ada_op_metaspace(ada_ops *o, const char *mark, bool drop_first) ADA_MUST_USE; /* as a decoder */
/* \\w as the regex crate of Rust has it, which is not Oniguruma's. */
#define ADA_RUST_WORD "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{200c}\\x{200d}"
#define ADA_GPT2_REGEX "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

#endif
