/* SPDX-License-Identifier: Apache-2.0
 * Packed weights, and our own maker of products: the blocking around the kernels of k_matmul.h.
 *
 * A weight lies in panels of 32 rows (bf16: kp/2 lines of 32 words; f32: two halves of [kp, 16]), padded with
 * zeros. A task is a block of rows of x times a group of panels. It walks k in ranges: x's range is widened
 * into the worker's scratch, where it stays in L2; then each panel's range is widened into scratch that stays
 * in L1, and multiplied with all the rows. Sums wait in scratch between ranges, as f32. Must not know: layers.
 * Invariant: tasks, ranges and tiles follow from the shape alone. An element of x·Wᵀ is one chain over k, as in
 * the few rows of decoding; one of dy·W, whose inner side may be a vocabulary, adds up the ranges but the last,
 * then goes on through that: one chain of 49,152 is ten times as far from the truth. */
#include "engine/matmul.h"
#include "engine/matmul_dnnl.h"
#include "engine/par.h"
#include "io/os.h"
#include "simd/kernels.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PANEL = 32,
    RANGE = 288, /* most of k at a time: half a panel of it in f32 is 18 KB of L1 */
    BLOCK = 192, /* most rows at a time: with RANGE, 220 KB of L2 */
    GROUP = 12,  /* most panels of a task */
    TASKS = 8,   /* fewest tasks worth having, if there are panels enough */
    FEW = 3      /* rows up to which reading the weight is all that matters */
};

struct ada_mat {
    size_t n, k, np, kp; /* np, kp: rounded up to PANEL */
    ada_dtype type;
    int directions;
    void *w;        /* the layout above; NULL when the library has the weight */
    ada_dnnl *dnnl; /* NULL: our own */
    char maker[48];
};

static struct {
    float *few; /* [FEW, few_k]: widened x */
    size_t few_k;
    char *mem; /* workers × struct room */
    int workers;
} scratch;

struct room { /* one worker's */
    float x[BLOCK * (RANGE + 16)];
    float b[2 * RANGE * 16];
    float acc[GROUP * BLOCK * PANEL];
};

static size_t round_up(size_t a, size_t b) {
    return (a + b - 1) / b * b;
}
static size_t pieces(size_t a, size_t b) {
    return (a + b - 1) / b;
}

/* ---- packing ---- */

struct packing {
    ada_mat *w;
    const ada_mat_part *parts;
    float *const *wide; /* [nparts] transposed parts, widened whole, else NULL */
    float *rows;        /* per worker [PANEL, kp] f32 */
    uint16_t *half;     /* per worker [PANEL, kp] bf16 */
    void *plain;        /* [n, k], for the library */
    atomic_bool failed;
};

/* Row i of the stacked parts into f32 [k] or, when both sides are bf16, into bf16. */
static bool read_row(const struct packing *p, size_t i, float *f, uint16_t *h) {
    size_t part = 0, k = p->w->k;
    while (i >= p->parts[part].rows) i -= p->parts[part++].rows;
    const ada_mat_part *q = &p->parts[part];
    if (q->rows_perm) i = (size_t)q->rows_perm[i];
    if (p->wide[part]) {
        for (size_t j = 0; j < k; j++) f[j] = p->wide[part][j * q->rows + i];
    } else if (h && q->t->dtype == ADA_BF16) {
        memcpy(h, (const char *)q->t->data + i * k * 2, k * 2);
        return true;
    } else if (ada_tensor_f32(q->t, i * k, k, f) != ADA_OK) {
        return false;
    }
    if (h) ada_k.f32_to_bf16(h, f, k);
    return true;
}

