/* SPDX-License-Identifier: Apache-2.0
 * Adapter and checkpoint files (.h5). Owns: their layout.
 *   /adapter                attributes method site rank scale activation bias init_std seed base_name
 *                           base_sha256
 *                           template_sha256 notes (JSON: settings and metrics)
 *   /adapter/text/down      [d, r] f32, up [r, d]; down_bias [r], up_bias [d]
 *   /state                  checkpoints: attributes step epoch best_step best_loss stale data_sha256
 * eval_sha256 settings /state/m, v, best/…     moments, and the best parameters so far, named as under
 * /adapter Invariant: a file is written whole or not at all, and every dataset of /adapter is claimed on
 * reading. */
#ifndef ADA_ENGINE_STATE_H
#define ADA_ENGINE_STATE_H

#include "engine/adapter.h"

typedef struct ada_state {    /* what a checkpoint holds beyond the adapter */
    int64_t step;             /* updates done */
    double epoch;             /* data position: rows drawn / rows */
    int64_t best_step, stale; /* 0: no validation yet; validations since the best */
    double best_loss;
    char data_digest[65], eval_digest[65];
    float *best[ADA_MAX_PARAMS]; /* NULL without validation */
    const ada_json *settings;
} ada_state;

/* s NULL: an adapter alone. */
ada_status ada_state_save(const ada_adapter *a, const ada_state *s, const char *path) ADA_MUST_USE;
/* As save, but nowhere: what writing takes then shows in the process's memory. */
ada_status ada_state_rehearse(const ada_adapter *a, const ada_state *s) ADA_MUST_USE;
/* Moments and state into an adapter that is trainable, from the checkpoint it was opened from. */
ada_status ada_state_load(ada_adapter *a, ada_state *s, const char *path) ADA_MUST_USE;
/* Removes all but the newest `keep` checkpoints of a folder. */
void ada_state_prune(const char *folder, int keep);
/* Step of the newest checkpoint of a folder; -1 if there is none. */
int64_t ada_state_newest(const char *folder);
ada_status ada_state_path(const char *folder, int64_t step, ada_buf *path) ADA_MUST_USE;

#endif
