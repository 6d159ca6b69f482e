/* SPDX-License-Identifier: Apache-2.0
 * Loading a data file into examples. Owns: counts of what was cut or left out.
 * Must not know: steps. Invariant: examples keep the order of the file. */
#include "engine/rows.h"
#include "io/os.h"
#include <stdio.h>
#include <string.h>

static ada_status take_row(ada_example *e, const ada_model *m, ada_images *images, const ada_dataset *d,
                           size_t i, bool all_tokens, int max_length, ada_arena *a) {
    const ada_row *row = ada_dataset_at(d, i);
    ada_status st = ada_example_make(e, m, images, row, NULL, all_tokens, max_length, a);
    if (st != ADA_OK && ada_row_may_fail(row)) ada_note("%s:%zu", ada_dataset_path(d), row->line);
    return st;
}

static ada_status take_rows(ada_rows *r, const ada_model *m, ada_images *images, const ada_dataset *d,
                            bool all_tokens, int max_length, ada_arena *a) {
    size_t count = ada_dataset_count(d);
    ADA_TRY(ada_arena_take(a, &r->ex, count, sizeof *r->ex));
    for (size_t i = 0; i < count; i++) {
        ada_example *e = &r->ex[r->n];
        ADA_TRY(take_row(e, m, images, d, i, all_tokens, max_length, a));
        r->truncated += e->truncated;
        if (e->targets == 0) {
            r->dropped++;
            continue;
        }
        r->tokens += ada_example_tokens(e);
        r->targets += (size_t)e->targets;
        r->n++;
    }
    if (r->n == 0) return ada_fail(ADA_EFORMAT, "no row of '%s' has a token to learn from", r->path);
    return images ? ada_images_ready(images) : ADA_OK;
}

ada_status ada_rows_load(ada_rows *r, const ada_model *m, ada_images *images, const char *path,
                         const ada_dataset_opts *keys, bool all_tokens, int max_length, ada_arena *a) {
    ada_dataset *d = NULL;
    *r = (ada_rows){.path = path};
    ADA_TRY(ada_dataset_open(&d, path, keys));
    snprintf(r->digest, sizeof r->digest, "%s", ada_dataset_digest(d));
    ada_status st = take_rows(r, m, images, d, all_tokens, max_length, a);
    ada_dataset_close(&d);
    return st;
}

int32_t ada_example_inputs(const ada_example *e) {
    int32_t n = e->n;
    while (n > 1 && !e->mask[n - 1]) n--;
    return n - 1;
}

size_t ada_example_tokens(const ada_example *e) {
    return (size_t)e->n + (size_t)e->nsource;
}

static int32_t rows_of_images(const int32_t *ids, int32_t n, int32_t vocab) {
    int32_t count = 0;
    for (int32_t i = 0; i < n; i++) count += ids[i] >= vocab;
    return count;
}

int32_t ada_example_images(const ada_example *e, int32_t vocab) {
    return rows_of_images(e->ids, e->n, vocab) + rows_of_images(e->source, e->nsource, vocab);
}

/* A position is wanted where the next token is a target: the mask, one further. */
ada_item ada_example_item(const ada_example *e, int32_t owner) {
    return (ada_item){.ids = e->ids,
                      .wanted = e->mask + 1,
                      .n = ada_example_inputs(e),
                      .owner = owner,
                      .source = e->source,
                      .nsource = e->nsource,
                      .prefix = e->prefix};
}

/* Sum of the k largest values, counted in by_value [max + 1]. */
static int64_t top(const int64_t *by_value, int32_t max, size_t k) {
    int64_t sum = 0, left = (int64_t)k;
    for (int32_t v = max; v > 0 && left > 0; v--) {
        int64_t n = by_value[v] < left ? by_value[v] : left;
        sum += n * v;
        left -= n;
    }
    return sum;
}

ada_status ada_rows_extent(const ada_rows *r, int32_t vocab, size_t k, ada_extent *x) {
    int32_t most_images = 0;
    *x = (ada_extent){0};
    for (size_t i = 0; i < r->n; i++) {
        int32_t inputs = ada_example_inputs(&r->ex[i]), images = ada_example_images(&r->ex[i], vocab);
        if (inputs > x->longest) x->longest = inputs;
        if (r->ex[i].targets > x->most) x->most = r->ex[i].targets;
        if (r->ex[i].nsource > x->longest_source) x->longest_source = r->ex[i].nsource;
        if (images > most_images) most_images = images;
    }
    size_t n = (size_t)x->longest + (size_t)x->most + (size_t)x->longest_source + (size_t)most_images + 4;
    int64_t *inputs = ada_os.alloc(n * sizeof *inputs), *targets = inputs + x->longest + 1;
    int64_t *sources = targets + x->most + 1, *images = sources + x->longest_source + 1;
    if (!inputs) return ada_fail(ADA_ENOMEM, "out of memory for a count of row lengths");
    memset(inputs, 0, n * sizeof *inputs);
    for (size_t i = 0; i < r->n; i++) {
        inputs[ada_example_inputs(&r->ex[i])]++;
        targets[r->ex[i].targets]++;
        sources[r->ex[i].nsource]++;
        images[ada_example_images(&r->ex[i], vocab)]++;
    }
    x->inputs = top(inputs, x->longest, k);
    x->targets = top(targets, x->most, k);
    x->sources = top(sources, x->longest_source, k);
    x->images = top(images, most_images, k);
    ada_os.release(inputs);
    return ADA_OK;
}
