/* SPDX-License-Identifier: Apache-2.0
 * What makes rows of a language model of a tower's features: s × s neighbours side by side (pixel shuffle),
 * channels standardised, one product or two. Owns: the arithmetic, both ways. Must not know: files, images,
 * adapters. Invariant: all of it is f32, a row has the same bits alone and in any company, and a gradient is
 * a sum over rows in order. */
#ifndef ADA_ENGINE_CONNECTOR_H
#define ADA_ENGINE_CONNECTOR_H

#include "engine/config.h"
#include <stddef.h>

typedef enum { ADA_CONNECTOR_LINEAR = 1, ADA_CONNECTOR_MLP2 } ada_connector_kind;
extern const char *const ada_connector_names[ADA_CONNECTOR_MLP2 + 1]; /* [0]: NULL */

typedef struct ada_connector {
    ada_connector_kind kind;
    int32_t features;            /* channels of the tower */
    int32_t shuffle;             /* s; 1: rows as they are */
    int32_t in, hidden, d;       /* in = features · s²; hidden: of mlp2, else 0 */
    ada_act_kind act;            /* of mlp2 */
    float scale;                 /* of what comes out */
    const float *mean, *inv_std; /* [features], both or neither: NULL: channels as they are */
    float *w1, *b1;              /* [in, d], or of mlp2 [in, hidden]; biases may be NULL */
    float *w2, *b2;              /* [hidden, d], of mlp2 */
} ada_connector;

/* Rows that h × w rows of features become, row by row of the picture; EINVAL where s divides h or w not. */
ada_status ada_connector_rows(const ada_connector *c, int32_t h, int32_t w, int32_t *rows) ADA_MUST_USE;
/* features [h·w, features] → x [rows, in]: of a row first the upper neighbours from left to right, then those
 * below (Idefics3's order); standardised. */
void ada_connector_gather(const ada_connector *c, const float *features, int32_t h, int32_t w, float *x);
/* x [n, in] → y [n, d] = scale · (x·w1 + b1), of mlp2 scale · (act(x·w1 + b1)·w2 + b2). scratch:
 * ada_connector_scratch(c, n) bytes, of which backward needs what forward left. */
size_t ada_connector_scratch(const ada_connector *c, size_t n);
void ada_connector_forward(const ada_connector *c, const float *x, size_t n, float *y, void *scratch);
/* dy [n, d] at y: adds into g the gradients at c's weights, of the same shapes; NULL: not wanted. */
typedef struct ada_connector_grads {
    float *w1, *b1, *w2, *b2;
} ada_connector_grads;
void ada_connector_backward(const ada_connector *c, const float *x, size_t n, const float *dy, void *scratch,
                            const ada_connector_grads *g);

#endif
