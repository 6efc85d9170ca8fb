// Mean and deviation of a row that a warp shares, in fp32: for layer norms on their own and fused.
//
// Two passes: the mean first, then the squared distances from it. The textbook difference of two
// sums would lose the variance of a row with outliers, and activations have them.
#pragma once

#include <algorithm>

#include "kernels/cuda/device/pack.cuh"
#include "kernels/cuda/device/warp.cuh"

namespace yeoul::cuda {

constexpr int kMaxRowVectors = 8;   // packs of a row that a lane keeps: dims up to 2048
constexpr int kMaxRowsPerBlock = 4; // small blocks leave no SM with a long tail

/// The packs that a lane keeps of a row; 0 where the row must be read by values.
inline int row_vectors(int dim) {
    const int vectors = (dim / kPack + kWarp - 1) / kWarp;
    return dim % kPack == 0 && vectors <= kMaxRowVectors ? vectors : 0;
}

/// One row a block until each SM has two blocks: the 50 rows of a photo are 50 blocks, not 13.
inline int rows_per_block(int rows, int sm_count) {
    return std::clamp(rows / (2 * sm_count), 1, kMaxRowsPerBlock);
}

/// The row of this warp.
__device__ __forceinline__ int warp_row() {
    return blockIdx.x * (blockDim.x / kWarp) + threadIdx.x / kWarp;
}

struct Moments {
    float mean;
    float scale; // 1 / sqrt(variance + eps); NaN where the row has no finite variance
};

/// A sum or a variance that overflowed would otherwise come out as scale 0 and hide the row.
__device__ __forceinline__ float inverse_deviation(float variance, float eps) {
    return variance <= 3.4028234e38f ? rsqrtf(variance + eps) : __int_as_float(0x7fffffff);
}

/// Halves the depth of a chain of additions: the error of a sum grows with its depth.
__device__ __forceinline__ float tree_sum(const float (&x)[kPack]) {
    return ((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + (x[6] + x[7]));
}

/// Every fused multiply-add is written: where the compiler chose them, two kernels of one source,
/// and so a photo in two batches, could differ in the last bit.
__device__ __forceinline__ float squared_distances(const float (&x)[kPack], float mean) {
    float pairs[kPack / 2];
#pragma unroll
    for (int i = 0; i < kPack / 2; ++i) {
        const float one = x[2 * i] - mean, other = x[2 * i + 1] - mean;
        pairs[i] = fmaf(one, one, other * other);
    }
    return (pairs[0] + pairs[1]) + (pairs[2] + pairs[3]);
}

/// The row lies in registers: x[i] is pack `lane + 32 i` of `packs`. Every lane gets the same.
template <int V>
__device__ __forceinline__ Moments moments(const float (&x)[V][kPack], int packs, float eps) {
    const int lane = threadIdx.x % kWarp;
    const float count = static_cast<float>(packs * kPack);
    float sum = 0;
#pragma unroll
    for (int i = 0; i < V; ++i)
        if (lane + i * kWarp < packs)
            sum += tree_sum(x[i]);
    const float mean = warp_sum(sum) / count;
    float squares = 0;
#pragma unroll
    for (int i = 0; i < V; ++i)
        if (lane + i * kWarp < packs)
            squares += squared_distances(x[i], mean);
    return {mean, inverse_deviation(warp_sum(squares) / count, eps)};
}

/// A row of any length, a value at a time: `value(i)` is called twice for each i, by the same lane.
template <class F>
__device__ __forceinline__ Moments moments_of(int dim, float eps, F value) {
    const int lane = threadIdx.x % kWarp;
    float sum = 0;
    for (int i = lane; i < dim; i += kWarp)
        sum += value(i);
    const float mean = warp_sum(sum) / dim;
    float squares = 0;
    for (int i = lane; i < dim; i += kWarp) {
        const float distance = value(i) - mean;
        squares = fmaf(distance, distance, squares);
    }
    return {mean, inverse_deviation(warp_sum(squares) / dim, eps)};
}

__device__ __forceinline__ float normalized(float x, Moments m, float weight, float bias) {
    return fmaf((x - m.mean) * m.scale, weight, bias);
}

/// x = the normalized pack; weight and bias (dim) are 16-byte aligned.
__device__ __forceinline__ void normalize(float (&x)[kPack], int pack, Moments m,
                                          const float* weight, const float* bias) {
    float w[kPack], b[kPack];
    load_floats(weight + pack * kPack, w);
    load_floats(bias + pack * kPack, b);
#pragma unroll
    for (int i = 0; i < kPack; ++i)
        x[i] = normalized(x[i], m, w[i], b[i]);
}

} // namespace yeoul::cuda
