/* SPDX-License-Identifier: Apache-2.0
 * JSONL, read line by line. Owns: the strings of the rows, in an arena. Must not know: tokens, templates,
 * what an image's file holds. An error names file:line, the key that was found and the key that was wanted.
 * Invariant: at any time one chunk, one line and one line's tree are in memory beside the rows. */
#include "io/dataset.h"
#include "io/json.h"
#include "io/os.h"
#include "io/sha.h"
#include "io/unicode.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK = 1 << 18, LINE_MAX_BYTES = 64 << 20 };

struct ada_dataset {
    ada_arena arena;
    ada_row *rows;
    size_t n, cap;
    const char *path;
    size_t nfolder; /* bytes of path that are its folder, '/' included */
    char digest[65];
    ada_dataset_opts o;
    ada_buf text;   /* being put together */
    ada_buf images; /* names of the row's images so far, as pointers */
    bool listed;    /* they are the row's own key's, not of parts of its messages */
};
typedef struct line {
    const ada_dataset *d;
    size_t number;
} line;

/* ---- errors ---- */
__attribute__((format(printf, 2, 3))) static ada_status wrong(const line *l, const char *fmt, ...) {
    char what[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    return ada_fail(ADA_EFORMAT, "%s:%zu: %s", l->d->path, l->number, what);
}

static const char *type_name(const ada_json *j) {
    return ada_json_is_null(j)  ? "null"
           : ada_json_is_str(j) ? "a string"
           : ada_json_is_num(j) ? "a number"
           : ada_json_is_arr(j) ? "an array"
           : ada_json_is_obj(j) ? "an object"
                                : "true or false";
}

/* Is b at most two edits away from a, case apart? Two rows of the usual table. */
static bool near(const char *a, const char *b) {
    size_t na = strlen(a), nb = strlen(b), row[32], limit = nb > 4 ? 2 : 1;
    if (na >= 32 || nb >= 32) return false;
    for (size_t i = 0; i <= na; i++) row[i] = i;
    for (size_t k = 1; k <= nb; k++) {
        size_t diagonal = row[0];
        row[0] = k;
        for (size_t i = 1; i <= na; i++) {
            size_t cost = diagonal + ((a[i - 1] | 32) != (b[k - 1] | 32));
            diagonal = row[i];
            if (row[i] + 1 < cost) cost = row[i] + 1;
            if (row[i - 1] + 1 < cost) cost = row[i - 1] + 1;
            row[i] = cost;
        }
    }
    return row[na] <= limit;
}

/* "keys 'a', 'b' found, 'prompt' wanted; did you mean …". */
static ada_status missing(const line *l, const ada_json *row, const char *wanted, const char *others) {
    char found[200] = "", meant[120] = "";
    const char *key;
    const ada_json *value;
    size_t n = 0;
    if (ada_json_get(row, wanted)) return wrong(l, "key '%s' is null, a string is wanted", wanted);
    for (void *it = NULL; ada_json_next(row, &it, &key, &value); n++) {
        size_t at = strlen(found);
        if (n < 6) snprintf(found + at, sizeof found - at, "%s'%.20s'", n ? ", " : "", key);
        if (n == 6) snprintf(found + at, sizeof found - at, ", …");
        if (!*meant && strcmp(key, wanted) != 0 && near(key, wanted))
            snprintf(meant, sizeof meant, ": is '%.20s' meant for it?", key);
    }
    return wrong(l, "%s%s found, key '%s'%s wanted%s",
                 n == 0   ? "no keys"
                 : n == 1 ? "key "
                          : "keys ",
                 found, wanted, others, meant);
}

/* ---- values ---- */
static ada_status keep(ada_dataset *d, const line *l, const ada_json *j, const char *what, const char **out) {
    if (!ada_json_is_str(j)) return wrong(l, "key '%s' is %s, a string is wanted", what, type_name(j));
    const char *s = ada_json_str(j, "");
    size_t n = ada_json_strlen(j);
    if (memchr(s, 0, n)) return wrong(l, "key '%s' holds a NUL character", what);
    *out = ada_arena_str(&d->arena, s, n);
    return *out ? ADA_OK : ADA_ENOMEM;
}

static ada_status read_choices(ada_dataset *d, const line *l, const ada_json *j, ada_row *r) {
    const char *key = d->o.choices_key, **list;
    if (!ada_json_is_arr(j))
        return wrong(l, "key '%s' is %s, an array of strings is wanted", key, type_name(j));
    size_t n = ada_json_len(j);
    if (n < 2) return wrong(l, "key '%s' has %zu of the 2 or more choices that are wanted", key, n);
    ADA_TRY(ada_arena_take(&d->arena, &list, n, sizeof *list));
    for (size_t i = 0; i < n; i++) {
        ADA_TRY(keep(d, l, ada_json_at(j, i), key, &list[i]));
        if (!*list[i]) return wrong(l, "key '%s' has an empty choice", key);
        for (size_t k = 0; k < i; k++)
            if (strcmp(list[k], list[i]) == 0)
                return wrong(l, "key '%s' has the choice '%.40s' twice", key, list[i]);
    }
    r->choices = list;
    r->nchoices = n;
    return ADA_OK;
}

/* ---- images ---- */
static bool given(const ada_json *row, const char *key) {
    return !ada_json_is_null(ada_json_get(row, key));
}

static ada_status add_image(ada_dataset *d, const line *l, const ada_json *j, const char *key) {
    const char *name;
    ADA_TRY(keep(d, l, j, key, &name));
    if (!*name) return wrong(l, "key '%s' is empty, an image's file is wanted", key);
    if (strstr(name, "://") || strncmp(name, "data:", 5) == 0)
        return wrong(l, "'%.60s' in '%s' is an address, an image's file is wanted", name, key);
    if (*name != '/' && d->nfolder) {
        d->text.len = 0;
        ADA_TRY(ada_buf_add(&d->text, d->path, d->nfolder));
        ADA_TRY(ada_buf_puts(&d->text, name));
        if (!(name = ada_arena_str(&d->arena, d->text.data, d->text.len))) return ADA_ENOMEM;
    }
    return ada_buf_add(&d->images, &name, sizeof name);
}

static ada_status read_images(ada_dataset *d, const line *l, const ada_json *row) {
    const char *one = d->o.image_key, *many = d->o.images_key;
    const ada_json *list = ada_json_get(row, many);
    d->images.len = 0;
    if (given(row, one) && given(row, many))
        return wrong(l, "keys '%s' and '%s' found, one of them is wanted", one, many);
    if (given(row, one)) ADA_TRY(add_image(d, l, ada_json_get(row, one), one));
    if (given(row, many) && !ada_json_is_arr(list))
        return wrong(l, "key '%s' is %s, an array of strings is wanted", many, type_name(list));
    for (size_t i = 0; i < ada_json_len(list); i++) ADA_TRY(add_image(d, l, ada_json_at(list, i), many));
    d->listed = d->images.len > 0;
    return ADA_OK;
}

/* A part of a message that stands for an image: the next one of the row's key, or it names its file. */
static ada_status read_image_part(ada_dataset *d, const line *l, const ada_json *part) {
    static const char *const keys[] = {"image", "path", "url"};
    const char *key = NULL;
    for (size_t i = 0; i < 3; i++) {
        if (!given(part, keys[i])) continue;
        if (key) return wrong(l, "keys '%s' and '%s' found, one of them is wanted", key, keys[i]);
        key = keys[i];
    }
    if (d->listed && key)
        return wrong(l, "key '%s' in 'content' found, but images stand beside '%s' already", key,
                     d->o.messages_key);
    if (d->listed) return ADA_OK;
    return key ? add_image(d, l, ada_json_get(part, key), key)
               : missing(l, part, "image", " (or 'path' or 'url')");
}

/* Gives the row its images. marks: how many stand in the text called `key`. False: they are to be put there.
 */
static ada_status give_images(ada_dataset *d, const line *l, ada_row *r, const char *key, size_t marks,
                              bool *placed) {
    size_t n = d->images.len / sizeof(char *);
    const char **list;
    *placed = n == 0 || marks == n;
    if (n == 0) return ADA_OK;
    ADA_TRY(ada_arena_take(&d->arena, &list, n, sizeof *list));
    memcpy(list, d->images.data, d->images.len);
    r->images = list;
    r->nimages = n;
    if (*placed || !marks) return ADA_OK;
    return wrong(l, "%zu of '" ADA_IMAGE_MARK "' in '%s' found, %zu wanted: as many as images", marks, key,
                 n);
}

/* And puts them before a text that has no marks. */
static ada_status place_images(ada_dataset *d, const line *l, ada_row *r, const char *key, const char **s) {
    ada_message m = {.content = *s};
    bool placed;
    ADA_TRY(give_images(d, l, r, key, ada_image_marks(*s, strlen(*s)), &placed));
    if (!placed) ADA_TRY(ada_message_picture(&d->arena, &m, r->nimages));
    *s = m.content;
    return ADA_OK;
}

/* What a model is to say holds no image. */
static ada_status check_said(const line *l, const ada_row *r, const char *key, const char *s) {
    if (!r->nimages || !strstr(s, ADA_IMAGE_MARK)) return ADA_OK;
    return wrong(l, "'" ADA_IMAGE_MARK "' in '%s' found, which cannot be learned", key);
}

/* ---- messages ---- */
/* Content in parts, as multimodal sets have it, and joined for templates that want none. */
static ada_status keep_parts(ada_dataset *d, const line *l, const ada_json *parts, ada_message *m) {
    const char **list;
    size_t n = ada_json_len(parts);
    ada_buf all = {0};
    ADA_TRY(ada_arena_take(&d->arena, &list, n, sizeof *list));
    ada_status st = ada_buf_puts(&all, "");
    for (size_t i = 0; st == ADA_OK && i < n; i++) {
        const ada_json *part = ada_json_at(parts, i);
        const char *type = ada_json_str(ada_json_get(part, "type"), "none");
        if (strcmp(type, "image") == 0) {
            list[i] = NULL;
            st = read_image_part(d, l, part);
        } else if (strcmp(type, "text") != 0) {
            st = wrong(l, "a part of type '%.40s' in 'content' found, 'text' or 'image' wanted", type);
        } else if (!given(part, "text")) {
            st = missing(l, part, "text", "");
        } else {
            st = keep(d, l, ada_json_get(part, "text"), "text", &list[i]);
        }
        if (st == ADA_OK) st = ada_buf_puts(&all, list[i] ? list[i] : ADA_IMAGE_MARK);
    }
    if (st == ADA_OK && !(m->content = ada_arena_str(&d->arena, all.data, all.len))) st = ADA_ENOMEM;
    m->parts = list, m->nparts = n;
    ada_buf_free(&all);
    return st;
}

static ada_status read_message(ada_dataset *d, const line *l, const ada_json *j, ada_message *m) {
    static const char *const roles[] = {"system", "user", "assistant"};
    if (!ada_json_is_obj(j)) return wrong(l, "a message is %s, an object is wanted", type_name(j));
    if (!ada_json_get(j, "role")) return missing(l, j, "role", "");
    if (!ada_json_get(j, "content")) return missing(l, j, "content", "");
    const char *role = ada_json_str(ada_json_get(j, "role"), NULL);
    if (!role) return wrong(l, "key 'role' is %s, a string is wanted", type_name(ada_json_get(j, "role")));
    *m = (ada_message){.role = NULL};
    for (size_t i = 0; i < 3; i++)
        if (strcmp(role, roles[i]) == 0) m->role = roles[i];
    if (!m->role) return wrong(l, "role '%.40s' found, 'system', 'user' or 'assistant' wanted", role);
    const ada_json *content = ada_json_get(j, "content");
    return ada_json_is_arr(content) ? keep_parts(d, l, content, m)
                                    : keep(d, l, content, "content", &m->content);
}

static ada_status read_messages(ada_dataset *d, const line *l, const ada_json *j, ada_row *r) {
    const char *key = d->o.messages_key;
    if (!ada_json_is_arr(j))
        return wrong(l, "key '%s' is %s, an array of messages is wanted", key, type_name(j));
    size_t n = ada_json_len(j);
    if (n == 0) return wrong(l, "key '%s' is an empty array", key);
    ada_message *m;
    ADA_TRY(ada_arena_take(&d->arena, &m, n, sizeof *m));
    bool target = false, placed;
    size_t marks = 0;
    ada_message *user = NULL;
    for (size_t i = 0; i < n; i++) {
        ADA_TRY(read_message(d, l, ada_json_at(j, i), &m[i]));
        if (m[i].role[0] == 'u' && !user) user = &m[i];
        if (m[i].role[0] == 'a')
            target = true;
        else
            marks += ada_image_marks(m[i].content, strlen(m[i].content));
    }
    ADA_TRY(give_images(d, l, r, key, marks, &placed));
    if (!placed && !user) return wrong(l, "key '%s' has no message of role 'user', which images need", key);
    if (!placed) ADA_TRY(ada_message_picture(&d->arena, user, r->nimages));
    for (size_t i = 0; i < n; i++)
        if (m[i].role[0] == 'a') ADA_TRY(check_said(l, r, "assistant", m[i].content));
    if (!target && !d->o.allow_no_target)
        return wrong(l, "key '%s' has no message of role 'assistant', which is wanted as the target", key);
    r->messages = m;
    r->nmessages = n;
    return ADA_OK;
}

/* ---- rows ---- */
static ada_status read_answer(ada_dataset *d, const line *l, const ada_json *j, ada_row *r) {
    const ada_dataset_opts *o = &d->o;
    if (!given(j, o->choices_key)) return ADA_OK;
    if (r->text)
        return wrong(l, "key '%s' found beside '%s', '%s' is wanted with it", o->choices_key, o->text_key,
                     o->prompt_key);
    ADA_TRY(read_choices(d, l, ada_json_get(j, o->choices_key), r));
    for (size_t i = 0; i < r->nchoices; i++) ADA_TRY(check_said(l, r, o->choices_key, r->choices[i]));
    const char *answer = r->completion;
    if (r->nmessages && r->messages[r->nmessages - 1].role[0] == 'a')
        answer = r->messages[r->nmessages - 1].content;
    for (size_t i = 0; answer && i < r->nchoices; i++)
        if (strcmp(answer, r->choices[i]) == 0) r->answer = (int)i;
    if (r->answer >= 0 || o->allow_no_target) return ADA_OK;
    if (!answer)
        return wrong(l, "the last message is not an assistant's, one of '%s' is wanted", o->choices_key);
    return wrong(l, "'%.60s' found, one of '%s' is wanted", answer, o->choices_key);
}

static ada_status read_row(ada_dataset *d, const line *l, const ada_json *j, ada_row *r) {
    const ada_dataset_opts *o = &d->o;
    *r = (ada_row){.line = l->number, .answer = -1};
    if (!ada_json_is_obj(j)) return wrong(l, "the row is %s, an object is wanted", type_name(j));
    const char *kinds[3], *all[3] = {o->prompt_key, o->messages_key, o->text_key};
    size_t n = 0;
    for (size_t i = 0; i < 3; i++)
        if (given(j, all[i])) kinds[n++] = all[i];
    if (n > 1) return wrong(l, "keys '%s' and '%s' found, one of them is wanted", kinds[0], kinds[1]);
    if (n == 0) {
        char others[120] = "";
        if (!given(j, o->completion_key))
            snprintf(others, sizeof others, " (or '%.40s' or '%.40s')", o->messages_key, o->text_key);
        return missing(l, j, o->prompt_key, others);
    }
    ADA_TRY(read_images(d, l, j));
    if (kinds[0] == o->messages_key) {
        ADA_TRY(read_messages(d, l, ada_json_get(j, o->messages_key), r));
    } else if (kinds[0] == o->text_key) {
        ADA_TRY(keep(d, l, ada_json_get(j, o->text_key), o->text_key, &r->text));
        if (!*r->text) return wrong(l, "key '%s' is empty", o->text_key);
        ADA_TRY(place_images(d, l, r, o->text_key, &r->text));
    } else {
        ADA_TRY(keep(d, l, ada_json_get(j, o->prompt_key), o->prompt_key, &r->prompt));
        ADA_TRY(place_images(d, l, r, o->prompt_key, &r->prompt));
        if (given(j, o->completion_key))
            ADA_TRY(keep(d, l, ada_json_get(j, o->completion_key), o->completion_key, &r->completion));
        if (!r->completion && !o->allow_no_target) return missing(l, j, o->completion_key, "");
        if (r->completion) ADA_TRY(check_said(l, r, o->completion_key, r->completion));
        if (r->completion && !*r->completion && !o->allow_no_target)
            return wrong(l, "key '%s' is empty", o->completion_key);
    }
    return read_answer(d, l, j, r);
}

static ada_status add_row(ada_dataset *d, ada_row r) {
    if (d->n == d->cap) {
        size_t cap = d->cap ? d->cap * 2 : 256, bytes;
        ada_row *p =
            ada_mul_size(cap, sizeof *p, &bytes) ? ada_os.resize(d->rows, d->cap * sizeof *p, bytes) : NULL;
        if (!p) return ada_fail(ADA_ENOMEM, "out of memory: %zu rows of '%s'", cap, d->path);
        d->rows = p;
        d->cap = cap;
    }
    d->rows[d->n++] = r;
    return ADA_OK;
}

/* jansson's "name:1:column: text" becomes path:line and the column: a line is a file to it. */
static ada_status bad_json(const line *l) {
    int column = 0, at = 0;
    const char *e = ada_error();
    if (sscanf(e, "row:%*d:%d: %n", &column, &at) < 1 || at == 0) return wrong(l, "%s", e);
    char text[240];
    snprintf(text, sizeof text, "%s", e + at);
    return wrong(l, "column %d: %s", column, text);
}

static ada_status read_line(ada_dataset *d, size_t number, const char *s, size_t n) {
    line l = {d, number};
    if (number == 1 && n >= 3 && memcmp(s, "\xef\xbb\xbf", 3) == 0) s += 3, n -= 3;
    while (n && strchr(" \t\r\n", s[n - 1]) && s[n - 1]) n--;
    if (n == 0) return ADA_OK;
    size_t at;
    if (memchr(s, 0, n))
        return wrong(&l, "column %zu: a NUL byte", (size_t)((const char *)memchr(s, 0, n) - s) + 1);
    if (!ada_utf8_valid(s, n, &at))
        return wrong(&l, "column %zu: byte 0x%02x is not UTF-8", at + 1, (unsigned char)s[at]);
    ada_json *j = NULL;
    ada_row r;
    ada_status st = ada_json_parse(&j, s, n, "row");
    if (st == ADA_EFORMAT && n == 1 && *s == '[')
        return wrong(&l, "an array of several lines begins, an object on each line is wanted");
    if (st == ADA_EFORMAT) return bad_json(&l);
    if (st == ADA_OK) st = read_row(d, &l, j, &r);
    ada_json_close(&j);
    return st == ADA_OK ? add_row(d, r) : st;
}

/* ---- the file ---- */
typedef struct stream {
    int fd;
    off_t at;
    ada_buf rest; /* what stands behind the last line feed */
    ada_sha *sha;
    size_t number;
} stream;

/* One whole line, its line feed included but at the end of the file. */
static ada_status take_line(ada_dataset *d, stream *s, const char *p, size_t n) {
    ADA_TRY(ada_sha_add(s->sha, p, n));
    return read_line(d, ++s->number, p, n);
}

static bool full(const ada_dataset *d) {
    return d->o.limit && d->n >= d->o.limit;
}

static ada_status read_chunk(ada_dataset *d, stream *s, const char *p, size_t n) {
    for (const char *end = p + n, *lf; p < end && !full(d); p = lf ? lf + 1 : end) {
        lf = memchr(p, '\n', (size_t)(end - p));
        size_t k = (size_t)((lf ? lf + 1 : end) - p);
        if (s->rest.len + k > LINE_MAX_BYTES)
            return wrong(&(line){d, s->number + 1}, "a line of more than %d bytes", LINE_MAX_BYTES);
        if (lf && s->rest.len == 0) {
            ADA_TRY(take_line(d, s, p, k));
            continue;
        }
        ADA_TRY(ada_buf_add(&s->rest, p, k));
        if (!lf) continue;
        ADA_TRY(take_line(d, s, s->rest.data, s->rest.len));
        s->rest.len = 0;
    }
    return ADA_OK;
}

static ada_status read_stream(ada_dataset *d, stream *s) {
    char *chunk;
    ADA_TRY(ada_arena_take(&d->arena, &chunk, CHUNK, 1));
    while (!full(d)) {
        ssize_t n = ada_os.pread(s->fd, chunk, CHUNK, s->at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return ada_fail(ADA_EIO, "cannot read '%s': %s", d->path, strerror(errno));
        if (n == 0) break;
        s->at += n;
        ADA_TRY(read_chunk(d, s, chunk, (size_t)n));
    }
    if (s->rest.len && !full(d)) ADA_TRY(take_line(d, s, s->rest.data, s->rest.len));
    return d->n ? ADA_OK : ada_fail(ADA_EFORMAT, "'%s' has no rows", d->path);
}

static ada_status open_at(ada_dataset *d, const char *path) {
    bool standard = strcmp(path, "-") == 0;
    d->path = ada_arena_str(&d->arena, standard ? "standard input" : path,
                            strlen(standard ? "standard input" : path));
    if (!d->path) return ADA_ENOMEM;
    const char *slash = strrchr(d->path, '/');
    if (slash) d->nfolder = (size_t)(slash - d->path) + 1;
    stream s = {.fd = standard ? STDIN_FILENO : ada_os.open(path, O_RDONLY | O_CLOEXEC, 0)};
    if (s.fd < 0) return ada_fail(ADA_EIO, "cannot open '%s': %s", path, strerror(errno));
    ada_status st = ada_sha_open(&s.sha);
    if (st == ADA_OK) st = read_stream(d, &s);
    if (s.sha) {
        ada_status end = ada_sha_close(&s.sha, st == ADA_OK ? d->digest : NULL);
        if (st == ADA_OK) st = end;
    }
    ada_buf_free(&s.rest);
    if (!standard) (void)ada_os.close(s.fd);
    return st;
}

ada_status ada_dataset_open(ada_dataset **out, const char *path, const ada_dataset_opts *o) {
    ada_dataset *d = *out = ada_os.alloc(sizeof *d);
    if (!d) return ada_fail(ADA_ENOMEM, "out of memory: data set '%s'", path);
    *d = (ada_dataset){.o = o ? *o : (ada_dataset_opts){0}};
    if (!d->o.prompt_key) d->o.prompt_key = "prompt";
    if (!d->o.completion_key) d->o.completion_key = "completion";
    if (!d->o.messages_key) d->o.messages_key = "messages";
    if (!d->o.text_key) d->o.text_key = "text";
    if (!d->o.choices_key) d->o.choices_key = "choices";
    if (!d->o.image_key) d->o.image_key = "image";
    if (!d->o.images_key) d->o.images_key = "images";
    ada_status st = open_at(d, path);
    d->o = (ada_dataset_opts){0}; /* its strings are the caller's */
    if (st != ADA_OK) ada_dataset_close(out);
    return st;
}

void ada_dataset_close(ada_dataset **d) {
    if (!*d) return;
    ada_buf_free(&(*d)->text);
    ada_buf_free(&(*d)->images);
    ada_arena_free(&(*d)->arena);
    ada_os.release((*d)->rows);
    ada_os.release(*d);
    *d = NULL;
}

size_t ada_dataset_count(const ada_dataset *d) {
    return d->n;
}
const ada_row *ada_dataset_at(const ada_dataset *d, size_t i) {
    return i < d->n ? &d->rows[i] : NULL;
}
const char *ada_dataset_path(const ada_dataset *d) {
    return d->path;
}
const char *ada_dataset_digest(const ada_dataset *d) {
    return d->digest;
}
