/* SPDX-License-Identifier: Apache-2.0
 * Packing: forests of hand-made and random paths, each position found again, the invariants of a pack.
 * Owns: an arena. Must not know: models, tokens' meaning.
 * Invariant: what a pack promises is checked on each pack, however it was made. */
#include "engine/batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { MAX_ITEMS = 24, MAX_LEN = 12, MAX_T = MAX_ITEMS * MAX_LEN };
static ada_arena arena;

static ada_packer *packer(void) {
    ada_packer *p;
    ada_arena_free(&arena);
    assert_int_equal(ada_packer_layout(&p, &arena, MAX_T, MAX_ITEMS, 0), ADA_OK);
    return p;
}

static void check(const ada_packer *p, const ada_item *items, int32_t n) {
    const ada_pack *k = ada_packer_pack(p);
    int32_t at = 0, cost = 0;
    for (int32_t s = 0; s < k->nsegs; s++) {
        const ada_segment *g = &k->segs[s];
        assert_int_equal(g->start, at);
        assert_true(g->len > 0 && g->parent < s);
        assert_int_equal(g->pos, g->parent < 0 ? 0 : k->segs[g->parent].pos + k->segs[g->parent].len);
        at += g->len;
    }
    assert_int_equal(at, k->T);
    for (int32_t i = 0; i < n; i++) cost += ada_item_cost(i ? &items[i - 1] : NULL, &items[i]);
    assert_int_equal(cost, k->T);
    for (int32_t i = 1; i < k->nout; i++) assert_true(k->out[i] > k->out[i - 1]);
    for (int32_t i = 0; i < n; i++)
        for (int32_t j = 0; j < items[i].n; j++) {
            int32_t out = ada_packer_out(p, i, j);
            if (items[i].wanted[j]) assert_in_range(out, 0, k->nout - 1);
            if (out < 0) continue;
            assert_int_equal(k->ids[k->out[out]], items[i].ids[j]);
            const ada_segment *g = k->segs;
            while (k->out[out] >= g->start + g->len) g++;
            assert_int_equal(g->full, j < items[i].prefix);
            assert_int_equal(g->pos + k->out[out] - g->start, j);
            if (g->full) assert_true(g->parent < 0 && g->len == items[i].prefix);
        }
}

static void shares_prefixes(void **state) {
    (void)state;
    static const int32_t a[] = {5, 6, 7}, b[] = {5, 6, 8, 9}, c[] = {5, 6}, d[] = {4};
    static const uint8_t last3[] = {0, 0, 1}, last4[] = {0, 0, 0, 1}, last2[] = {0, 1}, all[] = {1};
    ada_item v[] = {{.ids = a, .wanted = last3, .n = 3, .owner = 0},
                    {.ids = b, .wanted = last4, .n = 4, .owner = 1},
                    {.ids = c, .wanted = last2, .n = 2, .owner = 2},
                    {.ids = d, .wanted = all, .n = 1, .owner = 3},
                    {.ids = a, .wanted = last3, .n = 3, .owner = 4}};
    ada_packer *p = packer();
    ada_items_sort(v, 5);
    assert_int_equal(ada_packer_build(p, v, 5), ADA_OK);
    const ada_pack *k = ada_packer_pack(p);
    assert_int_equal(k->T, 1 + 2 + 1 + 2);
    assert_int_equal(k->nsegs, 4);
    assert_int_equal(k->nout, 4); /* the two equal rows share theirs */
    assert_int_equal(v[0].owner, 3);
    assert_int_equal(v[2].owner, 0);
    assert_int_equal(v[3].owner, 4);
    assert_int_equal(ada_packer_out(p, 2, 2), ada_packer_out(p, 3, 2));
    assert_int_equal(ada_packer_out(p, 2, 0), -1);
    check(p, v, 5);
}

/* What sees itself is shared whole or not at all: by length, then by every token. */
static void prefixes_are_whole(void **state) {
    (void)state;
    static const int32_t a[] = {5, 6, 7, 8}, b[] = {5, 6, 7, 9}, c[] = {5, 6, 4, 8};
    static const uint8_t last[] = {0, 0, 0, 1};
    ada_item v[] = {{.ids = a, .wanted = last, .n = 4, .owner = 0, .prefix = 3},
                    {.ids = b, .wanted = last, .n = 4, .owner = 1, .prefix = 3},
                    {.ids = c, .wanted = last, .n = 4, .owner = 2, .prefix = 3},
                    {.ids = a, .wanted = last, .n = 4, .owner = 3, .prefix = 2},
                    {.ids = b, .wanted = last, .n = 4, .owner = 4},
                    {.ids = a, .wanted = last, .n = 4, .owner = 5, .prefix = 4}};
    ada_packer *p = packer();
    ada_items_sort(v, 6);
    assert_int_equal(ada_packer_build(p, v, 6), ADA_OK);
    assert_int_equal(ada_packer_pack(p)->T, 4 + 4 + 4 + (3 + 2) + 4);
    assert_int_equal(ada_packer_pack(p)->nsegs, 1 + 2 + 2 + 3 + 1);
    check(p, v, 6);
}

static void random_forests(void **state) {
    (void)state;
    static int32_t ids[MAX_ITEMS][MAX_LEN];
    static uint8_t wanted[MAX_ITEMS][MAX_LEN];
    ada_item v[MAX_ITEMS];
    ada_packer *p = packer();
    srand(1);
    for (int round = 0; round < 500; round++) {
        int32_t n = 1 + rand() % MAX_ITEMS;
        for (int32_t i = 0; i < n; i++) {
            v[i] = (ada_item){.ids = ids[i], .wanted = wanted[i], .n = rand() % (MAX_LEN + 1), .owner = i};
            if (round % 2) v[i].prefix = rand() % (v[i].n + 1);
            for (int32_t j = 0; j < MAX_LEN; j++) ids[i][j] = rand() % 2, wanted[i][j] = rand() % 3 == 0;
        }
        ada_items_sort(v, n);
        assert_int_equal(ada_packer_build(p, v, n), ADA_OK);
        check(p, v, n);
    }
}

static void refuses_what_does_not_fit(void **state) {
    (void)state;
    static int32_t ids[MAX_T + 1];
    static uint8_t wanted[MAX_T + 1];
    ada_item v[MAX_ITEMS + 1] = {{.ids = ids, .wanted = wanted, .n = MAX_T + 1}};
    ada_packer *p = packer();
    assert_int_equal(ada_packer_build(p, v, 1), ADA_EINTERNAL);
    v[0].n = 1;
    assert_int_equal(ada_packer_build(p, v, MAX_ITEMS + 1), ADA_EINTERNAL);
}

static int end(void **state) {
    (void)state;
    ada_arena_free(&arena);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(shares_prefixes),
                                       cmocka_unit_test(prefixes_are_whole), cmocka_unit_test(random_forests),
                                       cmocka_unit_test(refuses_what_does_not_fit)};
    return cmocka_run_group_tests(tests, NULL, end);
}
