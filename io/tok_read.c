/* SPDX-License-Identifier: Apache-2.0
 * tokenizer.json's normalizer, pre-tokenizer, decoder and post-processor, read into lists of operations.
 * Owns: the names of the steps and of their settings. Must not know: how an operation works.
 * Invariant: a step not in a table here is EUNSUPPORTED, by its type. */
#include "io/tok_part.h"

#include <string.h>

struct step {
    const char *type;
    ada_status (*read)(ada_tok *t, ada_ops *o, const ada_json *j);
};

/* ---- settings ---- */
static ada_status get_text(ada_tok *t, const ada_json *j, const char *key, const char **out) {
    const ada_json *s = ada_json_get(j, key);
    if (!ada_json_is_str(s))
        return ada_fail(ADA_EFORMAT, "'%s' of tokenizer step '%s' is not a string", key,
                        ada_json_str(ada_json_get(j, "type"), "?"));
    *out = ada_arena_str(&t->arena, ada_json_str(s, ""), ada_json_strlen(s));
    return *out ? ADA_OK : ADA_ENOMEM;
}

static ada_status get_flag(const ada_json *j, const char *key, bool def, bool *out) {
    const ada_json *b = ada_json_get(j, key);
    if (!ada_json_is_null(b) && !ada_json_is_bool(b))
        return ada_fail(ADA_EFORMAT, "'%s' of tokenizer step '%s' is not true or false", key,
                        ada_json_str(ada_json_get(j, "type"), "?"));
    *out = ada_json_bool(b, def);
    return ADA_OK;
}

static ada_status get_behavior(const ada_json *j, const char *def, ada_cut *out) {
    static const struct {
        const char *name;
        ada_cut how;
    } all[] = {
        {"Removed", ADA_CUT_REMOVED},
        {"Isolated", ADA_CUT_ISOLATED},
        {"MergedWithPrevious", ADA_CUT_PREVIOUS},
        {"MergedWithNext", ADA_CUT_NEXT},
        {"Contiguous", ADA_CUT_TOGETHER},
    };
    const char *s = ada_json_str(ada_json_get(j, "behavior"), def);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(s, all[i].name) == 0) {
            *out = all[i].how;
            return ADA_OK;
        }
    return ada_fail(ADA_EUNSUPPORTED, "tokenizer step '%s' has behavior '%s', which is not supported",
                    ada_json_str(ada_json_get(j, "type"), "?"), s);
}

/* {"String": …} or {"Regex": …}. */
static ada_status get_pattern(ada_tok *t, const ada_json *j, const char **text, bool *regex) {
    const ada_json *p = ada_json_get(j, "pattern"), *s = ada_json_get(p, "String");
    *regex = !s;
    if (!s) s = ada_json_get(p, "Regex");
    if (!ada_json_is_str(s))
        return ada_fail(ADA_EFORMAT,
                        "'pattern' of tokenizer step '%s' is neither a string nor a regular expression",
                        ada_json_str(ada_json_get(j, "type"), "?"));
    *text = ada_arena_str(&t->arena, ada_json_str(s, ""), ada_json_strlen(s));
    return *text ? ADA_OK : ADA_ENOMEM;
}

/* One step or, for a Sequence, those of its list; null is none. */
static ada_status read_steps(ada_tok *t, ada_ops *o, const ada_json *j, const struct step *table,
                             const char *what, const char *list, int depth) {
    if (ada_json_is_null(j)) return ADA_OK;
    const char *type = ada_json_str(ada_json_get(j, "type"), NULL);
    if (!type) return ada_fail(ADA_EFORMAT, "tokenizer's %s has no type", what);
    if (strcmp(type, "Sequence") == 0) {
        const ada_json *steps = ada_json_get(j, list);
        if (!ada_json_is_arr(steps))
            return ada_fail(ADA_EFORMAT, "tokenizer's %s 'Sequence' has no list '%s'", what, list);
        if (depth > 8) return ada_fail(ADA_EUNSUPPORTED, "tokenizer's %s nests 'Sequence' too deep", what);
        for (size_t i = 0; i < ada_json_len(steps); i++)
            ADA_TRY(read_steps(t, o, ada_json_at(steps, i), table, what, list, depth + 1));
        return ADA_OK;
    }
    for (; table->type; table++)
        if (strcmp(type, table->type) == 0) return table->read(t, o, j);
    return ada_fail(ADA_EUNSUPPORTED, "tokenizer has %s '%s', which is not supported", what, type);
}

