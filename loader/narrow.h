// Between float and the 16-bit formats. Narrowing rounds to nearest, ties to even.
#pragma once

#include <bit>
#include <cstdint>

namespace yeoul::loader {

constexpr uint16_t to_bf16(float value) {
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    return static_cast<uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

/// Finite values within +-65504 only.
constexpr uint16_t to_fp16(float value) {
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    const uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000);
    const uint32_t magnitude = bits & 0x7FFFFFFF;
    constexpr uint32_t kSmallestNormal = 113u << 23; // 2^-14
    if (magnitude < kSmallestNormal) {
        // Adding 0.5 puts the unit of a subnormal, 2^-24, at the last bit of the sum, so that the
        // addition rounds.
        const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
        return sign | static_cast<uint16_t>(std::bit_cast<uint32_t>(shifted) - 0x3F000000u);
    }
    const uint32_t rebased = magnitude - (112u << 23);
    return sign | static_cast<uint16_t>((rebased + 0xFFF + ((rebased >> 13) & 1)) >> 13);
}

constexpr float from_bf16(uint16_t bits) {
    return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

constexpr float from_fp16(uint16_t bits) {
    const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16, magnitude = bits & 0x7FFF;
    if (magnitude >= 0x7C00) // infinity and NaN keep theirs
        return std::bit_cast<float>(sign | 0x7F800000u | magnitude << 13);
    // The exponent is rebased by a product, which also makes subnormals right.
    const float size = std::bit_cast<float>(magnitude << 13) * 0x1p112f;
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(size));
}

} // namespace yeoul::loader
