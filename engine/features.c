/* SPDX-License-Identifier: Apache-2.0
 * Owns: the folder's layout. A file is "<number>-<key>-<process>.h5", in hex: numbers grow as files are
 * written, the key's first 16 digits; inside, /features/<image> [rows, width] in f32 and the whole key as an
 * attribute. Must not know: towers, images. Invariant: no failure here is one of the run, but for lack of
 * memory at opening. */
#include "engine/features.h"
#include "io/h5.h"
#include "io/os.h"
#include "io/replace.h"
#include "io/sha.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DIGITS = 16, FILES = 512, ID = 32 }; /* files open at most, the newest */
static const size_t default_limit = (size_t)4 << 30, piece = (size_t)16 << 20; /* bytes of a file */
static const char group[] = "/features";

typedef struct {
    unsigned char id[ID];
    int32_t file; /* -1: pending */
    int32_t rows;
    size_t at; /* in pending */
} entry;

struct ada_features {
    char *folder, key[65];
    size_t width, limit;
    bool off; /* nothing is written any more */
    ada_h5_in *files[FILES];
    int32_t nfiles;
    entry *entries;
    size_t n, cap;
    int32_t *slots; /* [nslots] of entries by id, -1: none; a power of two, at most half full */
    size_t nslots;
    float *pending;
    size_t npending, room; /* floats */
    size_t written;        /* entries before this one are in files */
};

ada_status ada_features_key(char hex[65], const char *tower, const char *preprocessing) {
    ada_buf b = {0};
    ada_status st = ada_buf_printf(&b, "features 1\n%s\n%s", tower, preprocessing);
    if (st == ADA_OK) st = ada_sha_of(b.data, b.len, hex);
    ada_buf_free(&b);
    return st;
}

/* ---- the index ---- */

static int hex_digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool id_of(const char *hex, unsigned char id[ID]) {
    for (int i = 0; i < ID; i++) {
        int a = hex_digit(hex[2 * i]), b = a < 0 ? -1 : hex_digit(hex[2 * i + 1]);
        if (b < 0) return false;
        id[i] = (unsigned char)(a << 4 | b);
    }
    return hex[2 * ID] == 0;
}

static void hex_of(const unsigned char id[ID], char hex[2 * ID + 1]) {
    for (int i = 0; i < ID; i++) (void)snprintf(hex + 2 * i, 3, "%02x", id[i]);
}

/* Ids are digests: any of their bytes are a hash. */
static size_t slot_of(const ada_features *f, const unsigned char id[ID]) {
    uint64_t h;
    memcpy(&h, id, sizeof h);
    size_t s = (size_t)h & (f->nslots - 1);
    while (f->slots[s] >= 0 && memcmp(f->entries[f->slots[s]].id, id, ID) != 0) s = (s + 1) & (f->nslots - 1);
    return s;
}

static const entry *find(const ada_features *f, const char *image) {
    unsigned char id[ID];
    if (!f || !f->n || !id_of(image, id)) return NULL;
    int32_t at = f->slots[slot_of(f, id)];
    return at < 0 ? NULL : &f->entries[at];
}

static ada_status grow(void *array, size_t n, size_t *cap, size_t want, size_t size) {
    void *p;
    if (want <= *cap) return ADA_OK;
    size_t to = *cap, bytes;
    while (to < want) to = to ? 2 * to : 64;
    memcpy(&p, array, sizeof p);
    if (!ada_mul_size(to, size, &bytes) || !(p = ada_os.resize(p, n * size, bytes)))
        return ada_fail(ADA_ENOMEM, "no memory for the cache of features");
    memcpy(array, &p, sizeof p);
    *cap = to;
    return ADA_OK;
}

static ada_status add(ada_features *f, const entry *e) {
    ADA_TRY(grow(&f->entries, f->n, &f->cap, f->n + 1, sizeof *f->entries));
    if (f->nslots < 2 * f->cap) {
        size_t n = 2 * f->cap;
        int32_t *slots = ada_os.alloc(n * sizeof *slots);
        if (!slots) return ada_fail(ADA_ENOMEM, "no memory for the cache of features");
        ada_os.release(f->slots);
        memset(slots, 0xff, n * sizeof *slots);
        f->slots = slots, f->nslots = n;
        for (size_t i = 0; i < f->n; i++) slots[slot_of(f, f->entries[i].id)] = (int32_t)i;
    }
    size_t s = slot_of(f, e->id);
    if (f->slots[s] >= 0) return ADA_OK; /* another run's file has it, too */
    f->entries[f->n] = *e;
    f->slots[s] = (int32_t)f->n++;
    return ADA_OK;
}

