/* SPDX-License-Identifier: Apache-2.0
 * A tokenizer from GGUF metadata. Owns: which pre-tokenizer a value of tokenizer.ggml.pre names, what a token
 * type is, and the defaults of absent keys. Must not know: the file; it sees the keys as a tree. Invariant:
 * ids equal those of the tokenizer.json that the GGUF was made from; a name not in the table is refused. */
#include "io/tok_part.h"

#include <string.h>

enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, USER = 4 };

#define CASED_WORD "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+"
#define CASED_NAME "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*"
#define ENDINGS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define SPACES "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define CL100K(numbers)                                                                                      \
    ENDINGS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" numbers "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES

static const struct pre {
    const char *name;
    const char *regex[3]; /* cut at one after the other */
    bool digits;          /* each digit alone, before that */
    bool nfc, whole, bos; /* bos: added where the file doesn't say */
} pres[] = {
    {.name = "gpt-2", .regex = {ADA_GPT2_REGEX}},
    {.name = "smollm", .regex = {ADA_GPT2_REGEX}, .digits = true},
    {.name = "starcoder", .regex = {ADA_GPT2_REGEX}, .digits = true},
    {.name = "refact", .regex = {ADA_GPT2_REGEX}, .digits = true},
    {.name = "llama-bpe", .regex = {CL100K("\\p{N}{1,3}")}, .whole = true, .bos = true},
    {.name = "llama3", .regex = {CL100K("\\p{N}{1,3}")}, .whole = true, .bos = true},
    {.name = "llama-v3", .regex = {CL100K("\\p{N}{1,3}")}, .whole = true, .bos = true},
    {.name = "qwen2", .regex = {CL100K("\\p{N}")}, .nfc = true},
    {.name = "tekken",
     .regex = {CASED_WORD "|" CASED_NAME "|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" SPACES},
     .whole = true,
     .bos = true},
    {.name = "gpt-4o",
     .regex = {CASED_WORD ENDINGS "?|" CASED_NAME ENDINGS
                                  "?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" SPACES}},
    {.name = "default", .regex = {"[\\p{P}\\$\\+<=>\\^~\\|]+", ADA_GPT2_REGEX, "\\p{N}+"}},
};

static const ada_json *key(const ada_json *meta, const char *name) {
    char full[64] = "tokenizer.ggml.";
    return ada_json_get(meta, strncat(full, name, sizeof full - 20));
}

static ada_status special_id(const ada_tok *t, const ada_json *meta, const char *name, int32_t *id) {
    const ada_json *j = key(meta, name);
    int64_t k = ada_json_int(j, -1);
    if (!ada_json_is_null(j) && (k < 0 || (size_t)k >= t->ids))
        return ada_fail(ADA_EFORMAT, "'tokenizer.ggml.%s' is no id of this vocabulary", name);
    *id = (int32_t)k;
    return ADA_OK;
}

static ada_status read_types(ada_tok *t, const ada_json *types) {
    size_t n = t->vocab.ids, some = 0;
    if (types && ada_json_len(types) != n)
        return ada_fail(ADA_EFORMAT, "'tokenizer.ggml.token_type' has %zu values for %zu tokens",
                        ada_json_len(types), n);
    uint8_t *normal;
    ADA_TRY(ada_arena_zero(&t->arena, &normal, n, 1));
    t->normal_token = normal;
    for (size_t i = 0; i < n; i++) {
        int64_t k = ada_json_int(ada_json_at(types, i), NORMAL);
        normal[i] = k == NORMAL || k == USER;
        some += k == UNKNOWN || k == CONTROL || k == USER;
    }
    ADA_TRY(ada_arena_zero(&t->arena, &t->added, some, sizeof *t->added));
    for (size_t i = 0; i < n; i++) {
        int64_t k = ada_json_int(ada_json_at(types, i), NORMAL);
        if ((k != UNKNOWN && k != CONTROL && k != USER) || !t->vocab.len[i]) continue;
        if (ada_vocab_find(&t->vocab, t->vocab.text[i], t->vocab.len[i]) != (int32_t)i)
            continue; /* a later twin */
        t->added[t->nadded++] = (ada_added){
            .text = t->vocab.text[i], .len = t->vocab.len[i], .id = (int32_t)i, .special = k != USER};
    }
    return ada_added_build(t);
}

static ada_status byte_level(ada_tok *t, const ada_json *meta, bool *bos) {
    const char *name = ada_json_str(key(meta, "pre"), "default");
    const struct pre *p = NULL;
    for (size_t i = 0; i < sizeof pres / sizeof *pres; i++)
        if (strcmp(pres[i].name, name) == 0) p = &pres[i];
    if (!p) return ada_fail(ADA_EUNSUPPORTED, "model has pre-tokenizer '%s', which is not supported", name);
    if (p->nfc) ADA_TRY(ada_op_normal(&t->normalizer, ADA_NFC));
    if (ada_json_bool(key(meta, "add_space_prefix"), false))
        ADA_TRY(ada_op_prepend(&t->pre, " ", true, false));
    if (p->digits) ADA_TRY(ada_op_class(&t->pre, ada_uni_numeric, ADA_CUT_ISOLATED));
    for (size_t i = 0; i < 3 && p->regex[i]; i++)
        ADA_TRY(ada_op_regex(&t->pre, p->regex[i], ADA_CUT_ISOLATED, false));
    ADA_TRY(ada_op_bytes(&t->pre));
    t->whole = p->whole;
    *bos = p->bos;
    return ada_op_unbytes(&t->decoder, false);
}

