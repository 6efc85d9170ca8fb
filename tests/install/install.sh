#!/usr/bin/env bash
# Installs a build into a folder of its own, builds the consumer against that alone, and runs both.
#     install.sh SOURCE BUILD SCRATCH CMAKE CXX
set -euo pipefail
source=$1 build=$2 scratch=$3 cmake=$4 cxx=$5
rm -rf "$scratch/prefix" "$scratch/moved" "$scratch/consumer"
"$cmake" --install "$build" --prefix "$scratch/prefix" >/dev/null
# Moved away, so that a path of the build or of the first place shows as a failure.
mv "$scratch/prefix" "$scratch/moved"
"$cmake" -G Ninja -S "$source/tests/install/consumer" -B "$scratch/consumer" \
    -DCMAKE_CXX_COMPILER="$cxx" -DCMAKE_PREFIX_PATH="$scratch/moved" >/dev/null
"$cmake" --build "$scratch/consumer" >/dev/null || "$cmake" --build "$scratch/consumer"
if grep -rlF -e "$source" "$scratch/moved" --include='*.cmake' --include='*.h'; then
    echo "the files above name the source folder: they would break on another machine"
    exit 1
fi
photo=$(find "$scratch/moved/share/yeoul/photos" -name '*.jpg' | LC_ALL=C sort | head -n 1)
"$scratch/consumer/consumer" "$scratch/moved/share/yeoul/model" "$photo"
"$scratch/moved/bin/engine-run" embed "$photo" --format jsonl | head -c 200
echo
