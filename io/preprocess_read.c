/* SPDX-License-Identifier: Apache-2.0
 * preprocessor_config.json → switches. Owns: the types and their defaults, the keys and what each may hold.
 * Must not know: pictures. Invariant: every key is read, listed as no business of pixels, asks for nothing
 * (null or false), or is refused by name. */
#include "io/preprocess.h"
#include <stddef.h>
#include <string.h>

#define HALF                                                                                                 \
    { 0.5, 0.5, 0.5 }
#define CLIP_MEAN                                                                                            \
    { 0.48145466, 0.4578275, 0.40821073 }
#define CLIP_STD                                                                                             \
    { 0.26862954, 0.26130258, 0.27577711 }
#define CENTRED                                                                                              \
    .white = true, .rule = ADA_SIZE_SHORTEST, .shortest = 224, .crop = true, .crop_height = 224,             \
    .crop_width = 224
#define COMMON .resize = true, .rescale = true, .normalize = true, .factor = 1.0 / 255
#define TILED                                                                                                \
    .white = true, .tiling = true, .split = true, .pad = true, .rule = ADA_SIZE_LONGEST, .longest = 1456,    \
    .tile_side = 364, .filter = ADA_LANCZOS, .mean = HALF, .std = HALF, COMMON

static const struct {
    bool square; /* what a size of one number means: both edges, or the shorter one */
    ada_preprocess p;
} types[] = {
    {true, {"ViT", COMMON, .height = 224, .width = 224, .filter = ADA_BILINEAR, .mean = HALF, .std = HALF}},
    {false, {"CLIP", COMMON, CENTRED, .filter = ADA_BICUBIC, .mean = CLIP_MEAN, .std = CLIP_STD}},
    {false,
     {"Siglip", COMMON, .white = true, .height = 224, .width = 224, .filter = ADA_BICUBIC, .mean = HALF,
      .std = HALF}},
    {false, {"Bit", COMMON, CENTRED, .filter = ADA_BICUBIC, .mean = CLIP_MEAN, .std = CLIP_STD}},
    {false, {"Llava", COMMON, CENTRED, .filter = ADA_BICUBIC, .mean = CLIP_MEAN, .std = CLIP_STD}},
    {true, {"Idefics3", TILED}},
    {true, {"SmolVLM", TILED}},
};

struct reading {
    ada_preprocess *p;
    const char *name; /* of the file */
    bool square;
};

static ada_status wrong(const struct reading *r, const char *key, const char *wanted) {
    return ada_fail(ADA_EFORMAT, "'%s': '%s' is not %s", r->name, key, wanted);
}

/* ---- values ---- */

static ada_status read_edge(const struct reading *r, const char *key, const ada_json *v, size_t *edge) {
    int64_t n = ada_json_int(v, 0);
    if (!ada_json_is_int(v) || n < 1 || n > ADA_IMAGE_PIXELS)
        return wrong(r, key, "a size of 1 to 67108864 pixels");
    *edge = (size_t)n;
    return ADA_OK;
}

/* {"height", "width"}, or a number for both */
static ada_status read_rectangle(const struct reading *r, const char *key, const ada_json *v, size_t *height,
                                 size_t *width) {
    bool one = ada_json_is_num(v), list = ada_json_is_arr(v);
    if (!one && ada_json_len(v) != 2) return wrong(r, key, "a height and a width");
    ADA_TRY(read_edge(r, key, one ? v : list ? ada_json_at(v, 0) : ada_json_get(v, "height"), height));
    return read_edge(r, key, one ? v : list ? ada_json_at(v, 1) : ada_json_get(v, "width"), width);
}

static ada_status read_size(const struct reading *r, const char *key, const ada_json *v) {
    ada_preprocess *p = r->p;
    const ada_json *s = ada_json_get(v, "shortest_edge"), *l = ada_json_get(v, "longest_edge");
    size_t keys = (size_t)(s != NULL) + (size_t)(l != NULL);
    p->height = p->width = p->shortest = p->longest = 0;
    if (keys > 0 && ada_json_len(v) != keys)
        return ada_fail(ADA_EUNSUPPORTED, "'%s': '%s' has keys beside its edges", r->name, key);
    if (s == NULL && l != NULL && !p->tiling)
        return ada_fail(ADA_EUNSUPPORTED,
                        "'%s': '%s' has a longest edge only, which %sImageProcessor cannot do", r->name, key,
                        p->type);
    if (s != NULL && p->tiling)
        return ada_fail(ADA_EUNSUPPORTED, "'%s': '%s' has a shortest edge, which %sImageProcessor cannot do",
                        r->name, key, p->type);
    if (l != NULL) ADA_TRY(read_edge(r, key, l, &p->longest));
    p->rule = s != NULL ? ADA_SIZE_SHORTEST : l != NULL ? ADA_SIZE_LONGEST : ADA_SIZE_EXACT;
    if (s != NULL) return read_edge(r, key, s, &p->shortest);
    if (l != NULL) return ADA_OK;
    if (!ada_json_is_num(v) || r->square) return read_rectangle(r, key, v, &p->height, &p->width);
    p->rule = ADA_SIZE_SHORTEST;
    return read_edge(r, key, v, &p->shortest);
}

