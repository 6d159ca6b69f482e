/* SPDX-License-Identifier: Apache-2.0
 * The harness of kernels: what tests/kernels.c runs on every ISA and tests/kernels_selftest.c on planted
 * faults. Owns: where arrays lie (between guard pages, misaligned, in place), what surrounds them, what they
 * hold, and what counts as a fault. Must not know: any kernel; tests/kernels_rows.h says what each takes and
 * how near it must be. Invariant: inputs come from a counter, integers and exact scaling, so every machine
 * sees the same bits. */
#ifndef ADA_TESTS_KERNELS_HARNESS_H
#define ADA_TESTS_KERNELS_HARNESS_H

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "simd/half.h"
#include "simd/kernels.h"

#define U 0x1p-24 /* half a unit in the last place of 1 */

enum { MAX_BUFS = 8, WINDOW = 1 << 18, FENCE = 256, CANARY = 0xa5 };
enum use { IN, OUT, INOUT };
enum elem { F32 = 4, U16 = 2, U8 = 1 };
/* ANY: all a float may be; POSITIVE; UNIT: -1 to 1; GIVEN: the job's own values; PAIRS: two bf16; of U16 and
 * U8 any bits, but HALVES, which are bf16 numbers */
enum fill { ANY, POSITIVE, UNIT, GIVEN, PAIRS, HALVES };
/* what inputs hold. PLAIN: -8 to 8; WIDE: 2^±20; SPARSE: plain, and some NaN, infinities or denormals; DENSE:
 * any float, huge, tiny and special */
enum mode { PLAIN, WIDE, SPARSE, DENSE, MODES };

struct buf {
    enum elem elem;
    enum use use;
    enum fill fill;
    size_t count;
    unsigned may_be; /* bit i: an output that may be the same array as buffer i */
};

struct job {
    size_t n, k;
    float s[4];
    size_t target;
    const float *given;
    int nbufs;
    struct buf b[MAX_BUFS];
};

struct value { /* what a kernel returned */
    int has;
    double v;
};

struct row {
    const char *name;
    int exact;    /* EXACT of kernels.def */
    size_t block; /* n is a multiple of it */
    int two;      /* k matters, too */
    int slow;     /* fewer shapes */
    int dense;    /* the oracle binds for DENSE inputs: no step between input and output can overflow */
    void (*plan)(struct job *j);
    struct value (*call)(const struct ada_kernels *k, const struct job *j, void *const *p);
    /* |difference| allowed to element i of buffer b (-1: the returned value) whose oracle is `want`; p: the
     * inputs */
    double (*allowed)(const struct job *j, void *const *p, int b, size_t i, double want);
};

enum fault {
    FAULT_NONE,
    FAULT_CANARY,
    FAULT_GUARD,
    FAULT_INPUT,
    FAULT_BITS,
    FAULT_ORACLE,
    FAULT_ALIAS,
    FAULTS
};
static const char *const fault_names[FAULTS] = {"none",
                                                "writes beside an array",
                                                "touches memory beyond an array",
                                                "changes an input",
                                                "differs from scalar in bits",
                                                "is too far from the oracle",
                                                "differs when in place"};

struct subject { /* an ISA under test */
    const struct ada_kernels *k;
    const struct ada_kernels *scalar, *ref;
    uint64_t digest;
    long calls;
    int faults, quiet;
    enum fault first;
};

/* ---- places ---- */
enum place { AT_END, AT_START, ODD, PLACES };
static uint8_t *windows[MAX_BUFS];

static void windows_open(void) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (int b = 0; b < MAX_BUFS; b++) {
        uint8_t *p = mmap(NULL, WINDOW + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED || mprotect(p + page, WINDOW, PROT_READ | PROT_WRITE) != 0) {
            perror("mmap");
            exit(2);
        }
        windows[b] = p + page;
    }
}

static uint8_t *place_of(int b, const struct buf *f, enum place place) {
    const size_t bytes = f->count * f->elem;
    if (bytes + 2 * FENCE > WINDOW) {
        fprintf(stderr, "an array of %zu bytes is beyond the harness\n", bytes);
        exit(2);
    }
    if (place == AT_END) return windows[b] + WINDOW - bytes;
    if (place == AT_START) return windows[b];
    return windows[b] + FENCE + f->elem * (1 + 2 * (size_t)b);
}

/* the bytes around an array, as far as the fence goes inside its window */
static int fence(uint8_t *p, size_t bytes, int b, int check) {
    uint8_t *from = p - windows[b] > FENCE ? p - FENCE : windows[b], *end = windows[b] + WINDOW;
    uint8_t *to = end - (p + bytes) > FENCE ? p + bytes + FENCE : end;
    if (!check) {
        memset(from, CANARY, (size_t)(p - from));
        memset(p + bytes, CANARY, (size_t)(to - (p + bytes)));
        return 1;
    }
    for (uint8_t *q = from; q < to; q++) {
        if (q == p) q += bytes;
        if (q < to && *q != CANARY) return 0;
    }
    return 1;
}

