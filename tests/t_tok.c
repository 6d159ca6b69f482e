/* SPDX-License-Identifier: Apache-2.0
 * Tokenizers against Hugging Face's, on goldens (golden/make_tok.py): ids, texts, streamed pieces, prompts
 * with completions, from tokenizer.json and from GGUF metadata; then what the goldens cannot say: names,
 * bytes that are not UTF-8, refusals. Owns nothing. Must not know: how a golden was made. Invariant: the
 * first difference of a golden is shown with its text. */
#include "engine/example.h"
#include "io/os.h"
#include "io/replace.h"
#include "io/spiece.h"
#include "io/tok.h"
#include "tests/io_test.h"

typedef struct golden {
    ada_json *file;
    ada_tok *tok, *gguf;
} golden;

static int open_golden(void **state, const char *name) {
    static golden g;
    g = (golden){0};
    assert_ok(ada_json_open(&g.file, io_tests_path(name)));
    assert_ok(ada_tok_open(&g.tok, ada_json_get(g.file, "tokenizer"), ada_json_get(g.file, "config")));
    assert_ok(ada_tok_open_gguf(&g.gguf, ada_json_get(g.file, "gguf")));
    *state = &g;
    return 0;
}

static int open_bytes(void **state) {
    return open_golden(state, "golden/tok_bytes.json");
}

static int open_pieces(void **state) {
    return open_golden(state, "golden/tok_pieces.json");
}

static int open_unigram(void **state) {
    return open_golden(state, "golden/tok_unigram.json");
}

static int close_golden(void **state) {
    golden *g = *state;
    ada_tok_close(&g->tok);
    ada_tok_close(&g->gguf);
    ada_json_close(&g->file);
    return 0;
}

static void check_ids(const char *what, const char *text, const ada_ids *got, const ada_json *want) {
    size_t n = ada_json_len(want), i = 0;
    while (i < n && i < got->len && got->data[i] == ada_json_int(ada_json_at(want, i), -1)) i++;
    if (i < n || i < got->len)
        fail_msg("%s of '%.60s': %zu ids, not %zu, or id %zu differs", what, text, got->len, n, i);
}

static void check_encode(const ada_tok *t, const ada_json *text, unsigned flags, const ada_json *want) {
    ada_ids ids = {0};
    assert_ok(ada_tok_encode(t, ada_json_str(text, ""), ada_json_strlen(text), flags, &ids));
    check_ids(flags == ADA_TOK_SPECIAL ? "special ids"
              : flags                  ? "plain ids"
                                       : "ids",
              ada_json_str(text, ""), &ids, want);
    ada_ids_free(&ids);
}

static void check_text(const ada_buf *got, const ada_json *want) {
    size_t n = ada_json_strlen(want);
    if (got->len != n || memcmp(got->data, ada_json_str(want, ""), n) != 0)
        fail_msg("'%.80s', but '%.80s' is wanted", got->data, ada_json_str(want, ""));
}

/* {"ids", "texts": [without, with special tokens]}; a stream says the same where nothing is replaced. */
static void check_decode(const ada_tok *t, const ada_json *row) {
    const ada_json *list = ada_json_get(row, "ids"), *texts = ada_json_get(row, "texts");
    int32_t ids[1024];
    size_t n = ada_json_len(list);
    assert_true(n < 1024);
    for (size_t i = 0; i < n; i++) ids[i] = (int32_t)ada_json_int(ada_json_at(list, i), -1);
    for (size_t k = 0; k < 2; k++) {
        ada_buf text = {0};
        assert_ok(ada_tok_decode(t, ids, n, k == 0, &text));
        check_text(&text, ada_json_at(texts, k));
        ada_buf_free(&text);
    }
    if (strstr(ada_json_str(ada_json_at(texts, 0), ""), "\xef\xbf\xbd")) return;
    ada_buf pieces = {0};
    assert_ok(ada_buf_puts(&pieces, ""));
    for (size_t i = 0, first = 1; i < n; i++) {
        if (!ada_tok_text(t, ids[i]) || ada_tok_is_special(t, ids[i])) continue;
        assert_ok(ada_tok_piece(t, ids[i], first, &pieces));
        first = 0;
    }
    check_text(&pieces, ada_json_at(texts, 0));
    ada_buf_free(&pieces);
}

