/* SPDX-License-Identifier: Apache-2.0
 * Owns: what llama.cpp's keys for images mean in words of config.json and preprocessor_config.json.
 * Must not know: pixels, weights. Invariant: what a file asks for is said in these words, or refused. */
#include "engine/mmproj.h"
#include "engine/arch_read.h"
#include "engine/model.h"
#include "engine/vlm.h"
#include <stdio.h>
#include <string.h>

#define KEY "clip.vision."

/* ---- preprocessing ---- */

/* other: NULL, or another edge of that length. */
static ada_status set_edge(ada_json *j, const char *key, const char *edge, const char *other, int64_t n) {
    ada_json *size = ada_json_new_obj();
    ADA_TRY(ada_json_set(j, key, size));
    ADA_TRY(ada_json_set(size, edge, ada_json_new_int(n)));
    return other ? ada_json_set(size, other, ada_json_new_int(n)) : ADA_OK;
}

/* Stretched to the square that the tower was made for. */
static ada_status prepare_square(ada_json *j, const ada_json *meta, int32_t side) {
    (void)meta;
    ADA_TRY(ada_json_set_str(j, "image_processor_type", "SiglipImageProcessor"));
    return set_edge(j, "size", "height", "width", side);
}

static ada_status only(const ada_json *meta, const char *key, const char *value) {
    const ada_json *v = ada_json_get(meta, key);
    if (ada_json_is_null(v) || strcmp(ada_json_str(v, ""), value) == 0) return ADA_OK;
    return ada_fail(ADA_EUNSUPPORTED, "'%s' is not '%s': no other way with images is known here", key, value);
}

/* As LLaVA 1.5 was trained: padded to a square, then resized. */
static ada_status prepare_padded(ada_json *j, const ada_json *meta, int32_t side) {
    if (!ada_json_is_null(ada_json_get(meta, KEY "image_grid_pinpoints")))
        return ada_fail(ADA_EUNSUPPORTED, "images in tiles of several sizes (LLaVA 1.6) are not there yet");
    ADA_TRY(only(meta, KEY "image_aspect_ratio", "pad"));
    ADA_TRY(only(meta, KEY "mm_patch_merge_type", "flat"));
    ADA_TRY(ada_json_set_str(j, "image_processor_type", "LlavaImageProcessor"));
    ADA_TRY(ada_json_set(j, "do_pad", ada_json_new_bool(true)));
    ADA_TRY(set_edge(j, "size", "shortest_edge", NULL, side));
    return ada_json_set(j, "crop_size", ada_json_new_int(side));
}

static ada_status prepare_tiles(ada_json *j, const ada_json *meta, int32_t side) {
    int32_t longest = 0;
    ADA_TRY(ada_read_int_or(meta, KEY "preproc_image_size", &longest));
    ADA_TRY(ada_json_set_str(j, "image_processor_type", "Idefics3ImageProcessor"));
    /* files of before that key: as many tiles as Idefics3's own default */
    ADA_TRY(set_edge(j, "size", "longest_edge", NULL, longest ? longest : 4 * (int64_t)side));
    return set_edge(j, "max_image_size", "longest_edge", NULL, side);
}

static const struct projector {
    const char *name;
    ada_status (*prepare)(ada_json *j, const ada_json *meta, int32_t side);
} alone = {NULL, prepare_square}, known[] = {{"mlp", prepare_padded}, {"idefics3", prepare_tiles}};
enum { KNOWN = sizeof known / sizeof *known };

static ada_status find(const struct projector **p, const char *name) {
    for (int i = 0; i < KNOWN; i++)
        if (strcmp(known[i].name, name) == 0) return *p = &known[i], ADA_OK;
    return ada_fail(ADA_EUNSUPPORTED, "projector '%s' is not known here (known: %s, %s)", name, known[0].name,
                    known[1].name);
}

static ada_status set_three(ada_json *to, const char *key, const ada_json *meta, const char *from) {
    const ada_json *v = ada_json_get(meta, from);
    return v ? ada_json_set(to, key, ada_json_share(v))
             : ada_fail(ADA_EFORMAT, "a tower without '%s' says nothing of its images", from);
}

static ada_status add_preprocessor(ada_json *to, const ada_json *meta, const struct projector *p) {
    int32_t side;
    ada_json *j = ada_json_new_obj();
    ADA_TRY(ada_json_set(to, "preprocessor_config", j));
    ADA_TRY(ada_read_int(meta, KEY "image_size", &side));
    ADA_TRY(p->prepare(j, meta, side));
    ADA_TRY(set_three(j, "image_mean", meta, KEY "image_mean"));
    return set_three(j, "image_std", meta, KEY "image_std");
}

