/* SPDX-License-Identifier: Apache-2.0
 * Status values and the thread's message. Owns: the text of the last failure, and the log callback.
 * Must not know: who prints it. Invariant: a message is one line; control characters become '?'. */
#include "io/status.h"
#include <stdio.h>
#include <string.h>

enum { LIMIT = ADA_ERROR_MAX };

static _Thread_local char message[LIMIT];
static ada_log_fn log_fn;
static void *log_ctx;

static const struct row {
    ada_status value;
    int code;
    const char *name, *text;
} rows[] = {
#define S(name, value, exit, text) {value, exit, #name, text},
#include "io/status.def"
#undef S
};

/* Formats through a second buffer, since an argument may be the message itself. */
static void put(char *at, size_t room, const char *fmt, va_list args) {
    char line[LIMIT + 1]; /* one more than is kept: the byte after a cut tells whether it is in a sequence */
    if (vsnprintf(line, sizeof line, fmt, args) < 0) line[0] = 0;
    size_t n = strlen(line);
    if (n >= room) { /* never end inside a UTF-8 sequence */
        n = room - 1;
        while (n > 0 && ((unsigned char)line[n] & 0xC0) == 0x80) n--;
    }
    for (size_t i = 0; i < n; i++) at[i] = (unsigned char)line[i] < 0x20 || line[i] == 0x7F ? '?' : line[i];
    at[n] = 0;
}

ada_status(ada_fail)(ada_status st, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    put(message, sizeof message, fmt, args);
    va_end(args);
    return st;
}

void ada_note(const char *fmt, ...) {
    size_t n = strlen(message);
    if (n > 0 && n + 2 < sizeof message) {
        memcpy(message + n, ": ", 3);
        n += 2;
    }
    va_list args;
    va_start(args, fmt);
    put(message + n, sizeof message - n, fmt, args);
    va_end(args);
}

const char *ada_error(void) {
    return message;
}

void ada_error_keep(char kept[ADA_ERROR_MAX]) {
    memcpy(kept, message, sizeof message);
}

void ada_error_clear(void) {
    message[0] = 0;
}

static const struct row *row_of(ada_status st) {
    const struct row *last = rows;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].value == st) return &rows[i];
        if (rows[i].value == ADA_EINTERNAL) last = &rows[i];
    }
    return last;
}

const char *ada_status_name(ada_status st) {
    return row_of(st)->name;
}
const char *ada_status_text(ada_status st) {
    return row_of(st)->text;
}
int ada_status_exit(ada_status st) {
    return row_of(st)->code;
}

void ada_log_set(ada_log_fn fn, void *ctx) {
    log_fn = fn;
    log_ctx = ctx;
}

void ada_log(int level, const char *fmt, ...) {
    if (log_fn == NULL) return;
    char line[LIMIT];
    va_list args;
    va_start(args, fmt);
    put(line, sizeof line, fmt, args);
    va_end(args);
    log_fn(log_ctx, level, line);
}
