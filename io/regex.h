/* SPDX-License-Identifier: Apache-2.0
 * The door to PCRE2: regular expressions as tokenizer files write them, which is Oniguruma's Ruby syntax.
 * Owns: compiled patterns. Must not know: tokenizers. Constructs whose meaning differs between the two
 * engines are translated or refused (EUNSUPPORTED), so a pattern that opens means what it means there.
 * Invariant: a limit of the matcher is an error, never "no match". */
#ifndef ADA_IO_REGEX_H
#define ADA_IO_REGEX_H

#include "io/arena.h"
#include <stdbool.h>

typedef struct ada_regex ada_regex;
ada_status ada_regex_open(ada_regex **r, const char *pattern) ADA_MUST_USE;
void ada_regex_close(ada_regex **r);

/* Walking over the matches of one text (valid UTF-8). Zero-initialise; begin may be called again and again,
 * end gives the memory back. */
typedef struct ada_regex_walk {
    const ada_regex *re;
    void *match, *context, *stack;
    const char *s;
    size_t n, at, last; /* next search, end of the last match */
    bool any, plain;    /* there was a match; run without JIT */
} ada_regex_walk;
ada_status ada_regex_begin(ada_regex_walk *w, const ada_regex *r, const char *s, size_t n) ADA_MUST_USE;
/* The next match, leftmost first; ADA_DONE after the last. An empty match right after a match is passed over.
 */
ada_status ada_regex_next(ada_regex_walk *w, size_t *begin, size_t *end) ADA_MUST_USE;
void ada_regex_end(ada_regex_walk *w);

#endif
