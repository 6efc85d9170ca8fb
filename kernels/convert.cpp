#include "kernels/convert.h"

#include <yeoul/error.h>

namespace yeoul {
namespace {

// Without branches, so that the loop becomes vector instructions on any processor. Shifted into
// place, the number is 2^-112 of its value, subnormal ones included; infinity and NaN keep their
// exponent of all ones.
float fp16_to_fp32(uint16_t half) {
    const uint32_t sign = static_cast<uint32_t>(half & 0x8000U) << 16;
    const uint32_t magnitude = static_cast<uint32_t>(half & 0x7fffU) << 13;
    float value;
    std::memcpy(&value, &magnitude, sizeof value);
    value *= 0x1p112F;
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    bits |= sign | (magnitude >= 0x0f800000U ? 0x7f800000U : 0U);
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

void fp16_to_fp32(const char* x, size_t count, float* y) {
    for (size_t i = 0; i < count; ++i) {
        uint16_t half;
        std::memcpy(&half, x + 2 * i, sizeof half);
        y[i] = fp16_to_fp32(half);
    }
}

void bf16_to_fp32(const char* x, size_t count, float* y) {
    for (size_t i = 0; i < count; ++i) {
        Bf16 value;
        std::memcpy(&value, x + 2 * i, sizeof value);
        y[i] = load(&value);
    }
}

} // namespace

void to_fp32(const void* x, DType dtype, size_t count, float* y) {
    const char* bytes = static_cast<const char*>(x);
    switch (dtype) {
    case DType::f32:
        std::memcpy(y, x, count * sizeof(float));
        return;
    case DType::f16:
        fp16_to_fp32(bytes, count, y);
        return;
    case DType::bf16:
        bf16_to_fp32(bytes, count, y);
        return;
    case DType::i32:
    case DType::u8:
        break;
    }
    YEOUL_REQUIRE(false, "weights are " << name(dtype) << ", must be fp32, fp16 or bf16");
}

} // namespace yeoul