/* ---- normalizers ---- */
static ada_status read_prepend(ada_tok *t, ada_ops *o, const ada_json *j) {
    const char *s = NULL;
    ADA_TRY(get_text(t, j, "prepend", &s));
    return ada_op_prepend(o, s, false, false);
}

static ada_status read_replace(ada_tok *t, ada_ops *o, const ada_json *j) {
    const char *pattern = "", *with = "";
    bool regex = true;
    ADA_TRY(get_pattern(t, j, &pattern, &regex));
    ADA_TRY(get_text(t, j, "content", &with));
    return regex ? ada_op_regex_replace(o, pattern, with) : ada_op_replace(o, pattern, with);
}

static ada_status read_trim(ada_tok *t, ada_ops *o, const ada_json *j) {
    (void)t;
    bool left = true, right = true;
    ADA_TRY(get_flag(j, "strip_left", true, &left));
    ADA_TRY(get_flag(j, "strip_right", true, &right));
    return ada_op_trim(o, left, right);
}

static ada_status read_precompiled(ada_tok *t, ada_ops *o, const ada_json *j) {
    const char *map = NULL;
    ADA_TRY(get_text(t, j, "precompiled_charsmap", &map));
    return ada_op_charsmap(o, &t->arena, map);
}

#define NO_SETTINGS(name, call)                                                                              \
    static ada_status name(ada_tok *t, ada_ops *o, const ada_json *j) {                                      \
        (void)t;                                                                                             \
        (void)j;                                                                                             \
        return call;                                                                                         \
    }
NO_SETTINGS(read_nfc, ada_op_normal(o, ADA_NFC))
NO_SETTINGS(read_nfd, ada_op_normal(o, ADA_NFD))
NO_SETTINGS(read_nfkc, ada_op_normal(o, ADA_NFKC))
NO_SETTINGS(read_nfkd, ada_op_normal(o, ADA_NFKD))
NO_SETTINGS(read_lower, ada_op_lower(o))
NO_SETTINGS(read_no_marks, ada_op_no_marks(o))
NO_SETTINGS(read_bytes, ada_op_bytes(o))

ada_status ada_tok_read_normalizer(ada_tok *t, const ada_json *j) {
    static const struct step all[] = {
        {"Prepend", read_prepend},
        {"Replace", read_replace},
        {"NFC", read_nfc},
        {"NFD", read_nfd},
        {"NFKC", read_nfkc},
        {"NFKD", read_nfkd},
        {"Lowercase", read_lower},
        {"Strip", read_trim},
        {"StripAccents", read_no_marks},
        {"ByteLevel", read_bytes},
        {"Precompiled", read_precompiled},
        {NULL, NULL},
    };
    return read_steps(t, &t->normalizer, j, all, "normalizer", "normalizers", 0);
}

/* ---- pre-tokenizers ---- */
static ada_status read_byte_level(ada_tok *t, ada_ops *o, const ada_json *j) {
    (void)t;
    bool space = true, regex = true;
    ADA_TRY(get_flag(j, "add_prefix_space", true, &space));
    ADA_TRY(get_flag(j, "use_regex", true, &regex));
    if (space) ADA_TRY(ada_op_prepend(o, " ", true, false));
    if (regex) ADA_TRY(ada_op_regex(o, ADA_GPT2_REGEX, ADA_CUT_ISOLATED, false));
    return ada_op_bytes(o);
}

static ada_status read_digits(ada_tok *t, ada_ops *o, const ada_json *j) {
    (void)t;
    bool each = false;
    ADA_TRY(get_flag(j, "individual_digits", false, &each));
    return ada_op_class(o, ada_uni_numeric, each ? ADA_CUT_ISOLATED : ADA_CUT_TOGETHER);
}

static ada_status escaped(ada_tok *t, const char **text) {
    ada_buf b = {0};
    ada_status st = ada_buf_puts(&b, "");
    for (const char *p = *text; *p && st == ADA_OK; p++) {
        if (ada_uni_punct((unsigned char)*p) && (unsigned char)*p < 0x80) st = ada_buf_puts(&b, "\\");
        if (st == ADA_OK) st = ada_buf_add(&b, p, 1);
    }
    if (st == ADA_OK && !(*text = ada_arena_str(&t->arena, b.data, b.len))) st = ADA_ENOMEM;
    ada_buf_free(&b);
    return st;
}

static ada_status read_split(ada_tok *t, ada_ops *o, const ada_json *j) {
    const char *pattern = "";
    bool regex = true, invert = false;
    ada_cut how = ADA_CUT_ISOLATED;
    ADA_TRY(get_pattern(t, j, &pattern, &regex));
    ADA_TRY(get_behavior(j, "", &how));
    ADA_TRY(get_flag(j, "invert", false, &invert));
    if (!regex) ADA_TRY(escaped(t, &pattern));
    return ada_op_regex(o, pattern, how, invert);
}

