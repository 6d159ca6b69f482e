/* SPDX-License-Identifier: Apache-2.0
 * A text model beside a tower and Idefics3's or SmolVLM's projector in llama.cpp's words, as engine/mmproj.c
 * joins them. Owns: the names of its tensors. */
#include "engine/arch_read.h"
#include "engine/vlm.h"

static ada_status from_config(ada_vlm_config *c, const ada_json *j) {
    c->connector = ADA_CONNECTOR_LINEAR;
    c->shuffle = 2;
    return ada_read_int_or(j, "scale_factor", &c->shuffle);
}

const struct ada_vlm ada_vlm_mmproj_idefics3 = {
    .name = "mmproj_idefics3",
    .hf_types = (const char *const[]){"mmproj_idefics3", NULL},
    .text = ADA_MMPROJ_TEXT,
    .vision = ADA_MMPROJ_VISION,
    .connector = {NULL, NULL, ADA_VLM_NAMES("mm.model.fc.weight")},
    .transposed = true,
    .prompt = ADA_PROMPT_TILES,
    .read = from_config,
    .part_meta = ada_vlm_parts_meta,
};
