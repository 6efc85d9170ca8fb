#!/usr/bin/env bash
# The shared library shows yeoul names and nothing of what it is built with.
#     exports.sh libyeoul.so
set -euo pipefail
symbols=$(nm -D --defined-only "$1" | cut -d' ' -f3- | c++filt)
grep -q '^yeoul::Engine::open(' <<<"$symbols" || {
    echo "$1 does not export yeoul::Engine::open"
    exit 1
}
foreign=$(grep -vE '^((typeinfo|typeinfo name|vtable) for )?yeoul::' <<<"$symbols" || true)
# Names of ours that only the project's own programs may use.
inner=$(grep -E 'yeoul::[a-z_]+::' <<<"$symbols" || true)
if [[ -n $foreign$inner ]]; then
    printf '%s exports what it should hide:\n%s\n' "$1" "$foreign$inner"
    exit 1
fi
echo "$(wc -l <<<"$symbols") symbols, all of yeoul"
