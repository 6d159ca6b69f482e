/* SPDX-License-Identifier: Apache-2.0
 * The door to libcrypto: the only file that includes its headers. Owns: one digest context.
 * Must not know: what is hashed. Invariant: close frees the context, whatever came before. */
#include "io/sha.h"
#include "io/os.h"
#include <openssl/evp.h>
#include <stdbool.h>

struct ada_sha {
    EVP_MD_CTX *ctx;
};

static void release(ada_sha **s) {
    EVP_MD_CTX_free((*s)->ctx);
    ada_os.release(*s);
    *s = NULL;
}

ada_status ada_sha_open(ada_sha **s) {
    *s = ada_os.alloc(sizeof **s);
    if (*s == NULL) return ada_fail(ADA_ENOMEM, "out of memory for a sha256 context");
    (*s)->ctx = EVP_MD_CTX_new();
    if ((*s)->ctx != NULL && EVP_DigestInit_ex((*s)->ctx, EVP_sha256(), NULL) == 1) return ADA_OK;
    release(s);
    return ada_fail(ADA_ENOMEM, "libcrypto cannot start a sha256");
}

ada_status ada_sha_add(ada_sha *s, const void *p, size_t n) {
    if (n > 0 && EVP_DigestUpdate(s->ctx, p, n) != 1)
        return ada_fail(ADA_EINTERNAL, "libcrypto cannot add to a sha256");
    return ADA_OK;
}

ada_status ada_sha_close(ada_sha **s, char hex[65]) {
    if (*s == NULL) return ADA_OK;
    unsigned char sum[32];
    bool good = hex == NULL || EVP_DigestFinal_ex((*s)->ctx, sum, NULL) == 1;
    release(s);
    if (!good) return ada_fail(ADA_EINTERNAL, "libcrypto cannot finish a sha256");
    if (hex == NULL) return ADA_OK;
    for (int i = 0; i < 32; i++) {
        hex[2 * i] = "0123456789abcdef"[sum[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[sum[i] & 15];
    }
    hex[64] = 0;
    return ADA_OK;
}

ada_status ada_sha_of(const void *p, size_t n, char hex[65]) {
    ada_sha *s = NULL;
    ADA_TRY(ada_sha_open(&s));
    ada_status st = ada_sha_add(s, p, n), end = ada_sha_close(&s, hex);
    return st != ADA_OK ? st : end;
}
