#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The kernels on other processors, by emulation: sh tests/cross.sh BUILD     (BUILD: a native build folder)
# Owns: the AArch64 build of simd with its test, and which processors are tried: with and without bf16
# (AArch64), AVX2 without AVX-512, SSE4.2 alone (x86-64). Prints `ok NAME`, `not ok NAME` or `skip NAME: why`.
# Must not know: what the kernel test checks. Invariant: a digest is over the bits of every kernel's results,
# so equal digests mean equal bits.
set -u
cd "$(dirname "$0")/.." || exit 1
native=$1/kernels
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM
bad=0
# run NAME CHOSEN COMMAND…: no faults, the ISA it must choose, and the digest of this machine's own run
run() {
    name=$1 chosen=$2
    shift 2
    if "$@" -q >"$tmp/out" 2>&1 && grep -q "^chosen: $chosen\$" "$tmp/out" &&
        [ "$(sed -n "s/^$chosen: .*digest //p" "$tmp/out")" = "$digest" ]; then
        echo "ok $name: $chosen, the same bits"
    else
        tail -n 20 "$tmp/out"
        echo "not ok $name: wanted $chosen without faults, digest $digest"
        bad=1
    fi
}
"$native" -q >"$tmp/native" 2>&1 || { cat "$tmp/native"; echo "not ok kernels on this machine"; exit 1; }
digest=$(sed -n 's/^scalar: .*digest //p' "$tmp/native")

if ! command -v qemu-x86_64 >/dev/null || [ "$(uname -m)" != x86_64 ]; then
    echo "skip x86-64 without AVX-512 and without AVX: no qemu-x86_64"
else
    # qemu 7.2 reads the lanes that vmaskmov masks out (the guard pages, silent on hardware, show it), so of
    # AVX2 under it only the choice and a whole run are asked; the bits of AVX2 are this machine's own run,
    # where it has it.
    if qemu-x86_64 -cpu Haswell "$1/adalink" inspect tests/cli/tiny >"$tmp/out" 2>&1 &&
        grep -q 'isa  *avx2$' "$tmp/out" &&
        qemu-x86_64 -cpu Haswell "$1/adalink" generate -m tests/cli/tiny -p word -n 8 >"$tmp/out" 2>&1; then
        echo "ok x86-64 Haswell: avx2, a whole run"
    else
        cat "$tmp/out"
        echo "not ok x86-64 Haswell"
        bad=1
    fi
    run "x86-64 Nehalem" scalar qemu-x86_64 -cpu Nehalem "$native"
fi

cross=aarch64-linux-gnu-gcc
if ! command -v "$cross" >/dev/null || ! command -v qemu-aarch64 >/dev/null; then
    echo "skip AArch64: no $cross or no qemu-aarch64"
    exit $bad
fi
printf '#define ADA_ISAS(X) X(ref) X(scalar) X(neon)\n' >"$tmp/registry.h"
flags="-std=gnu11 -O2 -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Werror -ffp-contract=off"
flags="$flags -D_GNU_SOURCE"
# shellcheck disable=SC2086
compile() { # NAME ARGS…
    object=$tmp/$1.o
    shift
    $cross $flags "$@" -I. "-I$tmp" -c -o "$object"
}
if compile ref -DADA_ISA=ref -DADA_ISA_REF simd/isa.c &&
    compile scalar -DADA_ISA=scalar -DADA_ISA_SCALAR simd/isa.c &&
    compile neon -DADA_ISA=neon -DADA_ISA_NEON simd/isa.c &&
    compile avx512 -O1 -Itests/emulated -DADA_ISA=avx512_emulated -DADA_ISA_AVX512 -DADA_EMULATED \
        simd/isa.c &&
    compile amx -O1 -Itests/emulated -DADA_ISA=amx_emulated -DADA_ISA_AMX -DADA_EMULATED simd/isa.c &&
    compile dispatch simd/dispatch.c && compile kernels tests/kernels.c &&
    $cross -static -o "$tmp/kernels" "$tmp"/*.o -lm; then
    run "AArch64 with bf16" neon qemu-aarch64 -cpu max "$tmp/kernels"
    run "AArch64 without" neon qemu-aarch64 -cpu cortex-a57 "$tmp/kernels"
else
    echo "not ok AArch64: simd does not compile"
    bad=1
fi
exit $bad
