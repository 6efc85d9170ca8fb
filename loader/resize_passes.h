// The two inner loops of the resize, in the variants that this processor can run.
//
// A weight w is split as w = high * 65536 + low with `low` a signed 16-bit number, so that both
// parts multiply 8-bit pixels in 16-bit pairs. Every sum is taken modulo 2^32, and the sum that
// Pillow takes fits 31 bits, so any split and any order give exactly Pillow's integer.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "loader/resize.h"

namespace yeoul::loader {

inline constexpr int kWeightBits = 22; // Pillow's PRECISION_BITS for 8-bit channels
inline constexpr int32_t kHalf = 1 << (kWeightBits - 1); // rounds the sum
inline constexpr int kTapGroup = 8; // taps are padded with zero weights to a multiple of this

/// What the horizontal pass may read beyond the last tap's pixel and write beyond the last output.
inline constexpr int kReadSlackBytes = 4, kWriteSlackBytes = 1;
/// The vertical pass reads whole chunks of this many bytes of each row.
inline constexpr int kRowChunkBytes = 32;

/// A window's weights once more in the order of the vector loops: per output, per group of eight
/// taps, eight pairs of 16-bit numbers: high 01, high 23, low 01, low 23, high 45, high 67, low 45,
/// low 67.
struct AxisWeights {
    ResizeWindow window;
    int groups = 0;              // of eight taps, the same for every output
    std::vector<int16_t> packed; // (count, groups, 16)

    AxisWeights() = default;
    explicit AxisWeights(ResizeWindow window);
    int count() const { return static_cast<int>(window.begin.size()); }
};

struct ResizePasses {
    const char* name;
    /// Outputs [first, last) of one row: y[3 * i] for output i. `x` points at pixel `x_first`;
    /// `groups` * 8 pixels from each begin[i], and kReadSlackBytes more, are readable;
    /// kWriteSlackBytes after the last output are writable.
    void (*horizontal)(const uint8_t* x, int x_first, const AxisWeights& weights, int first,
                       int last, uint8_t* y);
    /// One output row of `bytes` bytes. `rows` holds its `groups` * 8 input rows (those after
    /// size[i] any readable row), each readable to the next multiple of kRowChunkBytes. Writes
    /// nothing after `bytes`.
    void (*vertical)(const uint8_t* const* rows, const AxisWeights& weights, int output, int bytes,
                     uint8_t* y);
};

/// Fastest first; the last one runs anywhere.
std::span<const ResizePasses> resize_passes();

#if defined(__x86_64__)
void horizontal_avx2(const uint8_t* x, int x_first, const AxisWeights& weights, int first, int last,
                     uint8_t* y);
void vertical_avx2(const uint8_t* const* rows, const AxisWeights& weights, int output, int bytes,
                   uint8_t* y);
#endif

} // namespace yeoul::loader
