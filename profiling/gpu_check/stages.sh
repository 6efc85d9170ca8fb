# shellcheck shell=bash
# The stages: what each says and what it runs. Sourced by gpu_check.sh.
#
# `plan STAGE` prints one command a line, as "OUTPUT<tab>COMMAND": standard output goes to the file
# OUTPUT of the stage ("-": only to its log). Commands run in the pack, by bash.

stage_seconds=${GPU_CHECK_STAGE_SECONDS:-470} # under 8 minutes, so that a limit of 10 never cuts it

arch_of() {
    case $1 in
    *b32*) echo clip-vit-base-patch32 ;;
    *b16*) echo clip-vit-base-patch16 ;;
    *l14*) echo clip-vit-large-patch14 ;;
    esac
}

# Powers of two, and batches whose tiles fill whole waves: 12, 25, 51, 64 on 40 SMs of a T4 for
# ViT-B/32, 16 and 68 for B/16, 12 for L/14; 28, 56, 84, 112 and 57, 100, 49, 82 on the 132 of an H100
# or H200.
batches_of() {
    case $1 in
    *b32*) echo 1,2,4,8,12,16,25,28,32,48,50,51,56,64,84,96,112,128 ;;
    *b16*) echo 1,2,4,8,12,14,16,25,28,32,48,57,64,68,100,112,114,128 ;;
    *l14*) echo 1,2,4,8,12,16,25,32,49,64,82,96,112,128 ;;
    esac
}

stage_names() {
    local model part
    echo environment
    printf '%s\n' kernels kernels-75 engine engine-75
    for part in products attention resize rest; do
        printf '%s\n' "memcheck-$part" "racecheck-$part"
    done
    printf '%s\n' tune tune-75 bench bench-75 sdpa
    for model in b32 b16 l14; do
        printf '%s\n' "model-$model" "model-$model-75" "peers-$model" "compiled-$model"
    done
    printf '%s\n' autotune-b32 autotune-b16 serve-b32 serve-b32-jpeg scheduler allocator soak
    printf '%s\n' cpu-bf16 cpu-serve-bf16 cpu-serve-fp32
}

is_stage() {
    stage_names | grep -xF -e "$1" >/dev/null # reads all: -q would break the pipe
}

about() {
    local path=''
    [[ $1 == *-75 ]] && path=", on the path of a T4; choices count this GPU's SMs, not a T4's 40"
    case $1 in
    environment) echo 'GPU, driver, libraries, what engine-run doctor says' ;;
    kernels*) echo "kernel tests against fp64 references$path" ;;
    engine*) echo "the engine's tests against goldens of transformers$path" ;;
    memcheck-* | racecheck-*) echo "kernel tests under compute-sanitizer ${1%%-*}: ${1#*-}" ;;
    sdpa) echo "attention beside PyTorch's scaled_dot_product_attention by each of its backends" ;;
    tune*) echo "times the candidates of every matrix product of the three models; later stages use the table$path" ;;
    bench*) echo "every kernel against the roofs of the same run$path" ;;
    model-*) echo "$(arch_of "$1"), forward from graphs, batch 1 to 128, and cuBLASLt's roof in the same run$path" ;;
    peers-*) echo "$(arch_of "$1") beside PyTorch: eager, SDPA, compiled; in turns, in one run" ;;
    compiled-*) echo "$(arch_of "$1") beside PyTorch compiled, at the largest and best batches" ;;
    autotune-*) echo "$(arch_of "$1") beside PyTorch max-autotune, batch 1 and the best one" ;;
    serve-*-jpeg) echo "$(arch_of "$1"), JPEG files from 256 callers: one at a time and in the engine's batches" ;;
    serve-*) echo "$(arch_of "$1"), single photos: one at a time, streams, instances, batches of 32, the engine's batches; 1.4 x 'single' is asked of 'dynamic'" ;;
    scheduler) echo "host time per photo and pass; threads beside the simulator" ;;
    allocator) echo "device memory beside cudaMalloc, cudaMallocAsync and PyTorch's allocator" ;;
    soak) echo "random photos and albums; the GPU's free memory and CUPTI, where it is found, confirm that nothing is asked for after start-up" ;;
    cpu-bf16) echo "no GPU: tests in bf16, and bf16 beside PyTorch in bf16, by two threads of this processor" ;;
    cpu-serve-*) echo "no GPU: engine-serve in ${1#cpu-serve-} beside FastAPI, and beside the engine alone, by two threads of this processor" ;;
    esac
}

