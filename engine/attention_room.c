/* SPDX-License-Identifier: Apache-2.0
 * Owns: how the operands of a block lie for mm_tile and for mm_pairs. Must not know: masks. Invariant: where
 * n is odd, the last pair's other half is 0. */
#include "engine/attention_room.h"

#include <string.h>

/* Words of a row of n halves. */
static size_t words(size_t n) {
    return (n + 1) / 2;
}
/* Pairs of rows before a head's, when each has n rows. */
static size_t head_pairs(size_t head, size_t n) {
    return head * words(n);
}

static size_t whole_tiles(size_t n) {
    return (n + ADA_TILE - 1) / ADA_TILE * ADA_TILE;
}

size_t ada_room_width(size_t head_dim) {
    return whole_tiles(head_dim);
}

bool ada_room_pairs(ada_dtype type) {
    return type == ADA_BF16 && ada_k.pairs;
}

static ada_status layout_keys(ada_room_keys *b, ada_arena *a, const ada_attn_room *r, bool train) {
    size_t w = r->w, fs = sizeof(float), ws = sizeof(uint32_t);
    if (!r->pairs) {
        ADA_TRY(ada_arena_zero(a, &b->k, ADA_KEYS_MOST * w, fs));
        ADA_TRY(ada_arena_zero(a, &b->v, ADA_KEYS_MOST * w, fs));
        ADA_TRY(ada_arena_zero(a, &b->kt, ADA_KEYS_MOST * r->hd, fs));
        return train ? ada_arena_zero(a, &b->vt, ADA_KEYS_MOST * r->hd, fs) : ADA_OK;
    }
    ADA_TRY(ada_arena_zero(a, &b->kth, ADA_KEYS_MOST * words(r->hd), ws));
    ADA_TRY(ada_arena_zero(a, &b->vz, ADA_KEYS_MOST / 2 * w, ws));
    if (!train) return ADA_OK;
    ADA_TRY(ada_arena_zero(a, &b->vth, ADA_KEYS_MOST * words(r->hd), ws));
    return ada_arena_zero(a, &b->kz, ADA_KEYS_MOST / 2 * w, ws);
}

static ada_status layout_pairs(ada_attn_room *r, ada_arena *a, size_t rows, bool train) {
    size_t w = r->w, hs = sizeof(uint16_t), ws = sizeof(uint32_t);
    ADA_TRY(ada_arena_zero(a, &r->qh, rows * w, hs));
    ADA_TRY(ada_arena_zero(a, &r->kh, ADA_KEYS_MOST * w, hs));
    ADA_TRY(ada_arena_zero(a, &r->vh, ADA_KEYS_MOST * w, hs));
    ADA_TRY(ada_arena_zero(a, &r->sh, rows * ADA_KEYS_MOST, hs));
    if (!train) return ADA_OK;
    ADA_TRY(ada_arena_zero(a, &r->outh, rows * w, hs));
    /* a head of one row is a pair, too */
    ADA_TRY(ada_arena_zero(a, &r->qz, rows * w, ws));
    ADA_TRY(ada_arena_zero(a, &r->outz, rows * w, ws));
    ADA_TRY(ada_arena_zero(a, &r->dph, rows * ADA_KEYS_MOST, hs));
    ADA_TRY(ada_arena_zero(a, &r->sz, ADA_QUERIES / 2 * ADA_KEYS_MOST, ws));
    ADA_TRY(ada_arena_zero(a, &r->dpz, ADA_QUERIES / 2 * ADA_KEYS_MOST, ws));
    return ada_arena_zero(a, &r->wide, 2 * w, sizeof(float));
}

static ada_status layout_floats(ada_attn_room *r, ada_arena *a, size_t rows, bool train) {
    size_t w = r->w, fs = sizeof(float);
    ADA_TRY(ada_arena_zero(a, &r->q, rows * w, fs));
    if (!train) return ADA_OK;
    ADA_TRY(ada_arena_zero(a, &r->out, rows * w, fs));
    return ada_arena_zero(a, &r->wide, w, fs);
}

