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

#define NAMES(...)                                                                                           \
    (const char *const[]) {                                                                                  \
        __VA_ARGS__, NULL                                                                                    \
    }
#define PROJECTOR(x) NAMES("multi_modal_projector." x, "model.multi_modal_projector." x)

const struct ada_vlm ada_vlm_paligemma = {
    .name = "paligemma",
    .hf_types = (const char *const[]){"paligemma", NULL},
    .text = (const ada_rename[]){{"language_model.model.", "model."},
                                 {"language_model.lm_head.", "lm_head."},
                                 {"model.language_model.", "model."},
                                 {"lm_head.", "lm_head."},
                                 {NULL, NULL}},
    .vision = (const ada_rename[]){{"vision_tower.", ""}, {"model.vision_tower.", ""}, {NULL, NULL}},
    .connector = {NULL, NULL, PROJECTOR("linear.weight"), PROJECTOR("linear.bias")},
    .transposed = true,
    .prompt = ADA_PROMPT_FIRST,
    .read = from_config,
    .part_meta = ada_vlm_hf_meta,
};
