/* SPDX-License-Identifier: Apache-2.0
 * For tests/oracle_tok.py: lines of JSON on standard input, answers on standard output.
 * A string is encoded to a list of ids, {"special": "…"} with what the post-processor adds, {"plain": "…"}
 * with special tokens as text; a list of ids is decoded, and given again as the sum of its pieces. usage:
 * tok_driver FILE    tokenizer.json, a .json of GGUF metadata, a SentencePiece .model (tokenizer_config.json
 *     beside it counts), ByT5's tokenizer_config.json, a model file or folder */
#include "io/os.h"
#include "io/replace.h"
#include "io/spiece.h"
#include "io/tensors.h"
#include "io/tok.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(ada_status st) {
    if (st == ADA_OK) return;
    fprintf(stderr, "tok_driver: %s\n", ada_error());
    exit(ada_status_exit(st));
}

static ada_json *text_of(const ada_buf *b) {
    return ada_json_new_str(b->data ? b->data : "", b->len);
}

static ada_json *encode(const ada_tok *t, const ada_json *s, unsigned flags) {
    ada_ids ids = {0};
    check(ada_tok_encode(t, ada_json_str(s, ""), ada_json_strlen(s), flags, &ids));
    ada_json *out = ada_json_new_arr();
    for (size_t i = 0; i < ids.len; i++) check(ada_json_push(out, ada_json_new_int(ids.data[i])));
    ada_ids_free(&ids);
    return out;
}

static ada_json *decode(const ada_tok *t, const ada_json *list) {
    size_t n = ada_json_len(list);
    int32_t *ids = calloc(n + 1, sizeof *ids);
    ada_buf whole = {0}, kept = {0}, pieces = {0};
    for (size_t i = 0; i < n; i++) ids[i] = (int32_t)ada_json_int(ada_json_at(list, i), -1);
    check(ada_tok_decode(t, ids, n, true, &whole));
    check(ada_tok_decode(t, ids, n, false, &kept));
    bool first = true;
    for (size_t i = 0; i < n; i++) {
        if (!ada_tok_text(t, ids[i]) || ada_tok_is_special(t, ids[i])) continue;
        check(ada_tok_piece(t, ids[i], first, &pieces));
        first = false;
    }
    ada_json *out = ada_json_new_arr();
    check(ada_json_push(out, text_of(&whole)));
    check(ada_json_push(out, text_of(&kept)));
    check(ada_json_push(out, text_of(&pieces)));
    ada_buf_free(&whole);
    ada_buf_free(&kept);
    ada_buf_free(&pieces);
    free(ids);
    return out;
}

static bool ends(const char *s, const char *with) {
    size_t n = strlen(s), k = strlen(with);
    return n >= k && strcmp(s + n - k, with) == 0;
}

/* What the reader of a folder makes of this file. */
static ada_json *folder(const char *path) {
    char beside[4096];
    ada_json *meta = ada_json_new_obj(), *config = NULL;
    (void)snprintf(beside, sizeof beside - 32, "%s", path);
    char *slash = strrchr(beside, '/');
    strcpy(slash ? slash + 1 : beside, "tokenizer_config.json");
    if (ada_json_open(&config, beside) == ADA_OK) check(ada_json_set(meta, "tokenizer_config", config));
    if (ends(path, ".model")) {
        char *bytes;
        size_t n;
        check(ada_read_file(path, &bytes, &n));
        check(ada_spiece_read(meta, bytes, n, config, path));
        ada_os.release(bytes);
    } else {
        check(ada_tok_set_byt5(meta));
    }
    return meta;
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    ada_json *file = NULL;
    ada_tensors *model = NULL;
    ada_tok *t = NULL;
    double start = ada_os.now();
    if (ends(argv[1], ".model") || ends(argv[1], "tokenizer_config.json")) {
        file = folder(argv[1]);
        check(ada_tok_open_meta(&t, file));
    } else if (ends(argv[1], ".json")) {
        check(ada_json_open(&file, argv[1]));
        fprintf(stderr, "read in %.1f ms\n", (ada_os.now() - start) * 1e3);
        start = ada_os.now();
        check(ada_json_get(file, "tokenizer.ggml.model") ? ada_tok_open_gguf(&t, file)
                                                         : ada_tok_open(&t, file, NULL));
    } else {
        check(ada_tensors_open(&model, argv[1]));
        fprintf(stderr, "read in %.1f ms\n", (ada_os.now() - start) * 1e3);
        start = ada_os.now();
        check(ada_tok_open_meta(&t, ada_tensors_meta(model)));
    }
    fprintf(stderr, "opened in %.1f ms\n", (ada_os.now() - start) * 1e3);
    char *line = NULL;
    size_t cap = 0;
    for (ssize_t n; (n = getline(&line, &cap, stdin)) > 0;) {
        ada_json *j = NULL, *out;
        check(ada_json_parse(&j, line, (size_t)n, "stdin"));
        if (ada_json_is_arr(j))
            out = decode(t, j);
        else if (ada_json_is_str(j))
            out = encode(t, j, 0);
        else if (ada_json_get(j, "special"))
            out = encode(t, ada_json_get(j, "special"), ADA_TOK_SPECIAL);
        else
            out = encode(t, ada_json_get(j, "plain"), ADA_TOK_PLAIN);
        ada_buf text = {0};
        check(ada_json_text(out, 0, &text));
        fwrite(text.data, 1, text.len, stdout);
        putchar('\n');
        ada_buf_free(&text);
        ada_json_close(&out);
        ada_json_close(&j);
    }
    free(line);
    ada_tok_close(&t);
    ada_json_close(&file);
    ada_tensors_close(&model);
    return 0;
}
