/* SPDX-License-Identifier: Apache-2.0
 * The cache: what is put at a layer, slot, head and position is found there, and nothing else moves.
 * Owns nothing. Must not know: attention. Invariant: every cell holds a value of its own. */
#include "engine/kv.h"
#include "engine/stack.h"
#include "io/os.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

enum { LAYERS = 3, SLOTS = 2, HEADS = 2, DIM = 5, CAPACITY = 7, LD = HEADS * DIM + 3 };

static float value(int layer, int slot, int pos, int column, int v) {
    return (float)((((layer * SLOTS + slot) * CAPACITY + pos) * HEADS * DIM + column) * 2 + v);
}

static void found_again(void **state) {
    (void)state;
    ada_stack s = {.c = {.layers = LAYERS, .kv_heads = HEADS, .head_dim = DIM}, .type = ADA_F32};
    ada_kv *kv;
    assert_int_equal(ada_kv_open(&kv, &s, SLOTS, CAPACITY), ADA_OK);
    for (int slot = 0; slot < SLOTS; slot++)
        for (int layer = 0; layer < LAYERS; layer++)
            for (int pos = 0, n = 1; pos < CAPACITY; pos += n, n = 3) {
                float k[3 * LD], v[3 * LD];
                for (int i = 0; i < n; i++)
                    for (int c = 0; c < HEADS * DIM; c++) {
                        k[i * LD + c] = value(layer, slot, pos + i, c, 0);
                        v[i * LD + c] = value(layer, slot, pos + i, c, 1);
                    }
                ada_kv_put(kv, layer, slot, pos, n, k, v, LD);
            }
    for (int slot = 0; slot < SLOTS; slot++) {
        assert_int_equal(ada_kv_len(kv, slot), CAPACITY);
        for (int layer = 0; layer < LAYERS; layer++)
            for (int h = 0; h < HEADS; h++) {
                const float *k = ada_kv_keys(kv, layer, slot, h), *v = ada_kv_values(kv, layer, slot, h);
                for (int pos = 0; pos < CAPACITY; pos++)
                    for (int c = 0; c < DIM; c++) {
                        assert_true(k[pos * DIM + c] == value(layer, slot, pos, h * DIM + c, 0));
                        assert_true(v[pos * DIM + c] == value(layer, slot, pos, h * DIM + c, 1));
                    }
            }
    }
    ada_kv_truncate(kv, 1, 4);
    assert_int_equal(ada_kv_len(kv, 1), 4);
    ada_kv_truncate(kv, 1, 6);
    assert_int_equal(ada_kv_len(kv, 1), 4);
    assert_int_equal(ada_kv_len(kv, 0), CAPACITY);
    ada_kv_close(&kv);
    assert_null(kv);
    ada_kv_close(&kv);
}

static int allowed;
static void *(*real_alloc)(size_t);
static void *rationed(size_t n) {
    return allowed-- > 0 ? real_alloc(n) : NULL;
}

static void refusals(void **state) {
    (void)state;
    ada_stack s = {.c = {.layers = LAYERS, .kv_heads = HEADS, .head_dim = DIM}, .type = ADA_BF16};
    ada_kv *kv;
    assert_int_equal(ada_kv_open(&kv, &s, 0, 5), ADA_EINVAL);
    assert_null(kv);
    s.c.layers = INT32_MAX;
    assert_int_equal(ada_kv_open(&kv, &s, INT32_MAX, INT32_MAX), ADA_ENOMEM);
    assert_null(kv);
    s.c.layers = 20000; /* its own block, whatever the arena's grain */
    real_alloc = ada_os.alloc;
    ada_os.alloc = rationed;
    for (int n = 0; n < 4; n++) {
        allowed = n;
        ada_status st = ada_kv_open(&kv, &s, 4, 50);
        assert_true(st == ADA_OK ? n > 0 && kv : st == ADA_ENOMEM && !kv);
        ada_kv_close(&kv);
    }
    ada_os.alloc = real_alloc;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(found_again), cmocka_unit_test(refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
