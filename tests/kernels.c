/* SPDX-License-Identifier: Apache-2.0
 * Every kernel on every ISA of the build: kernels [-q] [-v] [ROW]. -q: fewer shapes, for emulated CPUs; -v: a
 * line a row. Prints for each ISA the rows, calls, a digest of all EXACT outputs (the same on every ISA and
 * machine), and `not run on this CPU` where that is so. Exit 1 if anything is wrong. */
#include "tests/kernels_rows.h"

extern const struct ada_kernels ada_isa_avx512_emulated, ada_isa_amx_emulated;

static int quick, verbose;
static const char *only;

static int test_isa(const struct ada_kernels *k, const struct ada_kernels *scalar,
                    const struct ada_kernels *ref) {
    struct subject s = {.k = k, .scalar = scalar, .ref = ref, .digest = 0xcbf29ce484222325};
    int tried = 0;
    for (size_t i = 0; i < ROWS; i++) {
        if (only && strcmp(only, rows[i].name) != 0) continue;
        const int before = s.faults;
        try_row(&s, &rows[i], quick);
        if (verbose) printf("%s %s %s\n", k->isa, rows[i].name, s.faults == before ? "ok" : "FAULTY");
        tried++;
    }
    printf("%s: %d rows, %ld calls, %d faults", k->isa, tried, s.calls, s.faults);
    if (k != ref) printf(", digest %016llx", (unsigned long long)s.digest);
    printf("\n");
    return s.faults;
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-q") == 0)
            quick = 1;
        else if (strcmp(argv[i], "-v") == 0)
            verbose = 1;
        else
            only = argv[i];
    }
    const struct ada_kernels *ref = NULL, *scalar = NULL, *k;
    int runs, bad = 0;
    for (size_t i = 0; (k = ada_simd_isa(i, &runs)); i++) {
        if (strcmp(k->isa, "ref") == 0) ref = k;
        if (strcmp(k->isa, "scalar") == 0) scalar = k;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    rows_ready();
    windows_open();
    guards_on();
    printf("chosen: %s\n", ada_k.isa);
    for (size_t i = 0; (k = ada_simd_isa(i, &runs)); i++) {
        if (runs)
            bad |= test_isa(k, scalar, ref);
        else
            printf("not run on this CPU: %s\n", k->isa);
    }
    bad |= test_isa(&ada_isa_avx512_emulated, scalar, ref);
    if (!only || strcmp(only, "mm_pairs") == 0) {
        only = "mm_pairs"; /* the one row that amx does not share */
        bad |= test_isa(&ada_isa_amx_emulated, scalar, ref);
    }
    return bad != 0;
}
