/* SPDX-License-Identifier: Apache-2.0
 * This machine's peak of arithmetic now, as a JSON object, for scripts that pair it with a run. Must not
 * know: what runs. */
#include "engine/par.h"
#include "perf/measure.h"

#include <stdio.h>

int main(void) {
    ada_par_set(0);
    printf("{\"peak\": %.1f}\n", perf_peak() * 1e-9);
    return 0;
}
