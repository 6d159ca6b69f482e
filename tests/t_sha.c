/* SPDX-License-Identifier: Apache-2.0
 * io/sha.c against the vectors of FIPS 180-4, in one piece and in many.
 * Owns nothing. Must not know: what is hashed. Invariant: how the bytes are cut does not matter. */
#include "tests/io_test.h"
#include "io/sha.h"

static void vectors(void **state) {
    (void)state;
    static const char *const want[] = {"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                                       "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                                       "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"};
    char hex[65], *million = ada_os.alloc(1000000);
    assert_non_null(million);
    memset(million, 'a', 1000000);
    assert_ok(ada_sha_of("", 0, hex));
    assert_string_equal(hex, want[0]);
    assert_ok(ada_sha_of("abc", 3, hex));
    assert_string_equal(hex, want[1]);
    assert_ok(ada_sha_of(million, 1000000, hex));
    assert_string_equal(hex, want[2]);
    ada_sha *s;
    assert_ok(ada_sha_open(&s));
    for (size_t i = 0; i < 1000000; i += 997)
        assert_ok(ada_sha_add(s, million, 1000000 - i < 997 ? 1000000 - i : 997));
    assert_ok(ada_sha_close(&s, hex));
    assert_null(s);
    assert_string_equal(hex, want[2]);
    ada_os.release(million);
    assert_ok(ada_sha_open(&s));
    assert_ok(ada_sha_close(&s, NULL)); /* given up */
    assert_ok(ada_sha_close(&s, NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(vectors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
