/* SPDX-License-Identifier: Apache-2.0
 * A tokenizer, opened from tokenizer.json and used. Owns: the order of the steps (added tokens, normalizer,
 * pre-tokenizer, model, post-processor). Must not know: a model kind by name; they register in tok_models.
 * The file's "truncation" and "padding" are not followed: a caller asks for the whole text, as transformers
 * does. Invariant: everything is read-only after open; a call's working memory is its own. */
#include "io/tok_part.h"
#include "io/os.h"
#include "registry.h"

#include <string.h>

#define X(name) extern const struct ada_tok_model ada_tok_model_##name;
ADA_TOK_MODELS(X)
#undef X
static const struct ada_tok_model *const models[] = {
#define X(name) &ada_tok_model_##name,
    ADA_TOK_MODELS(X)
#undef X
};
enum { MODELS = sizeof models / sizeof *models };

ada_status ada_tok_new(ada_tok **t) {
    *t = ada_os.alloc(sizeof **t);
    if (!*t) return ada_fail(ADA_ENOMEM, "no memory for a tokenizer");
    **t = (ada_tok){.bos = -1, .eos = -1, .pad = -1, .decoder.tokens = true};
    return ADA_OK;
}

const struct ada_tok_model *ada_tok_model_of(const char *type, bool ggml) {
    for (size_t i = 0; i < MODELS; i++) {
        const char *const *g = models[i]->ggml;
        if (!ggml && strcmp(models[i]->type, type) == 0) return models[i];
        for (size_t k = 0; ggml && k < 4 && g[k]; k++)
            if (strcmp(g[k], type) == 0) return models[i];
    }
    return NULL;
}

void ada_tok_close(ada_tok **t) {
    if (!*t) return;
    ada_ops_close(&(*t)->normalizer);
    ada_ops_close(&(*t)->pre);
    ada_ops_close(&(*t)->decoder);
    ada_regex_close(&(*t)->word);
    ada_arena_free(&(*t)->arena);
    ada_os.release(*t);
    *t = NULL;
}

/* ---- reading ---- */
ada_status ada_tok_read_vocab(ada_tok *t, const ada_json *vocab) {
    if (!ada_json_is_obj(vocab)) return ada_fail(ADA_EFORMAT, "tokenizer has no 'vocab'");
    size_t bytes = 0, ids = 0, at = 0;
    const char *key;
    const ada_json *value;
    for (void *it = NULL; ada_json_next(vocab, &it, &key, &value);) {
        int64_t id = ada_json_int(value, -1);
        if (id < 0 || id > INT32_MAX) return ada_fail(ADA_EFORMAT, "vocabulary entry '%s' has no id", key);
        bytes += strlen(key) + 1;
        if ((size_t)id >= ids) ids = (size_t)id + 1;
    }
    char *pool;
    ADA_TRY(ada_vocab_size(&t->vocab, &t->arena, ids));
    ADA_TRY(ada_arena_take(&t->arena, &pool, bytes, 1));
    for (void *it = NULL; ada_json_next(vocab, &it, &key, &value);) {
        uint32_t id = (uint32_t)ada_json_int(value, 0);
        size_t n = strlen(key);
        if (t->vocab.text[id])
            return ada_fail(ADA_EFORMAT, "vocabulary entries '%s' and '%s' share id %u", t->vocab.text[id],
                            key, id);
        ada_vocab_put(&t->vocab, id, memcpy(pool + at, key, n + 1), n);
        at += n + 1;
    }
    return ADA_OK;
}

ada_status ada_tok_read_tokens(ada_tok *t, const ada_json *tokens) {
    size_t n = ada_json_len(tokens), bytes = 0, at = 0;
    for (size_t i = 0; i < n; i++) {
        if (!ada_json_is_str(ada_json_at(tokens, i)))
            return ada_fail(ADA_EFORMAT, "vocabulary entry %zu is not a string", i);
        bytes += ada_json_strlen(ada_json_at(tokens, i)) + 1;
    }
    char *pool;
    ADA_TRY(ada_vocab_size(&t->vocab, &t->arena, n));
    ADA_TRY(ada_arena_take(&t->arena, &pool, bytes, 1));
    for (size_t i = 0; i < n; i++) {
        const ada_json *s = ada_json_at(tokens, i);
        size_t len = ada_json_strlen(s);
        ada_vocab_put(&t->vocab, (uint32_t)i, memcpy(pool + at, ada_json_str(s, ""), len + 1), len);
        at += len + 1;
    }
    return ADA_OK;
}

/* The id is the vocabulary's or, for a new entry, the next free one: tokenizers goes by that and not by the
 * file's number, so where they differ the file means nothing certain. */
