/* SPDX-License-Identifier: Apache-2.0
 * Owns: the fields of SentencePiece's ModelProto that matter here, by the numbers of
 * sentencepiece_model.proto. Must not know: tokenizers' insides. A protobuf library would be a generator and
 * a runtime for three messages of plain fields. Invariant: what is not known is skipped, what is known is
 * checked. */
#include "io/spiece.h"
#include "io/reader.h"
#include "io/unicode.h"

#include <math.h>
#include <stdio.h>

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 }; /* wire types */
enum { PIECES = 1, TRAINER = 2, NORMALIZER = 3 };         /* of a model */
enum { PIECE = 1, SCORE = 2, TYPE = 3 };                  /* of a piece */
enum { MODEL_TYPE = 3, UNK_ID = 40, BOS_ID = 41, EOS_ID = 42, PAD_ID = 43 };
enum { CHARSMAP = 2, DUMMY_PREFIX = 3, EXTRA_SPACES = 4 };
enum { UNIGRAM = 1, BPE = 2 };
enum { NORMAL = 1, CONTROL = 3, MOST_PIECES = 1 << 22 };

typedef struct {
    uint64_t number, wire, value;
    ada_reader inside; /* of BYTES */
} field;

typedef struct {
    ada_json *tokens, *scores, *types, *map;
    size_t pieces;
    int64_t model, unk, bos, eos, pad;
    bool prefix, squeeze;
} model;

static ada_status varint(ada_reader *r, uint64_t *v) {
    *v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte;
        ADA_TRY(ada_read_value(r, &byte, 1));
        if (shift == 63 && byte > 1) break;
        *v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) return ADA_OK;
    }
    return ada_fail(ADA_EFORMAT, "'%s' has a number of more than 64 bits at byte %zu", r->name, r->at);
}

static ada_status next_field(ada_reader *r, field *f) {
    uint64_t key;
    const unsigned char *bytes;
    *f = (field){0};
    ADA_TRY(varint(r, &key));
    f->number = key >> 3, f->wire = key & 7;
    switch (f->wire) {
    case VARINT:
        return varint(r, &f->value);
    case FIXED64:
        return ada_read_value(r, &f->value, 8);
    case FIXED32:
        return ada_read_value(r, &f->value, 4);
    case BYTES:
        ADA_TRY(varint(r, &f->value));
        ADA_TRY(ada_read_bytes(r, f->value, &bytes));
        f->inside = (ada_reader){.p = bytes, .n = (size_t)f->value, .name = r->name};
        return ADA_OK;
    default:
        return ada_fail(ADA_EFORMAT, "'%s' is no SentencePiece model: field of kind %d at byte %zu", r->name,
                        (int)f->wire, r->at);
    }
}

static ada_status add_piece(model *m, const char *s, size_t n, double score, int64_t type) {
    ADA_TRY(ada_json_push(m->tokens, ada_json_new_str(s, n)));
    ADA_TRY(ada_json_push(m->scores, ada_json_new_num(score)));
    ADA_TRY(ada_json_push(m->types, ada_json_new_int(type)));
    m->pieces++;
    return ADA_OK;
}

static ada_status read_piece(model *m, ada_reader *r) {
    const char *text = NULL;
    size_t n = 0;
    float score = 0;
    int64_t type = NORMAL;
    for (field f; ada_read_left(r);) {
        ADA_TRY(next_field(r, &f));
        if (f.number == PIECE && f.wire == BYTES) text = (const char *)f.inside.p, n = f.inside.n;
        if (f.number == SCORE && f.wire == FIXED32) memcpy(&score, &f.value, sizeof score);
        if (f.number == TYPE && f.wire == VARINT) type = (int64_t)f.value;
    }
    if (n == 0 || memchr(text, 0, n) || !ada_utf8_valid(text, n, NULL))
        return ada_fail(ADA_EFORMAT, "'%s' has no text for piece %zu, or it holds NUL or is not UTF-8",
                        r->name, m->pieces);
    if (!isfinite(score))
        return ada_fail(ADA_EFORMAT, "'%s' has a score that is no number for piece %zu", r->name, m->pieces);
    if (m->pieces == MOST_PIECES) return ada_fail(ADA_EUNSUPPORTED, "'%s' has too many pieces", r->name);
    return add_piece(m, text, n, (double)score, type);
}

static ada_status read_trainer(model *m, ada_reader *r) {
    for (field f; ada_read_left(r);) {
        ADA_TRY(next_field(r, &f));
        int64_t v = (int64_t)f.value;
        if (f.wire != VARINT) continue;
        if (f.number == MODEL_TYPE) m->model = v;
        if (f.number == UNK_ID) m->unk = v;
        if (f.number == BOS_ID) m->bos = v;
        if (f.number == EOS_ID) m->eos = v;
        if (f.number == PAD_ID) m->pad = v;
    }
    return ADA_OK;
}

static ada_status read_normalizer(model *m, ada_reader *r) {
    for (field f; ada_read_left(r);) {
        ADA_TRY(next_field(r, &f));
        if (f.number == DUMMY_PREFIX && f.wire == VARINT) m->prefix = f.value != 0;
        if (f.number == EXTRA_SPACES && f.wire == VARINT) m->squeeze = f.value != 0;
        for (size_t i = 0; f.number == CHARSMAP && f.wire == BYTES && i < f.inside.n; i++)
            ADA_TRY(ada_json_push(m->map, ada_json_new_int(f.inside.p[i])));
    }
    return ADA_OK;
}

