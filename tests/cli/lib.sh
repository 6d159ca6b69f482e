# SPDX-License-Identifier: Apache-2.0
# Transcripts: what the command said, held against a committed file. Sourced by tests/cli/*.sh, which run from
# a new folder with $adalink and then call `compare`. A line of standard error begins with "! ", the exit code
# with "= ". ADA_REWRITE=1 writes the committed file anew, to be read before it is committed.
set -u
export LC_ALL=C
unset ADALINK_ISA OMP_NUM_THREADS XDG_CACHE_HOME
adalink=${ADALINK:?the command under test}
tests=${ADA_TESTS:?the folder of the tests}
name=$(basename "$0" .sh)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work" || exit 1
: >"$work/transcript"
: >"$work/faults"

# t ARGS…: one command, into the transcript
t() {
    {
        printf '$ %s' "${adalink##*/}"
        for word in "$@"; do
            case $word in
            '' | *[!A-Za-z0-9_./:=,-]*) printf " '%s'" "$word" ;;
            *) printf ' %s' "$word" ;;
            esac
        done
        echo
    } >>"$work/transcript"
    "$adalink" "$@" >"$work/stdout" 2>"$work/stderr" </dev/null
    code=$?
    {
        cat "$work/stdout"
        sed 's/^/! /' "$work/stderr"
        echo "= $code"
    } >>"$work/transcript"
}

# check WHAT COMMAND…: something that must hold and has no transcript
check() {
    what=$1
    shift
    "$@" || echo "$what" >>"$work/faults"
}

# To be called last: the script's verdict.
compare() {
    golden=$tests/cli/$name.out
    if [ "${ADA_REWRITE:-}" ]; then cp "$work/transcript" "$golden"; fi
    diff -u "$golden" "$work/transcript" ||
        echo "the transcript differs from $golden (ADA_REWRITE=1 rewrites it)" >>"$work/faults"
    cat "$work/faults"
    [ ! -s "$work/faults" ]
    exit
}
