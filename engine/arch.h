/* SPDX-License-Identifier: Apache-2.0
 * What an architecture is: how to fill the switches, and a table of tensor names. One file in arch/ each.
 * Invariant: every tensor of a file is claimed once or listed as ignored, every required row is found; else
 * EMISMATCH with the names. */
#ifndef ADA_ENGINE_ARCH_H
#define ADA_ENGINE_ARCH_H

#include "engine/config.h"
#include "io/tensors.h"

/* Our parameters. "%d" in a name is the layer. */
typedef enum {
    ADA_P_EMBED,
    ADA_P_POSITIONS,
    ADA_P_FINAL_NORM,
    ADA_P_FINAL_NORM_B,
    ADA_P_HEAD,
    ADA_P_HEAD_B,
    ADA_P_ATTN_NORM,
    ADA_P_ATTN_NORM_B,
    ADA_P_Q,
    ADA_P_K,
    ADA_P_V,
    ADA_P_QKV,
    ADA_P_Q_B,
    ADA_P_K_B,
    ADA_P_V_B,
    ADA_P_QKV_B,
    ADA_P_Q_NORM,
    ADA_P_K_NORM,
    ADA_P_O,
    ADA_P_O_B,
    ADA_P_ATTN_POST,
    ADA_P_FFN_NORM,
    ADA_P_FFN_NORM_B,
    ADA_P_GATE,
    ADA_P_GATE_B,
    ADA_P_UP,
    ADA_P_UP_B,
    ADA_P_GATE_UP, /* gate rows, then up rows */
    ADA_P_GATE_UP_B,
    ADA_P_DOWN,
    ADA_P_DOWN_B,
    ADA_P_ATTN_SCALE,
    ADA_P_FFN_SCALE,
    ADA_P_BUCKETS,
    ADA_P_CROSS_NORM,
    ADA_P_CROSS_Q,
    ADA_P_CROSS_K,
    ADA_P_CROSS_V,
    ADA_P_CROSS_O,
    ADA_P_FFN_POST,
    ADA_P_ROPE_FACTORS,
    ADA_P_PATCH, /* [d, channels, height, width] */
    ADA_P_PATCH_B,
    ADA_P_CLASS,
    ADA_P_REGISTERS,
    ADA_P_PRE_NORM,
    ADA_P_PRE_NORM_B,
    ADA_P_IGNORED,
    ADA_P_COUNT
} ada_param;

/* Whether each layer has its own. */
static inline bool ada_param_is_layers(ada_param p) {
    return p >= ADA_P_ATTN_NORM && p <= ADA_P_FFN_POST;
}

/* What undoes a source's quirk. */
enum {
    ADA_ROW_TRANSPOSED = 1, /* [k, rows] in the file */
    ADA_ROW_UNPERMUTE = 2,  /* heads' rows with rotary pairs side by side */
    ADA_ROW_PLUS_ONE = 4,   /* a norm's weight less 1 */
    ADA_ROW_BY_HEAD = 8 /* rows of q, k and v of the first head, then of the next; not q, then k, then v */
};

typedef struct ada_arch_row {
    ada_param param;
    const char *hf, *gguf; /* NULL: not in that format */
    unsigned hf_flags, gguf_flags;
} ada_arch_row;

struct ada_claims;
struct ada_arch {
    const char *name;
    const char *const *hf_types;   /* config.json model_type values, NULL-terminated */
    const char *const *gguf_names; /* general.architecture values */
    const char *hf_prefix;         /* of hf names, which files of the bare model leave out; or NULL */
    ada_status (*from_hf)(ada_config *c, const ada_json *config);
    ada_status (*from_gguf)(ada_config *c, const ada_json *meta);
    /* GGUF: what the tensors say that no key does, before they are checked; or NULL */
    void (*from_gguf_tensors)(ada_config *c, struct ada_claims *cl);
    const ada_arch_row *rows; /* ends with .param = ADA_P_COUNT; of rows for one parameter a file fits one */
    const ada_arch_row *encoder; /* likewise, what a decoder's encoder has; or NULL */
};

/* The tensors of a file by parameter and layer. */
typedef struct ada_claim {
    const ada_tensor *t; /* NULL: the file has none */
    unsigned flags;
} ada_claim;
typedef struct ada_claims {
    ada_claim *at[ADA_P_COUNT]; /* each [layers]; what is not a layer's stands at 0 */
    size_t params;              /* numbers in the claimed tensors, a tied head's copy not counted */
} ada_claims;

/* Fills c from the metadata of an open file: which architecture, its switches. EUNSUPPORTED names an unknown
 * one. */
ada_status ada_arch_read(const struct ada_arch **arch, ada_config *c, const ada_json *meta) ADA_MUST_USE;
/* Of a vision tower, or of the one within a larger model ("vision_config"). EUNSUPPORTED where there is none.
 */
ada_status ada_arch_read_tower(const struct ada_arch **arch, ada_config *c,
                               const ada_json *meta) ADA_MUST_USE;
/* Claims every tensor and checks its shape; of a tower those whose names begin as its patch embedding's does,
 * for the rest belongs to whatever it is part of. GGUF has no keys for biases and a tied head: there the
 * file's tensors decide, and c is completed; likewise whether an encoder-decoder's head is tied. Tables come
 * from `a`. */
ada_status ada_arch_claim(ada_claims *cl, const struct ada_arch *arch, ada_config *c, const ada_tensors *file,
                          ada_arena *a) ADA_MUST_USE;
/* The encoder's, with ada_config_encoder's c: together the two claim every tensor. */
ada_status ada_arch_claim_encoder(ada_claims *cl, const struct ada_arch *arch, const ada_config *c,
                                  const ada_tensors *file, ada_arena *a) ADA_MUST_USE;
/* Whether a tensor of the claimed file, or the same of one that this is a part of, is read as a vector though
 * its extents are a matrix's: positions, class and register tokens, biases by distance. layers: as many as
 * were claimed. */
bool ada_claims_vector(const ada_claims *cl, int32_t layers, const ada_tensor *t);

#endif
