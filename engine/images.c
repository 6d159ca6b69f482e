/* SPDX-License-Identifier: Apache-2.0
 * Owns: the list of pictures, those whose features are still to be made, and where a picture's features are:
 * in memory up to a bound, else in the cache, else they are made again. Must not know: what rows are for.
 * Invariant: what a tower says of a tile depends on the tile alone, so that company and order do not matter.
 */
#include "engine/images.h"
#include "engine/features.h"
#include "engine/tiles.h"
#include "io/os.h"
#include "io/replace.h"
#include "io/sha.h"
#include <string.h>

static const size_t kept_limit = (size_t)1 << 30; /* bytes */

typedef struct picture {
    const char *path;
    char digest[65];
    ada_picture p;
    ada_tile_shape tile;
    float *features; /* [tiles, tile.features, channels], or NULL: not in memory */
    bool pending;    /* its pixels wait for the tower */
} picture;

struct ada_images {
    ada_vision *v;
    ada_features *cache;
    ada_arena arena; /* names */
    picture *list;
    size_t n, cap;
    int32_t *slots; /* [nslots] of pictures by path, -1: none; a power of two, at most half full */
    size_t nslots, kept;
    int32_t rows, most;
    ada_tiles tiles;        /* what waits for the tower */
    size_t first;           /* picture of these */
    float *features, *tile; /* a picture's features, the connector's rows of a tile: room for the largest */
    size_t features_room, tile_room;
};

static size_t width(const ada_images *im) {
    return (size_t)im->v->connector.features;
}

static size_t numbers(const ada_images *im, const picture *x) {
    return (size_t)x->p.tiles * (size_t)x->tile.features * width(im);
}

/* ---- the list ---- */

static size_t slot_of(const ada_images *im, const char *path) {
    uint64_t h = 14695981039346656037u;
    for (const char *s = path; *s; s++) h = (h ^ (unsigned char)*s) * 1099511628211u;
    size_t i = (size_t)h & (im->nslots - 1);
    while (im->slots[i] >= 0 && strcmp(im->list[im->slots[i]].path, path) != 0)
        i = (i + 1) & (im->nslots - 1);
    return i;
}

static ada_status make_room(ada_images *im) {
    size_t cap = im->cap ? 2 * im->cap : 64, bytes, slots;
    if (im->n < im->cap) return ADA_OK;
    if (!ada_mul_size(cap, sizeof *im->list, &bytes) || !ada_mul_size(2 * cap, sizeof *im->slots, &slots))
        return ada_fail(ADA_ENOMEM, "no memory for %zu images", cap);
    picture *list = ada_os.resize(im->list, im->cap * sizeof *list, bytes);
    if (list) im->list = list;
    int32_t *table = list ? ada_os.alloc(slots) : NULL;
    if (!table) return ada_fail(ADA_ENOMEM, "no memory for %zu images", cap);
    ada_os.release(im->slots);
    im->slots = table, im->nslots = 2 * cap, im->cap = cap;
    memset(table, 0xff, slots);
    for (size_t i = 0; i < im->n; i++) table[slot_of(im, list[i].path)] = (int32_t)i;
    return ADA_OK;
}

/* Room for n numbers; those there stay. */
static ada_status grow(float **p, size_t *room, size_t n) {
    size_t bytes;
    if (n <= *room) return ADA_OK;
    float *x = ada_mul_size(n, sizeof *x, &bytes) ? ada_os.resize(*p, *room * sizeof *x, bytes) : NULL;
    if (!x) return ada_fail(ADA_ENOMEM, "no memory for %zu numbers of images", n);
    *p = x, *room = n;
    return ADA_OK;
}

/* ---- from files to features ---- */

