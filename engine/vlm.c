/* SPDX-License-Identifier: Apache-2.0
 * Owns: the registry of kinds of vision-language models, and what those of Hugging Face share.
 * Must not know: weights. */
#include "engine/vlm.h"
#include "registry.h"
#include <string.h>

#define X(a) extern const struct ada_vlm ada_vlm_##a;
ADA_VLMS(X)
#undef X
static const struct ada_vlm *const kinds[] = {
#define X(a) &ada_vlm_##a,
    ADA_VLMS(X)
#undef X
};

const struct ada_vlm *ada_vlm_find(const ada_json *meta) {
    const char *type = ada_json_str(ada_json_get(ada_json_get(meta, "config"), "model_type"), NULL);
    for (size_t i = 0; type && i < sizeof kinds / sizeof *kinds; i++)
        for (const char *const *n = kinds[i]->hf_types; *n; n++)
            if (!strcmp(*n, type)) return kinds[i];
    return NULL;
}

ada_status ada_vlm_read_layers(ada_tower_opts *t, const ada_json *config, const char *key) {
    const ada_json *v = ada_json_get(config, key);
    bool list = ada_json_is_arr(v);
    size_t n = list ? ada_json_len(v) : 1;
    if (ada_json_is_null(v)) return ADA_OK;
    if (n == 0 || n > ADA_TOWER_LAYERS)
        return ada_fail(ADA_EFORMAT, "'%s' lists %zu layers, not 1 to %d", key, n, ADA_TOWER_LAYERS);
    for (size_t i = 0; i < n; i++) {
        const ada_json *one = list ? ada_json_at(v, i) : v;
        int64_t layer = ada_json_int(one, 0);
        if (!ada_json_is_int(one) || layer < INT16_MIN || layer > INT16_MAX)
            return ada_fail(ADA_EFORMAT, "'%s' is no layer, nor a list of layers", key);
        t->layer[i] = (int)layer;
    }
    t->layers = (int)n;
    return ADA_OK;
}

static ada_status fill(ada_json *part, const ada_json *meta, bool vision) {
    static const char tied[] = "tie_word_embeddings";
    const char *key = vision ? "vision_config" : "text_config";
    const ada_json *whole = ada_json_get(meta, "config"), *own = ada_json_get(whole, key);
    if (!ada_json_is_obj(own))
        return ada_fail(ADA_EFORMAT, "config.json of a vision-language model has no object '%s'", key);
    ADA_TRY(ada_json_set_all(part, meta));
    ada_json *config = ada_json_new_obj();
    ada_status st = config ? ada_json_set_all(config, own) : ada_fail(ADA_ENOMEM, "no memory for metadata");
    /* The head is tied where either says so. */
    if (st == ADA_OK && ada_json_bool(ada_json_get(whole, tied), false))
        st = ada_json_set(config, tied, ada_json_new_bool(true));
    if (st == ADA_OK) return ada_json_set(part, "config", config);
    ada_json_close(&config);
    return st;
}

ada_status ada_vlm_hf_meta(ada_json **part, const ada_json *meta, bool vision) {
    *part = ada_json_new_obj();
    ada_status st = *part ? fill(*part, meta, vision) : ada_fail(ADA_ENOMEM, "no memory for metadata");
    if (st != ADA_OK) ada_json_close(part);
    return st;
}

ada_status ada_vlm_parts_meta(ada_json **part, const ada_json *meta, bool vision) {
    const char *key = vision ? "vision" : "text";
    *part = ada_json_share(ada_json_get(meta, key));
    return *part ? ADA_OK : ada_fail(ADA_EFORMAT, "the model's metadata has no '%s'", key);
}