ada_status ada_room_layout(ada_attn_room *r, ada_arena *a, size_t head_dim, size_t rows, int32_t keys,
                           bool pairs, bool train) {
    size_t w = ada_room_width(head_dim);
    int32_t blocks = keys / ADA_KEYS + 1;
    *r = (ada_attn_room){.pairs = pairs, .hd = head_dim, .w = w};
    r->blocks = blocks < ADA_BLOCKS ? blocks : ADA_BLOCKS;
    for (int32_t i = 0; i < r->blocks; i++) ADA_TRY(layout_keys(&r->kept[i], a, r, train));
    ADA_TRY(pairs ? layout_pairs(r, a, rows, train) : layout_floats(r, a, rows, train));
    ADA_TRY(ada_arena_zero(a, &r->o, rows * w, sizeof(float)));
    ADA_TRY(ada_arena_zero(a, &r->s, rows * ADA_KEYS_MOST, sizeof(float)));
    ADA_TRY(ada_arena_zero(a, &r->stat, rows * 2, sizeof(float)));
    ADA_TRY(ada_arena_zero(a, &r->factor, rows, sizeof(float)));
    ADA_TRY(ada_arena_zero(a, &r->seen, rows, sizeof *r->seen));
    return train ? ada_arena_zero(a, &r->dp, rows * ADA_KEYS_MOST, sizeof(float)) : ADA_OK;
}

/* ---- operands ---- */

static void put(const ada_attn_room *r, size_t row, ada_dtype type, float *f, uint16_t *h, const void *from) {
    enum { LINE = 64 };
    size_t bytes = r->hd * sizeof *h, i = 0;
    if (!r->pairs) {
        ada_widen(type, f + row * r->w, from, r->hd);
        return;
    }
    char *to = (char *)(h + row * r->w);
    for (; i + LINE <= bytes; i += LINE) memcpy(to + i, (const char *)from + i, LINE); /* no call */
    if (i < bytes) memcpy(to + i, (const char *)from + i, bytes - i);
}

void ada_room_query(ada_attn_room *r, size_t row, ada_dtype type, const void *q) {
    put(r, row, type, r->q, r->qh, q);
}

void ada_room_out(ada_attn_room *r, size_t row, ada_dtype type, const void *out) {
    put(r, row, type, r->out, r->outh, out);
}

float ada_room_dot(ada_attn_room *r, size_t row, ada_dtype type, const void *o) {
    const float *out = r->pairs ? r->wide + r->w : r->out + row * r->w;
    ada_widen(type, r->wide, o, r->hd);
    if (r->pairs) ada_widen(type, r->wide + r->w, r->outh + row * r->w, r->hd);
    return ada_k.dot(r->wide, out, r->hd);
}

/* n rows of halves, `columns` of ld, as pairs of rows. */
static void zip(uint32_t *to, const uint16_t *from, size_t ld, size_t n, size_t columns) {
    static const uint16_t zero[ADA_TILE];
    for (size_t i = 0; i + 1 < n; i += 2, to += ld)
        ada_k.mm_zip(to, from + i * ld, from + (i + 1) * ld, columns);
    if (n % 2)
        for (size_t j = 0; j < columns; j += ADA_TILE) {
            size_t left = columns - j < ADA_TILE ? columns - j : ADA_TILE;
            ada_k.mm_zip(to + j, from + (n - 1) * ld + j, zero, left);
        }
}

void ada_room_rows_ready(ada_attn_room *r, size_t heads, size_t n) {
    for (size_t i = 0; r->pairs && i < heads; i++) {
        zip(r->qz + head_pairs(i, n) * r->w, r->qh + i * n * r->w, r->w, n, r->w);
        zip(r->outz + head_pairs(i, n) * r->w, r->outh + i * n * r->w, r->w, n, r->w);
    }
}

bool ada_room_block(ada_attn_room *r, const ada_room_owner *owner, int32_t pos, int32_t n) {
    if (memcmp(&r->owner, owner, sizeof *owner) != 0) {
        r->owner = *owner;
        for (int32_t i = 0; i < r->blocks; i++) r->kept[i].n = 0;
    }
    r->b = &r->kept[pos / ADA_KEYS % r->blocks];
    r->ld = whole_tiles((size_t)n);
    if (r->b->pos == pos && r->b->n >= n) return true;
    r->b->pos = pos, r->b->n = n;
    return false;
}

void ada_room_key(ada_attn_room *r, size_t at, ada_dtype type, const void *k, const void *v) {
    put(r, at, type, r->b->k, r->kh, k);
    put(r, at, type, r->b->v, r->vh, v);
}

/* Rows [n, columns] of words, ld apart, turned into 16s of rows; what is missing of the last tile is 0. */
static void turn(void *to, const void *from, size_t ld, size_t n, size_t columns) {
    for (size_t i = 0; i < whole_tiles(n); i += 16) {
        char *at = (char *)to + i * columns * 4;
        size_t left = n > i ? n - i : 0;
        if (left < 16) memset(at, 0, 16 * columns * 4);
        ada_k.mm_turn(at, 16, (const char *)from + i * ld * 4, ld, left < 16 ? left : 16, columns);
    }
}