/* The picture as the tower takes it, in a's memory; and its file's digest. */
static ada_status read_pixels(const ada_images *im, const char *path, ada_arena *a, char digest[65],
                              ada_pixels *px) {
    void *bytes;
    size_t n;
    ada_image img;
    ADA_TRY(ada_map_file(path, &bytes, &n));
    ada_status st = ada_sha_of(bytes, n, digest);
    if (st == ADA_OK) st = ada_image_decode(&img, a, bytes, n, path);
    ada_os.unmap(bytes, n);
    ADA_TRY(st);
    st = ada_preprocess_run(&im->v->preprocess, &img, a, px);
    if (st != ADA_OK) ada_note("of image '%s'", path);
    return st;
}

/* In memory, where there is room. */
static ada_status keep(ada_images *im, picture *x, const float *features) {
    size_t bytes = numbers(im, x) * sizeof *features;
    if (bytes > kept_limit - im->kept) return ADA_OK;
    x->features = ada_os.alloc(bytes);
    if (!x->features) return ada_fail(ADA_ENOMEM, "no memory for the features of image '%s'", x->path);
    memcpy(x->features, features, bytes);
    im->kept += bytes;
    return ADA_OK;
}

static ada_status hand_out(void *ctx, const float *features, size_t rows) {
    ada_images *im = ctx;
    (void)rows;
    for (; im->first < im->n; im->first++) {
        picture *x = &im->list[im->first];
        if (!x->pending) continue;
        ada_features_put(im->cache, x->digest, x->p.tiles * x->tile.features, features);
        ADA_TRY(keep(im, x, features));
        x->pending = false;
        features += numbers(im, x);
    }
    return ADA_OK;
}

/* After a failure nothing waits: a picture without features is seen again when it is read. */
static ada_status passed(ada_images *im, ada_status st) {
    for (; st != ADA_OK && im->first < im->n; im->first++) im->list[im->first].pending = false;
    return st;
}

ada_status ada_images_ready(ada_images *im) {
    return passed(im, ada_tiles_run(&im->tiles));
}

/* Everything of a new picture but its place in the list. */
static ada_status see(ada_images *im, picture *x, ada_arena *a) {
    ada_pixels px;
    ADA_TRY(read_pixels(im, x->path, a, x->digest, &px));
    ada_status st = ada_vision_rows(im->v, (int32_t)px.height, (int32_t)px.width, &x->tile);
    int64_t rows = (int64_t)px.tiles * x->tile.rows;
    if (st == ADA_OK && rows > im->most - im->rows)
        st = ada_fail(ADA_EINVAL, "images of more than %d rows in all", im->most);
    if (st != ADA_OK) {
        ada_note("at image '%s'", x->path);
        return st;
    }
    x->p = (ada_picture){.first = im->rows,
                         .tiles = (int32_t)px.tiles,
                         .rows = x->tile.rows,
                         .across = (int32_t)px.columns,
                         .down = (int32_t)px.rows};
    ADA_TRY(grow(&im->features, &im->features_room, numbers(im, x)));
    ADA_TRY(grow(&im->tile, &im->tile_room, (size_t)x->tile.rows * (size_t)im->v->connector.in));
    if (ada_features_get(im->cache, x->digest, x->p.tiles * x->tile.features, im->features)) {
        ADA_TRY(keep(im, x, im->features));
    } else {
        ADA_TRY(passed(im, ada_tiles_add(&im->tiles, &px)));
        x->pending = true;
    }
    im->rows += (int32_t)rows;
    return ADA_OK;
}

ada_status ada_images_add(ada_images *im, const char *path, ada_picture *p) {
    ADA_TRY(make_room(im));
    size_t slot = slot_of(im, path);
    if (im->slots[slot] < 0) {
        picture *x = &im->list[im->n];
        ada_arena a = {0};
        *x = (picture){.path = ada_arena_str(&im->arena, path, strlen(path))};
        if (!x->path) return ADA_ENOMEM;
        ada_status st = see(im, x, &a);
        ada_arena_free(&a);
        ADA_TRY(st);
        im->slots[slot] = (int32_t)im->n++;
    }
    *p = im->list[im->slots[slot]].p;
    return ADA_OK;
}

/* ---- opening ---- */

