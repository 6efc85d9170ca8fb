// Sums over the lanes of a full warp.
#pragma once

#include <cuda_runtime.h>

namespace yeoul::cuda {

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

/// Every lane gets the sum, bitwise the same.
__device__ __forceinline__ float warp_sum(float x) {
#pragma unroll
    for (int lanes = kWarp / 2; lanes > 0; lanes /= 2)
        x += __shfl_xor_sync(kAllLanes, x, lanes);
    return x;
}

} // namespace yeoul::cuda
