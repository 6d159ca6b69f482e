/* SPDX-License-Identifier: Apache-2.0
 * What the environment asks of the engine, checked before anything runs.
 * Owns: the sentence that a wrong ADALINK_ISA gets. Must not know: how simd chose its kernels before main.
 * Invariant: it changes nothing, so it may be called at any time, from any thread that has no other call. */
#include "engine/adalink.h"
#include "simd/kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

ada_status ada_engine_check(void) {
    const char *want = getenv("ADALINK_ISA");
    const struct ada_kernels *k;
    char can[128] = "";
    bool known = false;
    if (!want || !*want) return ADA_OK;
    for (size_t i = 0; i < 64; i++) {
        int runs;
        if (!(k = ada_simd_isa(i, &runs))) break;
        bool named = strcmp(k->isa, want) == 0;
        if (named && runs) return ADA_OK;
        known = known || named;
        size_t len = strlen(can);
        if (runs) snprintf(can + len, sizeof can - len, " %s", k->isa);
    }
    return ada_fail(ADA_EINVAL, "ADALINK_ISA '%s' is %s; it may be one of%s", want,
                    known ? "more than this CPU can run" : "not in this build", can);
}
