/* SPDX-License-Identifier: Apache-2.0
 * ByT5's tokenizer, which has no file: ids are bytes + 3, behind padding, end and unknown; sentinels follow.
 * Owns: the tokenizer.json that stands for it, byte-level BPE without merges. Must not know: how text is
 * encoded. Invariant: the tree goes through the same reader as a file's, and is imported as if it were one.
 */
#include "io/tok_part.h"

#include <stdio.h>
#include <string.h>

enum { BYTES_BEGIN = 3, BYTES_END = 259, MOST_SENTINELS = 1 << 16 };

static const char tree_text[] =
    "{\"model\": {\"type\": \"BPE\", \"vocab\": {}, \"merges\": []}, \"added_tokens\": [],"
    "\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"use_regex\": false},"
    "\"decoder\": {\"type\": \"ByteLevel\", \"errors\": \"ignore\"},"
    "\"post_processor\": {\"type\": \"TemplateProcessing\", \"special_tokens\": {\"end\": {\"ids\": [1]}},"
    "\"single\": [{\"Sequence\": {\"id\": \"A\"}}, {\"SpecialToken\": {\"id\": \"end\"}}]}}";

static const char *content(const ada_json *j, const char *def) {
    return ada_json_str(ada_json_is_obj(j) ? ada_json_get(j, "content") : j, def);
}

static ada_status add_token(ada_json *list, int64_t id, const char *name, bool strips) {
    ada_json *j = ada_json_new_obj();
    ADA_TRY(ada_json_push(list, j));
    ADA_TRY(ada_json_set(j, "content", ada_json_new_str(name, strlen(name))));
    ADA_TRY(ada_json_set(j, "id", ada_json_new_int(id)));
    ADA_TRY(ada_json_set(j, "special", ada_json_new_bool(true)));
    ADA_TRY(ada_json_set(j, "normalized", ada_json_new_bool(false)));
    ADA_TRY(ada_json_set(j, "lstrip", ada_json_new_bool(strips)));
    return ada_json_set(j, "rstrip", ada_json_new_bool(strips));
}

static ada_status add_names(ada_json *list, ada_json *vocab, ada_json *config) {
    static const char *const rows[BYTES_BEGIN][2] = {
        {"pad_token", "<pad>"}, {"eos_token", "</s>"}, {"unk_token", "<unk>"}};
    for (int64_t id = 0; id < BYTES_BEGIN; id++) {
        const char *key = rows[id][0], *name = rows[id][1];
        if (ada_json_is_null(ada_json_get(config, key)))
            ADA_TRY(ada_json_set(config, key, ada_json_new_str(name, strlen(name))));
        name = content(ada_json_get(config, key), name);
        ADA_TRY(ada_json_set(vocab, name, ada_json_new_int(id)));
        ADA_TRY(add_token(list, id, name, true));
    }
    return ADA_OK;
}

/* Behind the bytes: what the file numbers, or lists, or counts, or 125 sentinels. */
static ada_status add_sentinels(ada_json *list, const ada_json *config) {
    const ada_json *numbered = ada_json_get(config, "added_tokens_decoder"),
                   *listed = ada_json_get(config, "additional_special_tokens");
    bool by_number = ada_json_len(numbered) > 0, by_name = !by_number && ada_json_len(listed) > 0;
    int64_t n = by_number ? MOST_SENTINELS
                : by_name ? (int64_t)ada_json_len(listed)
                          : ada_json_int(ada_json_get(config, "extra_ids"), 125);
    if (n < 0 || n > MOST_SENTINELS)
        return ada_fail(ADA_EFORMAT, "'extra_ids' of ByT5Tokenizer is %lld", (long long)n);
    for (int64_t i = 0; i < n; i++) {
        char number[24], name[40];
        (void)snprintf(number, sizeof number, "%d", (int)(BYTES_END + i));
        (void)snprintf(name, sizeof name, "<extra_id_%d>", (int)i);
        const ada_json *j = by_number ? ada_json_get(numbered, number) : ada_json_at(listed, (size_t)i);
        if (by_number && !j) break;
        ADA_TRY(add_token(list, BYTES_END + i, content(j, name), false));
    }
    return ADA_OK;
}

static bool is_byt5(const ada_json *j) {
    return strcmp(ada_json_str(ada_json_get(j, "tokenizer_class"), ""), "ByT5Tokenizer") == 0;
}

ada_status ada_tok_set_byt5(ada_json *meta) {
    if (!is_byt5(ada_json_get(meta, "tokenizer_config")) && !is_byt5(ada_json_get(meta, "config")))
        return ADA_OK;
    ada_json *tree;
    ADA_TRY(ada_json_parse(&tree, tree_text, sizeof tree_text - 1, "ByT5"));
    ADA_TRY(ada_json_set(meta, "tokenizer", tree));
    if (!ada_json_get(meta, "tokenizer_config"))
        ADA_TRY(ada_json_set(meta, "tokenizer_config", ada_json_new_obj()));
    ada_json *vocab = (ada_json *)ada_json_get(ada_json_get(tree, "model"), "vocab"),
             *list = (ada_json *)ada_json_get(tree, "added_tokens"),
             *config = (ada_json *)ada_json_get(meta, "tokenizer_config");
    ADA_TRY(add_names(list, vocab, config));
    for (unsigned b = 0; b < BYTES_END - BYTES_BEGIN; b++) {
        char name[5];
        name[ada_utf8_put(ada_byte_char(b), name)] = 0;
        ADA_TRY(ada_json_set(vocab, name, ada_json_new_int(BYTES_BEGIN + (int64_t)b)));
    }
    return add_sentinels(list, config);
}
