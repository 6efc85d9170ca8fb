// The activations of kernels/ops.h in fp32, one expression each, for the ends of GEMMs.
//
// NaN stays NaN and +infinity stays +infinity, so that a bad photo can be seen at the end of the
// tower. The quick intrinsics are off by 2 + 1.2 |argument| units of 2^-23; what they give is
// rounded to fp16 (2^-11), and where the argument is large the result is 0 or x.
#pragma once

#include <cuda_runtime.h>

#include "kernels/ops.h"

namespace yeoul::cuda {

/// x * sigmoid(argument). A quotient by more than 2^126 comes out as 0, which it nearly is.
__device__ __forceinline__ float scaled_by_sigmoid(float x, float argument) {
    return __fdividef(x, 1.0f + __expf(-argument));
}

template <Activation A>
__device__ __forceinline__ float activate(float x) {
    if constexpr (A == Activation::quick_gelu) {
        return scaled_by_sigmoid(x, 1.702f * x);
    } else if constexpr (A == Activation::gelu) {
        return 0.5f * x * (1.0f + erff(x * 0.707106781f)); // sqrt(1/2)
    } else if constexpr (A == Activation::gelu_tanh) {
        // (1 + tanh(u)) / 2 is the sigmoid of 2u: no cancellation, and no tanh.
        return scaled_by_sigmoid(x, 1.59576912f * (x + 0.044715f * x * x * x)); // 2 sqrt(2/pi)
    } else if constexpr (A == Activation::relu) {
        return x < 0 ? 0.0f : x; // fmaxf would swallow NaN
    } else {
        static_assert(A == Activation::none);
        return x;
    }
}

} // namespace yeoul::cuda
