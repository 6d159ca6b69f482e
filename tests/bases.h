/* SPDX-License-Identifier: Apache-2.0
 * Whose runs are refused things (faults.c) and killed (kill.c): a decoder, an encoder-decoder, a model that
 * sees. Owns: where each is, its rows, how its adapter is read. Must not know: what is done to a run.
 * Invariant: the same bytes in every run, so that bits may be compared. */
#ifndef ADA_TESTS_BASES_H
#define ADA_TESTS_BASES_H

#include "io/h5.h"
#include "io/replace.h"
#include <stdio.h>
#include <string.h>

struct base {
    const char *name, *model; /* model: in tests/golden; NULL: the program's first argument */
    const char *site;         /* of the adapter */
    const char *sets[2];      /* of the adapter's numbers */
    bool sees;
};
enum { BASES = 3, BASE_PARAMS = 4, BASE_NUMBERS = 4096 };
static const struct base bases[BASES] = {
    {"a decoder", NULL, NULL, {"text"}, false},
    {"an encoder-decoder", "t5_gated", "both", {"text", "decoder_text"}, false},
    {"a model that sees", "vlm/llava_tied", NULL, {"text", "image"}, true},
};

static inline void base_model(const struct base *b, const char *tiny, char out[4096]) {
    if (b->model != NULL)
        snprintf(out, 4096, "%.2000s/../../golden/%s", tiny, b->model);
    else
        snprintf(out, 4096, "%.2000s", tiny);
}

/* Two pictures stand beside the weights of a model that sees: some rows have one. */
static inline bool base_rows(const struct base *b, const char *model, int n, const char *path) {
    ada_buf rows = {0};
    ada_status st = ADA_OK;
    for (int i = 0; i < n && st == ADA_OK; i++) {
        st = ada_buf_printf(&rows, "{\"prompt\": \"row %d of them\", \"completion\": \" %c%c\"", i,
                            "abcdefghi"[i % 9], "ABCDEFGHI"[i % 9]);
        if (b->sees && i % 3 != 0 && st == ADA_OK)
            st = ada_buf_printf(&rows, ", \"image\": \"%s/%c.png\"", model, "ab"[i % 2]);
        if (st == ADA_OK) st = ada_buf_puts(&rows, "}\n");
    }
    if (st == ADA_OK) st = ada_replace_bytes(path, rows.data, rows.len);
    ada_buf_free(&rows);
    return st == ADA_OK;
}

struct weights {
    float p[BASE_PARAMS][BASE_NUMBERS];
};

/* An adapter's numbers; whether the file is whole and has them. */
static inline bool base_weights(const struct base *b, const char *file, struct weights *w) {
    ada_h5_in *f = NULL;
    memset(w, 0, sizeof *w);
    bool ok = ada_h5_open(&f, file, true) == ADA_OK;
    for (int i = 0; ok && i < BASE_PARAMS && b->sets[i / 2] != NULL; i++) {
        char path[64];
        ada_dtype type;
        int ndim;
        int64_t shape[ADA_MAX_DIMS];
        snprintf(path, sizeof path, "/adapter/%s/%s", b->sets[i / 2], i % 2 ? "up" : "down");
        ok = ada_h5_shape(f, path, &type, &ndim, shape) == ADA_OK && shape[0] * shape[1] <= BASE_NUMBERS &&
             ada_h5_get_f32(f, path, (size_t)(shape[0] * shape[1]), w->p[i]) == ADA_OK;
    }
    ada_h5_close(&f);
    return ok;
}

static inline bool same_weights(const struct weights *a, const struct weights *b) {
    return memcmp(a, b, sizeof *a) == 0;
}

#endif
