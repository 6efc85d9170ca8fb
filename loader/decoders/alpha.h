// Transparency laid on white, as transformers does since version 5: Pillow's alpha_composite over
// an opaque white background (Pillow, src/libImaging/AlphaComposite.c), to the byte.
#pragma once

#include <cstddef>
#include <cstdint>

namespace yeoul::loader {

/// `rgb` becomes what is seen of it at `alpha` in front of white.
inline void lay_on_white(uint8_t* rgb, uint8_t alpha) {
    constexpr uint32_t kPrecisionBits = 7;
    const uint32_t front = uint32_t{alpha} << kPrecisionBits;
    const uint32_t white = ((255u - alpha) << kPrecisionBits) * 255;
    for (int c = 0; c < 3; ++c) {
        const uint32_t sum = rgb[c] * front + white + (0x80u << kPrecisionBits);
        rgb[c] = static_cast<uint8_t>((((sum >> 8) + sum) >> 8) >> kPrecisionBits);
    }
}

/// `count` pixels of RGBA become RGB on white, in place: the first three quarters of the memory.
inline void flatten(uint8_t* rgba, size_t count) {
    for (size_t i = 0; i < count; ++i) {
        uint8_t rgb[3] = {rgba[4 * i], rgba[4 * i + 1], rgba[4 * i + 2]};
        lay_on_white(rgb, rgba[4 * i + 3]);
        for (int c = 0; c < 3; ++c)
            rgba[3 * i + c] = rgb[c];
    }
}

} // namespace yeoul::loader
