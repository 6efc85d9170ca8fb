#!/usr/bin/env bash
# Fails where a CUDA source has no test on the emulator: kernels/cuda/X.cu is tested by
# tests/kernels/test_X.cpp, or by the file that its line "// Tests: FILE" names. The emulator builds
# every kernels/cuda/*.cu.
#     kernel_tests.sh ROOT
set -euo pipefail
cd "$1"
status=0
count=0
for source in kernels/cuda/*.cu; do
    [[ -e $source ]] || continue
    count=$((count + 1))
    stem=$(basename "$source" .cu)
    named=$(sed -n 's|^// Tests: *||p' "$source" | head -n 1)
    test=${named:-tests/kernels/test_$stem.cpp}
    if [[ ! -f $test ]]; then
        echo "$source: its test $test does not exist; write it, or name the file in a line '// Tests: FILE'"
        status=1
    fi
done
find kernels -mindepth 3 -path "kernels/cuda/*" -name '*.cu' | while read -r hidden; do
    echo "$hidden: the emulator builds only kernels/cuda/*.cu"
    exit 1
done || status=1
[[ $status -ne 0 ]] || echo "$count CUDA sources, each with a test"
exit $status