static void lines(void **state) {
    const golden *g = *state;
    const ada_json *list = ada_json_get(g->file, "lines");
    assert_true(ada_json_len(list) > 100);
    for (size_t i = 0; i < ada_json_len(list); i++) {
        const ada_json *row = ada_json_at(list, i), *text = ada_json_get(row, "text"),
                       *ids = ada_json_get(row, "ids"), *special = ada_json_get(row, "special"),
                       *plain = ada_json_get(row, "plain");
        for (int gguf = 0; gguf < 2; gguf++) {
            const ada_tok *t = gguf ? g->gguf : g->tok;
            check_encode(t, text, 0, ids);
            check_encode(t, text, ADA_TOK_SPECIAL, special ? special : ids);
            check_encode(t, text, ADA_TOK_PLAIN, plain ? plain : ids);
            check_decode(t, row);
        }
    }
}

static void random_ids(void **state) {
    const golden *g = *state;
    const ada_json *list = ada_json_get(g->file, "texts");
    assert_true(ada_json_len(list) >= 50);
    for (size_t i = 0; i < ada_json_len(list); i++) {
        check_decode(g->tok, ada_json_at(list, i));
        check_decode(g->gguf, ada_json_at(list, i));
    }
}

/* The ids of a prompt and its completion are those of the whole text: nothing is put between the two. */
static void pairs(void **state) {
    const golden *g = *state;
    const ada_json *list = ada_json_get(g->file, "pairs");
    ada_arena a = {0};
    assert_true(ada_json_len(list) > 20);
    for (size_t i = 0; i < ada_json_len(list); i++) {
        const ada_json *row = ada_json_at(list, i), *want = ada_json_get(row, "ids");
        const char *prompt = ada_json_str(ada_json_get(row, "prompt"), "");
        const char *said = ada_json_str(ada_json_get(row, "completion"), "");
        const char *choices[] = {said, "-"};
        for (int gguf = 0; gguf < 2; gguf++) {
            const ada_model m = {.tok = gguf ? g->gguf : g->tok, .c.vocab = INT32_MAX};
            const ada_row r = {.prompt = prompt, .completion = said, .choices = choices, .nchoices = 2};
            size_t bos = ada_tok_adds_bos(m.tok), first = (size_t)ada_json_int(ada_json_get(row, "first"), 0);
            ada_example e;
            assert_ok(ada_example_make(&e, &m, NULL, &r, NULL, false, 0, &a));
            const ada_ids ids = {.data = e.ids + bos, .len = (size_t)e.n - bos};
            check_ids("ids of prompt and completion", prompt, &ids, want);
            if (bos) assert_int_equal(e.ids[0], ada_tok_bos(m.tok));
            for (size_t k = 0; k < (size_t)e.n; k++) assert_int_equal(e.mask[k], k > 0 && k >= bos + first);
        }
    }
    ada_arena_free(&a);
}

static void names(void **state) {
    const golden *g = *state;
    const ada_tok *t = g->tok;
    int32_t n = ada_tok_size(t), bos = ada_tok_find(t, "<s>"), eos = ada_tok_find(t, "</s>");
    assert_int_equal(ada_tok_bos(t), bos);
    assert_int_equal(ada_tok_eos(t), eos);
    assert_int_equal(ada_tok_pad(t), -1);
    assert_int_equal(ada_tok_eos(g->gguf), eos);
    assert_int_equal(ada_tok_size(g->gguf), n);
    assert_true(ada_tok_is_special(t, bos) && ada_tok_is_special(g->gguf, bos));
    assert_false(ada_tok_is_special(t, n - 1) || ada_tok_is_special(t, n) || ada_tok_is_special(t, -1));
    assert_string_equal(ada_tok_template(t), "{{ messages[0]['content'] }}");
    assert_null(ada_tok_template(g->gguf));
    assert_null(ada_tok_text(t, n));
    assert_null(ada_tok_text(t, -1));
    assert_int_equal(ada_tok_find(t, "no such entry"), -1);
    for (int32_t i = 0; i < n; i++) {
        assert_int_equal(ada_tok_find(t, ada_tok_text(t, i)), i);
        assert_string_equal(ada_tok_text(t, i), ada_tok_text(g->gguf, i));
    }
}