static ada_status read_added(ada_tok *t, const ada_json *list) {
    size_t n = ada_json_len(list), next = t->vocab.count;
    ADA_TRY(ada_arena_zero(&t->arena, &t->added, n, sizeof *t->added));
    for (size_t i = 0; i < n; i++) {
        const ada_json *j = ada_json_at(list, i), *content = ada_json_get(j, "content");
        int64_t id = ada_json_int(ada_json_get(j, "id"), -1);
        if (!ada_json_is_str(content) || id < 0 || id >= 1 << 24)
            return ada_fail(ADA_EFORMAT, "added token %zu has no content or no id", i);
        ada_added a = {
            .len = ada_json_strlen(content),
            .id = (int32_t)id,
            .special = ada_json_bool(ada_json_get(j, "special"), false),
            .normalized = ada_json_bool(ada_json_get(j, "normalized"), true),
            .single_word = ada_json_bool(ada_json_get(j, "single_word"), false),
            .lstrip = ada_json_bool(ada_json_get(j, "lstrip"), false),
            .rstrip = ada_json_bool(ada_json_get(j, "rstrip"), false),
        };
        if (!a.len) continue;
        if (!(a.text = ada_arena_str(&t->arena, ada_json_str(content, ""), a.len))) return ADA_ENOMEM;
        int32_t have = ada_vocab_find(&t->vocab, a.text, a.len);
        if (id != (have >= 0 ? have : (int64_t)next))
            return ada_fail(ADA_EFORMAT, "added token '%s' has id %d, its place is %d", a.text, (int)id,
                            have >= 0 ? have : (int)next);
        next += have < 0;
        t->added[t->nadded++] = a;
    }
    return ada_added_build(t);
}

/* An entry of tokenizer_config.json: "…" or {"content": "…"}. */
static int32_t named(const ada_tok *t, const ada_json *config, const char *key) {
    const ada_json *j = ada_json_get(config, key);
    const char *s = ada_json_str(ada_json_is_obj(j) ? ada_json_get(j, "content") : j, NULL);
    return s ? ada_tok_find(t, s) : -1;
}

/* A string, or a list of {"name", "template"} where "default" counts. */
static ada_status keep_template(ada_tok *t, const ada_json *j) {
    for (size_t i = 0; i < ada_json_len(j) && ada_json_is_arr(j); i++)
        if (strcmp(ada_json_str(ada_json_get(ada_json_at(j, i), "name"), ""), "default") == 0) {
            j = ada_json_get(ada_json_at(j, i), "template");
            break;
        }
    if (!ada_json_is_str(j)) return ADA_OK;
    t->chat = ada_arena_str(&t->arena, ada_json_str(j, ""), ada_json_strlen(j));
    return t->chat ? ADA_OK : ADA_ENOMEM;
}

static ada_status read_json(ada_tok *t, const ada_json *j, const ada_json *config) {
    const ada_json *model = ada_json_get(j, "model");
    if (!ada_json_is_obj(model)) return ada_fail(ADA_EFORMAT, "tokenizer has no 'model'");
    /* older files leave the type out; only BPE has merges */
    const char *type = ada_json_str(ada_json_get(model, "type"), ada_json_get(model, "merges") ? "BPE" : "?");
    t->model = ada_tok_model_of(type, false);
    if (!t->model)
        return ada_fail(ADA_EUNSUPPORTED, "tokenizer has model '%s', which is not supported", type);
    ADA_TRY(t->model->open(t, model));
    ADA_TRY(ada_tok_read_normalizer(t, ada_json_get(j, "normalizer")));
    ADA_TRY(read_added(t, ada_json_get(j, "added_tokens")));
    ADA_TRY(ada_tok_read_pre(t, ada_json_get(j, "pre_tokenizer")));
    ADA_TRY(ada_tok_read_decoder(t, ada_json_get(j, "decoder")));
    ADA_TRY(ada_tok_read_post(t, ada_json_get(j, "post_processor")));
    t->bos = named(t, config, "bos_token");
    t->eos = named(t, config, "eos_token");
    t->pad = named(t, config, "pad_token");
    return keep_template(t, ada_json_get(config, "chat_template"));
}

ada_status ada_tok_open(ada_tok **t, const ada_json *tokenizer, const ada_json *config) {
    ADA_TRY(ada_tok_new(t));
    ada_status st = read_json(*t, tokenizer, config);
    if (st != ADA_OK) ada_tok_close(t);
    return st;
}

ada_status ada_tok_open_meta(ada_tok **t, const ada_json *meta) {
    *t = NULL;
    const ada_json *tokenizer = ada_json_get(meta, "tokenizer");
    if (tokenizer) return ada_tok_open(t, tokenizer, ada_json_get(meta, "tokenizer_config"));
    if (ada_json_get(meta, "tokenizer.ggml.model")) return ada_tok_open_gguf(t, meta);
    return ada_fail(ADA_EUNSUPPORTED,
                    "model has no tokenizer: neither tokenizer.json nor 'tokenizer.ggml.model'");
}

