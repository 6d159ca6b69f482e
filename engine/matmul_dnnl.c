/* SPDX-License-Identifier: Apache-2.0
 * Products by oneDNN; the only file that includes it. Version 2.6 and 3 differ in memory and primitive
 * descriptors: the first part bridges them.
 *
 * Weights of one shape share a `struct kind`: the layouts that the library asked for, and its primitives, one
 * for each size (times direction and end): a bucket of rows, or a number of them that was expected; made when
 * first used and again for another team. Other numbers are cut; a rest below 16 is padded up to a bucket.
 * Must not know: layers. Invariant: the primitives of a kind all read one packed layout, in implementations
 * of one name, and rows that lie one after the other: of rows further apart the library sums in another
 * order. */
#include "engine/matmul_dnnl.h"
#include "engine/par.h"
#include "io/os.h"
#include "simd/half.h"
#include "simd/kernels.h"

#include <oneapi/dnnl/dnnl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { BUCKETS = 21, USUAL = 4, SIZES = BUCKETS + USUAL, PAD = 16, BLOCK = 256 };
enum { BIAS = 1, ADD = 2, NARROW = 4, HOWS = 6 }; /* how a product ends; what is narrowed is never added to */
static const size_t bucket_rows[BUCKETS] = {512, 256, 240, 224, 208, 192, 176, 160, 144, 128, 112,
                                            96,  80,  64,  48,  32,  16,  8,   4,   2,   1};

/* ---- what differs between versions ---- */

struct blocks { /* of a packed matrix [rows, cols]: where an element is */
    size_t stride[2];
    int n, dim[8];
    size_t size[8];
};

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t layout;

static bool layout_plain(layout *l, dnnl_dims_t dims, dnnl_data_type_t type, dnnl_dims_t strides) {
    return dnnl_memory_desc_create_with_strides(l, 2, dims, type, strides) == dnnl_success;
}
static bool layout_any(layout *l, dnnl_dims_t dims, dnnl_data_type_t type) {
    return dnnl_memory_desc_create_with_tag(l, 2, dims, type, dnnl_format_tag_any) == dnnl_success;
}
static void layout_free(layout *l) {
    if (*l) dnnl_memory_desc_destroy(*l);
    *l = NULL;
}
static bool layout_asked(layout *l, dnnl_primitive_desc_t pd, dnnl_query_t what) {
    const_dnnl_memory_desc_t md = dnnl_primitive_desc_query_md(pd, what, 0);
    return md && dnnl_memory_desc_clone(l, md) == dnnl_success;
}
static size_t layout_bytes(const layout *l) {
    return dnnl_memory_desc_get_size(*l);
}
static bool layout_blocks(const layout *l, struct blocks *b) {
    dnnl_format_kind_t kind;
    dnnl_dims_t strides, size, dim;
    if (dnnl_memory_desc_query(*l, dnnl_query_format_kind, &kind) != dnnl_success || kind != dnnl_blocked ||
        dnnl_memory_desc_query(*l, dnnl_query_strides, &strides) != dnnl_success ||
        dnnl_memory_desc_query(*l, dnnl_query_inner_nblks_s32, &b->n) != dnnl_success || b->n > 8 ||
        dnnl_memory_desc_query(*l, dnnl_query_inner_blks, &size) != dnnl_success ||
        dnnl_memory_desc_query(*l, dnnl_query_inner_idxs, &dim) != dnnl_success)
        return false;
    for (int i = 0; i < 2; i++) b->stride[i] = (size_t)strides[i];
    for (int i = 0; i < b->n; i++) b->dim[i] = (int)dim[i], b->size[i] = (size_t)size[i];
    return true;
}
static bool memory_new(dnnl_memory_t *m, const layout *l, dnnl_engine_t e, void *data) {
    return dnnl_memory_create(m, *l, e, data) == dnnl_success;
}
static bool sum_append(dnnl_post_ops_t ops) {
    return dnnl_post_ops_append_sum(ops, 1, 0, dnnl_data_type_undef) == dnnl_success;
}
static bool product_describe(dnnl_primitive_desc_t *pd, dnnl_engine_t e, const layout *x, const layout *w,
                             const layout *b, const layout *y, dnnl_primitive_attr_t attr) {
    return dnnl_matmul_primitive_desc_create(pd, e, *x, *w, b ? *b : NULL, *y, attr) == dnnl_success;
}
static bool reorder_describe(dnnl_primitive_desc_t *pd, dnnl_engine_t e, const layout *from,
                             const layout *to) {
    return dnnl_reorder_primitive_desc_create(pd, *from, e, *to, e, NULL) == dnnl_success;
}
#else
typedef dnnl_memory_desc_t layout;