static void pack_panel(void *ctx, size_t panel, int worker) {
    struct packing *p = ctx;
    const ada_mat *w = p->w;
    size_t kp = w->kp, bytes = w->type == ADA_BF16 ? 2 : 4;
    float *f = p->rows + (size_t)worker * PANEL * kp;
    uint16_t *h = w->type == ADA_BF16 ? p->half + (size_t)worker * PANEL * kp : NULL;
    char *rows = h ? (char *)h : (char *)f, *to = (char *)w->w + panel * PANEL * kp * bytes;
    for (size_t r = 0; r < PANEL; r++) {
        char *row = rows + r * kp * bytes;
        size_t i = panel * PANEL + r;
        size_t filled = i < w->n ? w->k : 0;
        if (filled && !read_row(p, i, h ? f : (float *)(void *)row, h ? h + r * kp : NULL))
            atomic_store(&p->failed, true);
        memset(row + filled * bytes, 0, (kp - filled) * bytes);
    }
    if (h)
        ada_k.mm_turn(to, PANEL, h, kp / 2, PANEL, kp / 2);
    else
        for (size_t v = 0; v < 2; v++) ada_k.mm_turn(to + v * 16 * kp * 4, 16, f + v * 16 * kp, kp, 16, kp);
}

static void plain_rows(void *ctx, size_t panel, int worker) {
    struct packing *p = ctx;
    size_t k = p->w->k, end = (panel + 1) * PANEL;
    float *f = p->rows + (size_t)worker * PANEL * p->w->kp;
    for (size_t i = panel * PANEL; i < end && i < p->w->n; i++) {
        bool half = p->w->type == ADA_BF16;
        if (!read_row(p, i, half ? f : (float *)p->plain + i * k, half ? (uint16_t *)p->plain + i * k : NULL))
            atomic_store(&p->failed, true);
    }
}

/* A part must hold rows × k values; block types must not be cut within a row. */
static ada_status check_part(const ada_mat_part *p, size_t k) {
    size_t values, bytes, count;
    float first[256];
    if (!ada_mul_size(p->rows, k, &count) || count != ada_tensor_count(p->t))
        return ada_fail(ADA_EMISMATCH, "tensor '%s' has %zu values, wanted %zu x %zu", p->t->name,
                        ada_tensor_count(p->t), p->rows, k);
    ada_dtype_block(p->t->dtype, &values, &bytes);
    if (count == 0 || values > 256 || (!p->transposed && k % values))
        return ada_fail(ADA_EUNSUPPORTED, "tensor '%s' of type %s cannot be cut into rows of %zu", p->t->name,
                        ada_dtype_name(p->t->dtype), k);
    return ada_tensor_f32(p->t, 0, values, first);
}

/* Reads the parts into whichever layout. */
static ada_status read_parts(ada_mat *w, ada_arena *tmp, struct packing *p, size_t nparts, ada_par_fn panel) {
    size_t team = (size_t)ada_par_threads();
    float **wide;
    ADA_TRY(ada_arena_zero(tmp, &wide, nparts, sizeof *wide));
    for (size_t i = 0; i < nparts; i++) {
        ADA_TRY(check_part(&p->parts[i], w->k));
        if (!p->parts[i].transposed) continue;
        size_t count = p->parts[i].rows * w->k;
        ADA_TRY(ada_arena_take(tmp, &wide[i], count, sizeof(float)));
        ADA_TRY(ada_tensor_f32(p->parts[i].t, 0, count, wide[i]));
    }
    ADA_TRY(ada_arena_take(tmp, &p->rows, team * PANEL * w->kp, sizeof(float)));
    ADA_TRY(ada_arena_take(tmp, &p->half, team * PANEL * w->kp, sizeof(uint16_t)));
    p->wide = wide;
    ada_par_for(w->np / PANEL, panel, p);
    if (atomic_load(&p->failed)) return ada_fail(ADA_EINTERNAL, "a tensor could be read, then could not");
    return ADA_OK;
}

static ada_status pack_own(ada_mat *w, ada_arena *weights, ada_arena *tmp, struct packing *p, size_t nparts) {
    ADA_TRY(ada_arena_take(weights, &w->w, w->np * (w->type == ADA_BF16 ? 2 : 4), w->kp));
    return read_parts(w, tmp, p, nparts, pack_panel);
}

static ada_status pack_dnnl(ada_mat *w, ada_arena *weights, ada_arena *tmp, struct packing *p, size_t nparts,
                            bool pinned) {
    ADA_TRY(ada_arena_take(tmp, &p->plain, w->n * (w->type == ADA_BF16 ? 2 : 4), w->k));
    ADA_TRY(read_parts(w, tmp, p, nparts, plain_rows));
    ADA_TRY(ada_dnnl_pack(&w->dnnl, weights, p->plain, w->n, w->k, w->type, pinned));
    snprintf(w->maker, sizeof w->maker, "%s", ada_dnnl_maker(w->dnnl));
    return ADA_OK;
}

