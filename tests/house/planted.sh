#!/usr/bin/env bash
# Plants one fault at a time in a small tree of its own and demands that the rule checks name it,
# and that they pass the tree without it.
#     planted.sh ROOT
set -euo pipefail
root=$1
house=$root/tests/house
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
failures=0

write() { # FILE LINE...
    local file=$tree/$1
    shift
    mkdir -p "$(dirname "$file")"
    printf '%s\n' "$@" >"$file"
}
fresh() {
    rm -rf "${tree:?}"/*
    cp "$root/.clang-format" "$tree"
    write include/yeoul/types.h '#include <cstddef>'
    write kernels/ops.h '#include <yeoul/types.h>' '' '#include "kernels/device.h"'
    write kernels/cpu/linear.cpp '#include <dnnl.hpp>' '' '#include "kernels/ops.h"'
    write loader/decoders/jpeg.cpp '#include <jpeglib.h>' '' '#include "loader/image.h"'
    write engine/engine.cpp '#include "kernels/ops.h"' '//     #include <torch/torch.h>'
    write apps/run/main.cpp '#include "engine/engine.h"'
}
wrong() {
    echo "$*"
    failures=$((failures + 1))
}
caught() { # CHECK FILE LINE...: the check fails with this file in the tree and names it
    local check=$1 file=$2 output status=0
    fresh
    shift
    write "$@"
    output=$("$house/$check" "$tree" 2>&1) || status=$?
    [[ $status -eq 77 ]] && return
    [[ $status -ne 0 && $output == *"$file"* ]] || wrong "$check passed a planted fault in $file: ${*:2:1}"
}

fresh
for check in includes.sh text.sh tracked.sh format.sh kernel_tests.sh; do
    status=0
    "$house/$check" "$tree" >"$tree/output" 2>&1 || status=$?
    [[ $status -eq 0 || $status -eq 77 ]] || wrong "$check refused a tree without faults: $(cat "$tree/output")"
    rm "$tree/output"
done

caught includes.sh include/yeoul/error.h '#include <unistd.h>'
caught includes.sh include/yeoul/error.h '#include <nlohmann/json.hpp>'
caught includes.sh kernels/ops.h '#include <dnnl.hpp>'
caught includes.sh kernels/cpu/linear.cpp '#include "engine/engine.h"'
caught includes.sh kernels/cpu/linear.cpp '#include "loader/image.h"'
caught includes.sh kernels/cpu/linear.cpp '  #  include "kernels/cuda/linear.h"'
caught includes.sh loader/image.cpp '#include <jpeglib.h>'
caught includes.sh loader/image.cpp '#include "kernels/ops.h"'
caught includes.sh loader/image.cpp '#include <yeoul/engine.h>'
caught includes.sh loader/image.cpp '#include "image.h"'
caught includes.sh loader/image.cpp '#include "../engine/engine.h"'
caught includes.sh engine/models/clip.cpp '#include <dnnl.hpp>'
caught includes.sh engine/models/clip.cpp '#include "kernels/cpu/linear.h"'
caught includes.sh engine/models/clip.cpp '#include <nvtx3/nvtx3.hpp>'
caught includes.sh apps/run/main.cpp '#include "kernels/ops.h"'
caught includes.sh apps/serve/main.cpp '#include "loader/image.h"'
caught includes.sh apps/new/main.cpp '#include <string>'
fresh
[[ $("$house/includes.sh" "$tree" --unused 2>&1) == *'loader/decoders may include png.h, and nothing does'* ]] ||
    wrong "includes.sh --unused passed a rule that nothing needs"
caught text.sh engine/engine.cpp "// TO""DO: later"
caught text.sh engine/engine.cpp "// read from /wo""rk/models"
caught text.sh README.md "<<<<""<<< mine"
caught text.sh engine/engine.cpp "kernel<<""<grid, block>>>(x);"
mapfile -t long < <(seq -f '// %g' 501)
caught text.sh engine/engine.cpp "${long[@]}"
caught kernel_tests.sh kernels/cuda/new_op.cu '__global__ void kernel();'
caught kernel_tests.sh kernels/cuda/deeper/linear.cu '__global__ void kernel();'
printf '%s\n' 'void yeoul::cuda::(anonymous namespace)::tested<8>' 'yeoul::cuda::project' >"$tree.launched"
launches() { # FILE LINE...: what the check of launched kernels says of it
    fresh
    write tests/kernels/test_new_op.cpp ''
    write "$@"
    "$house/kernel_tests.sh" "$tree" "$tree.launched" 2>&1
}
[[ $(launches kernels/cuda/new_op.cu '__global__ void __launch_bounds__(a(1) * 2, 3)' '    project(int x) {' '}' \
    '__global__ void tested(int);') == *'each with a test'* ]] || wrong 'kernel_tests.sh refused launched kernels'
[[ $(launches kernels/cuda/new_op.cu '__global__ void __launch_bounds__(8)' '    project_all(int x) {' '}') == *'launched project_all'* ]] ||
    wrong 'kernel_tests.sh passed a kernel that nobody launched'
rm "$tree.launched"
caught format.sh engine/engine.cpp 'int  f( );'
caught format.sh profiling/kernels/bench.cpp 'int  f( );'
caught tracked.sh engine/plan $'\x7fELF\x02'
caught tracked.sh engine/plan '!<arch>'
mapfile -t many < <(seq 60000)
caught tracked.sh profiling/results/rows.tsv "${many[@]}"
caught tracked.sh qt/notes.txt 'anything'

# With git only what is tracked counts.
if command -v git >/dev/null; then
    fresh
    git -C "$tree" init -q
    git -C "$tree" add -A
    write engine/plan.o $'\x7fELF\x02'
    "$house/tracked.sh" "$tree" >/dev/null || wrong "tracked.sh refused a file that git does not track"
    git -C "$tree" add -A
    ! "$house/tracked.sh" "$tree" >/dev/null || wrong "tracked.sh passed a tracked object file"
    rm -rf "${tree:?}/.git"
fi

[[ $failures -eq 0 ]] && echo "every planted fault was found"
exit $((failures > 0))
