#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What images cost once their features are kept: training on rows with images beside training on the same
# rows with as many words in the place of each image, in turn, in one run:
#   sh perf/image_rows.sh ADALINK MODEL ROWS.jsonl WORDS [ROUNDS]
# MODEL sees; ROWS are prompt and completion with one image each, WORDS what rows of MODEL an image becomes.
# The first run fills the cache of features and is not timed: what is timed is an epoch after the first.
# Owns: the twin rows; pairs.sh has the table. Must not know: how either side works. Invariant: both sides
# read as many tokens a step, and nothing else runs.
set -eu
[ $# -ge 4 ] || { sed -n 's/^#   //p' "$0"; exit 2; }
ours=$1 model=$2 data=$3 words=$4 rounds=${5:-3}
here=$(cd "$(dirname "$0")" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$(nproc)}"
. "$here/pairs.sh"

steps=24 batch=16
rows=$((steps * batch))
folder=$(cd "$(dirname "$data")" && pwd)
head -n "$rows" "$data" >"$folder/image_rows.tmp.jsonl"
trap 'rm -rf "$tmp" "$folder/image_rows.tmp.jsonl"' EXIT
# Words of an image follow from its name, so that rows of one share them as they share an image.
awk -v words="$words" '
    BEGIN { for (i = 0; i < 26; i++) letter[i] = substr("abcdefghijklmnopqrstuvwxyz", i + 1, 1) }
    {
        image = $0
        sub(/.*"image": "/, "", image); sub(/".*/, "", image)
        if (!(image in seen)) seen[image] = ++n
        text = ""
        for (i = 0; i < words; i++) text = text " " letter[int(seen[image] / (1 + i * i)) % 26]
        sub(/"image": "[^"]*", /, ""); sub(/"prompt": "/, "&" text)
        print
    }' "$folder/image_rows.tmp.jsonl" >"$tmp/text.jsonl"

speed() { # DATA: tokens a second; the tokens themselves go to $tmp/tokens
    rm -rf "$tmp/out"
    "$ours" train -m "$model" -d "$1" -o "$tmp/out" --features "$tmp/features" --steps $steps --batch $batch \
        --no-shuffle --save-every 0 --json -q >"$tmp/summary"
    field tokens <"$tmp/summary" >>"$tmp/tokens"
    sed -n 's/.*"tokens": \([0-9]*\), "targets": .*"seconds": \([0-9.]*\).*/\1 \2/p' \
        "$tmp/out/metrics.jsonl" | awk '{ n += $1; s += $2 } END { print n / s }'
}
pictures() { speed "$folder/image_rows.tmp.jsonl"; }
text() { speed "$tmp/text.jsonl"; }

pictures >/dev/null
pairs_head "tokens"
pairs "image rows" "text rows" pictures text
echo "tokens of a run, in turn: $(sort -u "$tmp/tokens" | tr '\n' ' ')"
