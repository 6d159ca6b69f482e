/* SPDX-License-Identifier: Apache-2.0
 * Parts of a pack: where it is cut, and that threads which take parts through all layers get the bits that
 * one thread gets, alone or reading a memory, with and without a cache. */
#include "engine/cross.h"
#include "engine/kv.h"
#include "tests/pass.h"

enum { ROWS = 64, TREES = 4, T = ROWS * TREES, MOST_D = 64, LONGEST = 40 };

/* Each tree a segment of LONGEST rows and what goes on from it. */
static void forest(ada_segment seg[2 * TREES]) {
    for (int32_t i = 0; i < TREES; i++) {
        seg[2 * i] = (ada_segment){.start = i * ROWS, .len = LONGEST, .parent = -1, .cache = -1};
        seg[2 * i + 1] = (ada_segment){
            .start = i * ROWS + LONGEST, .len = ROWS - LONGEST, .parent = 2 * i, .pos = LONGEST, .cache = -1};
    }
}

/* Each a segment of its own. */
static void rows_of(ada_segment seg[TREES]) {
    for (int32_t i = 0; i < TREES; i++)
        seg[i] = (ada_segment){.start = i * ROWS, .len = ROWS, .parent = -1, .cache = -1};
}

/* Parts tile the pack's rows, segments and wanted rows in order. */
static void tiles(const ada_pack *p, const ada_part *part, int32_t n) {
    int32_t seg = 0, row = 0, out = 0;
    for (int32_t i = 0; i < n; i++) {
        assert_int_equal(part[i].seg, seg);
        assert_int_equal(part[i].row, row);
        assert_int_equal(part[i].out, out);
        assert_true(part[i].segs > 0 && p->segs[seg].parent < 0);
        for (int32_t o = out; o < out + part[i].outs; o++)
            assert_true(p->out[o] >= row && p->out[o] < row + part[i].rows);
        seg += part[i].segs, row += part[i].rows, out += part[i].outs;
    }
    assert_int_equal(seg, p->nsegs);
    assert_int_equal(row, p->T);
    assert_int_equal(out, p->nout);
}

static void test_cut(void **state) {
    (void)state;
    static const int32_t out[] = {3, 70, 255};
    const ada_reading none = {0};
    ada_segment seg[2 * TREES];
    ada_part part[2 * TREES];
    forest(seg);
    ada_pack p = {T, 2 * TREES, 3, NULL, seg, out};
    assert_int_equal(ada_pack_cut(&p, &none, 2, 64, part), 4);
    tiles(&p, part, 4);
    assert_int_equal(part[2].outs, 0);
    assert_int_equal(ada_pack_cut(&p, &none, 2, 65, part), 2);
    tiles(&p, part, 2);
    assert_int_equal(ada_pack_cut(&p, &none, 4, 1000, part), 4); /* one for each, however small */
    assert_int_equal(ada_pack_cut(&p, &none, 3, 64, part), 0);   /* not evenly */
    assert_int_equal(ada_pack_cut(&p, &none, 5, 8, part), 0);
    seg[4].start += 2, seg[3].len += 2; /* a border that is off by a little, and by more */
    assert_int_equal(ada_pack_cut(&p, &none, 2, 128, part), 2);
    tiles(&p, part, 2);
    seg[4].start++, seg[3].len++;
    assert_int_equal(ada_pack_cut(&p, &none, 2, 128, part), 0);
    forest(seg);
    seg[5].parent = 2; /* a tree that begins before another has ended */
    assert_int_equal(ada_pack_cut(&p, &none, 2, 128, part), 0);
}

static void test_cut_reading(void **state) {
    (void)state;
    ada_segment seg[2 * TREES], own[6] = {{0}};
    ada_part part[2 * TREES];
    int32_t reads[] = {1, 1, 1, 1, 3, 3, 4, 4};
    forest(seg);
    ada_pack p = {T, 2 * TREES, 0, NULL, seg, NULL}, memory = {6, 6, 0, NULL, own, NULL};
    ada_reading r = {&memory, reads};
    assert_int_equal(ada_pack_cut(&p, &r, 2, 64, part), 2); /* the first two trees read the same */
    tiles(&p, part, 2);
    assert_int_equal(part[0].read, 0);
    assert_int_equal(part[0].reads, 3);
    assert_int_equal(part[1].read, 3);
    assert_int_equal(part[1].reads, 3);
    reads[4] = reads[5] = 1;
    assert_int_equal(ada_pack_cut(&p, &r, 2, 64, part), 0);
    reads[0] = reads[1] = 5; /* not in order */
    assert_int_equal(ada_pack_cut(&p, &r, 2, 64, part), 0);
    ada_part whole = ada_pack_whole(&p, &r);
    tiles(&p, &whole, 1);
    assert_int_equal(whole.reads, 6);
}

/* Gradients at h that differ from row to row. */
static void some_dh(pass_run *r, size_t n) {
    for (size_t i = 0; i < n; i++) r->dh[i] = (float)(i * 5 % 11) / 4 - 1;
}

