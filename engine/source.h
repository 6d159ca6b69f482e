/* SPDX-License-Identifier: Apache-2.0
 * A prompt as a decoder reads it in generation: the encoder run once, its rows a memory. Owns: the room for
 * it, which grows with the longest prompt. Must not know: decoding. Invariant: rows are those of training. */
#ifndef ADA_ENGINE_SOURCE_H
#define ADA_ENGINE_SOURCE_H

#include "engine/adapter.h"
#include "engine/cross.h"
#include "engine/images.h"

typedef struct ada_source ada_source;
/* For packs of up to `readers` rows in as many segments. a and images may be NULL. */
ada_status ada_source_open(ada_source **s, ada_model *m, ada_adapter *a, ada_images *images,
                           int32_t readers) ADA_MUST_USE;
void ada_source_close(ada_source **s);
/* Afterwards passes may read ada_source_memory, which may be another than before. */
ada_status ada_source_read(ada_source *s, const int32_t *ids, int32_t n) ADA_MUST_USE;
ada_memory *ada_source_memory(const ada_source *s);

#endif
