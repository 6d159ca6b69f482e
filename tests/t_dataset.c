/* SPDX-License-Identifier: Apache-2.0
 * JSONL rows: what each kind of row gives, where a line ends, and each refusal as file:line, with the key
 * that was found and the one that was wanted. Owns: files of io_test.h's folder. Must not know: tokens.
 * Invariant: a refusal names the right line, whatever stands before it. */
#include "io/dataset.h"
#include "tests/io_test.h"

#define PC(p, c) "{\"prompt\":\"" p "\",\"completion\":\"" c "\"}"

static ada_dataset *open_text(const char *text, size_t n, const ada_dataset_opts *o) {
    ada_dataset *d = NULL;
    assert_ok(ada_dataset_open(&d, io_file("rows.jsonl", text, n), o));
    return d;
}

static ada_dataset *open_rows(const char *text) {
    return open_text(text, strlen(text), &(ada_dataset_opts){0});
}

static void kinds(void **state) {
    (void)state;
    ada_dataset *d = open_rows(PC(
        "a",
        " b") "\n"
              "{\"text\": \"all of it\", \"prompt\": null, \"other\": 3}\n"
              "{\"messages\": [{\"role\": \"system\", \"content\": \"\"}, {\"role\": \"user\", \"content\": "
              "\"u\"},"
              " {\"role\": \"assistant\", \"content\": \"z\\u00e9\"}], \"choices\": [\"y\", \"z\\u00e9\"]}\n"
              "{\"completion\": \"no\", \"choices\": [\"yes\", \"no\", \"maybe\"], \"prompt\": \"q\"}");
    assert_int_equal(ada_dataset_count(d), 4);
    assert_null(ada_dataset_at(d, 4));
    const ada_row *r = ada_dataset_at(d, 0);
    assert_string_equal(r->prompt, "a");
    assert_string_equal(r->completion, " b");
    assert_true(!r->text && !r->messages && !r->choices && r->answer == -1 && r->line == 1);
    r = ada_dataset_at(d, 1);
    assert_string_equal(r->text, "all of it");
    assert_true(!r->prompt && !r->completion && !r->messages && r->line == 2);
    r = ada_dataset_at(d, 2);
    assert_int_equal(r->nmessages, 3);
    assert_string_equal(r->messages[0].role, "system");
    assert_string_equal(r->messages[0].content, "");
    assert_string_equal(r->messages[2].content, "z\xc3\xa9");
    assert_true(r->answer == 1 && r->nchoices == 2 && !r->prompt && !r->text);
    r = ada_dataset_at(d, 3);
    assert_string_equal(r->choices[2], "maybe");
    assert_true(r->answer == 1 && r->nchoices == 3 && r->line == 4);
    assert_non_null(strstr(ada_dataset_path(d), "rows.jsonl"));
    ada_dataset_close(&d);
    assert_null(d);
    ada_dataset_close(&d);
}

/* Content as a list of parts is their text, joined, and these. */
static void parts(void **state) {
    (void)state;
    ada_dataset *d = open_rows("{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"text\", "
                               "\"text\": \"u\"}, {\"type\": "
                               "\"text\", \"text\": \" v\"}]}, {\"role\": \"assistant\", \"content\": []}]}");
    const ada_row *r = ada_dataset_at(d, 0);
    assert_string_equal(r->messages[0].content, "u v");
    assert_int_equal(r->messages[0].nparts, 2);
    assert_string_equal(r->messages[0].parts[1], " v");
    assert_string_equal(r->messages[1].content, "");
    assert_non_null(r->messages[1].parts);
    assert_int_equal(r->messages[1].nparts, 0);
    ada_dataset_close(&d);
}