void ada_room_keys_ready(ada_attn_room *r, bool back) {
    const ada_room_keys *b = r->b;
    size_t n = (size_t)b->n;
    if (!r->pairs) {
        turn(b->kt, b->k, r->w, n, r->hd);
        if (back) turn(b->vt, b->v, r->w, n, r->hd);
        return;
    }
    turn(b->kth, r->kh, r->w / 2, n, words(r->hd));
    if (back) {
        turn(b->vth, r->vh, r->w / 2, n, words(r->hd));
        zip(b->kz, r->kh, r->w, n, r->w);
    } else {
        zip(b->vz, r->vh, r->w, n, r->w);
    }
}

/* ---- products ---- */

/* Elements of x and b: floats or words, of which a product takes either 4 bytes at a time. */
struct factors {
    const void *x, *b;
    size_t ldx, ldb, step, k;
    bool transposed;
};

static const void *element(const void *p, size_t i) {
    return (const char *)p + i * sizeof(float);
}

/* y [m, n] = c + x · b, n a multiple of ADA_TILE. */
static void product(const ada_attn_room *r, float *y, size_t ldy, const float *c, ptrdiff_t ldc, size_t m,
                    size_t n, const struct factors *f) {
    if (r->pairs)
        ada_k.mm_pairs(
            &(ada_pair_tile){y, ldy, n, c, ldc, f->x, f->ldx, f->transposed, m, f->b, f->ldb, f->step, f->k});
    for (size_t i = 0; !r->pairs && i < n; i += ADA_TILE)
        ada_k.mm_tile(&(ada_tile){.y = y + i,
                                  .ldy = ldy,
                                  .n = ADA_TILE,
                                  .c = c ? c + i : NULL,
                                  .ldc = ldc,
                                  .x = f->x,
                                  .ldx = f->ldx,
                                  .transposed = f->transposed,
                                  .m = m,
                                  .b = element(f->b, i / 16 * f->ldb),
                                  .ldb = f->ldb,
                                  .step = f->step,
                                  .k = f->k});
}

/* y [m, r->ld] = c + x · turned keys for the first n. */
static void scores(const ada_attn_room *r, float *y, const void *x, size_t m, size_t late, const void *turned,
                   size_t n, const float *c, ptrdiff_t ldc) {
    size_t ld = r->pairs ? r->w / 2 : r->w, k = r->pairs ? words(r->hd) : r->hd;
    for (size_t i = 0, wide = late ? ADA_TILE : r->ld; i < n; i += wide) {
        size_t from = i ? late : 0, left = whole_tiles(n - i);
        product(r, y + from * r->ld + i, r->ld, c ? c + (ptrdiff_t)from * ldc + i : NULL, ldc, m - from,
                left < wide ? left : wide,
                &(struct factors){element(x, from * ld), element(turned, i * k), ld, 16 * k, 16, k, false});
    }
}

void ada_room_scores(ada_attn_room *r, size_t row, size_t m, size_t late, size_t n, const float *c,
                     ptrdiff_t ldc) {
    size_t at = row * r->w;
    const void *x = r->pairs ? (void *)(r->qh + at) : (void *)(r->q + at);
    scores(r, r->s + row * r->ld, x, m, late, r->pairs ? (void *)r->b->kth : (void *)r->b->kt, n, c, ldc);
}

void ada_room_out_scores(ada_attn_room *r, size_t row, size_t m, size_t late, size_t n) {
    size_t at = row * r->w;
    const void *x = r->pairs ? (void *)(r->outh + at) : (void *)(r->out + at);
    scores(r, r->dp + row * r->ld, x, m, late, r->pairs ? (void *)r->b->vth : (void *)r->b->vt, n, NULL, 0);
}

/* y [m, w] += x · b, or =, where y is fresh; b [k, w]; x [m, ≥ k] ldx apart, or [k, m] if turned. */
static void sums(const ada_attn_room *r, float *y, bool fresh, const void *x, size_t ldx, bool turned,
                 size_t m, const void *b, size_t k) {
    struct factors f = {x, b, ldx, 16, r->w, k, turned};
    if (m > 0) product(r, y, r->w, fresh ? NULL : y, (ptrdiff_t)r->w, m, r->w, &f);
}

/* Rows of n scores, from `row` on; what they become is halves where there are pairs. */
static ada_scores rows_of(const ada_attn_room *r, size_t row, size_t m, size_t n, const ada_room_mask *mask) {
    size_t at = row * r->ld;
    return (ada_scores){.s = r->s + at,
                        .p = r->pairs ? r->sh + at : NULL,
                        .ld = r->ld,
                        .m = m,
                        .n = n,
                        .seen = mask->all ? NULL : r->seen,
                        .scale = mask->scale,
                        .cap = mask->cap};
}