enum pin { FREE, OWN, DNNL };

static ada_status read_pin(enum pin *pin) {
    const char *word = getenv("ADALINK_MATMUL");
    *pin = FREE;
    if (!word || !*word) return ADA_OK;
    if (strcmp(word, "own") && strcmp(word, "dnnl"))
        return ada_fail(ADA_EINVAL, "ADALINK_MATMUL '%s' is neither own nor dnnl", word);
    *pin = *word == 'o' ? OWN : DNNL;
    return ADA_OK;
}

ada_status ada_mat_pack(ada_mat **out, ada_arena *weights, const ada_mat_part *parts, size_t nparts, size_t k,
                        ada_dtype type) {
    ada_mat *w;
    size_t n = 0;
    enum pin pin;
    *out = NULL;
    ADA_TRY(read_pin(&pin));
    if (type != ADA_BF16 && type != ADA_F32)
        return ada_fail(ADA_EUNSUPPORTED, "weights of type %s cannot be multiplied", ada_dtype_name(type));
    for (size_t i = 0; i < nparts; i++)
        if (!ada_add_size(n, parts[i].rows, &n)) return ada_fail(ADA_EFORMAT, "a weight has too many rows");
    if (n == 0 || k == 0 || n > INT32_MAX - PANEL || k > INT32_MAX - PANEL)
        return ada_fail(ADA_EUNSUPPORTED, "a weight of %zu x %zu", n, k);
    ADA_TRY(ada_arena_zero(weights, &w, 1, sizeof *w));
    *w = (ada_mat){.n = n,
                   .k = k,
                   .np = round_up(n, PANEL),
                   .kp = round_up(k, PANEL),
                   .type = type,
                   .directions = ADA_FORWARD | ADA_BACKWARD};
    snprintf(w->maker, sizeof w->maker, "own/%s", ada_k.isa);
    ada_arena tmp = {0};
    struct packing p = {.w = w, .parts = parts};
    bool theirs = false;
    ada_status st = pin == OWN ? ADA_OK : ada_dnnl_wants(&theirs, n, k, type, pin == DNNL);
    if (st == ADA_OK && theirs) st = pack_dnnl(w, weights, &tmp, &p, nparts, pin == DNNL);
    if (st == ADA_EUNSUPPORTED) ada_log(0, "%s: our own kernel serves", ada_error());
    if (st == ADA_EUNSUPPORTED || (st == ADA_OK && !theirs)) st = pack_own(w, weights, &tmp, &p, nparts);
    ada_arena_free(&tmp);
    if (st == ADA_OK) *out = w;
    return st;
}

ada_status ada_mat_prepare(ada_mat *w, ada_arena *weights, int directions) {
    return w->dnnl && directions & ADA_BACKWARD ? ada_dnnl_prepare(w->dnnl, weights) : ADA_OK;
}

void ada_mat_close(ada_mat **w) {
    if (*w) ada_dnnl_close(&(*w)->dnnl);
    *w = NULL;
}

size_t ada_mat_rows(const ada_mat *w) {
    return w->n;
}
size_t ada_mat_cols(const ada_mat *w) {
    return w->k;
}
ada_dtype ada_mat_type(const ada_mat *w) {
    return w->type;
}
const char *ada_mat_maker(const ada_mat *w) {
    return w->maker;
}
size_t ada_mat_bytes(const ada_mat *w) {
    return w->dnnl ? ada_dnnl_bytes(w->dnnl) : w->np * w->kp * (w->type == ADA_BF16 ? 2 : 4);
}

void ada_mat_row(const ada_mat *w, size_t i, float *out) {
    size_t panel = i / PANEL, r = i % PANEL, k = w->k, kp = w->kp;
    if (w->dnnl) {
        ada_dnnl_row(w->dnnl, i, out);
        return;
    }
    if (w->type == ADA_F32) {
        const float *p = (const float *)w->w + panel * PANEL * kp + r / 16 * 16 * kp + r % 16;
        for (size_t j = 0; j < k; j++) out[j] = p[j * 16];
        return;
    }
    const uint16_t *p = (const uint16_t *)w->w + panel * PANEL * kp + r * 2;
    uint16_t pair[2];
    for (size_t j = 0; j < k; j += 2, p += 2 * PANEL) {
        memcpy(pair, p, sizeof pair);
        ada_k.bf16_to_f32(out + j, pair, k - j < 2 ? k - j : 2);
    }
}