static bool layout_plain(layout *l, dnnl_dims_t dims, dnnl_data_type_t type, dnnl_dims_t strides) {
    return dnnl_memory_desc_init_by_strides(l, 2, dims, type, strides) == dnnl_success;
}
static bool layout_any(layout *l, dnnl_dims_t dims, dnnl_data_type_t type) {
    return dnnl_memory_desc_init_by_tag(l, 2, dims, type, dnnl_format_tag_any) == dnnl_success;
}
static void layout_free(layout *l) {
    (void)l;
}
static bool layout_asked(layout *l, dnnl_primitive_desc_t pd, dnnl_query_t what) {
    const dnnl_memory_desc_t *md = dnnl_primitive_desc_query_md(pd, what, 0);
    if (md) *l = *md;
    return md != NULL;
}
static size_t layout_bytes(const layout *l) {
    return dnnl_memory_desc_get_size(l);
}
static bool layout_blocks(const layout *l, struct blocks *b) {
    const dnnl_blocking_desc_t *from = &l->format_desc.blocking;
    if (l->format_kind != dnnl_blocked || from->inner_nblks > 8) return false;
    for (int i = 0; i < 2; i++) b->stride[i] = (size_t)from->strides[i];
    b->n = from->inner_nblks;
    for (int i = 0; i < b->n; i++) {
        b->dim[i] = (int)from->inner_idxs[i];
        b->size[i] = (size_t)from->inner_blks[i];
    }
    return true;
}
static bool memory_new(dnnl_memory_t *m, const layout *l, dnnl_engine_t e, void *data) {
    return dnnl_memory_create(m, l, e, data) == dnnl_success;
}
static bool sum_append(dnnl_post_ops_t ops) {
    return dnnl_post_ops_append_sum(ops, 1) == dnnl_success;
}
static bool product_describe(dnnl_primitive_desc_t *pd, dnnl_engine_t e, const layout *x, const layout *w,
                             const layout *b, const layout *y, dnnl_primitive_attr_t attr) {
    dnnl_matmul_desc_t d;
    return dnnl_matmul_desc_init(&d, x, w, b, y) == dnnl_success &&
           dnnl_primitive_desc_create(pd, &d, attr, e, NULL) == dnnl_success;
}
static bool reorder_describe(dnnl_primitive_desc_t *pd, dnnl_engine_t e, const layout *from,
                             const layout *to) {
    return dnnl_reorder_primitive_desc_create(pd, from, e, to, e, NULL) == dnnl_success;
}
#endif

/* ---- kinds of weight, and their primitives ---- */

struct made {
    int team; /* for which; 0: not yet */
    size_t rows;
    dnnl_primitive_t p; /* NULL: the library would not */
    dnnl_memory_t x, y, bias, room;
};
typedef struct made made_set[2][HOWS][SIZES]; /* [back][how] */
struct kind {
    size_t n, k;
    ada_dtype type;
    bool pinned, wanted;
    char impl[48];
    layout packed[2]; /* [forward, back] */
    struct blocks blocks[2];
    made_set *made; /* [door.seats] */
    struct kind *next;
};
struct ada_dnnl {
    size_t n, k;
    ada_dtype type;
    bool pinned;
    char impl[48];
    struct blocks blocks[2];
    void *data[2]; /* [forward, back]; NULL until packed */
    dnnl_memory_t memory[2];
};

/* The first seat is for all threads together, the others are for each on its own: nothing that a product
 * changes is shared between seats. */
static struct {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    struct kind *kinds;
    size_t weights, seats;
    size_t usual[USUAL], expected; /* of rows: the last USUAL of `expected` */
    atomic_size_t refused;
    float *pad; /* [seats]: x, y and narrow [PAD, width] each, then two rows for the slow path */
    size_t width;
} door = {.seats = 1};

static size_t seat(void) {
    return (size_t)ada_par_inside();
}
static size_t pad_numbers(void) {
    return (3 * PAD + 2) * door.width;
}
static float *pad_of(size_t seat) {
    return door.pad + seat * pad_numbers();
}

