#!/usr/bin/env bash
# Fails on what no file of this project holds: notes to do later, merge markers, launches past
# launch(), paths and hosts of one machine, and source files that should be two.
#     text.sh ROOT
set -euo pipefail
cd "$1"
bad=0

# The words are written so that this file does not match itself.
forbid() { # WHY PATTERN [grep option...]
    local why=$1 pattern=$2
    shift 2
    local found
    found=$(grep -rnIE "$@" --exclude-dir=build --exclude-dir=.git --exclude-dir=shared \
        --exclude-dir=__pycache__ --exclude-dir=.venv --exclude=.git --exclude='*.rgb' --exclude='*.bin' -e "$pattern" . || true)
    [[ -z $found ]] && return
    sed "s|^\./||; s|\$|  <- $why|" <<<"$found" | cut -c1-200
    bad=1
}
forbid 'no notes to do later' '\b(T[O]DO|F[I]XME|X[X]X|H[A]CK)\b'
forbid 'a merge marker' '^(<{7}|>{7}|={7})( |$)'
forbid 'kernels start by launch()' '<{3}[^<]' --include='*.cu' --include='*.cuh' --include='*.h' --include='*.cpp'
forbid 'a path of one machine' '(^|[^[:alnum:]_.])/(w[o]rk|r[o]ot|h[o]me)/'
forbid 'a host of a package registry' '(deb\.debi[a]n\.org|pyp[i]\.org|pythonh[o]sted)'

while read -r lines file; do
    [[ $file == total || $lines -le 500 ]] && continue
    echo "$file: $lines lines, over 500: split it by what it does"
    bad=1
done < <(find . \( -path ./build -o -path ./.git -o -path ./shared \) -prune -o -type f \
    \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' -o -name '*.py' -o -name '*.sh' \) \
    -exec wc -l {} + | sed 's|\./||')
exit $bad
