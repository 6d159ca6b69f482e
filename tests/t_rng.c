/* SPDX-License-Identifier: Apache-2.0
 * Philox against the published test vectors, and the moments of what is made of it.
 * Owns nothing. Must not know: who draws. Invariant: no value here comes from this code itself. */
#include "engine/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* Random123's kat_vectors, philox 4x32, 10 rounds; our counter is {index, index >> 32, purpose, 0}. */
static void vectors(void **state) {
    (void)state;
    uint32_t r[4];
    ada_rng_block(0, 0, 0, r);
    assert_int_equal(r[0], 0x6627e8d5);
    assert_int_equal(r[1], 0xe169c58d);
    assert_int_equal(r[2], 0xbc57ac4c);
    assert_int_equal(r[3], 0x9b00dbd8);
}

static void uniform(void **state) {
    (void)state;
    double sum = 0, low = 1, high = 0;
    for (uint64_t i = 0; i < 100000; i++) {
        double u = ada_rng_uniform(3, ADA_RNG_INIT, i);
        sum += u;
        if (u < low) low = u;
        if (u > high) high = u;
    }
    assert_true(low >= 0 && low < 1e-4 && high < 1 && high > 1 - 1e-4);
    assert_true(fabs(sum / 100000 - 0.5) < 4 * 0.2887 / sqrt(100000)); /* 4 standard errors */
}

static void normal(void **state) {
    (void)state;
    double sum = 0, sq = 0, n = 100000;
    for (uint64_t i = 0; i < 100000; i++) {
        double x = ada_rng_normal(3, ADA_RNG_INIT, i);
        sum += x;
        sq += x * x;
    }
    assert_true(fabs(sum / n) < 4 / sqrt(n));
    assert_true(fabs(sq / n - 1) < 4 * sqrt(2 / n));
}

static void streams_differ(void **state) {
    (void)state;
    assert_true(ada_rng_uniform(1, ADA_RNG_INIT, 0) != ada_rng_uniform(2, ADA_RNG_INIT, 0));
    assert_true(ada_rng_uniform(1, ADA_RNG_INIT, 0) != ada_rng_uniform(1, ADA_RNG_SHUFFLE, 0));
    assert_true(ada_rng_uniform(1, ADA_RNG_INIT, 0) != ada_rng_uniform(1, ADA_RNG_INIT, (uint64_t)1 << 32));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(vectors), cmocka_unit_test(uniform),
                                       cmocka_unit_test(normal), cmocka_unit_test(streams_differ)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
