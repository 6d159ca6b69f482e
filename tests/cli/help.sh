# SPDX-License-Identifier: Apache-2.0
# Help and completion: every word of every option table, as a person and a shell see it.
. "${ADA_TESTS:?}/cli/lib.sh"
t --version
t
t help exit-codes
for command in train eval generate tokenize inspect import compose bench help; do t help $command; done
t help --completion bash

# --help and -h are the same words as help, whatever else is on the line.
"$adalink" help train >one
"$adalink" train --help >two
"$adalink" train -d x -h >three
check "train --help is not help train" cmp -s one two
check "train -h is not help train" cmp -s one three

if command -v bash >/dev/null; then
    "$adalink" help --completion bash >completion
    complete_line() { # WORDS…: completions of the last word
        bash -c '. ./completion; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _adalink
            echo "${COMPREPLY[@]}"' _ "$@"
    }
    check "commands do not complete" [ "$(complete_line adalink tr)" = train ]
    check "options do not complete" [ "$(complete_line adalink train --ra)" = --rank ]
    check "words do not complete" [ "$(complete_line adalink train --schedule li)" = linear ]
    touch file.jsonl
    check "files do not complete" [ "$(complete_line adalink train -d file)" = file.jsonl ]
fi
compare
