#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Breaks each rule of tests/house.sh in a copy of the tree and sees every breach caught, under its rule.
# Owns: the list of breaches, at least one a rule. Must not know: how a rule is checked.
# Invariant: each breach has a file of its own, so that one run shows them apart.
set -u
cd "$(dirname "$0")/.." || exit 1
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM
mkdir -p "$tmp/build" "$tmp/copy" || exit 1
tar -cf - --exclude=.git --exclude='./build*' . | tar -xf - -C "$tmp/copy" || exit 1
cd "$tmp/copy" || exit 1
n=0
head='/* SPDX-License-Identifier: Apache-2.0\n * One.\n * Two. */\n'
# expect RULE FILE: a breach of RULE is to be named as FILE
expect() { printf '%s\t%s\n' "$1" "$2" >>"$tmp/expected"; }
# plant RULE FILE TEXT
plant() {
    mkdir -p "$(dirname "$2")"
    printf '%b' "$3" >>"$2"
    expect "$1" "$2"
}
# source RULE FOLDER TEXT: a file of its own in FOLDER
source_() {
    n=$((n + 1))
    plant "$1" "$2/planted_$n.c" "$head$3"
}
# object TEXT: a library object made of TEXT
object() {
    n=$((n + 1))
    printf '%s\n' "$1" >"$tmp/planted_$n.c"
    cc -c -O2 -fno-builtin -w -o "$tmp/build/planted_$n.o" "$tmp/planted_$n.c" || exit 1
    ar cr "$tmp/build/libada_io.a" "$tmp/build/planted_$n.o" || exit 1
    expect "library objects" "libada_io.a:planted_$n.o"
}
lines() { yes "$2" | head -n "$1" | tr '\n' '~' | sed 's/~/\\n/g'; }

mkdir docs && echo x >docs/x.md
expect "top level" docs
plant "top level" Makefile 'x\n'
rm -f perf/README.md
expect "a page in each folder" perf/README.md
plant "a page in each folder" simd/README.md "$(lines 90 x)"
chain="simd < io < engine < apps"
source_ "$chain" simd '#include "io/os.h"\n'
source_ "$chain" io/tok '#include "engine/model.h"\n'
source_ "$chain" io '#  include   "engine/model.h"\n'
source_ "$chain" engine '#include "apps/opt.h"\n'
source_ "$chain" engine '#include "adapter.h"\n'
source_ "$chain" engine '#include "../io/os.h"\n'
for door in oneapi/dnnl/dnnl.h hdf5.h hdf5_hl.h jansson.h yaml.h openssl/evp.h omp.h mpi.h immintrin.h \
    arm_neon.h pcre2.h utf8proc.h setjmp.h sqlite3.h png.h; do
    source_ "single doors" engine "#include <$door>\n"
done
source_ "single doors" simd '#include <immintrin.h>\n'
source_ "single doors" apps '#include <jansson.h>\n'
printf '%b' "$head#include <pcre2.h>\n" >io/a_first_door.c
plant "single doors" io/z_second_door.c "$head#include <pcre2.h>\n"
source_ "single doors" engine '    #pragma omp parallel for\n'
source_ "simd is arithmetic" simd '#include <stdio.h>\n'
plant "simd is arithmetic" simd/dispatch.c '\n#include <pthread.h>\n'
calls="libraries neither print nor exit nor go around ada_os"
for call in 'printf("x")' 'fprintf(f, "x")' 'vprintf(f, a)' 'puts("x")' 'perror("x")' 'exit(1)' '_exit(1)' \
    'abort()' 'assert(x)' 'x = malloc(3)' 'calloc(1, 2)' 'free(p)' 'realloc(p, 2)' 'strdup(p)' 'fopen(p, q)' \
    'open(p, 0)' 'write(1, p, 2)' 'fsync(1)' 'rename(p, q)' 'unlink(p)' 'mmap(p)'; do
    source_ "$calls" engine "static void planted(void) {\n    $call;\n}\n"
done
object 'void ada_x(void) { printf("x"); }'
object 'void ada_x(void) { __fprintf_chk(0); }'
object 'void ada_x(void) { __assert_fail(); }'
object 'void ada_x(void) { abort(); }'
object 'extern void *stderr; void *ada_x(void) { return stderr; }'
object 'void *ada_x(void) { return malloc(3); }'
object 'void ada_x(void) { rename("a", "b"); }'
object 'void ada_x(void) { open64("a"); }'
object 'void unprefixed(void) {}'
plant "file headers" io/headless.c 'int ada_x;\n'
plant "file headers" io/bare.c '/* SPDX-License-Identifier: Apache-2.0 */\nint ada_x;\n'
plant "file headers" io/other.c '/* SPDX-License-Identifier: MIT\n * One.\n * Two. */\n'
plant "file headers" tests/bare.sh '#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\nexit 0\n'
plant "file headers" io/wordy.c "/* SPDX-License-Identifier: Apache-2.0\n$(lines 12 ' * x')*/\n"
plant "file lengths" engine/long.c "$head$(lines 700 '/* x */')"
text="plain text, 110 columns"
source_ "$text" engine '\tint x;\n'
source_ "$text" engine 'int x; \n'
source_ "$text" engine 'int x;\r\n'
source_ "$text" engine 'int x;'
source_ "$text" engine "/* $(yes '————' | head -n 30 | tr -d '\n') */\n"
plant "$text" README.md 'no newline'
source_ "no open ends" engine "/* TO""DO: this */\n"
places="no machine's paths, no registry's hosts"
plant "$places" tests/golden/planted.txt "/roo""t/x\n"
plant "$places" apps/x.sh "curl https://pyp""i.org/x\n"
plant "$places" apps/y.sh "cd /wor""k/main\n"
plant "$places" apps/z.sh "cd /tm""p/peer\n"
lists="every source is in a list"
for f in tests/t_planted.c tests/fuzz_planted.c tests/planted.c engine/arch/planted.c engine/planted.c \
    io/fmt/planted.c apps/cmd_planted.c perf/planted.c; do
    plant "$lists" "$f" "$head"
done

sh tests/house.sh "$tmp/build" >"$tmp/out" 2>&1
# What was caught, as RULE<tab>FILE: the breaches stand above the name of their rule.
awk '/^(not )?ok house: / {
        rule = $0; sub(/^(not )?ok house: /, "", rule)
        for (i = 0; i < n; i++) print rule "\t" at[i]
        n = 0; next
    }
    { f = $0; sub(/: .*/, "", f); sub(/:[0-9]+$/, "", f); sub(/:[0-9]+:.*/, "", f); at[n++] = f }
    ' "$tmp/out" >"$tmp/caught"
failed=0
while IFS= read -r breach; do
    if grep -qxF "$breach" "$tmp/caught"; then
        echo "ok planted: $breach"
    else
        echo "not ok planted: $breach"
        failed=1
    fi
done <"$tmp/expected"
[ $failed -eq 0 ] || cat "$tmp/out"
exit $failed