/* ---- products ---- */

struct product {
    const ada_mat *w;
    const char *x;
    size_t ldx, m, inner, outer; /* y [m, outer] = x [m, inner] · B */
    float *y;
    size_t ldy;
    bool add, back;
    size_t block, range, panels, groups;
};

/* Lines j … j+n-1 of a panel of B in f32, into or as two halves. */
static const float *panel_range(const struct product *p, size_t panel, size_t j, size_t n, float *to,
                                size_t *ldb) {
    const ada_mat *w = p->w;
    size_t kp = w->kp, line = PANEL * kp;
    *ldb = RANGE * 16;
    if (!p->back && w->type == ADA_BF16) {
        ada_k.mm_widen(to, *ldb, (const uint32_t *)w->w + panel * line / 2 + j / 2 * PANEL, round_up(n, 2));
    } else if (!p->back) {
        *ldb = 16 * kp;
        return (const float *)w->w + panel * line + j * 16;
    } else if (w->type == ADA_BF16) {
        const uint32_t *from = (const uint32_t *)w->w + j / PANEL * line / 2 + panel * PANEL / 2 * PANEL;
        for (size_t i = 0; i < n; i += PANEL, from += line / 2) ada_k.mm_widen_back(to + i * 16, *ldb, from);
    } else {
        const float *from = (const float *)w->w + j / PANEL * line + panel * PANEL * 16;
        for (size_t i = 0; i < n; i += 16, from += 16 * kp)
            for (size_t v = 0; v < 2; v++)
                ada_k.mm_turn(to + v * *ldb + i * 16, 16, from + v * 16 * 16, 16, 16, 16);
    }
    return to;
}

/* What panel_range will read next, to be prefetched meanwhile: for it would wait for each line of a block. */
static void look_ahead(const struct product *p, size_t panel, size_t j, size_t n, ada_tile *t) {
    size_t line = PANEL * p->w->kp;
    if (p->w->type != ADA_BF16) return;
    t->ahead = (const uint32_t *)p->w->w + panel * line / 2 + j / 2 * PANEL;
    t->nahead = n * PANEL * 2;
    if (!p->back) return;
    t->ahead = (const uint32_t *)p->w->w + j / PANEL * line / 2 + panel * PANEL / 2 * PANEL;
    t->run = PANEL * PANEL * 2;
    t->stride = line * 2;
}

static void x_range(const struct product *p, size_t row, size_t m, size_t j, size_t n, float *to, size_t ld) {
    for (size_t i = 0; i < m; i++, to += ld) {
        size_t at = (row + i) * p->ldx + j;
        if (p->w->type == ADA_BF16)
            ada_k.bf16_to_f32(to, (const uint16_t *)(const void *)p->x + at, n);
        else
            memcpy(to, (const float *)(const void *)p->x + at, n * sizeof *to);
    }
}

static void task(void *ctx, size_t item, int worker) {
    const struct product *p = ctx;
    struct room *room = (struct room *)(void *)(scratch.mem + (size_t)worker * sizeof *room);
    size_t row = item / p->groups * p->block, group = item % p->groups;
    size_t m = p->m - row < p->block ? p->m - row : p->block;
    size_t first = group * p->panels / p->groups, last = (group + 1) * p->panels / p->groups;
    for (size_t j = 0, n; j < p->inner; j += n) {
        n = p->inner - j < p->range ? p->inner - j : p->range;
        ada_tile t = {.x = room->x, .ldx = p->range + 16, .m = m, .k = n, .step = 16, .ldc = PANEL};
        bool end = j + n == p->inner;
        x_range(p, row, m, j, n, room->x, t.ldx);
        for (size_t panel = first; panel < last; panel++) {
            float *acc = room->acc + (panel - first) * BLOCK * PANEL;
            size_t col = panel * PANEL, left = p->outer - col;
            t.b = panel_range(p, panel, j, n, room->b, &t.ldb);
            t.c = j && (end || !p->back) ? acc : NULL;
            t.y = end ? p->y + row * p->ldy + col : acc;
            t.ldy = end ? p->ldy : PANEL;
            t.n = end && left < PANEL ? left : PANEL;
            t.add = end ? p->add : p->back && j;
            if (panel + 1 < last)
                look_ahead(p, panel + 1, j, n, &t);
            else if (!end)
                look_ahead(p, first, j + n, n, &t);
            else
                t.ahead = NULL;
            ada_k.mm_tile(&t);
        }
    }
}

