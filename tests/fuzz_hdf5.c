/* SPDX-License-Identifier: Apache-2.0
 * libFuzzer target: any bytes as an imported model's .h5 give tensors that can be read, or a status and one
 * line. Owns nothing. Must not know: the format. Invariant: no input crashes, hangs or leaks. */
#include "tests/fuzz_tensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    fuzz_open(data, n, "hdf5");
    return 0;
}
