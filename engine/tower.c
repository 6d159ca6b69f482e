/* SPDX-License-Identifier: Apache-2.0
 * Owns: a vision tower's rows before the stack (patches, class token, registers, positions, first norm) and
 * after it (which rows, last norm). Must not know: formats, architectures by name. Invariant: a tower is
 * whole or not there; closing takes any part; nothing outlives a size of image but weights. */
#include "engine/tower.h"
#include "engine/load.h"
#include "engine/model.h"
#include "engine/norm.h"
#include "engine/positions.h"
#include "engine/residual.h"
#include "io/os.h"
#include "io/sha.h"
#include <pthread.h>

enum { ROWS = 2048, MOST_ROWS = 2 * ROWS }; /* of a pass, where images are smaller than that */

struct ada_tower {
    ada_config c;
    ada_tower_opts o;
    ada_dtype type;
    const struct ada_arch *arch;
    char *name;
    char digest[65];         /* "" until it is asked for */
    ada_tensors *file, *own; /* own: to be closed */
    size_t params;
    ada_arena weights;
    ada_stack stack;                /* the layers that run: as far as the features need */
    ada_linear patch;               /* [d, channels·patch_h·patch_w] */
    float *class_token;             /* [d] or NULL */
    float *registers;               /* [c.registers, d] */
    float *positions;               /* [c.max_positions, d], the class token's first */
    float *pre, *pre_b;             /* [d] or NULL */
    float *last, *last_b;           /* [d]; NULL: features are the stack's own rows */
    ada_tap taps[ADA_TOWER_LAYERS]; /* [o.layers] in their order; where to is of what follows */
    pthread_mutex_t busy;           /* of what follows, and of the digest */
    /* of one size of image, h 0 before the first: */
    ada_arena work;
    int32_t h, w, rows, tokens, skip, images; /* rows of an image; tokens before its patches; rows left out */
    float *place; /* [rows, d] tokens as they go in, and what is added to patches */
    int team;     /* threads that may each embed an image */
    void *in;     /* [team, ADA_PANEL, patch] of the type */
    float *x;     /* [images·rows, d] */
    float *tmp;   /* [ADA_PANEL, d] */
    ada_segment *segs;
    int32_t *out; /* [images·(rows - skip)] */
    float *end;   /* [images·(rows - skip), d] of the stack, where rows are joined */
    ada_pass *pass;
};

/* ---- opening ---- */

static ada_status load_vec(const ada_loader *o, float **to, ada_param p) {
    return ada_load_vec(o, to, 0, &p, 1);
}

static ada_status load_rows(ada_tower *t, const ada_loader *o) {
    const ada_config *c = &t->c;
    const ada_param patch = ADA_P_PATCH;
    size_t k = (size_t)c->channels * (size_t)c->patch_h * (size_t)c->patch_w;
    ADA_TRY(ada_load_mat(o, &t->patch.w, 0, k, &patch, 1));
    ADA_TRY(ada_mat_prepare(t->patch.w, &t->weights, ADA_FORWARD));
    ADA_TRY(load_vec(o, &t->patch.b, ADA_P_PATCH_B));
    ADA_TRY(load_vec(o, &t->class_token, ADA_P_CLASS));
    ADA_TRY(load_vec(o, &t->registers, ADA_P_REGISTERS));
    ADA_TRY(load_vec(o, &t->positions, ADA_P_POSITIONS));
    ADA_TRY(load_vec(o, &t->pre, ADA_P_PRE_NORM));
    ADA_TRY(load_vec(o, &t->pre_b, ADA_P_PRE_NORM_B));
    if (t->o.layers != 0 || c->last_raw) return ADA_OK;
    ADA_TRY(load_vec(o, &t->last, ADA_P_FINAL_NORM));
    return load_vec(o, &t->last_b, ADA_P_FINAL_NORM_B);
}

/* How many layers each feature is after; returns how many have to run, into *run. */
static ada_status find_layers(ada_tower *t, int32_t *run) {
    int32_t all = t->c.layers, most = t->o.layers ? 1 : all;
    if (t->o.layers < 0 || t->o.layers > ADA_TOWER_LAYERS)
        return ada_fail(ADA_EINVAL, "features of %d layers: at most %d are put side by side", t->o.layers,
                        ADA_TOWER_LAYERS);
    for (int i = 0; i < t->o.layers; i++) {
        int asked = t->o.layer[i];
        if (asked > all || asked < -all - 1)
            return ada_fail(ADA_EINVAL, "a tower of %d layers has no features at layer %d", all, asked);
        t->taps[i].layer = asked < 0 ? all + 1 + asked : asked;
        if (t->taps[i].layer > most) most = t->taps[i].layer;
    }
    *run = most;
    return ADA_OK;
}

