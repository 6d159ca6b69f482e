/* SPDX-License-Identifier: Apache-2.0
 * Idefics3 and SmolVLM: pictures in tiles, neighbours of a tower's last features side by side, one product,
 * Llama. Owns: how config.json says it, and the names of its parts' tensors. */
#include "engine/arch_read.h"
#include "engine/vlm.h"

static ada_status from_config(ada_vlm_config *c, const ada_json *j) {
    c->connector = ADA_CONNECTOR_LINEAR;
    c->tower.rows = ADA_TOWER_FULL;
    c->shuffle = 2;
    return ada_read_int_or(j, "scale_factor", &c->shuffle);
}

const struct ada_vlm ada_vlm_idefics3 = {
    .name = "idefics3",
    .hf_types = (const char *const[]){"idefics3", "smolvlm", NULL},
    .text = (const ada_rename[]){{"model.text_model.", "model."}, {"lm_head.", "lm_head."}, {NULL, NULL}},
    .vision = (const ada_rename[]){{"model.vision_model.", ""}, {NULL, NULL}},
    .connector = {NULL, NULL, ADA_VLM_NAMES("model.connector.modality_projection.proj.weight")},
    .transposed = true,
    .prompt = ADA_PROMPT_TILES,
    .read = from_config,
    .part_meta = ada_vlm_hf_meta,
};
