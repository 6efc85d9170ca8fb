#!/usr/bin/env bash
# Removes each __syncthreads and __syncwarp of kernels/cuda in turn, in a copy of the tree, and runs
# the kernel tests of that op on the emulator: plain, in a random order, then under ThreadSanitizer.
# Lists the barriers that nothing missed; fails unless harmless_barriers.txt says why for each.
#     tests/simt/remove_barriers.sh FOLDER [FILE...]
# FOLDER keeps the copy and its two builds, so that a second run starts quickly. FILE: only these,
# as kernels/cuda/attention.cu. Minutes; not a part of CI.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
[[ $# -ge 1 ]] || { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
mkdir -p "$1"
work=$(cd "$1" && pwd)
shift
jobs=${JOBS:-2}
copy=$work/tree
harmless=$root/tests/simt/harmless_barriers.txt
launcher=()
setarch -R true 2>/dev/null && launcher=(setarch -R)

# Only what differs, so that the builds stay as they are; what is no longer a file of the tree goes.
mkdir -p "$copy"
(cd "$copy" && find . -type f -printf '%P\n') | while read -r file; do
    [[ -f $root/$file ]] || rm "$copy/$file"
done
git -C "$root" ls-files -co --exclude-standard | while read -r file; do
    [[ -f $root/$file ]] && ! cmp -s "$root/$file" "$copy/$file" || continue
    mkdir -p "$(dirname "$copy/$file")"
    cp -p "$root/$file" "$copy/$file"
    touch "$copy/$file"
done
configure() { # BUILD OPTION...
    local build=$work/$1
    shift
    [[ -f $build/build.ninja ]] || cmake -S "$copy" -B "$build" -G Ninja -DYEOUL_CUDA=OFF \
        -DYEOUL_BUILD_APPS=OFF -DYEOUL_WERROR=OFF "$@" >"$build.log" 2>&1
}
configure plain -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_FLAGS_RELEASE=-O1
configure tsan -DCMAKE_BUILD_TYPE=RelWithDebInfo "-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1 -g1" \
    -DYEOUL_SANITIZE=thread
compile() { # BUILD
    cmake --build "$work/$1" --target test_kernels -j "$jobs" >"$work/$1.log" 2>&1
}
# Which tests a file concerns; a header of the device concerns all.
tests_of() { # FILE
    local name=${1##*/}
    case $1 in
    kernels/cuda/device/*) echo '*' ;;
    *gemm* | *linear* | *bias_activation*) echo '*linear*,*gemm*' ;;
    *) echo "*${name%%.*}*" | sed 's/_kernel\*$/*/' ;;
    esac
}
runs() { # BUILD TESTS [VARIABLE...]: whether the tests pass
    local build=$1 tests=$2
    shift 2
    env YEOUL_TEST_BACKENDS=simt TSAN_OPTIONS="halt_on_error=1 suppressions=$root/tests/support/tsan.supp" \
        "$@" timeout 900 "${launcher[@]}" "$work/$build/tests/test_kernels" --abort-after=1 \
        --test-case="$tests" --test-case-exclude='cpu *,convert*' >"$work/run.log" 2>&1
}
noticed_by() { # TESTS: prints which run noticed, or nothing
    compile plain || { echo compiler; return; }
    runs plain "$1" || { echo plain; return; }
    runs plain "$1" SIMT_ORDER=random SIMT_SEED=1 || { echo random; return; }
    compile tsan || { echo compiler; return; }
    runs tsan "$1" || echo tsan
}

if [[ $# -eq 0 ]]; then
    mapfile -t files < <(cd "$root" && grep -rlE '__sync(threads|warp)' kernels/cuda | LC_ALL=C sort)
else
    files=("$@")
fi
total=0
unexplained=0
for file in "${files[@]}"; do
    tests=$(tests_of "$file")
    for build in plain tsan; do
        compile "$build" || { echo "the tree does not build: $work/$build.log"; exit 1; }
        runs "$build" "$tests" || { echo "$file: its tests fail with all barriers: $work/run.log"; exit 1; }
    done
    mapfile -t lines < <(grep -nE '__sync(threads|warp)[a-z_]*\(' "$root/$file" | grep -vE '^[0-9]+:\s*//' | cut -d: -f1)
    for i in "${!lines[@]}"; do
        occurrence=$((i + 1)) line=${lines[i]}
        total=$((total + 1))
        # Only the call goes: a value, as of __syncthreads_or, becomes the thread's own.
        sed -E "${line}s/__sync(threads|warp)\(\)/(void)0/; ${line}s/__sync(threads|warp)[a-z_]*\(/(/" \
            "$root/$file" >"$copy/$file"
        found=$(noticed_by "$tests")
        if [[ -n $found ]]; then
            echo "$file:$line: $found"
        elif reason=$(grep -E "^$file $occurrence " "$harmless"); then
            echo "$file:$line: harmless: ${reason#"$file $occurrence "}"
        else
            echo "$file:$line: NOT NOTICED (occurrence $occurrence)"
            unexplained=$((unexplained + 1))
        fi
    done
    cp "$root/$file" "$copy/$file"
done
echo "$total barriers, $unexplained not noticed and not explained"
exit $((unexplained > 0))
