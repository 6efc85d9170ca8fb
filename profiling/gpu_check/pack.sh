# shellcheck shell=bash disable=SC2154
# Makes the folder to carry, and unpacks it where it runs. Sourced by gpu_check.sh.

largest_pack_mb=60
programs=(bin/engine-run bin/engine-bench bin/engine-serve bin/engine_rate bin/bench_kernels tests/test_kernels tests/test_engine)

make_pack() {
    local missing=() program archive=$pack/gpu_check.tar.gz stage
    for program in "${programs[@]}" lib/libyeoul_cuda.so; do
        [[ -f $build/$program ]] || missing+=("$program")
    done
    if $dry_run; then
        echo "pack: $build to $archive, of at most $largest_pack_mb MB${missing[*]:+; not built yet: ${missing[*]}}"
        return 0
    fi
    if ((${#missing[@]})); then
        echo "gpu_check: $build lacks ${missing[*]}: cmake --preset cuda && cmake --build --preset cuda" >&2
        exit 1
    fi
    stage=$(mktemp -d)
    mkdir -p "$stage/bin" "$stage/lib/glibc" "$stage/starters" "$stage/source/apps/bench" "$stage/source/tests" "$stage/source/profiling"
    for program in "${programs[@]}"; do
        cp "$build/$program" "$stage/bin/"
    done
    cp "$build/lib/libyeoul_cuda.so" "$stage/lib/"
    strip --strip-debug "$stage"/bin/* "$stage"/lib/*.so
    collect_libraries "$stage"
    # The tests name their data by the path of the checkout that built them.
    sed -n 's/^CMAKE_HOME_DIRECTORY:INTERNAL=//p' "$build/CMakeCache.txt" >"$stage/built_in"
    cp -r "$root/apps/demo" "$stage/source/apps/"
    cp -r "$root/apps/bench/traces" "$stage/source/apps/bench/"
    cp -r "$root/tests/golden" "$stage/source/tests/"
    cp -r "$here"/{peers,serve} "$here"/{compare,compare_serve,results}.py "$stage/source/profiling/"
    find "$stage" -name __pycache__ -prune -exec rm -r {} +
    git -C "$root" describe --always --dirty --exclude='*' >"$stage/commit" 2>/dev/null || echo unknown >"$stage/commit"
    ldd --version | sed -n '1s/.* //p' >"$stage/glibc"
    make_starters "$stage"
    cp "$here/gpu_check/run.sh" "$stage/"
    mkdir -p "$pack"
    tar -C "$stage" -czf "$archive.new" .
    mv "$archive.new" "$archive"
    rm -rf "$stage" "$pack/unpacked"
    local megabytes=$(($(stat -c %s "$archive") / 1000000 + 1))
    echo "pack: $archive, $megabytes MB, commit $(tar -xzOf "$archive" ./commit)"
    if ((megabytes > largest_pack_mb)); then
        echo "gpu_check: the pack has $megabytes MB, more than the $largest_pack_mb that travel" >&2
        exit 1
    fi
}

# Scripts that compare start the programs themselves: by these, which find the pack's libraries.
make_starters() { # STAGE
    local program starter
    for program in "$1"/bin/*; do
        starter=$1/starters/${program##*/}
        cat >"$starter" <<'END'
#!/usr/bin/env bash
GPU_CHECK_PACK=$(cd "$(dirname "$0")/.." && pwd)
export GPU_CHECK_PACK
source "$GPU_CHECK_PACK/run.sh"
cd "$GPU_CHECK_PACK" && run exec "bin/${0##*/}" "$@"
END
        chmod +x "$starter"
    done
}

collect_libraries() { # STAGE
    local library
    {
        for library in "$1"/bin/* "$1"/lib/libyeoul_cuda.so; do
            ldd "$library" | sed -n 's/.*=> \(\/[^ ]*\).*/\1/p; s/^[[:space:]]*\(\/[^ ]*\).*/\1/p'
        done
    } | sort -u | while read -r library; do
        case ${library##*/} in
        libcublas*) ;; # too large, see run.sh
        ld-linux* | libc.so* | libm.so* | libdl.so* | librt.so* | libpthread.so* | libresolv.so*)
            cp -L "$library" "$1/lib/glibc/"
            ;;
        *) cp -L "$library" "$1/lib/" ;;
        esac
    done
}

# Unpacks beside the archive when that is newer, and puts the tests' data where they look for it.
require_pack() {
    local archive=$pack/gpu_check.tar.gz built_in
    if [[ -f $archive && ! $pack/unpacked/commit -nt $archive ]]; then
        rm -rf "$pack/unpacked.new"
        mkdir -p "$pack/unpacked.new"
        tar -C "$pack/unpacked.new" -xzf "$archive"
        touch "$pack/unpacked.new/commit"
        rm -rf "$pack/unpacked"
        mv "$pack/unpacked.new" "$pack/unpacked"
    fi
    if [[ ! -f $pack/unpacked/commit ]]; then
        echo "gpu_check: $pack holds no gpu_check.tar.gz: gpu_check.sh pack makes one" >&2
        exit 1
    fi
    pack=$(cd "$pack/unpacked" && pwd)
    built_in=$(cat "$pack/built_in" 2>/dev/null || true)
    if [[ -n $built_in && ! -e $built_in ]]; then
        mkdir -p "$(dirname "$built_in")" 2>/dev/null && ln -sfn "$pack/source" "$built_in" 2>/dev/null ||
            echo "gpu_check: $built_in cannot be made: tests that read goldens will fail" >&2
    fi
}