static sigjmp_buf guard_jump;
static void guard_hit(int sig) {
    (void)sig;
    siglongjmp(guard_jump, 1);
}
static void guards_on(void) {
    struct sigaction a = {.sa_handler = guard_hit, .sa_flags = SA_NODEFER};
    sigaction(SIGSEGV, &a, NULL);
    sigaction(SIGBUS, &a, NULL);
}

/* ---- inputs ---- */
static uint64_t mix(uint64_t *s) {
    uint64_t z = *s += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}
static float float_of(uint32_t bits) {
    float f;
    memcpy(&f, &bits, 4);
    return f;
}
static float special(uint64_t r) {
    static const uint32_t list[] = {0x7f800000, 0xff800000, 0x7fc00000, 0xffc12345, 0x00000000, 0x80000000,
                                    0x00000001, 0x80000001, 0x007fffff, 0x00800000, 0x7f7fffff, 0xff7fffff,
                                    0x7e967699, 0x1e3ce508, 0x3f800000, 0xbf7fffff, 0x7fa00001};
    if (r >> 32 & 3) return float_of(list[r % (sizeof list / sizeof *list)]);
    return float_of((uint32_t)r);
}
static float one_float(uint64_t *s, enum mode mode) {
    const uint64_t r = mix(s);
    if (mode == DENSE) return special(r);
    if (mode == WIDE)
        return float_of((uint32_t)(r >> 63 << 31) | (uint32_t)(107 + r % 41) << 23 | (r >> 20 & 0x7fffff));
    return (float)((int32_t)(r >> 40 & 0xffffff) - 0x800000) * 0x1p-20f;
}
static void fill(void *p, const struct buf *f, const struct job *j, uint64_t *s, enum mode mode) {
    uint8_t *bytes = p;
    float *x = p;
    if (f->elem != F32 && f->fill != HALVES) {
        for (size_t i = 0; i < f->count * f->elem; i++) bytes[i] = (uint8_t)(mix(s) >> 17);
        return;
    }
    /* one kind of special a job: a NaN among infinities would hide them */
    static const uint32_t sparse[4][2] = {{0x7fc00000, 0x7fc00000},
                                          {0x7f800000, 0x7f800000},
                                          {0xff800000, 0xff800000},
                                          {0x80000000, 0x00012345}};
    const uint32_t *kind = sparse[*s >> 7 & 3];
    for (size_t i = 0; i < f->count; i++) {
        float one = one_float(s, mode);
        if (mode == SPARSE && mix(s) % (f->count / 3 + 1) == 0) one = float_of(kind[mix(s) & 1]);
        if (f->fill == HALVES) {
            ((uint16_t *)p)[i] = ada_bf16_of(one);
            continue;
        }
        x[i] = one;
        if (f->fill == UNIT && isfinite(x[i]))
            x[i] *= mode == WIDE ? 0x1p-21f : mode == DENSE ? 0x1p-127f : 0x1p-3f;
        if (f->fill == POSITIVE) x[i] = fabsf(x[i]);
        if (f->fill == GIVEN) x[i] = j->given[i];
        if (f->fill == PAIRS) {
            const uint32_t words[2] = {ada_bf16_of(x[i]), ada_bf16_of(one_float(s, mode))};
            x[i] = float_of(words[0] | words[1] << 16);
        }
    }
}

/* ---- results ---- */
static int is_nan(float f) {
    return f != f;
}

static float half(const void *p, size_t i) {
    return ada_bf16_value(((const uint16_t *)p)[i]);
}

/* bits, and one NaN is as good as another where IEEE leaves it open */
static int same(const void *a, const void *b, const struct buf *f, size_t *at) {
    if (memcmp(a, b, f->count * f->elem) == 0) return 1;
    for (*at = 0; *at < f->count; ++*at) {
        const size_t i = *at;
        if (f->elem == F32) {
            const float *x = a, *y = b;
            if (memcmp(x + i, y + i, 4) != 0 && !(is_nan(x[i]) && is_nan(y[i]))) return 0;
        } else if (f->fill == HALVES && is_nan(half(a, i)) && is_nan(half(b, i))) {
            continue;
        } else if (memcmp((const uint8_t *)a + i * f->elem, (const uint8_t *)b + i * f->elem, f->elem) != 0) {
            return 0;
        }
    }
    return 1;
}
static int same_value(struct value a, struct value b) {
    return (isnan(a.v) && isnan(b.v)) || memcmp(&a.v, &b.v, sizeof a.v) == 0;
}
/* within `allowed` of the oracle; a NaN or an infinity must be the oracle's, unless NaN is allowed: anything
 */
