/* SPDX-License-Identifier: Apache-2.0
 * The library's weights as matmul.c has them: whole, or, for a direction whose inner side is long, in pieces
 * of it, whose products are added up. Where the library multiplies tiles it fetches what does not stay in L2
 * again for every few rows, where what a piece needs does stay; and it sums a long inner side in an order
 * that depends on how many rows there are. Must not know: our own maker. Invariant: pieces follow from a
 * weight's shape alone. */
#ifndef ADA_ENGINE_MATMUL_PIECES_H
#define ADA_ENGINE_MATMUL_PIECES_H

#include "engine/matmul.h"

typedef struct ada_pieces ada_pieces;

/* Packs plain [n, k], which may go afterwards, for the forward product. impl, pinned: as ada_dnnl_wants has
 * them. EUNSUPPORTED, with *w NULL, where the library then fails to: our own maker serves. */
ada_status ada_pieces_pack(ada_pieces **w, ada_arena *weights, const void *plain, size_t n, size_t k,
                           ada_dtype type, const char *impl, bool pinned) ADA_MUST_USE;
ada_status ada_pieces_prepare(ada_pieces *w, ada_arena *weights) ADA_MUST_USE; /* for the backward one too */
void ada_pieces_close(ada_pieces **w);
/* Row i of W as f32. */
void ada_pieces_row(const ada_pieces *w, size_t i, float *out);
/* Room for products of m rows by all of `team` threads together; apart: by each on its own as well. */
ada_status ada_pieces_reserve(size_t m, int team, bool apart) ADA_MUST_USE;
bool ada_pieces_many(const ada_pieces *w); /* whether the forward product is in more than one */
/* As ada_matmul and ada_matmul_back: by all threads, or by the one whose loop's body this is. made, where the
 * direction is cut: x is what it makes. Or NULL. */
void ada_pieces_multiply(const ada_pieces *w, bool back, const void *x, size_t ldx, const ada_made *made,
                         size_t m, const ada_end *end);
void ada_pieces_release(void);
/* For tests: weights packed from now on are cut whatever multiplies them, from inner sides of `from` on; 0:
 * as a rule. */
void ada_pieces_force(size_t from);

#endif
