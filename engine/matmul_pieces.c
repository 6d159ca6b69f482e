/* SPDX-License-Identifier: Apache-2.0
 * Owns: how a weight is cut for the library. The rows of x that a piece takes are copied before its product,
 * since of rows that do not follow each other the library sums otherwise, and slower; the last piece is
 * filled up with zeros. Sums wait in y, as f32. Must not know: layers. Invariant: what fails leaves as it was
 * what older weights multiply in. */
#include "engine/matmul_pieces.h"
#include "engine/matmul_dnnl.h"
#include "engine/par.h"
#include "io/os.h"
#include "simd/half.h"

#include <stdio.h>
#include <string.h>

enum {
    LONG = 960,    /* most of an inner side that is one piece */
    PIECE = 512,   /* of a longer one, or as near as pieces alike can be */
    LONGEST = 672, /* piece that comes of that */
    ALIKE = 32     /* a piece is a multiple of that */
};

struct ada_pieces {
    size_t n, k;
    ada_dtype type;
    bool pinned;
    char impl[48];
    size_t step[2], count[2]; /* [forward, back] of the inner side; count 0: not packed */
    ada_dnnl **part[2]; /* a direction in one piece has one weight with the other, if that is whole too */
};

/* Copies of x: one seat for all threads together, then one for each on its own. */
struct sizes {
    size_t together, apart, seats, size; /* rows of the first seat, of the others; how many; of a number */
};
static struct {
    size_t weights, forced;
    struct sizes of; /* at least: what it is laid out for, or will be once there is a weight that is cut */
    char *x;
} room;

static size_t inner(const ada_pieces *w, bool back) {
    return back ? w->n : w->k;
}
static size_t outer(const ada_pieces *w, bool back) {
    return back ? w->k : w->n;
}
static size_t rows_of(size_t seat) {
    return seat ? room.of.apart : room.of.together;
}
static char *seat(size_t i) {
    size_t row = LONGEST * room.of.size;
    return room.x + (i ? room.of.together + (i - 1) * room.of.apart : 0) * row;
}

void ada_pieces_force(size_t from) {
    room.forced = from;
}

/* Whether a piece of that length is multiplied as the whole would be. */
static ada_status taken(const ada_pieces *w, bool back, size_t length, bool *is) {
    const char *impl;
    ADA_TRY(ada_dnnl_wants(&impl, back ? length : w->n, back ? w->k : length, w->type, w->pinned));
    *is = impl && (w->pinned || strcmp(impl, w->impl) == 0);
    return ADA_OK;
}

/* How long a piece of a direction is. */
static ada_status step_of(const ada_pieces *w, bool back, size_t *step) {
    size_t in = *step = inner(w, back);
    bool whole = true, rest = true;
    if (room.forced ? in < room.forced : !strstr(w->impl, "amx") || in <= LONG) return ADA_OK;
    size_t count = (in + PIECE / 2 - 1) / PIECE;
    if (count < 2) count = 2;
    size_t piece = ada_round_up((in + count - 1) / count, ALIKE);
    ADA_TRY(taken(w, back, piece, &whole));
    if (in % piece) ADA_TRY(taken(w, back, ada_round_up(in % piece, ALIKE), &rest));
    if (whole && rest) *step = piece;
    return ADA_OK;
}

static size_t more_of(size_t a, size_t b) {
    return a > b ? a : b;
}

/* Room for what was wanted before, and this; made as soon as there is a weight that wants it. */
static ada_status room_grow(struct sizes to) {
    size_t rows, bytes;
    char *x = NULL;
    to = (struct sizes){more_of(to.together, room.of.together), more_of(to.apart, room.of.apart),
                        more_of(to.seats, room.of.seats), more_of(to.size, room.of.size)};
    if (memcmp(&to, &room.of, sizeof to) == 0 && (room.x || room.weights == 0)) return ADA_OK;
    if (room.weights > 0 &&
        (!ada_mul_size(to.apart, to.seats, &rows) || !ada_add_size(rows, to.together, &rows) ||
         !ada_mul_size(rows, LONGEST * to.size, &bytes) || !(x = ada_os.alloc(bytes))))
        return ada_fail(ADA_ENOMEM, "no memory for pieces of %zu rows", to.together);
    ada_os.release(room.x);
    room.x = x, room.of = to;
    return ADA_OK;
}

ada_status ada_pieces_reserve(size_t m, int team, bool apart) {
    bool alone = apart && team > 1;
    ADA_TRY(ada_dnnl_reserve(team));
    return room_grow(
        (struct sizes){.together = m, .apart = alone ? m : 0, .seats = alone ? (size_t)team : 0});
}

static void close_direction(ada_pieces *w, bool back) {
    bool shared = w->part[0] == w->part[1];
    if (w->count[back] > 1) room.weights--;
    for (size_t i = 0; i < w->count[back] && !(shared && w->count[!back]); i++)
        ada_dnnl_close(&w->part[back][i]);
    w->count[back] = 0, w->part[back] = NULL;
}

/* The last piece of plain, of `most` of the inner side, with zeros up to `full`. */
static ada_status fill_up(void **to, ada_arena *tmp, const ada_pieces *w, bool back, const char *plain,
                          size_t most, size_t full) {
    size_t ts = ada_type_size(w->type), rows = back ? most : w->n, bytes = (back ? w->k : most) * ts;
    size_t ld = (back ? w->k : full) * ts;
    ADA_TRY(ada_arena_zero(tmp, to, back ? full : w->n, ld));
    for (size_t i = 0; i < rows; i++) memcpy((char *)*to + i * ld, plain + i * w->k * ts, bytes);
    return ADA_OK;
}

