#!/usr/bin/env bash
# Proves that a fresh Debian 12 needs nothing but this checkout: makes a bare root, copies the
# checkout into it and runs a command there (by default the tests, then the demo).
#
#     sudo cmake/bare_root.sh [--cuda] FOLDER [COMMAND]
#
# FOLDER/base keeps the bare system for the next time; FOLDER/root is made anew from it.
# --cuda shows this machine's /usr/local/cuda inside as well. Needs root, debootstrap and a mirror:
# the one of this machine's own apt sources. All mounts end with the script.
set -euo pipefail

fail() {
    echo "bare root: $*" >&2
    exit 1
}

cuda=
if [[ ${1:-} == --cuda ]]; then
    cuda=$(readlink -f /usr/local/cuda) && [[ -d $cuda ]] || fail "--cuda, and there is no /usr/local/cuda here"
    shift
fi
[[ $# -ge 1 ]] || fail "give the folder to build the root in"
[[ $(id -u) -eq 0 ]] || fail "run this as root: chroot and mounts need it"
command -v debootstrap >/dev/null || fail "install debootstrap"
source=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
command=${2:-"CI=true .ci/run && make demo && make demo"}
mkdir -p "$1"
folder=$(cd "$1" && pwd)
[[ $folder != / && $source/ != "$folder"/* ]] || fail "$folder holds this checkout"

# The first mirror of this machine that has the release itself, not its updates.
mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' |
    awk '$2 == "bookworm" {print $1; exit}')
[[ -n $mirror ]] || fail "no apt source of this machine has Debian 12 (bookworm): run apt-get update"
if [[ ! -e $folder/base/.complete ]]; then
    rm -rf "$folder/base"
    debootstrap --variant=minbase bookworm "$folder/base" "$mirror" >"$folder/debootstrap.log" ||
        fail "debootstrap failed: see $folder/debootstrap.log"
    touch "$folder/base/.complete"
fi

root=$folder/root
rm -rf --one-file-system "$root"
cp -a "$folder/base" "$root"
cp /etc/resolv.conf "$root/etc/resolv.conf"
echo "127.0.0.1 localhost" >"$root/etc/hosts" # as the installer leaves it
mkdir -p "$root/src/yeoul" "$root/usr/local/cuda"
# What a clone would have, and what is not committed yet.
git -C "$source" ls-files -z --cached --others --exclude-standard |
    (cd "$source" && xargs -0 sh -c 'for f; do [ -e "$f" ] && printf "%s\0" "$f"; done' sh) |
    tar -C "$source" --null -T - -c | tar -C "$root/src/yeoul" -x

# A mount namespace of its own: whatever happens, nothing stays mounted.
export root cuda command
unshare --mount --propagation private bash -euo pipefail -c '
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    [[ -z $cuda ]] || mount --bind "$cuda" "$root/usr/local/cuda"
    exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM="${TERM:-dumb}" \
        chroot "$root" bash -c "cd /src/yeoul && $command" </dev/null
'
