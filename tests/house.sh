#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The rules of the house, checked: sh tests/house.sh [BUILD]     (BUILD: a build folder; found when not given)
# Owns: the include chain, the doors, what library objects may call, layout, headers, lengths, lists.
# Prints `ok house: RULE`, or the breaches (FILE:LINE: fault) and `not ok house: RULE`.
# tests/house_selftest.sh breaks each rule in a copy of the tree and sees it caught.
# Must not know: what the code does. Invariant: a rule looks at all files of its kind, found by git or, where
# there is no repository, by find; a rule whose own tools complain is a failure.
set -u
export LC_ALL=C
cd "$(dirname "$0")/.." || exit 1
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM
exec 3>&2 2>"$tmp/complaints"
failed=0
# rule NAME: breaches come by standard input, one a line
rule() {
    sort -u >"$tmp/breaches"
    if [ -s "$tmp/breaches" ]; then
        cat "$tmp/breaches"
        echo "not ok house: $1"
        failed=1
    else
        echo "ok house: $1"
    fi
}

# ---- the files ----
if [ -e .git ] && git ls-files -co --exclude-standard >"$tmp/listed"; then
    while IFS= read -r f; do [ ! -e "$f" ] || echo "$f"; done <"$tmp/listed" | sort >"$tmp/files"
else
    find . -type d \( -name .git -o -name 'build*' -o -name __pycache__ \) -prune -o -type f -print |
        sed 's,^\./,,' | sort >"$tmp/files"
fi
# Malformed inputs and goldens are data: the rules of text don't bind them.
grep -v '^tests/bad/\|^tests/golden/\|^tests/cli/.*\.out$' "$tmp/files" >"$tmp/own"
grep '^tests/golden/[^/]*\.\(py\|md\)$' "$tmp/files" >>"$tmp/own"
c_files=$(grep '\.\([ch]\|def\)$' "$tmp/own")
code_files=$(grep '\.\([ch]\|def\|sh\|py\)$\|^meson\.build$' "$tmp/own")
text_files=$(grep '\.\([ch]\|def\|sh\|py\|md\|ya*ml\)$\|^meson\.build$\|^\.' "$tmp/own")

# FILE:LINE:text of C without comments, strings and characters emptied; an #include stays whole.
# shellcheck disable=SC2086
awk 'FNR == 1 { inside = 0 }
    !inside && /^[ ]*#[ ]*include/ { print FILENAME ":" FNR ":" $0; next }
    {
        s = $0; out = ""
        while (length(s)) {
            if (inside) {
                p = index(s, "*/")
                if (!p) break
                s = substr(s, p + 2); inside = 0
            } else if (s ~ /^\/\*/) { inside = 1; s = substr(s, 3)
            } else if (s ~ /^\/\//) { break
            } else if (match(s, /^"([^"\\]|\\.)*"/) || match(s, /^\047([^\047\\]|\\.)*\047/)) {
                out = out "\"\""; s = substr(s, RLENGTH + 1)
            } else { out = out substr(s, 1, 1); s = substr(s, 2) }
        }
        if (out ~ /[^ ]/) print FILENAME ":" FNR ":" out
    }' $c_files >"$tmp/code"
grep '^[^:]*:[0-9]*:[ ]*#[ ]*include' "$tmp/code" >"$tmp/includes"
grep '^\(simd\|io\|engine\)/' "$tmp/code" >"$tmp/library_code"

# ---- layout ----
belongs='apps engine io perf simd tests meson.build README.md LICENSE
    .ci .clang-format .editorconfig .gitignore'
belongs=$(echo $belongs)
sed 's,/.*,,' "$tmp/files" | sort -u | while IFS= read -r f; do
    case " $belongs " in
    *" $f "*) ;;
    *) echo "$f: does not belong at the top level" ;;
    esac
done | rule "top level"
for d in engine simd io apps tests perf; do
    [ -f "$d/README.md" ] || echo "$d/README.md: absent"
    [ ! -f "$d/README.md" ] ||
        awk -v f="$d" 'END { if (NR > 80) print f "/README.md: over a page of 80 lines" }' "$d/README.md"
done | rule "a page in each folder"

