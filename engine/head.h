/* SPDX-License-Identifier: Apache-2.0
 * Final norm and LM head, on wanted rows only; cross-entropy in chunks of rows, so that [T, V] never exists.
 * Invariant: a row's loss has the same bits in any chunk. */
#ifndef ADA_ENGINE_HEAD_H
#define ADA_ENGINE_HEAD_H

#include "engine/stack.h"

typedef struct ada_head {
    float *norm, *norm_b; /* [d]; b may be NULL */
    ada_linear out;       /* [vocab, d]; with c.tie its w is the embedding's */
    const ada_config *c;
    ada_dtype type;
} ada_head;

typedef struct ada_head_ws ada_head_ws;
/* For ada_head_logits and ada_head_loss of any number of rows; workspaces are for max_rows rows or a chunk.
 */
ada_status ada_head_layout(ada_head_ws **ws, ada_arena *a, const ada_head *h, int32_t max_rows) ADA_MUST_USE;
/* h [n, d] as from the stack. logits [n, vocab] written. */
void ada_head_logits(const ada_head *hd, ada_head_ws *ws, const float *h, int32_t n, float *logits);
/* loss[i] = -log p(target[i]) (natural log). weight[i]: the factor of row i in the scalar objective;
 * dh [n, d] (may be NULL) = d(Σ weight·loss)/dh. */
void ada_head_loss(const ada_head *hd, ada_head_ws *ws, const float *h, const int32_t *target,
                   const float *weight, int32_t n, float *loss, float *dh);
/* Multiply-adds ×2 of the head's product on n rows, one direction. */
double ada_head_flops(const ada_head *hd, int32_t n);

#endif