/* ---- reading files ---- */

static ada_status add_image(void *ctx, const char *name) {
    ada_features *f = ctx;
    entry e = {.file = f->nfiles - 1};
    char path[128];
    ada_dtype type;
    int ndim;
    int64_t shape[ADA_MAX_DIMS];
    if (!id_of(name, e.id)) return ada_fail(ADA_EFORMAT, "'%.64s' is no digest of an image", name);
    (void)snprintf(path, sizeof path, "%s/%s", group, name);
    ADA_TRY(ada_h5_shape(f->files[e.file], path, &type, &ndim, shape));
    if (type != ADA_F32 || ndim != 2 || shape[0] < 1 || shape[0] > INT32_MAX || shape[1] != (int64_t)f->width)
        return ada_fail(ADA_EFORMAT, "'%s' holds no rows of %zu numbers", path, f->width);
    e.rows = (int32_t)shape[0];
    return add(f, &e);
}

static ada_status read_file(ada_features *f, const char *path, bool check) {
    ada_buf key = {0};
    ADA_TRY(ada_h5_open(&f->files[f->nfiles], path, check));
    ada_h5_in *h = f->files[f->nfiles++];
    ada_status st = ada_h5_get_attr_str(h, group, "key", &key);
    if (st == ADA_OK && (!key.data || strcmp(key.data, f->key) != 0))
        st = ada_fail(ADA_EMISMATCH, "'%s' holds the features of another tower or preprocessing", path);
    ada_buf_free(&key);
    return st == ADA_OK ? ada_h5_each(h, group, add_image, f) : st;
}

/* Forgets the newest file, and what is known to be in it. */
static void drop_file(ada_features *f, size_t entries) {
    ada_h5_close(&f->files[--f->nfiles]);
    f->n = entries;
    if (f->slots) memset(f->slots, 0xff, f->nslots * sizeof *f->slots);
    for (size_t i = 0; i < f->n; i++) f->slots[slot_of(f, f->entries[i].id)] = (int32_t)i;
}

/* ---- the folder ---- */

typedef struct {
    ada_buf text; /* names, each NUL-terminated */
    ada_status st;
} names;

