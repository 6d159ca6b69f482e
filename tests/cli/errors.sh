# SPDX-License-Identifier: Apache-2.0
# What is wrong on a command line or in a run file: one clear line each, and its exit code.
. "${ADA_TESTS:?}/cli/lib.sh"
t trian
t frobnicate
t help trian
t help train eval
t --verbose

t train
t train -m m -d d
t train --rnak 8
t train --rank abc
t train --rank 0
t train --rank
t train --lr=-1
t train --schedule cosinus
t train --loss words
t train --eval_data x
t train --no-rank
t train --bias=yes
t train -x
t train -m m -d d -o o extra
t train -m m -d d -o o --steps 3 --epochs 1
t train -m m -d d -o o --method connector --rank 8
t train --resume r --lr 1
t train --resume absent
t train -c absent.yaml
t train -m absent -d d -o o
t compose --vision v -o o.h5
t compose --vision v --text t -o o.h5 --connector mlp3
t compose --vision v --text t -o o.h5 --pixel-shuffle 0
t compose --vision v --text absent -o o.h5

printf 'rank: [1, 2\n' >broken.yaml
t train -c broken.yaml
printf 'rnak: 8\n' >typo.yaml
t train -c typo.yaml
printf 'rank: eight\n' >type.yaml
t train -c type.yaml
printf 'config: other.yaml\n' >local.yaml
t train -c local.yaml
printf '{"rank": 8,}\n' >broken.json
t train -c broken.json

t eval -m m
t eval -m m -d absent.jsonl
t eval -m m -a a -d -
printf '{"prompt": "x"}\n' >rows.jsonl
t eval -m absent -d rows.jsonl
t generate -m m -p x -f y
t generate -m m -p x --system s
t generate -m absent -p x
t tokenize -m absent -p x
t inspect
t inspect absent
t inspect .
printf 'neither\n' >neither
t inspect neither
t import -m absent -o out.h5
check "a failed import leaves a file" [ ! -e out.h5 ]
t bench -m absent --repeat 0

# wrong_isa ISA ARGS PATTERN: exit code 2, and one line that says why
wrong_isa() {
    ADALINK_ISA=$1 "$adalink" $2 >"$work/stdout" 2>"$work/stderr" </dev/null
    [ $? = 2 ] && [ ! -s "$work/stdout" ] && [ "$(wc -l <"$work/stderr")" = 1 ] && grep -q "$3" "$work/stderr"
}
known_isa() { ADALINK_ISA=$1 "$adalink" --version >/dev/null 2>&1; }
check "an unknown ISA is not refused" wrong_isa nosuch --version \
    "ADALINK_ISA 'nosuch' is not in .* ref scalar"
check "an unknown ISA runs a command" wrong_isa AVX2 "bench -m absent" \
    "ADALINK_ISA 'AVX2' is not in this build"
check "ADALINK_ISA=scalar is refused" known_isa scalar
check "an empty ADALINK_ISA is refused" known_isa ''
if ! known_isa avx512; then
    check "an ISA that this CPU lacks is not named" wrong_isa avx512 --version "ADALINK_ISA 'avx512' is "
fi
compare
