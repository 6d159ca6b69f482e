/* SPDX-License-Identifier: Apache-2.0
 * From rows to tokens: the one tokenise-and-mask function for train, eval and generation. Must not know:
 * packs. Invariant: the tokens before an example's first target are those that generation would start from.
 */
#ifndef ADA_ENGINE_EXAMPLE_H
#define ADA_ENGINE_EXAMPLE_H

#include "engine/spell.h"

typedef struct ada_example { /* one row as tokens */
    int32_t *ids;            /* [n] prompt, then completion (and its end mark) */
    uint8_t *mask;           /* [n] 1 where the token is a target; never at 0, which nothing precedes */
    int32_t n, prompt;       /* prompt: tokens before the first target */
    int32_t prefix;          /* as in ada_item: the prompt, with ADA_MASK_PREFIX */
    int32_t targets;
    bool truncated;
    size_t line;
    int32_t *source; /* [nsource] of an encoder-decoder: what the encoder reads. ids are the decoder's then */
    int32_t nsource;
} ada_example;

/* Tokenises one row. completion NULL: the row's own; else this text takes its place (a choice).
 * Prompt/completion: the prompt is encoded with the model's BOS rule, the completion after it as its
 * continuation; EOS is appended and is a target, except where the row has choices. messages: the model's chat
 * template; what the assistant says is the target. text: all tokens but the first are targets. Too long: the
 * prompt is cut from its left, its BOS kept (messages, text: from the right). Memory from `a`.
 * An encoder-decoder reads the prompt, with what the tokenizer puts around a text, as its source; ids are the
 * decoder's start token, the completion as a text of its own, and EOS, which is a target for choices too.
 * Source and ids are cut on their own, the source from its left. Where the row has images, ids from the
 * vocabulary on are rows of `images` (which else may be NULL); they are never targets. */
ada_status ada_example_make(ada_example *e, const ada_model *m, ada_images *images, const ada_row *row,
                            const char *completion, bool all_tokens, int max_length,
                            ada_arena *a) ADA_MUST_USE;
/* Whether a failure of that may lie with the row: its images, its messages, which a template may refuse. */
static inline bool ada_row_may_fail(const ada_row *row) {
    return row->nimages || row->nmessages;
}
/* The ids of a prompt as generation starts from it: text, or a conversation that invites the assistant.
 * Images for which there is no mark stand in front of the text, or of the first thing that the user says. */
ada_status ada_prompt_text(const ada_model *m, ada_sight *sight, const char *text, size_t n,
                           ada_ids *out) ADA_MUST_USE;
ada_status ada_prompt_chat(const ada_model *m, ada_sight *sight, const ada_message *msgs, size_t n,
                           ada_ids *out) ADA_MUST_USE;

#endif
