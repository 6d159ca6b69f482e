/* SPDX-License-Identifier: Apache-2.0
 * Packed weights, and our own maker of products: the blocking around the kernels of k_matmul.h.
 *
 * A weight lies in panels of 32 rows (bf16: kp/2 lines of 32 words; f32: two halves of [kp, 16]), padded
 * with zeros. The rows of x are widened once, by all threads or by one that multiplies apart, into scratch
 * that stays in L3. A task is then a strip of y's columns: it walks k in ranges, each of the weight's widened
 * into scratch that stays in L2 and multiplied with all the rows. Sums wait in scratch between ranges, as
 * f32, and where they are to be narrowed they go nowhere else. Must not know: layers. Invariant: ranges
 * follow from the shape alone. An element of x·Wᵀ is one chain over k, as in the few rows of decoding; one of
 * dy·W, whose inner side may be a vocabulary, adds up ranges: one chain of 49,152 is ten times as far from
 * the truth. */
#include "engine/matmul.h"
#include "engine/matmul_dnnl.h"
#include "engine/matmul_pieces.h"
#include "engine/par.h"
#include "io/os.h"
#include "simd/kernels.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PANEL = 32,
    HALF = 16,
    RANGE = 576,  /* most of k at a time: 72 KB for a panel, which L2 gives as fast as they are used */
    BLOCK = 352,  /* most rows at a time */
    WIDTH = 3072, /* most of dy's columns at a time */
    STRIPS = 4,   /* fewest tasks of a thread: of whole panels, if there are so many */
    FEW = 3       /* rows up to which reading the weight is all that matters */
};

struct ada_mat {
    size_t n, k, np, kp; /* np, kp: rounded up to PANEL */
    ada_dtype type;
    int directions;
    void *w;            /* the layout above; NULL when the library has the weight */
    ada_pieces *theirs; /* NULL: our own */
    char maker[48];
};

struct room { /* one worker's */
    float b[2 * RANGE * HALF];
    float acc[BLOCK * PANEL];
};

/* What products share: one product of all threads at a time, or one of each thread. */
static struct {
    pthread_mutex_t busy;
    float *x; /* [workers, slice]: a slice each, or all of them for all threads together */
    size_t slice;
    struct room *rooms; /* [workers] */
    int workers;
} scratch = {.busy = PTHREAD_MUTEX_INITIALIZER};

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

/* Rows of the tensor that a part is from. */
static size_t part_of(const ada_mat_part *p) {
    return p->of ? p->of : p->rows;
}

/* Row i of the stacked parts into f32 [k] or, when both sides are bf16, into bf16. */
static bool read_row(const struct packing *p, size_t i, float *f, uint16_t *h) {
    size_t part = 0, k = p->w->k;
    while (i >= p->parts[part].rows) i -= p->parts[part++].rows;
    const ada_mat_part *q = &p->parts[part];
    const float *scale = q->scale ? q->scale + i : NULL;
    i = q->rows_perm ? (size_t)q->rows_perm[i] : q->first + i;
    if (p->wide[part]) {
        for (size_t j = 0; j < k; j++) f[j] = p->wide[part][j * part_of(q) + i];
    } else if (h && q->t->dtype == ADA_BF16 && !scale) {
        memcpy(h, (const char *)q->t->data + i * k * 2, k * 2);
        return true;
    } else if (ada_tensor_f32(q->t, i * k, k, f) != ADA_OK) {
        return false;
    }
    if (scale) ada_k.scale(f, f, *scale, k);
    if (h) ada_k.f32_to_bf16(h, f, k);
    return true;
}

static void pack_panel(void *ctx, size_t panel, int worker) {
    struct packing *p = ctx;
    const ada_mat *w = p->w;
    size_t kp = w->kp, bytes = ada_type_size(w->type);
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
    if (!ada_mul_size(part_of(p), k, &count) || count != ada_tensor_count(p->t))
        return ada_fail(ADA_EMISMATCH, "tensor '%s' has %zu values, wanted %zu x %zu", p->t->name,
                        ada_tensor_count(p->t), part_of(p), k);
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
        size_t count = part_of(&p->parts[i]) * w->k;
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
    ADA_TRY(ada_arena_take(weights, &w->w, w->np * ada_type_size(w->type), w->kp));
    return read_parts(w, tmp, p, nparts, pack_panel);
}

