/* SPDX-License-Identifier: Apache-2.0
 * The logits of rows of token ids, for tests/oracle_logits.py: logits_driver MODEL f32|bf16 [THREADS] reads
 * lines of ids and writes float32 [T, vocabulary] for each, one after another. Owns: nothing. Must not know:
 * text. */
#include "engine/model.h"
#include <stdio.h>
#include <stdlib.h>

enum { MAX_T = 4096 };

static ada_status row(const ada_model *m, const int32_t *ids, int32_t T) {
    ada_arena a = {0};
    ada_pass *pass;
    ada_head_ws *head;
    float *x, *h, *logits;
    int32_t *out;
    size_t d = (size_t)m->c.d, rows = (size_t)T, vocab = (size_t)m->c.vocab;
    ada_segment seg = {.start = 0, .len = T, .parent = -1, .pos = 0, .cache = -1, .adapter = -1};
    ADA_TRY(ada_pass_layout(&pass, &a, &m->stack, T, 1, T, T, false));
    ADA_TRY(ada_head_layout(&head, &a, &m->head, T));
    ADA_TRY(ada_arena_take(&a, &x, rows * d, sizeof *x));
    ADA_TRY(ada_arena_take(&a, &h, rows * d, sizeof *h));
    ADA_TRY(ada_arena_take(&a, &logits, rows * vocab, sizeof *logits));
    ADA_TRY(ada_arena_take(&a, &out, rows, sizeof *out));
    for (int32_t i = 0; i < T; i++) {
        if (ids[i] < 0 || ids[i] >= m->c.vocab)
            return ada_fail(ADA_EINVAL, "token id %d out of range", ids[i]);
        ada_model_embed(m, ids[i], x + (size_t)i * d);
        out[i] = i;
    }
    ada_stack_forward(&m->stack, &(ada_pack){T, 1, T, ids, &seg, out}, pass, NULL, x, h);
    ada_head_logits(&m->head, head, h, T, logits);
    size_t n = fwrite(logits, sizeof *logits, rows * vocab, stdout);
    ada_arena_free(&a);
    return n == rows * vocab ? ADA_OK : ada_fail(ADA_EIO, "cannot write logits");
}

static ada_status rows(const ada_model *m) {
    static char line[MAX_T * 8];
    static int32_t ids[MAX_T];
    while (fgets(line, sizeof line, stdin)) {
        int32_t T = 0;
        char *p = line, *end;
        for (long v = strtol(p, &end, 10); end != p && T < MAX_T; v = strtol(p, &end, 10))
            ids[T++] = (int32_t)v, p = end;
        if (T) ADA_TRY(row(m, ids, T));
    }
    return ADA_OK;
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: logits_driver MODEL f32|bf16 [THREADS] <ids\n");
        return 2;
    }
    ada_model *m = NULL;
    ada_model_opts o = {.f32 = !strcmp(argv[2], "f32"), .threads = argc > 3 ? atoi(argv[3]) : 0};
    ada_status st = ada_model_open(&m, argv[1], &o);
    if (st == ADA_OK) st = rows(m);
    if (st != ADA_OK)
        fprintf(stderr, "logits_driver: %s\n", ada_error());
    else
        fprintf(stderr, "%s: opened in %.3f s\n", m->name, m->open_seconds);
    ada_model_close(&m);
    return ada_status_exit(st);
}