static ada_status load(ada_tower *t) {
    ada_config run;
    ada_loader o = {.c = &t->c, .type = t->type, .weights = &t->weights};
    ADA_TRY(ada_arch_read_tower(&t->arch, &t->c, ada_tensors_meta(t->file)));
    ADA_TRY(ada_arch_claim(&o.claims, t->arch, &t->c, t->file, &t->weights));
    t->params = o.claims.params;
    ADA_TRY(ada_load_begin(&o));
    ADA_TRY(load_rows(t, &o));
    run = t->c;
    ADA_TRY(find_layers(t, &run.layers));
    o.c = &run;
    ADA_TRY(ada_load_stack(&o, &t->stack));
    return ada_stack_prepare(&t->stack, &t->weights, ADA_FORWARD);
}

static ada_status tower_new(ada_tower **t, const ada_tower_opts *o) {
    ADA_TRY(ada_engine_check());
    ada_tower *x = *t = ada_os.alloc(sizeof *x);
    if (!x) return ada_fail(ADA_ENOMEM, "no memory for a vision tower");
    memset(x, 0, sizeof *x);
    (void)pthread_mutex_init(&x->busy, NULL);
    if (o) x->o = *o;
    x->type = x->o.f32 ? ADA_F32 : ADA_BF16;
    return ADA_OK;
}

ada_status ada_tower_of(ada_tower **t, ada_tensors *file, const ada_tower_opts *o) {
    ADA_TRY(tower_new(t, o));
    (*t)->file = file;
    ada_status st = ada_model_name(&(*t)->name, &(*t)->weights, file, "tower");
    if (st == ADA_OK) st = load(*t);
    if (st != ADA_OK) ada_tower_close(t);
    return st;
}

ada_status ada_tower_open(ada_tower **t, const char *path, const ada_tower_opts *o) {
    ADA_TRY(tower_new(t, o));
    ada_status st = ada_tensors_open(&(*t)->own, path);
    (*t)->file = (*t)->own;
    if (st == ADA_OK) st = ada_model_name(&(*t)->name, &(*t)->weights, (*t)->file, path);
    if (st == ADA_OK) st = load(*t);
    if (st == ADA_OK) return ADA_OK;
    ada_note("while opening '%s'", path);
    ada_tower_close(t);
    return st;
}

void ada_tower_close(ada_tower **t) {
    ada_tower *x = *t;
    if (!x) return;
    ada_stack_release(&x->stack);
    ada_mat_close(&x->patch.w);
    ada_tensors_close(&x->own);
    ada_arena_free(&x->work);
    ada_arena_free(&x->weights);
    (void)pthread_mutex_destroy(&x->busy);
    ada_os.release(x);
    *t = NULL;
}

const ada_config *ada_tower_config(const ada_tower *t) {
    return &t->c;
}

size_t ada_tower_features(const ada_tower *t) {
    return (size_t)t->c.d * (size_t)(t->o.layers ? t->o.layers : 1);
}

/* ---- a size of image ---- */

static int32_t tokens_of(const ada_tower *t) {
    return t->c.class_token + t->c.registers;
}

static int32_t skip_of(const ada_tower *t) {
    return t->o.rows == ADA_TOWER_FULL ? 0 : t->o.rows == ADA_TOWER_DROP_FIRST ? 1 : tokens_of(t);
}

ada_status ada_tower_rows(const ada_tower *t, int32_t h, int32_t w, int32_t *rows) {
    enum { MOST = 1 << 16 };
    const ada_config *c = &t->c;
    if (h < c->patch_h || w < c->patch_w)
        return ada_fail(ADA_EINVAL, "an image of %d by %d pixels is smaller than a patch of %d by %d", w, h,
                        c->patch_w, c->patch_h);
    int64_t n = (int64_t)(h / c->patch_h) * (w / c->patch_w) + tokens_of(t);
    if (n > MOST)
        return ada_fail(ADA_EINVAL, "an image of %d by %d pixels makes %lld rows, at most %d are handled", w,
                        h, (long long)n, MOST);
    *rows = (int32_t)n - skip_of(t);
    return ADA_OK;
}

