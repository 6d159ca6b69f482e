/* SPDX-License-Identifier: Apache-2.0
 * Which ISA runs. Owns: ada_k, and the question whether this CPU and system can run each ISA of the build.
 * Must not know: what kernels do. Invariant: ada_k is whole at all times, from before main on. */
#include <stdlib.h>
#include <string.h>
#include "registry.h"
#include "simd/kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>

enum { AVX = 1 << 28, FMA = 1 << 12, F16C = 1 << 29, OSXSAVE = 1 << 27 };            /* leaf 1, ecx */
enum { AVX2 = 1 << 5, AVX512F = 1 << 16, AVX512DQ = 1 << 17, AVX512BW = 1 << 30 };   /* leaf 7, ebx */
enum { YMM_STATE = 0x6, ZMM_STATE = 0xe6 };                                          /* xcr0 */
enum { AVX512BF16 = 1 << 5 };                                                        /* leaf 7.1, eax */
enum { AMX_BF16 = 1 << 22, AMX_TILE = 1 << 24 };                                     /* leaf 7, edx */
static const unsigned avx512vl = 1u << 31;

/* The CPU's flags in leaf 1 ecx and leaf 7 ebx, and the registers that the system saves. */
static int cpu_has(unsigned c1, unsigned b7, unsigned state)
{
    unsigned a, b, c, d, a7, b7_, c7, d7;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !__get_cpuid_count(7, 0, &a7, &b7_, &c7, &d7)) return 0;
    c1 |= OSXSAVE;
    if ((c & c1) != c1 || (b7_ & b7) != b7) return 0;
    unsigned lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (lo & state) == state;
}

static inline int runs_avx2(void) { return cpu_has(AVX | FMA | F16C, AVX2, YMM_STATE); }
static inline int runs_avx512(void)
{
    return runs_avx2() && cpu_has(AVX, AVX512F | AVX512DQ | AVX512BW | avx512vl, ZMM_STATE);
}
static inline int runs_avx512bf16(void)
{
    unsigned a = 0, b, c, d;
    return runs_avx512() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && a & AVX512BF16;
}
/* Tiles are large: Linux saves them for programs that ask (arch_prctl's ARCH_REQ_XCOMP_PERM). */
static int tiles_asked(void)
{
    long status = -1;
#if defined(__linux__) && defined(__LP64__)
    enum { ARCH_PRCTL = 158, ASK = 0x1023, TILE_DATA = 18 };
    __asm__ volatile("syscall"
                     : "=a"(status)
                     : "a"((long)ARCH_PRCTL), "D"((long)ASK), "S"((long)TILE_DATA)
                     : "rcx", "r11", "memory");
#endif
    return status == 0;
}
static inline int runs_amx(void)
{
    const unsigned want = AMX_BF16 | AMX_TILE;
    unsigned a, b, c, d = 0;
    return runs_avx512bf16() && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & want) == want &&
           tiles_asked();
}
#endif

static inline int runs_ref(void) { return 1; }
static inline int runs_scalar(void) { return 1; }
#ifdef __aarch64__
static inline int runs_neon(void) { return 1; } /* AArch64 always has it */
#endif

#define X(isa) extern const struct ada_kernels ada_isa_##isa;
ADA_ISAS(X)
#undef X

static const struct {
    const struct ada_kernels *k;
    int (*runs)(void);
} isas[] = {
#define X(isa) {&ada_isa_##isa, runs_##isa},
    ADA_ISAS(X)
#undef X
};
enum { ISAS = sizeof isas / sizeof isas[0] };

struct ada_kernels ada_k;

const struct ada_kernels *ada_simd_isa(size_t i, int *runs)
{
    if (i >= ISAS) return NULL;
    *runs = isas[i].runs();
    return isas[i].k;
}

enum ada_simd_status ada_simd_init(const char *want)
{
    if (!want) want = getenv("ADALINK_ISA");
    if (want && !*want) want = NULL;
    for (size_t i = ISAS; i-- > 0;) {
        if (want && strcmp(want, isas[i].k->isa) != 0) continue;
        if (isas[i].runs()) {
            ada_k = *isas[i].k;
            return ADA_SIMD_OK;
        }
        if (want) return ADA_SIMD_MISSING;
    }
    return ADA_SIMD_UNKNOWN;
}

/* A wrong ADALINK_ISA is for the program to report; until then the best one serves. */
__attribute__((constructor)) static void choose(void)
{
    if (ada_simd_init(NULL) == ADA_SIMD_OK) return;
    for (size_t i = ISAS; i-- > 0;)
        if (isas[i].runs()) {
            ada_k = *isas[i].k;
            return;
        }
}