static void words_of(int32_t *ids, const ada_config *c) {
    for (int32_t i = 0; i < T; i++) ids[i] = (i * 29 + i / 7) % c->vocab;
}

typedef struct {
    float h[T * MOST_D], dx[T * MOST_D], memory[T * MOST_D];
} result;

static void same(const result *a, const result *b, const ada_pack *p, size_t d) {
    assert_memory_equal(a->h, b->h, (size_t)p->nout * d * sizeof(float));
    assert_memory_equal(a->dx, b->dx, (size_t)p->T * d * sizeof(float));
    assert_memory_equal(a->memory, b->memory, (size_t)p->T * d * sizeof(float));
}

static void run(const ada_model *m, const ada_pack *p, result *to) {
    pass_run r;
    size_t d = (size_t)m->c.d;
    pass_room(&r, &m->stack, &m->head, p, true);
    pass_embed(&r, m, p);
    ada_stack_forward(&m->stack, p, r.pass, NULL, r.x, r.h);
    memcpy(to->h, r.h, (size_t)p->nout * d * sizeof(float));
    some_dh(&r, (size_t)p->nout * d);
    ada_stack_backward(&m->stack, p, r.pass, r.dh, r.dx);
    memcpy(to->dx, r.dx, (size_t)p->T * d * sizeof(float));
    ada_arena_free(&r.arena);
}

static void test_alone(void **state) {
    static result first, other;
    static const int32_t out[] = {0, 5, 63, 130, 131, 250, 255}; /* none in the second tree */
    int32_t ids[T];
    ada_segment seg[2 * TREES], single[TREES];
    forest(seg);
    rows_of(single);
    for (int i = 0; i < 4; i++) {
        ada_model *m = golden_model(*state, i % 2 != 0);
        words_of(ids, &m->c);
        ada_pack p = {T, i < 2 ? 2 * TREES : TREES, 7, ids, i < 2 ? seg : single, out};
        ada_part part[2 * TREES];
        assert_int_equal(ada_pack_cut(&p, &(ada_reading){0}, 2, ADA_PANEL, part), 2); /* it is cut, then */
        assert_int_equal(ada_pack_cut(&p, &(ada_reading){0}, 4, ADA_PANEL, part), 4);
        (void)ada_par_force(1);
        run(m, &p, &first);
        for (int team = 2; team <= TREES; team++) {
            (void)ada_par_force(team);
            run(m, &p, &other);
            same(&first, &other, &p, (size_t)m->c.d);
        }
        (void)ada_par_force(2);
        ada_model_close(&m);
    }
}

/* Rows that go into a cache, then one more each from there. */
static void test_cache(void **state) {
    float first[2][T * MOST_D];
    int32_t ids[T], last[TREES];
    ada_segment seg[TREES];
    ada_model *m = golden_model(*state, false);
    words_of(ids, &m->c);
    for (int team = 1; team <= TREES; team++) {
        ada_kv *kv;
        pass_run r;
        (void)ada_par_force(team);
        assert_ok(ada_kv_open(&kv, &m->stack, TREES, ROWS));
        for (int more = 0; more < 2; more++) {
            int32_t n = more ? 1 : LONGEST;
            for (int32_t i = 0; i < TREES; i++) {
                seg[i] = (ada_segment){
                    .start = i * n, .len = n, .parent = -1, .pos = more ? LONGEST : 0, .cache = i};
                last[i] = (i + 1) * n - 1;
            }
            ada_pack p = {n * TREES, TREES, TREES, ids, seg, last};
            size_t bytes = TREES * (size_t)m->c.d * sizeof(float);
            pass_room(&r, &m->stack, &m->head, &p, false);
            pass_embed(&r, m, &p);
            ada_stack_forward(&m->stack, &p, r.pass, kv, r.x, r.h);
            if (team == 1) memcpy(first[more], r.h, bytes);
            assert_memory_equal(first[more], r.h, bytes);
            ada_arena_free(&r.arena);
        }
        ada_kv_close(&kv);
    }
    (void)ada_par_force(2);
    ada_model_close(&m);
}

