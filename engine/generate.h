/* SPDX-License-Identifier: Apache-2.0
 * What the engine itself asks of a generator beyond adalink.h. Must not know: how it generates.
 * Invariant: a generator opened so says the same as one opened by the public call. */
#ifndef ADA_ENGINE_GENERATE_H
#define ADA_ENGINE_GENERATE_H

#include "engine/images.h"

/* As ada_generator_open, for ids whose images are a run's own; images outlives it, or is NULL. */
ada_status ada_generator_open_with(ada_generator **g, ada_model *m, ada_adapter *a, ada_images *images,
                                   int capacity) ADA_MUST_USE;

#endif
