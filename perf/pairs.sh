# SPDX-License-Identifier: Apache-2.0
# Runs in pairs, ours then the peer's, as a row of a table; read by peers.sh and families.sh.
# Owns: the order, and the statistics: medians, least and most, ratios by pair. Needs $rounds and $tmp. Must
# not know: what runs. Invariant: a command prints one number, a speed; a pair without two is no pair.
# shellcheck shell=sh disable=SC2154
field() { sed -n "s/.*\"$1\": \([0-9.]*\).*/\1/p" | head -n 1; }
# pairs NAME PEER 'OURS' 'THEIRS': a row of the table
pairs() {
    : >"$tmp/pairs"
    i=0
    while [ $i -lt "$rounds" ]; do
        echo "$($3) $($4)" >>"$tmp/pairs"
        i=$((i + 1))
    done
    awk -v name="$1" -v peer="$2" '
        function sorted(v, n, i, j, t) {
            for (i = 2; i <= n; i++)
                for (j = i; j > 1 && v[j] < v[j - 1]; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
        }
        NF == 2 && $2 > 0 { n++; a[n] = $1; b[n] = $2; r[n] = $1 / $2 }
        END {
            if (!n) { printf "%-12s %-14s no result\n", name, peer; exit }
            sorted(a, n); sorted(b, n); sorted(r, n); m = int((n + 1) / 2)
            printf "%-12s %-14s %8.1f (%.1f-%.1f) %8.1f (%.1f-%.1f)  x%.2f (%.2f-%.2f)\n", name, peer,
                a[m], a[1], a[n], b[m], b[1], b[n], r[m], r[1], r[n]
        }' "$tmp/pairs"
}

cpu=$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)
pairs_head() { # UNIT
    echo "$cpu, $OMP_NUM_THREADS threads, $rounds rounds, $1 a second"
    printf '%-12s %-14s %s\n' task peer 'ours (least-most)  peer (least-most)  ratio (least-most)'
}
