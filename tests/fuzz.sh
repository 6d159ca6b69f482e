#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The fuzzers of a clang build, two at a time: sh tests/fuzz.sh SECONDS BUILD [NAME…]      (no NAME: all)
# Starts from tests/bad, tests/golden and what earlier runs found.
# Owns: BUILD/fuzz (logs, corpora, inputs that broke something). Must not know: the formats.
# Invariant: each run is bounded in time, in memory and in the size of its inputs.
set -u
seconds=$1
tests=$(cd "$(dirname "$0")" && pwd)
cd "$2" || exit 1
shift 2
mkdir -p fuzz
ls fuzz_* >/dev/null 2>&1 || { echo "no fuzzer was built: libFuzzer's runtime is missing"; exit 77; }
[ $# -gt 0 ] || set -- $(ls fuzz_* | sed -n 's/^fuzz_\([a-z0-9]*\)$/\1/p')
programs=$*
seeds=
for d in bad golden; do
    [ ! -d "$tests/$d" ] || seeds="$seeds $tests/$d"
done
limits="-max_total_time=$seconds -rss_limit_mb=2048 -malloc_limit_mb=1024 -timeout=20 -max_len=65536"
one="mkdir -p fuzz/\$1; ./fuzz_\$1 $limits -artifact_prefix=fuzz/\$1.found- fuzz/\$1 $seeds >fuzz/\$1.log 2>&1
    echo exit \$? >>fuzz/\$1.log"
# shellcheck disable=SC2086
printf '%s\n' $programs | xargs -n 1 -P 2 sh -c "$one" fuzz
bad=0
for p in $programs; do
    if [ "$(tail -n 1 "fuzz/$p.log")" = "exit 0" ]; then
        echo "ok fuzz $p: $(sed -n 's/^Done //p' "fuzz/$p.log")"
    else
        tail -n 60 "fuzz/$p.log"
        echo "not ok fuzz $p"
        bad=1
    fi
done
exit $bad
