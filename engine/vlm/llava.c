/* SPDX-License-Identifier: Apache-2.0
 * LLaVA: a tower's features from a layer before its last, two products, any decoder. Owns: how config.json
 * says it, and the names of its parts' tensors in the files of several years. */
#include "engine/arch_read.h"
#include "engine/vlm.h"
#include <string.h>

static ada_status from_config(ada_vlm_config *c, const ada_json *j) {
    const char *rows = ada_json_str(ada_json_get(j, "vision_feature_select_strategy"), "default");
    c->connector = ADA_CONNECTOR_MLP2;
    c->tower.layers = 1, c->tower.layer[0] = -2;
    ADA_TRY(ada_vlm_read_layers(&c->tower, j, "vision_feature_layer"));
    if (strcmp(rows, "default") != 0 && strcmp(rows, "full") != 0)
        return ada_fail(ADA_EUNSUPPORTED, "'vision_feature_select_strategy' is '%s'", rows);
    c->tower.rows = strcmp(rows, "full") ? ADA_TOWER_DROP_FIRST : ADA_TOWER_FULL;
    return ada_read_act(&c->act, ada_json_str(ada_json_get(j, "projector_hidden_act"), "gelu"), NULL);
}

const struct ada_vlm ada_vlm_llava = {
    .name = "llava",
    .hf_types = (const char *const[]){"llava", NULL},
    .text = ADA_LLAVA_TEXT,
    .vision = ADA_LLAVA_VISION,
    .connector = {NULL, NULL, ADA_LLAVA_PROJECTOR("linear_1.weight"), ADA_LLAVA_PROJECTOR("linear_1.bias"),
                  ADA_LLAVA_PROJECTOR("linear_2.weight"), ADA_LLAVA_PROJECTOR("linear_2.bias")},
    .transposed = true,
    .read = from_config,
    .part_meta = ada_vlm_hf_meta,
};