/* What a row's images are, by the data file's folder and by none; where their marks stand. */
static void images(void **state) {
    (void)state;
    ada_dataset *d =
        open_rows("{\"image\": \"a.png\", \"prompt\": \"what?\", \"completion\": \" x\"}\n"
                  "{\"images\": [\"/a b.png\", \"sub/c.png\"], \"text\": \"all\"}\n"
                  "{\"images\": [\"1\", \"2\"], \"image\": null, \"text\": \"u<image>v<image>\"}\n"
                  "{\"images\": [], \"prompt\": \"a <image> of text\", \"completion\": \"<image>\"}\n");
    const ada_row *r = ada_dataset_at(d, 0);
    assert_int_equal(r->nimages, 1);
    assert_string_equal(r->images[0], io_path("a.png"));
    assert_string_equal(r->prompt, "<image>what?");
    assert_string_equal(r->completion, " x");
    r = ada_dataset_at(d, 1);
    assert_int_equal(r->nimages, 2);
    assert_string_equal(r->images[0], "/a b.png");
    assert_string_equal(r->images[1], io_path("sub/c.png"));
    assert_string_equal(r->text, "<image><image>all");
    r = ada_dataset_at(d, 2);
    assert_int_equal(r->nimages, 2);
    assert_string_equal(r->text, "u<image>v<image>");
    r = ada_dataset_at(d, 3);
    assert_true(r->nimages == 0 && r->images == NULL);
    assert_string_equal(r->prompt, "a <image> of text");
    assert_string_equal(r->completion, "<image>");
    ada_dataset_close(&d);

    char folder[256];
    assert_non_null(getcwd(folder, sizeof folder));
    (void)io_file("bare.jsonl", "{\"image\":\"a\",\"text\":\"b\"}", 24);
    assert_int_equal(chdir(io_folder), 0);
    assert_ok(ada_dataset_open(&d, "bare.jsonl", NULL));
    assert_int_equal(chdir(folder), 0);
    assert_string_equal(ada_dataset_at(d, 0)->images[0], "a");
    ada_dataset_close(&d);
}

/* Images of messages: in front of the first user's turn, or where the text or a part says. */
static void images_in_messages(void **state) {
    (void)state;
#define SYSTEM "{\"role\": \"system\", \"content\": \"s\"}, "
#define USER(c) "{\"role\": \"user\", \"content\": " c "}, "
#define SAID "{\"role\": \"assistant\", \"content\": \"a\"}"
    ada_dataset *d = open_rows(
        "{\"image\": \"i\", \"messages\": [" SYSTEM USER("\"u\"") SAID ", " USER("\"v\"") SAID
        "]}\n"
        "{\"images\": [\"i\", \"k\"], \"messages\": [" USER("\"u <image>\"") USER("\"<image>v\"") SAID
        "]}\n"
        "{\"messages\": [" USER(
            "[{\"type\": \"image\", \"path\": \"i\"}, {\"type\": \"text\", \"text\": \"u\"}, "
            "{\"type\": \"image\", \"url\": \"k\"}]") SAID
        ", " USER("[{\"type\": \"image\", \"image\": \"l\"}, {\"type\": \"text\", \"text\": \"v\"}]") SAID
        "]}\n"
        "{\"image\": \"i\", \"messages\": [" USER(
            "[{\"type\": \"text\", \"text\": \"u\"}, {\"type\": \"image\"}]") SAID
        "]}\n"
        "{\"messages\": [" USER("\"<image>\"") "{\"role\": \"assistant\", \"content\": \"<image>\"}]}\n");
    const ada_row *r = ada_dataset_at(d, 0);
    assert_string_equal(r->messages[0].content, "s");
    assert_string_equal(r->messages[1].content, "<image>u");
    assert_int_equal(r->messages[1].nparts, 2);
    assert_true(!r->messages[1].parts[0] && !strcmp(r->messages[1].parts[1], "u"));
    assert_string_equal(r->messages[3].content, "v");
    assert_null(r->messages[3].parts);
    assert_string_equal(r->images[0], io_path("i"));
    r = ada_dataset_at(d, 1);
    assert_string_equal(r->messages[0].content, "u <image>");
    assert_null(r->messages[0].parts); /* a text in which its author put the marks */
    assert_string_equal(r->messages[1].content, "<image>v");
    assert_string_equal(r->images[1], io_path("k"));
    r = ada_dataset_at(d, 2);
    assert_int_equal(r->nimages, 3);
    assert_string_equal(r->messages[0].content, "<image>u<image>");
    assert_int_equal(r->messages[0].nparts, 3);
    assert_true(!r->messages[0].parts[0] && !r->messages[0].parts[2]);
    assert_string_equal(r->messages[2].content, "<image>v");
    assert_string_equal(r->images[0], io_path("i"));
    assert_string_equal(r->images[1], io_path("k"));
    assert_string_equal(r->images[2], io_path("l"));
    r = ada_dataset_at(d, 3);
    assert_int_equal(r->nimages, 1);
    assert_string_equal(r->messages[0].content, "u<image>");
    assert_int_equal(ada_dataset_at(d, 4)->nimages, 0);
    assert_string_equal(ada_dataset_at(d, 4)->messages[1].content, "<image>");
    ada_dataset_close(&d);
}

