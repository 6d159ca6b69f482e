/* SPDX-License-Identifier: Apache-2.0
 * Repetition, the machine's peaks and the table: measure.h says the rest.
 * Must not know: what is measured. Invariant: the loop of the peak needs no memory and no kernel of ours. */
#include "perf/measure.h"
#include "engine/par.h"
#include "io/os.h"
#include "simd/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CHAINS = 10, ROUNDS = 100000, MAX_REPEAT = 1000, PIECE = 1 << 18, PIECES = 128 };

#define SPIN(name, width, isa)                                                                               \
    isa static float name(float start) {                                                                     \
        typedef float lanes __attribute__((vector_size(4 * width)));                                         \
        lanes zero = {0}, a[CHAINS], b = zero + start, c = zero + start * 0.5f, sum = zero;                  \
        for (int i = 0; i < CHAINS; i++) a[i] = zero + (float)i;                                             \
        for (int r = 0; r < ROUNDS; r++)                                                                     \
            for (int i = 0; i < CHAINS; i++) a[i] = a[i] * b + c;                                            \
        for (int i = 0; i < CHAINS; i++) sum += a[i];                                                        \
        return sum[0];                                                                                       \
    }
SPIN(spin4, 4, )
#if defined(__x86_64__)
SPIN(spin8, 8, __attribute__((target("avx2,fma"))))
SPIN(spin16, 16, __attribute__((target("avx512f"))))

/* Two multiply-adds a lane: pairs of bf16, here zeros, which take as long. */
__attribute__((target("avx512f,avx512bf16"))) static float spin_pairs(float start) {
    __m512 a[CHAINS];
    __m512i b = _mm512_castps_si512(_mm512_set1_ps(start - start));
    for (int i = 0; i < CHAINS; i++) a[i] = _mm512_set1_ps((float)i);
    for (int r = 0; r < ROUNDS; r++)
        for (int i = 0; i < CHAINS; i++) a[i] = _mm512_dpbf16_ps(a[i], (__m512bh)b, (__m512bh)b);
    for (int i = 1; i < CHAINS; i++) a[0] = _mm512_add_ps(a[0], a[i]);
    return _mm512_cvtss_f32(a[0]);
}

/* The same of AMX's tiles, 16 × 16 sums of 32 products each. */
__attribute__((target("amx-tile,amx-bf16"))) static float spin_tiles(float start) {
    ada_k.mm_pairs(&(ada_pair_tile){.n = 32}); /* sets the tiles' shape */
    _tile_zero(4);
    _tile_zero(6);
    _tile_zero(7);
    for (int r = 0; r < ROUNDS / 4; r++) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 4, 6);
        _tile_dpbf16ps(3, 4, 7);
    }
    return start;
}
#endif

struct work {
    float (*spin)(float start);
    const float *p;
    float out[1024];
};
static void spin_once(void *ctx, size_t i, int worker) {
    struct work *w = ctx;
    (void)i;
    w->out[worker % 1024] = w->spin(0.5f);
}
static void read_piece(void *ctx, size_t i, int worker) {
    struct work *w = ctx;
    w->out[worker % 1024] = ada_k.max(w->p + i * PIECE, PIECE);
}

/* Seconds. One thread is timed by its own CPU time, so that the rest of a busy machine does not count. */
static double now(void) {
    struct timespec t;
    if (ada_par_threads() > 1 || clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) != 0) return ada_os.now();
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The best of `tries`, in seconds. */
static double best(int tries, size_t items, ada_par_fn fn, struct work *w) {
    double least = INFINITY;
    for (int i = 0; i < tries; i++) {
        double start = now();
        ada_par_for(items, fn, w);
        least = fmin(least, now() - start);
    }
    return least;
}

double perf_peak(void) {
    struct work w = {.spin = spin4};
    size_t lanes = 4, items = 2 * (size_t)ada_par_threads();
#if defined(__x86_64__)
    if (!strcmp(ada_k.isa, "avx2")) w.spin = spin8, lanes = 8;
    if (!strcmp(ada_k.isa, "avx512")) w.spin = spin16, lanes = 16;
    if (!strcmp(ada_k.isa, "avx512bf16")) w.spin = spin_pairs, lanes = 32;
    if (!strcmp(ada_k.isa, "amx")) w.spin = spin_tiles, lanes = 16 * 16 * 32 / CHAINS;
#endif
    return (double)(items * 2 * lanes * CHAINS) * ROUNDS / best(3, items, spin_once, &w);
}

/* Bytes read a second, all threads, now. */
static double stream(void) {
    float *p = calloc((size_t)PIECE * PIECES, sizeof *p);
    if (!p) return NAN;
    for (size_t i = 0; i < (size_t)PIECE * PIECES; i++) p[i] = (float)i;
    double seconds = best(5, PIECES, read_piece, &(struct work){.p = p});
    free(p);
    return (double)PIECE * PIECES * sizeof *p / seconds;
}

static int repeat;
static double bandwidth;

static void print_cpu(void) {
    char line[256];
    FILE *f = fopen("/proc/cpuinfo", "r");
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, "model name", 10)) {
            printf("# cpu%s", strchr(line, ':') + 1);
            break;
        }
    if (f) fclose(f);
}

void perf_begin(int times) {
    repeat = times < 1 ? 1 : times > MAX_REPEAT ? MAX_REPEAT : times;
    print_cpu();
    bandwidth = stream();
    printf("# isa %s, %d threads, peak %.1f GF/s, read %.1f GB/s, %d repetitions\n", ada_k.isa,
           ada_par_threads(), perf_peak() * 1e-9, bandwidth * 1e-9, repeat);
    printf("%-24s %10s %9s %9s %11s %8s\n", "what", "median ms", "min", "max", "rate", "of peak");
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double row(const char *name, double work, bool bytes, perf_fn fn, void *ctx) {
    double t[MAX_REPEAT], share[MAX_REPEAT];
    fn(ctx);
    for (int i = 0; i < repeat; i++) {
        double start = now();
        fn(ctx);
        t[i] = now() - start;
        share[i] = work / t[i] / (bytes ? bandwidth : perf_peak());
    }
    qsort(t, (size_t)repeat, sizeof *t, ascending);
    qsort(share, (size_t)repeat, sizeof *share, ascending);
    double median = t[repeat / 2];
    printf("%-24s %10.3f %9.3f %9.3f %6.1f %s %8.2f\n", name, median * 1e3, t[0] * 1e3, t[repeat - 1] * 1e3,
           work / median * 1e-9, bytes ? "GB/s" : "GF/s", share[repeat / 2]);
    fflush(stdout);
    return median * 1e3;
}

double perf_flops(const char *name, double flops, perf_fn fn, void *ctx) {
    return row(name, flops, false, fn, ctx);
}
double perf_bytes(const char *name, double bytes, perf_fn fn, void *ctx) {
    return row(name, bytes, true, fn, ctx);
}
void perf_rest(const char *name, double ms) {
    printf("%-24s %10.3f\n", name, ms);
}
