#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# This engine beside its peers, in turn, in one run:
#   sh perf/peers.sh ADALINK MODEL.h5 PYTHON HF_FOLDER DATA.jsonl [ROUNDS] [MODEL-BF16.gguf]
# Owns: the tasks; pairs.sh has the table.
# PYTHON has torch and transformers (and llama-cpp-python, if a GGUF is given); PEER_PRELOAD is put into
# LD_PRELOAD for it, PEER_DTYPES are torch's types to be tried (float32 bfloat16; the faster is the peer).
# Must not know: how either side works. Invariant: both sides have the same threads; nothing else runs.
set -eu
[ $# -ge 5 ] || { sed -n 's/^#   //p' "$0"; exit 2; }
ours=$1 model=$2 python=$3 folder=$4 data=$5 rounds=${6:-3} gguf=${7:-}
here=$(cd "$(dirname "$0")" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$(nproc)}"
. "$here/pairs.sh"

bench() { "$ours" bench -m "$model" "$@" --repeat 3 --json -q | field median; }
mine() { # TASK: tokens a second
    case $1 in
    rows)
        rm -rf "$tmp/out"
        "$ours" train -m "$model" -d "$data" -o "$tmp/out" --no-shuffle --steps 4 --json -q 2>/dev/null |
            field tokens_per_second
        ;;
    train) bench --pp 0 --tg 0 --train "$2" --row "$3" ;;
    prefill) bench --pp "$2" --tg 0 --train 0 ;;
    decode) bench --pp 0 --tg "$2" --train 0 ;;
    esac
}
torch() { # DTYPE TASK TOKENS ROW
    env LD_PRELOAD="${PEER_PRELOAD:-}" "$python" -W ignore "$here/peers/torch_speed.py" "$2" \
        --model "$folder" --data "$data" --dtype "$1" --tokens "$3" --row "$4" 2>/dev/null | field tok_s
}
llama() { # TASK TOKENS
    "$python" "$here/peers/llama_speed.py" "$1" --model "$gguf" --tokens "$2" --threads "$OMP_NUM_THREADS" |
        field tok_s
}
pairs_head tokens
for dtype in ${PEER_DTYPES:-float32}; do
    pairs rows "torch $dtype" "mine rows" "torch $dtype rows 0 0"
    pairs "train 1x256" "torch $dtype" "mine train 256 256" "torch $dtype train 256 256"
    pairs "train 4x512" "torch $dtype" "mine train 2048 512" "torch $dtype train 2048 512"
    pairs "prefill 512" "torch $dtype" "mine prefill 512" "torch $dtype prefill 512 0"
    pairs "decode 64" "torch $dtype" "mine decode 64" "torch $dtype decode 64 0"
done
[ -z "$gguf" ] || {
    pairs "prefill 512" llama.cpp "mine prefill 512" "llama prefill 512"
    pairs "decode 64" llama.cpp "mine decode 64" "llama decode 64"
}