/* What is not UTF-8 is encoded as Python's replacement of it. */
static void wrong_bytes(void **state) {
    static const struct {
        const char *bytes, *stands_for;
    } rows[] = {{"a\xff z", "a\xef\xbf\xbd z"},
                {"\xe2\x82", "\xef\xbf\xbd"},
                {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
                {"\xf0\x9f\x98x\xc3", "\xef\xbf\xbdx\xef\xbf\xbd"}};
    const golden *g = *state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ada_ids a = {0}, b = {0};
        assert_ok(ada_tok_encode(g->tok, rows[i].bytes, strlen(rows[i].bytes), 0, &a));
        assert_ok(ada_tok_encode(g->tok, rows[i].stands_for, strlen(rows[i].stands_for), 0, &b));
        assert_int_equal(a.len, b.len);
        assert_memory_equal(a.data, b.data, a.len * sizeof *a.data);
        ada_ids_free(&a);
        ada_ids_free(&b);
    }
}

/* What the goldens' tokenizers lack: a mark at the head of the whole text only, BOS that the post-processor
 * adds, and added tokens of which one begins another. */
static const char small[] =
    "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"\u2581\": 0, \"a\": 1, \"b\": 2}, \"merges\": []}, "
    "\"pre_tokenizer\": {\"type\": \"Metaspace\", \"replacement\": \"\u2581\", \"prepend_scheme\": "
    "\"first\"}, "
    "\"added_tokens\": [{\"id\": 3, \"content\": \"aa\"}, {\"id\": 4, \"content\": \"aab\"}, "
    "{\"id\": 5, \"content\": \"<s>\", \"special\": true}], "
    "\"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": "
    "\"<s>\"}}, "
    "{\"Sequence\": {\"id\": \"A\"}}], \"special_tokens\": {\"<s>\": {\"ids\": [5]}}}}";

static void heads(void **state) {
    static const struct {
        const char *prompt, *said;
        int32_t n, ids[6];
    } rows[] = {{"b", "b", 4, {5, 0, 2, 2}},
                {"", "b", 3, {5, 0, 2}},
                {"b ", "b", 5, {5, 0, 2, 0, 2}},
                {"b<s>", "b", 5, {5, 0, 2, 5, 2}},
                {"aabaa", "aab", 4, {5, 4, 3, 4}}};
    static const char *const choices[] = {"x", "y"};
    (void)state;
    ada_json *j = NULL, *config = NULL;
    ada_tok *t = NULL;
    ada_arena a = {0};
    assert_ok(ada_json_parse(&j, small, sizeof small - 1, "small"));
    assert_ok(ada_json_parse(&config, "{\"bos_token\": \"<s>\"}", 20, "config"));
    assert_ok(ada_tok_open(&t, j, config));
    const ada_model m = {.tok = t, .c.vocab = INT32_MAX};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const ada_row r = {
            .prompt = rows[i].prompt, .completion = rows[i].said, .choices = choices, .nchoices = 2};
        ada_example e;
        assert_ok(ada_example_make(&e, &m, NULL, &r, NULL, false, 0, &a));
        assert_int_equal(e.n, rows[i].n);
        assert_memory_equal(e.ids, rows[i].ids, (size_t)e.n * sizeof *e.ids);
    }
    ada_arena_free(&a);
    ada_tok_close(&t);
    ada_json_close(&config);
    ada_json_close(&j);
}

/* An added token that is normalized is decoded as it is looked for; its entry keeps its name. */
static void normalized(void **state) {
    static const char text[] =
        "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": []}, "
        "\"normalizer\": {\"type\": \"Lowercase\"}, \"added_tokens\": [{\"id\": 1, \"content\": \"Name\"}]}";
    static const int32_t ids[] = {1, 0};
    (void)state;
    ada_json *j = NULL;
    ada_tok *t = NULL;
    ada_buf out = {0};
    ada_ids got = {0};
    assert_ok(ada_json_parse(&j, text, sizeof text - 1, "normalized"));
    assert_ok(ada_tok_open(&t, j, NULL));
    assert_ok(ada_tok_decode(t, ids, 2, true, &out));
    assert_string_equal(out.data, "name a");
    assert_string_equal(ada_tok_text(t, 1), "Name");
    assert_ok(ada_tok_encode(t, "NAMEa", 5, 0, &got));
    assert_int_equal(got.len, 2);
    assert_memory_equal(got.data, ids, sizeof ids);
    ada_ids_free(&got);
    ada_buf_free(&out);
    ada_tok_close(&t);
    ada_json_close(&j);
}

