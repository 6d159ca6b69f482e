/* SPDX-License-Identifier: Apache-2.0
 * From any format to our .h5, and what an open model says of itself. Owns: what is kept of a source.
 * Names, shapes and quirks stay the source's, so that the one table of an architecture reads both; a
 * connector stays f32, as it is trained. Invariant: what is read as a vector stays f32; a bf16 file of a tied
 * model opens to the same bits as its source does in bf16.
 */
#include "engine/arch.h"
#include "engine/mmproj.h"
#include "engine/model.h"
#include "engine/vlm.h"

typedef struct {
    ada_arena arena;
    ada_tensors *file, *text; /* text: of a model with eyes, or NULL */
    ada_vision *vision;
    ada_tensor *list; /* as written */
    ada_json *meta;
    float *wide; /* [PIECE] */
} importer;

enum { PIECE = 1 << 16 }; /* values at a time, a multiple of every block */

static ada_status fill(void *ctx, const ada_tensor *t, void *out) {
    importer *o = ctx;
    const ada_tensor *source = ada_tensors_find(o->file, t->name);
    size_t count = ada_tensor_count(t);
    for (size_t i = 0; i < count; i += PIECE) {
        size_t n = count - i < PIECE ? count - i : PIECE;
        ADA_TRY(ada_tensor_f32(source, i, n, o->wide));
        ada_narrow(t->dtype, ada_at(t->dtype, out, i), o->wide, n);
    }
    return ADA_OK;
}

/* All of the source's metadata, and the name it goes by. */
static ada_status make_meta(importer *o, const char *path) {
    char *name;
    ADA_TRY(ada_model_name(&name, &o->arena, o->file, path));
    if (!(o->meta = ada_json_new_obj())) return ada_fail(ADA_ENOMEM, "no memory for metadata");
    ADA_TRY(ada_json_set_all(o->meta, ada_tensors_meta(o->file)));
    return ada_json_set_str(o->meta, "name", name);
}

/* One part's tensors, all claimed, and those of a matrix's extents that are read as vectors marked f32. */
static ada_status claim(importer *o, const struct ada_arch *arch, ada_config *c, const ada_tensors *part,
                        bool encoder) {
    ada_claims claims;
    ADA_TRY(encoder ? ada_arch_claim_encoder(&claims, arch, c, part, &o->arena)
                    : ada_arch_claim(&claims, arch, c, part, &o->arena));
    for (size_t i = 0; i < ada_tensors_count(o->file); i++)
        if (ada_claims_vector(&claims, c->layers, ada_tensors_at(o->file, i))) o->list[i].dtype = ADA_F32;
    return ADA_OK;
}

static ada_status claim_all(importer *o) {
    const struct ada_arch *arch;
    ada_config c;
    const ada_tensors *text = o->text ? o->text : o->file;
    ADA_TRY(ada_arch_read(&arch, &c, ada_tensors_meta(text)));
    ADA_TRY(claim(o, arch, &c, text, false));
    if (c.encoder_layers) {
        ada_config encoder = ada_config_encoder(&c);
        ADA_TRY(claim(o, arch, &encoder, text, true));
    }
    if (!o->text) return ADA_OK;
    ADA_TRY(ada_vision_open(&o->vision, o->file, ADA_F32, c.d));
    ADA_TRY(ada_arch_read_tower(&arch, &c, ada_tensors_meta(o->vision->file)));
    return claim(o, arch, &c, o->vision->file, false);
}

/* What is written as what. */
static ada_status make_list(importer *o, ada_dtype dtype) {
    size_t n = ada_tensors_count(o->file);
    ADA_TRY(ada_arena_take(&o->arena, &o->list, n, sizeof *o->list));
    for (size_t i = 0; i < n; i++) {
        ada_tensor *t = &o->list[i];
        *t = *ada_tensors_at(o->file, i);
        t->dtype = t->ndim < 2 || ada_vision_is_connector(o->file, t->name) ? ADA_F32 : dtype;
        t->data = NULL;
    }
    ADA_TRY(claim_all(o));
    for (size_t i = 0; i < n; i++)
        o->list[i].bytes = ada_tensor_count(&o->list[i]) * ada_type_size(o->list[i].dtype);
    return ADA_OK;
}

static ada_status import(importer *o, const char *source, const char *mmproj, const char *out,
                         ada_dtype dtype) {
    char digest[65];
    if (dtype != ADA_BF16 && dtype != ADA_F32)
        return ada_fail(ADA_EINVAL, "a model is written as bf16 or f32, not %s", ada_dtype_name(dtype));
    ADA_TRY(ada_mmproj_open(&o->file, source, mmproj));
    ADA_TRY(ada_vision_split(&o->text, o->file));
    ADA_TRY(make_list(o, dtype));
    ADA_TRY(make_meta(o, source));
    ADA_TRY(ada_tensors_digest(o->file, digest));
    ADA_TRY(ada_arena_take(&o->arena, &o->wide, PIECE, sizeof *o->wide));
    return ada_model_file_write(out, o->meta, digest, o->list, ada_tensors_count(o->file), fill, o);
}

