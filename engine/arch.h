/* SPDX-License-Identifier: Apache-2.0
 * What an architecture is: how to fill the switches, and a table of tensor names. One file in arch/ each.
 * Invariant: every tensor of a file is claimed once or listed as ignored, every required row is found; else
 * EMISMATCH with the names. */
#ifndef ADA_ENGINE_ARCH_H
#define ADA_ENGINE_ARCH_H

#include "engine/config.h"
#include "io/json.h"

/* Our parameters. "%d" in a name is the layer. */
typedef enum {
    ADA_P_EMBED, ADA_P_POSITIONS, ADA_P_FINAL_NORM, ADA_P_FINAL_NORM_B, ADA_P_HEAD, ADA_P_HEAD_B,
    ADA_P_ATTN_NORM, ADA_P_ATTN_NORM_B, ADA_P_Q, ADA_P_K, ADA_P_V, ADA_P_QKV, ADA_P_Q_B, ADA_P_K_B, ADA_P_V_B, ADA_P_QKV_B,
    ADA_P_Q_NORM, ADA_P_K_NORM, ADA_P_O, ADA_P_O_B, ADA_P_ATTN_POST,
    ADA_P_FFN_NORM, ADA_P_FFN_NORM_B, ADA_P_GATE, ADA_P_UP, ADA_P_UP_B, ADA_P_DOWN, ADA_P_DOWN_B, ADA_P_FFN_POST,
    ADA_P_IGNORED, ADA_P_COUNT
} ada_param;

enum { ADA_ROW_OPTIONAL = 1, ADA_ROW_TRANSPOSED = 2, ADA_ROW_UNPERMUTE_Q = 4, ADA_ROW_UNPERMUTE_K = 8 };

typedef struct ada_arch_row {
    ada_param param;
    const char *hf, *gguf;     /* NULL: not in that format */
    unsigned hf_flags, gguf_flags;
} ada_arch_row;

struct ada_arch {
    const char *name;
    const char *const *hf_types;   /* config.json model_type values, NULL-terminated */
    const char *const *gguf_names; /* general.architecture values */
    ada_status (*from_hf)(ada_config *c, const ada_json *config);
    ada_status (*from_gguf)(ada_config *c, const ada_json *meta);
    const ada_arch_row *rows;      /* ends with .param = ADA_P_COUNT */
};

#endif
