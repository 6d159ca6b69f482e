/* SPDX-License-Identifier: Apache-2.0
 * Training options as a table: to JSON for checkpoints and run files, and back. Owns: the list of options.
 * Invariant: every field of ada_train_opts that decides a run's outcome has its row. */
#ifndef ADA_ENGINE_SETTINGS_H
#define ADA_ENGINE_SETTINGS_H

#include "engine/adalink.h"
#include "io/arena.h"

/* Copies o with its defaults resolved and checked (EINVAL); strings live in `a`. */
ada_status ada_settings_resolve(ada_train_opts *out, const ada_train_opts *o, ada_arena *a) ADA_MUST_USE;
ada_status ada_settings_write(const ada_train_opts *o, ada_json **j) ADA_MUST_USE;
ada_status ada_settings_read(ada_train_opts *o, const ada_json *j, ada_arena *a) ADA_MUST_USE;

#endif
