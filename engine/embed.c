/* SPDX-License-Identifier: Apache-2.0
 * The join where input adapters act. Owns: the table from id to unique row, and those rows.
 * Must not know: the shape of packs beyond their ids. Invariant: rows are in ascending order of id, so that
 * the adapter sees the same rows however the step was cut into packs: tokens first, then images. */
#include "engine/embed.h"
#include "engine/par.h"
#include "simd/kernels.h"
#include <string.h>

struct ada_join {
    const ada_model *m;
    ada_adapter *a;
    ada_join_limits lim;
    bool text, image; /* which the adapter has something for */
    size_t d;
    int32_t vocab, ids_end, n, tokens; /* tokens: of the n */
    int32_t *slot;                     /* [ids_end] row of an id, -1: not in this step */
    int32_t *ids;                      /* [unique] the unique ids, ascending after start */
    float *e, *y;  /* [unique, d] before and after the adapter; one array without an adapter */
    float *dy;     /* [unique, d] gradient at y; NULL unless training */
    float *x;      /* [image_rows, connector.in] */
    int32_t *rows; /* [image_rows] */
    void *text_scratch, *image_scratch, *connector_scratch;
};

static ada_status layout_images(ada_join *j, ada_arena *arena) {
    size_t n = (size_t)j->lim.image_rows;
    if (n == 0) return ADA_OK;
    const ada_connector *c = &j->m->vision->connector;
    ADA_TRY(ada_arena_rows(arena, &j->x, n, (size_t)c->in, sizeof(float)));
    ADA_TRY(ada_arena_take(arena, &j->rows, n, sizeof *j->rows));
    ADA_TRY(ada_arena_take(arena, &j->connector_scratch, ada_connector_scratch(c, n), 1));
    if (!j->image) return ADA_OK;
    return ada_arena_take(arena, &j->image_scratch, j->a->method->embed_scratch(j->a, n), 1);
}

ada_status ada_join_layout(ada_join **out, ada_arena *arena, const ada_model *model, ada_adapter *a,
                           const ada_join_limits *lim) {
    ada_join j = {.m = model, .a = a, .lim = *lim, .d = (size_t)model->c.d, .vocab = model->c.vocab};
    int64_t end = (int64_t)j.vocab + (lim->images ? ada_images_most(lim->images) : 0);
    if (end > INT32_MAX) return ada_fail(ADA_EINVAL, "images of too many rows");
    j.ids_end = (int32_t)end;
    if (j.lim.unique > end) j.lim.unique = (int32_t)end;
    size_t max = (size_t)j.lim.unique;
    j.text = a && a->first[lim->tokens] >= 0;
    j.image = a && a->first[ADA_IMAGE] >= 0 && lim->image_rows > 0;
    ADA_TRY(ada_arena_take(arena, out, 1, sizeof **out));
    ADA_TRY(ada_arena_take(arena, &j.slot, (size_t)end, sizeof *j.slot));
    ADA_TRY(ada_arena_take(arena, &j.ids, max, sizeof *j.ids));
    ADA_TRY(ada_arena_rows(arena, &j.e, max, j.d, sizeof(float)));
    j.y = j.e;
    if (j.text || j.image) ADA_TRY(ada_arena_rows(arena, &j.y, max, j.d, sizeof(float)));
    if (j.text) ADA_TRY(ada_arena_take(arena, &j.text_scratch, a->method->embed_scratch(a, max), 1));
    ADA_TRY(layout_images(&j, arena));
    if (lim->train) ADA_TRY(ada_arena_rows(arena, &j.dy, max, j.d, sizeof(float)));
    if (arena->counting) return ADA_OK;
    memset(j.slot, 0xff, (size_t)end * sizeof *j.slot);
    **out = j;
    return ADA_OK;
}

void ada_join_clear(ada_join *j) {
    for (int32_t i = 0; i < j->n; i++) j->slot[j->ids[i]] = -1;
    j->n = 0;
}

void ada_join_add(ada_join *j, const int32_t *ids, int32_t n) {
    for (int32_t i = 0; i < n; i++)
        if (j->slot[ids[i]] < 0) {
            j->slot[ids[i]] = 0;
            j->ids[j->n++] = ids[i];
        }
}