ada_status ada_mmproj_meta(ada_json **out, const ada_json *meta, const char *projector) {
    const struct projector *p = &alone;
    if (projector) ADA_TRY(find(&p, projector));
    ada_json *j = *out = ada_json_new_obj();
    ada_status st = j ? ada_json_set_all(j, meta) : ada_fail(ADA_ENOMEM, "no memory for metadata");
    if (st == ADA_OK) st = add_preprocessor(j, meta, p);
    if (st != ADA_OK) ada_json_close(out);
    return st;
}

/* ---- two files ---- */

const char *ada_mmproj_projector(const ada_json *meta) {
    const char *own = ada_json_str(ada_json_get(meta, KEY "projector_type"), NULL);
    return ada_json_str(ada_json_get(meta, "clip.projector_type"), own);
}

/* EINVAL: another kind of file. */
static ada_status read_projector(const char **name, const ada_json *meta) {
    const char *arch = ada_json_str(ada_json_get(meta, "general.architecture"), "");
    if (strcmp(arch, "clip") != 0)
        return ada_fail(ADA_EINVAL, "this is no tower with a projector, whose architecture is 'clip'");
    *name = ada_mmproj_projector(meta);
    if (!*name) *name = "mlp"; /* the first files had no other */
    return ADA_OK;
}

static ada_status share(ada_json *to, const char *key, const ada_json *meta, const char *from) {
    const ada_json *v = ada_json_get(meta, from);
    return ada_json_is_null(v) ? ADA_OK : ada_json_set(to, key, ada_json_share(v));
}

static ada_status fill_meta(ada_json *j, const ada_json *text, const ada_json *vision, const char *name) {
    const char *projector;
    char kind[64];
    ada_json *config, *own;
    ADA_TRY(read_projector(&projector, vision));
    ADA_TRY(ada_mmproj_meta(&own, vision, projector));
    ADA_TRY(ada_json_set(j, "vision", own));
    ADA_TRY(ada_json_set_str(j, "name", name));
    ADA_TRY(ada_json_set(j, "config", config = ada_json_new_obj()));
    snprintf(kind, sizeof kind, "mmproj_%s", projector);
    ADA_TRY(ada_json_set_str(config, "model_type", kind));
    ADA_TRY(share(config, "vision_feature_layer", vision, KEY "feature_layer"));
    ADA_TRY(share(config, "scale_factor", vision, KEY "projector.scale_factor"));
    return ada_json_set(j, "text", ada_json_share(text));
}

/* Of both, as a composed model's. */
static ada_status make_name(ada_buf *name, const ada_tensors *text, const char *path,
                            const ada_tensors *vision, const char *mmproj) {
    ada_arena a = {0};
    char *of_text, *of_vision;
    ada_status st = ada_model_name(&of_text, &a, text, path);
    if (st == ADA_OK) st = ada_model_name(&of_vision, &a, vision, mmproj);
    if (st == ADA_OK) st = ada_buf_printf(name, "%s+%s", of_vision, of_text);
    ada_arena_free(&a);
    return st;
}

static ada_status make_meta(ada_json **out, const ada_tensors *text, const char *path,
                            const ada_tensors *vision, const char *mmproj) {
    ada_buf name = {0};
    *out = ada_json_new_obj();
    ada_status st =
        *out ? make_name(&name, text, path, vision, mmproj) : ada_fail(ADA_ENOMEM, "no memory for metadata");
    if (st == ADA_OK) st = fill_meta(*out, ada_tensors_meta(text), ada_tensors_meta(vision), name.data);
    ada_buf_free(&name);
    return st;
}

static ada_status join(ada_tensors **t, ada_tensors **text, const char *path, const char *mmproj) {
    ada_tensors *vision = NULL;
    ada_json *meta = NULL;
    if (ada_vlm_find(ada_tensors_meta(*text)))
        return ada_fail(ADA_EINVAL, "the model has a tower and a projector already");
    ada_status st = ada_tensors_open(&vision, mmproj);
    if (st == ADA_OK) st = make_meta(&meta, *text, path, vision, mmproj);
    if (st != ADA_OK) {
        ada_note("while opening '%s'", mmproj);
        ada_tensors_close(&vision);
    } else {
        st = ada_tensors_join(t, *text, "text.", vision, "", meta);
        *text = NULL;
    }
    ada_json_close(&meta);
    return st;
}

ada_status ada_mmproj_open(ada_tensors **t, const char *path, const char *mmproj) {
    ada_tensors *text = NULL;
    if (!mmproj) return ada_tensors_open(t, path);
    *t = NULL;
    ada_status st = ada_tensors_open(&text, path);
    if (st == ADA_OK) st = join(t, &text, path, mmproj);
    ada_tensors_close(&text);
    return st;
}