static ada_status pack_piece(ada_pieces *w, ada_arena *weights, ada_arena *tmp, bool back, const void *plain,
                             size_t i) {
    size_t in = inner(w, back), step = w->step[back], at = i * step, most = in - at < step ? in - at : step;
    size_t full = w->count[back] > 1 ? ada_round_up(most, ALIKE) : most, ld = w->k;
    const void *from = (const char *)plain + (back ? at * w->k : at) * ada_type_size(w->type);
    ada_dnnl **part = &w->part[back][i];
    void *filled;
    if (full > most) {
        ADA_TRY(fill_up(&filled, tmp, w, back, from, most, full));
        from = filled, ld = back ? w->k : full;
    }
    if (!*part)
        ADA_TRY(ada_dnnl_open(part, weights, back ? full : w->n, back ? w->k : full, w->type, w->pinned));
    return ada_dnnl_pack(*part, weights, back, from, ld);
}

static ada_status pack_direction(ada_pieces *w, ada_arena *weights, bool back, const void *plain) {
    ada_arena tmp = {0};
    size_t step, in = inner(w, back);
    ADA_TRY(step_of(w, back, &step));
    size_t count = (in + step - 1) / step;
    if (count == 1 && w->count[!back] == 1)
        w->part[back] = w->part[!back];
    else
        ADA_TRY(ada_arena_zero(weights, &w->part[back], count, sizeof(ada_dnnl *)));
    w->step[back] = step, w->count[back] = count;
    if (count > 1) room.weights++;
    ada_status st =
        count > 1 ? room_grow((struct sizes){.together = 1, .size = ada_type_size(w->type)}) : ADA_OK;
    for (size_t i = 0; st == ADA_OK && i < count; i++) st = pack_piece(w, weights, &tmp, back, plain, i);
    ada_arena_free(&tmp);
    if (st != ADA_OK) close_direction(w, back);
    return st;
}

ada_status ada_pieces_pack(ada_pieces **out, ada_arena *weights, const void *plain, size_t n, size_t k,
                           ada_dtype type, const char *impl, bool pinned) {
    ada_pieces *w;
    *out = NULL;
    ADA_TRY(ada_arena_zero(weights, &w, 1, sizeof *w));
    *w = (ada_pieces){.n = n, .k = k, .type = type, .pinned = pinned};
    snprintf(w->impl, sizeof w->impl, "%s", impl);
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

/* Row i of W, in its type. */
static void row_raw(const ada_pieces *w, size_t i, void *out) {
    size_t step = w->step[0];
    for (size_t p = 0, at = 0; p < w->count[0]; p++, at += step)
        ada_dnnl_row(w->part[0][p], i, w->k - at < step ? w->k - at : step,
                     (char *)out + at * ada_type_size(w->type));
}

void ada_pieces_row(const ada_pieces *w, size_t i, float *out) {
    row_raw(w, i, out);
    if (w->type == ADA_BF16) ada_bf16_widen(out, w->k);
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

bool ada_pieces_many(const ada_pieces *w) {
    return w->count[0] > 1;
}

enum { STRIP = 16 };
/* Of columns at … at+n-1 of rows i … i+m-1. ts, ld: bytes of a number, and from a row of x to the next. */
struct copying {
    const char *x;
    const ada_made *made;
    char *to;
    size_t ld, ts, i, m, at, n, full;
};

static void copy_strip(void *ctx, size_t strip, int worker) {
    const struct copying *c = ctx;
    size_t bytes = c->n * c->ts, full = c->full * c->ts;
    (void)worker;
    for (size_t r = strip * STRIP; r < c->m && r < strip * STRIP + STRIP; r++) {
        char *to = c->to + r * full;
        if (c->made)
            c->made->row(c->made->ctx, c->i + r, c->at, c->n, to);
        else
            memcpy(to, c->x + (c->i + r) * c->ld + c->at * c->ts, bytes);
        memset(to + bytes, 0, full - bytes);
    }
}

/* As many rows as there is room for. c: which, and of what. */
static void multiply_rows(const ada_pieces *w, bool back, struct copying c, const ada_end *end) {
    size_t in = inner(w, back), step = w->step[back];
    c.to = seat((size_t)ada_par_inside());
    for (size_t i = 0; c.at < in; i++, c.at += step) {
        size_t at = c.at;
        ada_end e = {.y = end->y,
                     .ld = end->ld,
                     .add = at > 0 || end->add,
                     .bias = at > 0 || end->narrow ? NULL : end->bias};
        c.n = in - at < step ? in - at : step, c.full = ada_round_up(c.n, ALIKE);
        ada_par_for((c.m + STRIP - 1) / STRIP, copy_strip, &c);
        ada_dnnl_multiply(w->part[back][i], back, c.to, c.full, c.m, &e);
    }
    if (end->narrow) ada_end_rows(end, c.m, outer(w, back));
}

void ada_pieces_multiply(const ada_pieces *w, bool back, const void *x, size_t ldx, const ada_made *made,
                         size_t m, const ada_end *end) {
    size_t out = outer(w, back), ts = ada_type_size(w->type), most = rows_of((size_t)ada_par_inside());
    if (w->count[back] == 1) {
        ada_dnnl_multiply(*w->part[back], back, x, ldx, m, end);
        return;
    }
    for (size_t i = 0; i < m; i += most) {
        ada_end e = *end;
        e.y += i * e.ld;
        if (e.narrow) e.narrow = (char *)e.narrow + i * out * ts;
        struct copying c = {
            .x = x, .made = made, .ld = ldx * ts, .ts = ts, .i = i, .m = m - i < most ? m - i : most};
        multiply_rows(w, back, c, &e);
    }
}

void ada_pieces_release(void) {
    ada_dnnl_release();
    if (room.weights) return;
    ada_os.release(room.x);
    room.x = NULL, room.of = (struct sizes){.size = room.of.size};
}
