/* SPDX-License-Identifier: Apache-2.0
 * What `compose` glues: any tower, any text model, a connector of ours. Owns: the reading of what compose.c
 * writes: the parts' own metadata under "text" and "vision", their tensors under these names. */
#include "engine/arch_read.h"
#include "engine/vlm.h"
#include <string.h>

static ada_status from_config(ada_vlm_config *c, const ada_json *j) {
    static const char *const rows[] = {"patches", "default", "full"};
    const ada_json *k = ada_json_get(j, "connector"), *layer = ada_json_get(j, "feature_layer");
    const char *kind = ada_json_str(ada_json_get(k, "kind"), ""),
               *want = ada_json_str(ada_json_get(j, "feature_rows"), "patches");
    int at = 0;
    c->connector = ADA_CONNECTOR_LINEAR;
    while (c->connector <= ADA_CONNECTOR_MLP2 && strcmp(kind, ada_connector_names[c->connector]) != 0)
        c->connector++;
    if (c->connector > ADA_CONNECTOR_MLP2)
        return ada_fail(ADA_EFORMAT, "the model has a connector of kind '%s'", kind);
    while (at < 3 && strcmp(rows[at], want) != 0) at++;
    if (at == 3) return ada_fail(ADA_EFORMAT, "the model has 'feature_rows' '%s'", want);
    c->tower.rows = (ada_tower_rows_kind)at;
    /* a plain 0 is what compose writes where none is asked for */
    if (!ada_json_is_int(layer) || ada_json_int(layer, 0) != 0)
        ADA_TRY(ada_vlm_read_layers(&c->tower, j, "feature_layer"));
    c->scale = (float)ada_json_num(ada_json_get(k, "scale"), 1);
    ADA_TRY(ada_read_int_or(k, "pixel_shuffle", &c->shuffle));
    ADA_TRY(ada_read_int_or(k, "hidden", &c->hidden));
    return ada_read_act(&c->act, ada_json_str(ada_json_get(k, "activation"), "gelu"), NULL);
}

const struct ada_vlm ada_vlm_composed = {
    .name = "composed",
    .hf_types = (const char *const[]){"adalink_vlm", NULL},
    .text = (const ada_rename[]){{"text.", ""}, {NULL, NULL}},
    .vision = (const ada_rename[]){{"vision.", ""}, {NULL, NULL}},
    .connector = {ADA_VLM_NAMES("connector.mean"), ADA_VLM_NAMES("connector.std"),
                  ADA_VLM_NAMES("connector.weight", "connector.weight_1"),
                  ADA_VLM_NAMES("connector.bias", "connector.bias_1"), ADA_VLM_NAMES("connector.weight_2"),
                  ADA_VLM_NAMES("connector.bias_2")},
    .read = from_config,
    .part_meta = ada_vlm_parts_meta,
};