static bool door_open(void) {
    if (!door.engine && dnnl_engine_create(&door.engine, dnnl_cpu, 0) != dnnl_success) return false;
    return door.stream ||
           dnnl_stream_create(&door.stream, door.engine, dnnl_stream_default_flags) == dnnl_success;
}

static dnnl_data_type_t data_type(ada_dtype type) {
    return type == ADA_BF16 ? dnnl_bf16 : dnnl_f32;
}
static size_t inner(const struct kind *k, bool back) {
    return back ? k->n : k->k;
}
static size_t outer(const struct kind *k, bool back) {
    return back ? k->k : k->n;
}

static bool matrix(layout *l, size_t rows, size_t cols, dnnl_data_type_t type, size_t row, size_t col) {
    dnnl_dims_t dims = {(dnnl_dim_t)rows, (dnnl_dim_t)cols}, strides = {(dnnl_dim_t)row, (dnnl_dim_t)col};
    return layout_plain(l, dims, type, strides);
}

/* The product of m rows with a weight laid out as `w`; the implementation's name into impl [48]. */
static bool describe(dnnl_primitive_desc_t *pd, const struct kind *k, bool back, int how, size_t m,
                     const layout *w, layout *x, layout *b, layout *y, char *impl) {
    dnnl_primitive_attr_t attr = NULL;
    dnnl_post_ops_t ops = NULL;
    const char *name = NULL;
    bool ok = matrix(x, m, inner(k, back), data_type(k->type), inner(k, back), 1) &&
              matrix(b, 1, outer(k, back), dnnl_f32, outer(k, back), 1) &&
              matrix(y, m, outer(k, back), how & NARROW ? data_type(k->type) : dnnl_f32, outer(k, back), 1) &&
              dnnl_primitive_attr_create(&attr) == dnnl_success && dnnl_post_ops_create(&ops) == dnnl_success;
    /* the library's own room belongs to the thread that made the primitive */
    ok = ok && dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user) == dnnl_success;
    if (ok && how & ADD) ok = sum_append(ops) && dnnl_primitive_attr_set_post_ops(attr, ops) == dnnl_success;
    *pd = NULL;
    ok = ok && product_describe(pd, door.engine, x, w, how & BIAS ? b : NULL, y, attr);
    if (ok && dnnl_primitive_desc_query(*pd, dnnl_query_impl_info_str, 0, &name) == dnnl_success)
        snprintf(impl, 48, "%s", name);
    if (ops) dnnl_post_ops_destroy(ops);
    if (attr) dnnl_primitive_attr_destroy(attr);
    return ok;
}

/* One bucket's description: its implementation, and the layout if `chosen` is asked. */
static bool probe(const struct kind *k, bool back, int how, size_t m, const layout *w, layout *chosen,
                  char *impl) {
    dnnl_primitive_desc_t pd;
    layout x = {0}, b = {0}, y = {0};
    bool ok = describe(&pd, k, back, how, m, w, &x, &b, &y, impl);
    if (ok && chosen) ok = layout_asked(chosen, pd, dnnl_query_weights_md);
    if (pd) dnnl_primitive_desc_destroy(pd);
    layout_free(&x), layout_free(&b), layout_free(&y);
    return ok;
}

static bool is_brg(const char *impl) {
    return strncmp(impl, "brg:", 4) == 0;
}

/* How many positions along a dimension a block has. */
static size_t block_side(const struct blocks *b, int dim) {
    size_t side = 1;
    for (int l = 0; l < b->n; l++)
        if (b->dim[l] == dim) side *= b->size[l];
    return side;
}

static bool blocks_get(struct kind *k, int back) {
    struct blocks *b = &k->blocks[back];
    return layout_blocks(&k->packed[back], b) && block_side(b, 0) <= BLOCK && block_side(b, 1) <= BLOCK;
}

/* Asks for the layouts of a kind, then that buckets of all orders can use them in the same implementation. */
static bool kind_settle(struct kind *k) {
    char impl[48] = "";
    for (int back = 0; back < 2; back++) {
        dnnl_dims_t dims = {(dnnl_dim_t)inner(k, back), (dnnl_dim_t)outer(k, back)};
        layout any = {0};
        bool ok = layout_any(&any, dims, data_type(k->type)) &&
                  probe(k, back, 0, bucket_rows[0], &any, &k->packed[back], back ? impl : k->impl);
        layout_free(&any);
        if (!ok || !(k->pinned || is_brg(k->impl))) return false;
        for (int how = 0; how < HOWS; how++)
            for (size_t m = bucket_rows[0]; m > 0; m /= 2)
                if (!probe(k, back, how, m, &k->packed[back], NULL, impl) ||
                    (!k->pinned && strcmp(impl, k->impl) != 0))
                    return false;
    }
    return blocks_get(k, 0) && blocks_get(k, 1);
}

