/* SPDX-License-Identifier: Apache-2.0
 * A text model beside a tower and projector in llama.cpp's words, as engine/mmproj.c joins them: LLaVA's two
 * products, or Idefics3's and SmolVLM's one. Owns: the names of the projectors' tensors. */
#include "engine/arch_read.h"
#include "engine/vlm.h"
#include <string.h>

static ada_status from_config(ada_vlm_config *c, const ada_json *j) {
    const char *projector = ada_json_str(ada_json_get(j, "projector"), "");
    if (strcmp(projector, "idefics3") == 0) {
        c->connector = ADA_CONNECTOR_LINEAR;
        c->prompt = ADA_PROMPT_TILES;
        c->shuffle = 2;
        return ada_read_int_or(j, "scale_factor", &c->shuffle);
    }
    if (strcmp(projector, "mlp") != 0)
        return ada_fail(ADA_EFORMAT, "the model has a projector '%s'", projector);
    c->connector = ADA_CONNECTOR_MLP2;
    c->act = ADA_ACT_GELU_ERF;
    /* Where it names no layer, the file holds none behind the one that is wanted. */
    return ada_vlm_read_layers(&c->tower, j, "vision_feature_layer");
}

const struct ada_vlm ada_vlm_mmproj = {
    .name = "mmproj",
    .hf_types = (const char *const[]){"mmproj", NULL},
    .text = (const ada_rename[]){{"text.", ""}, {NULL, NULL}},
    .vision = (const ada_rename[]){{"v.", "v."}, {NULL, NULL}},
    .connector = {NULL, NULL, ADA_VLM_NAMES("mm.0.weight", "mm.model.fc.weight"),
                  ADA_VLM_NAMES("mm.0.bias", "mm.model.fc.bias"), ADA_VLM_NAMES("mm.2.weight"),
                  ADA_VLM_NAMES("mm.2.bias")},
    .transposed = true,
    .read = from_config,
    .part_meta = ada_vlm_parts_meta,
};
