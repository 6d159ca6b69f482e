/* SPDX-License-Identifier: Apache-2.0
 * The only file that includes hdf5.h. Owns: the library's mutex and every id between open and close.
 * Files are write-once: made whole inside ada_replace, with an attribute `digest` (sha256 over all datasets and
 * attributes in name order) on the root, checked on reading. Readable by h5py and h5dump. */
#ifndef ADA_IO_H5_H
#define ADA_IO_H5_H

#include "io/tensors.h"

typedef struct ada_h5_out ada_h5_out;
/* Writing: called from an ada_fill_fn. Paths are "/a/b/c"; groups in between are created. */
ada_status ada_h5_create(ada_h5_out **f, const char *path) ADA_MUST_USE;
ada_status ada_h5_put(ada_h5_out *f, const char *path, ada_dtype type, int ndim, const int64_t *shape, const void *data) ADA_MUST_USE;
ada_status ada_h5_put_text(ada_h5_out *f, const char *path, const char *s, size_t n) ADA_MUST_USE; /* a u8 [n] dataset */
ada_status ada_h5_attr_str(ada_h5_out *f, const char *object, const char *name, const char *value) ADA_MUST_USE;
ada_status ada_h5_attr_f64(ada_h5_out *f, const char *object, const char *name, double value) ADA_MUST_USE;
ada_status ada_h5_attr_i64(ada_h5_out *f, const char *object, const char *name, int64_t value) ADA_MUST_USE;
ada_status ada_h5_finish(ada_h5_out **f) ADA_MUST_USE; /* writes the digest and closes; NULLs *f in any case */
void ada_h5_abandon(ada_h5_out **f);

typedef struct ada_h5_in ada_h5_in;
ada_status ada_h5_open(ada_h5_in **f, const char *path, bool check_digest) ADA_MUST_USE;
void ada_h5_close(ada_h5_in **f);
bool ada_h5_has(ada_h5_in *f, const char *path);
/* Shape and type of a dataset; EMISMATCH if absent. */
ada_status ada_h5_shape(ada_h5_in *f, const char *path, ada_dtype *type, int *ndim, int64_t shape[ADA_MAX_DIMS]) ADA_MUST_USE;
ada_status ada_h5_get_f32(ada_h5_in *f, const char *path, size_t count, float *out) ADA_MUST_USE;
ada_status ada_h5_get_i64(ada_h5_in *f, const char *path, size_t count, int64_t *out) ADA_MUST_USE;
ada_status ada_h5_get_text(ada_h5_in *f, const char *path, ada_buf *out) ADA_MUST_USE;
ada_status ada_h5_get_attr_str(ada_h5_in *f, const char *object, const char *name, ada_buf *out) ADA_MUST_USE;
ada_status ada_h5_get_attr_f64(ada_h5_in *f, const char *object, const char *name, double *out) ADA_MUST_USE;
ada_status ada_h5_get_attr_i64(ada_h5_in *f, const char *object, const char *name, int64_t *out) ADA_MUST_USE;
/* Calls fn for each link of a group, in name order. */
ada_status ada_h5_each(ada_h5_in *f, const char *group, ada_status (*fn)(void *ctx, const char *name), void *ctx) ADA_MUST_USE;

#endif
