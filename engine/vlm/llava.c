/* SPDX-License-Identifier: Apache-2.0
 * LLaVA: a tower's features from a layer before its last, two products, any decoder. Owns: how config.json
 * says it, and the names of its parts' tensors in the files of several years. */
#include "engine/arch_read.h"
#include "engine/vlm.h"
#include <string.h>

static ada_status from_config(ada_vlm_config *c, const ada_json *j) {
    const char *rows = ada_json_str(ada_json_get(j, "vision_feature_select_strategy"), "default");
    const ada_json *layer = ada_json_get(j, "vision_feature_layer");
    c->connector = ADA_CONNECTOR_MLP2;
    if (ada_json_is_arr(layer))
        return ada_fail(ADA_EUNSUPPORTED,
                        "features of several layers ('vision_feature_layer') are not there yet");
    if (!ada_json_is_null(layer) && !ada_json_is_int(layer))
        return ada_fail(ADA_EFORMAT, "'vision_feature_layer' is no whole number");
    c->tower.layer = (int)ada_json_int(layer, -2);
    if (c->tower.layer == 0)
        return ada_fail(ADA_EUNSUPPORTED, "features before the first layer ('vision_feature_layer' 0)");
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