static ada_status read_punctuation(ada_tok *t, ada_ops *o, const ada_json *j) {
    (void)t;
    ada_cut how = ADA_CUT_ISOLATED;
    ADA_TRY(get_behavior(j, "Isolated", &how));
    return ada_op_class(o, ada_uni_punct, how);
}

NO_SETTINGS(read_whitespace,
            ada_op_regex(o, "[" ADA_RUST_WORD "]+|[^\\s" ADA_RUST_WORD "]+", ADA_CUT_REMOVED, true))
NO_SETTINGS(read_whitespace_split, ada_op_class(o, ada_uni_space, ADA_CUT_REMOVED))

static ada_status metaspace(ada_tok *t, const ada_json *j, const char **mark, const char **scheme) {
    bool prefix = true;
    ADA_TRY(get_text(t, j, "replacement", mark));
    ADA_TRY(get_flag(j, "add_prefix_space", true, &prefix));
    *scheme = ada_json_str(ada_json_get(j, "prepend_scheme"), prefix ? "always" : "never");
    size_t at = 0, n = strlen(*mark);
    if (n) ada_utf8_next(*mark, n, &at);
    if (n == 0 || at != n)
        return ada_fail(ADA_EFORMAT, "'replacement' of 'Metaspace' is not one character: '%s'", *mark);
    if (strcmp(*scheme, "always") != 0 && strcmp(*scheme, "first") != 0 && strcmp(*scheme, "never") != 0)
        return ada_fail(ADA_EUNSUPPORTED, "'Metaspace' has prepend_scheme '%s', which is not supported",
                        *scheme);
    return ADA_OK;
}

static ada_status read_metaspace(ada_tok *t, ada_ops *o, const ada_json *j) {
    const char *mark = "", *scheme = "";
    bool split = true;
    ADA_TRY(metaspace(t, j, &mark, &scheme));
    ADA_TRY(get_flag(j, "split", true, &split));
    ADA_TRY(ada_op_replace(o, " ", mark));
    if (*scheme != 'n') ADA_TRY(ada_op_prepend(o, mark, true, *scheme == 'f'));
    if (!split) return ADA_OK;
    ADA_TRY(escaped(t, &mark));
    return ada_op_regex(o, mark, ADA_CUT_NEXT, false);
}

ada_status ada_tok_read_pre(ada_tok *t, const ada_json *j) {
    static const struct step all[] = {
        {"ByteLevel", read_byte_level},
        {"Digits", read_digits},
        {"Split", read_split},
        {"Metaspace", read_metaspace},
        {"Whitespace", read_whitespace},
        {"WhitespaceSplit", read_whitespace_split},
        {"Punctuation", read_punctuation},
        {NULL, NULL},
    };
    return read_steps(t, &t->pre, j, all, "pre-tokenizer", "pretokenizers", 0);
}

/* ---- decoders ---- */
static ada_status read_strip(ada_tok *t, ada_ops *o, const ada_json *j) {
    const char *s = NULL;
    ADA_TRY(get_text(t, j, "content", &s));
    int64_t start = ada_json_int(ada_json_get(j, "start"), -1),
            stop = ada_json_int(ada_json_get(j, "stop"), -1);
    if (!*s || start < 0 || stop < 0)
        return ada_fail(ADA_EFORMAT, "decoder 'Strip' wants content, start and stop");
    return ada_op_strip(o, s, (size_t)start, (size_t)stop);
}

static ada_status read_metaspace_decoder(ada_tok *t, ada_ops *o, const ada_json *j) {
    const char *mark = "", *scheme = "";
    ADA_TRY(metaspace(t, j, &mark, &scheme));
    return ada_op_metaspace(o, mark, *scheme != 'n');
}

/* "errors" is ours, for ByT5: bytes that are not UTF-8 are left out, where tokenizers puts U+FFFD. */
NO_SETTINGS(read_unbytes,
            ada_op_unbytes(o, strcmp(ada_json_str(ada_json_get(j, "errors"), ""), "ignore") == 0))
NO_SETTINGS(read_fallback, ada_op_fallback(o))
NO_SETTINGS(read_fuse, ada_op_fuse(o))

