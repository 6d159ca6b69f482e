/* SPDX-License-Identifier: Apache-2.0
 * A conversation as a template sees it. Owns: which objects a message is made of. Must not know: the grammar.
 * Invariant: they are those that transformers hands over: {"role": …, "content": a text or a list of parts},
 * a part being {"type": "text", "text": …} or {"type": "image"}. */
#include "io/jinja_part.h"

#include <string.h>

static ada_status new_dict(ada_arena *a, jval *v) {
    *v = (jval){.kind = V_DICT};
    return ada_arena_zero(a, &v->dict, 1, sizeof *v->dict);
}

static ada_status new_list(ada_arena *a, size_t n, jval *v) {
    *v = (jval){.kind = V_LIST, .n = n};
    return ada_arena_take(a, &v->list, n, sizeof *v->list);
}

static ada_status put_text(ada_arena *a, jval *v, const char *name, const char *s) {
    return ada_jval_put(a, v->dict, name, strlen(name), (jval){.kind = V_STR, .s = s, .n = strlen(s)});
}

static ada_status list_of_parts(ada_arena *a, const ada_message *m, jval *v) {
    ADA_TRY(new_list(a, m->nparts, v));
    for (size_t i = 0; i < v->n; i++) {
        jval *part = &v->list[i];
        ADA_TRY(new_dict(a, part));
        ADA_TRY(put_text(a, part, "type", m->parts[i] ? "text" : "image"));
        if (m->parts[i]) ADA_TRY(put_text(a, part, "text", m->parts[i]));
    }
    return ADA_OK;
}

ada_status ada_jval_messages(ada_arena *a, const ada_message *m, size_t n, jval *out) {
    ADA_TRY(new_list(a, n, out));
    for (size_t i = 0; i < n; i++, m++) {
        jval *v = &out->list[i], parts;
        ADA_TRY(new_dict(a, v));
        ADA_TRY(put_text(a, v, "role", m->role));
        if (m->parts) ADA_TRY(list_of_parts(a, m, &parts));
        ADA_TRY(m->parts ? ada_jval_put(a, v->dict, "content", strlen("content"), parts)
                         : put_text(a, v, "content", m->content));
    }
    return ADA_OK;
}
