// Between the dtypes that files have and fp32.
#pragma once

#include <cstdint>
#include <cstring>

#include <yeoul/types.h>

namespace yeoul {

/// `count` values of `dtype` (fp32, fp16 or bf16) at any alignment, as fp32. Exact.
void to_fp32(const void* x, DType dtype, size_t count, float* y);

inline float load(const float* x) {
    return *x;
}
inline void store(float value, float* y) {
    *y = value;
}

/// A bf16 number in memory.
struct Bf16 {
    uint16_t bits;
};
inline float load(const Bf16* x) {
    const uint32_t bits = static_cast<uint32_t>(x->bits) << 16;
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}
/// Rounds to nearest, ties to even; a NaN stays one.
inline void store(float value, Bf16* y) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    const bool nan = (bits & 0x7fffffffU) > 0x7f800000U;
    y->bits = nan ? static_cast<uint16_t>((bits >> 16) | 0x40U)
                  : static_cast<uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
}

} // namespace yeoul
