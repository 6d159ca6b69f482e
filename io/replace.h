/* SPDX-License-Identifier: Apache-2.0
 * The only way an output file comes to be: temp in the same folder → fsync → rename → fsync the folder.
 * Invariant: at every moment `path` is absent, the old file whole, or the new file whole. */
#ifndef ADA_IO_REPLACE_H
#define ADA_IO_REPLACE_H
#include "io/status.h"
#include <stdbool.h>

/* `fill` writes the file named `temp` (it may open it by HDF5); replace syncs and renames it, or removes
 * it. */
typedef ada_status (*ada_fill_fn)(void *ctx, const char *temp);
ada_status ada_replace(const char *path, ada_fill_fn fill, void *ctx) ADA_MUST_USE;
ada_status ada_replace_bytes(const char *path, const void *p, size_t n) ADA_MUST_USE;
/* A plain write, for use inside a fill: not synced, not atomic by itself. */
ada_status ada_write_file(const char *path, const void *p, size_t n) ADA_MUST_USE;
/* "-" is standard input. */
/* NUL-terminated; ada_os.release */
ada_status ada_read_file(const char *path, char **data, size_t *n) ADA_MUST_USE;
/* A read-only mapping of all of a file, which is not empty; ada_os.unmap. */
ada_status ada_map_file(const char *path, void **p, size_t *n) ADA_MUST_USE;
/* True of what is there but cannot be read, too: that is to be complained about. */
bool ada_is_there(const char *path);
/* mkdir -p */
ada_status ada_make_folder(const char *path) ADA_MUST_USE;

#endif
