/* SPDX-License-Identifier: Apache-2.0
 * Owns: the way from an open file to packed weights, and what a model says of itself.
 * Must not know: formats, architectures by name. Invariant: a model is whole or not there; closing takes any
 * part. */
#include "engine/model.h"
#include "engine/arch_read.h"
#include "engine/load.h"
#include "engine/mmproj.h"
#include "io/os.h"
#include <stdio.h>

/* ---- weights ---- */

static ada_status load_encoder(ada_model *m) {
    ada_config c = ada_config_encoder(&m->c);
    ada_loader o = {.c = &c, .type = m->type, .weights = &m->weights};
    const ada_param norm = ADA_P_FINAL_NORM;
    ADA_TRY(ada_arch_claim_encoder(&o.claims, m->arch, &c, m->file, &m->weights));
    m->params += o.claims.params;
    ADA_TRY(ada_load_begin(&o));
    ADA_TRY(ada_load_stack(&o, &m->encoder));
    return ada_load_vec(&o, &m->stack.memory_norm, 0, &norm, 1);
}

/* A scale of the logits is one of what the head reads. */
static void scale_head(ada_model *m) {
    float s = m->c.logit_scale;
    if (s == 0) return;
    ada_k.scale(m->head.norm, m->head.norm, s, (size_t)m->c.d);
    if (m->head.norm_b) ada_k.scale(m->head.norm_b, m->head.norm_b, s, (size_t)m->c.d);
}

static ada_status load(ada_model *m) {
    ada_loader o = {.c = &m->c, .type = m->type, .weights = &m->weights};
    const ada_param norm = ADA_P_FINAL_NORM, norm_b = ADA_P_FINAL_NORM_B;
    ADA_TRY(ada_arch_read(&m->arch, &m->c, ada_tensors_meta(m->file)));
    if (m->c.patch_h) return ada_fail(ADA_EUNSUPPORTED, "this is a vision tower, which has no text");
    ADA_TRY(ada_arch_claim(&o.claims, m->arch, &m->c, m->file, &m->weights));
    m->params = o.claims.params;
    if (m->c.encoder_layers) ADA_TRY(load_encoder(m));
    ADA_TRY(ada_load_begin(&o));
    m->head.c = &m->c, m->head.type = m->type;
    ADA_TRY(ada_load_stack(&o, &m->stack));
    ADA_TRY(ada_load_vec(&o, &m->head.norm, 0, &norm, 1));
    ADA_TRY(ada_load_vec(&o, &m->head.norm_b, 0, &norm_b, 1));
    scale_head(m);
    const ada_param out = m->c.tie ? ADA_P_EMBED : ADA_P_HEAD;
    ADA_TRY(ada_load_mat(&o, &m->head.out.w, 0, (size_t)m->c.d, &out, 1));
    if (!m->c.tie) {
        /* Rows are read from the file as they are asked for: the first shows that its type can be. */
        float *row;
        m->table = o.claims.at[ADA_P_EMBED][0].t;
        ADA_TRY(ada_arena_take(&m->weights, &row, (size_t)m->c.d, sizeof *row));
        ADA_TRY(ada_tensor_f32(m->table, 0, (size_t)m->c.d, row));
    }
    return ada_model_prepare(m, ADA_FORWARD);
}

ada_status ada_model_prepare(ada_model *m, int directions) {
    ADA_TRY(ada_stack_prepare(&m->stack, &m->weights, directions));
    ADA_TRY(ada_stack_prepare(&m->encoder, &m->weights, directions));
    ADA_TRY(ada_mat_prepare(m->head.out.w, &m->weights, directions));
    m->directions |= directions;
    return ADA_OK;
}

void ada_model_embed(const ada_model *m, int32_t id, float *e) {
    size_t d = (size_t)m->c.d;
    if (!m->table) ada_mat_row(m->head.out.w, (size_t)id, e);
    /* cannot fail: type and shape were shown good at open */
    else if (ada_tensor_f32(m->table, (size_t)id * d, d, e) != ADA_OK)
        memset(e, 0, d * sizeof *e);
    if (m->c.embed_scale > 0) ada_k.scale(e, e, m->c.embed_scale, d);
}

/* ---- text ---- */

/* What is fine but not ours is remembered as a reason; anything else fails. */
static ada_status or_reason(ada_status st, char *why, size_t n) {
    if (st != ADA_EUNSUPPORTED) return st;
    snprintf(why, n, "%s", ada_error());
    ada_error_clear();
    return ADA_OK;
}

static ada_status open_text(ada_model *m) {
    const ada_json *meta = ada_tensors_meta(m->file);
    m->generation = ada_json_share(ada_json_get(meta, "generation_config"));
    ada_status st = ada_json_get(meta, "tokenizer") || ada_json_get(meta, "tokenizer.ggml.model")
                        ? ada_tok_open_meta(&m->tok, meta)
                        : ada_fail(ADA_EUNSUPPORTED, "the model's files hold no tokenizer");
    ADA_TRY(or_reason(st, m->tok_why, sizeof m->tok_why));
    if (!m->tok) {
        snprintf(m->chat_why, sizeof m->chat_why, "%s", m->tok_why);
        return ADA_OK;
    }
    if (ada_tok_size(m->tok) > m->c.vocab)
        return ada_fail(ADA_EMISMATCH, "tokenizer has %d ids, the embedding table %d rows",
                        ada_tok_size(m->tok), m->c.vocab);
    const char *bos = ada_tok_text(m->tok, ada_tok_bos(m->tok)),
               *eos = ada_tok_text(m->tok, ada_tok_eos(m->tok));
    return or_reason(ada_chat_open(&m->chat, ada_tok_template(m->tok), bos, eos), m->chat_why,
                     sizeof m->chat_why);
}

