/* SPDX-License-Identifier: Apache-2.0
 * Arenas, and the growing buffers for text and ids. Owns: blocks of ada_os.alloc.
 * Must not know: what lives in them. Invariant: `used` follows one rule (round up, add) whether an arena
 * grows, counts or is fixed, so that a fixed arena of a counted size is exactly full at the same call. */
#include "io/arena.h"
#include "io/os.h"
#include <stdio.h>
#include <string.h>

enum { ALIGN = 64, BLOCK_MIN = 64 << 10, BLOCK_MAX = 4 << 20 };

struct ada_block {
    struct ada_block *next;
    size_t size, used; /* of the bytes that follow the header */
};
_Static_assert(sizeof(struct ada_block) <= ALIGN, "a block's header fits before its first aligned byte");

bool ada_mul_size(size_t a, size_t b, size_t *out) {
    return !__builtin_mul_overflow(a, b, out);
}
bool ada_add_size(size_t a, size_t b, size_t *out) {
    return !__builtin_add_overflow(a, b, out);
}

/* round up `used` and add `bytes`: where a take begins and ends */
static bool place(size_t used, size_t align, size_t bytes, size_t *begin, size_t *end) {
    if (!ada_add_size(used, align - 1, begin)) return false;
    *begin &= ~(align - 1);
    return ada_add_size(*begin, bytes, end);
}

static ada_status block_new(ada_arena *a, size_t size) {
    size_t bytes;
    struct ada_block *b = ada_add_size(size, ALIGN, &bytes) ? ada_os.alloc(bytes) : NULL;
    if (b == NULL) return ada_fail(ADA_ENOMEM, "out of memory: an arena wants %zu more bytes", size);
    *b = (struct ada_block){.next = a->blocks, .size = size};
    a->blocks = b;
    return ADA_OK;
}

static void *block_take(struct ada_block *b, size_t align, size_t bytes) {
    size_t begin, end;
    if (!place(b->used, align, bytes, &begin, &end) || end > b->size) return NULL;
    b->used = end;
    return (char *)b + ALIGN + begin;
}

static ada_status take(ada_arena *a, void **out, size_t align, size_t bytes) {
    size_t begin, end;
    if (!place(a->used, align, bytes, &begin, &end))
        return ada_fail(ADA_ENOMEM, "out of memory: %zu bytes are more than this machine can address", bytes);
    if (a->fixed > 0 && end > a->fixed)
        return ada_fail(ADA_EINTERNAL, "a fixed arena of %zu bytes is asked for %zu", a->fixed, end);
    if (a->limit > 0 && end > a->limit)
        return ada_fail(ADA_ENOMEM, "more than the %zu bytes that are allowed are wanted", a->limit);
    void *p = NULL;
    if (a->counting) p = (void *)(uintptr_t)(ALIGN + begin);
    for (struct ada_block *b = a->blocks; p == NULL && b != NULL; b = b->next)
        p = block_take(b, align, bytes);
    if (p == NULL) {
        size_t size = a->used / 4 < BLOCK_MIN ? BLOCK_MIN : a->used / 4 > BLOCK_MAX ? BLOCK_MAX : a->used / 4;
        ADA_TRY(block_new(a, bytes > size ? bytes : size));
        p = block_take(a->blocks, align, bytes);
    }
    a->used = end;
    if (end > a->peak) a->peak = end;
    *out = p;
    return ADA_OK;
}

void ada_arena_count(ada_arena *a) {
    ada_arena_free(a);
    a->counting = true;
}

ada_status ada_arena_fix(ada_arena *a, size_t bytes) {
    ada_arena_free(a);
    ADA_TRY(block_new(a, bytes));
    a->fixed = bytes > 0 ? bytes : 1;
    return ADA_OK;
}

ada_status ada_arena_take(ada_arena *a, void *out, size_t n, size_t size) {
    size_t bytes;
    if (!ada_mul_size(n, size, &bytes))
        return ada_fail(ADA_ENOMEM, "out of memory: %zu × %zu bytes are more than this machine can address",
                        n, size);
    void *p;
    ADA_TRY(take(a, &p, ALIGN, bytes));
    memcpy(out, &p, sizeof p); /* out is a T **: its type is not ours to name */
    return ADA_OK;
}

