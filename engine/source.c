/* SPDX-License-Identifier: Apache-2.0
 * Owns: one encoder's pass over one prompt. Must not know: where the ids come from.
 * Invariant: room is laid out anew for a longer prompt only. */
#include "engine/source.h"
#include "engine/embed.h"
#include "io/os.h"

struct ada_source {
    ada_model *m;
    ada_adapter *a;
    ada_images *images;
    int32_t readers, max; /* max: rows there is room for */
    ada_arena arena;
    ada_join *join;
    ada_pass *pass;
    ada_memory *memory;
    float *x, *h;   /* [max, d] */
    int32_t *out;   /* [max] */
    int32_t *reads; /* [readers] all of them the one segment there is */
    ada_segment seg;
    ada_pack pack;
};

ada_status ada_source_open(ada_source **out, ada_model *m, ada_adapter *a, ada_images *images,
                           int32_t readers) {
    ada_source *s = ada_os.alloc(sizeof *s);
    *out = s;
    if (!s) return ada_fail(ADA_ENOMEM, "out of memory for a prompt");
    *s = (ada_source){.m = m, .a = a, .images = images, .readers = readers};
    return ADA_OK;
}

void ada_source_close(ada_source **s) {
    if (!*s) return;
    ada_arena_free(&(*s)->arena);
    ada_os.release(*s);
    *s = NULL;
}

static ada_status layout(ada_source *s, int32_t n) {
    size_t d = (size_t)s->m->c.d, count;
    ada_memory_limits lim = {n, 1, s->readers, s->readers, s->readers, false, false};
    if (!ada_mul_size((size_t)n, d, &count)) return ada_fail(ADA_EINVAL, "a prompt of %d tokens", n);
    ada_arena_free(&s->arena);
    s->max = 0;
    ada_join_limits j = {
        .tokens = ADA_TEXT, .unique = n, .image_rows = s->images ? n : 0, .images = s->images};
    ADA_TRY(ada_join_layout(&s->join, &s->arena, s->m, s->a, &j));
    ADA_TRY(ada_pass_layout(&s->pass, &s->arena, &s->m->encoder, n, 1, n, n, false));
    ADA_TRY(ada_memory_layout(&s->memory, &s->arena, &s->m->stack, &lim));
    ADA_TRY(ada_arena_take(&s->arena, &s->x, count, sizeof(float)));
    ADA_TRY(ada_arena_take(&s->arena, &s->h, count, sizeof(float)));
    ADA_TRY(ada_arena_take(&s->arena, &s->out, (size_t)n, sizeof *s->out));
    ADA_TRY(ada_arena_zero(&s->arena, &s->reads, (size_t)s->readers, sizeof *s->reads));
    for (int32_t i = 0; i < n; i++) s->out[i] = i;
    s->max = n;
    return ADA_OK;
}

ada_status ada_source_read(ada_source *s, const int32_t *ids, int32_t n) {
    if (n > s->max) ADA_TRY(layout(s, n));
    s->seg = (ada_segment){.len = n, .parent = -1, .cache = -1};
    s->pack = (ada_pack){.T = n, .nsegs = 1, .nout = n, .ids = ids, .segs = &s->seg, .out = s->out};
    ada_join_clear(s->join);
    ada_join_add(s->join, ids, n);
    ADA_TRY(ada_join_start(s->join));
    ada_join_rows(s->join, ids, n, s->x);
    ada_stack_forward(&s->m->encoder, &s->pack, s->pass, NULL, s->x, s->h);
    ada_memory_fill(s->memory, &s->pack, s->h);
    ada_memory_read(s->memory, s->reads);
    return ADA_OK;
}

ada_memory *ada_source_memory(const ada_source *s) {
    return s->memory;
}