list_stages() {
    local stage
    while read -r stage; do
        printf '%-20s %s\n' "$stage" "$(about "$stage")"
    done < <(stage_names)
}

# doctest's filter of what of the kernel tests touches a GPU: all of it or a part. The parts together
# are all.
kernel_tests() {
    local elsewhere='cpu *,convert*,simt*'
    case $1 in
    all) echo "--test-case-exclude=$elsewhere" ;;
    products) echo '--test-case=linear*,bias_activation*' ;;
    attention) echo '--test-case=attention*' ;;
    resize) echo '--test-case=resize*' ;;
    rest) echo "--test-case-exclude=$elsewhere,linear*,bias_activation*,attention*,resize*" ;;
    esac
}

plan() {
    local stage=$1 t4='' arch batches
    [[ $stage == *-75 ]] && t4='CUDA_FORCE_PTX_JIT=1 YEOUL_CUDA_SM=75 '
    arch=$(arch_of "$stage")
    batches=$(batches_of "$stage")
    local engine="bin/engine-bench model --arch $arch --device cuda --precisions fp16"
    # Pixels of the model's size, so that decoding does not bind before the GPU does.
    local serve="run bin/engine-bench serve --model models/$arch --device cuda --clients 256 --warmup-seconds 1 --seconds 5"
    local peers="python3 source/profiling/peers/torch_gpu.py --arch $arch --bench starters/engine-bench"
    peers+=" --json \"\$GPU_CHECK_WORK/$stage.json\" --seconds $((stage_seconds - 40)) --batches"
    case $stage in
    environment)
        printf '%s\t%s\n' environment.txt 'nvidia-smi'
        printf '%s\t%s\n' - 'run bin/engine-run doctor --device cuda'
        ;;
    kernels*) printf '%s\t%s\n' - "${t4}YEOUL_TEST_BACKENDS=cuda run bin/test_kernels '$(kernel_tests all)'" ;;
    # Those named simt run on the GPU here; one sees that devices are still told apart.
    engine*) printf '%s\t%s\n' - "${t4}YEOUL_TEST_BACKENDS=cuda run bin/test_engine '--test-case=simt:*,engine: options*'" ;;
    memcheck-* | racecheck-*)
        local tool=${stage%%-*}
        # cuBLASLt's own kernels would take most of the time, and reports on them are not ours.
        local checker="compute-sanitizer --tool $tool --error-exitcode 9"
        [[ $tool == memcheck ]] && checker+=' --report-api-errors no'
        printf '%s\t%s\n' - "YEOUL_CUBLASLT=none YEOUL_TEST_BACKENDS=cuda run $checker bin/test_kernels '$(kernel_tests "${stage#*-}")'"
        ;;
    tune*)
        local name
        for name in clip-vit-base-patch32 clip-vit-base-patch16 clip-vit-large-patch14; do
            printf '%s\t%s\n' - "[ -d models/$name ] || run bin/engine-run synth --arch $name --dtype fp16 --output models/$name"
            printf '%s\t%s\n' "$stage.txt" "${t4}run bin/engine-run tune --model models/$name --device cuda"
        done
        ;;
    bench*) printf '%s\t%s\n' "$stage.md" "${t4}run bin/bench_kernels --device cuda" ;;
    sdpa)
        printf '%s\t%s\n' sdpa.md 'run bin/bench_kernels --device cuda --ops attention --batches 1,32,128'
        printf '%s\t%s\n' sdpa.md 'python3 source/profiling/peers/sdpa_gpu.py --kernels "$GPU_CHECK_WORK/sdpa.md" --json "$GPU_CHECK_WORK/sdpa.json"'
        ;;
    model-*)
        # cuBLASLt has no PTX: its roof is the native one in either path.
        printf '%s\t%s\n' "$stage.roof.md" 'run bin/bench_kernels --device cuda --roof'
        printf '%s\t%s\n' "$stage.json" "${t4}run $engine --batches $batches --repetitions 30 --format json"
        ;;
    peers-*)
        printf '%s\t%s\n' "$stage.md" "$peers $batches --variants eager,sdpa,compile,compile-graphs --compile-batches 1,32"
        ;;
    serve-*)
        printf '%s\t%s\n' - "[ -d models/$arch ] || run bin/engine-run synth --arch $arch --dtype fp16 --output models/$arch"
        if [[ $stage == *-jpeg ]]; then
            printf '%s\t%s\n' "$stage.md" "$serve --mode single,dynamic --photos jpeg"
        else
            printf '%s\t%s\n' "$stage.md" "$serve"
            printf '%s\t%s\n' "$stage.md" "$serve --mode instances:2 --no-shared-weights"
        fi
        ;;
    scheduler) printf '%s\t%s\n' "$stage.md" 'run bin/engine-bench scheduler' ;;
    allocator)
        # Without PyTorch's part where this PyTorch has no such interface.
        printf '%s\t%s\n' "$stage.md" 'torch=$(torch_library); bench="run bin/engine-bench allocator --device cuda"; $bench ${torch:+--torch "$torch"} || $bench'
        ;;
    soak)
        arch=clip-vit-base-patch32
        printf '%s\t%s\n' - "[ -d models/$arch ] || run bin/engine-run synth --arch $arch --dtype fp16 --output models/$arch"
        printf '%s\t%s\n' "$stage.txt" "run bin/engine-bench soak --model models/$arch --device cuda --streams 2 --callers 8 --seconds 120"
        ;;
    cpu-*)
        arch=clip-vit-base-patch32
        local compared="--model models/$arch-fp32 --precision ${stage##*-}" compare="YEOUL_CUDA_LIBRARY=none GPU_CHECK_COMMIT=\$(cat commit) python3 source/profiling"
        local kept='source/profiling/results/*'
        printf '%s\t%s\n' - "rm -rf source/profiling/results; [ -d models/$arch-fp32 ] || run bin/engine-run synth --arch $arch --output models/$arch-fp32"
        if [[ $stage == cpu-serve-* ]]; then
            printf '%s\t%s\n' "$stage.md" "$compare/compare_serve.py $compared --rounds 2 --seconds 4 --bin starters"
            printf '%s\t%s\n' "$stage.json" "cat $kept/serve-$arch-${stage##*-}.json"
        else
            printf '%s\t%s\n' - "YEOUL_TEST_BACKENDS=cpu run bin/test_kernels"
            printf '%s\t%s\n' - "run bin/test_engine '--test-case=*bf16*'"
            printf '%s\t%s\n' "$stage.md" "$compare/compare.py $compared --bench starters/engine-bench"
            printf '%s\t%s\n' "$stage.json" "cat $kept/$arch-${stage##*-}.json"
        fi
        ;;
    compiled-*)
        printf '%s\t%s\n' "$stage.md" "$peers $([[ $stage == *b32 ]] && echo 64,112,128 || echo 32,64,128) --variants sdpa,compile,compile-graphs"
        ;;
    autotune-*)
        printf '%s\t%s\n' "$stage.md" "$peers 1,$([[ $stage == *b32 ]] && echo 64,112 || echo 32,64) --variants sdpa,max-autotune"
        ;;
    esac
}

# Prints why a stage cannot run here; nothing when it can.
obstacle() {
    case $1 in
    memcheck-* | racecheck-*)
        command -v compute-sanitizer >/dev/null || echo 'compute-sanitizer is not on this machine'
        ;;
    sdpa | peers-* | compiled-* | autotune-* | cpu-*)
        if [[ $1 == cpu-*bf16 ]] && ! grep -q avx512_bf16 /proc/cpuinfo; then
            echo 'the processor has no AVX512-BF16'
        elif ! command -v python3 >/dev/null; then
            echo 'python3 is not on this machine'
        elif ! python3 -c 'import torch' 2>/dev/null; then
            echo 'PyTorch is not on this machine'
        elif [[ $1 != sdpa ]] && ! python3 -c 'import transformers' 2>/dev/null; then
            echo 'transformers is not on this machine'
        elif [[ $1 == cpu-serve-* ]] && ! python3 -c 'import fastapi, uvicorn, multipart, PIL' 2>/dev/null; then
            echo 'FastAPI, uvicorn, python-multipart or Pillow is not on this machine'
        fi
        ;;
    esac
}
