#!/usr/bin/env bash
# Runs every fuzz target of a build for some seconds; what breaks one stays in BUILD/fuzz-findings.
#     run.sh BUILD SECONDS
set -euo pipefail
build=$1 seconds=$2
inputs=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/corpus
found=$build/fuzz-findings
mkdir -p "$found"
count=0
for target in "$build"/tests/fuzz/fuzz_*; do
    [[ -x $target && ! -d $target ]] || continue
    name=$(basename "$target")
    count=$((count + 1))
    grown=$build/fuzz-corpus/$name # what libFuzzer adds; kept for the next run
    mkdir -p "$grown"
    folders=("$grown")
    [[ -d $inputs/${name#fuzz_} ]] && folders+=("$inputs/${name#fuzz_}")
    if ! "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$found/$name-" "${folders[@]}" >"$build/$name.log" 2>&1; then
        tail -n 40 "$build/$name.log" >&2
        echo "fuzz: $name failed; repeat it with: $target $(ls -t "$found/$name-"* 2>/dev/null | head -n 1)" >&2
        exit 1
    fi
    echo "$name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$build/$name.log") runs, nothing found"
done
[[ $count -gt 0 ]] || {
    echo "fuzz: $build holds no fuzz target" >&2
    exit 1
}
