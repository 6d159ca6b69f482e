/* SPDX-License-Identifier: Apache-2.0
 * Lines, tables, trees, progress. Owns: both output streams and whether a progress line stands on the
 * terminal. Must not know: commands. Invariant: nothing is written over a progress line; it is cleared first.
 */
#include "apps/report.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int level;
static bool err_tty, line_stands;
static double last_shown;
static int out_errno; /* of the first write that failed */

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void clear_line(void) {
    if (line_stands) fputs("\r\033[K", stderr);
    line_stands = false;
}

static void on_log(void *ctx, int at, const char *message) {
    (void)ctx;
    if (at == ADA_LOG_WARN ? level < 0 : level < 1) return;
    clear_line();
    fprintf(stderr, "%s%s\n", at == ADA_LOG_WARN ? "warning: " : "", message);
}

void ada_out_open(void) {
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error of write, told like any other */
    err_tty = isatty(2) == 1;
    ada_log_set(on_log, NULL);
}

static void keep(bool failed) {
    if (failed && !out_errno) out_errno = errno ? errno : EIO;
}

void ada_out_printf(const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    keep(vprintf(fmt, ap) < 0);
    va_end(ap);
}

void ada_out_write(const void *p, size_t n) {
    keep(fwrite(p, 1, n, stdout) != n);
}

void ada_out_json(const ada_json *j) {
    ada_buf text = {0};
    if (ada_json_text(j, 0, &text) != ADA_OK) {
        errno = ENOMEM;
        keep(true);
    } else {
        ada_out_printf("%s\n", text.data);
    }
    ada_buf_free(&text);
}

bool ada_out_is_tty(void) {
    return isatty(1) == 1;
}

ada_status ada_out_flush(void) {
    keep(fflush(stdout) != 0);
    return out_errno ? ada_fail(ADA_EIO, "cannot write to standard output: %s", strerror(out_errno)) : ADA_OK;
}

void ada_err_level(int to) {
    level = to;
}

void ada_err_printf(const char *fmt, ...) {
    if (level < 0) return;
    clear_line();
    va_list ap;
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

void ada_err_fault(const char *command) {
    clear_line();
    fprintf(stderr, "adalink%s%s: %s\n", command ? " " : "", command ? command : "", ada_error());
}

/* ---- text for a person ---- */

const char *ada_text_time(char out[32], double s) {
    if (!(s >= 0) || s > 1e9) return strcpy(out, "?");
    long t = (long)(s + 0.5);
    if (t >= 3600) {
        snprintf(out, 32, "%ld:%02ld:%02ld", t / 3600, t / 60 % 60, t % 60);
    } else {
        snprintf(out, 32, "%ld:%02ld", t / 60, t % 60);
    }
    return out;
}

const char *ada_text_bytes(char out[32], double b) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    int u = 0;
    while (b >= 1024 && u < 4) {
        b /= 1024;
        u++;
    }
    snprintf(out, 32, u && b < 100 ? "%.1f %s" : "%.0f %s", b, units[u]);
    return out;
}

void ada_out_wrapped(const char *text, int indent, int width) {
    int column = 0;
    for (const char *p = text; *p;) {
        if (*p == '\n') {
            ada_out_printf("\n");
            column = 0;
            p++;
            continue;
        }
        int n = (int)strcspn(p, " \n");
        if (column && column + 1 + n > width) {
            ada_out_printf("\n%*s", indent, "");
            column = 0;
        }
        ada_out_printf("%s%.*s", column ? " " : "", n, p);
        column += n + (column > 0);
        p += n;
        if (*p == ' ') p++;
    }
    ada_out_printf("\n");
}

/* 134515008 → "134,515,008" */
static const char *grouped(char out[32], int64_t v) {
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%lld", (long long)v), k = 0;
    for (int i = 0; i < n; i++) {
        if (i && (n - i) % 3 == 0 && digits[i - 1] != '-') out[k++] = ',';
        out[k++] = digits[i];
    }
    out[k] = 0;
    return out;
}

static void print_scalar(const char *key, const ada_json *v) {
    char text[32];
    size_t n = key ? strlen(key) : 0;
    if (ada_json_is_str(v)) {
        ada_out_printf("%s", ada_json_str(v, ""));
    } else if (ada_json_is_int(v)) {
        int64_t i = ada_json_int(v, 0);
        ada_out_printf("%s", grouped(text, i));
        if (n >= 5 && strcmp(key + n - 5, "bytes") == 0 && i >= 1024)
            ada_out_printf("  (%s)", ada_text_bytes(text, (double)i));
    } else if (ada_json_is_num(v)) {
        ada_out_printf("%.6g", ada_json_num(v, 0));
    } else if (ada_json_is_bool(v)) {
        ada_out_printf("%s", ada_json_bool(v, false) ? "yes" : "no");
    } else {
        ada_out_printf("none");
    }
}

static bool is_branch(const ada_json *v) {
    return ada_json_is_obj(v) || ada_json_is_arr(v);
}