ada_status ada_arena_zero(ada_arena *a, void *out, size_t n, size_t size) {
    ADA_TRY(ada_arena_take(a, out, n, size));
    void *p;
    memcpy(&p, out, sizeof p);
    if (!a->counting) memset(p, 0, n * size);
    return ADA_OK;
}

ada_status ada_arena_rows(ada_arena *a, void *out, size_t rows, size_t width, size_t size) {
    size_t n;
    if (!ada_mul_size(rows, width, &n))
        return ada_fail(ADA_ENOMEM, "%zu rows of %zu values are too many", rows, width);
    return ada_arena_take(a, out, n, size);
}

char *ada_arena_str(ada_arena *a, const char *s, size_t n) {
    void *p;
    if (n == SIZE_MAX || take(a, &p, 1, n + 1) != ADA_OK) return NULL;
    char *text = p;
    if (a->counting) return text;
    if (n > 0) memcpy(text, s, n);
    text[n] = 0;
    return text;
}

size_t ada_arena_mark(const ada_arena *a) {
    return a->used;
}

void ada_arena_rewind(ada_arena *a, size_t mark) {
    a->used = mark;
    if (a->blocks != NULL) a->blocks->used = mark;
}

void ada_arena_reset(ada_arena *a) {
    a->used = 0;
    for (struct ada_block *b = a->blocks; b != NULL; b = b->next) b->used = 0;
}

void ada_arena_free(ada_arena *a) {
    while (a->blocks != NULL) {
        struct ada_block *b = a->blocks;
        a->blocks = b->next;
        ada_os.release(b);
    }
    *a = (ada_arena){0};
}

/* Room for `more` elements of `size` bytes after the first `len`. */
static ada_status grow(void **data, size_t *cap, size_t len, size_t more, size_t size) {
    size_t want, bytes;
    if (!ada_add_size(len, more, &want) || !ada_mul_size(want, size, &bytes) || bytes > SIZE_MAX / 4)
        return ada_fail(ADA_ENOMEM, "out of memory: a buffer wants %zu more elements", more);
    if (want <= *cap) return ADA_OK;
    size_t room = *cap * 2 > want ? *cap * 2 : want;
    if (room * size < 64) room = 64 / size;
    void *p = ada_os.resize(*data, len * size, room * size);
    if (p == NULL) return ada_fail(ADA_ENOMEM, "out of memory: a buffer wants %zu bytes", room * size);
    *data = p;
    *cap = room;
    return ADA_OK;
}

static ada_status buf_room(ada_buf *b, size_t n) {
    if (n == SIZE_MAX) return ada_fail(ADA_ENOMEM, "out of memory: a text of %zu bytes", n);
    void *p = b->data;
    ADA_TRY(grow(&p, &b->cap, b->len, n + 1, 1));
    b->data = p;
    return ADA_OK;
}

ada_status ada_buf_add(ada_buf *b, const void *p, size_t n) {
    ADA_TRY(buf_room(b, n));
    if (n > 0) memcpy(b->data + b->len, p, n);
    b->len += n;
    b->data[b->len] = 0;
    return ADA_OK;
}

ada_status ada_buf_puts(ada_buf *b, const char *s) {
    return ada_buf_add(b, s, strlen(s));
}

ada_status ada_buf_printf(ada_buf *b, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0) return ada_fail(ADA_EINTERNAL, "a text cannot be formatted");
    ADA_TRY(buf_room(b, (size_t)n));
    va_start(args, fmt);
    (void)vsnprintf(b->data + b->len, (size_t)n + 1, fmt, args);
    va_end(args);
    b->len += (size_t)n;
    return ADA_OK;
}

void ada_buf_free(ada_buf *b) {
    ada_os.release(b->data);
    *b = (ada_buf){0};
}

ada_status ada_ids_add(ada_ids *v, const int32_t *p, size_t n) {
    void *data = v->data;
    ADA_TRY(grow(&data, &v->cap, v->len, n, sizeof *p));
    v->data = data;
    if (n > 0) memcpy(v->data + v->len, p, n * sizeof *p);
    v->len += n;
    return ADA_OK;
}

ada_status ada_ids_push(ada_ids *v, int32_t id) {
    return ada_ids_add(v, &id, 1);
}

void ada_ids_free(ada_ids *v) {
    ada_os.release(v->data);
    *v = (ada_ids){0};
}