static ada_status open_cache(ada_images *im, const char *folder) {
    char tower[65], key[65];
    ada_buf how = {0};
    ada_status st = ada_tower_key(im->v->tower, tower);
    if (st == ADA_OK) st = ada_preprocess_text(&im->v->preprocess, &how);
    if (st == ADA_OK) st = ada_features_key(key, tower, how.data);
    ada_buf_free(&how);
    ADA_TRY(st);
    return ada_features_open(&im->cache, folder, key, width(im), 0);
}

ada_status ada_images_open(ada_images **out, ada_vision *v, const char *cache, int32_t most) {
    ada_images *im = *out = ada_os.alloc(sizeof *im);
    if (!im) return ada_fail(ADA_ENOMEM, "no memory for a list of images");
    *im = (ada_images){.v = v, .most = most, .tiles = {.tower = v->tower, .seen = hand_out, .ctx = im}};
    ada_status st = cache ? open_cache(im, cache) : ADA_OK;
    if (st != ADA_OK) ada_images_close(out);
    return st;
}

void ada_images_close(ada_images **im) {
    ada_images *x = *im;
    if (!x) return;
    ada_features_close(&x->cache);
    for (size_t i = 0; i < x->n; i++) ada_os.release(x->list[i].features);
    ada_os.release(x->list);
    ada_os.release(x->slots);
    ada_tiles_free(&x->tiles);
    ada_os.release(x->features);
    ada_os.release(x->tile);
    ada_arena_free(&x->arena);
    ada_os.release(x);
    *im = NULL;
}

int32_t ada_images_rows(const ada_images *im) {
    return im->rows;
}
int32_t ada_images_most(const ada_images *im) {
    return im->most;
}
void ada_images_seal(ada_images *im) {
    im->most = im->rows;
}

/* ---- from features to rows ---- */

/* A picture that is neither in memory nor, any more, in the cache is seen again. */
static ada_status see_again(ada_images *im, const picture *x) {
    ada_arena a = {0};
    ada_pixels px;
    char digest[65];
    ada_status st = read_pixels(im, x->path, &a, digest, &px);
    if (st == ADA_OK && strcmp(digest, x->digest) != 0)
        st = ada_fail(ADA_EMISMATCH, "image '%s' has changed since the run began", x->path);
    if (st == ADA_OK)
        st = ada_tower_run(im->v->tower, px.data, x->p.tiles, (int32_t)px.height, (int32_t)px.width,
                           im->features);
    ada_arena_free(&a);
    return st;
}

static ada_status features_of(ada_images *im, const picture *x, const float **features) {
    *features = x->features ? x->features : im->features;
    if (x->features || ada_features_get(im->cache, x->digest, x->p.tiles * x->tile.features, im->features))
        return ADA_OK;
    return see_again(im, x);
}

/* The picture that a row belongs to. */
static const picture *owner(const ada_images *im, int32_t row) {
    size_t lo = 0, hi = im->n;
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;
        if (im->list[mid].p.first <= row)
            lo = mid;
        else
            hi = mid;
    }
    return &im->list[lo];
}

ada_status ada_images_read(ada_images *im, const int32_t *rows, int32_t n, float *x) {
    const ada_connector *c = &im->v->connector;
    size_t in = (size_t)c->in;
    const picture *last = NULL;
    const float *features = NULL;
    for (int32_t i = 0, k; i < n; i = k) {
        const picture *p = owner(im, rows[i]);
        int32_t tile = (rows[i] - p->p.first) / p->p.rows, first = p->p.first + tile * p->p.rows;
        if (p != last) ADA_TRY(features_of(im, p, &features));
        last = p;
        ada_connector_gather(c, features + (size_t)tile * (size_t)p->tile.features * width(im), p->tile.h,
                             p->tile.w, im->tile);
        for (k = i; k < n && rows[k] < first + p->p.rows; k++)
            memcpy(x + (size_t)k * in, im->tile + (size_t)(rows[k] - first) * in, in * sizeof *x);
    }
    return ADA_OK;
}