ada_status ada_model_import(const char *source, const char *mmproj, const char *out, ada_dtype dtype) {
    importer o = {0};
    ada_status st = import(&o, source, mmproj, out, dtype);
    if (st != ADA_OK && mmproj) ada_note("with '%s'", mmproj);
    if (st != ADA_OK) ada_note("while importing '%s'", source);
    ada_json_close(&o.meta);
    ada_vision_close(&o.vision);
    ada_tensors_close(&o.text);
    ada_tensors_close(&o.file);
    ada_arena_free(&o.arena);
    return st;
}

/* ---- what a model says of itself ---- */

static double weight_bytes(const ada_model *m) {
    double bytes = (double)ada_mat_bytes(m->head.out.w);
    for (int32_t i = 0; i < m->c.layers; i++) {
        const ada_layer *y = &m->stack.layers[i];
        const ada_linear *all[] = {&y->qkv, &y->q, &y->o, &y->up, &y->down};
        for (size_t k = 0; k < sizeof all / sizeof *all; k++)
            if (all[k]->w) bytes += (double)ada_mat_bytes(all[k]->w);
    }
    return bytes;
}

/* What it sees with. */
static ada_status describe_vision(const ada_vision *v, ada_json *j) {
    const ada_connector *c = &v->connector;
    ada_json *tower = NULL;
    ada_buf how = {0};
    ADA_TRY(ada_json_set_str(j, "sees_as", v->kind->name));
    ADA_TRY(ada_tower_describe(v->tower, &tower));
    ADA_TRY(ada_json_set(j, "tower", tower));
    ADA_TRY(ada_json_set_str(j, "connector", ada_connector_names[c->kind]));
    ADA_TRY(ada_json_set(j, "connector_in", ada_json_new_int(c->in)));
    ADA_TRY(ada_json_set(j, "pixel_shuffle", ada_json_new_int(c->shuffle)));
    ADA_TRY(ada_json_set(j, "standardised", ada_json_new_bool(c->mean != NULL)));
    ada_status st = ada_preprocess_text(&v->preprocess, &how);
    if (st == ADA_OK) st = ada_json_set_str(j, "preprocessing", how.data);
    ada_buf_free(&how);
    return st;
}

static ada_status describe(const ada_model *m, ada_json *j) {
    static const char *const scalings[] = {"none", "linear", "llama3", "dynamic", "yarn"};
    static const char *const acts[] = {"silu", "gelu_tanh", "gelu_erf", "gelu_quick", "relu"};
    const ada_config *c = &m->c;
    const struct {
        const char *key;
        int64_t value;
    } sizes[] = {{"layers", c->layers},
                 {"width", c->d},
                 {"heads", c->heads},
                 {"kv_heads", c->kv_heads},
                 {"head_dim", c->head_dim},
                 {"ffn", c->ffn},
                 {"vocabulary", c->vocab},
                 {"positions", c->max_positions},
                 {"window", c->window},
                 {"parameters", (int64_t)m->params},
                 {"weight_bytes", (int64_t)weight_bytes(m)},
                 {"threads", ada_par_threads()}};
    ADA_TRY(ada_json_set_str(j, "name", m->name));
    ADA_TRY(ada_json_set_str(j, "architecture", m->arch->name));
    ADA_TRY(ada_json_set_str(j, "format", ada_tensors_format(m->file)));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        ADA_TRY(ada_json_set(j, sizes[i].key, ada_json_new_int(sizes[i].value)));
    if (c->encoder_layers) ADA_TRY(ada_json_set(j, "encoder_layers", ada_json_new_int(c->encoder_layers)));
    ADA_TRY(ada_json_set_str(j, "activation", acts[c->act]));
    if (c->pos == ADA_POS_ROPE) {
        ADA_TRY(ada_json_set(j, "rope_theta", ada_json_new_num(c->rope_theta)));
        ADA_TRY(ada_json_set_str(j, "rope_scaling", scalings[c->rope_scaling]));
    }
    ADA_TRY(ada_json_set(j, "tied", ada_json_new_bool(c->tie)));
    ADA_TRY(ada_json_set_str(j, "type", ada_dtype_name(m->type)));
    ADA_TRY(ada_json_set_str(j, "matmul", ada_mat_maker(m->stack.layers[0].up.w)));
    ADA_TRY(ada_json_set_str(j, "isa", ada_k.isa));
    ADA_TRY(ada_json_set(j, "tokens", m->tok ? ada_json_new_int(ada_tok_size(m->tok)) : ada_json_new_int(0)));
    if (!m->tok) ADA_TRY(ada_json_set_str(j, "no_tokenizer", m->tok_why));
    if (m->chat)
        ADA_TRY(ada_json_set_str(j, "chat", ada_chat_family(m->chat)));
    else
        ADA_TRY(ada_json_set_str(j, "no_chat", m->chat_why));
    if (m->vision) ADA_TRY(describe_vision(m->vision, j));
    ADA_TRY(ada_json_set(j, "open_seconds", ada_json_new_num(m->open_seconds)));
    return *m->digest ? ada_json_set_str(j, "sha256", m->digest) : ADA_OK;
}

ada_status ada_model_describe(const ada_model *m, ada_json **j) {
    *j = ada_json_new_obj();
    ada_status st = *j ? describe(m, *j) : ada_fail(ADA_ENOMEM, "no memory for a description");
    if (st != ADA_OK) ada_json_close(j);
    return st;
}
