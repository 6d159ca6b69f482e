/* SPDX-License-Identifier: Apache-2.0
 * Token paths through a frozen model and its adapter: packs forward, losses at goals, gradients back. Owns:
 * the buffers of a step, laid out once. Must not know: files, epochs, optimizers. Invariant: nothing is
 * allocated between layout and the end of the run; sums run in the order of goals. */
#ifndef ADA_ENGINE_STEP_H
#define ADA_ENGINE_STEP_H

#include "engine/batch.h"
#include "engine/embed.h"

typedef struct ada_step_limits {
    int32_t rows;   /* of a pack */
    int32_t items;  /* of a pack */
    int32_t path;   /* longest item */
    int32_t goals;  /* of a pack */
    int32_t unique; /* different ids of all packs between begin and end */
    bool train;
    /* of an encoder: rows of a pack, the longest row, different tokens of all packs; 0 without */
    int32_t sources, source_path, source_unique;
    /* of images: where their rows come from, or NULL; different rows of all packs, counted in unique, too */
    ada_images *images;
    int32_t image_rows;
} ada_step_limits;

typedef struct ada_goal {   /* one token to be predicted */
    int32_t item, position; /* from the hidden state here, which the item wants */
    int32_t token;
    float weight; /* its factor in the objective */
} ada_goal;

typedef struct ada_step ada_step;
ada_status ada_step_layout(ada_step **s, ada_arena *arena, const ada_model *m, ada_adapter *a,
                           const ada_step_limits *lim) ADA_MUST_USE;
/* begin, see every item, start; then for each pack forward and loss; then end (training only). */
void ada_step_begin(ada_step *s);
void ada_step_see(ada_step *s, const ada_item *items, int32_t n);
void ada_step_see_token(ada_step *s, int32_t id);
ada_status ada_step_start(ada_step *s) ADA_MUST_USE;
ada_status ada_step_pack(ada_step *s, const ada_item *sorted,
                         int32_t n) ADA_MUST_USE; /* packs without computing */
ada_status ada_step_forward(ada_step *s, const ada_item *sorted, int32_t n) ADA_MUST_USE;
/* loss [n] = -log p of each goal; with `back`, adds the gradient of Σ weight·loss to what end hands to the
 * adapter. */
void ada_step_loss(ada_step *s, const ada_goal *goals, int32_t n, float *loss, bool back);
/* How many tokens an item has to spell, and with how many rows of its last image or tile. */
int32_t ada_step_spelled(const ada_step *s, const ada_item *item, int32_t *rows);
/* Rather than forward and loss: how far the last rows of an item's last image are from the embeddings of the
 * tokens that it predicts and goes on from, the rows before them from that of `fill`, a token seen. Adds the
 * squared distance to sum[0] and the squared length of the embeddings to sum[1]; scale ≠ 0: adds scale times
 * the distance to what end hands to the adapter. */
void ada_step_spell(ada_step *s, const ada_item *item, int32_t fill, float scale, double sum[2]);
void ada_step_end(ada_step *s);

const ada_packer *ada_step_packer(const ada_step *s);
/* After forward: logits [n, vocab] of the pack's out rows from `first` on. */
void ada_step_logits(ada_step *s, int32_t first, int32_t n, float *logits);
/* Of the last pack: multiply-adds × 2 of blocks and `goals` rows of the head, forward and (back)
 * backward-data. */
double ada_step_flops(const ada_step *s, int32_t goals, bool back);

#endif
