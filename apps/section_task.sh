#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A real task from this machine's own package lists: a package's one-line description → its archive section.
# usage: sh apps/section_task.sh DIR [ROWS]     writes DIR/train.jsonl (at most ROWS rows a section, 260) and
# DIR/test.jsonl, whole or not at all
# Owns: which rows, and their split. Needs apt's lists, awk and sort alone. Must not know: models.
# Invariants: one package a source and one row a description, so that no twin crosses the split; 12 sections,
# as many test rows of each; the same lists give the same files (rows stand in the order of a hash of the
# source's name), and more ROWS the same test.
set -eu
export LC_ALL=C

dir=${1:?usage: section_task.sh DIR [ROWS]}
classes=12 test_rows=50 train_rows=${2:-260} # of each section, or as many as it has
mkdir -p "$dir"
work=$(mktemp -d -p "$dir")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# One line a package: source, package, section, description. Sections that say how something is packaged or in
# which language it is written, not what it is for, are left out.
apt-cache dumpavail | awk '
    function flush() {
        sub(/^.*\//, "", section)
        sub(/ .*/, "", source)
        if (package != "" && text != "" && section != "" && !(section in unfit))
            printf "%s\t%s\t%s\t%s\n", source == "" ? package : source, package, section, text
        package = source = section = text = ""
    }
    BEGIN {
        n = split("libs libdevel oldlibs debug doc devel misc metapackages tasks translations localization " \
                  "introspection kernel otherosfs embedded raku python perl ruby java javascript php " \
                  "haskell ocaml lisp rust golang gnu-r cli-mono interpreters zope gnustep universe " \
                  "multiverse", list, " ")
        for (i = 1; i <= n; i++) unfit[list[i]] = 1
    }
    /^Package: /     { flush(); package = $2 }
    /^Source: /      { source = $2 }
    /^Section: /     { section = $2 }
    /^Description(-en)?: / && text == "" { text = $0; sub(/^[^:]*: */, "", text); gsub(/\t/, " ", text) }
    END              { flush() }' | sort -u >"$work/packages"
[ -s "$work/packages" ] || {
    echo "section_task.sh: apt has no package lists: run 'apt-get update'" >&2
    exit 1
}

# The first package of each source, the first of each description; in the order of a hash.
awk -F '\t' '
    BEGIN { for (i = 1; i < 256; i++) code[sprintf("%c", i)] = i }
    $1 in sources || tolower($4) in texts { next }
    {
        sources[$1]; texts[tolower($4)]
        h = 7
        for (i = 1; i <= length($1); i++) h = (h * 31 + code[substr($1, i, 1)]) % 2147483647
        for (i = 0; i < 3; i++) h = (h * 48271 + 11) % 2147483647
        printf "%010d\t%s\t%s\n", h, $3, $4
    }' "$work/packages" | sort >"$work/rows"

# The largest sections, by name.
cut -f 2 "$work/rows" | sort | uniq -c | sort -k1,1nr -k2 | head -n "$classes" |
    awk '{ print $2 }' | sort >"$work/sections"

awk -F '\t' -v tests="$test_rows" -v trains="$train_rows" -v dir="$work" '
    function quoted(s) {
        gsub(/\\/, "\\\\", s); gsub(/"/, "\\\"", s); gsub(/\n/, "\\n", s); gsub(/[\001-\037]/, " ", s)
        return "\"" s "\""
    }
    NR == FNR { fit[$1]; choices = choices (choices == "" ? "" : ", ") quoted(" " $1); next }
    !($2 in fit) || seen[$2] >= tests + trains { next }
    {
        file = dir (seen[$2]++ < tests ? "/test.jsonl" : "/train.jsonl")
        printf "{\"prompt\": %s, \"completion\": %s, \"choices\": [%s]}\n", \
            quoted("Package: " $3 "\nSection:"), quoted(" " $2), choices >file
    }' "$work/sections" "$work/rows"

mv "$work/train.jsonl" "$work/test.jsonl" "$dir"/