static ada_status read_crop_size(const struct reading *r, const char *key, const ada_json *v) {
    return read_rectangle(r, key, v, &r->p->crop_height, &r->p->crop_width);
}

static ada_status read_pad_size(const struct reading *r, const char *key, const ada_json *v) {
    return read_rectangle(r, key, v, &r->p->pad_height, &r->p->pad_width);
}

static ada_status read_tile(const struct reading *r, const char *key, const ada_json *v) {
    if (!r->p->tiling)
        return ada_fail(ADA_EUNSUPPORTED, "'%s': '%s' is not for %sImageProcessor", r->name, key, r->p->type);
    return read_edge(r, key, ada_json_get(v, "longest_edge"), &r->p->tile_side);
}

static ada_status read_filter(const struct reading *r, const char *key, const ada_json *v) {
    int64_t n = ada_json_int(v, -1);
    if (!ada_json_is_int(v) || n < ADA_NEAREST || n > ADA_HAMMING)
        return wrong(r, key, "one of Pillow's filters, 0 to 5");
    r->p->filter = (ada_filter)n;
    return ADA_OK;
}

static ada_status read_factor(const struct reading *r, const char *key, const ada_json *v) {
    if (!ada_json_is_num(v)) return wrong(r, key, "a number");
    r->p->factor = ada_json_num(v, 0);
    return ADA_OK;
}

/* three numbers, or one for all */
static ada_status read_channels(const struct reading *r, const char *key, const ada_json *v, double x[3]) {
    if (!ada_json_is_num(v) && ada_json_len(v) != 3)
        return wrong(r, key, "a number for each of three channels");
    for (size_t c = 0; c < 3; c++) {
        const ada_json *one = ada_json_is_num(v) ? v : ada_json_at(v, c);
        if (!ada_json_is_num(one)) return wrong(r, key, "a number for each of three channels");
        x[c] = ada_json_num(one, 0);
    }
    return ADA_OK;
}

static ada_status read_mean(const struct reading *r, const char *key, const ada_json *v) {
    return read_channels(r, key, v, r->p->mean);
}

static ada_status read_std(const struct reading *r, const char *key, const ada_json *v) {
    ADA_TRY(read_channels(r, key, v, r->p->std));
    for (size_t c = 0; c < 3; c++)
        if ((float)r->p->std[c] == 0) return wrong(r, key, "a deviation: it has a zero");
    return ADA_OK;
}

/* ---- keys ---- */

static const struct {
    const char *key;
    size_t at; /* of the flag */
} flags[] = {
    {"do_convert_rgb", offsetof(ada_preprocess, white)},
    {"do_resize", offsetof(ada_preprocess, resize)},
    {"do_center_crop", offsetof(ada_preprocess, crop)},
    {"do_rescale", offsetof(ada_preprocess, rescale)},
    {"do_normalize", offsetof(ada_preprocess, normalize)},
    {"do_pad", offsetof(ada_preprocess, pad)},
    {"do_image_splitting", offsetof(ada_preprocess, split)},
};

static const struct {
    const char *key;
    ada_status (*read)(const struct reading *r, const char *key, const ada_json *v);
} values[] = {
    {"size", read_size},       {"crop_size", read_crop_size},   {"pad_size", read_pad_size},
    {"resample", read_filter}, {"rescale_factor", read_factor}, {"image_mean", read_mean},
    {"image_std", read_std},   {"max_image_size", read_tile},
};

/* Names, and what pixels do not depend on. */
static const char *const others[] = {
    "image_processor_type",
    "feature_extractor_type",
    "processor_class",
    "_valid_processor_keys",
    "default_to_square",
    "data_format",
    "input_data_format",
    "image_seq_length",
    "image_seq_len",
    "model_input_names",
    "return_row_col_info",
    "use_fast",
    "auto_map",
    "video_sampling",
    "backend",
    "return_tensors",
    "disable_grouping",
    "device",
};

static ada_status read_key(const struct reading *r, const char *key, const ada_json *v) {
    if (ada_json_is_null(v)) return ADA_OK;
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        if (strcmp(key, flags[i].key) != 0) continue;
        if (!ada_json_is_bool(v)) return wrong(r, key, "true or false");
        *(bool *)((char *)r->p + flags[i].at) = ada_json_bool(v, false);
        return ADA_OK;
    }
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        if (strcmp(key, values[i].key) == 0) return values[i].read(r, key, v);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(key, others[i]) == 0) return ADA_OK;
    if (ada_json_is_bool(v) && !ada_json_bool(v, true)) return ADA_OK;
    return ada_fail(ADA_EUNSUPPORTED, "'%s': '%s' is not handled", r->name, key);
}

