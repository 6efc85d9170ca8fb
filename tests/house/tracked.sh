#!/usr/bin/env bash
# Fails on what is tracked by accident: compiled code, files over 256 KiB and top-level folders that
# tests/house/tracked.txt does not name. Without git, as in an unpacked archive, every file counts.
#     tracked.sh ROOT
set -euo pipefail
rules=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/tracked.txt
cd "$1"
files=$(mktemp)
trap 'rm -f "$files"' EXIT
# An owner other than the caller, as in a container's mount, is no reason to look at nothing.
if [[ ! -e .git ]] || ! git -c safe.directory='*' ls-files -z >"$files"; then
    find . \( -path ./build -o -path ./.git -o -path ./shared -o -path ./.venv -o -name __pycache__ \) -prune \
        -o -type f -printf '%P\0' >"$files"
fi
bad=0
complain() {
    echo "$*"
    bad=1
}

folders=" " patterns=() limits=()
while read -r kind name bytes; do
    case $kind in
    folder) folders+="$name " ;;
    large) patterns+=("$name") limits+=("$bytes") ;;
    esac
done <"$rules"

while IFS= read -r file; do
    [[ $folders == *" ${file%%/*} "* ]] ||
        complain "$file: ${file%%/*}/ is an unknown top-level folder; remove it, or name it in tests/house/tracked.txt"
done < <(tr '\0' '\n' <"$files" | awk -F/ 'NF > 1 && !seen[$1]++')

# An object file, a program or a library begins with 7F "ELF", an archive of them with "!<arch>".
while IFS= read -r file; do
    complain "$file: compiled code; git rm it"
done < <(LC_ALL=C xargs -0 -r grep -slaE $'^(\x7fELF|!<arch>$)' -- <"$files")

limit_of() {
    local i
    for i in "${!patterns[@]}"; do
        # shellcheck disable=SC2053  # a pattern
        [[ $1 == ${patterns[i]} ]] && echo "${limits[i]}" && return
    done
    echo 262144
}
while read -r bytes file; do
    [[ $bytes -le $(limit_of "$file") ]] ||
        complain "$file: $bytes bytes: make it smaller, or give its reason a line in tests/house/tracked.txt"
done < <(xargs -0 -r stat -c '%s %n' -- <"$files" 2>/dev/null | awk '$1 > 262144')
exit $bad
