/* SPDX-License-Identifier: Apache-2.0
 * What is done with a tensor file that opens: every byte that a view promises is read, every value is
 * widened. Owns nothing. Must not know: which format it is. Invariant: a view that cannot be read to its end
 * is a finding. */
#ifndef ADA_TESTS_FUZZ_TENSORS_H
#define ADA_TESTS_FUZZ_TENSORS_H

#include "io/tensors.h"
#include "tests/fuzz.h"

static inline void fuzz_read(const ada_tensors *t) {
    char hex[65];
    ada_buf text = {0};
    float out[1024];
    for (size_t i = 0; i < ada_tensors_count(t); i++) {
        const ada_tensor *v = ada_tensors_at(t, i);
        size_t n = ada_tensor_count(v);
        if (ada_tensors_find(t, v->name) != v) abort();
        for (size_t at = 0; at < n && n < 1 << 20; at += 1024) {
            if (ada_tensor_f32(v, at, n - at < 1024 ? n - at : 1024, out) != ADA_OK) break;
        }
    }
    ada_error_clear();
    fuzz_check(ada_tensors_digest(t, hex));
    fuzz_check(ada_json_text(ada_tensors_meta(t), 0, &text));
    ada_buf_free(&text);
}

/* Opens and reads; `format` is wanted, so that each target keeps to its own. */
static inline void fuzz_open(const uint8_t *data, size_t n, const char *format) {
    ada_tensors *t = NULL;
    ada_status st = ada_tensors_open(&t, fuzz_file(data, n));
    fuzz_check(st);
    if (st == ADA_OK && strcmp(ada_tensors_format(t), format) == 0) fuzz_read(t);
    ada_tensors_close(&t);
}

#endif