static struct kind *kind_get(size_t n, size_t k, ada_dtype type, bool pinned) {
    for (struct kind *i = door.kinds; i; i = i->next)
        if (i->n == n && i->k == k && i->type == type && i->pinned == pinned) return i;
    size_t bytes = door.seats * sizeof(made_set);
    struct kind *i = door_open() ? ada_os.alloc(sizeof *i) : NULL;
    made_set *made = i ? ada_os.alloc(bytes) : NULL;
    if (!made) {
        ada_os.release(i);
        return NULL;
    }
    memset(made, 0, bytes);
    *i = (struct kind){.n = n, .k = k, .type = type, .pinned = pinned, .made = made, .next = door.kinds};
    i->wanted = kind_settle(i);
    door.kinds = i;
    if (pinned && !i->wanted)
        ada_log(0, "oneDNN has no product with %s weights of %zu x %zu here: our own serves",
                ada_dtype_name(type), n, k);
    return i;
}

static void made_free(struct made *e) {
    if (e->p) dnnl_primitive_destroy(e->p);
    if (e->x) dnnl_memory_destroy(e->x);
    if (e->y) dnnl_memory_destroy(e->y);
    if (e->bias) dnnl_memory_destroy(e->bias);
    if (e->room) dnnl_memory_destroy(e->room);
    e->p = NULL, e->x = e->y = e->bias = e->room = NULL;
}

static void made_fill(struct made *e, const struct kind *k, bool back, int how, size_t m) {
    dnnl_primitive_desc_t pd;
    layout x = {0}, b = {0}, y = {0}, room = {0};
    char impl[48] = "";
    bool ok = describe(&pd, k, back, how, m, &k->packed[back], &x, &b, &y, impl) &&
              (k->pinned || strcmp(impl, k->impl) == 0) && memory_new(&e->x, &x, door.engine, NULL) &&
              memory_new(&e->y, &y, door.engine, NULL) && memory_new(&e->bias, &b, door.engine, NULL) &&
              layout_asked(&room, pd, dnnl_query_scratchpad_md) &&
              memory_new(&e->room, &room, door.engine, DNNL_MEMORY_ALLOCATE) &&
              dnnl_primitive_create(&e->p, pd) == dnnl_success;
    if (pd) dnnl_primitive_desc_destroy(pd);
    layout_free(&x), layout_free(&b), layout_free(&y), layout_free(&room);
    if (!ok) made_free(e), door.refused++;
}

void ada_dnnl_tell(void) {
    size_t refused = atomic_exchange(&door.refused, 0);
    if (refused) ada_log(0, "oneDNN refused %zu products: computed slowly", refused);
}

static size_t size_rows(int size) {
    return size < BUCKETS ? bucket_rows[size] : door.usual[size - BUCKETS];
}

/* The size that m rows begin with. */
static int size_of(size_t m) {
    int b = 0;
    for (int i = BUCKETS; i < SIZES; i++)
        if (size_rows(i) == m) return i;
    while (bucket_rows[b] > m) b++;
    return b;
}

void ada_dnnl_expect(size_t m) {
    if (m > 0 && size_rows(size_of(m)) != m) door.usual[door.expected++ % USUAL] = m;
}

/* One without a primitive where the library refuses: the slow path serves. */
static const struct made *made_get(struct kind *k, bool back, int how, int size) {
    struct made *e = &k->made[seat()][back][how][size];
    int team = ada_par_inside() ? 1 : ada_par_threads();
    size_t rows = size_rows(size);
    if (e->team != team || e->rows != rows) {
        made_free(e);
        e->team = team, e->rows = rows;
        made_fill(e, k, back, how, rows);
    }
    return e;
}

/* ---- packing ---- */

