/* SPDX-License-Identifier: Apache-2.0
 * mm_pairs on AMX, which multiplies tiles of 16 rows × 16 pairs by 16 pairs × 16 columns. Contracts:
 * kernels.h, tile.h. Must not know: where pairs came from. Invariant: an element's sum is one chain over 16s
 * of pairs, whatever the rows beside it. Nothing is read but what is given: what a tile lacks is 0. */
#ifdef ADA_ISA_AMX

enum { TILE = 16, RANGE = 64 }; /* rows or pairs of a tile; most pairs whose left factors lie ready at once */

/* A tile's rows: where they lie, ld words apart. */
struct tile_rows {
    const uint32_t *at;
    size_t ld;
};
/* Rows i …, pairs j … of x, in `room` if they are not a whole tile as they lie. */
VEC struct tile_rows tile_left(const ada_pair_tile *t, size_t i, size_t rows, size_t j, size_t pairs,
                               uint32_t *room)
{
    if (!t->transposed && rows == TILE && pairs == TILE)
        return (struct tile_rows){t->x + i * t->ldx + j, t->ldx};
    if (rows < TILE || pairs < TILE) __builtin_memset(room, 0, TILE * TILE * sizeof *room);
    if (t->transposed)
        k_mm_turn(room, TILE, t->x + j * t->ldx + i, t->ldx, pairs, rows);
    else
        for (size_t r = 0; r < rows; r++)
            vf_store_n((float *)(void *)(room + r * TILE),
                       vf_load_n((const float *)(const void *)(t->x + (i + r) * t->ldx + j), pairs), pairs);
    return (struct tile_rows){room, TILE};
}
/* Likewise pairs j … of the 16 columns h of b. */
VEC struct tile_rows tile_right(const ada_pair_tile *t, size_t h, size_t j, size_t pairs, uint32_t *room)
{
    const uint32_t *b = t->b + h * t->ldb + j * t->step;
    if (pairs == TILE) return (struct tile_rows){b, t->step};
    for (size_t q = 0; q < TILE; q++) {
        vi line = q < pairs ? vi_load((const int32_t *)(const void *)(b + q * t->step)) : vi_zero();
        vi_store((int32_t *)(void *)(room + q * TILE), line);
    }
    return (struct tile_rows){room, TILE};
}

/* Copies rows of 16 floats. */
VEC void tile_rows_copy(float *to, size_t ldto, const float *from, ptrdiff_t ldfrom, size_t rows)
{
    for (size_t r = 0; r < rows; r++) vf_store(to + r * ldto, vf_load(from + (ptrdiff_t)r * ldfrom));
}

/* s(tile, its rows: 0 or 1, its columns: 0 or 1) */
#define TILE_SUMS(s) s(0, 0, 0) s(1, 0, 1) s(2, 1, 0) s(3, 1, 1)

/* Rows i … i+31, as many as there are, of pairs j … j+k-1; from c if these are the first, else from y. */
static void tile_block(const ada_pair_tile *t, size_t i, size_t j, size_t k)
{
    const size_t left = t->m - i, chunks = (k + TILE - 1) / TILE;
    const size_t more = left < TILE ? 0 : left - TILE, rows[2] = {left - more, more < TILE ? more : TILE};
    uint32_t room[2][RANGE / TILE][TILE * TILE] __attribute__((aligned(64)));
    uint32_t right[2][TILE * TILE] __attribute__((aligned(64)));
    float part[TILE * TILE] __attribute__((aligned(64))) = {0};
    struct tile_rows x[2][RANGE / TILE];
    for (size_t r = 0; r < 2; r++)
        for (size_t q = 0; rows[r] && q < chunks; q++) {
            size_t pairs = k - q * TILE < TILE ? k - q * TILE : TILE;
            x[r][q] = tile_left(t, i + r * TILE, rows[r], j + q * TILE, pairs, room[r][q]);
        }
    for (size_t h = 0; h * TILE < t->n; h += 2) {
        float *y = t->y + i * t->ldy + h * TILE;
        const ptrdiff_t ldc = j ? (ptrdiff_t)t->ldy : t->ldc;
        const float *c = j ? y : t->c ? t->c + (ptrdiff_t)i * ldc + h * TILE : NULL;
#define START(tile, r, v)                                                                                    \
        if (!c) {                                                                                            \
            VT_ZERO(tile);                                                                                   \
        } else if (rows[r] == TILE) {                                                                        \
            VT_LOAD(tile, c + r * TILE * ldc + v * TILE, ldc);                                               \
        } else if (rows[r]) {                                                                                \
            tile_rows_copy(part, TILE, c + r * TILE * ldc + v * TILE, ldc, rows[r]);                         \
            VT_LOAD(tile, part, TILE);                                                                       \
        }
        TILE_SUMS(START)
#undef START
        for (size_t q = 0; q < chunks; q++) {
            size_t pairs = k - q * TILE < TILE ? k - q * TILE : TILE;
            struct tile_rows b = tile_right(t, h, j + q * TILE, pairs, right[0]);
            VT_LOAD(6, b.at, b.ld);
            b = tile_right(t, h + 1, j + q * TILE, pairs, right[1]);
            VT_LOAD(7, b.at, b.ld);
            VT_LOAD(4, x[0][q].at, x[0][q].ld);
            VT_PAIRS(0, 4, 6);
            VT_PAIRS(1, 4, 7);
            if (!rows[1]) continue;
            VT_LOAD(5, x[1][q].at, x[1][q].ld);
            VT_PAIRS(2, 5, 6);
            VT_PAIRS(3, 5, 7);
        }
#define END(tile, r, v)                                                                                      \
        if (rows[r] == TILE) {                                                                               \
            VT_STORE(tile, y + r * TILE * t->ldy + v * TILE, t->ldy);                                        \
        } else if (rows[r]) {                                                                                \
            VT_STORE(tile, part, TILE);                                                                      \
            tile_rows_copy(y + r * TILE * t->ldy + v * TILE, t->ldy, part, TILE, rows[r]);                   \
        }
        TILE_SUMS(END)
#undef END
    }
}

static void k_mm_pairs(const ada_pair_tile *t)
{
    vt_open();
    for (size_t i = 0; i < t->m; i += 2 * TILE)
        for (size_t j = 0; j < t->k || j == 0; j += RANGE)
            tile_block(t, i, j, t->k - j < RANGE ? t->k - j : RANGE);
}
#undef TILE_SUMS
#endif