/* A mark at the head, line ends of either kind, blank lines; the digest is of the bytes. */
static void line_ends(void **state) {
    (void)state;
    static const char text[] = "\xef\xbb\xbf" PC("a", "b") "\r\n\r\n \t\n" PC("c", "d") " \n\n" PC("e", "f");
    ada_dataset *d = open_text(text, sizeof text - 1, &(ada_dataset_opts){0});
    assert_int_equal(ada_dataset_count(d), 3);
    assert_int_equal(ada_dataset_at(d, 0)->line, 1);
    assert_int_equal(ada_dataset_at(d, 1)->line, 4);
    assert_int_equal(ada_dataset_at(d, 2)->line, 6);
    assert_string_equal(ada_dataset_at(d, 2)->completion, "f");
    ada_dataset_close(&d);
    d = open_rows("{\"text\":\"x\"}\n");
    assert_string_equal(ada_dataset_digest(d),
                        "a6ac0a74884c936e0095e2d1fdb5dc41de3d3632a435b604933e432532254082");
    ada_dataset_close(&d);
}

/* Rows longer than the chunk that is read at once, and more of them than the first table holds. */
static void long_rows(void **state) {
    (void)state;
    enum { ROWS = 700, LONG = 600000 };
    ada_buf b = {0};
    for (int i = 0; i < ROWS; i++) {
        assert_ok(ada_buf_printf(&b, "{\"prompt\":\"%d\",\"completion\":\"", i));
        for (int k = 0; i % 350 == 1 && k < LONG; k += 10) assert_ok(ada_buf_puts(&b, "0123456789"));
        assert_ok(ada_buf_puts(&b, "!\"}\n"));
    }
    ada_dataset *d = open_text(b.data, b.len, &(ada_dataset_opts){0});
    assert_int_equal(ada_dataset_count(d), ROWS);
    for (int i = 0; i < ROWS; i++) {
        const ada_row *r = ada_dataset_at(d, (size_t)i);
        assert_int_equal(atoi(r->prompt), i);
        assert_int_equal(strlen(r->completion), i % 350 == 1 ? LONG + 1 : 1);
        assert_int_equal(r->line, i + 1);
    }
    ada_dataset_close(&d);
    ada_buf_free(&b);
}

static void options(void **state) {
    (void)state;
    const char *rows =
        "{\"q\":\"a\",\"a\":\"x\",\"of\":[\"x\",\"y\"],\"prompt\":7,\"jpg\":\"i\",\"image\":1}\n"
        "{\"all\":\"t\",\"pages\":[\"i\",\"k\"],\"images\":2}\n"
        "{\"chat\":[{\"role\":\"assistant\",\"content\":\"c\"}]}\n";
    const ada_dataset_opts o = {.prompt_key = "q",
                                .completion_key = "a",
                                .messages_key = "chat",
                                .text_key = "all",
                                .choices_key = "of",
                                .image_key = "jpg",
                                .images_key = "pages"};
    ada_dataset *d = open_text(rows, strlen(rows), &o);
    assert_int_equal(ada_dataset_count(d), 3);
    assert_int_equal(ada_dataset_at(d, 0)->answer, 0);
    assert_string_equal(ada_dataset_at(d, 0)->images[0], io_path("i"));
    assert_string_equal(ada_dataset_at(d, 1)->text, "<image><image>t");
    assert_int_equal(ada_dataset_at(d, 2)->nmessages, 1);
    ada_dataset_close(&d);

    /* what stands behind the limit is not looked at */
    rows = PC("a", "b") "\n\n" PC("c", "d") "\nno JSON\n";
    d = open_text(rows, strlen(rows), &(ada_dataset_opts){.limit = 2});
    assert_int_equal(ada_dataset_count(d), 2);
    ada_dataset_close(&d);

    rows = "{\"prompt\":\"p\"}\n{\"messages\":[{\"role\":\"user\",\"content\":\"u\"}]}\n"
           "{\"prompt\":\"p\",\"choices\":[\"a\",\"b\"]}\n{\"prompt\":\"p\",\"completion\":\"\"}\n"
           "{\"prompt\":\"p\",\"completion\":\"c\",\"choices\":[\"a\",\"b\"]}\n";
    d = open_text(rows, strlen(rows), &(ada_dataset_opts){.allow_no_target = true});
    assert_int_equal(ada_dataset_count(d), 5);
    assert_null(ada_dataset_at(d, 0)->completion);
    assert_int_equal(ada_dataset_at(d, 2)->answer, -1);
    assert_int_equal(ada_dataset_at(d, 4)->answer, -1);
    ada_dataset_close(&d);
}

