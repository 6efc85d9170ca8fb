// Float to the 16-bit formats, rounding to nearest, ties to even.
#pragma once

#include <bit>
#include <cstdint>

namespace yeoul::synth {

constexpr uint16_t to_bf16(float value) {
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    return static_cast<uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

/// Finite values within +-65504 only: a generated weight is never anything else.
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

} // namespace yeoul::synth