static void print_tree(const ada_json *j, int indent) {
    void *it = NULL;
    const char *key;
    const ada_json *v;
    int width = 0;
    while (ada_json_next(j, &it, &key, &v)) {
        int n = (int)strlen(key);
        if (!ada_json_is_obj(v) && n > width) width = n;
    }
    it = NULL;
    while (ada_json_next(j, &it, &key, &v)) {
        if (ada_json_is_obj(v)) {
            ada_out_printf("%*s%s\n", indent, "", key);
            print_tree(v, indent + 2);
        } else if (ada_json_is_arr(v) && is_branch(ada_json_at(v, 0))) {
            ada_out_printf("%*s%s\n", indent, "", key);
            for (size_t i = 0; i < ada_json_len(v); i++) {
                ada_buf text = {0};
                if (ada_json_text(ada_json_at(v, i), 0, &text) == ADA_OK)
                    ada_out_printf("%*s%s\n", indent + 2, "", text.data);
                ada_buf_free(&text);
            }
        } else {
            ada_out_printf("%*s%-*s  ", indent, "", width, key);
            if (!ada_json_is_arr(v)) print_scalar(key, v);
            for (size_t i = 0; i < ada_json_len(v); i++) {
                if (i) ada_out_printf(", ");
                print_scalar(NULL, ada_json_at(v, i));
            }
            ada_out_printf("\n");
        }
    }
}

void ada_out_tree(const ada_json *j) {
    print_tree(j, 0);
}

/* ---- objects ---- */

struct ada_object ada_object_new(void) {
    struct ada_object o = {.j = ada_json_new_obj()};
    if (!o.j) o.st = ada_fail(ADA_ENOMEM, "out of memory");
    return o;
}

void ada_object_tree(struct ada_object *o, const char *key, ada_json *v) {
    if (o->st == ADA_OK) {
        o->st = ada_json_set(o->j, key, v);
    } else {
        ada_json_close(&v);
    }
}

void ada_object_str(struct ada_object *o, const char *key, const char *v) {
    if (v) ada_object_tree(o, key, ada_json_new_str(v, strlen(v)));
}

void ada_object_int(struct ada_object *o, const char *key, int64_t v) {
    ada_object_tree(o, key, ada_json_new_int(v));
}
void ada_object_num(struct ada_object *o, const char *key, double v) {
    ada_object_tree(o, key, ada_json_new_num(v));
}
void ada_object_bool(struct ada_object *o, const char *key, bool v) {
    ada_object_tree(o, key, ada_json_new_bool(v));
}

ada_status ada_object_show(struct ada_object *o, ada_status st, bool json) {
    if (st == ADA_OK) st = o->st;
    if (st == ADA_OK && json) ada_out_json(o->j);
    if (st == ADA_OK && !json) ada_out_tree(o->j);
    ada_json_close(&o->j);
    return st;
}

/* ---- tables ---- */

void ada_table_cell(struct ada_table *t, const char *fmt, ...) {
    if (t->n == t->cap) {
        size_t cap = t->cap ? 2 * t->cap : 64;
        void *grown = realloc(t->cells, cap * sizeof *t->cells);
        if (!grown) {
            t->failed = true;
            return;
        }
        t->cells = grown;
        t->cap = cap;
    }
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(t->cells[t->n++], ADA_TABLE_CELL, fmt, ap);
    va_end(ap);
}

/* Columns that a string takes: bytes that begin a character. */
static int shown_width(const char *s) {
    int n = 0;
    for (; *s; s++) n += (*s & 0xC0) != 0x80;
    return n;
}

void ada_table_print(struct ada_table *t) {
    int width[ADA_TABLE_COLUMNS] = {0};
    for (size_t i = 0; i < t->n; i++) {
        int w = shown_width(t->cells[i]), c = (int)(i % (size_t)t->columns);
        if (w > width[c]) width[c] = w;
    }
    for (size_t i = 0; i < t->n; i++) {
        int c = (int)(i % (size_t)t->columns), pad = width[c] - shown_width(t->cells[i]);
        if (c == 0) {
            ada_out_printf("%s%*s", t->cells[i], pad, "");
        } else {
            ada_out_printf("  %*s%s", pad, "", t->cells[i]);
        }
        if (c == t->columns - 1) ada_out_printf("\n");
    }
    if (t->failed) {
        errno = ENOMEM;
        keep(true);
    }
    free(t->cells);
    *t = (struct ada_table){0};
}

/* ---- progress ---- */

static bool due(bool always) {
    double t = now(), pace = err_tty ? 0.1 : 10;
    if (level < 0 || (!always && last_shown > 0 && t - last_shown < pace)) return false;
    last_shown = t;
    return true;
}

static void show_line(const char *line, bool stays) {
    if (!err_tty) {
        fprintf(stderr, "%s\n", line);
        return;
    }
    fprintf(stderr, "\r%s\033[K%s", line, stays ? "\n" : "");
    line_stands = !stays;
    fflush(stderr);
}

void ada_progress_step(const ada_report *r) {
    bool validated = !isnan(r->eval_loss), last = r->step == r->total;
    if (!due(validated || last)) return;
    char line[256], eta[32], memory[32], eval[48] = "";
    if (validated) snprintf(eval, sizeof eval, "  eval loss %.4f%s", r->eval_loss, r->best ? " (best)" : "");
    snprintf(line, sizeof line, "step %lld/%lld  loss %.4f  lr %.2e  %.0f tok/s  ETA %s  peak %s%s",
             (long long)r->step, (long long)r->total, r->loss, r->lr, r->tokens_per_second,
             ada_text_time(eta, r->eta_seconds), ada_text_bytes(memory, (double)r->memory_peak), eval);
    show_line(line, validated || last);
}

void ada_progress_count(const char *what, size_t done, size_t total) {
    if (!due(done == total)) return;
    char line[128];
    snprintf(line, sizeof line, "%s %zu/%zu", what, done, total);
    show_line(line, done == total);
}

void ada_progress_end(void) {
    if (line_stands) fputc('\n', stderr);
    line_stands = false;
    last_shown = 0;
}