static ada_status pack_dnnl(ada_mat *w, ada_arena *weights, ada_arena *tmp, struct packing *p, size_t nparts,
                            const char *impl, bool pinned) {
    ADA_TRY(ada_arena_take(tmp, &p->plain, w->n * ada_type_size(w->type), w->k));
    ADA_TRY(read_parts(w, tmp, p, nparts, plain_rows));
    (void)pthread_mutex_lock(&scratch.busy);
    ada_status st = ada_pieces_pack(&w->theirs, weights, p->plain, w->n, w->k, w->type, impl, pinned);
    (void)pthread_mutex_unlock(&scratch.busy);
    if (st == ADA_OK) snprintf(w->maker, sizeof w->maker, "%s", impl);
    return st;
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
                   .np = ada_round_up(n, PANEL),
                   .kp = ada_round_up(k, PANEL),
                   .type = type,
                   .directions = ADA_FORWARD | ADA_BACKWARD};
    snprintf(w->maker, sizeof w->maker, "own/%s", ada_k.isa);
    ada_arena tmp = {0};
    struct packing p = {.w = w, .parts = parts};
    const char *impl = NULL; /* the library's, if it is to have the weight */
    (void)pthread_mutex_lock(&scratch.busy);
    ada_status st = pin == OWN ? ADA_OK : ada_dnnl_wants(&impl, n, k, type, pin == DNNL);
    (void)pthread_mutex_unlock(&scratch.busy);
    if (st == ADA_OK && impl) st = pack_dnnl(w, weights, &tmp, &p, nparts, impl, pin == DNNL);
    if (st == ADA_EUNSUPPORTED) ada_log(0, "%s: our own kernel serves", ada_error());
    if (st == ADA_EUNSUPPORTED || (st == ADA_OK && !impl)) st = pack_own(w, weights, &tmp, &p, nparts);
    ada_arena_free(&tmp);
    if (st == ADA_OK) *out = w;
    return st;
}

ada_status ada_mat_prepare(ada_mat *w, ada_arena *weights, int directions) {
    if (!w->theirs || !(directions & ADA_BACKWARD)) return ADA_OK;
    (void)pthread_mutex_lock(&scratch.busy);
    ada_status st = ada_pieces_prepare(w->theirs, weights);
    (void)pthread_mutex_unlock(&scratch.busy);
    return st;
}

void ada_mat_close(ada_mat **w) {
    if (!*w) return;
    (void)pthread_mutex_lock(&scratch.busy);
    ada_pieces_close(&(*w)->theirs);
    (void)pthread_mutex_unlock(&scratch.busy);
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
    return (w->theirs ? w->n * w->k : w->np * w->kp) * ada_type_size(w->type);
}