/* A tree that holds no tokenizer says so, and the handle stays empty. */
static void refusals(void **state) {
    static const struct {
        const char *text, *words;
        ada_status status;
    } rows[] = {
        {"{}", "neither tokenizer.json nor", ADA_EUNSUPPORTED},
        {"{\"tokenizer\": {}}", "tokenizer has no 'model'", ADA_EFORMAT},
        {"{\"tokenizer.ggml.model\": \"bert\"}", "'bert'", ADA_EUNSUPPORTED},
        {"{\"tokenizer.ggml.model\": \"llama\"}", "'tokenizer.ggml.tokens'", ADA_EFORMAT},
        {"{\"tokenizer.ggml.model\": \"llama\", \"tokenizer.ggml.tokens\": [1]}", "entry 0 is not a string",
         ADA_EFORMAT},
        {"{\"tokenizer.ggml.model\": \"llama\", \"tokenizer.ggml.tokens\": [\"a\"]}", "has 0 values for 1",
         ADA_EFORMAT},
        {"{\"tokenizer.ggml.model\": \"llama\", \"tokenizer.ggml.tokens\": [\"a\"], "
         "\"tokenizer.ggml.token_type\": [1, 1]}",
         "has 2 values for 1", ADA_EFORMAT},
        {"{\"tokenizer.ggml.model\": \"llama\", \"tokenizer.ggml.tokens\": [\"a\"], "
         "\"tokenizer.ggml.scores\": [0], \"tokenizer.ggml.bos_token_id\": 1}",
         "'tokenizer.ggml.bos_token_id'", ADA_EFORMAT},
        {"{\"tokenizer.ggml.model\": \"llama\", \"tokenizer.ggml.tokens\": [\"a\"], "
         "\"tokenizer.ggml.scores\": [0], \"tokenizer.ggml.add_eos_token\": true}",
         "to add EOS", ADA_EFORMAT},
        {"{\"tokenizer.ggml.model\": \"gpt2\", \"tokenizer.ggml.tokens\": [\"a\"], "
         "\"tokenizer.ggml.pre\": \"nobody\"}",
         "pre-tokenizer 'nobody'", ADA_EUNSUPPORTED},
        {"{\"tokenizer.ggml.model\": \"gpt2\", \"tokenizer.ggml.tokens\": [\"a\"]}",
         "'tokenizer.ggml.merges'", ADA_EFORMAT},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ada_json *j = NULL;
        ada_tok *t = NULL;
        assert_ok(ada_json_parse(&j, rows[i].text, strlen(rows[i].text), "row"));
        assert_fails(ada_tok_open_meta(&t, j), rows[i].status, rows[i].words);
        assert_null(t);
        ada_json_close(&j);
    }
}

#define BOTH(test)                                                                                           \
    {"bytes: " #test, test, open_bytes, close_golden, NULL}, {                                               \
        "pieces: " #test, test, open_pieces, close_golden, NULL                                              \
    }

/* Ids of the SentencePiece file beside this metadata, and no tokenizer_config.json. */
static int32_t unigram_file_size(const char *text) {
    char *bytes;
    size_t n;
    ada_json *meta = NULL;
    ada_tok *t = NULL;
    assert_ok(ada_json_parse(&meta, text, strlen(text), "meta"));
    assert_ok(ada_read_file(io_tests_path("golden/tok_unigram.model"), &bytes, &n));
    assert_ok(ada_spiece_read(meta, bytes, n, NULL, "tok_unigram.model"));
    assert_ok(ada_tok_open_meta(&t, meta));
    int32_t size = ada_tok_size(t);
    ada_os.release(bytes);
    ada_tok_close(&t);
    ada_json_close(&meta);
    return size;
}

