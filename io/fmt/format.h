/* SPDX-License-Identifier: Apache-2.0
 * What a file format needs to fill an ada_tensors, and what it registers: io/fmt/<name>.c defines
 * `const struct ada_format ada_format_<name>`. Only tensors.c and the formats include this.
 * Invariant: a view enters the list only through ada_tensors_add, which checks it against its mapping. */
#ifndef ADA_IO_FMT_FORMAT_H
#define ADA_IO_FMT_FORMAT_H

#include "io/reader.h"
#include "io/sha.h"
#include "io/tensors.h"

struct ada_map; /* one mapped file */

struct ada_tensors {
    ada_arena arena; /* names */
    ada_tensor *list;
    size_t count, cap;
    const ada_tensor **by_name; /* sorted, made once all formats are done */
    struct ada_map *maps;
    ada_json *meta;
    const struct ada_format *format;
    char digest[65], own[65]; /* of the source and of these bytes, where the file keeps them; "" otherwise */
    ada_tensors *joined[2];   /* what it is made of, or NULL */
};

struct ada_format {
    const char *name;
    /* Nonzero if the first n (at most 64) bytes are this format's. */
    int (*probe)(const unsigned char *head, size_t n);
    /* Fills list and meta; tensors.c closes what is half open. */
    ada_status (*open)(ada_tensors *t, const char *path);
};

/* Maps a regular file read-only until the ada_tensors closes; r then reads all of it. r->name is path
 * itself. */
ada_status ada_tensors_map(ada_tensors *t, const char *path, ada_reader *r) ADA_MUST_USE;
/* Adds a view whose name and data are `n` bytes of text and an offset into r. v's dtype, ndim and shape
 * are set; bytes are computed here. */
ada_status ada_tensors_add(ada_tensors *t, const ada_reader *r, const ada_tensor *v, const char *name,
                           size_t n, uint64_t offset) ADA_MUST_USE;
/* Bytes of a shape: every extent >= 0, whole blocks in the last one, no overflow. */
ada_status ada_tensor_size(const char *name, ada_dtype type, int ndim, const int64_t *shape,
                           size_t *bytes) ADA_MUST_USE;
/* True if `path` is a folder. */
bool ada_is_folder(const char *path);
/* Name, type, shape and bytes: what a digest of tensors is made of. */
ada_status ada_tensor_hash(ada_sha *s, const ada_tensor *t) ADA_MUST_USE;
/* For qsort and bsearch over const ada_tensor *. */
int ada_tensor_by_name(const void *a, const void *b);
/* The type of that name; false if there is none. */
bool ada_dtype_find(const char *name, ada_dtype *type);

#endif