static void few_panel(void *ctx, size_t panel, int worker) {
    const struct product *p = ctx;
    size_t kp = p->w->kp, col = panel * PANEL, left = p->outer - col;
    (void)worker;
    ada_k.mm_rows(p->y + col, p->ldy, left < PANEL ? left : PANEL, p->add, scratch.few, kp, p->m,
                  (const uint32_t *)p->w->w + col * kp / 2, kp);
}

static void multiply(struct product *p) {
    size_t kp = p->w->kp;
    if (p->m == 0) return;
    if (p->w->dnnl) {
        ada_dnnl_multiply(p->w->dnnl, p->back, p->x, p->ldx, p->m, p->y, p->ldy, p->add);
        return;
    }
    p->panels = pieces(p->outer, PANEL);
    if (p->m <= FEW && !p->back && p->w->type == ADA_BF16) {
        x_range(p, 0, p->m, 0, p->inner, scratch.few, kp);
        for (size_t i = 0; i < p->m; i++)
            memset(scratch.few + i * kp + p->inner, 0, (kp - p->inner) * sizeof(float));
        ada_par_for(p->panels, few_panel, p);
        return;
    }
    p->range = round_up(pieces(p->inner, pieces(p->inner, RANGE)), PANEL);
    size_t blocks = pieces(p->m, BLOCK);
    p->block = round_up(pieces(p->m, blocks), 12);
    blocks = pieces(p->m, p->block);
    p->groups = pieces(p->panels, GROUP);
    if (blocks * p->groups < TASKS) p->groups = pieces(TASKS, blocks);
    if (p->groups > p->panels) p->groups = p->panels;
    ada_par_for(blocks * p->groups, task, p);
}

void ada_matmul(const ada_mat *w, const void *x, size_t ldx, size_t m, float *y, size_t ldy, bool add) {
    multiply(&(struct product){
        .w = w, .x = x, .ldx = ldx, .m = m, .inner = w->k, .outer = w->n, .y = y, .ldy = ldy, .add = add});
}

void ada_matmul_back(const ada_mat *w, const void *dy, size_t ldy, size_t m, float *dx, size_t ldx,
                     bool add) {
    multiply(&(struct product){.w = w,
                               .x = dy,
                               .ldx = ldy,
                               .m = m,
                               .inner = w->n,
                               .outer = w->k,
                               .y = dx,
                               .ldy = ldx,
                               .add = add,
                               .back = true});
}

ada_status ada_matmul_reserve(size_t max_m, size_t max_n, size_t max_k) {
    size_t bytes, k = round_up(max_k, PANEL);
    (void)max_m, (void)max_n;
    if (k > scratch.few_k) {
        ada_os.release(scratch.few);
        scratch.few_k = 0;
        if (!ada_mul_size(k, FEW * sizeof(float), &bytes) || !(scratch.few = ada_os.alloc(bytes)))
            return ada_fail(ADA_ENOMEM, "no memory for %zu inputs of a product", k);
        scratch.few_k = k;
    }
    int team = ada_par_threads();
    if (team > scratch.workers) {
        ada_os.release(scratch.mem);
        scratch.workers = 0;
        if (!ada_mul_size((size_t)team, sizeof(struct room), &bytes) || !(scratch.mem = ada_os.alloc(bytes)))
            return ada_fail(ADA_ENOMEM, "no memory for the scratch of %d threads", team);
        scratch.workers = team;
    }
    return ADA_OK;
}

void ada_matmul_release(void) {
    ada_dnnl_release();
    ada_os.release(scratch.few);
    ada_os.release(scratch.mem);
    memset(&scratch, 0, sizeof scratch);
}
