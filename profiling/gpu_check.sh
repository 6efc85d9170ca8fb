#!/usr/bin/env bash
# Proves and measures the CUDA backend on a machine with a GPU and no network, stage by stage.
#
#   gpu_check.sh --list                         the stages and what each of them says
#   gpu_check.sh pack                           on the machine that builds: one folder to carry
#   gpu_check.sh STAGE...                       on the machine with the GPU; each stage under 8 minutes
#   gpu_check.sh all                            every stage, one after another
#   gpu_check.sh table                          write the table of stages of each GPU anew
#
#   --pack DIR      the folder to write or run from (default: build/gpu_check)
#   --build DIR     what `pack` takes programs from (default: build/cuda, by `cmake --preset cuda`)
#   --results DIR   a folder for each GPU comes here (default: profiling/results)
#   --dry-run       say what would run, and run nothing; needs no GPU
#
# A stage leaves STAGE.md, .json or .log in results/<gpu>/, and its state in results/<gpu>/stages/.
# A stage that is stopped, or that fails, leaves what an earlier run of it left, and says so in the
# table. "-75" is the same stage on the path of a T4: PTX of compute_75 compiled on the device, own
# products, the tables of sm_75.
#
# Exit code: 0 when every stage is done or was skipped with a reason, 1 when one failed, 2 for wrong
# words, 4 without a GPU, 130 when stopped.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
pack=$root/build/gpu_check
build=$root/build/cuda
results=$here/results
dry_run=false
# shellcheck source=profiling/gpu_check/run.sh
source "$here/gpu_check/run.sh"
# shellcheck source=profiling/gpu_check/stages.sh
source "$here/gpu_check/stages.sh"
# shellcheck source=profiling/gpu_check/state.sh
source "$here/gpu_check/state.sh"
# shellcheck source=profiling/gpu_check/pack.sh
source "$here/gpu_check/pack.sh"

usage() {
    echo "gpu_check: $1; gpu_check.sh --list names the stages" >&2
    exit 2
}

words=()
while (($#)); do
    case $1 in
    --list)
        list_stages
        exit 0
        ;;
    -h | --help)
        sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" | sed '$d'
        exit 0
        ;;
    --dry-run) dry_run=true ;;
    --pack | --build | --results)
        (($# > 1)) || usage "$1 needs a folder"
        printf -v "${1#--}" '%s' "$2"
        shift
        ;;
    -*) usage "$1 is not known" ;;
    *) words+=("$1") ;;
    esac
    shift
done
((${#words[@]})) || usage "which stage"

stages=()
for word in "${words[@]}"; do
    case $word in
    pack) make_pack && continue ;;
    table)
        write_tables
        continue
        ;;
    all) mapfile -t stages < <(stage_names) ;;
    *)
        is_stage "$word" || usage "there is no stage '$word'"
        stages+=("$word")
        ;;
    esac
done
((${#stages[@]})) || exit 0

if $dry_run; then
    for stage in "${stages[@]}"; do
        echo "$stage: $(about "$stage")"
        plan "$stage" | sed 's/^/    /'
    done
    exit 0
fi

require_gpu
require_pack
worst=0
for stage in "${stages[@]}"; do
    run_stage "$stage" || worst=1
done
exit $worst