/* The SentencePiece file itself, with two of T5's sentinels behind its pieces. */
static void unigram_file(void **state) {
    const golden *g = *state;
    const ada_json *lines = ada_json_get(g->file, "lines");
    const char config[] = "{\"tokenizer_class\": \"T5Tokenizer\", \"extra_ids\": 2}";
    char *bytes;
    size_t n;
    ada_json *meta = ada_json_new_obj(), *j = NULL;
    ada_tok *t = NULL;
    assert_ok(ada_json_parse(&j, config, sizeof config - 1, "config"));
    assert_ok(ada_read_file(io_tests_path("golden/tok_unigram.model"), &bytes, &n));
    assert_ok(ada_spiece_read(meta, bytes, n, j, "tok_unigram.model"));
    ada_os.release(bytes);
    assert_ok(ada_tok_open_meta(&t, meta));
    for (size_t i = 0; i < ada_json_len(lines); i++) {
        const ada_json *row = ada_json_at(lines, i), *special = ada_json_get(row, "special");
        check_encode(t, ada_json_get(row, "text"), 0, ada_json_get(row, "ids"));
        check_encode(t, ada_json_get(row, "text"), ADA_TOK_SPECIAL,
                     special ? special : ada_json_get(row, "ids"));
    }
    int32_t last = ada_tok_size(t) - 1, own = ada_tok_size(g->tok);
    assert_int_equal(last, own + 1);
    assert_int_equal(ada_tok_find(t, "<extra_id_0>"), last);
    assert_int_equal(ada_tok_find(t, "<extra_id_1>"), last - 1);
    assert_true(ada_tok_is_special(t, last) && ada_tok_is_special(t, ada_tok_eos(t)));
    assert_int_equal(ada_tok_eos(t), 1);
    assert_int_equal(ada_tok_pad(t), 0);
    ada_tok_close(&t);
    ada_json_close(&meta);
    ada_json_close(&j);
    assert_int_equal(unigram_file_size("{\"config\": {\"model_type\": \"t5\"}}"), own + 100);
    assert_int_equal(unigram_file_size("{\"config\": {\"model_type\": \"mt5\"}}"), own);
}

static void unigram_refused(const char *model, const char *words) {
    char text[512];
    ada_json *j = NULL;
    ada_tok *t = NULL;
    snprintf(text, sizeof text, "{\"model\": {\"type\": \"Unigram\", %s}}", model);
    assert_ok(ada_json_parse(&j, text, strlen(text), "test"));
    assert_fails(ada_tok_open(&t, j, NULL), ADA_EFORMAT, words);
    assert_null(t);
    ada_json_close(&j);
}

static void unigram_refusals(void **state) {
    (void)state;
    unigram_refused("\"unk_id\": 0", "no 'vocab'");
    unigram_refused("\"unk_id\": 0, \"vocab\": []", "no 'vocab'");
    unigram_refused("\"unk_id\": 0, \"vocab\": {\"a\": 1}", "no 'vocab'");
    unigram_refused("\"unk_id\": 0, \"vocab\": [[\"a\", 0], [\"b\"]]", "entry 1");
    unigram_refused("\"unk_id\": 0, \"vocab\": [[\"a\", \"0\"]]", "entry 0");
    unigram_refused("\"unk_id\": 0, \"vocab\": [[1, 0]]", "entry 0");
    unigram_refused("\"unk_id\": 2, \"vocab\": [[\"a\", 0], [\"b\", -1]]", "unknown token's id");
    unigram_refused("\"unk_id\": -1, \"vocab\": [[\"a\", 0]]", "unknown token's id");
    unigram_refused("\"unk_id\": \"a\", \"vocab\": [[\"a\", 0]]", "unknown token's id");
}

/* Where a character is no entry alone, and where ways are as good as each other: what tokenizers gives. */
static void unigram_ways(void **state) {
    static const char model[] =
        "{\"model\": {\"type\": \"Unigram\", \"unk_id\": 0, \"vocab\": [[\"<unk>\", 0], [\"ab\", -30],"
        "[\"a\", -1], [\"abc\", -39.5], [\"abcd\", -62], [\"x\", -2], [\"xx\", -4], [\"z\", 5], [\"zy\", "
        "-62]]}}";
    static const struct {
        const char *text;
        int32_t ids[5];
        size_t n;
    } rows[] = {{"ab", {1}, 1},
                {"abc", {3}, 1},
                {"abcd", {4}, 1},
                {"b", {0}, 1},
                {"abxbbx", {1, 5, 0, 5}, 4},
                {"xxx", {5, 6}, 2},
                {"xxxx", {6, 6}, 2},
                {"bca", {0, 2}, 2},
                {"zy", {8}, 1},
                {"zyy", {8, 0}, 2}};
    (void)state;
    ada_json *j = NULL;
    ada_tok *t = NULL;
    assert_ok(ada_json_parse(&j, model, sizeof model - 1, "test"));
    assert_ok(ada_tok_open(&t, j, NULL));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ada_ids ids = {0};
        assert_ok(ada_tok_encode(t, rows[i].text, strlen(rows[i].text), 0, &ids));
        assert_int_equal(ids.len, rows[i].n);
        assert_memory_equal(ids.data, rows[i].ids, rows[i].n * sizeof *ids.data);
        ada_ids_free(&ids);
    }
    ada_tok_close(&t);
    ada_json_close(&j);
}