static int near(double got, double want, double allowed) {
    if (got == want || isnan(allowed)) return 1;
    if (isnan(want) || isnan(got)) return isnan(want) && isnan(got);
    return !isinf(want) && !isinf(got) && fabs(got - want) <= allowed;
}

/* width: bytes of a floating-point number, whose NaNs are one; 0: of none */
static void digest(uint64_t *d, const void *p, size_t bytes, int width) {
    const uint8_t *b = p;
    for (size_t i = 0; i < bytes; i++) {
        uint8_t c = b[i];
        if (width == 4 && is_nan(((const float *)p)[i / 4])) c = 0xff;
        if (width == 2 && is_nan(half(p, i / 2))) c = 0xff;
        *d = (*d ^ c) * 0x100000001b3;
    }
}

static void blame(struct subject *s, const struct row *r, const struct job *j, enum mode mode, enum fault f,
                  const char *detail) {
    static const char *const modes[MODES] = {"plain", "wide", "sparse", "dense"};
    if (s->faults == 0) s->first = f;
    if (s->faults++ < 20 && !s->quiet)
        printf("%s %s: n = %zu, k = %zu, %s inputs: %s%s%s\n", s->k->isa, r->name, j->n, j->k, modes[mode],
               fault_names[f], *detail ? ": " : "", detail);
}

/* ---- one call ---- */
/* Calls `k` with the inputs `in` put in place; outputs are copied to `out`. same_as[b]: the buffer that b
 * shares. */
static enum fault run(const struct ada_kernels *k, const struct row *r, const struct job *j, void *const *in,
                      void **out, struct value *v, enum place place, const int *same_as) {
    void *p[MAX_BUFS] = {0};
    for (int b = 0; b < j->nbufs; b++) {
        const struct buf *f = &j->b[b];
        const int at = same_as ? same_as[b] : b;
        p[b] = place_of(at, f, place);
        if (at != b) continue;
        memcpy(p[b], in[b], f->count * f->elem);
        fence(p[b], f->count * f->elem, b, 0);
    }
    if (sigsetjmp(guard_jump, 1)) return FAULT_GUARD;
    *v = r->call(k, j, p);
    for (int b = 0; b < j->nbufs; b++) {
        const struct buf *f = &j->b[b];
        const int at = same_as ? same_as[b] : b;
        if (at == b && !fence(p[b], f->count * f->elem, b, 1)) return FAULT_CANARY;
        int shared = 0;
        for (int o = 0; o < j->nbufs && same_as; o++) shared |= o != b && same_as[o] == b;
        if (f->use == IN && !shared && memcmp(p[b], in[b], f->count * f->elem) != 0) return FAULT_INPUT;
        if (f->use != IN) memcpy(out[b], p[b], f->count * f->elem);
    }
    return FAULT_NONE;
}

static double element(const void *p, const struct buf *f, size_t i) {
    if (f->elem == U8) return ((const uint8_t *)p)[i];
    if (f->fill == HALVES) return half(p, i);
    return f->elem == F32 ? (double)((const float *)p)[i] : ((const uint16_t *)p)[i];
}

static void compare_oracle(struct subject *s, const struct row *r, const struct job *j, enum mode mode,
                           void *const *in, void *const *got, void *const *want, struct value gv,
                           struct value wv) {
    char text[128];
    if (gv.has && !near(gv.v, wv.v, r->allowed(j, in, -1, 0, wv.v))) {
        snprintf(text, sizeof text, "returns %.9g, not %.9g ± %.3g", gv.v, wv.v,
                 r->allowed(j, in, -1, 0, wv.v));
        blame(s, r, j, mode, FAULT_ORACLE, text);
    }
    for (int b = 0; b < j->nbufs; b++) {
        if (j->b[b].use == IN) continue;
        for (size_t i = 0; i < j->b[b].count; i++) {
            const double g = element(got[b], &j->b[b], i), w = element(want[b], &j->b[b], i);
            if (near(g, w, r->allowed(j, in, b, i, w))) continue;
            snprintf(text, sizeof text, "[%d][%zu] = %.9g, not %.9g ± %.3g", b, i, g, w,
                     r->allowed(j, in, b, i, w));
            blame(s, r, j, mode, FAULT_ORACLE, text);
            break;
        }
    }
}

