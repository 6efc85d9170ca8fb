// Pillow's antialiased resize, to the byte: two passes, 22-bit fixed-point weights, 8-bit rounding
// between them (Pillow 13, src/libImaging/Resample.c). Only a window of the output is computed.
#pragma once

#include <cstdint>
#include <vector>

#include "loader/preprocessor.h"

namespace yeoul::loader {

/// The weights of one axis for outputs [first, first + count) of a resize from `in` to `out`
/// pixels; when `in` equals `out` that is one tap of weight one. Output i reads inputs [begin[i],
/// begin[i] + size[i]) with weights[i * taps ...], 22-bit fixed point.
struct ResizeWindow {
    int in = 0, out = 0;
    int taps = 0; // the largest size[i]
    std::vector<int> begin, size;
    std::vector<int32_t> weights; // (count, taps), zero after size[i]
    /// The input range that all outputs together read.
    int first_input = 0, last_input = 0; // [first_input, last_input)
};
/// Every filter but nearest. `extent`: the output shows the inputs [0, extent) as with Pillow's
/// `box`, 0 for all.
ResizeWindow make_resize_window(int in, int out, int first, int count, Resample resample,
                                double extent = 0);

/// Resize to (out_height, out_width), then the window of `height` rows from `top` and `width`
/// columns from `left` of it. The window may reach outside: those pixels are zero, as transformers'
/// centre crop pads.
struct ResizePlan {
    int in_height = 0, in_width = 0;
    int out_height = 0, out_width = 0;
    int top = 0, left = 0, height = 0, width = 0;
    /// Where the last source pixel is only partly photo, as in a JPEG decoded at half scale: what
    /// the output shows of it, in source pixels; 0 for all.
    double extent_height = 0, extent_width = 0;

    bool columns_change() const { return in_width != out_width || extent_width > 0; }
    bool rows_change() const { return in_height != out_height || extent_height > 0; }
};
/// What the preprocessor asks for a photo of this size: shortest edge with int(long * size / short)
/// truncation, or exact; then the centre crop. Throws `Error`, `image_too_large`, when a side is
/// above 4,194,304 or the long side would pass the range of int.
ResizePlan plan_resize(const Preprocessor& preprocessor, int in_height, int in_width);

/// Which pass runs first, and so where the 8-bit rounding falls: the horizontal one, but since
/// Pillow 13 the vertical one when the height loses more than twice the pixels that the width
/// loses. Measured: 4,114 of 4,114 random sizes; Pillow 12 and earlier always begin with the
/// horizontal. An axis that keeps its size has no pass.
bool vertical_pass_first(const ResizePlan& plan);

/// y (plan.height, plan.width, 3) from x (plan.in_height, plan.in_width, 3), both RGB u8.
/// Memory beyond x and y: weights, and as many rows as one output row reads.
void resize(const uint8_t* x, const ResizePlan& plan, Resample resample, uint8_t* y);

} // namespace yeoul::loader
