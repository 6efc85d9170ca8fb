// Photos to measure with, made here, the same on every machine.
#pragma once

#include <cstdint>
#include <vector>

namespace yeoul::bench {

/// (height, width, 3) RGB: soft areas, edges and grain, so that a JPEG of it has a camera's size.
std::vector<uint8_t> sample_pixels(int height, int width, uint64_t seed);

/// A JPEG of `sample_pixels`, quality 90, 4:2:0.
std::vector<uint8_t> sample_jpeg(int height, int width, uint64_t seed);

} // namespace yeoul::bench
