/* SPDX-License-Identifier: Apache-2.0
 * The door to jansson: JSON trees, read and written. Owns: parsing with line and column in errors. Also
 * the one shape in which every format gives its metadata: GGUF keys and safetensors headers become an
 * object, so that configuration and tokenizers are read by one code. Refused as EFORMAT: NaN and
 * infinities, duplicate keys, invalid UTF-8, lone surrogates, nesting past 2048 and whatever follows the
 * value. Integers past 64 bits become reals, since real configurations hold them. Invariant: accessors
 * never abort on a wrong type; they answer the default. */
#ifndef ADA_IO_JSON_H
#define ADA_IO_JSON_H

#include "io/arena.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct json_t ada_json; /* jansson's own; only json.c includes its header */

/* name for errors */
ADA_API ada_status ada_json_parse(ada_json **j, const char *text, size_t n, const char *name) ADA_MUST_USE;
ADA_API ada_status ada_json_open(ada_json **j, const char *path) ADA_MUST_USE;
ADA_API void ada_json_close(ada_json **j);
ADA_API ada_json *ada_json_share(const ada_json *j); /* another owner of the same tree */

/* Reading. A NULL or absent node answers the default. Strings live as long as the tree. */
/* NULL if absent; key may be "a.b" only literally */
ADA_API const ada_json *ada_json_get(const ada_json *j, const char *key);
ADA_API const ada_json *ada_json_at(const ada_json *j, size_t i); /* array element, NULL past its end */
/* of an array or object; 0 otherwise */
ADA_API size_t ada_json_len(const ada_json *j);
ADA_API bool ada_json_is_str(const ada_json *j);
ADA_API bool ada_json_is_num(const ada_json *j);
/* a whole number of int64, 3.0 included */
ADA_API bool ada_json_is_int(const ada_json *j);
ADA_API bool ada_json_is_bool(const ada_json *j);
ADA_API bool ada_json_is_arr(const ada_json *j);
ADA_API bool ada_json_is_obj(const ada_json *j);
ADA_API bool ada_json_is_null(const ada_json *j);                     /* true for NULL as well */
ADA_API const char *ada_json_str(const ada_json *j, const char *def); /* of the node itself */
ADA_API size_t ada_json_strlen(const ada_json *j);                    /* bytes: may hold NUL */
ADA_API double ada_json_num(const ada_json *j, double def);
ADA_API int64_t ada_json_int(const ada_json *j, int64_t def);
ADA_API bool ada_json_bool(const ada_json *j, bool def);
/* Iteration over an object in file order: it = 0 first; false at the end. */
ADA_API bool ada_json_next(const ada_json *obj, void **it, const char **key, const ada_json **value);

/* Writing. Setters steal `v`; a NULL `v` (allocation failed) makes the whole call answer ENOMEM. */
ADA_API ada_json *ada_json_new_obj(void);
ADA_API ada_json *ada_json_new_arr(void);
ADA_API ada_json *ada_json_new_str(const char *s, size_t n); /* invalid UTF-8 is replaced by U+FFFD */
ADA_API ada_json *ada_json_new_num(double v);                /* non-finite becomes null */
ADA_API ada_json *ada_json_new_int(int64_t v);
ADA_API ada_json *ada_json_new_bool(bool v);
ADA_API ada_status ada_json_set(ada_json *obj, const char *key, ada_json *v) ADA_MUST_USE;
ADA_API ada_status ada_json_set_str(ada_json *obj, const char *key, const char *s) ADA_MUST_USE;
ADA_API ada_status ada_json_push(ada_json *arr, ada_json *v) ADA_MUST_USE;
/* Whatever `from` holds, shared, in the place of what is there under the same keys. */
ADA_API ada_status ada_json_set_all(ada_json *obj, const ada_json *from) ADA_MUST_USE;
/* indent 0: one line */
ADA_API ada_status ada_json_text(const ada_json *j, int indent, ada_buf *out) ADA_MUST_USE;

#endif
