// Bias and activation over a matrix in place, after a library's product that cannot do them.
// Bound by memory: 4 bytes of traffic a value. The product was rounded to fp16 before: a second
// rounding, and a product below -65504 is -inf, from which quick_gelu and gelu make NaN where the
// own GEMM's fused end makes 0; the photo is then refused, not wrong.
#include "kernels/cuda/device/launch.cuh"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/gemm_end.cuh"

namespace yeoul::cuda {
namespace {

constexpr int kBiasThreads = 256; // 4 blocks fill an SM of sm_75

// One thread owns eight values of y.
__global__ void __launch_bounds__(kBiasThreads) bias_activation_kernel(int packs, GemmEnd end) {
    const size_t index = static_cast<size_t>(blockIdx.x) * kBiasThreads + threadIdx.x;
    if (index >= static_cast<size_t>(end.rows) * packs)
        return;
    const int row = static_cast<int>(index / packs);
    const int column = static_cast<int>(index % packs) * kPack;
    const half* y = y_at(end, row, column);
    float values[kPack] = {};
    if (end.columns % kPack == 0) {
        unpack(*reinterpret_cast<const uint4*>(y), values);
    } else {
#pragma unroll
        for (int i = 0; i < kPack; ++i)
            if (column + i < end.columns)
                values[i] = __half2float(y[i]);
    }
    end_pack(end, values, {}, row, column);
}

} // namespace

void prepare_bias_activation() {
    prepare(bias_activation_kernel, 0);
}

void bias_activation(void* y, const float* bias, int rows, int columns, Activation activation,
                     StreamRef stream) {
    const int packs = divide_up(columns, kPack);
    const size_t blocks = (static_cast<size_t>(rows) * packs + kBiasThreads - 1) / kBiasThreads;
    const GemmEnd end{bias, static_cast<half*>(y), rows, columns, activation, false};
    launch(bias_activation_kernel, dim3(static_cast<unsigned>(blocks)), dim3(kBiasThreads), 0,
           stream, packs, end);
}

} // namespace yeoul::cuda
