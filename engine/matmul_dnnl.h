/* SPDX-License-Identifier: Apache-2.0
 * The door to oneDNN, for matmul.c and matmul_pieces.c: a weight packed as the library likes it, and its
 * products. A weight is taken when the library multiplies by it in a `brg:` implementation both ways and for
 * every bucket of rows, or when it is pinned and can at all. Must not know: how our own maker lays weights
 * out. Invariant: a product that the library refuses is still computed, slowly, from the packed weight. */
#ifndef ADA_ENGINE_MATMUL_DNNL_H
#define ADA_ENGINE_MATMUL_DNNL_H

#include "engine/matmul.h"

typedef struct ada_dnnl ada_dnnl;

/* The implementation by which a weight [n, k] of this type goes to the library, or NULL; a pinned one that
 * does not go is remarked upon. */
ada_status ada_dnnl_wants(const char **impl, size_t n, size_t k, ada_dtype type, bool pinned) ADA_MUST_USE;
/* A weight [n, k], of no direction yet. */
ada_status ada_dnnl_open(ada_dnnl **d, ada_arena *weights, size_t n, size_t k, ada_dtype type,
                         bool pinned) ADA_MUST_USE;
/* Packs plain [n, k], rows ld apart, which may go afterwards, for one direction. EUNSUPPORTED where the
 * library then fails to: our own maker serves. */
ada_status ada_dnnl_pack(ada_dnnl *d, ada_arena *weights, bool back, const void *plain,
                         size_t ld) ADA_MUST_USE;
void ada_dnnl_close(ada_dnnl **d);
/* The first `columns` of row i of W, in its type. */
void ada_dnnl_row(const ada_dnnl *d, size_t i, size_t columns, void *out);
/* Room for the threads of a team to multiply each on its own, with weights packed before. */
ada_status ada_dnnl_reserve(int team) ADA_MUST_USE;
/* As ada_matmul_expect. */
void ada_dnnl_expect(size_t m);
/* Logs what could not be said within a loop. */
void ada_dnnl_tell(void);
/* As ada_matmul and ada_matmul_back: by all threads, or by the one whose loop's body this is. */
void ada_dnnl_multiply(const ada_dnnl *d, bool back, const void *x, size_t ldx, size_t m, const ada_end *end);
void ada_dnnl_release(void);

#endif