/* A bad line, which stands between two good ones, and words of its refusal. */
static const struct {
    const char *line, *words;
} refused[] = {
    {"{\"promt\":\"a\",\"completion\":\"b\"}",
     "keys 'promt', 'completion' found, key 'prompt' wanted: is 'promt' meant for it?"},
    {"{\"question\":\"a\"}", "key 'question' found, key 'prompt' (or 'messages' or 'text') wanted"},
    {"{}", "no keys found, key 'prompt' (or 'messages' or 'text') wanted"},
    {"{\"prompt\":\"a\",\"compleiton\":\"b\"}",
     "keys 'prompt', 'compleiton' found, key 'completion' wanted: is 'compleiton' meant for it?"},
    {"{\"prompt\":\"a\"}", "key 'prompt' found, key 'completion' wanted"},
    {"{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1}",
     "keys 'a', 'b', 'c', 'd', 'e', 'f', … found, key 'prompt'"},
    {"{\"prompt\":\"a\",\"text\":\"b\"}", "keys 'prompt' and 'text' found, one of them is wanted"},
    {"{\"prompt\":3,\"completion\":\"b\"}", "key 'prompt' is a number, a string is wanted"},
    {"{\"prompt\":\"a\",\"completion\":[\"b\"]}", "key 'completion' is an array, a string is wanted"},
    {"{\"prompt\":\"a\",\"completion\":\"\"}", "key 'completion' is empty"},
    {"{\"prompt\":\"a\\u0000\",\"completion\":\"b\"}", "key 'prompt' holds a NUL character"},
    {"{\"text\":\"\"}", "key 'text' is empty"},
    {"{\"text\":{}}", "key 'text' is an object, a string is wanted"},
    {"{\"text\":true}", "key 'text' is true or false, a string is wanted"},
    {"{\"text\":\"a\",\"choices\":[\"a\",\"b\"]}", "key 'choices' found beside 'text', 'prompt' is wanted"},
    {"[1]", "the row is an array, an object is wanted"},
    {"\"text\"", "the row is a string, an object is wanted"},
    {"null", "the row is null, an object is wanted"},
    {"{\"prompt\":\"a\",\"prompt\":\"b\"}", "duplicate object key"},
    {"{\"prompt\":\"a\",", "column "},
    {"{\"prompt\":\"a\"} {\"prompt\":\"b\"}", "end of file expected"},
    {"{\"text\":\"\xc3(\"}", "column 10: byte 0xc3 is not UTF-8"},
    {"{\"text\":\"\\ud800\"}", "invalid Unicode"},
    {"\xef\xbb\xbf{\"text\":\"a\"}", "column 1: "},
    {"{\"prompt\":\"a\",\"completion\":\"b\",\"choices\":\"b\"}",
     "key 'choices' is a string, an array of strings is wanted"},
    {"{\"prompt\":\"a\",\"completion\":\"b\",\"choices\":[\"b\"]}",
     "key 'choices' has 1 of the 2 or more choices that are wanted"},
    {"{\"prompt\":\"a\",\"completion\":\"b\",\"choices\":[\"b\",1]}", "key 'choices' is a number"},
    {"{\"prompt\":\"a\",\"completion\":\"b\",\"choices\":[\"b\",\"\"]}", "key 'choices' has an empty choice"},
    {"{\"prompt\":\"a\",\"completion\":\"b\",\"choices\":[\"b\",\"c\",\"b\"]}",
     "key 'choices' has the choice 'b' twice"},
    {"{\"prompt\":\"a\",\"completion\":\"b\",\"choices\":[\"c\",\"d\"]}",
     "'b' found, one of 'choices' is wanted"},
    {"{\"messages\":{}}", "key 'messages' is an object, an array of messages is wanted"},
    {"{\"messages\":[]}", "key 'messages' is an empty array"},
    {"{\"messages\":[\"hi\"]}", "a message is a string, an object is wanted"},
    {"{\"messages\":[{\"content\":\"a\"}]}", "key 'content' found, key 'role' wanted"},
    {"{\"messages\":[{\"role\":\"user\",\"contents\":\"a\"}]}",
     "key 'content' wanted: is 'contents' meant for it?"},
    {"{\"messages\":[{\"role\":1,\"content\":\"a\"}]}", "key 'role' is a number, a string is wanted"},
    {"{\"messages\":[{\"role\":\"bot\",\"content\":\"a\"}]}",
     "role 'bot' found, 'system', 'user' or 'assistant' wanted"},
    {"{\"messages\":[{\"role\":\"user\",\"content\":null}]}", "key 'content' is null, a string is wanted"},
    {"{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}", "no message of role 'assistant'"},
    {"{\"messages\":[{\"role\":\"assistant\",\"content\":\"a\"},{\"role\":\"user\",\"content\":\"b\"}],"
     "\"choices\":[\"a\",\"b\"]}",
     "the last message is not an assistant's, one of 'choices' is wanted"},
    {"{\"text\":\"a\",\"image\":\"\"}", "key 'image' is empty, an image's file is wanted"},
    {"{\"text\":\"a\",\"image\":[\"i\"]}", "key 'image' is an array, a string is wanted"},
    {"{\"text\":\"a\",\"images\":\"i\"}", "key 'images' is a string, an array of strings is wanted"},
    {"{\"text\":\"a\",\"images\":[\"i\",2]}", "key 'images' is a number, a string is wanted"},
    {"{\"text\":\"a\",\"images\":[\"i\",\"\"]}", "key 'images' is empty, an image's file is wanted"},
    {"{\"text\":\"a\",\"image\":\"i\",\"images\":[\"i\"]}",
     "keys 'image' and 'images' found, one of them is wanted"},
    {"{\"text\":\"a\",\"image\":\"https://h/i.png\"}",
     "'https://h/i.png' in 'image' is an address, an image's file is wanted"},
    {"{\"text\":\"a\",\"images\":[\"data:image/png;base64,iVBO\"]}", "in 'images' is an address"},
    {"{\"text\":\"a <image> b <image>\",\"image\":\"i\"}",
     "2 of '<image>' in 'text' found, 1 wanted: as many as images"},
    {"{\"prompt\":\"<image>\",\"completion\":\"b\",\"images\":[\"i\",\"k\"]}",
     "1 of '<image>' in 'prompt' found, 2 wanted: as many as images"},
    {"{\"prompt\":\"a\",\"completion\":\"<image>\",\"image\":\"i\"}",
     "'<image>' in 'completion' found, which cannot be learned"},
    {"{\"prompt\":\"a\",\"completion\":\"b\",\"choices\":[\"b\",\"<image>\"],\"image\":\"i\"}",
     "'<image>' in 'choices' found, which cannot be learned"},
    {"{\"image\":\"i\",\"messages\":[" SAID "]}",
     "key 'messages' has no message of role 'user', which images need"},
    {"{\"image\":\"i\",\"messages\":[" USER("\"<image><image>\"") SAID "]}",
     "2 of '<image>' in 'messages' found, 1 wanted: as many as images"},
    {"{\"image\":\"i\",\"messages\":[" USER("\"u\"") "{\"role\":\"assistant\",\"content\":\"<image>\"}]}",
     "'<image>' in 'assistant' found, which cannot be learned"},
    {"{\"messages\":[" USER("[{\"type\":\"image\"}]") SAID "]}",
     "key 'type' found, key 'image' (or 'path' or 'url') wanted"},
    {"{\"messages\":[" USER("[{\"type\":\"image\",\"path\":\"i\",\"url\":\"k\"}]") SAID "]}",
     "keys 'path' and 'url' found, one of them is wanted"},
    {"{\"messages\":[" USER("[{\"type\":\"image\",\"url\":\"http://h/i\"}]") SAID "]}",
     "'http://h/i' in 'url' is an address"},
    {"{\"image\":\"i\",\"messages\":[" USER("[{\"type\":\"image\",\"path\":\"i\"}]") SAID "]}",
     "key 'path' in 'content' found, but images stand beside 'messages' already"},
    {"{\"messages\":[" USER("[{\"type\":\"image\",\"path\":\"i\"}]") "{\"role\":\"assistant\",\"content\":[{"
                                                                     "\"type\":\"image\",\"path\":\"i\"}]}]}",
     "1 of '<image>' in 'messages' found, 2 wanted"},
};

