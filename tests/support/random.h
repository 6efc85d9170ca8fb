// Seeded inputs that are the same everywhere: a hash of a counter, no library generator.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace yeoul::test {

/// A 32-bit mix; every output bit depends on every input bit.
inline uint32_t hashed(uint32_t x) {
    x ^= x >> 16;
    x *= 0x7feb352dU;
    x ^= x >> 15;
    x *= 0x846ca68bU;
    x ^= x >> 16;
    return x;
}

/// `count` multiples of 1/8 in [-limit, limit], uniform; exact in fp32, fp16 and bf16 up to a limit
/// of 16. Sums of up to 2^18 / limit^2 products of two such sets are exact in fp32, in any order.
inline std::vector<float> random_eighths(size_t count, float limit, uint32_t seed) {
    const auto steps = static_cast<uint32_t>(limit * 8);
    std::vector<float> values(count);
    for (size_t i = 0; i < count; ++i) {
        const uint32_t bits = hashed(hashed(seed) ^ static_cast<uint32_t>(i));
        values[i] = (static_cast<float>(bits % (2 * steps + 1)) - static_cast<float>(steps)) / 8.0F;
    }
    return values;
}

inline std::vector<uint8_t> random_bytes(size_t count, uint32_t seed) {
    std::vector<uint8_t> values(count);
    for (size_t i = 0; i < count; ++i)
        values[i] = static_cast<uint8_t>(hashed(hashed(seed) ^ static_cast<uint32_t>(i)) >> 24);
    return values;
}

} // namespace yeoul::test
