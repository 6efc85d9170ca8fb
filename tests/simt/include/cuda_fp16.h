// half and half2. Every operation rounds once, to nearest even, as on the GPU: sums, products and
// quotients of halves are exact enough in fp32 (24 >= 2 * 11 + 2 bits), fma goes through fp64.
#pragma once

#include <cmath>

#include <immintrin.h>

#include "cuda_runtime.h"

struct __half_raw {
    unsigned short x;
};

struct __half {
    unsigned short x;

    __half() = default;
    __half(__half_raw raw) : x(raw.x) {}
    __half(float value)
        : x(static_cast<unsigned short>(_cvtss_sh(value, _MM_FROUND_TO_NEAREST_INT))) {}
    __half(double value) : __half(static_cast<float>(value)) {}
    __half(int value) : __half(static_cast<float>(value)) {}
    operator float() const { return _cvtsh_ss(x); }
};
using half = __half;

struct alignas(4) __half2 {
    __half x, y;

    __half2() = default;
    __half2(__half low, __half high) : x(low), y(high) {}
};
using half2 = __half2;

inline float __half2float(__half a) {
    return a;
}
inline __half __float2half(float a) {
    return a;
}
inline __half __float2half_rn(float a) {
    return a;
}
inline __half __ushort_as_half(unsigned short bits) {
    return __half_raw{bits};
}
inline unsigned short __half_as_ushort(__half a) {
    return a.x;
}
inline __half2 __floats2half2_rn(float a, float b) {
    return {a, b};
}
inline __half2 __float22half2_rn(float2 a) {
    return {a.x, a.y};
}
inline __half2 __float2half2_rn(float a) {
    return {a, a};
}
inline float2 __half22float2(__half2 a) {
    return {a.x, a.y};
}
inline __half2 __half2half2(__half a) {
    return {a, a};
}
inline __half2 __halves2half2(__half a, __half b) {
    return {a, b};
}
inline __half2 make_half2(__half a, __half b) {
    return {a, b};
}
inline __half __low2half(__half2 a) {
    return a.x;
}
inline __half __high2half(__half2 a) {
    return a.y;
}
inline float __low2float(__half2 a) {
    return a.x;
}
inline float __high2float(__half2 a) {
    return a.y;
}

inline __half __hadd(__half a, __half b) {
    return static_cast<float>(a) + static_cast<float>(b);
}
inline __half __hsub(__half a, __half b) {
    return static_cast<float>(a) - static_cast<float>(b);
}
inline __half __hmul(__half a, __half b) {
    return static_cast<float>(a) * static_cast<float>(b);
}
inline __half __hdiv(__half a, __half b) {
    return static_cast<float>(a) / static_cast<float>(b);
}
inline __half __hneg(__half a) {
    return __half_raw{static_cast<unsigned short>(a.x ^ 0x8000U)};
}
inline __half __habs(__half a) {
    return __half_raw{static_cast<unsigned short>(a.x & 0x7fffU)};
}

namespace simt::detail {

// fp64 to fp16 in one rounding: to odd in fp32 first, which keeps what the second rounding needs.
inline __half round_once(double value) {
    float rounded = static_cast<float>(value);
    if (static_cast<double>(rounded) != value && std::isfinite(rounded)) {
        const bool away = std::fabs(static_cast<double>(rounded)) > std::fabs(value);
        auto bits = __builtin_bit_cast(unsigned, rounded);
        bits = (away ? bits - 1 : bits) | 1U;
        rounded = __builtin_bit_cast(float, bits);
    }
    return rounded;
}

} // namespace simt::detail

inline __half __hfma(__half a, __half b, __half c) {
    // The product is exact, and the sum of two such loses bits of fp64 only far below fp16's.
    const double product = static_cast<double>(static_cast<float>(a)) * static_cast<float>(b);
    return simt::detail::round_once(product + static_cast<double>(static_cast<float>(c)));
}
// NaN loses against a number.
inline __half __hmax(__half a, __half b) {
    return fmaxf(a, b);
}
inline __half __hmin(__half a, __half b) {
    return fminf(a, b);
}
inline __half hexp(__half a) {
    return expf(a);
}
inline __half hexp2(__half a) {
    return exp2f(a);
}
inline __half hrsqrt(__half a) {
    return 1.0F / sqrtf(a);
}
inline __half hrcp(__half a) {
    return 1.0F / static_cast<float>(a);
}
inline bool __hisnan(__half a) {
    return (a.x & 0x7fffU) > 0x7c00U;
}

inline __half operator+(__half a, __half b) {
    return __hadd(a, b);
}
inline __half operator-(__half a, __half b) {
    return __hsub(a, b);
}
inline __half operator*(__half a, __half b) {
    return __hmul(a, b);
}
inline __half operator/(__half a, __half b) {
    return __hdiv(a, b);
}

#define SIMT_PAIRWISE(name, single)                                                                \
    inline __half2 name(__half2 a, __half2 b) {                                                    \
        return {single(a.x, b.x), single(a.y, b.y)};                                               \
    }
SIMT_PAIRWISE(__hadd2, __hadd)
SIMT_PAIRWISE(__hsub2, __hsub)
SIMT_PAIRWISE(__hmul2, __hmul)
SIMT_PAIRWISE(__h2div, __hdiv)
SIMT_PAIRWISE(__hmax2, __hmax)
SIMT_PAIRWISE(__hmin2, __hmin)
SIMT_PAIRWISE(operator+, __hadd)
SIMT_PAIRWISE(operator-, __hsub)
SIMT_PAIRWISE(operator*, __hmul)
SIMT_PAIRWISE(operator/, __hdiv)
#undef SIMT_PAIRWISE

inline __half2 __hfma2(__half2 a, __half2 b, __half2 c) {
    return {__hfma(a.x, b.x, c.x), __hfma(a.y, b.y, c.y)};
}
inline __half2 __hneg2(__half2 a) {
    return {__hneg(a.x), __hneg(a.y)};
}
inline __half2 h2exp(__half2 a) {
    return {hexp(a.x), hexp(a.y)};
}
inline __half2 h2exp2(__half2 a) {
    return {hexp2(a.x), hexp2(a.y)};
}
inline __half2 h2rcp(__half2 a) {
    return {hrcp(a.x), hrcp(a.y)};
}