/* Copies plain [n, k], rows ld apart, read as [inner, outer], into the layout of a direction. */
static bool reorder(dnnl_memory_t to, const layout *packed, const struct kind *k, bool back,
                    const void *plain, size_t ld) {
    size_t row = back ? ld : 1, col = back ? 1 : ld;
    layout from = {0};
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_t p = NULL;
    dnnl_memory_t m = NULL;
    bool ok = matrix(&from, inner(k, back), outer(k, back), data_type(k->type), row, col) &&
              memory_new(&m, &from, door.engine, (void *)(uintptr_t)plain) &&
              reorder_describe(&pd, door.engine, &from, packed) &&
              dnnl_primitive_create(&p, pd) == dnnl_success;
    if (ok) {
        const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, m}, {DNNL_ARG_TO, to}};
        ok = dnnl_primitive_execute(p, door.stream, 2, args) == dnnl_success &&
             dnnl_stream_wait(door.stream) == dnnl_success;
    }
    if (p) dnnl_primitive_destroy(p);
    if (pd) dnnl_primitive_desc_destroy(pd);
    if (m) dnnl_memory_destroy(m);
    layout_free(&from);
    return ok;
}

static ada_status pack_direction(ada_dnnl *d, ada_arena *weights, bool back, const void *plain, size_t ld) {
    struct kind *k = kind_get(d->n, d->k, d->type, d->pinned);
    if (!k) return ada_fail(ADA_ENOMEM, "no memory for oneDNN");
    if (!k->wanted || !made_get(k, back, 0, BUCKETS - 1)->p)
        return ada_fail(ADA_EUNSUPPORTED, "oneDNN makes no product with weights of %zu x %zu", d->n, d->k);
    memcpy(d->impl, k->impl, sizeof d->impl);
    d->blocks[back] = k->blocks[back];
    ADA_TRY(ada_arena_take(weights, &d->data[back], layout_bytes(&k->packed[back]), 1));
    if (!memory_new(&d->memory[back], &k->packed[back], door.engine, d->data[back]) ||
        !reorder(d->memory[back], &k->packed[back], k, back, plain, ld))
        return ada_fail(ADA_ENOMEM, "oneDNN could not pack a weight of %zu x %zu", d->n, d->k);
    return ADA_OK;
}

static ada_status pad_grow(size_t width, size_t seats) {
    size_t bytes, one = (3 * PAD + 2) * sizeof(float);
    if (width <= door.width && seats <= door.seats) return ADA_OK;
    if (width < door.width) width = door.width;
    ada_os.release(door.pad);
    door.width = 0;
    if (!ada_mul_size(width, seats * one, &bytes) || !(door.pad = ada_os.alloc(bytes)))
        return ada_fail(ADA_ENOMEM, "no memory for the padding of products of width %zu", width);
    door.width = width;
    return ADA_OK;
}

ada_status ada_dnnl_reserve(int team) {
    size_t seats = team > 1 ? 1 + (size_t)team : 1, size = sizeof(made_set);
    if (seats <= door.seats) return ADA_OK;
    for (struct kind *k = door.kinds; k; k = k->next) {
        made_set *more = ada_os.alloc(seats * size);
        if (!more) return ada_fail(ADA_ENOMEM, "no memory for the products of %d threads", team);
        memcpy(more, k->made, door.seats * size);
        memset(more + door.seats, 0, (seats - door.seats) * size);
        ada_os.release(k->made);
        k->made = more;
    }
    ADA_TRY(pad_grow(door.width, seats));
    door.seats = seats;
    return ADA_OK;
}

/* Where position `at` along a dimension is, the other's being 0. */
static size_t along(const struct blocks *b, int dim, size_t at) {
    size_t sum = 0;
    for (size_t l = (size_t)b->n, run = 1; l-- > 0; run *= b->size[l])
        if (b->dim[l] == dim) sum += at % b->size[l] * run, at /= b->size[l];
    return sum + at * b->stride[dim];
}

/* It is column i of the packed [k, n], or row i of [n, k]. */
void ada_dnnl_row(const ada_dnnl *d, size_t i, size_t columns, void *out) {
    bool back = !d->data[0];
    const struct blocks *b = &d->blocks[back];
    size_t row = along(b, !back, i), side = block_side(b, back), in[BLOCK];
    for (size_t j = 0; j < side; j++) in[j] = along(b, back, j);
    for (size_t first = 0; first < columns; first += side) {
        size_t at = row + first / side * b->stride[back], n = columns - first < side ? columns - first : side;
        if (d->type == ADA_BF16)
            for (size_t j = 0; j < n; j++)
                ((uint16_t *)out)[first + j] = ((const uint16_t *)d->data[back])[at + in[j]];
        else
            for (size_t j = 0; j < n; j++)
                ((uint32_t *)out)[first + j] = ((const uint32_t *)d->data[back])[at + in[j]];
    }
}

