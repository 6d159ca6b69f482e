/* SPDX-License-Identifier: Apache-2.0
 * Named, typed, shaped views of an open model file or folder. Owns: the mapping(s) of the file(s).
 * The format is chosen by magic bytes (a folder: HF layout with model.safetensors or its index).
 * Invariant: every view lies inside its mapping, its byte count agrees with shape and type. */
#ifndef ADA_IO_TENSORS_H
#define ADA_IO_TENSORS_H

#include "io/json.h"
#include "simd/types.h"

enum { ADA_MAX_DIMS = 4 };

typedef struct ada_tensor {
    const char *name;
    ada_dtype dtype;
    int ndim;
    int64_t shape[ADA_MAX_DIMS]; /* outermost first (row-major), GGUF's order is reversed on reading */
    const void *data;            /* row-major, may be unaligned */
    size_t bytes;
} ada_tensor;

typedef struct ada_tensors ada_tensors;

ada_status ada_tensors_open(ada_tensors **t, const char *path) ADA_MUST_USE;
void ada_tensors_close(ada_tensors **t);
size_t ada_tensors_count(const ada_tensors *t);
const ada_tensor *ada_tensors_at(const ada_tensors *t, size_t i);           /* in file order */
const ada_tensor *ada_tensors_find(const ada_tensors *t, const char *name); /* NULL if absent */
const char *ada_tensors_format(const ada_tensors *t); /* "safetensors", "gguf", "hdf5" */
/* A view of some of an open model's tensors, which outlives it: those whose names begin as a `from`, which
 * `to` replaces. renames ends with .from NULL; the first that fits is taken. meta: the view's metadata,
 * shared. EMISMATCH where there is none, or two would have one name. */
typedef struct ada_rename {
    const char *from, *to;
} ada_rename;
ada_status ada_tensors_part(ada_tensors **part, const ada_tensors *whole, const ada_rename *renames,
                            const ada_json *meta) ADA_MUST_USE;
/* Two open models as one, which owns them, even where this fails: names of the one begin with `first`, then
 * those of the other with `second`. meta: as of a part. EFORMAT where two would have one name. Its digest is
 * one of theirs. */
ada_status ada_tensors_join(ada_tensors **t, ada_tensors *one, const char *first, ada_tensors *other,
                            const char *second, const ada_json *meta) ADA_MUST_USE;
/* An object, or NULL. gguf: all key-values, arrays as arrays. hdf5 (an imported model): what it was
 * written with. HF folder: {"config": …, "tokenizer": …, "tokenizer_config": …, "generation_config": …,
 * "preprocessor_config": …, "processor_config": …}, absent ones left out; chat_template.jinja, where present,
 * overrides tokenizer_config.chat_template, and a processor's (its key in processor_config.json, else
 * chat_template.json) overrides both. A lone .safetensors file: {}. */
const ada_json *ada_tensors_meta(const ada_tensors *t);
/* Lower-case hex sha256 over names, types, shapes and bytes of all tensors in name order: the identity of
 * a base. An imported .h5 keeps and returns its source's. */
ada_status ada_tensors_digest(const ada_tensors *t, char hex[65]) ADA_MUST_USE;

/* EFORMAT if the bytes of an imported .h5 are not those that were written; other formats keep nothing to
 * check. */
ada_status ada_tensors_verify(const ada_tensors *t) ADA_MUST_USE;

/* Writes the .h5 that opens fastest: plain types only, each tensor's bytes at a multiple of 4096, to be
 * mapped. list: name, dtype and shape; fill is called once for each, in name order, and sets its `bytes`
 * bytes: only the largest tensor is in memory. source: the digest of what was imported, which the file
 * then answers for. */
typedef ada_status (*ada_tensor_fill)(void *ctx, const ada_tensor *t, void *out);
ada_status ada_model_file_write(const char *path, const ada_json *meta, const char *source,
                                const ada_tensor *list, size_t n, ada_tensor_fill fill,
                                void *ctx) ADA_MUST_USE;

/* Number of elements; bytes per `values` elements of a type (block types: 32 or 256 values). */
size_t ada_tensor_count(const ada_tensor *t);
const char *ada_dtype_name(ada_dtype t);
void ada_dtype_block(ada_dtype t, size_t *values, size_t *bytes);
/* Elements [first, first+n) widened to f32; first and n are multiples of the type's block. EUNSUPPORTED
 * for ints. */
ada_status ada_tensor_f32(const ada_tensor *t, size_t first, size_t n, float *out) ADA_MUST_USE;

/* What a format registers is in io/fmt/format.h. */

#endif