/* Ours, with temporaries of runs that were killed. */
static void keep_name(void *ctx, const char *name) {
    names *l = ctx;
    size_t n = 0;
    while (hex_digit(name[n]) >= 0) n++;
    if (n == DIGITS && name[n] == '-' && l->st == ADA_OK)
        l->st = ada_buf_add(&l->text, name, strlen(name) + 1);
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names in order of their numbers, in one piece of memory to be released. */
static ada_status list(const ada_features *f, char ***out, size_t *n) {
    names l = {0};
    *n = 0, *out = NULL;
    if (ada_os.list(f->folder, keep_name, &l) != 0) l.st = ada_fail(ADA_EIO, "cannot list '%s'", f->folder);
    for (size_t i = 0; i < l.text.len; i++) *n += l.text.data[i] == 0;
    size_t table = *n * sizeof **out;
    if (l.st == ADA_OK && !(*out = ada_os.alloc(table + l.text.len + 1)))
        l.st = ada_fail(ADA_ENOMEM, "no memory for the names in '%s'", f->folder);
    if (l.st == ADA_OK && *n) {
        char *p = memcpy((char *)*out + table, l.text.data, l.text.len);
        for (size_t i = 0; i < *n; i++, p += strlen(p) + 1) (*out)[i] = p;
        qsort(*out, *n, sizeof **out, by_name);
    }
    ada_buf_free(&l.text);
    return l.st;
}

static bool is_mine(const ada_features *f, const char *name) {
    size_t n = strlen(name);
    return n > 2 * DIGITS + 5 && !strncmp(name + DIGITS + 1, f->key, DIGITS) && name[2 * DIGITS + 1] == '-' &&
           !strcmp(name + n - 3, ".h5");
}

static ada_status path_of(const ada_features *f, const char *name, ada_buf *path) {
    path->len = 0;
    return ada_buf_printf(path, "%s/%s", f->folder, name);
}

/* Whether a file is good or not, the others are read. */
static ada_status read_one(ada_features *f, const char *path) {
    int32_t files = f->nfiles;
    size_t entries = f->n;
    ada_status st = read_file(f, path, true);
    if (st == ADA_OK || st == ADA_ENOMEM) return st;
    if (f->nfiles > files) drop_file(f, entries);
    bool damaged = st == ADA_EFORMAT;
    ada_log(ADA_LOG_WARN, "the cache of features does without '%s'%s: %s", path,
            damaged ? ", which is removed" : "", ada_error());
    if (damaged) (void)ada_os.unlink(path);
    ada_error_clear();
    return ADA_OK;
}

static ada_status read_all(ada_features *f) {
    char **name;
    size_t n, mine = 0;
    ada_buf path = {0};
    ada_status st = list(f, &name, &n);
    for (size_t i = 0; st == ADA_OK && i < n; i++) mine += is_mine(f, name[i]);
    for (size_t i = 0; st == ADA_OK && i < n; i++) {
        if (!is_mine(f, name[i]) || mine-- > FILES / 2)
            continue; /* the other half is for what this run writes */
        st = path_of(f, name[i], &path);
        if (st == ADA_OK) st = read_one(f, path.data);
    }
    ada_buf_free(&path);
    ada_os.release(name);
    f->written = f->n;
    return st;
}

ada_status ada_features_open(ada_features **f, const char *folder, const char *key, size_t width,
                             size_t limit) {
    size_t n = strlen(folder) + 1;
    *f = NULL;
    if (strlen(key) != 64 || width == 0)
        return ada_fail(ADA_EINVAL, "'%s' is no key of features of %zu numbers", key, width);
    ADA_TRY(ada_make_folder(folder));
    ada_features *x = ada_os.alloc(sizeof *x + n);
    if (!x) return ada_fail(ADA_ENOMEM, "no memory for the cache of features");
    memset(x, 0, sizeof *x);
    x->folder = memcpy(x + 1, folder, n);
    memcpy(x->key, key, sizeof x->key);
    x->width = width, x->limit = limit ? limit : default_limit;
    ada_status st = read_all(x);
    x->off = st != ADA_OK;
    if (st != ADA_OK)
        ada_features_close(&x);
    else
        *f = x;
    return st;
}

void ada_features_close(ada_features **f) {
    ada_features *x = *f;
    if (!x) return;
    ada_features_flush(x);
    for (int32_t i = 0; i < x->nfiles; i++) ada_h5_close(&x->files[i]);
    ada_os.release(x->entries);
    ada_os.release(x->slots);
    ada_os.release(x->pending);
    ada_os.release(x);
    *f = NULL;
}

size_t ada_features_count(const ada_features *f) {
    return f ? f->n : 0;
}

/* ---- getting and putting ---- */

bool ada_features_get(ada_features *f, const char *image, int32_t rows, float *out) {
    const entry *e = find(f, image);
    char path[128];
    if (!e || e->rows != rows) return false;
    size_t n = (size_t)rows * f->width;
    if (e->file < 0) return memcpy(out, f->pending + e->at, n * sizeof *out), true;
    (void)snprintf(path, sizeof path, "%s/%s", group, image);
    if (ada_h5_get_f32(f->files[e->file], path, n, out) == ADA_OK) return true;
    ada_log(ADA_LOG_WARN, "the cache of features cannot be read: %s", ada_error());
    ada_error_clear();
    return false;
}

/* The cache is a help: when it cannot be, the run goes on without. */
static void give_up(ada_features *f) {
    ada_log(ADA_LOG_WARN, "the cache of features in '%s' is not written any more: %s", f->folder,
            ada_error());
    ada_error_clear();
    f->off = true;
}

static ada_status keep(ada_features *f, const char *image, int32_t rows, const float *x) {
    entry e = {.file = -1, .rows = rows, .at = f->npending};
    size_t n;
    if (!id_of(image, e.id) || rows < 1) return ada_fail(ADA_EINVAL, "'%s' is no digest of an image", image);
    if (!ada_mul_size((size_t)rows, f->width, &n)) return ada_fail(ADA_ENOMEM, "%d rows are too many", rows);
    ADA_TRY(grow(&f->pending, f->npending, &f->room, f->npending + n, sizeof *f->pending));
    ADA_TRY(add(f, &e));
    memcpy(f->pending + f->npending, x, n * sizeof *x);
    f->npending += n;
    return ADA_OK;
}

void ada_features_put(ada_features *f, const char *image, int32_t rows, const float *x) {
    if (!f || f->off || find(f, image)) return;
    if (keep(f, image, rows, x) != ADA_OK) {
        give_up(f);
        return;
    }
    size_t enough = f->limit / 8 < piece ? f->limit / 8 : piece;
    if (f->npending * sizeof(float) >= enough) ada_features_flush(f);
}

/* ---- writing ---- */

static ada_status put_all(const ada_features *f, ada_h5_out *h) {
    char path[128], hex[65];
    ADA_TRY(ada_h5_attr_str(h, group, "key", f->key));
    for (size_t i = f->written; i < f->n; i++) {
        const entry *e = &f->entries[i];
        const int64_t shape[2] = {e->rows, (int64_t)f->width};
        hex_of(e->id, hex);
        (void)snprintf(path, sizeof path, "%s/%s", group, hex);
        ADA_TRY(ada_h5_put(h, path, ADA_F32, 2, shape, f->pending + e->at));
    }
    return ADA_OK;
}

static ada_status fill(void *ctx, const char *temp) {
    ada_h5_out *h = NULL;
    ADA_TRY(ada_h5_create(&h, temp));
    ada_status st = put_all(ctx, h);
    if (st == ADA_OK) return ada_h5_finish(&h);
    ada_h5_abandon(&h);
    return st;
}

static size_t size_of(const char *path) {
    int fd = ada_os.open(path, O_RDONLY, 0);
    int64_t n = fd < 0 ? 0 : ada_os.size(fd);
    if (fd >= 0) (void)ada_os.close(fd);
    return n > 0 ? (size_t)n : 0;
}

/* Oldest out, but the last stays. A file that is open, here or in another run, can be read until it is
 * closed. */
static ada_status trim(const ada_features *f, char *const *name, size_t n, ada_buf *path) {
    size_t total = 0;
    for (size_t i = 0; i < n; i++) {
        ADA_TRY(path_of(f, name[i], path));
        total += size_of(path->data);
    }
    for (size_t i = 0; i + 1 < n && total > f->limit; i++) {
        ADA_TRY(path_of(f, name[i], path));
        total -= size_of(path->data);
        (void)ada_os.unlink(path->data);
    }
    return ADA_OK;
}

static ada_status next_path(const ada_features *f, ada_buf *path) {
    char **name;
    size_t n;
    ADA_TRY(list(f, &name, &n));
    uint64_t number = n ? strtoull(name[n - 1], NULL, 16) + 1 : 1;
    path->len = 0;
    ada_status st = ada_buf_printf(path, "%s/%016llx-%.16s-%lx.h5", f->folder, (unsigned long long)number,
                                   f->key, (long)getpid());
    ada_os.release(name);
    return st;
}

static ada_status trim_folder(const ada_features *f) {
    char **name;
    size_t n;
    ada_buf path = {0};
    ada_status st = list(f, &name, &n);
    if (st == ADA_OK) st = trim(f, name, n, &path);
    ada_buf_free(&path);
    ada_os.release(name);
    return st;
}

static ada_status write_pending(ada_features *f, ada_buf *path) {
    if (f->nfiles == FILES) return ada_fail(ADA_EUNSUPPORTED, "more than %d files are open", FILES);
    ADA_TRY(next_path(f, path));
    ADA_TRY(ada_replace(path->data, fill, f));
    ADA_TRY(ada_h5_open(&f->files[f->nfiles], path->data, false)); /* just written */
    for (; f->written < f->n; f->written++) f->entries[f->written].file = f->nfiles;
    f->nfiles++, f->npending = 0;
    return trim_folder(f);
}

void ada_features_flush(ada_features *f) {
    if (!f || f->off || f->written == f->n) return;
    ada_buf path = {0};
    char message[ADA_ERROR_MAX]; /* of the run, which may be ending for a reason of its own */
    ada_error_keep(message);
    if (write_pending(f, &path) != ADA_OK) {
        give_up(f);
        (void)ada_fail(ADA_OK, "%s", message);
    }
    ada_buf_free(&path);
}
