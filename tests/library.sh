#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The library as others meet it: installed into a folder, found by pkg-config, compiled against with nothing
# but its own headers; and what it exports, held against what its headers declare with ADA_API.
# Usage: library.sh CC… (ADA_TESTS and MESON_BUILD_ROOT are set by the build file)
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
    echo "library: $*" >&2
    exit 1
}
# the meson that made the build, which need not be the first in PATH
install=$(sed -n 's/^ *COMMAND = \(.* install --no-rebuild\).*/\1/p' "$MESON_BUILD_ROOT/build.ninja")
(cd "$MESON_BUILD_ROOT" && DESTDIR=$work/root $install) >"$work/log" 2>&1 || {
    cat "$work/log"
    fail "it cannot be installed"
}
pc=$(find "$work/root" -name adalink.pc)
[ -f "$pc" ] || fail "no adalink.pc is installed"
export PKG_CONFIG_PATH="${pc%/*}" PKG_CONFIG_SYSROOT_DIR="$work/root"
cflags=$(pkg-config --cflags adalink)
so=$(find "$work/root" -name 'libadalink.so' -o -name 'libadalink.a' | head -1)
static=
case $so in *.a) static=--static ;; esac
libs=$(unset PKG_CONFIG_SYSROOT_DIR && pkg-config --libs $static adalink)
[ -n "$(printf %s "$cflags" | grep "$work/root")" ] || fail "cflags do not lead to the headers: $cflags"
cp "$ADA_TESTS/example.c" "$work/"
# a library under AddressSanitizer wants a program under it
! nm -D "$so" | grep -q ' U __asan_init' || set -- "$@" -fsanitize=address,undefined
"$@" -std=gnu11 -Wall -Werror $cflags "$work/example.c" -o "$work/example" "-L${so%/*}" $libs ||
    fail "an example does not compile against it"
LD_LIBRARY_PATH="${so%/*}" "$work/example" "$ADA_TESTS/cli/tiny" >"$work/out" || fail "the example fails"

[ -z "$static" ] || exit 0
readelf -d "$so" | grep -q 'SONAME.*libadalink\.so\.0' || fail "no soname libadalink.so.0"
headers=$(find "$work/root" -path '*include/adalink/*' -name '*.h')
sed -n '/^ADA_API/s/.*[ *]\(ada_[a-z0-9_]*\)(.*/\1/p' $headers | sort -u >"$work/declared"
nm -D --defined-only "$so" | awk '{ print $3 }' | grep -v '^_' | sort -u >"$work/exported"
diff "$work/declared" "$work/exported" || fail "exports (>) and declarations (<) differ"
[ "$(wc -l <"$work/declared")" -ge 50 ] || fail "declarations were not found"
