/* SPDX-License-Identifier: Apache-2.0
 * Owns: how a weight is cut for the library. The rows of x that a piece takes are copied before its product,
 * since of rows that do not follow each other the library sums otherwise, and slower. Sums wait in y, as f32;
 * so a weight whose y would not stay in L2 either is left whole. Must not know: layers. */
#include "engine/matmul_pieces.h"
#include "engine/matmul_dnnl.h"
#include "engine/par.h"
#include "io/os.h"
#include "simd/half.h"

#include <stdio.h>
#include <string.h>

enum {
    STAYS = 3 << 19, /* bytes of a weight that stays in L2, beside what it is multiplied by */
    WIDEST = 2048,   /* outer side of what is cut */
    LONG = 1024,     /* most of an inner side that is not */
    PIECE = 512,     /* of it, or as near as pieces alike can be */
    LONGEST = 672,   /* piece that comes of that */
    ALIKE = 32       /* a piece is a multiple of that, but for the last */
};

struct ada_pieces {
    size_t n, k;
    ada_dtype type;
    bool pinned;
    char maker[48];
    size_t step[2], count[2]; /* [forward, back] of the inner side; count 0: not packed */
    ada_dnnl **part[2]; /* a direction in one piece has one weight with the other, if that is whole too */
};

/* Copies of x. The first seat is for all threads together, the others are for each on its own. */
static struct {
    size_t weights, forced;
    size_t rows, seats, size; /* wanted; size: of a number */
    char *x;                  /* [seats, rows, LONGEST] numbers */
    size_t bytes;
} room = {.rows = 1, .seats = 1};

static size_t inner(const ada_pieces *w, bool back) {
    return back ? w->n : w->k;
}
static size_t outer(const ada_pieces *w, bool back) {
    return back ? w->k : w->n;
}
static size_t seat_bytes(void) {
    return room.rows * LONGEST * room.size;
}

void ada_pieces_force(size_t from) {
    room.forced = from;
}

/* Whether a piece of that length is multiplied as the whole would be. */
static bool taken(const ada_pieces *w, bool back, size_t length) {
    const char *impl;
    size_t n = back ? length : w->n, k = back ? w->k : length;
    return ada_dnnl_wants(&impl, n, k, w->type, w->pinned) == ADA_OK && impl &&
           (w->pinned || strcmp(impl, w->maker) == 0);
}

/* How long a piece of a direction is. */
static size_t step_of(const ada_pieces *w, bool back) {
    size_t in = inner(w, back);
    bool cut =
        strstr(w->maker, "amx") && in > LONG && outer(w, back) <= WIDEST && ada_pieces_bytes(w) > STAYS;
    if (room.forced ? in < room.forced : !cut) return in;
    size_t count = (in + PIECE / 2 - 1) / PIECE;
    if (count < 2) count = 2;
    size_t step = ada_round_up((in + count - 1) / count, ALIKE), rest = in % step;
    return taken(w, back, step) && (rest == 0 || taken(w, back, rest)) ? step : in;
}

/* Room for what was wanted so far, once there is a weight that wants it. */
static ada_status room_grow(void) {
    size_t bytes;
    if (room.weights == 0 || seat_bytes() * room.seats <= room.bytes) return ADA_OK;
    ada_os.release(room.x);
    room.x = NULL, room.bytes = 0;
    if (!ada_mul_size(seat_bytes(), room.seats, &bytes) || !(room.x = ada_os.alloc(bytes)))
        return ada_fail(ADA_ENOMEM, "no memory for pieces of %zu rows", room.rows);
    room.bytes = bytes;
    return ADA_OK;
}

ada_status ada_pieces_reserve(size_t m, int team) {
    size_t seats = team > 1 ? 1 + (size_t)team : 1;
    if (m > room.rows) room.rows = m;
    if (seats > room.seats) room.seats = seats;
    ADA_TRY(ada_dnnl_reserve(team));
    return room_grow();
}

static void close_direction(ada_pieces *w, bool back) {
    bool shared = w->part[0] == w->part[1];
    if (w->count[back] > 1) room.weights--;
    for (size_t i = 0; i < w->count[back] && !(shared && w->count[!back]); i++)
        ada_dnnl_close(&w->part[back][i]);
    w->count[back] = 0, w->part[back] = NULL;
}

static ada_status pack_pieces(ada_pieces *w, ada_arena *weights, bool back, const void *plain) {
    size_t in = inner(w, back), step = w->step[back];
    for (size_t i = 0, at = 0; at < in; i++, at += step) {
        size_t most = in - at < step ? in - at : step, first = back ? at * w->k : at;
        ada_dnnl **part = &w->part[back][i];
        if (!*part)
            ADA_TRY(ada_dnnl_open(part, weights, back ? most : w->n, back ? w->k : most, w->type, w->pinned));
        ADA_TRY(
            ada_dnnl_pack(*part, weights, back, (const char *)plain + first * ada_type_size(w->type), w->k));
    }
    return room_grow();
}

static ada_status pack_direction(ada_pieces *w, ada_arena *weights, bool back, const void *plain) {
    size_t in = inner(w, back), step = step_of(w, back), count = (in + step - 1) / step;
    if (count == 1 && w->count[!back] == 1)
        w->part[back] = w->part[!back];
    else
        ADA_TRY(ada_arena_zero(weights, &w->part[back], count, sizeof(ada_dnnl *)));
    w->step[back] = step, w->count[back] = count;
    if (count > 1) room.weights++;
    if (ada_type_size(w->type) > room.size) room.size = ada_type_size(w->type);
    ada_status st = pack_pieces(w, weights, back, plain);
    if (st != ADA_OK) close_direction(w, back);
    return st;
}

