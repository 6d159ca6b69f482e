/* SPDX-License-Identifier: Apache-2.0
 * Chat templates against what transformers rendered (golden/chat.json, by golden/make_chat.py), the spans of
 * the assistant's answers, and what is refused. Another golden file may be named as the argument. Must not
 * know: how templates are evaluated. */
#include "io/chat.h"
#include "io/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *golden;

enum { MOST = 8, PIECES = 8, TEXT = 400 };
typedef struct talk {
    ada_message m[MOST];
    const char *parts[MOST][PIECES];
    char joined[MOST][TEXT];
    size_t n;
    bool pictures;
} talk;

/* A content is a string, or an array of parts as transformers has them. */
static void read_content(talk *t, size_t i, const ada_json *content) {
    size_t n = ada_json_len(content), at = 0;
    ada_message *m = &t->m[i];
    m->content = ada_json_str(content, t->joined[i]);
    if (!ada_json_is_arr(content)) return;
    assert_true(n <= PIECES);
    for (size_t k = 0; k < n; k++) {
        t->parts[i][k] = ada_json_str(ada_json_get(ada_json_at(content, k), "text"), NULL);
        at += (size_t)snprintf(t->joined[i] + at, TEXT - at, "%s",
                               t->parts[i][k] ? t->parts[i][k] : ADA_IMAGE_MARK);
        assert_true(at < TEXT);
    }
    m->parts = t->parts[i], m->nparts = n;
}

static const talk *talk_of(const ada_json *k) {
    static talk t;
    const ada_json *list = ada_json_get(k, "talk");
    t = (talk){.n = ada_json_len(list), .pictures = ada_json_bool(ada_json_get(k, "pictures"), false)};
    assert_true(t.n <= MOST);
    for (size_t i = 0; i < t.n; i++) {
        t.m[i].role = ada_json_str(ada_json_at(ada_json_at(list, i), 0), "");
        read_content(&t, i, ada_json_at(ada_json_at(list, i), 1));
    }
    return &t;
}

static void check_rendering(const char *name, const ada_chat *c, const ada_json *k, bool generate) {
    const talk *t = talk_of(k);
    const char *want = ada_json_str(ada_json_get(k, generate ? "generate" : "plain"), NULL);
    ada_buf out = {0};
    ada_status st = ada_chat_render(c, t->m, t->n, t->pictures, generate, &out, NULL, NULL);
    if (want ? st != ADA_OK : st != ADA_EUNSUPPORTED) fail_msg("%s: status %d (%s)", name, st, ada_error());
    if (want && strcmp(want, out.data) != 0) fail_msg("%s: got\n%s\nwant\n%s", name, out.data, want);
    ada_buf_free(&out);
}

static void check_spans(const char *name, const ada_chat *c, const ada_json *k) {
    const ada_json *says = ada_json_get(k, "says");
    if (ada_json_is_null(says) || ada_json_is_null(ada_json_get(k, "plain"))) return;
    const talk *t = talk_of(k);
    ada_span s[MOST];
    size_t count = MOST;
    ada_buf out = {0};
    assert_int_equal(ada_buf_puts(&out, "before"), ADA_OK);
    assert_int_equal(ada_chat_render(c, t->m, t->n, t->pictures, false, &out, s, &count), ADA_OK);
    assert_int_equal(count, ada_json_len(says));
    for (size_t i = 0; i < count; i++) {
        const char *want = ada_json_str(ada_json_at(says, i), "");
        size_t len = s[i].end - s[i].begin;
        if (len != strlen(want) || memcmp(out.data + s[i].begin, want, len) != 0)
            fail_msg("%s: span %zu is '%.*s', want '%s'", name, i, (int)len, out.data + s[i].begin, want);
        assert_true(i == 0 || s[i].begin >= s[i - 1].end);
    }
    ada_buf_free(&out);
}

static void renders_as_transformers(void **state) {
    (void)state;
    ada_json *j = NULL;
    assert_int_equal(ada_json_open(&j, golden), ADA_OK);
    assert_true(ada_json_len(j) > 0);
    for (size_t i = 0; i < ada_json_len(j); i++) {
        const ada_json *row = ada_json_at(j, i), *cases = ada_json_get(row, "cases");
        const char *name = ada_json_str(ada_json_get(row, "name"), "?");
        ada_chat *c = NULL;
        if (ada_chat_open(&c, ada_json_str(ada_json_get(row, "template"), ""), "<s>", "</s>") != ADA_OK)
            fail_msg("%s: %s", name, ada_error());
        if (ada_json_is_str(ada_json_get(row, "family")))
            assert_string_equal(ada_chat_family(c), ada_json_str(ada_json_get(row, "family"), ""));
        for (size_t k = 0; k < ada_json_len(cases); k++) {
            check_rendering(name, c, ada_json_at(cases, k), false);
            check_rendering(name, c, ada_json_at(cases, k), true);
            check_spans(name, c, ada_json_at(cases, k));
        }
        const char *first = ada_json_str(ada_json_get(ada_json_at(cases, 0), "plain"), "");
        assert_int_equal(ada_chat_has_bos(c), strncmp(first, "<s>", 3) == 0);
        ada_chat_close(&c);
        assert_null(c);
    }
    ada_json_close(&j);
}