static void sort(ada_join *j) {
    int32_t n = 0;
    if (j->n > j->ids_end / 64) {
        for (int32_t id = 0; id < j->ids_end; id++)
            if (j->slot[id] >= 0) j->ids[n++] = id;
    } else {
        for (int32_t i = 1; i < j->n; i++) {
            int32_t id = j->ids[i], k = i;
            for (; k > 0 && j->ids[k - 1] > id; k--) j->ids[k] = j->ids[k - 1];
            j->ids[k] = id;
        }
    }
    for (int32_t i = 0; i < j->n; i++) j->slot[j->ids[i]] = i;
    for (j->tokens = j->n; j->tokens > 0 && j->ids[j->tokens - 1] >= j->vocab;) j->tokens--;
}

static void embed_row(void *ctx, size_t i, int worker) {
    (void)worker;
    const ada_join *j = ctx;
    ada_model_embed(j->m, j->ids[i], j->e + i * j->d);
}

static void start_tokens(ada_join *j) {
    size_t n = (size_t)j->tokens;
    ada_par_for(n, embed_row, j);
    if (j->text)
        j->a->method->embed_forward(j->a, j->lim.tokens, j->e, n, j->y, j->text_scratch);
    else if (j->y != j->e)
        memcpy(j->y, j->e, n * j->d * sizeof *j->y);
}

/* What an image's rows are to the adapter: the connector's input, or what comes out of it. */
static const float *image_input(const ada_join *j) {
    return j->a->method->connects ? j->x : j->e + (size_t)j->tokens * j->d;
}

static ada_status start_images(ada_join *j) {
    size_t n = (size_t)(j->n - j->tokens), first = (size_t)j->tokens * j->d;
    if (n == 0) return ADA_OK;
    for (size_t i = 0; i < n; i++) j->rows[i] = j->ids[(size_t)j->tokens + i] - j->vocab;
    ADA_TRY(ada_images_read(j->lim.images, j->rows, (int32_t)n, j->x));
    if (!(j->image && j->a->method->connects))
        ada_connector_forward(&j->m->vision->connector, j->x, n, j->e + first, j->connector_scratch);
    if (j->image)
        j->a->method->embed_forward(j->a, ADA_IMAGE, image_input(j), n, j->y + first, j->image_scratch);
    else if (j->y != j->e)
        memcpy(j->y + first, j->e + first, n * j->d * sizeof *j->y);
    return ADA_OK;
}

ada_status ada_join_start(ada_join *j) {
    sort(j);
    start_tokens(j);
    ADA_TRY(start_images(j));
    if (j->dy) memset(j->dy, 0, (size_t)j->n * j->d * sizeof(float));
    return ADA_OK;
}

int32_t ada_join_count(const ada_join *j) {
    return j->n;
}

/* Rows of a pass, and their tokens. */
typedef struct {
    const ada_join *j;
    const int32_t *ids;
    size_t n;
    float *x;
    const float *dx;
} rows_job;

static void copy_strip(void *ctx, size_t strip, int worker) {
    (void)worker;
    const rows_job *r = ctx;
    size_t d = r->j->d;
    for (size_t i = strip * ADA_STRIP; i < ada_strip_end(strip, r->n); i++)
        memcpy(r->x + i * d, r->j->y + (size_t)r->j->slot[r->ids[i]] * d, d * sizeof(float));
}

void ada_join_rows(const ada_join *j, const int32_t *ids, int32_t n, float *x) {
    ada_par_for(ada_strips((size_t)n), copy_strip, &(rows_job){.j = j, .ids = ids, .n = (size_t)n, .x = x});
}

enum { COLUMNS = 64 }; /* rows may be of one token, so a task has columns */

static void add_columns(void *ctx, size_t item, int worker) {
    (void)worker;
    const rows_job *r = ctx;
    size_t d = r->j->d, first = item * COLUMNS, n = d - first < COLUMNS ? d - first : COLUMNS;
    for (size_t i = 0; i < r->n; i++) {
        float *dy = r->j->dy + (size_t)r->j->slot[r->ids[i]] * d + first;
        ada_k.add(dy, dy, r->dx + i * d + first, n);
    }
}

void ada_join_back(ada_join *j, const int32_t *ids, int32_t n, const float *dx) {
    ada_par_for((j->d + COLUMNS - 1) / COLUMNS, add_columns,
                &(rows_job){.j = j, .ids = ids, .n = (size_t)n, .dx = dx});
}

void ada_join_end(ada_join *j) {
    size_t n = (size_t)j->tokens, images = (size_t)(j->n - j->tokens);
    if (j->text) j->a->method->embed_backward(j->a, j->lim.tokens, j->e, n, j->dy, j->text_scratch);
    if (j->image && images)
        j->a->method->embed_backward(j->a, ADA_IMAGE, image_input(j), images, j->dy + n * j->d,
                                     j->image_scratch);
}