# ---- includes ----
awk -F: '
    BEGIN { rank["simd"] = 1; rank["io"] = 2; rank["engine"] = 3; rank["apps"] = 4
        rank["tests"] = rank["perf"] = 5 }
    $3 ~ /"/ {
        split($1, from, "/"); split($3, q, "\""); target = q[2]
        if (target == "registry.h") next
        if (split(target, to, "/") < 2 || !(to[1] in rank))
            print $1 ":" $2 ": \"" target "\" is not named from the top"
        else if (rank[to[1]] > rank[from[1]])
            print $1 ":" $2 ": " from[1] " may not include " target
    }' "$tmp/includes" | rule "simd < io < engine < apps"

# A header's beginning and the file that may include it (`one`: whichever file of io comes first is the only
# one); what is neither here nor of the C library and POSIX has no place in the house.
cat >"$tmp/doors" <<'DOORS'
oneapi/dnnl/ engine/matmul_dnnl.c
hdf5 io/h5.c
jansson io/json.c
yaml.h io/yaml.c
openssl/ io/sha.c
pcre2.h one
utf8proc.h one
omp.h engine/par.c
mpi.h engine/cluster.c
png.h io/img/png.c
jpeglib.h io/img/jpeg.c
jerror.h io/img/jpeg.c
webp/ io/img/webp.c
immintrin.h simd/vec_
arm_neon.h simd/vec_
setjmp.h io/json.c,io/img/jpeg.c
DOORS
system='assert ctype dirent errno fcntl fenv float getopt inttypes limits locale math pthread sched signal
    stdalign stdarg stdatomic stdbool stddef stdint stdio stdlib string strings termios time unistd cpuid'
{
    awk -F: -v system_="$(echo $system)" '
        NR == FNR { split($0, row, " "); door[row[1]] = row[2]; next }
        $1 ~ /^(tests|perf)\// || $3 !~ /</ { next }
        {
            h = $3; sub(/.*</, "", h); sub(/>.*/, "", h); place = ""
            for (d in door) if (index(h, d) == 1) {
                place = door[d]
                if (place == "one" && $1 ~ /^io\//) { if (!(d in first)) first[d] = $1; place = first[d] }
            }
            stem = h; sub(/\.h$/, "", stem)
            at_home = place == ""
            for (i = split(place, places, ","); i > 0; i--) if (index($1, places[i]) == 1) at_home = 1
            if (!at_home) print $1 ":" $2 ": <" h "> has one door: " place
            if (place == "" && h !~ /^(sys|asm)\// && index(" " system_ " ", " " stem " ") == 0)
                print $1 ":" $2 ": <" h "> has no door"
        }' "$tmp/doors" "$tmp/includes"
    grep -v '^tests/\|^perf/\|^engine/par\.c:' "$tmp/code" | grep '#[ ]*pragma[ ]*omp\|^[^s].*_Pragma *(' |
        sed 's/^\([^:]*:[0-9]*:\).*/\1 OpenMP has one door: engine\/par.c/'
} | rule "single doors"
grep '^simd/' "$tmp/includes" | grep '<' |
    grep -v '<\(stdint\|stddef\|stdbool\|math\)\.h>\|^simd/vec_[a-z0-9]*\.h:' |
    grep -v '^simd/dispatch\.c:.*<\(stdlib\|string\|cpuid\|sys/auxv\|asm/hwcap\)\.h>' |
    sed 's/:#include/: simd may not include/' | rule "simd is arithmetic"

# ---- what the libraries may call ----
speak='v?f?printf|v?dprintf|f?puts|putchar|f?putc|perror|_?exit|_Exit|quick_exit|abort|assert'
memory='malloc|calloc|realloc|free|aligned_alloc|posix_memalign|strn?dup|v?asprintf'
files='fopen|fdopen|freopen|tmpfile|fread|fwrite|open|openat|creat|close|p?read|p?write|f(data)?sync'
files="$files|rename|unlink|remove|mkdir|mmap|munmap"
{
    grep -E "(^|[^A-Za-z0-9_.>])($speak) *\(" "$tmp/library_code" |
        sed 's/^\([^:]*:[0-9]*:\) */\1 a library neither prints nor exits: /'
    # Members of the table (ada_os.open) are not the C library's.
    grep -v '^io/os\.[ch]:' "$tmp/library_code" | grep -E "(^|[^A-Za-z0-9_.>*)])($memory|$files) *\(" |
        sed 's/^\([^:]*:[0-9]*:\) */\1 goes around ada_os: /'
} | rule "libraries neither print nor exit nor go around ada_os"
build=${1:-}
for b in build build-test/native; do
    [ -n "$build" ] || [ ! -f "$b/libada_io.a" ] || build=$b
done
if [ -n "$build" ]; then
    for a in "$build"/libada_*.a; do
        case $a in */libada_apps.a) continue ;; esac
         nm -A "$a" | sed "s,^$build/,,"; done >"$tmp/symbols"
    awk -v speak="$speak" -v around="$memory|$files" '
        { object = $1; sub(/:[0-9a-fA-F]*$/, "", object); type = $(NF - 1); name = $NF; sub(/@.*/, "", name) }
        type == "U" {
            plain = name; sub(/^__/, "", plain); sub(/_chk$/, "", plain); sub(/64$/, "", plain)
            if (plain ~ "^(" speak "|assert_fail|stdout|stderr)$") print object ": refers to " name
            if (plain ~ "^(" around ")$" && object !~ /:[^:]*os\.c\.o/)
                print object ": goes around ada_os: " name
        }
        type ~ /^[TDBRVC]$/ && name !~ /^_?ada_/ && name !~ /^__/ { print object ": no prefix ada_: " name }
        ' "$tmp/symbols" | rule "library objects"
else
    echo "skip house: library objects (no build at hand)"
fi

# ---- headers, lengths, text ----
for f in $code_files; do
    awk -v f="$f" '
        NR == 1 && /^#!/ { next }
        !spdx {
            if ($0 !~ /^(\/\*|#) SPDX-License-Identifier: Apache-2\.0$/) {
                print f ":" NR ": no SPDX line"
                exit
            }
            spdx = 1; c = /^\/\*/; next
        }
        c { n++; if (/\*\//) exit; next }
        /^#/ { n++; next }
        { exit }
        END {
            most = f == "engine/adalink.h" ? 30 : 10; least = c ? 2 : 1
            if (spdx && (n < least || n > most))
                print f ": a header comment of " n + 0 " lines, not " least " to " most
        }' "$f"
done | rule "file headers"
for f in $code_files; do
    awk -v f="$f" 'END { if (NR > 660) print f ": " NR " lines; about 600 are allowed, never over 660" }' "$f"
done | rule "file lengths"
# shellcheck disable=SC2086
{
    awk '/\t/ { print FILENAME ":" FNR ": a tab" }
        /\r/ { print FILENAME ":" FNR ": a carriage return" }
        /[ \t]$/ { print FILENAME ":" FNR ": a trailing blank" }' $text_files
    awk '{ gsub(/[\200-\277]/, "") } # what is left is one byte a character
        length($0) > 110 { print FILENAME ":" FNR ": " length($0) " columns, not 110" }' $code_files
    for f in $text_files; do [ -z "$(tail -c 1 "$f")" ] || echo "$f: no newline at its end"; done
} | rule "plain text, 110 columns"
# shellcheck disable=SC2086
grep -nE 'TO[D]O|FIX[M]E|\bXX[X]\b' $code_files | sed 's/^\([^:]*:[0-9]*:\).*/\1 an open end/' |
    rule "no open ends"
# Each pattern has a bracket, so as not to find itself.
cat >"$tmp/places" <<'PLACES'
/wor[k]/
/tm[p]/(peer|brief|wt)\b
/roo[t]/
/hom[e]/[a-z]
/op[t]/[a-z]
pyp[i]\.org
pythonhoste[d]
[.]debia[n]\.(org|net)
ubunt[u]\.com
PLACES
tr '\n' '\0' <"$tmp/files" | xargs -0 grep -nIE -f "$tmp/places" | cut -c 1-160 |
    rule "no machine's paths, no registry's hosts"

# ---- lists: meson.build has a source's path, or its word in the list that makes the path ----
while IFS= read -r f; do
    word=${f##*/}
    word=${word%.c}
    case $f in
    tests/t_*.c | tests/fuzz_*.c | apps/cmd_*.c) word=${word#*_} ;;
    io/fmt/*.c | io/img/*.c | io/tok/*.c | engine/*/*.c | tests/*.c | perf/*.c) ;;
    *.c) word=$f ;;
    *) continue ;;
    esac
    grep -q "'$word'\|'$f'\|'${f#*/}'" meson.build || echo "$f: in no list of meson.build"
done <"$tmp/own" | rule "every source is in a list"

exec 2>&3
rule "the rules themselves" <"$tmp/complaints"
exit $failed