/* ---- ByT5 ---- */
static void byt5(void **state) {
    static const struct {
        const char *configs;
        int32_t size;
    } rows[] = {{"{\"config\": {\"tokenizer_class\": \"ByT5Tokenizer\"}}", 384},
                {"{\"tokenizer_config\": {\"tokenizer_class\": \"ByT5Tokenizer\", \"extra_ids\": 2}}", 261},
                {"{\"tokenizer_config\": {\"tokenizer_class\": \"ByT5Tokenizer\", \"extra_ids\": 0, "
                 "\"additional_special_tokens\": [\"<extra_id_0>\", {\"content\": \"<b>\"}]}}",
                 261},
                {"{\"tokenizer_config\": {\"tokenizer_class\": \"ByT5Tokenizer\", \"extra_ids\": 0, "
                 "\"added_tokens_decoder\": {\"0\": {\"content\": \"<pad>\"}, \"259\": {\"content\": "
                 "\"<extra_id_0>\"}}}}",
                 260}};
    static const int32_t want[] = {100, 198, 172, 1, 259, 35, 1};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ada_json *meta = NULL;
        ada_tok *t = NULL;
        ada_ids ids = {0};
        ada_buf text = {0};
        assert_ok(ada_json_parse(&meta, rows[i].configs, strlen(rows[i].configs), "configs"));
        assert_ok(ada_tok_set_byt5(meta));
        assert_ok(ada_tok_open_meta(&t, meta));
        assert_int_equal(ada_tok_size(t), rows[i].size);
        assert_ok(ada_tok_encode(t, "a\xc3\xa9 </s> <extra_id_0> ", 22, ADA_TOK_SPECIAL, &ids));
        assert_int_equal(ids.len, 7);
        assert_memory_equal(ids.data, want, sizeof want);
        ids.data[2] = 1; /* the character is cut, and left out */
        assert_ok(ada_tok_decode(t, ids.data, ids.len, true, &text));
        assert_string_equal(text.data, "a ");
        assert_int_equal(ada_tok_pad(t), 0);
        assert_int_equal(ada_tok_eos(t), 1);
        ada_buf_free(&text);
        ada_ids_free(&ids);
        ada_tok_close(&t);
        ada_json_close(&meta);
    }
    static const char odd[] = "{\"config\": {\"tokenizer_class\": \"ByT5Tokenizer\"}, \"tokenizer_config\": "
                              "{\"extra_ids\": -1}}";
    ada_json *bad = NULL, *none = ada_json_new_obj();
    assert_ok(ada_json_parse(&bad, odd, sizeof odd - 1, "configs"));
    assert_fails(ada_tok_set_byt5(bad), ADA_EFORMAT, "'extra_ids' of ByT5Tokenizer is -1");
    ada_json_close(&bad);
    assert_ok(ada_tok_set_byt5(none));
    assert_null(ada_json_get(none, "tokenizer"));
    ada_json_close(&none);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        BOTH(lines),
        BOTH(random_ids),
        BOTH(pairs),
        BOTH(names),
        BOTH(wrong_bytes),
        cmocka_unit_test_setup_teardown(lines, open_unigram, close_golden),
        cmocka_unit_test_setup_teardown(random_ids, open_unigram, close_golden),
        cmocka_unit_test_setup_teardown(unigram_file, open_unigram, close_golden),
        cmocka_unit_test(unigram_refusals),
        cmocka_unit_test(unigram_ways),
        cmocka_unit_test(byt5),
        cmocka_unit_test(heads),
        cmocka_unit_test(normalized),
        cmocka_unit_test(refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
