#!/usr/bin/env bash
# Fails where a CUDA source has no test on the emulator: kernels/cuda/X.cu is tested by
# tests/kernels/test_X.cpp, or by the file that its line "// Tests: FILE" names. The emulator builds
# every kernels/cuda/*.cu. With LAUNCHED, the kernels that a run of those tests launched (SIMT_LAUNCHED),
# fails as well where a `__global__` of kernels/cuda is not among them.
#     kernel_tests.sh ROOT [LAUNCHED]
set -euo pipefail
launched=${2:-}
if [[ -n $launched && ! -f $launched ]]; then
    echo "skipped: there is no $launched; ctest -R 'simt: kernels, in order' writes it"
    exit 77
fi
[[ -z $launched ]] || launched=$(realpath "$launched")
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
if [[ -n $launched ]]; then
    for source in kernels/cuda/*.cu kernels/cuda/*.cuh; do
        [[ -e $source ]] || continue
        kernels=$(tr '\n' ' ' <"$source" | grep -oE '__global__[^;{]*[ *][A-Za-z_0-9]+ *\([^;{]*' |
            sed -E 's/__launch_bounds__ *\(([^()]|\([^()]*\))*\)//; s/^__global__ +[A-Za-z_0-9]+ +([A-Za-z_0-9]+) *\(.*/\1/' || true)
        for kernel in $kernels; do
            grep -qE "(^|:|[[:space:]])$kernel([<(]|\$)" "$launched" && continue
            echo "$source: no kernel test launched $kernel on the emulator"
            status=1
        done
    done
fi
[[ $status -ne 0 ]] || echo "$count CUDA sources, each with a test"
exit $status
