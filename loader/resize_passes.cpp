#include "loader/resize_passes.h"

#include <algorithm>
#include <array>
#include <utility>

namespace yeoul::loader {
namespace {

uint8_t round_to_pixel(int32_t sum) {
    return static_cast<uint8_t>(std::clamp(sum >> kWeightBits, 0, 255));
}

void horizontal_scalar(const uint8_t* x, int x_first, const AxisWeights& weights, int first,
                       int last, uint8_t* y) {
    const ResizeWindow& window = weights.window;
    for (int i = first; i < last; ++i) {
        const int32_t* w = window.weights.data() + static_cast<size_t>(i) * window.taps;
        const uint8_t* pixel = x + static_cast<size_t>(window.begin[i] - x_first) * 3;
        int32_t red = kHalf, green = kHalf, blue = kHalf;
        for (int tap = 0; tap < window.size[i]; ++tap, pixel += 3) {
            red += pixel[0] * w[tap];
            green += pixel[1] * w[tap];
            blue += pixel[2] * w[tap];
        }
        y[3 * i] = round_to_pixel(red);
        y[3 * i + 1] = round_to_pixel(green);
        y[3 * i + 2] = round_to_pixel(blue);
    }
}

void vertical_scalar(const uint8_t* const* rows, const AxisWeights& weights, int output, int bytes,
                     uint8_t* y) {
    const ResizeWindow& window = weights.window;
    const int32_t* w = window.weights.data() + static_cast<size_t>(output) * window.taps;
    const int size = window.size[output];
    std::array<int32_t, kRowChunkBytes> sums;
    for (int begin = 0; begin < bytes; begin += kRowChunkBytes) {
        sums.fill(kHalf);
        for (int tap = 0; tap < size; ++tap)
            for (int i = 0; i < kRowChunkBytes; ++i)
                sums[i] += rows[tap][begin + i] * w[tap];
        for (int i = 0; i < std::min(kRowChunkBytes, bytes - begin); ++i)
            y[begin + i] = round_to_pixel(sums[i]);
    }
}

constexpr ResizePasses kPasses[] = {
#if defined(__x86_64__)
    {"avx2", horizontal_avx2, vertical_avx2},
#endif
    {"scalar", horizontal_scalar, vertical_scalar},
};

} // namespace

AxisWeights::AxisWeights(ResizeWindow window_) : window(std::move(window_)) {
    groups = (window.taps + kTapGroup - 1) / kTapGroup;
    packed.resize(static_cast<size_t>(count()) * groups * 2 * kTapGroup);
    for (int i = 0; i < count(); ++i) {
        const int32_t* w = window.weights.data() + static_cast<size_t>(i) * window.taps;
        int16_t* output = packed.data() + static_cast<size_t>(i) * groups * 2 * kTapGroup;
        for (int tap = 0; tap < window.size[i]; ++tap) {
            const auto low = static_cast<int16_t>(w[tap]);
            const int in_group = tap % kTapGroup;
            int16_t* high_place =
                output + tap / kTapGroup * 2 * kTapGroup + in_group / 4 * 8 + in_group % 4;
            high_place[0] = static_cast<int16_t>((w[tap] - low) >> 16);
            high_place[4] = low;
        }
    }
}

std::span<const ResizePasses> resize_passes() {
    std::span<const ResizePasses> passes = kPasses;
#if defined(__x86_64__)
    if (!__builtin_cpu_supports("avx2"))
        passes = passes.subspan(1);
#endif
    return passes;
}

} // namespace yeoul::loader
