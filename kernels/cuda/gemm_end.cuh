// The end of a matrix product: bias, activation or residual, and the one rounding to fp16.
#pragma once

#include "kernels/cuda/device/activation.cuh"
#include "kernels/cuda/device/pack.cuh"

namespace yeoul::cuda {

struct GemmEnd {
    const float* bias; // (columns padded to kPack)
    half* y;           // (rows, columns), 16-byte aligned
    int rows, columns;
    Activation activation;
    bool accumulate; // without an activation
};

template <Activation A>
__device__ __forceinline__ void activate_pack(float (&x)[kPack]) {
#pragma unroll
    for (int i = 0; i < kPack; ++i)
        x[i] = activate<A>(x[i]);
}

// The activation is an argument, not a template's: a branch that a whole grid takes alike, once for
// eight values, against five times as many kernels to compile and load.
__device__ __forceinline__ void activate_pack(Activation activation, float (&x)[kPack]) {
    switch (activation) {
    case Activation::none:
        break;
    case Activation::quick_gelu:
        activate_pack<Activation::quick_gelu>(x);
        break;
    case Activation::gelu:
        activate_pack<Activation::gelu>(x);
        break;
    case Activation::gelu_tanh:
        activate_pack<Activation::gelu_tanh>(x);
        break;
    case Activation::relu:
        activate_pack<Activation::relu>(x);
        break;
    }
}

__device__ __forceinline__ half* y_at(const GemmEnd& end, int row, int column) {
    return end.y + static_cast<size_t>(row) * end.columns + column;
}

/// What `end_pack` adds of y, to be loaded early; nothing where it adds nothing or goes by values.
__device__ __forceinline__ uint4 load_residual(const GemmEnd& end, int row, int column) {
    if (end.accumulate && end.columns % kPack == 0)
        return *reinterpret_cast<const uint4*>(y_at(end, row, column));
    return make_uint4(0, 0, 0, 0);
}

/// Ends eight values of a row from `column` on, a multiple of 8 within the row. 16 bytes at a time
/// where rows are multiples of that, else value by value.
__device__ __forceinline__ void end_pack(const GemmEnd& end, float (&x)[kPack], uint4 residual,
                                         int row, int column) {
    float other[kPack];
    load_floats(end.bias + column, other);
#pragma unroll
    for (int i = 0; i < kPack; ++i)
        x[i] += other[i];
    activate_pack(end.activation, x);
    half* y = y_at(end, row, column);
    if (end.columns % kPack == 0) {
        if (end.accumulate) {
            unpack(residual, other);
#pragma unroll
            for (int i = 0; i < kPack; ++i)
                x[i] += other[i];
        }
        *reinterpret_cast<uint4*>(y) = pack(x);
        return;
    }
#pragma unroll
    for (int i = 0; i < kPack; ++i)
        if (column + i < end.columns)
            y[i] = __float2half_rn(end.accumulate ? x[i] + __half2float(y[i]) : x[i]);
}

} // namespace yeoul::cuda