static ada_status read_model(model *m, ada_reader *r) {
    while (ada_read_left(r)) {
        field f;
        ADA_TRY(next_field(r, &f));
        if (f.wire != BYTES) continue;
        if (f.number == PIECES) ADA_TRY(read_piece(m, &f.inside));
        if (f.number == TRAINER) ADA_TRY(read_trainer(m, &f.inside));
        if (f.number == NORMALIZER) ADA_TRY(read_normalizer(m, &f.inside));
    }
    if (m->pieces == 0)
        return ada_fail(ADA_EFORMAT, "'%s' is no SentencePiece model: it has no piece", r->name);
    if (m->unk < 0 || (size_t)m->unk >= m->pieces)
        return ada_fail(ADA_EFORMAT, "'%s' has unknown piece %lld of %zu", r->name, (long long)m->unk,
                        m->pieces);
    if (m->model != UNIGRAM && m->model != BPE)
        return ada_fail(ADA_EUNSUPPORTED, "'%s' is a model of kind %lld; unigram (1) and BPE (2) are known",
                        r->name, (long long)m->model);
    if (m->model == UNIGRAM && !(m->prefix && m->squeeze))
        return ada_fail(ADA_EUNSUPPORTED,
                        "'%s' leaves out the mark in front of a text, or keeps extra spaces", r->name);
    if (m->model == BPE && ada_json_len(m->map))
        return ada_fail(ADA_EUNSUPPORTED, "'%s' is a BPE model that rewrites characters", r->name);
    return ADA_OK;
}

/* T5's sentinels stand behind the pieces, the highest number first. Where nothing is said of them, T5's class
 * has 100, and others none. */
static ada_status add_extra(model *m, const ada_json *meta, const ada_json *config, const char *name) {
    const char *class = ada_json_str(ada_json_get(config, "tokenizer_class"), NULL),
               *kind = ada_json_str(ada_json_get(ada_json_get(meta, "config"), "model_type"), "");
    bool t5 = class ? !strncmp(class, "T5", 2) : !strcmp(kind, "t5");
    int64_t n = ada_json_int(ada_json_get(config, "extra_ids"), t5 ? 100 : 0);
    if (n < 0 || n > 10000)
        return ada_fail(ADA_EFORMAT, "'extra_ids' beside '%s' is %lld", name, (long long)n);
    while (n-- > 0) {
        char text[32];
        int len = snprintf(text, sizeof text, "<extra_id_%d>", (int)n);
        ADA_TRY(add_piece(m, text, (size_t)len, 0, CONTROL));
    }
    return ADA_OK;
}

static ada_status set(ada_json *meta, const char *key, ada_json *v) {
    char full[64];
    snprintf(full, sizeof full, "tokenizer.ggml.%s", key);
    return ada_json_set(meta, full, v);
}

static ada_status set_id(ada_json *meta, const char *key, int64_t id) {
    return id >= 0 ? set(meta, key, ada_json_new_int(id)) : ADA_OK;
}

static ada_status set_all(const model *m, ada_json *meta, const ada_json *config) {
    const char *kind = m->model == BPE ? "llama" : "t5";
    bool bos = ada_json_bool(ada_json_get(config, "add_bos_token"), m->model == BPE);
    bool eos = ada_json_bool(ada_json_get(config, "add_eos_token"), m->model == UNIGRAM);
    const ada_json *chat = ada_json_get(config, "chat_template");
    ADA_TRY(set(meta, "model", ada_json_new_str(kind, strlen(kind))));
    ADA_TRY(set(meta, "tokens", ada_json_share(m->tokens)));
    ADA_TRY(set(meta, "scores", ada_json_share(m->scores)));
    ADA_TRY(set(meta, "token_type", ada_json_share(m->types)));
    ADA_TRY(set(meta, "precompiled_charsmap", ada_json_share(m->map)));
    ADA_TRY(set(meta, "add_space_prefix", ada_json_new_bool(m->prefix)));
    ADA_TRY(set(meta, "remove_extra_whitespaces", ada_json_new_bool(m->squeeze)));
    ADA_TRY(set(meta, "add_bos_token", ada_json_new_bool(bos && m->bos >= 0)));
    ADA_TRY(set(meta, "add_eos_token", ada_json_new_bool(eos && m->eos >= 0)));
    ADA_TRY(set_id(meta, "unknown_token_id", m->unk));
    ADA_TRY(set_id(meta, "bos_token_id", m->bos));
    ADA_TRY(set_id(meta, "eos_token_id", m->eos));
    ADA_TRY(set_id(meta, "padding_token_id", m->pad));
    return ada_json_is_str(chat) ? ada_json_set(meta, "tokenizer.chat_template", ada_json_share(chat))
                                 : ADA_OK;
}

ada_status ada_spiece_read(ada_json *meta, const void *bytes, size_t n, const ada_json *config,
                           const char *name) {
    ada_reader r = {.p = bytes, .n = n, .name = name};
    model m = {.tokens = ada_json_new_arr(),
               .scores = ada_json_new_arr(),
               .types = ada_json_new_arr(),
               .map = ada_json_new_arr(),
               .model = UNIGRAM,
               .bos = 1,
               .eos = 2,
               .pad = -1,
               .prefix = true,
               .squeeze = true};
    bool there = m.tokens && m.scores && m.types && m.map;
    ada_status st = there ? read_model(&m, &r) : ada_fail(ADA_ENOMEM, "no memory for '%s'", name);
    if (st == ADA_OK) st = add_extra(&m, meta, config, name);
    if (st == ADA_OK) st = set_all(&m, meta, config);
    ada_json *all[] = {m.tokens, m.scores, m.types, m.map};
    for (size_t i = 0; i < 4; i++) ada_json_close(&all[i]);
    return st;
}
