/* SPDX-License-Identifier: Apache-2.0
 * What a kind of vision-language model is: whose tensors are whose, what its configuration says of the way
 * from pixels to rows, how its prompts spell an image. One file in vlm/ each, and a word in the list of
 * meson.build. Invariant: text model and tower are any that we have; a kind knows neither by name. */
#ifndef ADA_ENGINE_VLM_H
#define ADA_ENGINE_VLM_H

#include "engine/vision.h"

enum { ADA_VLM_TENSORS = 6 };

/* The way from pixels to rows, as a configuration says it. */
typedef struct ada_vlm_config {
    ada_tower_opts tower;
    ada_connector_kind connector;
    int32_t shuffle, hidden; /* hidden: 0 what the text model's width is */
    ada_act_kind act;
    float scale;
    ada_mask_kind mask; /* of the text model's rows: what they have unless ADA_MASK_PREFIX */
} ada_vlm_config;

struct ada_vlm {
    const char *name;
    const char *const *hf_types; /* config.json model_type values, NULL-terminated */
    /* What the names of a part's tensors begin with, and begin with as files of its own have them. */
    const ada_rename *text, *vision;
    /* The connector's tensors: mean, std, w1, b1, w2, b2; NULL: there is none. */
    const char *const *connector[ADA_VLM_TENSORS]; /* each a list of names, ended by NULL: files differ */
    bool transposed;                               /* its products stand as [out, in] */
    ada_prompt_kind prompt;
    ada_status (*read)(ada_vlm_config *c, const ada_json *config);
    /* The metadata of the parts, as files of their own have it. */
    ada_status (*part_meta)(ada_json **part, const ada_json *meta, bool vision);
};

#define ADA_VLM_NAMES(...)                                                                                   \
    (const char *const[]) {                                                                                  \
        __VA_ARGS__, NULL                                                                                    \
    }
/* What LLaVA and PaliGemma call their parts, in the files of several years. */
#define ADA_LLAVA_TEXT                                                                                       \
    (const ada_rename[]) {                                                                                   \
        {"language_model.model.", "model."}, {"language_model.lm_head.", "lm_head."},                        \
            {"model.language_model.", "model."}, {"lm_head.", "lm_head."}, {                                 \
            NULL, NULL                                                                                       \
        }                                                                                                    \
    }
#define ADA_LLAVA_VISION                                                                                     \
    (const ada_rename[]) {                                                                                   \
        {"vision_tower.", ""}, {"model.vision_tower.", ""}, {                                                \
            NULL, NULL                                                                                       \
        }                                                                                                    \
    }
/* And engine/mmproj.c, of two files. */
#define ADA_MMPROJ_TEXT                                                                                      \
    (const ada_rename[]) {                                                                                   \
        {"text.", ""}, {                                                                                     \
            NULL, NULL                                                                                       \
        }                                                                                                    \
    }
#define ADA_MMPROJ_VISION                                                                                    \
    (const ada_rename[]) {                                                                                   \
        {"v.", "v."}, {                                                                                      \
            NULL, NULL                                                                                       \
        }                                                                                                    \
    }
#define ADA_LLAVA_PROJECTOR(x) ADA_VLM_NAMES("multi_modal_projector." x, "model.multi_modal_projector." x)

/* `key`, a number or a list of them, says which layers' features are wanted; t as it was where it is absent.
 */
ada_status ada_vlm_read_layers(ada_tower_opts *t, const ada_json *config, const char *key) ADA_MUST_USE;
/* NULL: a model without eyes. */
const struct ada_vlm *ada_vlm_find(const ada_json *meta);
/* part_meta of Hugging Face's folders: "config" is text_config or vision_config, whatever else stands in meta
 * is shared. */
ada_status ada_vlm_hf_meta(ada_json **part, const ada_json *meta, bool vision) ADA_MUST_USE;
/* part_meta where each part's stands whole under "text" or "vision". */
ada_status ada_vlm_parts_meta(ada_json **part, const ada_json *meta, bool vision) ADA_MUST_USE;

#endif
