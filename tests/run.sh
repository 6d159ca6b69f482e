#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The one test command: sh tests/run.sh [FOLDER]     (FOLDER: where the builds go, default build-test)
# Owns: the order of the stages and the count. Installs what is missing in one apt line (as root or by sudo),
# builds with warnings as errors, runs every check, and ends with one line `N passed, N failed, N skipped`.
# Needs no network when the packages are in. Must not know: what a check checks.
# Invariant: a result is counted once, from the runner's own record; what cannot run is a stated skip or a
# failure.
set -u
cd "$(dirname "$0")/.." || exit 1
unset ADALINK_ISA ADALINK_MATMUL OMP_NUM_THREADS CC CFLAGS LDFLAGS DESTDIR MAKEFLAGS
export LC_ALL=C.UTF-8 HOME="${HOME:-/tmp}" OMP_WAIT_POLICY=passive
out=${1:-build-test}
mkdir -p "$out" || exit 1
out=$(cd "$out" && pwd)
results=$out/results log=$out/stage.log
: >"$results"
begun=$(date +%s)

# ---- results: pass, fail or skip, then what ----
result() { printf '%s %s\n' "$1" "$2" >>"$results"; }
count() { grep -c "^$1 " "$results"; }
finish() {
    n_pass=$(count pass) n_fail=$(count fail) n_skip=$(count skip)
    [ "$n_skip" -eq 0 ] || { echo "skipped:"; sed -n 's/^skip /  /p' "$results"; }
    [ "$n_fail" -eq 0 ] || { echo "failed:"; sed -n 's/^fail /  /p' "$results"; }
    echo "$(($(date +%s) - begun)) s in all"
    echo "$n_pass passed, $n_fail failed, $n_skip skipped"
    [ "$n_fail" -eq 0 ] && [ "$n_pass" -gt 0 ]
    exit
}
# stage NAME COMMAND…: runs it and prints its time; the command records its own results.
stage() {
    stage=$1 stage_begun=$(date +%s)
    shift
    echo "== $stage"
    "$@"
    echo "-- $stage: $(($(date +%s) - stage_begun)) s"
}

# ---- packages ----
need="gcc libc6-dev meson ninja-build pkgconf libdnnl-dev libhdf5-dev libpcre2-dev libutf8proc-dev libyaml-dev
    libjansson-dev libpng-dev libjpeg-dev libwebp-dev libssl-dev libcmocka-dev"
# For the stages that are skipped without them: another compiler, another processor.
wish="clang libomp-dev gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user"
missing() {
    for p in "$@"; do
        dpkg-query -W -f '${db:Status-Abbrev}' "$p" 2>/dev/null | grep -q '^ii' || printf '%s ' "$p"
    done
}
fuzz_runtime() { sed -n 's/.*Depends:.* clang-\([0-9]*\).*/libclang-rt-\1-dev/p' | head -n 1; }
# shellcheck disable=SC2086
install_packages() {
    command -v dpkg-query >/dev/null || { echo "no dpkg: install by hand what is missing"; return; }
    [ -n "$(missing clang)" ] || wish="$wish $(dpkg-query -s clang | fuzz_runtime)"
    [ -n "$(missing $need $wish)" ] || { echo "all here"; return; }
    sudo=
    [ "$(id -u)" -eq 0 ] || sudo=sudo
    export DEBIAN_FRONTEND=noninteractive
    $sudo apt-get update -q >"$log" 2>&1 || echo "apt-get update fails: going on with the lists at hand"
    [ -z "$(missing clang)" ] || wish="$wish $(apt-cache show clang 2>/dev/null | fuzz_runtime)"
    echo "apt-get install $(missing $need $wish)"
    $sudo apt-get install -qy --no-install-recommends $(missing $need $wish) >"$log" 2>&1 && return
    [ -n "$(missing $need)" ] || return
    $sudo apt-get install -qy --no-install-recommends $(missing $need) >"$log" 2>&1 && return
    tail -n 20 "$log"
    result fail "packages: cannot install $(missing $need)"
    finish
}

# ---- builds ----
configure() { # FOLDER ARGS…: a folder made by another version of meson, or half made, starts anew
    folder=$out/$1
    shift
    $meson setup "$folder" -Dwerror=true "$@" >"$log" 2>&1 && return
    rm -rf "$folder"
    $meson setup "$folder" -Dwerror=true "$@" >"$log" 2>&1
}
build() { # FOLDER ARGS…
    if configure "$@" && $meson compile -C "$out/$1" >"$log" 2>&1; then
        result pass "build $1"
    else
        tail -n 40 "$log"
        result fail "build $1"
        return 1
    fi
}
# suite FOLDER ARGS…: meson's own record is one JSON object a line and test.
suite() {
    suite=$1 record=$out/$1/meson-logs/testlog.json
    shift
    rm -f "$record"
    $meson test -C "$out/$suite" --no-rebuild --print-errorlogs "$@" 2>&1 | grep -v '^ninja: \|^$'
    [ -s "$record" ] || { result fail "$suite: no test ran"; return 1; }
    while IFS= read -r line; do
        check=${line#*\"name\": \"}
        check="$suite: ${check%%\"*}"
        case $line in
        *'"result": "OK"'*) result pass "$check" ;;
        *'"result": "SKIP"'*) result skip "$check" ;;
        *) result fail "$check" ;;
        esac
    done <"$record"
}
# script FILE ARGS…: its lines `ok NAME`, `not ok NAME`, `skip NAME` are results; one without such lines is
# one result, by its exit code (77: skipped, and the last line says why). All it printed is shown when it
# fails.
script() {
    file=$1
    sh "$@" >"$log" 2>&1
    code=$?
    sed -n -e 's/^ok /pass /p' -e 's/^not ok /fail /p' -e 's/^skip /skip /p' "$log" >"$log.results"
    case $code in
    0) [ -s "$log.results" ] || result pass "$file" ;;
    77) [ -s "$log.results" ] || result skip "$file: $(tail -n 1 "$log")" ;;
    *)
        cat "$log"
        grep -q '^fail ' "$log.results" || result fail "$file: exit $code"
        ;;
    esac
    cat "$log.results" >>"$results"
}

# ---- stages ----
native() { build native && suite native; }
house() { script tests/house.sh "$out/native" && script tests/house_selftest.sh; }
sanitize='-Db_sanitize=address,undefined -Db_lundef=false -Doptimization=1'
# shellcheck disable=SC2086
sanitized() {
    build asan $sanitize || return
    export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
    suite asan --timeout-multiplier 4
}
# This build shows that clang is content, too.
# shellcheck disable=SC2086
fuzz() {
    command -v clang >/dev/null || { result skip "clang and the fuzzers: no clang"; return; }
    export CC=clang
    build clang $sanitize -Dc_args=-fsanitize=fuzzer-no-link
    code=$?
    unset CC
    [ $code -ne 0 ] || script tests/fuzz.sh 20 "$out/clang" safetensors=60 gguf=60 jsonl=60 tokenizer=60
}

stage packages install_packages
meson=meson NINJA=ninja
[ ! -x /usr/bin/meson ] || meson=/usr/bin/meson # what the apt line brings, whatever else stands in PATH
[ ! -x /usr/bin/ninja ] || NINJA=/usr/bin/ninja
export NINJA
stage native native
stage house house
stage processors script tests/cross.sh "$out/native"
stage sanitizers sanitized
stage fuzzers fuzz
finish
