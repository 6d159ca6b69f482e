# SPDX-License-Identifier: Apache-2.0
# Results that cannot be written are failures (exit 3), and standard output holds nothing but results.
. "${ADA_TESTS:?}/cli/lib.sh"
"$adalink" help train 2>err >/dev/full
check "a full disk is not exit 3" [ $? -eq 3 ]
told() { # WHY
    grep -q "^adalink help: cannot write to standard output: $1\$" err
}
check "a full disk is not told" told 'No space left on device'

# The reader is gone before the first byte.
mkfifo pipe
(exec 3<pipe) &
{ wait; "$adalink" help train; echo $? >code; } 2>err >pipe
check "a closed pipe is not exit 3" [ "$(cat code)" = 3 ]
check "a closed pipe is not told" told 'Broken pipe'

"$adalink" help train 2>err >&-
check "a closed output is not exit 3" [ $? -eq 3 ]

"$adalink" trian >out 2>err
check "an error is on standard output" [ ! -s out ]
check "an error is more than a line" [ "$(wc -l <err)" -eq 1 ]
# Bound threads are on one processor each, and as many as unbound ones.
"$adalink" inspect "$tests/cli/tiny" | grep threads >free
OMP_PROC_BIND=true "$adalink" inspect "$tests/cli/tiny" | grep threads >bound
check "bound threads are fewer" cmp -s free bound
compare
