/* SPDX-License-Identifier: Apache-2.0
 * Which way up a picture is: the orientation tag of EXIF (a TIFF directory) and of XMP (text).
 * Owns: reading that one number. Must not know: picture formats.
 * Invariant: metadata never makes a picture unreadable; what is malformed says nothing. */
#include "io/img/image.h"

enum { ORIENTATION = 0x112, BYTE = 1, SHORT = 3, LONG = 4 };

/* `size` bytes, in the file's order */
static bool take(ada_reader *r, bool big, size_t size, uint32_t *v) {
    const unsigned char *p;
    if (ada_read_left(r) < size || ada_read_bytes(r, size, &p) != ADA_OK) return false;
    *v = 0;
    for (size_t i = 0; i < size; i++) *v |= (uint32_t)p[i] << 8 * (big ? size - 1 - i : i);
    return true;
}

static bool is_turn(uint32_t v) {
    return v >= 1 && v <= 8;
}

static int directory_turn(ada_reader *r, bool big) {
    uint32_t entries, tag, type, count, value, rest;
    int turn = 0;
    if (!take(r, big, 2, &entries)) return 0;
    for (; entries > 0; entries--) {
        if (!take(r, big, 2, &tag) || !take(r, big, 2, &type) || !take(r, big, 4, &count)) return turn;
        size_t size = type == BYTE ? 1 : type == SHORT ? 2 : 4;
        if (!take(r, big, size, &value) || !take(r, big, 4 - size, &rest)) return turn;
        if (tag == ORIENTATION && count == 1 && (type == BYTE || type == SHORT || type == LONG))
            turn = is_turn(value) ? (int)value : 1;
    }
    return turn;
}

int ada_exif_turn(const void *p, size_t n) {
    ada_reader r = {.p = p, .n = n, .name = "EXIF"};
    while (n - r.at >= 6 && memcmp(r.p + r.at, "Exif\0", 6) == 0) r.at += 6;
    r = (ada_reader){.p = r.p + r.at, .n = n - r.at, .name = r.name};
    uint32_t order, magic, at;
    if (!take(&r, true, 2, &order) || (order != 0x4949 && order != 0x4d4d)) return 0;
    bool big = order == 0x4d4d;
    if (!take(&r, big, 2, &magic) || magic != 42 || !take(&r, big, 4, &at) || at > n) return 0;
    if (at > r.n) return 0;
    r.at = at;
    return directory_turn(&r, big);
}

int ada_xmp_turn(const void *p, size_t n) {
    static const char tag[] = "tiff:Orientation";
    const char *at = p, *end = at + n;
    while ((at = memmem(at, (size_t)(end - at), tag, sizeof tag - 1)) != NULL) {
        at += sizeof tag - 1;
        size_t skip = end - at > 2 && memcmp(at, "=\"", 2) == 0 ? 2 : end - at > 1 && at[0] == '>' ? 1 : 0;
        if (skip > 0 && at[skip] >= '0' && at[skip] <= '9')
            return is_turn((uint32_t)(at[skip] - '0')) ? at[skip] - '0' : 1;
    }
    return 0;
}