int32_t ada_tower_pass(const ada_tower *t, int32_t h, int32_t w) {
    int32_t rows = (h / t->c.patch_h) * (w / t->c.patch_w) + tokens_of(t), team = ada_par_threads();
    int32_t most = (ROWS / rows + team) / team * team; /* as many for each thread */
    if (most > MOST_ROWS / rows) most = MOST_ROWS / rows;
    return most > 1 ? most : 1;
}

/* What each row of an image starts from, or has added. */
static ada_status place_rows(ada_tower *t) {
    const ada_config *c = &t->c;
    size_t d = (size_t)c->d;
    float *to = t->place;
    const float *table = t->positions + (c->class_token ? d : 0);
    if (c->class_token) ada_k.add(to, t->class_token, t->positions, d), to += d;
    if (c->registers)
        memcpy(to, t->registers, (size_t)c->registers * d * sizeof *to), to += (size_t)c->registers * d;
    return ada_positions_resize(c, table, t->h, t->w, to);
}

/* Whether a row of features is put together, and not the stack's own. */
static bool joins(const ada_tower *t) {
    return t->o.layers > 1 || (t->o.layers == 1 && t->taps[0].layer != t->stack.c.layers);
}

static ada_status layout_taps(ada_tower *t, size_t rows) {
    size_t d = (size_t)t->c.d;
    ADA_TRY(ada_arena_rows(&t->work, &t->end, rows, d, sizeof *t->end));
    for (int i = 0; i < t->o.layers; i++) {
        t->taps[i].to = t->end;
        if (t->taps[i].layer != t->stack.c.layers)
            ADA_TRY(ada_arena_rows(&t->work, &t->taps[i].to, rows, d, sizeof(float)));
    }
    return ADA_OK;
}

static ada_status layout(ada_tower *t, int32_t images) {
    const ada_config *c = &t->c;
    ada_arena *a = &t->work;
    size_t d = (size_t)c->d, k = ada_mat_cols(t->patch.w), T = (size_t)images * (size_t)t->rows;
    int32_t nout = images * (t->rows - t->skip);
    ADA_TRY(ada_arena_take(a, &t->place, (size_t)t->rows * d, sizeof *t->place));
    t->team = images > 1 ? ada_par_threads() : 1;
    ADA_TRY(ada_arena_rows(a, &t->in, (size_t)t->team * ADA_PANEL, k, ada_type_size(t->type)));
    ADA_TRY(ada_arena_take(a, &t->x, T * d, sizeof *t->x));
    ADA_TRY(ada_arena_take(a, &t->tmp, ADA_PANEL * d, sizeof *t->tmp));
    ADA_TRY(ada_arena_take(a, &t->segs, (size_t)images, sizeof *t->segs));
    ADA_TRY(ada_arena_take(a, &t->out, (size_t)nout, sizeof *t->out));
    for (int32_t i = 0, o = 0; i < images; i++) {
        t->segs[i] = (ada_segment){.start = i * t->rows, .len = t->rows, .parent = -1, .cache = -1};
        for (int32_t r = t->skip; r < t->rows; r++) t->out[o++] = i * t->rows + r;
    }
    if (joins(t)) ADA_TRY(layout_taps(t, (size_t)nout));
    ADA_TRY(place_rows(t));
    ADA_TRY(ada_matmul_reserve(ADA_PANEL, d, k, t->team > 1));
    ADA_TRY(ada_pass_layout(&t->pass, a, &t->stack, (int32_t)T, images, t->rows, nout, false));
    ada_pack p = {.T = (int32_t)T, .nsegs = images, .nout = nout, .segs = t->segs, .out = t->out};
    ada_pass_expect(t->pass, &p);
    ada_pass_tap(t->pass, t->taps, joins(t) ? t->o.layers : 0);
    return ADA_OK;
}

static ada_status prepare(ada_tower *t, int32_t n, int32_t h, int32_t w) {
    int32_t rows;
    ADA_TRY(ada_tower_rows(t, h, w, &rows));
    int32_t most = ada_tower_pass(t, h, w), images = n < most ? n : most;
    if (t->h == h && t->w == w && images <= t->images) return ADA_OK;
    ada_arena_free(&t->work);
    t->skip = skip_of(t), t->tokens = tokens_of(t), t->rows = rows + t->skip;
    t->w = w, t->h = h, t->images = images;
    ada_status st = layout(t, images);
    if (st != ADA_OK) t->h = 0;
    return st;
}

/* ---- running ---- */

static size_t panel_rows(size_t first, size_t rows) {
    return rows - first < ADA_PANEL ? rows - first : ADA_PANEL;
}

