/* SPDX-License-Identifier: Apache-2.0
 * A bounds-checked cursor: the only way bytes of a file are parsed. Owns nothing; points into a mapping.
 * Must not know: formats. Invariant: at <= n, and no read passes n; a failed read leaves the cursor where it
 * was. */
#ifndef ADA_IO_READER_H
#define ADA_IO_READER_H

#include "io/status.h"
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the file formats are little-endian, and so must the machine be"
#endif

typedef struct ada_reader {
    const unsigned char *p;
    size_t n, at;
    const char *name; /* of the file, for errors */
} ada_reader;

static inline size_t ada_read_left(const ada_reader *r) {
    return r->n - r->at;
}

/* The next n bytes, in place. */
ADA_MUST_USE static inline ada_status ada_read_bytes(ada_reader *r, uint64_t n, const unsigned char **out) {
    if (n > ada_read_left(r))
        return ada_fail(ADA_EFORMAT, "'%s' ends at byte %zu, but %llu bytes are wanted at %zu", r->name, r->n,
                        (unsigned long long)n, r->at);
    *out = r->p + r->at;
    r->at += (size_t)n;
    return ADA_OK;
}

/* The next `size` bytes as a little-endian value of that size. */
ADA_MUST_USE static inline ada_status ada_read_value(ada_reader *r, void *out, size_t size) {
    const unsigned char *p;
    ADA_TRY(ada_read_bytes(r, size, &p));
    memcpy(out, p, size);
    return ADA_OK;
}

ADA_MUST_USE static inline ada_status ada_read_u32(ada_reader *r, uint32_t *v) {
    return ada_read_value(r, v, sizeof *v);
}
ADA_MUST_USE static inline ada_status ada_read_u64(ada_reader *r, uint64_t *v) {
    return ada_read_value(r, v, sizeof *v);
}

#endif
