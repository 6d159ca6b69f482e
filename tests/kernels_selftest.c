/* SPDX-License-Identifier: Apache-2.0
 * The harness of kernels against kernels that are wrong on purpose. Each planted fault takes the place of one
 * kernel in a copy of the scalar table, and must be caught as what it is. Must not know: vectors. Invariant:
 * the unspoilt table passes every row that a fault is planted in. */
#include "tests/kernels_rows.h"

#define FAULTY(name, ...) static void name(__VA_ARGS__)
#define EACH for (size_t i = 0; i < n; i++)

FAULTY(add_tail, float *y, const float *a, const float *b, size_t n) { /* as if n were a multiple of 4 */
    EACH y[i] = a[i] + b[i];
    for (size_t i = n; i % 4; i++) y[i] = 0;
}
FAULTY(add_before, float *y, const float *a, const float *b, size_t n) {
    EACH y[i] = a[i] + b[i];
    y[-1] = 0;
}
FAULTY(add_lane, float *y, const float *a, const float *b, size_t n) { /* lane 4 from lane 3 */
    EACH y[i] = i % 16 == 4 ? a[i - 1] + b[i - 1] : a[i] + b[i];
}
FAULTY(add_short, float *y, const float *a, const float *b, size_t n) {
    for (size_t i = 0; i + 1 < n; i++) y[i] = a[i] + b[i];
}
FAULTY(add_far, float *y, const float *a, const float *b, size_t n) {
    EACH y[i] = a[i] + b[i];
    (void)*(const volatile float *)(a + n);
}
FAULTY(add_input, float *y, const float *a, const float *b, size_t n) {
    EACH y[i] = a[i] + b[i];
    if (n > 2 && y != a) ((float *)(uintptr_t)a)[2] += 1;
}
FAULTY(add_long_only, float *y, const float *a, const float *b, size_t n) { /* right below 64 */
    EACH y[i] = n >= 64 && i == n / 2 ? a[i] : a[i] + b[i];
}
FAULTY(scale_cleared, float *y, const float *a, float s, size_t n) { /* wrong in place */
    memset(y, 0, n * sizeof *y);
    EACH y[i] = a[i] * s;
}
FAULTY(scale_zero, float *y, const float *a, float s, size_t n) { /* loses the sign of 0 */
    EACH y[i] = a[i] * s + 0.0f;
}
FAULTY(axpy_twice, float *y, const float *x, float s, size_t n) { /* two roundings, not one */
    EACH {
        volatile float product = x[i] * s;
        y[i] += product;
    }
}
FAULTY(bf16_cut, uint16_t *y, const float *x, size_t n) { /* rounds towards zero */
    EACH y[i] = (uint16_t)(ada_f32_bits(x[i]) >> 16);
}
FAULTY(bf16_up, uint16_t *y, const float *x, size_t n) { /* ties away from zero */
    EACH y[i] = is_nan(x[i]) ? ada_bf16_of(x[i]) : (uint16_t)((ada_f32_bits(x[i]) + 0x8000) >> 16);
}

static const struct ada_kernels *right;
FAULTY(silu_nan, float *y, const float *a, size_t n) { /* swallows a NaN */
    EACH {
        const float x = a[i] == a[i] ? a[i] : 0;
        right->silu(y + i, &x, 1);
    }
}
FAULTY(silu_near, float *y, const float *a, size_t n) { /* 1e-5 away, on every ISA alike */
    right->silu(y, a, n);
    EACH y[i] *= 1.00001f;
}
static float dot_in_order(const float *a, const float *b, size_t n) { /* one lane, not the fixed tree */
    float s = 0;
    EACH s = fmaf(a[i], b[i], s);
    return s;
}
static float max_first(const float *a, size_t n) { /* misses the last */
    return right->max(a, n > 1 ? n - 1 : n);
}

static const struct row *find(const char *name) {
    for (size_t i = 0; i < ROWS; i++)
        if (strcmp(rows[i].name, name) == 0) return &rows[i];
    fprintf(stderr, "no row '%s'\n", name);
    exit(2);
}

static const struct ada_kernels *ref;
static int wrong;

/* Plants nothing when want is FAULT_NONE. everywhere: the scalar table has the fault too. */
static void expect(const char *what, const char *name, const struct ada_kernels *k, int everywhere,
                   enum fault want) {
    struct subject s = {.k = k, .scalar = everywhere ? k : right, .ref = ref, .quiet = 1};
    try_row(&s, find(name), 0);
    const int ok = want == FAULT_NONE ? s.faults == 0 : s.faults > 0 && s.first == want;
    printf("%s %s, %s: %s\n", ok ? "ok" : "FAULTY", name, what, fault_names[s.first]);
    wrong |= !ok;
}

#define PLANT(kernel, bad, everywhere, want)                                                                 \
    do {                                                                                                     \
        struct ada_kernels spoilt = *right;                                                                  \
        expect("unspoilt", #kernel, &spoilt, 0, FAULT_NONE);                                                 \
        spoilt.kernel = bad;                                                                                 \
        expect(#bad, #kernel, &spoilt, everywhere, want);                                                    \
    } while (0)

int main(void) {
    const struct ada_kernels *k;
    int runs;
    for (size_t i = 0; (k = ada_simd_isa(i, &runs)); i++) {
        if (strcmp(k->isa, "ref") == 0) ref = k;
        if (strcmp(k->isa, "scalar") == 0) right = k;
    }
    rows_ready();
    windows_open();
    guards_on();
    PLANT(add, add_tail, 0, FAULT_GUARD);
    PLANT(add, add_before, 0, FAULT_CANARY);
    PLANT(add, add_lane, 0, FAULT_BITS);
    PLANT(add, add_short, 0, FAULT_BITS);
    PLANT(add, add_far, 0, FAULT_GUARD);
    PLANT(add, add_input, 0, FAULT_INPUT);
    PLANT(add, add_long_only, 0, FAULT_BITS);
    PLANT(scale, scale_cleared, 0, FAULT_ALIAS);
    PLANT(scale, scale_zero, 0, FAULT_BITS);
    PLANT(axpy, axpy_twice, 0, FAULT_BITS);
    PLANT(f32_to_bf16, bf16_cut, 0, FAULT_BITS);
    PLANT(f32_to_bf16, bf16_up, 0, FAULT_BITS);
    PLANT(silu, silu_nan, 0, FAULT_BITS);
    PLANT(silu, silu_near, 1, FAULT_ORACLE);
    PLANT(dot, dot_in_order, 0, FAULT_BITS);
    PLANT(max, max_first, 0, FAULT_BITS);
    return wrong;
}
