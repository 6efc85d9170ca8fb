// 16 bytes as eight halves: the widest access to global memory, and its values in fp32.
#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>

namespace yeoul::cuda {

constexpr int kPack = 8; // halves in a uint4

/// By value: of a reference to global memory the compiler makes four loads of 4 bytes.
__device__ __forceinline__ void unpack(uint4 x, float (&y)[kPack]) {
    const half2* pairs = reinterpret_cast<const half2*>(&x);
#pragma unroll
    for (int i = 0; i < kPack / 2; ++i) {
        const float2 pair = __half22float2(pairs[i]);
        y[2 * i] = pair.x;
        y[2 * i + 1] = pair.y;
    }
}

/// Rounds to nearest, ties to even; beyond the range becomes infinity.
__device__ __forceinline__ uint4 pack(const float (&x)[kPack]) {
    uint4 y;
    half2* pairs = reinterpret_cast<half2*>(&y);
#pragma unroll
    for (int i = 0; i < kPack / 2; ++i)
        pairs[i] = __floats2half2_rn(x[2 * i], x[2 * i + 1]);
    return y;
}

/// Eight floats at a 16-byte aligned address.
__device__ __forceinline__ void load_floats(const float* x, float (&y)[kPack]) {
#pragma unroll
    for (int i = 0; i < kPack / 4; ++i) {
        const float4 quad = reinterpret_cast<const float4*>(x)[i];
        y[4 * i] = quad.x;
        y[4 * i + 1] = quad.y;
        y[4 * i + 2] = quad.z;
        y[4 * i + 3] = quad.w;
    }
}

} // namespace yeoul::cuda