ada_status ada_pieces_pack(ada_pieces **out, ada_arena *weights, const void *plain, size_t n, size_t k,
                           ada_dtype type, bool pinned) {
    ada_pieces *w;
    const char *impl;
    *out = NULL;
    ADA_TRY(ada_dnnl_wants(&impl, n, k, type, pinned));
    if (!impl) return ada_fail(ADA_EUNSUPPORTED, "oneDNN does not want weights of %zu x %zu", n, k);
    ADA_TRY(ada_arena_zero(weights, &w, 1, sizeof *w));
    *w = (ada_pieces){.n = n, .k = k, .type = type, .pinned = pinned};
    snprintf(w->maker, sizeof w->maker, "%s", impl);
    ADA_TRY(pack_direction(w, weights, false, plain));
    *out = w;
    return ADA_OK;
}

void ada_pieces_close(ada_pieces **w) {
    if (!*w) return;
    close_direction(*w, true);
    close_direction(*w, false);
    *w = NULL;
}

const char *ada_pieces_maker(const ada_pieces *w) {
    return w->maker;
}

size_t ada_pieces_bytes(const ada_pieces *w) {
    return w->n * w->k * ada_type_size(w->type);
}

/* Row i of W, in its type. */
static void row_raw(const ada_pieces *w, size_t i, void *out) {
    for (size_t p = 0; p < w->count[0]; p++)
        ada_dnnl_row(w->part[0][p], i, (char *)out + p * w->step[0] * ada_type_size(w->type));
}

void ada_pieces_row(const ada_pieces *w, size_t i, float *out) {
    row_raw(w, i, out);
    if (w->type != ADA_BF16) return;
    for (size_t j = w->k; j-- > 0;) { /* in place, from the end */
        uint16_t h;
        memcpy(&h, (const char *)out + 2 * j, sizeof h);
        out[j] = ada_bf16_value(h);
    }
}

struct unpacking {
    const ada_pieces *w;
    char *plain;
};

static void unpack_row(void *ctx, size_t i, int worker) {
    const struct unpacking *u = ctx;
    (void)worker;
    row_raw(u->w, i, u->plain + i * u->w->k * ada_type_size(u->w->type));
}

ada_status ada_pieces_prepare(ada_pieces *w, ada_arena *weights) {
    ada_arena tmp = {0};
    struct unpacking u = {.w = w};
    if (w->count[1]) return ADA_OK;
    ada_status st = ada_arena_take(&tmp, &u.plain, w->n, w->k * ada_type_size(w->type));
    if (st == ADA_OK) {
        ada_par_for(w->n, unpack_row, &u);
        st = pack_direction(w, weights, true, u.plain);
    }
    ada_arena_free(&tmp);
    return st;
}

enum { STRIP = 16 };
struct copying {
    const char *from;
    char *to;
    size_t ld, bytes, m; /* bytes from a row to the next, and of one; rows */
};

static void copy_strip(void *ctx, size_t strip, int worker) {
    const struct copying *c = ctx;
    (void)worker;
    for (size_t i = strip * STRIP; i < c->m && i < strip * STRIP + STRIP; i++)
        memcpy(c->to + i * c->bytes, c->from + i * c->ld, c->bytes);
}

/* As many rows as there is room for. */
static void multiply_rows(const ada_pieces *w, bool back, const char *x, size_t ldx, size_t m,
                          const ada_end *end) {
    size_t in = inner(w, back), size = ada_type_size(w->type), step = w->step[back];
    char *copy = room.x + (size_t)ada_par_inside() * seat_bytes();
    for (size_t i = 0, at = 0; at < in; i++, at += step) {
        size_t n = in - at < step ? in - at : step;
        ada_end e = {.y = end->y,
                     .ld = end->ld,
                     .add = at > 0 || end->add,
                     .bias = at > 0 || end->narrow ? NULL : end->bias};
        ada_par_for((m + STRIP - 1) / STRIP, copy_strip,
                    &(struct copying){x + at * size, copy, ldx * size, n * size, m});
        ada_dnnl_multiply(w->part[back][i], back, copy, n, m, &e);
    }
    for (size_t i = 0; end->narrow && i < m; i++) ada_end_row(end, i, outer(w, back));
}

void ada_pieces_multiply(const ada_pieces *w, bool back, const void *x, size_t ldx, size_t m,
                         const ada_end *end) {
    size_t out = outer(w, back), size = ada_type_size(w->type), most = room.rows;
    if (w->count[back] == 1) {
        ada_dnnl_multiply(*w->part[back], back, x, ldx, m, end);
        return;
    }
    for (size_t i = 0; i < m; i += most) {
        ada_end e = *end;
        e.y += i * e.ld;
        if (e.narrow) e.narrow = (char *)e.narrow + i * out * size;
        multiply_rows(w, back, (const char *)x + i * ldx * size, ldx, m - i < most ? m - i : most, &e);
    }
}

void ada_pieces_release(void) {
    ada_dnnl_release();
    ada_os.release(room.x);
    room.x = NULL, room.bytes = 0;
}
