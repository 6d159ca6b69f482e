/* SPDX-License-Identifier: Apache-2.0
 * The door to libcrypto: sha256, for all of io and engine. Owns: digests in the making.
 * Must not know: what is hashed. Invariant: a digest is lower-case hex, 64 digits and a NUL. */
#ifndef ADA_IO_SHA_H
#define ADA_IO_SHA_H
#include "io/status.h"
typedef struct ada_sha ada_sha;
ada_status ada_sha_open(ada_sha **s) ADA_MUST_USE;
ada_status ada_sha_add(ada_sha *s, const void *p, size_t n) ADA_MUST_USE;
ada_status ada_sha_close(ada_sha **s, char hex[65]) ADA_MUST_USE; /* hex may be NULL; NULLs *s in any case */
/* All of it at once. */
ada_status ada_sha_of(const void *p, size_t n, char hex[65]) ADA_MUST_USE;
#endif