static void run_reading(const ada_model *m, const ada_pack p[2], const int32_t *reads, result *to) {
    pass_run en, de;
    ada_memory *memory;
    size_t d = (size_t)m->c.d, n = T * d;
    pass_room(&en, &m->encoder, &m->head, &p[0], true);
    pass_room(&de, &m->stack, &m->head, &p[1], true);
    ada_memory_limits lim = {T, p[0].nsegs, T, p[1].nsegs, p[1].nout, true, true};
    assert_ok(ada_memory_layout(&memory, &de.arena, &m->stack, &lim));
    ada_pass_read(de.pass, memory);
    pass_embed(&en, m, &p[0]);
    pass_embed(&de, m, &p[1]);
    ada_stack_forward(&m->encoder, &p[0], en.pass, NULL, en.x, en.h);
    ada_memory_fill(memory, &p[0], en.h);
    ada_memory_read(memory, reads);
    ada_stack_forward(&m->stack, &p[1], de.pass, NULL, de.x, de.h);
    memcpy(to->h, de.h, (size_t)p[1].nout * d * sizeof(float));
    some_dh(&de, (size_t)p[1].nout * d);
    ada_stack_backward(&m->stack, &p[1], de.pass, de.dh, de.dx);
    memcpy(to->dx, de.dx, n * sizeof(float));
    ada_memory_back(memory, en.dh);
    ada_stack_backward(&m->encoder, &p[0], en.pass, en.dh, en.dx);
    memcpy(to->memory, en.dx, n * sizeof(float));
    /* ended early, it gives the memory the same */
    ada_memory_fill(memory, &p[0], en.h);
    ada_pass_end_early(de.pass);
    ada_stack_backward(&m->stack, &p[1], de.pass, de.dh, de.dx);
    memcpy(en.x, en.dh, n * sizeof(float));
    ada_memory_back(memory, en.dh);
    assert_memory_equal(en.x, en.dh, n * sizeof(float));
    ada_arena_free(&en.arena);
    ada_arena_free(&de.arena);
}

static void test_reading(void **state) {
    static result first, other;
    static const int32_t out[] = {0, 5, 63, 130, 131, 250, 255};
    /* the first two trees read one segment, the third two of them, and one is read by nobody */
    static const int32_t reads[] = {0, 0, 0, 0, 1, 1, 3, 3};
    int32_t ids[T], all[T];
    ada_segment seg[2 * TREES], source[TREES];
    forest(seg);
    rows_of(source);
    for (int32_t i = 0; i < T; i++) all[i] = i;
    for (int f32 = 0; f32 < 2; f32++) {
        ada_model *m = golden_model(*state, f32 != 0);
        words_of(ids, &m->c);
        ada_pack p[2] = {{T, TREES, T, ids, source, all}, {T, 2 * TREES, 7, ids, seg, out}};
        (void)ada_par_force(1);
        run_reading(m, p, reads, &first);
        for (int team = 2; team <= TREES; team++) {
            (void)ada_par_force(team);
            run_reading(m, p, reads, &other);
            same(&first, &other, &p[1], (size_t)m->c.d);
        }
        (void)ada_par_force(2);
        ada_model_close(&m);
    }
}

enum { MOST_ROWS = 3000 };
struct seen {
    const ada_panels *p;
    unsigned char times[MOST_ROWS];
    bool fits[MOST_ROWS];
};

static void see(const void *ctx, const ada_panel *panel, size_t first, size_t m) {
    struct seen *s = (struct seen *)(uintptr_t)ctx;
    (void)panel;
    for (size_t i = first; i < first + m; i++) s->times[i]++, s->fits[i] = m <= s->p->most;
}

/* Every row is in one panel, which has room for it, whatever the number of rows and threads, of which there
 * may be fewer than were laid out for. */
static void test_panels(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 63, 128, 300, 514, 1285, MOST_ROWS};
    const int here = ada_k.tiles;
    static struct seen s;
    for (int i = 0; i < 7 * 16; i++) {
        ada_arena arena = {0};
        ada_panels p;
        size_t most = sizes[i / 16];
        ada_k.tiles = i % 2;
        for (int laid = 1; laid <= 4; laid++) {
            (void)ada_par_force(laid);
            assert_int_equal(ada_panels_layout(&p, &arena, ADA_F32, most, 8, 8, i / 2 % 2, i / 4 % 2),
                             ADA_OK);
            for (int team = laid; team >= 1; team--)
                for (size_t rows = most; rows > 0; rows = rows > 9 ? rows * 7 / 9 : rows - 1) {
                    (void)ada_par_force(team);
                    if (i / 8 % 2) ada_panels_expect(&p, rows, false);
                    s = (struct seen){.p = &p};
                    ada_panels_run(&p, 0, rows, see, &s);
                    for (size_t r = 0; r < MOST_ROWS; r++) {
                        assert_int_equal(s.times[r], r < rows);
                        assert_int_equal(s.fits[r], r < rows);
                    }
                }
        }
        ada_arena_free(&arena);
    }
    ada_k.tiles = here;
    (void)ada_par_force(2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_cut_reading),
        cmocka_unit_test(test_panels),
        {"llama, grouped", test_alone, NULL, NULL, "tied_gqa"},
        {"windowed", test_alone, NULL, NULL, "window"},
        {"gemma 3", test_alone, NULL, NULL, "gemma3"},
        {"gpt-neox", test_alone, NULL, NULL, "gptneox"},
        {"one key head", test_alone, NULL, NULL, "gemma3_full"},
        {"cache", test_cache, NULL, NULL, "tied_gqa"},
        {"t5, gated", test_reading, NULL, NULL, "t5_gated"},
        {"t5, relu", test_reading, NULL, NULL, "t5_relu"},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