static ada_status check(const struct reading *r) {
    ada_preprocess *p = r->p;
    if (p->crop && p->tiling)
        return ada_fail(ADA_EUNSUPPORTED, "'%s': 'do_center_crop' is not for %sImageProcessor", r->name,
                        p->type);
    if (!p->tiling && p->split)
        return ada_fail(ADA_EUNSUPPORTED, "'%s': 'do_image_splitting' is not for %sImageProcessor", r->name,
                        p->type);
    if (p->crop && p->crop_height == 0)
        return ada_fail(ADA_EFORMAT, "'%s': 'do_center_crop' has no 'crop_size'", r->name);
    bool llava = strcmp(p->type, "Llava") == 0;
    if (p->tiling || llava) p->pad_height = p->pad_width = 0;
    if (p->tiling) p->pad = false; /* all tiles of a picture are of one size already */
    if (p->pad && !llava && p->pad_height == 0) p->pad = false; /* to the largest of a batch of one */
    for (size_t c = 0; c < 3; c++)
        if (p->pad && llava && !(p->mean[c] >= 0 && p->mean[c] <= 1))
            return ada_fail(ADA_EFORMAT, "'%s': 'image_mean' is no colour to pad with", r->name);
    return ADA_OK;
}

static bool is_type(const char *type, const char *called) {
    static const char *const ends[] = {"ImageProcessor", "ImageProcessorFast", "ImageProcessorPil",
                                       "FeatureExtractor"};
    size_t n = strlen(type);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (strncmp(called, type, n) == 0 && strcmp(called + n, ends[i]) == 0) return true;
    return false;
}

ada_status ada_preprocess_read(ada_preprocess *p, const ada_json *j, const char *name) {
    struct reading r = {.p = p, .name = name};
    const char *called = ada_json_str(ada_json_get(j, "image_processor_type"), NULL), *key;
    const ada_json *v;
    void *it = NULL;
    if (called == NULL) called = ada_json_str(ada_json_get(j, "feature_extractor_type"), NULL);
    if (called == NULL) return ada_fail(ADA_EFORMAT, "'%s' has no 'image_processor_type'", name);
    size_t i = 0, n = sizeof types / sizeof *types;
    while (i < n && !is_type(types[i].p.type, called)) i++;
    if (i == n) return ada_fail(ADA_EUNSUPPORTED, "'%s': '%.100s' is not handled", name, called);
    *p = types[i].p;
    r.square = ada_json_bool(ada_json_get(j, "default_to_square"), types[i].square);
    while (ada_json_next(j, &it, &key, &v)) ADA_TRY(read_key(&r, key, v));
    return check(&r);
}

ada_status ada_preprocess_of(ada_preprocess *p, const ada_json *meta) {
    const ada_json *whole = ada_json_get(meta, "processor_config"),
                   *part = ada_json_get(whole, "image_processor");
    if (!ada_json_is_null(part)) return ada_preprocess_read(p, part, "processor_config.json");
    part = ada_json_get(meta, "preprocessor_config");
    if (ada_json_is_null(part))
        return ada_fail(ADA_EFORMAT, "the model has neither preprocessor_config.json nor an "
                                     "'image_processor' in processor_config.json");
    bool gguf = !ada_json_is_null(ada_json_get(meta, "general.architecture"));
    return ada_preprocess_read(p, part, gguf ? "clip.vision" : "preprocessor_config.json");
}

ada_status ada_preprocess_text(const ada_preprocess *p, ada_buf *out) {
    static const char *const filter[] = {"nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"};
    bool square = p->pad && p->pad_height == 0;
    ADA_TRY(ada_buf_puts(out, p->white ? "RGB on white" : "RGB"));
    if (square) ADA_TRY(ada_buf_puts(out, ", padded to a square"));
    if (p->resize && p->rule == ADA_SIZE_EXACT)
        ADA_TRY(ada_buf_printf(out, ", resized to %zu × %zu", p->width, p->height));
    if (p->resize && p->rule == ADA_SIZE_SHORTEST)
        ADA_TRY(ada_buf_printf(out, ", shortest edge %zu", p->shortest));
    if (p->resize && p->rule != ADA_SIZE_EXACT && p->longest > 0)
        ADA_TRY(ada_buf_printf(out, ", longest edge %zu", p->longest));
    if (p->tiling)
        ADA_TRY(
            ada_buf_printf(out, p->split ? ", split into tiles of %zu" : ", one tile of %zu", p->tile_side));
    if (p->resize || p->tiling) ADA_TRY(ada_buf_printf(out, " (%s)", filter[p->filter]));
    if (p->crop) ADA_TRY(ada_buf_printf(out, ", centre %zu × %zu", p->crop_width, p->crop_height));
    if (p->rescale) ADA_TRY(ada_buf_printf(out, ", times %.17g", p->factor));
    if (p->normalize || square)
        ADA_TRY(ada_buf_printf(out, ", mean %.9g %.9g %.9g", p->mean[0], p->mean[1], p->mean[2]));
    if (p->normalize) ADA_TRY(ada_buf_printf(out, ", std %.9g %.9g %.9g", p->std[0], p->std[1], p->std[2]));
    if (p->pad && !square) ADA_TRY(ada_buf_printf(out, ", padded to %zu × %zu", p->pad_width, p->pad_height));
    return ADA_OK;
}
