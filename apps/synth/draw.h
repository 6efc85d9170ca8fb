// Random numbers that are a pure function of (seed, tensor name, element index), so that a model
// directory has the same bytes on every machine, with every library and any number of threads.
//
//   key     = mix(seed ^ fnv1a64(name))
//   bits(i) = mix(key + i * 0x9E3779B97F4A7C15)               i counts elements in row-major order
//   draw(i) = (sum of the four 16-bit fields of bits(i) - 131070) / 37837.2        mean 0, sd 1
//   value   = float(mean + sd * draw(i))
//
// `mix` is the finalizer of splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number
// Generators, 2014). The sum of four uniforms stands in for a normal: its range is +-3.46 and it
// needs no function whose last bit differs between libraries, as std::normal_distribution does.
#pragma once

#include <cstdint>
#include <string_view>

namespace yeoul::synth {

constexpr uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

constexpr uint64_t fnv1a64(std::string_view text) {
    uint64_t hash = 0xCBF29CE484222325u;
    for (char c : text)
        hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001B3u;
    return hash;
}

class Draws {
public:
    constexpr Draws(uint64_t seed, std::string_view name) : key_(mix(seed ^ fnv1a64(name))) {}

    /// Unit variance, mean zero.
    constexpr double operator()(uint64_t index) const {
        const uint64_t bits = mix(key_ + index * 0x9E3779B97F4A7C15u);
        const int64_t sum = static_cast<int64_t>((bits & 0xFFFF) + ((bits >> 16) & 0xFFFF) +
                                                 ((bits >> 32) & 0xFFFF) + (bits >> 48));
        return static_cast<double>(sum - 131070) * kScale;
    }

private:
    // 1 / sqrt(4 * (65536^2 - 1) / 12)
    static constexpr double kScale = 1.0 / 37837.22723720648;
    uint64_t key_;
};

} // namespace yeoul::synth
