/* SPDX-License-Identifier: Apache-2.0
 * Owns: how much work a stack's passes are, as the mathematics needs it: weights on the rows that pass, and
 * attention over the keys that are seen. Must not know: how it is done. */
#include "engine/stack.h"

typedef struct {
    double all, wanted; /* keys seen by all rows, by the wanted ones */
} seen;

static double visible(const ada_config *c, bool windowed, const ada_segment *e, int32_t row) {
    int32_t keys = e->pos + (row - e->start) + 1;
    if (c->mask == ADA_MASK_FULL || e->full) return e->pos + e->len;
    return windowed && keys > c->window ? c->window : keys;
}

static seen seen_keys(const ada_config *c, const ada_pack *p, bool windowed) {
    seen s = {0, 0};
    for (int32_t g = 0, o = 0; g < p->nsegs; g++) {
        const ada_segment *e = &p->segs[g];
        for (int32_t i = e->start; i < e->start + e->len; i++) {
            double keys = visible(c, windowed, e, i);
            s.all += keys;
            if (o < p->nout && p->out[o] == i) s.wanted += keys, o++;
        }
    }
    return s;
}

/* Of one layer's attention: products on rows whose keys and values are made, on rows that ask, with so many
 * keys seen. Scores and values forward; their two factors' gradients each backward. */
static double attention(const ada_config *c, double made, double asking, double keys, bool back) {
    double d = c->d, q = (double)c->heads * c->head_dim, kv = (double)c->kv_heads * c->head_dim;
    return 2 * d * (2 * kv * made + 2 * q * asking) + keys * q * (back ? 8 : 4);
}

double ada_stack_flops(const ada_stack *s, const ada_pack *p, bool back) {
    const ada_config *c = &s->c;
    seen full = seen_keys(c, p, false), near = c->window ? seen_keys(c, p, true) : full;
    double ffn = 2 * (double)c->d * (double)(ada_config_up_rows(c) + c->ffn), sum = 0;
    for (int32_t l = 0; l < c->layers; l++) {
        const seen *k = ada_config_windowed(c, l) ? &near : &full;
        bool last = l + 1 == c->layers;
        double rows = last ? p->nout : p->T;
        sum += attention(c, p->T, rows, last ? k->wanted : k->all, back) + rows * ffn;
    }
    return sum;
}

double ada_stack_flops_spared(const ada_stack *s, const ada_pack *p) {
    const ada_config *c = &s->c;
    seen k = seen_keys(c, p, ada_config_windowed(c, 0));
    bool last = c->layers == 1;
    return attention(c, p->T, last ? p->nout : p->T, last ? k.wanted : k.all, true);
}
