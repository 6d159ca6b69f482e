/* SPDX-License-Identifier: Apache-2.0
 * Adapters and the methods that make them. Owns: named f32 parameters, their gradients and moments.
 * A method is one file in adapter/; NULL members mean "not used". Trainer, bank and server see only this. */
#ifndef ADA_ENGINE_ADAPTER_H
#define ADA_ENGINE_ADAPTER_H

#include "engine/model.h"

enum { ADA_MAX_PARAMS = 16 };
/* ADA_DECODER: text at a decoder's input, where ADA_TEXT is what its encoder reads. */
typedef enum { ADA_TEXT = 0, ADA_IMAGE = 1, ADA_DECODER = 2, ADA_MODALITIES } ada_modality;
extern const char *const ada_modality_names[ADA_MODALITIES];
enum { ADA_F_NONE = 0, ADA_F_RELU, ADA_F_GELU, ADA_ACTIVATIONS };
extern const char *const ada_activation_names[ADA_ACTIVATIONS];
typedef enum { ADA_SITE_DECODER = 1, ADA_SITE_ENCODER = 2, ADA_SITE_BOTH = 3 } ada_site;
extern const char *const ada_site_names[ADA_SITE_BOTH + 1]; /* [0]: NULL */

typedef struct ada_param_set { /* one named array of an adapter */
    char name[48];             /* "text/down" → /adapter/text/down */
    int ndim;
    int64_t shape[2];
    size_t n;
    float *p, *g, *m, *v; /* g, m, v NULL until ada_adapter_trainable */
} ada_param_set;

struct ada_adapter {
    const struct ada_method *method;
    ada_model *model;
    int rank, activation; /* activation: index into ada_activation_names */
    ada_site site;
    bool with[ADA_MODALITIES]; /* wanted: text (of either stack, as site says), image */
    int first[ADA_MODALITIES]; /* a modality's first parameter; -1: it has none, and is left as it is */
    float scale;
    bool bias;
    double init_std;
    uint64_t seed;
    int nparams;
    ada_param_set params[ADA_MAX_PARAMS];
    ada_arena state;
    ada_json *notes; /* metrics and settings kept in the file, or NULL */
};

struct ada_method {
    const char *name;
    /* Image rows come to it as the model's connector reads them, [n, connector.in], and leave as rows of the
     * language model; else they come as the connector leaves them. */
    bool connects;
    bool low_rank; /* its options are rank, scale, activation, bias, init_std, site and modalities */
    /* Declares the parameters (ada_adapter_add) and fills them with their start. */
    ada_status (*init)(ada_adapter *a);
    /* Bytes of scratch for `rows` rows. */
    size_t (*embed_scratch)(const ada_adapter *a, size_t rows);
    /* y [n, d] = e' of e [n, d], one modality; scratch is kept for backward; y is not e. */
    void (*embed_forward)(const ada_adapter *a, ada_modality m, const float *e, size_t n, float *y,
                          void *scratch);
    /* dy [n, d] = gradient at y; adds into the params' g. e and scratch as forward had and left them. */
    void (*embed_backward)(ada_adapter *a, ada_modality m, const float *e, size_t n, const float *dy,
                           void *scratch);
};

/* What the tokens of m->stack are to an adapter: without an encoder they are the model's text. */
static inline ada_modality ada_stack_modality(const ada_model *m) {
    return m->encoder.layers ? ADA_DECODER : ADA_TEXT;
}

/* NULL: there is none of that name. */
const struct ada_method *ada_method_find(const char *name);
ada_status ada_adapter_add(ada_adapter *a, const char *name, int64_t rows, int64_t cols,
                           float **p) ADA_MUST_USE;            /* cols 0: a vector */
ada_status ada_adapter_trainable(ada_adapter *a) ADA_MUST_USE; /* gives g, m, v, zeroed */
void ada_adapter_zero_grad(ada_adapter *a);

#endif
