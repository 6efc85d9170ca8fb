# shellcheck shell=bash
# `run PROGRAM...`: a program of the pack with the pack's libraries. Sourced by each command of a stage.

pack_folder=${GPU_CHECK_PACK:-}

# Where a library of NVIDIA's is that is not carried (cuBLASLt has 540 MB): a toolkit's, or the one that
# came with PyTorch.
vendor_folder() { # LIBRARY [FOLDER]
    local folder
    for folder in "${2:-}" /usr/local/cuda/lib64 /usr/local/cuda/targets/x86_64-linux/lib /usr/local/cuda/extras/CUPTI/lib64; do
        if [[ -n $folder && -e $folder/$1 ]]; then
            echo "$folder"
            return
        fi
    done
    command -v python3 >/dev/null && python3 - "$1" <<'END'
import importlib.util, pathlib, sys
spec = importlib.util.find_spec("nvidia")
for place in (spec.submodule_search_locations if spec else []):
    for file in sorted(pathlib.Path(place).glob("*/lib/" + sys.argv[1])):
        print(file.parent)
        raise SystemExit
END
    return 0
}

# PyTorch's part for GPUs; nothing without it.
torch_library() {
    python3 - <<'END' 2>/dev/null || true
import importlib.util, pathlib
print(next(pathlib.Path(importlib.util.find_spec("torch").origin).parent.glob("lib/libtorch_cuda.so")))
END
}

# The carried C library is used only where this machine's is older: 0 when the first version is less.
older() {
    [[ $1 != "$2" && $(printf '%s\n%s\n' "$1" "$2" | sort -V | head -1) == "$1" ]]
}

run() {
    : "${pack_folder:?GPU_CHECK_PACK names the folder of the pack}"
    local cublas cupti libraries word here_glibc there_glibc loader=() words=()
    cublas=$(vendor_folder libcublasLt.so.13 "${GPU_CHECK_CUBLAS:-}")
    cupti=$(vendor_folder libcupti.so.13)
    libraries=$pack_folder/lib${cublas:+:$cublas}${cupti:+:$cupti}${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    export YEOUL_CUDA_LIBRARY=${YEOUL_CUDA_LIBRARY:-$pack_folder/lib/libyeoul_cuda.so}
    export YEOUL_MODEL=$pack_folder/source/apps/demo/model
    # Compiling PTX leaves a cache: of this pack, not of the user.
    export CUDA_CACHE_PATH=$pack_folder/jit_cache
    # So do the tables of `tune`.
    export YEOUL_CACHE_DIR=$pack_folder/tables
    mkdir -p "$pack_folder/models"
    here_glibc=$(ldd --version 2>/dev/null | sed -n '1s/.* //p')
    there_glibc=$(cat "$pack_folder/glibc" 2>/dev/null || echo 0)
    if older "${here_glibc:-0}" "$there_glibc"; then
        loader=("$pack_folder/lib/glibc/ld-linux-x86-64.so.2" --library-path "$pack_folder/lib/glibc:$libraries")
        for word; do
            if [[ $word == bin/* ]]; then words+=("${loader[@]}" "./$word"); else words+=("$word"); fi
        done
        "${words[@]}"
        return
    fi
    LD_LIBRARY_PATH=$libraries "$@"
}
