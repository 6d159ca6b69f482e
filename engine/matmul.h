/* SPDX-License-Identifier: Apache-2.0
 * What we need of a matmul, in our words: frozen weights packed once, products with f32 accumulation.
 * Two makers, chosen per weight at packing: oneDNN where its implementation is a `brg:` one, else the blocked
 * kernel of simd (ADALINK_MATMUL=own|dnnl pins one). Invariant: same bits for any number of threads, and for
 * a row whatever M it is in. Must not know: layers. */
#ifndef ADA_ENGINE_MATMUL_H
#define ADA_ENGINE_MATMUL_H

#include "engine/par.h"
#include "io/tensors.h"

enum { ADA_FORWARD = 1, ADA_BACKWARD = 2 };

/* Bytes of a number of a weight, ADA_BF16 or ADA_F32. */
static inline size_t ada_type_size(ada_dtype type) {
    return type == ADA_BF16 ? 2 : 4;
}
/* a, or the next multiple of b. */
static inline size_t ada_round_up(size_t a, size_t b) {
    return (a + b - 1) / b * b;
}

typedef struct ada_mat ada_mat; /* a frozen weight W [n, k]: n outputs, k inputs */

/* One piece of a weight, row-major [rows, k], widened by ada_tensor_f32; a mat may be several stacked by rows
 * (q over k over v; gate over up). `rows_perm`, if not NULL, gives for each output row its source row. */
typedef struct ada_mat_part {
    const ada_tensor *t;
    size_t rows;
    size_t of;       /* rows of the tensor, where the piece is a part of it; 0: `rows` */
    size_t first;    /* its first row, unless rows_perm picks them */
    bool transposed; /* the file holds [k, rows] (GPT-2's Conv1D) */
    const int32_t *rows_perm;
    const float *scale; /* [rows] factor of each output row, or NULL */
} ada_mat_part;

/* type: ADA_BF16 or ADA_F32, of the stored weight and of the products' inputs.
 * directions: ADA_FORWARD | ADA_BACKWARD; what is not asked for here can be added later by ada_mat_prepare.
 * Memory comes from `weights` (an ada_arena). */
ada_status ada_mat_pack(ada_mat **w, ada_arena *weights, const ada_mat_part *parts, size_t nparts, size_t k,
                        ada_dtype type) ADA_MUST_USE;
/* Packs for the backward-data product too, where the layout does not already serve both. Idempotent. */
ada_status ada_mat_prepare(ada_mat *w, ada_arena *weights, int directions) ADA_MUST_USE;
void ada_mat_close(ada_mat **w);       /* library handles only; memory belongs to the arena */
size_t ada_mat_rows(const ada_mat *w); /* n */
size_t ada_mat_cols(const ada_mat *w); /* k */
ada_dtype ada_mat_type(const ada_mat *w);
const char *ada_mat_maker(const ada_mat *w); /* "own/avx2", "brg:avx512_core_bf16" … for inspect and bench */
/* Row `i` of W as f32 [k]: the embedding table of a tied model is its head. */
void ada_mat_row(const ada_mat *w, size_t i, float *out);
/* Bytes of packed weight read by one product in a direction. */
size_t ada_mat_bytes(const ada_mat *w);

/* How a product of m rows of `outer` columns ends. */
typedef struct ada_end {
    float *y; /* [m, outer], rows ld apart */
    size_t ld;
    bool add;          /* to what y has, instead of over it */
    const float *bias; /* [outer], added to each row; or NULL */
    void *narrow; /* [m, outer] of the weight's type, packed: there the sums go; then y [m, outer], packed,
                   * is scratch, and nothing is added to. It must not overlap x. Or NULL */
} ada_end;
/* x [m, k] · Wᵀ, x of the weight's type (ldx elements apart). */
void ada_matmul(const ada_mat *w, const void *x, size_t ldx, size_t m, const ada_end *end);
/* An x [m, k] that is made when the product comes to read it, in pieces that then are in its cache, or all at
 * once. */
typedef struct ada_made {
    void (*row)(const void *ctx, size_t i, size_t first, size_t n, void *to); /* n columns of row i, packed */
    const void *ctx;
    void *all;   /* [m, k] of the weight's type, packed: where it goes if that is at once */
    bool wanted; /* it is to be there afterwards */
} ada_made;
void ada_matmul_made(const ada_mat *w, const ada_made *x, size_t m, const ada_end *end);
/* dy [m, n] · W, likewise; needs ADA_BACKWARD. */
void ada_matmul_back(const ada_mat *w, const void *dy, size_t ldy, size_t m, const ada_end *end);
/* ada_par_for with more than one item and thread, whose bodies multiply each on its own. */
void ada_matmul_apart(size_t n, ada_par_fn body, void *ctx);
/* Products of m rows will come again and again: they go in one piece. The last few such numbers count. */
void ada_matmul_expect(size_t m);
/* For makers: row i of y, its product done, gets its bias and is narrowed to bf16. */
void ada_end_row(const ada_end *end, size_t i, size_t outer);
void ada_end_rows(const ada_end *end, size_t m, size_t outer); /* all of m, shared out */
/* Scratch of the two products is the maker's own, sized here before the first call for m rows at most of
 * weights [n, k] at most; apart: in bodies of ada_matmul_apart as well. */
ada_status ada_matmul_reserve(size_t max_m, size_t max_n, size_t max_k, bool apart) ADA_MUST_USE;
void ada_matmul_release(void); /* frees the shared scratch and primitives, at exit */

#endif
