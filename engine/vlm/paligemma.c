/* SPDX-License-Identifier: Apache-2.0
 * PaliGemma: SigLIP's last features, one product, Gemma, in which images and prompt see each other whole.
 * Owns: how config.json says it, and the names of its parts' tensors. */
#include "engine/vlm.h"

static ada_status from_config(ada_vlm_config *c, const ada_json *j) {
    (void)j;
    c->connector = ADA_CONNECTOR_LINEAR;
    c->tower.rows = ADA_TOWER_FULL;
    c->mask = ADA_MASK_PREFIX;
    return ADA_OK;
}

const struct ada_vlm ada_vlm_paligemma = {
    .name = "paligemma",
    .hf_types = (const char *const[]){"paligemma", NULL},
    .text = ADA_LLAVA_TEXT,
    .vision = ADA_LLAVA_VISION,
    .connector = {NULL, NULL, ADA_LLAVA_PROJECTOR("linear.weight"), ADA_LLAVA_PROJECTOR("linear.bias")},
    .transposed = true,
    .prompt = ADA_PROMPT_FIRST,
    .read = from_config,
    .part_meta = ada_vlm_hf_meta,
};
