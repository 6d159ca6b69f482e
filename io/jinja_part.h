/* SPDX-License-Identifier: Apache-2.0
 * The inside of the template evaluator: tokens, values and what can be done with them.
 * Owns: their layout. Invariant: strings are slices that live in a run's arena, in
 * the template or in the caller's input; nothing is ever changed in place but a dict. */
#ifndef ADA_IO_JINJA_PART_H
#define ADA_IO_JINJA_PART_H

#include "io/jinja.h"

typedef enum { J_TEXT, J_STMT, J_EXPR, J_END, J_NAME, J_STR, J_INT, J_OP, J_STOP } jkind;
typedef struct jtok {
    jkind kind;
    const char *s;
    size_t n;
} jtok;
struct ada_jinja {
    ada_arena arena;
    jtok *tok; /* the last one is J_STOP, twice, so that one may look ahead */
    size_t n, cap;
};
typedef struct run run;

typedef enum { V_UNDEFINED, V_NONE, V_BOOL, V_INT, V_STR, V_LIST, V_DICT, V_CALL } jvkind;
typedef struct jval jval;
typedef struct jdict {
    struct jpair *pairs;
    size_t n, cap;
} jdict;
struct jval {
    jvkind kind;
    int64_t i;     /* V_BOOL, V_INT */
    const char *s; /* V_STR; the name of V_UNDEFINED and V_CALL */
    size_t n;      /* bytes, or items of a V_LIST */
    jval *list;
    bool *spent; /* of a V_LIST that a filter selects as one goes over it, which works once; else NULL */
    jdict *dict;
};
struct jpair {
    const char *name;
    size_t n;
    jval v;
};

ada_status ada_jinja_lex(ada_jinja *j, const char *source) ADA_MUST_USE; /* ada_jinja_lex.c */
bool ada_jtok_is(const jtok *t, const char *text);

/* jinja_value.c */
bool ada_jval_true(jval v);
ada_status ada_jval_print(jval v, ada_buf *out) ADA_MUST_USE;
ada_status ada_jval_text(ada_arena *a, const char *s, size_t n, jval *out) ADA_MUST_USE; /* a copy */
ada_status ada_jval_put(ada_arena *a, jdict *d, const char *name, size_t n, jval v) ADA_MUST_USE;
ada_status ada_jval_join(ada_arena *a, jval x, jval y, jval *out) ADA_MUST_USE;
ada_status ada_jval_item(ada_arena *a, jval v, jval key, jval *out) ADA_MUST_USE;
ada_status ada_jval_slice(ada_arena *a, jval v, const jval part[3], jval *out) ADA_MUST_USE;
ada_status ada_jval_binary(ada_arena *a, jval x, const char *op, jval y, jval *out) ADA_MUST_USE;
ada_status ada_jval_method(ada_arena *a, jval v, const jtok *name, const jval *args, size_t n,
                           jval *out) ADA_MUST_USE;
/* What a loop goes over: items, characters, keys, nothing if undefined; out->list is the run's own. */
ada_status ada_jval_each(ada_arena *a, jval v, jval *out) ADA_MUST_USE;
enum { ADA_JINJA_ARGS = 8 };
typedef struct jargs {
    jval v[ADA_JINJA_ARGS];
    const jtok *key[ADA_JINJA_ARGS]; /* NULL: positional */
    size_t n;
} jargs;
ada_status ada_jval_filter(ada_arena *a, jval v, const jtok *name, const jargs *args, jval *out) ADA_MUST_USE;
ada_status ada_jval_test(jval v, const jtok *name, bool *yes) ADA_MUST_USE;

/* jinja_messages.c */
ada_status ada_jval_messages(ada_arena *a, const ada_message *m, size_t n, jval *out) ADA_MUST_USE;

#endif