typedef struct {
    const ada_tower *t;
    const float *image; /* [channels, h, w] */
    size_t first;       /* patch of the panel's first row */
    void *in;           /* [ADA_PANEL, patch] */
    float *x;           /* [rows, d] of an image */
} row_job;

static void gather_row(void *ctx, size_t i, int worker) {
    (void)worker;
    const row_job *j = ctx;
    const ada_config *c = &j->t->c;
    size_t w = (size_t)j->t->w, h = (size_t)j->t->h, ph = (size_t)c->patch_h, pw = (size_t)c->patch_w;
    size_t along = w / pw, at = j->first + i, y0 = at / along * ph, x0 = at % along * pw;
    size_t to = i * ada_mat_cols(j->t->patch.w);
    for (size_t ch = 0; ch < (size_t)c->channels; ch++)
        for (size_t y = 0; y < ph; y++, to += pw)
            ada_narrow(j->t->type, ada_at(j->t->type, j->in, to), j->image + (ch * h + y0 + y) * w + x0, pw);
}

static void place_row(void *ctx, size_t i, int worker) {
    (void)worker;
    const row_job *j = ctx;
    size_t d = (size_t)j->t->c.d;
    float *x = j->x + i * d;
    const float *p = j->t->place + i * d;
    if (i < (size_t)j->t->tokens)
        memcpy(x, p, d * sizeof *x);
    else
        ada_k.add(x, x, p, d);
}

typedef struct {
    const ada_tower *t;
    const float *pixels; /* [images, channels, h, w] */
} embed_job;

/* x [rows, d] of one image. */
static void embed(void *ctx, size_t image, int worker) {
    const embed_job *e = ctx;
    const ada_tower *t = e->t;
    size_t d = (size_t)t->c.d, k = ada_mat_cols(t->patch.w), n = (size_t)(t->rows - t->tokens);
    row_job j = {.t = t,
                 .image = e->pixels + image * (size_t)t->c.channels * (size_t)t->h * (size_t)t->w,
                 .in = ada_at(t->type, t->in, (size_t)worker * ADA_PANEL * k),
                 .x = t->x + image * (size_t)t->rows * d};
    for (; j.first < n; j.first += ADA_PANEL) {
        size_t m = panel_rows(j.first, n);
        ada_par_for(m, gather_row, &j);
        ada_linear_forward(&t->patch, j.in, k, m, j.x + ((size_t)t->tokens + j.first) * d, d, false);
    }
    ada_par_for((size_t)t->rows, place_row, &j);
}

/* Each thread takes whole images, where there are enough of them. */
static void embed_all(const ada_tower *t, const float *pixels, size_t n) {
    int team = ada_par_threads();
    embed_job e = {t, pixels};
    if (team > 1 && team <= t->team && n >= (size_t)team)
        ada_matmul_apart(n, embed, &e);
    else
        for (size_t i = 0; i < n; i++) embed(&e, i, 0);
}

/* x [m, d] in place. */
static void norm(const ada_tower *t, const float *w, const float *b, float *x, size_t m) {
    size_t d = (size_t)t->c.d;
    for (size_t i = 0; w && i < m; i += ADA_PANEL) {
        ada_norm_rows r = {
            .kind = t->c.norm, .w = w, .b = b, .eps = t->c.norm_eps, .m = panel_rows(i, m), .d = d};
        ada_norm_forward(&r, ADA_F32, x + i * d, x + i * d, t->tmp, NULL, NULL);
    }
}

typedef struct {
    const ada_tower *t;
    float *to; /* [rows, features] */
} join_job;

static void join_row(void *ctx, size_t row, int worker) {
    (void)worker;
    const join_job *j = ctx;
    size_t d = (size_t)j->t->c.d, layers = (size_t)j->t->o.layers;
    for (size_t i = 0; i < layers; i++)
        memcpy(j->to + (row * layers + i) * d, j->t->taps[i].to + row * d, d * sizeof *j->to);
}

