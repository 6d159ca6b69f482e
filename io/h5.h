/* SPDX-License-Identifier: Apache-2.0
 * The only file that includes hdf5.h is h5.c. Owns: the library's mutex and every id between open and
 * close. Files are write-once: made whole inside ada_replace, and sealed. The seal is the attribute
 * `digest` of the root: "adalink:sha256:" and the sha256 of every byte of the file, its own 64 digits
 * counted as '0'. It is found and checked before HDF5 sees a byte, so that its parser meets only what we
 * wrote. Readable by h5py and h5dump. */
#ifndef ADA_IO_H5_H
#define ADA_IO_H5_H

#include "io/tensors.h"

typedef struct ada_h5_out ada_h5_out;
/* Writing: called from an ada_fill_fn. Paths are "/a/b/c"; groups in between are created.
 * The file is built in memory and written by finish, through ada_os: for adapters and checkpoints. */
ada_status ada_h5_create(ada_h5_out **f, const char *path) ADA_MUST_USE;
/* A file of any size, written through HDF5 as it grows; data of 512 bytes or more begin at multiples of 4096.
 * Its seal is what ada_h5_seal sets. */
ada_status ada_h5_create_large(ada_h5_out **f, const char *path) ADA_MUST_USE;
ada_status ada_h5_put(ada_h5_out *f, const char *path, ada_dtype type, int ndim, const int64_t *shape,
                      const void *data) ADA_MUST_USE;
/* a string; h5dump shows it */
ada_status ada_h5_put_text(ada_h5_out *f, const char *path, const char *s, size_t n) ADA_MUST_USE;
ada_status ada_h5_attr_str(ada_h5_out *f, const char *object, const char *name,
                           const char *value) ADA_MUST_USE;
ada_status ada_h5_attr_f64(ada_h5_out *f, const char *object, const char *name, double value) ADA_MUST_USE;
ada_status ada_h5_attr_i64(ada_h5_out *f, const char *object, const char *name, int64_t value) ADA_MUST_USE;
/* of a dataset's bytes */
ada_status ada_h5_offset(ada_h5_out *f, const char *path, uint64_t *offset) ADA_MUST_USE;
/* large files only; of ADA_H5_SEAL bytes */
ada_status ada_h5_seal(ada_h5_out *f, const char *text) ADA_MUST_USE;
ada_status ada_h5_finish(ada_h5_out **f) ADA_MUST_USE; /* seals, writes and closes; NULLs *f in any case */
void ada_h5_abandon(ada_h5_out **f);

/* The size of a large file's seal; and a seal is within the first bytes. */
enum { ADA_H5_SEAL = 112, ADA_H5_SEAL_WITHIN = 64 << 10 };
/* Where `prefix` (how a seal begins) stands in the file's first bytes; n if nowhere. */
size_t ada_h5_find_seal(const void *p, size_t n, const char *prefix);

typedef struct ada_h5_in ada_h5_in;
/* check_digest: refuse (EFORMAT) a file with any byte changed. Without it HDF5 parses whatever is there. */
ada_status ada_h5_open(ada_h5_in **f, const char *path, bool check_digest) ADA_MUST_USE;
void ada_h5_close(ada_h5_in **f);
bool ada_h5_has(ada_h5_in *f, const char *path);
/* Shape and type of a dataset; EMISMATCH if absent. */
ada_status ada_h5_shape(ada_h5_in *f, const char *path, ada_dtype *type, int *ndim,
                        int64_t shape[ADA_MAX_DIMS]) ADA_MUST_USE;
/* `count` is the number of values expected: EMISMATCH if the dataset has another. */
ada_status ada_h5_get_f32(ada_h5_in *f, const char *path, size_t count, float *out) ADA_MUST_USE;
ada_status ada_h5_get_i64(ada_h5_in *f, const char *path, size_t count, int64_t *out) ADA_MUST_USE;
ada_status ada_h5_get_text(ada_h5_in *f, const char *path, ada_buf *out) ADA_MUST_USE; /* appends */
/* appends */
ada_status ada_h5_get_attr_str(ada_h5_in *f, const char *object, const char *name, ada_buf *out) ADA_MUST_USE;
ada_status ada_h5_get_attr_f64(ada_h5_in *f, const char *object, const char *name, double *out) ADA_MUST_USE;
ada_status ada_h5_get_attr_i64(ada_h5_in *f, const char *object, const char *name, int64_t *out) ADA_MUST_USE;
/* Calls fn for each link of a group, in name order; fn may read from f. */
ada_status ada_h5_each(ada_h5_in *f, const char *group, ada_status (*fn)(void *ctx, const char *name),
                       void *ctx) ADA_MUST_USE;

#endif
