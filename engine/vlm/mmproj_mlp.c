/* SPDX-License-Identifier: Apache-2.0
 * A text model beside a tower and LLaVA's projector in llama.cpp's words, as engine/mmproj.c joins them.
 * Owns: the names of its tensors. */
#include "engine/vlm.h"

/* Where no layer is named the file ends with the one that is wanted: its converter leaves out what is behind.
 * (llama.cpp itself leaves out one more, which the model was not trained with.) */
static ada_status from_config(ada_vlm_config *c, const ada_json *j) {
    c->connector = ADA_CONNECTOR_MLP2;
    c->act = ADA_ACT_GELU_ERF;
    return ada_vlm_read_layers(&c->tower, j, "vision_feature_layer");
}

const struct ada_vlm ada_vlm_mmproj_mlp = {
    .name = "mmproj_mlp",
    .hf_types = (const char *const[]){"mmproj_mlp", NULL},
    .text = ADA_MMPROJ_TEXT,
    .vision = ADA_MMPROJ_VISION,
    .connector = {NULL, NULL, ADA_VLM_NAMES("mm.0.weight"), ADA_VLM_NAMES("mm.0.bias"),
                  ADA_VLM_NAMES("mm.2.weight"), ADA_VLM_NAMES("mm.2.bias")},
    .transposed = true,
    .read = from_config,
    .part_meta = ada_vlm_parts_meta,
};
