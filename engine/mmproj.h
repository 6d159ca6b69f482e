/* SPDX-License-Identifier: Apache-2.0
 * A text model and, in a GGUF file of its own, the tower and projector that it sees with, as llama.cpp keeps
 * them ("mmproj"). Owns: their opening as one file, of a kind vlm/mmproj_x.c. Must not know: how either runs.
 * Source of the keys: llama.cpp's gguf package and its converters. */
#ifndef ADA_ENGINE_MMPROJ_H
#define ADA_ENGINE_MMPROJ_H

#include "io/tensors.h"

/* The model at path, in any format; with mmproj, which may be NULL, both. EINVAL: the model sees already, or
 * mmproj is no such file; EUNSUPPORTED: a projector, or a way to prepare images, that is not ours. */
ada_status ada_mmproj_open(ada_tensors **t, const char *path, const char *mmproj) ADA_MUST_USE;
/* The projector's type as a GGUF tower's meta has it; NULL where it says nothing. */
const char *ada_mmproj_projector(const ada_json *meta);
/* meta of a GGUF tower with what it says of its images as a "preprocessor_config": for such a projector, or,
 * where that is NULL, for the tower alone. EUNSUPPORTED: a projector that is not ours; EFORMAT: it doesn't
 * say enough. */
ada_status ada_mmproj_meta(ada_json **out, const ada_json *meta, const char *projector) ADA_MUST_USE;

#endif
