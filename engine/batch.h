/* SPDX-License-Identifier: Apache-2.0
 * From rows to packs: the one tokenise-and-mask function for train, eval and serving; packing without padding,
 * shared prefixes stored once; the map of unique tokens. */
#ifndef ADA_ENGINE_BATCH_H
#define ADA_ENGINE_BATCH_H

#include "engine/model.h"

typedef struct ada_example { /* one row as tokens */
    int32_t *ids;    /* [n] prompt, then completion (and its end mark) */
    uint8_t *mask;   /* [n] 1 where the token is a target */
    int32_t n, prompt; /* prompt: tokens before the first target */
    bool truncated;
    size_t line;
} ada_example;

/* Tokenises one row. completion NULL: the row's own; else this text takes its place (a choice).
 * Prompt/completion: the prompt is encoded with the model's BOS rule, the completion alone after it; EOS is appended
 * and is a target, except where the row has choices. text: all tokens but the first are targets. Too long: the prompt is cut from its left
 * (messages, text: from the right). Memory from `a`. */
ada_status ada_example_make(ada_example *e, const ada_model *m, const ada_row *row, const char *completion, bool all_tokens,
                            int max_length, ada_arena *a) ADA_MUST_USE;

typedef struct ada_item { /* a token path to be packed */
    const int32_t *ids; /* [n] inputs (the last token of an example is never an input: nothing follows it) */
    int32_t n;
    int32_t owner;      /* caller's index */
} ada_item;

/* A pack under construction and its buffers; reused from step to step. */
typedef struct ada_packer ada_packer;
ada_status ada_packer_layout(ada_packer **pk, ada_arena *a, int32_t max_T, int32_t max_items) ADA_MUST_USE;
/* Packs items (sorted so that shared prefixes meet), sharing prefixes of at least one token. wanted[i] is the mask
 * [items[i].n] of positions whose hidden state is wanted (an output row). After it: pack, and for every wanted
 * position of item i in order, row_of(i, j): its index in pack->out. Shared wanted positions share an out row. */
ada_status ada_packer_build(ada_packer *pk, const ada_item *items, int32_t nitems, const uint8_t *const *wanted) ADA_MUST_USE;
const ada_pack *ada_packer_pack(const ada_packer *pk);
int32_t ada_packer_out(const ada_packer *pk, int32_t item, int32_t position); /* -1 if not wanted */

/* Unique ids of a list, ascending, and for each row its index among them. */
int32_t ada_unique(const int32_t *ids, int32_t n, int32_t *unique, int32_t *index, int32_t *scratch, int32_t vocab);

#endif
