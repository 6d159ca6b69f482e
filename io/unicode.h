/* SPDX-License-Identifier: Apache-2.0
 * The door to utf8proc: UTF-8 in and out, character classes, normal forms, case.
 * Owns: what a character is. Must not know: tokenizers. The classes are those of Rust's `char`, which
 * Hugging Face tokenizers is written in.
 * Invariant: all text handed in, but for ada_utf8_clean, is valid UTF-8; all text handed out is. */
#ifndef ADA_IO_UNICODE_H
#define ADA_IO_UNICODE_H

#include "io/arena.h"
#include <stdbool.h>
#include <stdint.h>

/* Appends s with every ill-formed part (a maximal subpart, as Unicode recommends) replaced by U+FFFD. */
ada_status ada_utf8_clean(const char *s, size_t n, ada_buf *out) ADA_MUST_USE;
/* Length of the well-formed character at s, 1..4; 0 if it is ill-formed, and then *bad is the maximal
 * subpart. */
size_t ada_utf8_check(const char *s, size_t n, size_t *bad);
bool ada_utf8_valid(const char *s, size_t n, size_t *at); /* at: the first bad byte; may be NULL */
/* The character at s[*at], which moves past it. */
uint32_t ada_utf8_next(const char *s, size_t n, size_t *at);
size_t ada_utf8_last(const char *s, size_t n); /* where the last character begins; 0 for empty text */
size_t ada_utf8_put(uint32_t c, char out[4]);

bool ada_uni_space(uint32_t c);   /* White_Space */
bool ada_uni_numeric(uint32_t c); /* Nd, Nl, No */
bool ada_uni_punct(uint32_t c);   /* ASCII punctuation, P* */
bool ada_uni_mark(uint32_t c);    /* Mn, Mc, Me */

/* For a regular expression's character class: as ranges "\\x{…}-\\x{…}", what tokenizers counts to a category
 * ("L", "Lu", "Alphabetic") or script ("Han") and PCRE2 may not know yet. */
ada_status ada_uni_newer(const char *name, ada_buf *out) ADA_MUST_USE;

typedef enum { ADA_NFC, ADA_NFD, ADA_NFKC, ADA_NFKD } ada_normal_form;
ada_status ada_uni_normalize(ada_normal_form f, const char *s, size_t n, ada_buf *out) ADA_MUST_USE;
ada_status ada_uni_lower(const char *s, size_t n, ada_buf *out) ADA_MUST_USE;
/* Where the extended grapheme cluster that begins at s ends, 0 < result <= n; n > 0. */
size_t ada_uni_grapheme(const char *s, size_t n);

#endif