/* Whether the packed row i is the plain one. */
static bool holds(const ada_dnnl *d, size_t i, const void *plain, size_t ld) {
    size_t size = ada_type_size(d->type);
    ada_dnnl_row(d, i, d->k, door.pad);
    return memcmp(door.pad, (const char *)plain + i * ld * size, d->k * size) == 0;
}

ada_status ada_dnnl_wants(const char **impl, size_t n, size_t k, ada_dtype type, bool pinned) {
    const struct kind *kind = kind_get(n, k, type, pinned);
    if (!kind) return ada_fail(ADA_ENOMEM, "no memory for oneDNN");
    *impl = kind->wanted ? kind->impl : NULL;
    return ADA_OK;
}

ada_status ada_dnnl_open(ada_dnnl **out, ada_arena *weights, size_t n, size_t k, ada_dtype type,
                         bool pinned) {
    ada_dnnl *d;
    ADA_TRY(pad_grow(n > k ? n : k, door.seats));
    ADA_TRY(ada_arena_zero(weights, &d, 1, sizeof *d));
    *d = (ada_dnnl){.n = n, .k = k, .type = type, .pinned = pinned};
    *out = d;
    door.weights++;
    return ADA_OK;
}

ada_status ada_dnnl_pack(ada_dnnl *d, ada_arena *weights, bool back, const void *plain, size_t ld) {
    ada_status st = pack_direction(d, weights, back, plain, ld);
    if (st == ADA_OK && !(holds(d, 0, plain, ld) && holds(d, d->n - 1, plain, ld)))
        st = ada_fail(ADA_EUNSUPPORTED, "oneDNN packs %zu x %zu unreadably", d->n, d->k);
    if (st == ADA_OK) return ADA_OK;
    if (d->memory[back]) dnnl_memory_destroy(d->memory[back]);
    d->memory[back] = NULL, d->data[back] = NULL;
    return st;
}

void ada_dnnl_close(ada_dnnl **d) {
    if (!*d) return;
    for (int back = 0; back < 2; back++)
        if ((*d)->memory[back]) dnnl_memory_destroy((*d)->memory[back]);
    door.weights--;
    *d = NULL;
}

/* ---- products ---- */

static void widen(const ada_dnnl *d, const void *x, size_t n, float *out) {
    if (d->type == ADA_BF16)
        ada_k.bf16_to_f32(out, x, n);
    else
        memcpy(out, x, n * sizeof *out);
}

static void row_wide(const ada_dnnl *d, size_t i, float *out) {
    ada_dnnl_row(d, i, d->k, out);
    if (d->type == ADA_BF16) ada_bf16_widen(out, d->k);
}

/* What the library refused: row by row of W, on one thread. */
static void by_rows(const ada_dnnl *d, bool back, const char *x, size_t ldx, size_t m, float *y, size_t ldy,
                    bool add) {
    float *w = pad_of(seat()) + 3 * PAD * door.width, *wide = w + door.width, one;
    size_t bytes = ldx * ada_type_size(d->type);
    for (size_t r = 0; back && !add && r < m; r++) memset(y + r * ldy, 0, d->k * sizeof *y);
    for (size_t i = 0; i < d->n; i++) {
        row_wide(d, i, w);
        for (size_t r = 0; r < m; r++) {
            const char *row = x + r * bytes;
            if (back) {
                widen(d, row + i * ada_type_size(d->type), 1, &one);
                ada_k.axpy(y + r * ldy, w, one, d->k);
            } else {
                widen(d, row, d->k, wide);
                y[r * ldy + i] = (add ? y[r * ldy + i] : 0) + ada_k.dot(wide, w, d->k);
            }
        }
    }
}

/* An end from its row i on. */
static ada_end end_at(const ada_dnnl *d, bool back, const ada_end *end, size_t i) {
    ada_end e = *end;
    size_t out = back ? d->k : d->n, bytes = ada_type_size(d->type);
    e.y += i * e.ld;
    if (e.narrow) e.narrow = (char *)e.narrow + i * out * bytes;
    return e;
}