ada_status ada_tok_read_decoder(ada_tok *t, const ada_json *j) {
    static const struct step all[] = {
        {"ByteLevel", read_unbytes},
        {"ByteFallback", read_fallback},
        {"Fuse", read_fuse},
        {"Strip", read_strip},
        {"Replace", read_replace},
        {"Metaspace", read_metaspace_decoder},
        {NULL, NULL},
    };
    t->has_decoder = !ada_json_is_null(j);
    return read_steps(t, &t->decoder, j, all, "decoder", "decoders", 0);
}

/* ---- post-processors: what stands before and behind a single sequence ---- */
static ada_status push_id(ada_ids *v, const ada_json *id) {
    int64_t k = ada_json_int(id, -1);
    if (k < 0 || k > INT32_MAX) return ada_fail(ADA_EFORMAT, "post-processor has a token without an id");
    return ada_ids_push(v, (int32_t)k);
}

static ada_status read_template(const ada_json *j, ada_ids *before, ada_ids *after) {
    const ada_json *single = ada_json_get(j, "single"), *known = ada_json_get(j, "special_tokens");
    if (!ada_json_is_arr(single)) return ada_fail(ADA_EFORMAT, "'TemplateProcessing' has no list 'single'");
    bool seen = false;
    for (size_t i = 0; i < ada_json_len(single); i++) {
        const ada_json *item = ada_json_at(single, i), *text = ada_json_get(item, "Sequence"),
                       *tok = ada_json_get(item, "SpecialToken");
        const char *name = ada_json_str(ada_json_get(text ? text : tok, "id"), "");
        if (text && (seen || strcmp(name, "A") != 0))
            return ada_fail(ADA_EUNSUPPORTED,
                            "'TemplateProcessing' has sequence '%s' where one 'A' is supported", name);
        seen |= text != NULL;
        if (text) continue;
        const ada_json *ids = ada_json_get(ada_json_get(known, name), "ids");
        if (!ada_json_is_arr(ids))
            return ada_fail(ADA_EFORMAT, "'TemplateProcessing' has no ids for '%s'", name);
        for (size_t k = 0; k < ada_json_len(ids); k++)
            ADA_TRY(push_id(seen ? after : before, ada_json_at(ids, k)));
    }
    return seen ? ADA_OK : ada_fail(ADA_EUNSUPPORTED, "'TemplateProcessing' leaves the text out");
}

static ada_status read_post(const ada_json *j, ada_ids *before, ada_ids *after, int depth) {
    if (ada_json_is_null(j)) return ADA_OK;
    const char *type = ada_json_str(ada_json_get(j, "type"), "");
    if (strcmp(type, "ByteLevel") == 0) return ADA_OK; /* trims offsets, which are not kept here */
    if (strcmp(type, "TemplateProcessing") == 0) return read_template(j, before, after);
    if (strcmp(type, "BertProcessing") == 0 || strcmp(type, "RobertaProcessing") == 0) {
        ADA_TRY(push_id(before, ada_json_at(ada_json_get(j, "cls"), 1)));
        return push_id(after, ada_json_at(ada_json_get(j, "sep"), 1));
    }
    const ada_json *list = ada_json_get(j, "processors");
    if (strcmp(type, "Sequence") != 0 || !ada_json_is_arr(list) || depth > 8)
        return ada_fail(ADA_EUNSUPPORTED, "tokenizer has post-processor '%s', which is not supported", type);
    for (size_t i = 0; i < ada_json_len(list); i++) {
        ada_ids outer = {0};
        ada_status st = read_post(ada_json_at(list, i), &outer, after, depth + 1);
        if (st == ADA_OK) st = ada_ids_add(&outer, before->data, before->len);
        ada_ids_free(before);
        *before = outer;
        if (st != ADA_OK) return st;
    }
    return ADA_OK;
}

static ada_status keep_ids(ada_tok *t, const ada_ids *v, int32_t **out, size_t *n) {
    for (size_t i = 0; i < v->len; i++)
        if (!ada_tok_text(t, v->data[i]))
            return ada_fail(ADA_EFORMAT, "post-processor adds id %d, which is no token's", v->data[i]);
    *n = v->len;
    ADA_TRY(ada_arena_take(&t->arena, out, v->len, sizeof **out));
    if (v->len) memcpy(*out, v->data, v->len * sizeof **out);
    return ADA_OK;
}

ada_status ada_tok_read_post(ada_tok *t, const ada_json *j) {
    ada_ids before = {0}, after = {0};
    ada_status st = read_post(j, &before, &after, 0);
    if (st == ADA_OK) st = keep_ids(t, &before, &t->before, &t->nbefore);
    if (st == ADA_OK) st = keep_ids(t, &after, &t->after, &t->nafter);
    ada_ids_free(&before);
    ada_ids_free(&after);
    return st;
}