static ada_status sentencepiece(ada_tok *t, const ada_json *meta, bool *bos) {
    bool space = ada_json_bool(key(meta, "add_space_prefix"), true);
    if (space) ADA_TRY(ada_op_prepend(&t->normalizer, "\xe2\x96\x81", false, false));
    ADA_TRY(ada_op_replace(&t->normalizer, " ", "\xe2\x96\x81"));
    ADA_TRY(ada_op_replace(&t->decoder, "\xe2\x96\x81", " "));
    ADA_TRY(ada_op_fallback(&t->decoder));
    ADA_TRY(ada_op_fuse(&t->decoder));
    *bos = true;
    return space ? ada_op_strip(&t->decoder, " ", 1, 0) : ADA_OK;
}

/* As transformers converts a T5's SentencePiece model: its map of characters, words cut at white space, a
 * mark in front of each. */
static ada_status unigram(ada_tok *t, const ada_json *meta) {
    const ada_json *map = key(meta, "precompiled_charsmap");
    size_t n = ada_json_len(map);
    uint8_t *bytes;
    ADA_TRY(ada_arena_zero(&t->arena, &bytes, n + 1, 1));
    for (size_t i = 0; i < n; i++) bytes[i] = (uint8_t)ada_json_int(ada_json_at(map, i), 0);
    if (n > 0) ADA_TRY(ada_op_charsmap_bytes(&t->normalizer, &t->arena, bytes, n));
    if (ada_json_bool(key(meta, "remove_extra_whitespaces"), true))
        ADA_TRY(ada_op_class(&t->pre, ada_uni_space, ADA_CUT_REMOVED));
    ADA_TRY(ada_op_replace(&t->pre, " ", "\xe2\x96\x81"));
    bool space = ada_json_bool(key(meta, "add_space_prefix"), true);
    if (space) ADA_TRY(ada_op_prepend(&t->pre, "\xe2\x96\x81", true, false));
    ADA_TRY(ada_op_regex(&t->pre, "\xe2\x96\x81", ADA_CUT_NEXT, false));
    return ada_op_metaspace(&t->decoder, "\xe2\x96\x81", space);
}

static ada_status edge(ada_tok *t, const char *name, int32_t id, bool add, int32_t **list, size_t *n) {
    if (!add) return ADA_OK;
    if (id < 0) return ada_fail(ADA_EFORMAT, "model says to add %s, and does not name it", name);
    *n = 1;
    ADA_TRY(ada_arena_take(&t->arena, list, 1, sizeof **list));
    **list = id;
    return ADA_OK;
}

static ada_status read_gguf(ada_tok *t, const ada_json *meta) {
    const char *kind = ada_json_str(key(meta, "model"), "?");
    t->model = ada_tok_model_of(kind, true);
    if (!t->model)
        return ada_fail(ADA_EUNSUPPORTED, "model has tokenizer '%s', which is not supported", kind);
    if (!ada_json_is_arr(key(meta, "tokens")))
        return ada_fail(ADA_EFORMAT, "model has no 'tokenizer.ggml.tokens'");
    bool bos = false, eos = strcmp(kind, "t5") == 0;
    ADA_TRY(ada_tok_read_tokens(t, key(meta, "tokens")));
    ADA_TRY(eos                         ? unigram(t, meta)
            : strcmp(kind, "gpt2") == 0 ? byte_level(t, meta, &bos)
                                        : sentencepiece(t, meta, &bos));
    t->has_decoder = true;
    ADA_TRY(read_types(t, key(meta, "token_type")));
    ADA_TRY(t->model->open_gguf(t, meta));
    ADA_TRY(special_id(t, meta, "bos_token_id", &t->bos));
    ADA_TRY(special_id(t, meta, "eos_token_id", &t->eos));
    ADA_TRY(special_id(t, meta, "padding_token_id", &t->pad));
    ADA_TRY(edge(t, "BOS", t->bos, ada_json_bool(key(meta, "add_bos_token"), bos && t->bos >= 0), &t->before,
                 &t->nbefore));
    ADA_TRY(edge(t, "EOS", t->eos, ada_json_bool(key(meta, "add_eos_token"), eos), &t->after, &t->nafter));
    const ada_json *chat = ada_json_get(meta, "tokenizer.chat_template");
    if (!ada_json_is_str(chat)) return ADA_OK;
    t->chat = ada_arena_str(&t->arena, ada_json_str(chat, ""), ada_json_strlen(chat));
    return t->chat ? ADA_OK : ADA_ENOMEM;
}

ada_status ada_tok_open_gguf(ada_tok **t, const ada_json *meta) {
    ADA_TRY(ada_tok_new(t));
    ada_status st = read_gguf(*t, meta);
    if (st != ADA_OK) ada_tok_close(t);
    return st;
}
