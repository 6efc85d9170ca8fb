// CUDA's words and built-in types for g++.
#pragma once

#include <cstddef>
#include <cstdint>

#define __global__
#define __device__
#define __host__
#define __constant__
#define __grid_constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))

// A block runs wholly on one host thread, so its memory is that thread's. With a sanitizer blocks
// run one after the other, and the memory is static: AddressSanitizer guards no thread_local.
#if defined(SIMT_SERIAL)
#define SIMT_BLOCK_LOCAL static
#else
#define SIMT_BLOCK_LOCAL static thread_local
#endif
#define __shared__ SIMT_BLOCK_LOCAL

#define SIMT_VECTOR_TYPES(T, name)                                                                 \
    struct alignas(2 * sizeof(T)) name##2 {                                                        \
        T x, y;                                                                                    \
    };                                                                                             \
    struct name##3 {                                                                               \
        T x, y, z;                                                                                 \
    };                                                                                             \
    struct alignas(4 * sizeof(T) > 16 ? 16 : 4 * sizeof(T)) name##4 {                              \
        T x, y, z, w;                                                                              \
    };                                                                                             \
    inline name##2 make_##name##2(T x, T y) {                                                      \
        return {x, y};                                                                             \
    }                                                                                              \
    inline name##3 make_##name##3(T x, T y, T z) {                                                 \
        return {x, y, z};                                                                          \
    }                                                                                              \
    inline name##4 make_##name##4(T x, T y, T z, T w) {                                            \
        return {x, y, z, w};                                                                       \
    }
SIMT_VECTOR_TYPES(float, float)
SIMT_VECTOR_TYPES(double, double)
SIMT_VECTOR_TYPES(int, int)
SIMT_VECTOR_TYPES(unsigned, uint)
SIMT_VECTOR_TYPES(short, short)
SIMT_VECTOR_TYPES(unsigned short, ushort)
SIMT_VECTOR_TYPES(signed char, char)
SIMT_VECTOR_TYPES(unsigned char, uchar)
#undef SIMT_VECTOR_TYPES

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