static void compare_bits(struct subject *s, const struct row *r, const struct job *j, enum mode mode,
                         void *const *got, void *const *base, struct value gv, struct value bv,
                         enum fault as) {
    char text[128];
    size_t i;
    if (!same_value(gv, bv)) {
        snprintf(text, sizeof text, "returns %.9g, not %.9g", gv.v, bv.v);
        blame(s, r, j, mode, as, text);
    }
    for (int b = 0; b < j->nbufs; b++)
        if (j->b[b].use != IN && !same(got[b], base[b], &j->b[b], &i)) {
            snprintf(text, sizeof text, "[%d][%zu] = %.9g, not %.9g", b, i, element(got[b], &j->b[b], i),
                     element(base[b], &j->b[b], i));
            blame(s, r, j, mode, as, text);
        }
}

/* In place: each pair that may be one array, then as many as can be at once. */
static void try_aliases(struct subject *s, const struct row *r, const struct job *j, enum mode mode,
                        void *const *in, void **out, void *const *base, struct value bv) {
    struct value v;
    for (int pair = 0; pair <= MAX_BUFS * MAX_BUFS; pair++) {
        int as[MAX_BUFS], any = 0, taken = 0;
        for (int b = 0; b < MAX_BUFS; b++) as[b] = b;
        for (int b = 0; b < j->nbufs; b++)
            for (int o = 0; o < j->nbufs; o++) {
                const int all = pair == MAX_BUFS * MAX_BUFS;
                if (!(j->b[b].may_be >> o & 1) || !(all || pair == b * MAX_BUFS + o) || as[b] != b ||
                    taken >> o & 1)
                    continue;
                as[b] = o;
                taken |= 1 << o;
                any = 1;
            }
        if (!any) continue;
        const enum fault f = run(s->k, r, j, in, out, &v, AT_END, as);
        s->calls++;
        if (f)
            blame(s, r, j, mode, f, "in place");
        else
            compare_bits(s, r, j, mode, out, base, v, bv, FAULT_ALIAS);
    }
}

/* One row, shape and kind of input on one ISA, everywhere. */
static void try_job(struct subject *s, const struct row *r, struct job *j, enum mode mode) {
    static uint8_t store[4][MAX_BUFS][WINDOW];
    void *in[MAX_BUFS], *out[MAX_BUFS], *base[MAX_BUFS], *want[MAX_BUFS];
    struct value v, bv = {0, 0}, wv = {0, 0};
    r->plan(j);
    uint64_t seed = 0xcbf29ce484222325;
    digest(&seed, r->name, strlen(r->name), 0);
    seed += j->n * 64 + j->k * 8 + mode;
    for (int b = 0; b < j->nbufs; b++) {
        in[b] = store[0][b], out[b] = store[1][b], base[b] = store[2][b], want[b] = store[3][b];
        if (j->b[b].use == OUT)
            memset(in[b], 0x5a, j->b[b].count * j->b[b].elem);
        else
            fill(in[b], &j->b[b], j, &seed, mode);
    }
    enum fault f = run(s->scalar, r, j, in, base, &bv, AT_END, NULL);
    if (!f) f = run(s->ref, r, j, in, want, &wv, AT_END, NULL);
    if (f) blame(s, r, j, mode, f, "scalar or ref itself");
    for (int place = 0; place < PLACES; place++) {
        f = run(s->k, r, j, in, out, &v, (enum place)place, NULL);
        s->calls++;
        if (f) {
            blame(s, r, j, mode, f, "");
            continue;
        }
        if (r->exact && s->k != s->ref) compare_bits(s, r, j, mode, out, base, v, bv, FAULT_BITS);
        if (place != AT_END) continue;
        if (mode != DENSE || r->dense) compare_oracle(s, r, j, mode, in, out, want, v, wv);
        for (int b = 0; b < j->nbufs && r->exact; b++)
            if (j->b[b].use != IN)
                digest(&s->digest, out[b], j->b[b].count * j->b[b].elem,
                       j->b[b].elem == F32      ? 4
                       : j->b[b].fill == HALVES ? 2
                                                : 0);
        if (r->exact && v.has)
            digest(&s->digest, isnan(v.v) ? (const void *)"NaN     " : &v.v, sizeof v.v, 0);
    }
    if (s->k != s->ref) try_aliases(s, r, j, mode, in, out, base, bv);
}

/* All shapes of a row. quick: fewer of them, for emulated CPUs, as of every row that is slow. */
static void try_row(struct subject *s, const struct row *r, int quick) {
    static const size_t ks[] = {1, 2, 3, 5, 8, 17, 33};
    const size_t most = r->block > 1 ? r->block * (quick ? 3 : 20) : 300;
    quick |= r->slow;
    for (size_t n = 0; n <= most; n += r->block) {
        if (quick && r->block == 1 && n > 36 && n != 47 && n != 64 && n != 79 && n != 129 && n != 300)
            continue;
        for (int mode = 0; mode < MODES; mode++) {
            struct job j = {.n = n, .k = r->two ? ks[(n + (size_t)mode) % 7] : 0};
            try_job(s, r, &j, (enum mode)mode);
        }
    }
}

#endif
