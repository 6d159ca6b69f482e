/* SPDX-License-Identifier: Apache-2.0
 * What a model sees with: preprocessing, a frozen tower, the connector, and how its prompts spell an image.
 * Owns: these, of an open file. Must not know: data files, adapters. Invariant: a model has all of it or
 * none. */
#ifndef ADA_ENGINE_VISION_H
#define ADA_ENGINE_VISION_H

#include "engine/connector.h"
#include "engine/tower.h"
#include "io/preprocess.h"

typedef struct ada_vision {
    ada_tower *tower;
    ada_preprocess preprocess;
    ada_connector connector;
} ada_vision;

#endif