static void refusals(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        char text[400];
        ada_dataset *d = NULL;
        int n = snprintf(text, sizeof text, "%s\n%s\n%s\n", PC("a", "b"), refused[i].line, PC("c", "d"));
        assert_true(n > 0 && (size_t)n < sizeof text);
        assert_fails(ada_dataset_open(&d, io_file("rows.jsonl", text, (size_t)n), &(ada_dataset_opts){0}),
                     ADA_EFORMAT, refused[i].words);
        assert_non_null(strstr(ada_error(), "/rows.jsonl:2: "));
        assert_null(d);
    }
}

static void bad_files(void **state) {
    (void)state;
    static const char nul[] = PC("a", "b") "\n{\"text\":\0\"a\"}\n";
    const ada_dataset_opts o = {0};
    ada_dataset *d = NULL;
    assert_fails(ada_dataset_open(&d, io_file("nul.jsonl", nul, sizeof nul - 1), &o), ADA_EFORMAT,
                 "nul.jsonl:2: column 9: a NUL byte");
    assert_fails(ada_dataset_open(&d, io_file("none.jsonl", "\n\r\n \n", 5), &o), ADA_EFORMAT,
                 "none.jsonl' has no rows");
    assert_fails(ada_dataset_open(&d, io_file("empty.jsonl", "", 0), &o), ADA_EFORMAT, "has no rows");
    assert_fails(ada_dataset_open(&d, io_path("absent.jsonl"), &o), ADA_EIO, "absent.jsonl': No such file");
    assert_fails(ada_dataset_open(&d, io_folder, &o), ADA_EIO, "Is a directory");
    assert_null(d);
}