static ada_status run(ada_tower *t, const float *pixels, int32_t n, int32_t h, int32_t w, float *features) {
    ADA_TRY(prepare(t, n, h, w));
    size_t size = (size_t)t->c.channels * (size_t)h * (size_t)w;
    for (int32_t i = 0; i < n; i += t->images) {
        int32_t m = n - i < t->images ? n - i : t->images, nout = m * (t->rows - t->skip);
        float *to = features + (size_t)i * (size_t)(t->rows - t->skip) * ada_tower_features(t);
        embed_all(t, pixels + (size_t)i * size, (size_t)m);
        norm(t, t->pre, t->pre_b, t->x, (size_t)(m * t->rows));
        ada_pack p = {.T = m * t->rows, .nsegs = m, .nout = nout, .segs = t->segs, .out = t->out};
        ada_stack_forward(&t->stack, &p, t->pass, NULL, t->x, joins(t) ? t->end : to);
        if (joins(t)) ada_par_for((size_t)nout, join_row, &(join_job){t, to});
        norm(t, t->last, t->last_b, to, (size_t)nout);
    }
    return ADA_OK;
}

ada_status ada_tower_run(ada_tower *t, const float *pixels, int32_t n, int32_t h, int32_t w,
                         float *features) {
    if (n == 0) return ADA_OK;
    (void)pthread_mutex_lock(&t->busy);
    ada_status st = run(t, pixels, n, h, w, features);
    (void)pthread_mutex_unlock(&t->busy);
    return st;
}

static ada_status flops_of(ada_tower *t, int32_t h, int32_t w, double *flops) {
    ADA_TRY(prepare(t, 1, h, w));
    ada_pack p = {.T = t->rows, .nsegs = 1, .nout = t->rows - t->skip, .segs = t->segs, .out = t->out};
    double patches = t->rows - t->tokens;
    *flops = ada_stack_flops(&t->stack, &p, false);
    *flops += 2.0 * patches * (double)ada_mat_rows(t->patch.w) * (double)ada_mat_cols(t->patch.w);
    return ADA_OK;
}

ada_status ada_tower_flops(ada_tower *t, int32_t h, int32_t w, double *flops) {
    (void)pthread_mutex_lock(&t->busy);
    ada_status st = flops_of(t, h, w, flops);
    (void)pthread_mutex_unlock(&t->busy);
    return st;
}

/* ---- what it is ---- */

static ada_status own_digest(ada_tower *t) {
    (void)pthread_mutex_lock(&t->busy);
    ada_status st = *t->digest ? ADA_OK : ada_tensors_digest(t->file, t->digest);
    (void)pthread_mutex_unlock(&t->busy);
    return st;
}

ada_status ada_tower_key(ada_tower *t, char hex[65]) {
    ada_buf b = {0};
    ADA_TRY(own_digest(t));
    ada_status st =
        ada_buf_printf(&b, "tower %s rows %d type %s by %s on %s after", t->digest, t->o.rows,
                       ada_dtype_name(t->type), ada_mat_maker(t->stack.layers[0].up.w), ada_k.isa);
    for (int i = 0; st == ADA_OK && i < t->o.layers; i++)
        st = ada_buf_printf(&b, " %d", (int)t->taps[i].layer);
    if (st == ADA_OK) st = ada_sha_of(b.data, b.len, hex);
    ada_buf_free(&b);
    return st;
}

static ada_status describe(const ada_tower *t, ada_json *j) {
    const ada_config *c = &t->c;
    const struct {
        const char *key;
        int64_t value;
    } sizes[] = {{"layers", c->layers},
                 {"layers_run", t->stack.c.layers},
                 {"features", (int64_t)ada_tower_features(t)},
                 {"width", c->d},
                 {"heads", c->heads},
                 {"ffn", c->ffn},
                 {"image_height", c->image_h},
                 {"image_width", c->image_w},
                 {"patch_height", c->patch_h},
                 {"patch_width", c->patch_w},
                 {"class_tokens", c->class_token},
                 {"registers", c->registers},
                 {"parameters", (int64_t)t->params}};
    ADA_TRY(ada_json_set_str(j, "name", t->name));
    ADA_TRY(ada_json_set_str(j, "architecture", t->arch->name));
    ADA_TRY(ada_json_set_str(j, "format", ada_tensors_format(t->file)));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        ADA_TRY(ada_json_set(j, sizes[i].key, ada_json_new_int(sizes[i].value)));
    ADA_TRY(ada_json_set_str(j, "type", ada_dtype_name(t->type)));
    ADA_TRY(ada_json_set_str(j, "matmul", ada_mat_maker(t->stack.layers[0].up.w)));
    return ada_json_set_str(j, "isa", ada_k.isa);
}

ada_status ada_tower_describe(const ada_tower *t, ada_json **j) {
    *j = ada_json_new_obj();
    ada_status st = *j ? describe(t, *j) : ada_fail(ADA_ENOMEM, "no memory for a description");
    if (st != ADA_OK) ada_json_close(j);
    return st;
}
