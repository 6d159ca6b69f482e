/* SPDX-License-Identifier: Apache-2.0
 * What the command says. Owns: standard output (results: text, tables, JSON) and standard error (everything
 * else: remarks, progress, errors). Must not know: what the results mean. Invariant: a result that could not
 * be written is an EIO failure of the command, never silence. */
#ifndef ADA_APPS_REPORT_H
#define ADA_APPS_REPORT_H

#include "engine/adalink.h"
#include "io/json.h"

/* Standard output. Errors are kept and come out of ada_out_flush. */
void ada_out_open(void);
void ada_out_printf(const char *fmt, ...) ADA_PRINTF(1, 2);
void ada_out_write(const void *p, size_t n);
void ada_out_json(const ada_json *j); /* one line */
void ada_out_tree(const ada_json *j); /* the same tree for a person: keys, aligned values, headings */
void ada_out_wrapped(const char *text, int indent, int width); /* a paragraph; '\n' starts a new line */
bool ada_out_is_tty(void);
ada_status ada_out_flush(void) ADA_MUST_USE;

/* An object under construction: setters after a failure do nothing, so that one look at `st` is enough. */
struct ada_object {
    ada_json *j;
    ada_status st;
};
struct ada_object ada_object_new(void);
void ada_object_str(struct ada_object *o, const char *key, const char *v); /* NULL: the key is left out */
void ada_object_int(struct ada_object *o, const char *key, int64_t v);
void ada_object_num(struct ada_object *o, const char *key, double v);
void ada_object_bool(struct ada_object *o, const char *key, bool v);
void ada_object_tree(struct ada_object *o, const char *key, ada_json *v); /* takes v */
/* Prints it, as JSON or for a person, unless building it or `st` failed; frees it; tells the first failure.
 */
ada_status ada_object_show(struct ada_object *o, ada_status st, bool json) ADA_MUST_USE;

/* Standard error. Level: -1 errors only, 0 the usual, 1 all; the library's remarks come here too. */
void ada_err_level(int level);
void ada_err_printf(const char *fmt, ...) ADA_PRINTF(1, 2); /* a line, unless quiet */
void ada_err_fault(const char *command);                    /* "adalink train: …": the thread's error */

/* A table of text cells: the first column to the left, others to the right. */
enum { ADA_TABLE_COLUMNS = 8, ADA_TABLE_CELL = 64 };
struct ada_table {
    char (*cells)[ADA_TABLE_CELL];
    size_t n, cap;
    int columns;
    bool failed;
};
void ada_table_cell(struct ada_table *t, const char *fmt, ...) ADA_PRINTF(2, 3); /* rows fill by themselves */
void ada_table_print(struct ada_table *t);                                       /* prints and empties */

/* Progress of a training run on standard error: one rewritten line on a terminal, else plain lines at a slow
 * pace. */
void ada_progress_step(const ada_report *r);
void ada_progress_count(const char *what, size_t done, size_t total);
void ada_progress_end(void); /* leaves the last state standing */

/* "1:02:03", "4:05"; "12.3 MiB". */
const char *ada_text_time(char out[32], double seconds);
const char *ada_text_bytes(char out[32], double bytes);

#endif