static void standard_input(void **state) {
    (void)state;
    static const char rows[] = PC("a", "b") "\n{\"text\":\"c\",\"image\":\"i\"}\n",
                      bad[] = PC("a", "b") "\n[]\n";
    const ada_dataset_opts o = {0};
    int kept = dup(STDIN_FILENO), ends[2];
    ada_dataset *d = NULL;
    for (int i = 0; i < 2; i++) {
        const char *text = i ? bad : rows;
        assert_int_equal(pipe(ends), 0);
        assert_int_equal(write(ends[1], text, strlen(text)), (ssize_t)strlen(text));
        assert_int_equal(close(ends[1]), 0);
        assert_int_equal(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
        assert_int_equal(close(ends[0]), 0);
        if (i) {
            assert_fails(ada_dataset_open(&d, "-", &o), ADA_EFORMAT, "standard input:2: the row is an array");
            continue;
        }
        assert_ok(ada_dataset_open(&d, "-", &o));
        assert_int_equal(ada_dataset_count(d), 2);
        assert_string_equal(ada_dataset_path(d), "standard input");
        assert_string_equal(ada_dataset_at(d, 1)->text, "<image>c");
        assert_string_equal(ada_dataset_at(d, 1)->images[0], "i");
        ada_dataset_close(&d);
    }
    assert_int_equal(dup2(kept, STDIN_FILENO), STDIN_FILENO);
    assert_int_equal(close(kept), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(kinds),     cmocka_unit_test(parts),
                                       cmocka_unit_test(images),    cmocka_unit_test(images_in_messages),
                                       cmocka_unit_test(line_ends), cmocka_unit_test(long_rows),
                                       cmocka_unit_test(options),   cmocka_unit_test(refusals),
                                       cmocka_unit_test(bad_files), cmocka_unit_test(standard_input)};
    return cmocka_run_group_tests(tests, io_test_begin, io_test_end);
}
