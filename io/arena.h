/* SPDX-License-Identifier: Apache-2.0
 * Arenas: memory by lifetime. Owns: blocks of ada_os.alloc; frees them all at once.
 * A counting arena hands out no memory and only adds up: layout code run on it first gives the exact size
 * that a fixed arena then needs, so that the hot loop never allocates.
 * Invariant: every take is 64-byte aligned (a string is not) and its size is checked for overflow. */
#ifndef ADA_IO_ARENA_H
#define ADA_IO_ARENA_H

#include "io/status.h"
#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>

struct ada_block;
typedef struct ada_arena {
    struct ada_block *blocks; /* newest first */
    size_t used;              /* bytes handed out since the last reset, alignment included */
    size_t peak;              /* the largest `used` ever seen */
    size_t fixed;             /* > 0: capacity that may not grow (EINTERNAL past it) */
    size_t limit;             /* > 0: bytes that a growing arena may hand out (ENOMEM past it) */
    bool counting;            /* takes return dummies (never NULL) that must not be touched */
} ada_arena;

/* Zero-initialised `ada_arena a = {0}` is a growing arena. count and fix first free what it holds. */
void ada_arena_count(ada_arena *a);                                /* make it a counting one */
ada_status ada_arena_fix(ada_arena *a, size_t bytes) ADA_MUST_USE; /* one block of exactly `bytes` */
/* n × size bytes, 64-byte aligned, not zeroed. ENOMEM or, in a fixed arena, EINTERNAL. `out` is a T **. */
ada_status ada_arena_take(ada_arena *a, void *out, size_t n, size_t size) ADA_MUST_USE;
ada_status ada_arena_zero(ada_arena *a, void *out, size_t n, size_t size) ADA_MUST_USE; /* zeroed */
/* rows × width values of `size` bytes, as take. */
ada_status ada_arena_rows(ada_arena *a, void *out, size_t rows, size_t width, size_t size) ADA_MUST_USE;
char *ada_arena_str(ada_arena *a, const char *s, size_t n); /* NUL-terminated copy; NULL with ENOMEM set */
/* Mark and rewind within a step; reset keeps the memory, free gives it back. */
size_t ada_arena_mark(const ada_arena *a);
void ada_arena_rewind(ada_arena *a, size_t mark); /* fixed or counting arenas only */
void ada_arena_reset(ada_arena *a);
void ada_arena_free(ada_arena *a);

/* Checked sizes: false on overflow. */
bool ada_mul_size(size_t a, size_t b, size_t *out);
bool ada_add_size(size_t a, size_t b, size_t *out);

/* A growing byte buffer, for text. Zero-initialise; data is NUL-terminated whenever non-NULL. */
typedef struct ada_buf {
    char *data;
    size_t len, cap;
} ada_buf;
ada_status ada_buf_add(ada_buf *b, const void *p, size_t n) ADA_MUST_USE;
ada_status ada_buf_puts(ada_buf *b, const char *s) ADA_MUST_USE;
ada_status ada_buf_printf(ada_buf *b, const char *fmt, ...) ADA_MUST_USE ADA_PRINTF(2, 3);
ADA_API void ada_buf_free(ada_buf *b);

/* A growing list of token ids. */
typedef struct ada_ids {
    int32_t *data;
    size_t len, cap;
} ada_ids;
ada_status ada_ids_add(ada_ids *v, const int32_t *p, size_t n) ADA_MUST_USE;
ada_status ada_ids_push(ada_ids *v, int32_t id) ADA_MUST_USE;
void ada_ids_free(ada_ids *v);

#endif
