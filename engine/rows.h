/* SPDX-License-Identifier: Apache-2.0
 * A data file as examples in memory: tokenised once, ids only. Owns: what is dropped and counted on the way.
 * Invariant: every example kept has a target, and an input before it. */
#ifndef ADA_ENGINE_ROWS_H
#define ADA_ENGINE_ROWS_H

#include "engine/batch.h"
#include "engine/example.h"

typedef struct ada_rows {
    ada_example *ex;              /* [n] */
    size_t n, dropped, truncated; /* dropped: without a target */
    size_t tokens, targets;
    const char *path;
    char digest[65];
} ada_rows;

/* images: of the run; NULL for a model without eyes. */
ada_status ada_rows_load(ada_rows *r, const ada_model *m, ada_images *images, const char *path,
                         const ada_dataset_opts *keys, bool all_tokens, int max_length,
                         ada_arena *a) ADA_MUST_USE;
int32_t ada_example_images(const ada_example *e, int32_t vocab); /* rows of images that it reads */
/* Tokens that must be computed: those before the last target. */
int32_t ada_example_inputs(const ada_example *e);
size_t ada_example_tokens(const ada_example *e); /* as the user counts them */
ada_item ada_example_item(const ada_example *e, int32_t owner);
/* Largest sum over any k examples of their inputs, targets, sources and rows of images; the largest single
 * ones. */
typedef struct ada_extent {
    int64_t inputs, targets, sources; /* sources: of an encoder */
    int64_t images;
    int32_t longest, most, longest_source;
} ada_extent;
ada_status ada_rows_extent(const ada_rows *r, int32_t vocab, size_t k, ada_extent *x) ADA_MUST_USE;

#endif
