/* SPDX-License-Identifier: Apache-2.0
 * A decoder's sublayer that reads the rows of an encoder, its memory: keys and values of each layer made
 * once, read by any number of rows, and the gradient that comes back. Owns: what is kept between forward and
 * backward. Must not know: the layer loop, the encoder, caches. Frozen means g == NULL, as everywhere. */
#ifndef ADA_ENGINE_CROSS_H
#define ADA_ENGINE_CROSS_H

#include "engine/residual.h"
#include "engine/stack.h"

typedef struct ada_memory ada_memory;
typedef struct ada_memory_limits {
    int32_t rows, segs;           /* of the memory */
    int32_t readers, reader_segs; /* of a pack that reads it */
    int32_t out;                  /* its wanted rows */
    bool train;
    bool gather; /* training: the gradient at the memory is wanted */
} ada_memory_limits;
ada_status ada_memory_layout(ada_memory **m, ada_arena *a, const ada_stack *decoder,
                             const ada_memory_limits *lim) ADA_MUST_USE;
/* The memory becomes these rows h [p->T, d] of an encoder's pack, normed; h and p stay while it is used. */
void ada_memory_fill(ada_memory *m, const ada_pack *p, const float *h);
/* reads [segments of the reading pack]: the segment of the memory that each reads. */
void ada_memory_read(ada_memory *m, const int32_t *reads);
/* What is read now. */
const ada_reading *ada_memory_reading(const ada_memory *m);
/* Whether threads may work alone on so many rows that read it. */
bool ada_memory_alone(const ada_memory *m, int32_t rows);

/* Rows of a pack that pass through the sublayer of layer l. */
typedef struct ada_cross {
    int32_t l;
    const ada_pack *pack;
    const int32_t *rows; /* [n] those of the pack that x has; NULL: all */
    int32_t n;
    float *x; /* [n, d] the stream, or its gradient */
} ada_cross;
/* What calls have in common, but for l and x: before them. */
void ada_cross_survey(ada_memory *m, const ada_cross *c);
/* x += what a part's rows read. Parts may run beside each other. */
void ada_cross_forward(ada_memory *m, const ada_cross *c, const ada_part *part);
/* x from the gradient after to that before; what goes to the memory is gathered. */
void ada_cross_backward(ada_memory *m, const ada_cross *c, const ada_part *part);
/* dh [rows, d] = the gradient gathered since fill. */
void ada_memory_back(ada_memory *m, float *dh);
/* Multiply-adds × 2 of a pack's sublayers; fill: and of filling the memory, or gathering its gradient. */
double ada_cross_flops(const ada_stack *decoder, const ada_pack *p, const ada_pack *memory,
                       const int32_t *reads, bool back, bool fill);

#endif