/* The other half of a row's last pair. */
static void pad(const ada_attn_room *r, uint16_t *to, size_t m, size_t n) {
    for (size_t i = 0; n % 2 && i < m; i++) to[i * r->ld + n] = 0;
}

void ada_room_attend(ada_attn_room *r, size_t m, size_t n, const ada_room_mask *mask) {
    ada_scores t = rows_of(r, 0, m, n, mask);
    ada_k.attend_rows(&t, r->stat, r->factor);
    if (r->pairs) pad(r, r->sh, m, n);
}

void ada_room_attend_back(ada_attn_room *r, size_t row, size_t m, size_t n, const ada_room_mask *mask) {
    ada_scores t = rows_of(r, row, m, n, mask);
    size_t at = row * r->ld;
    t.dp = r->dp + at, t.ds = r->pairs ? r->dph + at : NULL;
    ada_k.attend_back(&t, r->factor + row, r->stat + row);
    if (r->pairs) pad(r, r->sh + at, m, n), pad(r, r->dph + at, m, n);
}

/* o [m, w] += x [m, n] · b [n, w], of whose rows the first `late` have only ADA_TILE. */
static void row_sums(ada_attn_room *r, size_t row, bool fresh, const float *x, const uint16_t *xh, size_t m,
                     size_t late, const float *b, const uint32_t *bz, size_t n) {
    float *o = r->o + row * r->w, *late_o = o + late * r->w;
    size_t few = n < ADA_TILE ? n : ADA_TILE, at = row * r->ld;
    if (!r->pairs) {
        sums(r, o, fresh, x + at, r->ld, false, late, b, few);
        sums(r, late_o, fresh, x + at + late * r->ld, r->ld, false, m - late, b, n);
        return;
    }
    const uint32_t *w = (const uint32_t *)(const void *)(xh + at);
    sums(r, o, fresh, w, r->ld / 2, false, late, bz, words(few));
    sums(r, late_o, fresh, w + late * r->ld / 2, r->ld / 2, false, m - late, bz, words(n));
}

void ada_room_add_values(ada_attn_room *r, size_t row, size_t m, size_t late, size_t n, bool fresh) {
    row_sums(r, row, fresh, r->s, r->sh, m, late, r->b->v, r->b->vz, n);
}

void ada_room_add_keys(ada_attn_room *r, size_t row, size_t m, size_t late, size_t n, bool fresh) {
    size_t at = row * r->ld;
    if (r->pairs) {
        zip(r->sz, r->sh + at, r->ld, m, n), zip(r->dpz, r->dph + at, r->ld, m, n);
    }
    row_sums(r, row, fresh, r->dp, r->dph, m, late, r->b->k, r->b->kz, n);
}

/* y [keys, w] += xᵀ · b for some keys of the block; x [m, r->ld], b [m, w], as floats or pairs of
 * rows. */
static void key_sums(const ada_attn_room *r, float *y, const float *x, const uint32_t *xz, size_t m,
                     size_t late, const float *b, const uint32_t *bz, size_t at, size_t keys) {
    size_t early = at < ADA_TILE ? ADA_TILE - at : 0;
    if (early > keys) early = keys;
    float *rest = y + early * r->w;
    if (!r->pairs) {
        sums(r, y, false, x + at, r->ld, true, early, b, m);
        sums(r, rest, false, x + late * r->ld + at + early, r->ld, true, keys - early, b + late * r->w,
             m - late);
        return;
    }
    size_t skip = late / 2; /* pairs of late rows */
    sums(r, y, false, xz + at, r->ld, true, early, bz, words(m));
    sums(r, rest, false, xz + skip * r->ld + at + early, r->ld, true, keys - early, bz + skip * r->w,
         words(m) - skip);
}

void ada_room_add_shares(ada_attn_room *r, size_t head, size_t row, size_t m, size_t late, size_t at,
                         size_t keys, float *dk, float *dv) {
    size_t pairs = head_pairs(head, m) * r->w, from = row * r->w, s = row * r->ld;
    if (r->pairs) {
        key_sums(r, dv, NULL, r->sz, m, late, NULL, r->outz + pairs, at, keys);
        key_sums(r, dk, NULL, r->dpz, m, late, NULL, r->qz + pairs, at, keys);
    } else {
        key_sums(r, dv, r->s + s, NULL, m, late, r->out + from, NULL, at, keys);
        key_sums(r, dk, r->dp + s, NULL, m, late, r->q + from, NULL, at, keys);
    }
}
