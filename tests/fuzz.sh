#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# All fuzzers of a clang build, two at a time: sh tests/fuzz.sh SECONDS BUILD [NAME=SECONDS…]
# Starts from tests/bad, tests/golden and what earlier runs found.
# Owns: BUILD/fuzz (logs, corpora, inputs that broke something). Must not know: the formats.
# Invariant: each run is bounded in time, in memory and in the size of its inputs.
set -u
seconds=$1
tests=$(cd "$(dirname "$0")" && pwd)
cd "$2" || exit 1
shift 2
mkdir -p fuzz
programs=
for p in fuzz_*; do
    [ -f "$p" ] || continue
    p=${p#fuzz_} own=$seconds
    for word in "$@"; do [ "${word%=*}" != "$p" ] || own=${word#*=}; done
    programs="$programs$own $p
"
done
[ -n "$programs" ] || { echo "no fuzzer was built: libFuzzer's runtime is missing"; exit 77; }
seeds=
for d in bad golden; do
    [ ! -d "$tests/$d" ] || seeds="$seeds $tests/$d"
done
limits="-rss_limit_mb=2048 -malloc_limit_mb=1024 -timeout=20 -max_len=65536"
one="mkdir -p fuzz/\$2
    ./fuzz_\$2 -max_total_time=\$1 $limits -artifact_prefix=fuzz/\$2.found- fuzz/\$2 $seeds >fuzz/\$2.log 2>&1
    echo exit \$? >>fuzz/\$2.log"
# those that run longest begin first
printf '%s' "$programs" | sort -rn | xargs -n 2 -P 2 sh -c "$one" fuzz
bad=0
for p in $(printf '%s' "$programs" | cut -d ' ' -f 2); do
    if [ "$(tail -n 1 "fuzz/$p.log")" = "exit 0" ]; then
        echo "ok fuzz $p: $(sed -n 's/^Done //p' "fuzz/$p.log")"
    else
        tail -n 60 "fuzz/$p.log"
        echo "not ok fuzz $p"
        bad=1
    fi
done
exit $bad