/* transformers puts images where this id stands; a file whose word for it is no token is not whole. */
static ada_status check_image_token(const ada_model *m) {
    static const char *const keys[] = {"image_token_id", "image_token_index"};
    const ada_json *config = ada_json_get(ada_tensors_meta(m->whole), "config");
    for (size_t i = 0; i < 2; i++) {
        int32_t id = 0;
        ADA_TRY(ada_read_int_or(config, keys[i], &id));
        if (m->tok && !ada_tok_text(m->tok, id))
            return ada_fail(ADA_EMISMATCH, "'%s' is %d, but the tokenizer has %d ids", keys[i], id,
                            ada_tok_size(m->tok));
    }
    return ADA_OK;
}

ada_status ada_model_text(const ada_model *m) {
    if (m->tok) return ADA_OK;
    return ada_fail(ADA_EUNSUPPORTED, "model '%s' cannot read text: %s", m->name, m->tok_why);
}

/* ---- open, close ---- */

/* What the kind of vision-language model says of the text model's mask. */
static ada_status set_mask(ada_model *m) {
    if (m->vision->mask != ADA_MASK_PREFIX) return ADA_OK;
    m->c.mask = m->stack.c.mask = ADA_MASK_PREFIX;
    return ada_config_check(&m->c);
}

/* The name a model gives itself, unless that is a path on somebody's disk; else the file's own. */
ada_status ada_model_name(char **name, ada_arena *a, const ada_tensors *file, const char *path) {
    const ada_json *meta = ada_tensors_meta(file);
    const char *own = ada_json_str(ada_json_get(meta, "name"), "");
    if (!*own) own = ada_json_str(ada_json_get(ada_json_get(meta, "config"), "_name_or_path"), "");
    if (!*own) own = ada_json_str(ada_json_get(meta, "general.name"), "");
    size_t n = strlen(path), from;
    while (n > 1 && path[n - 1] == '/') n--;
    for (from = n; from > 0 && path[from - 1] != '/'; from--) {
    }
    for (const char *const *ext = (const char *const[]){".gguf", ".h5", NULL}; *ext; ext++) {
        size_t len = strlen(*ext);
        if (n - from > len && !strncmp(path + n - len, *ext, len)) n -= len;
    }
    bool given = *own && *own != '/' && *own != '.';
    *name = given ? ada_arena_str(a, own, strlen(own)) : ada_arena_str(a, path + from, n - from);
    return *name ? ADA_OK : ADA_ENOMEM;
}

static ada_status open_file(ada_model *m, const char *path, const char *mmproj) {
    ADA_TRY(ada_mmproj_open(&m->file, path, mmproj));
    ADA_TRY(ada_model_name(&m->name, &m->weights, m->file, path));
    m->whole = m->file;
    ada_status st = ada_vision_split(&m->file, m->whole);
    if (st != ADA_OK || m->file) return st;
    m->file = m->whole, m->whole = NULL;
    return ADA_OK;
}

static ada_status open_into(ada_model *m, const char *path, const char *mmproj) {
    ADA_TRY(open_file(m, path, mmproj));
    ADA_TRY(load(m));
    if (m->whole) ADA_TRY(ada_vision_open(&m->vision, m->whole, m->type, m->c.d));
    if (m->vision) ADA_TRY(set_mask(m));
    ADA_TRY(open_text(m));
    return m->whole ? check_image_token(m) : ADA_OK;
}

ada_status ada_model_open(ada_model **m, const char *path, const ada_model_opts *o) {
    double start = ada_os.now();
    *m = NULL;
    ADA_TRY(ada_engine_check());
    if (o && o->threads > 0) (void)ada_par_wish(o->threads);
    ada_model *x = ada_os.alloc(sizeof *x);
    if (!x) return ada_fail(ADA_ENOMEM, "no memory for a model");
    memset(x, 0, sizeof *x);
    x->type = o && o->f32 ? ADA_F32 : ADA_BF16;
    ada_status st = open_into(x, path, o ? o->mmproj : NULL);
    if (st != ADA_OK) {
        if (o && o->mmproj)
            ada_note("while opening '%s' with '%s'", path, o->mmproj);
        else
            ada_note("while opening '%s'", path);
        ada_model_close(&x);
        return st;
    }
    x->open_seconds = ada_os.now() - start;
    *m = x;
    return ADA_OK;
}

void ada_model_close(ada_model **m) {
    ada_model *x = *m;
    if (!x) return;
    ada_stack_release(&x->stack);
    ada_stack_release(&x->encoder);
    ada_mat_close(&x->head.out.w);
    ada_tok_close(&x->tok);
    ada_chat_close(&x->chat);
    ada_json_close(&x->generation);
    ada_vision_close(&x->vision);
    ada_tensors_close(&x->file);
    ada_tensors_close(&x->whole);
    ada_arena_free(&x->weights);
    ada_os.release(x);
    *m = NULL;
}

ada_status ada_model_digest(ada_model *m, const char **hex) {
    if (!*m->digest) ADA_TRY(ada_tensors_digest(m->whole ? m->whole : m->file, m->digest));
    *hex = m->digest;
    return ADA_OK;
}