static const ada_added *added_of(const ada_tok *t, int32_t id) {
    return id >= 0 && (size_t)id < t->ids && t->added_of[id] >= 0 ? &t->added[t->added_of[id]] : NULL;
}

/* ---- encoding ---- */
static uint8_t head_of(const ada_tok *t, unsigned flags, const ada_ids *before) {
    if (!(flags & ADA_TOK_CONTINUE) || before->len == 0) return ADA_HEAD_TEXT;
    return added_of(t, before->data[before->len - 1]) ? ADA_HEAD_NONE : ADA_HEAD_GOES_ON;
}

static ada_status encode(const ada_tok *t, ada_flow *f, const char *text, size_t n, unsigned flags,
                         ada_ids *out) {
    ADA_TRY(ada_utf8_clean(text, n, &f->text));
    if (f->text.len) {
        ADA_TRY(ada_pieces_add(&f->pieces, (ada_piece){0, f->text.len, -1, head_of(t, flags, out)}));
        ADA_TRY(ada_added_cut(t, f, flags & ADA_TOK_PLAIN));
        ADA_TRY(ada_ops_run(&t->pre, f));
    }
    if (flags & ADA_TOK_SPECIAL) ADA_TRY(ada_ids_add(out, t->before, t->nbefore));
    for (size_t i = 0; i < f->pieces.len; i++) {
        const ada_piece *p = &f->pieces.data[i];
        if (p->id >= 0)
            ADA_TRY(ada_ids_push(out, p->id));
        else
            ADA_TRY(t->model->encode(t, f, f->text.data + p->at, p->len, out));
    }
    return flags & ADA_TOK_SPECIAL ? ada_ids_add(out, t->after, t->nafter) : ADA_OK;
}

ada_status ada_tok_encode(const ada_tok *t, const char *text, size_t n, unsigned flags, ada_ids *out) {
    ada_flow f = {0};
    ada_status st = encode(t, &f, text, n, flags, out);
    ada_flow_free(&f);
    return st;
}

/* ---- decoding ---- */
static ada_status decode(const ada_tok *t, ada_flow *f, const int32_t *ids, size_t n, bool skip,
                         ada_buf *out) {
    for (size_t i = 0; i < n; i++) {
        const ada_added *a = added_of(t, ids[i]);
        const char *s = a ? a->match : ada_tok_text(t, ids[i]); /* as it is normalized, where it is */
        if (!s || (skip && ada_tok_is_special(t, ids[i]))) continue;
        bool space = !t->has_decoder && (f->stream ? !f->first : f->pieces.len > 0);
        size_t len = strlen(s) + space;
        ADA_TRY(ada_pieces_add(&f->pieces, (ada_piece){f->text.len, len, -1, ADA_HEAD_NONE}));
        if (space) ADA_TRY(ada_buf_add(&f->text, " ", 1));
        ADA_TRY(ada_buf_add(&f->text, s, len - space));
    }
    ADA_TRY(ada_ops_run(&t->decoder, f));
    return ada_buf_add(out, f->text.data, f->text.len);
}

ada_status ada_tok_decode(const ada_tok *t, const int32_t *ids, size_t n, bool skip_special, ada_buf *out) {
    ada_flow f = {0};
    ada_status st = decode(t, &f, ids, n, skip_special, out);
    ada_flow_free(&f);
    return st;
}

ada_status ada_tok_piece(const ada_tok *t, int32_t id, bool first, ada_buf *out) {
    ada_flow f = {.stream = true, .first = first};
    ada_status st = decode(t, &f, &id, 1, true, out);
    ada_flow_free(&f);
    return st;
}

/* ---- asking ---- */
int32_t ada_tok_size(const ada_tok *t) {
    return (int32_t)t->ids;
}
int32_t ada_tok_bos(const ada_tok *t) {
    return t->bos;
}
int32_t ada_tok_eos(const ada_tok *t) {
    return t->eos;
}
int32_t ada_tok_pad(const ada_tok *t) {
    return t->pad;
}
bool ada_tok_adds_bos(const ada_tok *t) {
    return t->nbefore > 0;
}
const char *ada_tok_template(const ada_tok *t) {
    return t->chat;
}

const char *ada_tok_text(const ada_tok *t, int32_t id) {
    const ada_added *a = added_of(t, id);
    if (a) return a->text;
    return id >= 0 && (size_t)id < t->vocab.ids ? t->vocab.text[id] : NULL;
}

int32_t ada_tok_find(const ada_tok *t, const char *entry) {
    int32_t i = ada_vocab_find(&t->added_index, entry, strlen(entry));
    return i >= 0 ? t->added[i].id : ada_vocab_find(&t->vocab, entry, strlen(entry));
}

bool ada_tok_is_special(const ada_tok *t, int32_t id) {
    const ada_added *a = added_of(t, id);
    return a && a->special;
}
