#!/usr/bin/env bash
# Installs the packages of cmake/packages.txt that are missing. With all of them there it asks
# nothing, installs nothing and needs no network.
#
#     cmake/setup.sh          what building and testing needs
#     cmake/setup.sh tools    and what `make fuzz` and `make tidy` need
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
sets=" build ${1:-} "

fail() {
    echo "set-up: $*" >&2
    exit 1
}

# Prints the packages of the chosen sets that are absent or older than their least version.
missing_packages() {
    while read -r set package least _; do
        [[ -z $set || $set == \#* || $sets != *" $set "* ]] && continue
        installed=$(dpkg-query -W -f '${db:Status-Abbrev}${Version}' "$package" 2>/dev/null || true)
        [[ $installed == ii\ * ]] && dpkg --compare-versions "${installed#ii }" ge "$least" && continue
        echo "$package"
    done <packages.txt
}

if ! command -v dpkg-query >/dev/null; then
    fail "this system has no Debian packages: install what cmake/packages.txt lists, then run" \
        "'cmake --preset cpu && cmake --build --preset cpu'"
fi
missing=$(missing_packages | xargs)
[[ -z $missing ]] && exit 0

as_root=()
if [[ $(id -u) -ne 0 ]]; then
    command -v sudo >/dev/null || fail "run this as root: apt-get install $missing"
    as_root=(sudo)
    [[ -t 0 ]] || as_root+=(-n)
fi

echo "set-up: installing $missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() {
    # Word splitting is meant: package names have no spaces.
    # shellcheck disable=SC2086
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 $missing </dev/null >>"$log" 2>&1
}
# Package lists may be absent (a fresh image) or old; only then is there a reason to fetch them.
if ! install; then
    echo "set-up: refreshing the package lists"
    "${as_root[@]}" apt-get update </dev/null >>"$log" 2>&1 || true
    if ! install; then
        tail -n 15 "$log" >&2
        fail "apt-get cannot install the packages: see its words above, then run apt-get install $missing"
    fi
fi
still=$(missing_packages | xargs)
[[ -z $still ]] || fail "older than cmake/packages.txt asks for: $still; Debian 12 has them all"