void ada_mat_row(const ada_mat *w, size_t i, float *out) {
    size_t panel = i / PANEL, r = i % PANEL, k = w->k, kp = w->kp;
    if (w->theirs) {
        ada_pieces_row(w->theirs, i, out);
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
    const ada_made *made;        /* x in pieces, or NULL */
    size_t ldx, m, inner, outer; /* y [m, outer] = x [m, inner] · B */
    float *y;
    size_t ldy;
    bool add, back;
    uint16_t *narrow;    /* [m, outer] of a task's own end; then y is not written; or NULL */
    const float *bias;   /* [outer] of that end, or NULL */
    size_t width, range; /* most of inner that is widened at a time; in one chain, backward */
    size_t strip;        /* columns of a task */
    size_t from, to;     /* of inner, now */
    float *widened;      /* scratch for x of bf16 */
    const float *wide;   /* [m, to - from] */
    size_t ldwide;
};

/* Lines j … j+n-1 of 16 columns of B in f32, where they are or in `to`. */
static const float *half_range(const struct product *p, size_t col, size_t j, size_t n, float *to) {
    const ada_mat *w = p->w;
    size_t kp = w->kp, line = PANEL * kp, panel = col / PANEL, right = col % PANEL / HALF;
    if (!p->back && w->type == ADA_F32) return (const float *)w->w + panel * line + (right * kp + j) * HALF;
    if (!p->back) {
        ada_k.mm_widen(to, (const uint32_t *)w->w + panel * line / 2 + j / 2 * PANEL + right * HALF,
                       ada_round_up(n, 2));
    } else if (w->type == ADA_BF16) {
        const uint32_t *from = (const uint32_t *)w->w + j / PANEL * line / 2 + col / 2 * PANEL;
        for (size_t i = 0; i < n; i += PANEL, from += line / 2) ada_k.mm_widen_back(to + i * HALF, from);
    } else {
        const float *from = (const float *)w->w + j / PANEL * line + col * HALF;
        for (size_t i = 0; i < n; i += HALF, from += HALF * kp)
            ada_k.mm_turn(to + i * HALF, HALF, from, HALF, HALF, HALF);
    }
    return to;
}

/* What half_range will read next, to be prefetched meanwhile: for it would wait for each line of a block. */
static void look_ahead(const struct product *p, size_t col, size_t j, size_t n, ada_tile *t) {
    size_t line = PANEL * p->w->kp, run = p->strip * 2 * sizeof(uint16_t);
    if (p->w->type != ADA_BF16) return;
    t->nahead = n * p->strip * sizeof(uint16_t);
    if (p->back) {
        t->ahead = (const uint32_t *)p->w->w + j / PANEL * line / 2 + col / 2 * PANEL;
        t->run = run * HALF;
        t->stride = line * 2;
    } else {
        t->ahead = (const uint32_t *)p->w->w + col / PANEL * line / 2 + j / 2 * PANEL + col % PANEL;
        t->run = run;
        t->stride = PANEL * 2 * sizeof(uint16_t);
    }
}

static void task(void *ctx, size_t item, int worker) {
    const struct product *p = ctx;
    struct room *room = &scratch.rooms[worker];
    size_t col = item * p->strip, left = p->outer - col;
    size_t next = col + p->strip;
    ada_tile t = {.ldx = p->ldwide, .m = p->m, .ldb = RANGE * HALF, .step = HALF, .ldc = PANEL};
    for (size_t j = p->from, n; j < p->to; j += n) {
        n = p->to - j < p->range ? p->to - j : p->range;
        bool first = j == p->from, last = j + n == p->to;
        t.x = p->wide + (j - p->from);
        t.k = n;
        t.b = half_range(p, col, j, n, room->b);
        if (p->strip == PANEL) {
            const float *right = half_range(p, col + HALF, j, n, room->b + t.ldb);
            t.ldb = (size_t)(right - t.b);
        }
        t.c = !first && (last || !p->back) ? room->acc : NULL;
        t.y = last && !p->narrow ? p->y + col : room->acc;
        t.ldy = last && !p->narrow ? p->ldy : PANEL;
        t.n = last && left < p->strip ? left : p->strip;
        t.add = last ? p->add || p->from > 0 : p->back && !first;
        t.ahead = NULL;
        if (!last)
            look_ahead(p, col, j + n, n, &t);
        else if (next < p->outer)
            look_ahead(p, next, p->from, p->range, &t);
        ada_k.mm_tile(&t);
    }
    if (p->narrow)
        ada_k.mm_narrow(p->narrow + col, p->outer, room->acc, PANEL, p->bias ? p->bias + col : NULL, p->m,
                        t.n);
}

static void widen_rows(void *ctx, size_t strip, int worker) {
    const struct product *p = ctx;
    (void)worker;
    for (size_t i = strip * 4; i < p->m && i < strip * 4 + 4; i++) {
        size_t n = p->to - p->from;
        float *to = p->widened + i * p->ldwide;
        ada_k.bf16_to_f32(to, (const uint16_t *)(const void *)p->x + i * p->ldx + p->from, n);
        memset(to + n, 0, (p->ldwide - n) * sizeof *to);
    }
}

static void few_panel(void *ctx, size_t panel, int worker) {
    const struct product *p = ctx;
    size_t kp = p->w->kp, col = panel * PANEL, left = p->outer - col;
    (void)worker;
    ada_k.mm_rows(p->y + col, p->ldy, left < PANEL ? left : PANEL, p->add, p->wide, p->ldwide, p->m,
                  (const uint32_t *)p->w->w + col * kp / 2, kp);
}

/* At most BLOCK rows. */
static void multiply_block(struct product *p) {
    bool half = p->w->type == ADA_BF16, few = p->m <= FEW && !p->back && half && !p->narrow;
    size_t panels = pieces(p->outer, PANEL);
    p->strip = !ada_par_inside() && panels < STRIPS * (size_t)ada_par_threads() ? HALF : PANEL;
    for (p->from = 0; p->from < p->inner; p->from = p->to) {
        p->to = p->inner - p->from < p->width ? p->inner : p->from + p->width;
        p->wide = half ? p->widened : (const float *)(const void *)p->x;
        /* not a multiple of 4 KB: rows of a tile must not share their places in L1 */
        p->ldwide = half ? ada_round_up(p->to - p->from, PANEL) + HALF : p->ldx;
        if (half) ada_par_for(p->m <= FEW ? 1 : pieces(p->m, 4), widen_rows, p);
        ada_par_for(few ? panels : pieces(p->outer, p->strip), few ? few_panel : task, p);
    }
}

void ada_end_row(const ada_end *end, size_t i, size_t outer) {
    float *y = end->y + i * end->ld;
    if (end->narrow)
        ada_k.mm_narrow((uint16_t *)end->narrow + i * outer, outer, y, end->ld, end->bias, 1, outer);
    else if (end->bias)
        ada_k.add(y, y, end->bias, outer);
}

struct ending {
    const ada_end *end;
    size_t m, outer;
};

static void end_strip(void *ctx, size_t strip, int worker) {
    const struct ending *e = ctx;
    (void)worker;
    for (size_t i = strip * 4; i < e->m && i < strip * 4 + 4; i++) ada_end_row(e->end, i, e->outer);
}

void ada_end_rows(const ada_end *end, size_t m, size_t outer) {
    ada_par_for(pieces(m, 4), end_strip, &(struct ending){end, m, outer});
}

/* worker: from 1, the one that multiplies apart; 0: all together. */
static void multiply_own(struct product *p, const ada_end *end, size_t worker) {
    bool half = p->w->type == ADA_BF16, cut = half && p->back && p->inner > WIDTH;
    size_t bytes = half ? sizeof(uint16_t) : sizeof(float), most = BLOCK;
    size_t rows = p->m;
    p->width = cut ? WIDTH : p->inner;
    p->range = ada_round_up(pieces(p->width, pieces(p->width, RANGE)), PANEL);
    p->width = ada_round_up(p->width, p->range);
    p->widened = scratch.x + (worker ? worker - 1 : 0) * scratch.slice;
    if (half) {
        size_t fit = (worker ? 1 : (size_t)scratch.workers) * scratch.slice / (p->width + HALF);
        if (fit < most) most = fit;
    }
    if (!cut && (p->m > FEW || p->back)) p->narrow = end->narrow, p->bias = end->bias;
    size_t step = pieces(rows, pieces(rows, most)); /* alike: each widens the whole weight */
    for (size_t left = rows; left > 0; left -= p->m) {
        p->m = left < step ? left : step;
        multiply_block(p);
        p->x += p->m * p->ldx * bytes;
        p->y += p->m * p->ldy;
        if (p->narrow) p->narrow += p->m * p->outer;
    }
    if (!p->narrow && (end->bias || end->narrow)) ada_end_rows(end, rows, p->outer);
}

static void multiply(struct product *p, const ada_end *end) {
    if (p->m == 0) return;
    size_t apart = (size_t)ada_par_inside(); /* then ada_matmul_apart holds the scratch */
    if (!apart) (void)pthread_mutex_lock(&scratch.busy);
    if (p->w->theirs)
        ada_pieces_multiply(p->w->theirs, p->back, p->x, p->ldx, p->made, p->m, end);
    else
        multiply_own(p, end, apart);
    if (apart) return;
    ada_dnnl_tell();
    (void)pthread_mutex_unlock(&scratch.busy);
}

void ada_matmul_apart(size_t n, ada_par_fn body, void *ctx) {
    (void)pthread_mutex_lock(&scratch.busy);
    ada_par_for(n, body, ctx);
    ada_dnnl_tell();
    (void)pthread_mutex_unlock(&scratch.busy);
}

void ada_matmul_expect(size_t m) {
    (void)pthread_mutex_lock(&scratch.busy);
    ada_dnnl_expect(m);
    (void)pthread_mutex_unlock(&scratch.busy);
}

/* Scratch of a narrowed result is not added to; an f32 weight's is narrowed by going elsewhere. */
static ada_end settle(const ada_mat *w, const ada_end *end, size_t outer) {
    if (!end->narrow) return *end;
    if (w->type == ADA_F32) return (ada_end){.y = end->narrow, .ld = outer, .bias = end->bias};
    return (ada_end){.y = end->y, .ld = end->ld, .bias = end->bias, .narrow = end->narrow};
}

static void product(const ada_mat *w, bool back, const void *x, size_t ldx, const ada_made *made, size_t m,
                    const ada_end *end) {
    size_t inner = back ? w->n : w->k, outer = back ? w->k : w->n;
    ada_end e = settle(w, end, outer);
    multiply(&(struct product){.w = w,
                               .x = x,
                               .made = made,
                               .ldx = ldx,
                               .m = m,
                               .inner = inner,
                               .outer = outer,
                               .y = e.y,
                               .ldy = e.ld,
                               .add = e.add,
                               .back = back},
             &e);
}

void ada_matmul(const ada_mat *w, const void *x, size_t ldx, size_t m, const ada_end *end) {
    product(w, false, x, ldx, NULL, m, end);
}

struct making {
    const ada_made *x;
    size_t m, k, bytes; /* of a number */
};

static void make_strip(void *ctx, size_t strip, int worker) {
    const struct making *j = ctx;
    (void)worker;
    for (size_t i = strip * 4; i < j->m && i < strip * 4 + 4; i++)
        j->x->row(j->x->ctx, i, 0, j->k, (char *)j->x->all + i * j->k * j->bytes);
}

void ada_matmul_made(const ada_mat *w, const ada_made *x, size_t m, const ada_end *end) {
    if (w->theirs && ada_pieces_many(w->theirs) && !x->wanted) {
        product(w, false, NULL, 0, x, m, end);
        return;
    }
    ada_par_for(pieces(m, 4), make_strip, &(struct making){x, m, w->k, ada_type_size(w->type)});
    product(w, false, x->all, w->k, NULL, m, end);
}

void ada_matmul_back(const ada_mat *w, const void *dy, size_t ldy, size_t m, const ada_end *end) {
    product(w, true, dy, ldy, NULL, m, end);
}

static void release_scratch(void) {
    ada_os.release(scratch.x);
    ada_os.release(scratch.rooms);
    scratch.x = NULL, scratch.rooms = NULL;
    scratch.slice = 0, scratch.workers = 0;
}

/* numbers: of x, widened, in all; or of each thread's own. */
static ada_status reserve(size_t numbers, bool apart) {
    int team = ada_par_threads();
    size_t bytes;
    if (team < scratch.workers) team = scratch.workers;
    numbers = ada_round_up(apart ? numbers : pieces(numbers, (size_t)team), HALF);
    if (numbers < scratch.slice) numbers = scratch.slice;
    if (numbers == scratch.slice && team == scratch.workers) return ADA_OK;
    release_scratch();
    if (!ada_mul_size(numbers, (size_t)team * sizeof(float), &bytes) || !(scratch.x = ada_os.alloc(bytes)))
        return ada_fail(ADA_ENOMEM, "no memory for %zu inputs of products of %d threads", numbers, team);
    if (!ada_mul_size((size_t)team, sizeof(struct room), &bytes) || !(scratch.rooms = ada_os.alloc(bytes)))
        return ada_fail(ADA_ENOMEM, "no memory for the scratch of %d threads", team);
    scratch.slice = numbers, scratch.workers = team;
    return ADA_OK;
}

ada_status ada_matmul_reserve(size_t max_m, size_t max_n, size_t max_k, bool apart) {
    size_t columns = max_n < WIDTH ? max_n : WIDTH, rows = max_m, numbers;
    if (max_k > columns) columns = max_k;
    if (max_m > BLOCK) max_m = BLOCK;
    if (!ada_mul_size(max_m, ada_round_up(columns, RANGE) + HALF, &numbers))
        return ada_fail(ADA_ENOMEM, "no memory for %zu inputs of a product", columns);
    (void)pthread_mutex_lock(&scratch.busy);
    ada_status st = reserve(numbers, apart);
    if (st == ADA_OK) st = ada_pieces_reserve(rows, ada_par_threads(), apart);
    (void)pthread_mutex_unlock(&scratch.busy);
    return st;
}

void ada_matmul_release(void) {
    ada_pieces_release();
    release_scratch();
}
