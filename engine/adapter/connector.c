/* SPDX-License-Identifier: Apache-2.0
 * The model's connector as what is trained: rows of image features x [n, in] become rows of the language
 * model y = s·(x·W + b), or s·(act(x·W1 + b1)·W2 + b2), as engine/connector.h has them, W and b beginning as
 * the model's own. Text is left as it is. x comes from a frozen tower, so that no gradient goes to it.
 * Invariant: at the start y is the model's own rows, to the bit. */
#include "engine/adapter.h"
#include <stdio.h>
#include <string.h>

static ada_status add(ada_adapter *a, const char *what, int64_t rows, int64_t cols, const float *start) {
    char name[sizeof a->params[0].name];
    float *p;
    if (!start) return ADA_OK;
    (void)snprintf(name, sizeof name, "%s/%s", ada_modality_names[ADA_IMAGE], what);
    ADA_TRY(ada_adapter_add(a, name, rows, cols, &p));
    memcpy(p, start, a->params[a->nparams - 1].n * sizeof *p);
    return ADA_OK;
}

static ada_status init(ada_adapter *a) {
    if (!a->model->vision) return ada_fail(ADA_EINVAL, "the model has no connector");
    const ada_connector *c = &a->model->vision->connector;
    a->first[ADA_IMAGE] = a->nparams;
    if (c->kind == ADA_CONNECTOR_LINEAR) {
        ADA_TRY(add(a, "weight", c->in, c->d, c->w1));
        return add(a, "bias", c->d, 0, c->b1);
    }
    ADA_TRY(add(a, "weight_1", c->in, c->hidden, c->w1));
    ADA_TRY(add(a, "bias_1", c->hidden, 0, c->b1));
    ADA_TRY(add(a, "weight_2", c->hidden, c->d, c->w2));
    return add(a, "bias_2", c->d, 0, c->b2);
}

/* The model's connector, of the adapter's parameters or of their gradients. */
static ada_connector connector_of(const ada_adapter *a, bool gradients) {
    ada_connector c = a->model->vision->connector;
    float **const all[] = {&c.w1, &c.b1, &c.w2, &c.b2};
    const ada_param_set *p = &a->params[a->first[ADA_IMAGE]];
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (*all[i]) *all[i] = gradients ? p->g : p->p, p++;
    return c;
}

static size_t embed_scratch(const ada_adapter *a, size_t rows) {
    return ada_connector_scratch(&a->model->vision->connector, rows);
}

static void embed_forward(const ada_adapter *a, ada_modality m, const float *e, size_t n, float *y,
                          void *scratch) {
    (void)m;
    ada_connector c = connector_of(a, false);
    ada_connector_forward(&c, e, n, y, scratch);
}

static void embed_backward(ada_adapter *a, ada_modality m, const float *e, size_t n, const float *dy,
                           void *scratch) {
    (void)m;
    ada_connector c = connector_of(a, false), g = connector_of(a, true);
    ada_connector_backward(&c, e, n, dy, scratch, &(ada_connector_grads){g.w1, g.b1, g.w2, g.b2});
}

const struct ada_method ada_method_connector = {
    .name = "connector",
    .connects = true,
    .init = init,
    .embed_scratch = embed_scratch,
    .embed_forward = embed_forward,
    .embed_backward = embed_backward,
};
