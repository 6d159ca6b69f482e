/* SPDX-License-Identifier: Apache-2.0
 * A tower's learned positions for another size of image. Owns nothing: a table in, a table out.
 * Must not know: towers' other parts. Invariant: the table's own grid comes out as it is. */
#ifndef ADA_ENGINE_POSITIONS_H
#define ADA_ENGINE_POSITIONS_H

#include "engine/config.h"

/* table: that of the patches alone, [rows, c.d], rows as c's image and patches make them; out [h / patch_h ·
 * w / patch_w, d] for an image of h by w. EUNSUPPORTED for a size that the reference cannot give either. */
ada_status ada_positions_resize(const ada_config *c, const float *table, int32_t h, int32_t w,
                                float *out) ADA_MUST_USE;

#endif