/* The rows of a size, one after the other. */
static void sized(const ada_dnnl *d, bool back, const void *x, int size, const ada_end *end) {
    struct kind *k = kind_get(d->n, d->k, d->type, d->pinned);
    int how = (end->narrow ? NARROW : end->add ? ADD : 0) | (end->bias ? BIAS : 0);
    const struct made *e = k ? made_get(k, back, how, size) : NULL;
    if (e && e->p && dnnl_memory_set_data_handle(e->x, (void *)(uintptr_t)x) == dnnl_success &&
        dnnl_memory_set_data_handle(e->y, end->narrow ? end->narrow : end->y) == dnnl_success &&
        dnnl_memory_set_data_handle(e->bias, (void *)(uintptr_t)end->bias) == dnnl_success) {
        const dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, e->x},
                                        {DNNL_ARG_WEIGHTS, d->memory[back]},
                                        {DNNL_ARG_DST, e->y},
                                        {DNNL_ARG_SCRATCHPAD, e->room},
                                        {DNNL_ARG_BIAS, e->bias}};
        if (dnnl_primitive_execute(e->p, door.stream, end->bias ? 5 : 4, args) == dnnl_success &&
            dnnl_stream_wait(door.stream) == dnnl_success)
            return;
    }
    by_rows(d, back, x, back ? d->n : d->k, size_rows(size), end->y, back ? d->k : d->n, end->add);
    for (size_t i = 0; i < size_rows(size); i++) ada_end_row(end, i, back ? d->k : d->n);
}

/* m ≤ PAD rows, through scratch of the smallest bucket that holds them. */
static void padded(const ada_dnnl *d, bool back, const char *x, size_t ldx, size_t m, const ada_end *end) {
    size_t in = back ? d->n : d->k, out = back ? d->k : d->n, bytes = ada_type_size(d->type), rows;
    float *pad = pad_of(seat());
    char *px = (char *)pad;
    ada_end e = {pad + PAD * door.width, out, end->add, end->bias, NULL};
    int b = BUCKETS - 1;
    if (end->narrow) e.narrow = pad + 2 * PAD * door.width;
    while (bucket_rows[b] < m) b--;
    rows = bucket_rows[b];
    for (size_t r = 0; r < m; r++) {
        memcpy(px + r * in * bytes, x + r * ldx * bytes, in * bytes);
        if (e.add) memcpy(e.y + r * out, end->y + r * end->ld, out * sizeof *e.y);
    }
    memset(px + m * in * bytes, 0, (rows - m) * in * bytes);
    memset(e.y + m * out, 0, (rows - m) * out * sizeof *e.y);
    sized(d, back, px, b, &e);
    if (e.narrow) memcpy(end->narrow, e.narrow, m * out * bytes);
    for (size_t r = 0; !e.narrow && r < m; r++)
        memcpy(end->y + r * end->ld, e.y + r * out, out * sizeof *e.y);
}

void ada_dnnl_multiply(const ada_dnnl *d, bool back, const void *x, size_t ldx, size_t m,
                       const ada_end *end) {
    const char *from = x;
    size_t bytes = ldx * ada_type_size(d->type), out = back ? d->k : d->n;
    bool apart = m > 1 && (ldx != (back ? d->n : d->k) || (!end->narrow && end->ld != out));
    for (size_t i = 0, rows; i < m; i += rows, from += rows * bytes) {
        int size = size_of(m - i);
        ada_end e = end_at(d, back, end, i);
        rows = size_rows(size);
        if (!apart && (m - i >= PAD || m - i == rows)) {
            sized(d, back, from, size, &e);
        } else {
            rows = m - i < PAD ? m - i : PAD;
            padded(d, back, from, ldx, rows, &e);
        }
    }
}

void ada_dnnl_release(void) {
    for (struct kind *k; (k = door.kinds);) {
        door.kinds = k->next;
        for (size_t i = 0; i < door.seats * sizeof(made_set) / sizeof(struct made); i++)
            made_free(&k->made[0][0][0][0] + i);
        ada_os.release(k->made);
        layout_free(&k->packed[0]), layout_free(&k->packed[1]);
        ada_os.release(k);
    }
    if (door.weights) return; /* their memory handles are the engine's; the next release ends it */
    ada_os.release(door.pad);
    door.pad = NULL, door.width = 0;
    if (door.stream) dnnl_stream_destroy(door.stream);
    if (door.engine) dnnl_engine_destroy(door.engine);
    door.stream = NULL, door.engine = NULL;
}