static void refuse(const char *source, ada_status want, const char *words) {
    ada_chat *c = NULL;
    ada_status st = ada_chat_open(&c, source, "<s>", "</s>");
    if (st != want || !strstr(ada_error(), words))
        fail_msg("'%s' gives %d, '%s'", source ? source : "(null)", st, ada_error());
    assert_null(c);
}

static void refuses_by_name(void **state) {
    (void)state;
    refuse(NULL, ADA_EUNSUPPORTED, "no chat template");
    refuse("{{ messages | tojson }}", ADA_EUNSUPPORTED, "'tojson'");
    refuse("{{ messages[0].content | wordwrap(3) }}", ADA_EUNSUPPORTED, "'wordwrap'");
    refuse("{{ messages[0].content.zfill(3) }}", ADA_EUNSUPPORTED, "'zfill'");
    refuse("{% if messages is sameas 3 %}{% endif %}", ADA_EUNSUPPORTED, "'3'");
    refuse("{% if messages is callable2 %}{% endif %}", ADA_EUNSUPPORTED, "'callable2'");
    refuse("{% include 'x' %}", ADA_EUNSUPPORTED, "'include'");
    refuse("{{ unk_token }}", ADA_EUNSUPPORTED, "'unk_token'");
    refuse("{{ lipsum() }}", ADA_EUNSUPPORTED, "'lipsum'");
    refuse("{{ nothing.more }}", ADA_EUNSUPPORTED, "'nothing'");
    refuse("{{ 1 / 2 }}", ADA_EUNSUPPORTED, "'/'");
    refuse("{{ 9223372036854775807 }}", ADA_EUNSUPPORTED, "number");
    refuse("{{ 'x", ADA_EUNSUPPORTED, "string without its end");
    refuse("{{ x ", ADA_EUNSUPPORTED, "tag without its end");
    refuse("{# x ", ADA_EUNSUPPORTED, "comment without its end");
    refuse("{% for m in messages %}", ADA_EUNSUPPORTED, "'endfor'");
    refuse("{% endfor %}", ADA_EUNSUPPORTED, "'endfor'");
    refuse("{% if x %}{% endfor %}", ADA_EUNSUPPORTED, "'endfor'");
    refuse("{{ }}", ADA_EUNSUPPORTED, "a value");
    refuse("{{ a b }}", ADA_EUNSUPPORTED, "'b'");
    refuse("{{ messages[0].content @ 1 }}", ADA_EUNSUPPORTED, "'@'");
    refuse("{{ messages }}", ADA_EUNSUPPORTED, "a list");
    refuse("{% macro f(x) %}{{ x }}{% endmacro %}{{ f(1) }}", ADA_EUNSUPPORTED, "'f'");
}

static void comes_to_an_end(void **state) {
    (void)state;
    refuse("{% for a in range(99999) %}{% for b in range(99999) %}{{ '' }}{% endfor %}{% endfor %}",
           ADA_EUNSUPPORTED, "end");
    refuse("{{ range(99999999999) }}", ADA_EUNSUPPORTED, "counts");
    char deep[4000];
    memset(deep, '(', sizeof deep);
    memcpy(deep, "{{", 2);
    memcpy(deep + sizeof deep - 4, "}}", 3);
    refuse(deep, ADA_EUNSUPPORTED, "too deep");
    for (size_t i = 2; i + 4 <= sizeof deep - 4; i += 4) memcpy(deep + i, "not ", 4);
    refuse(deep, ADA_EUNSUPPORTED, "too deep");
}

/* A template that changes an earlier answer has no span for it. */
static void no_span_without_a_place(void **state) {
    (void)state;
    ada_chat *c = NULL;
    ada_span s[2];
    size_t n = 2;
    ada_buf out = {0};
    const ada_message m[] = {{.role = "user", .content = "u"},
                             {.role = "assistant", .content = "first"},
                             {.role = "user", .content = "v"},
                             {.role = "assistant", .content = "second"}};
    const char *source = "{% for m in messages %}{{ m.role }}:{{ m.content if loop.index > messages|length - "
                         "2 else '…' }};{% endfor %}"
                         "{% if add_generation_prompt %}assistant:{% endif %}";
    assert_int_equal(ada_chat_open(&c, source, NULL, NULL), ADA_OK);
    assert_int_equal(ada_chat_render(c, m, 4, false, false, &out, s, &n), ADA_EUNSUPPORTED);
    assert_non_null(strstr(ada_error(), "message 2"));
    ada_buf_free(&out);
    ada_chat_close(&c);
}

int main(int argc, char **argv) {
    static char path[4096];
    snprintf(path, sizeof path, "%s/golden/chat.json", getenv("ADA_TESTS") ? getenv("ADA_TESTS") : "tests");
    golden = argc > 1 ? argv[1] : path;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(renders_as_transformers),
        cmocka_unit_test(refuses_by_name),
        cmocka_unit_test(comes_to_an_end),
        cmocka_unit_test(no_span_without_a_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
