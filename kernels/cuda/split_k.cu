// The second half of a matrix product whose inner extent was split over blocks: partial sums in
// fp32 are added in the order of the splits, so the same call gives the same bits.
// Tests: tests/kernels/test_linear.cpp
#include "kernels/cuda/device/launch.cuh"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/gemm_end.cuh"
#include "kernels/cuda/gemm_tiles.h"

namespace yeoul::cuda {
namespace {

constexpr int kSplitKThreads = 128; // (50, 768), the smallest y of a model: 38 blocks for 40 SMs

// One thread owns eight values of y.
__global__ void __launch_bounds__(kSplitKThreads)
    split_k_kernel(const float* partial, // (splits, rows, packs * kPack)
                   int splits, int packs, GemmEnd end) {
    const size_t index = static_cast<size_t>(blockIdx.x) * kSplitKThreads + threadIdx.x;
    const size_t count = static_cast<size_t>(end.rows) * packs;
    if (index >= count)
        return;
    const int row = static_cast<int>(index / packs);
    const int column = static_cast<int>(index % packs) * kPack;
    const uint4 residual = load_residual(end, row, column);
    float sums[kPack] = {};
    for (int split = 0; split < splits; ++split) {
        float values[kPack];
        load_floats(partial + (split * count + index) * kPack, values);
#pragma unroll
        for (int i = 0; i < kPack; ++i)
            sums[i] += values[i];
    }
    end_pack(end, sums, residual, row, column);
}

} // namespace

void prepare_split_k() {
    prepare(split_k_kernel, 0);
}

void launch_split_k(const float* partial, int splits, const GemmEnd& end, StreamRef stream) {
    const int packs = divide_up(end.columns, kPack);
    const size_t blocks =
        (static_cast<size_t>(end.rows) * packs + kSplitKThreads - 1) / kSplitKThreads;
    launch(split_k_kernel, dim3(static_cast<unsigned>(blocks)), dim3(kSplitKThreads), 0, stream,
           partial, splits, packs, end);
}

} // namespace yeoul::cuda
