/* SPDX-License-Identifier: Apache-2.0
 * What the tests of pictures share: the answers of golden/make_pixels.py, open while a group runs.
 * Must not know: what is compared. Invariant: what is opened is closed. */
#ifndef ADA_TESTS_PIXELS_TEST_H
#define ADA_TESTS_PIXELS_TEST_H

#include "io/tensors.h"
#include "tests/io_test.h"

static ada_tensors *answers;

static inline int pixels_begin(void **state) {
    if (io_test_begin(state) != 0) return 1;
    return ada_tensors_open(&answers, io_tests_path("golden/pixels/answers.safetensors")) != ADA_OK;
}

static inline int pixels_end(void **state) {
    ada_tensors_close(&answers);
    return io_test_end(state);
}

#endif
