#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# An encoder-decoder and a vision tower beside their peers, in turn, in one run:
#   sh perf/families.sh ADALINK PYTHON T5_FOLDER [ROUNDS] [VIT_FOLDER [VIT.onnx]]
# T5_FOLDER: of T5-base's shape, from `PYTHON perf/peers/make_t5.py T5_FOLDER`. VIT_FOLDER: what
# apps/convert_onnx.py made of VIT.onnx. PYTHON has torch and transformers, and onnxruntime where VIT.onnx is
# given; PEER_PRELOAD and PEER_DTYPES are those of peers.sh. PERF_PEAK, where set, is the program perf_peak:
# then our GFLOP/s also stand beside the machine's peak, measured after each run. Owns: the tasks; pairs.sh
# has the table. Must not know: how either side works. Invariant: both sides have the same threads; nothing
# else runs.
set -eu
[ $# -ge 3 ] || { sed -n 's/^#   //p' "$0"; exit 2; }
ours=$1 python=$2 t5=$3 rounds=${4:-3} vit=${5:-} onnx=${6:-}
here=$(cd "$(dirname "$0")" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$(nproc)}"
. "$here/pairs.sh"

source=512 target=64 rows=4 images=16 size=224
learn() { # WHAT of T5's bench
    "$ours" bench -m "$t5" --pp 0 --tg 0 --train $((rows * source)) --row $source --target $target \
        --repeat 3 --json -q | field "$1"
}
see() { # WHAT
    "$ours" bench -m "$vit" --images $images --image-size $size --repeat 3 --json -q | field "$1"
}
peak() { "$PERF_PEAK" | field peak; }
torch() { # DTYPE TASK MODEL
    env LD_PRELOAD="${PEER_PRELOAD:-}" "$python" -W ignore "$here/peers/torch_families.py" "$2" --model "$3" \
        --dtype "$1" --rows $rows --source $source --target $target --images $images --size $size \
        2>/dev/null | field median
}
onnx() {
    "$python" -W ignore "$here/peers/onnx_speed.py" "$onnx" --images $images --size $size | field median
}

pairs_head "tokens or images"
for dtype in ${PEER_DTYPES:-float32}; do
    pairs "T5 train" "torch $dtype" 'learn median' "torch $dtype t5 $t5"
    [ -z "$vit" ] || pairs "ViT images" "torch $dtype" 'see median' "torch $dtype images $vit"
done
[ -z "$onnx" ] || pairs "ViT images" onnxruntime 'see median' onnx
if [ "${PERF_PEAK:-}" ]; then
    pairs "T5 train" "peak, GFLOP/s" 'learn gflops' peak
    [ -z "$vit" ] || pairs "ViT images" "peak, GFLOP/s" 'see gflops' peak
fi
