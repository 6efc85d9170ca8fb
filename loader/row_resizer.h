// The resize as a stream: source rows in, top to bottom; finished rows of the output window as soon
// as their last source row has come.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "loader/resize.h"
#include "loader/resize_passes.h"

namespace yeoul::loader {

/// Keeps as many rows as one output row reads, in a ring, so the memory does not grow with the
/// photo's height. `y` (plan.height, plan.width, 3) must outlive it.
class RowResizer {
public:
    RowResizer(const ResizePlan& plan, Resample resample, uint8_t* y,
               const ResizePasses& passes = resize_passes().front());

    /// The source rectangle that the window reads, half-open. Empty when the window lies wholly
    /// outside.
    int top() const { return vertical_.window.first_input; }
    int bottom() const { return vertical_.window.last_input; }
    int left() const { return horizontal_.window.first_input; }
    int right() const { return horizontal_.window.last_input; }

    /// Every row of [top, bottom), in order; `x` points at column `left`.
    void row(int index, const uint8_t* x);
    /// All rows of the window are written.
    bool complete() const { return next_ == vertical_.count(); }
    /// Of weights and ring.
    size_t memory_bytes() const;

private:
    uint8_t* ring_row(int index) { return ring_.data() + index % ring_rows_ * ring_stride_; }
    void resize_columns(const uint8_t* x, uint8_t* y);
    void write_row(int output);

    const ResizePasses& passes_;
    AxisWeights horizontal_, vertical_;
    bool columns_change_, rows_change_, vertical_first_;
    uint8_t* y_ = nullptr; // the first pixel of the window that lies inside the output
    size_t y_stride_ = 0;  // bytes
    int row_bytes_ = 0;    // of the part of an output row that lies inside
    int next_ = 0;         // the next output row

    // Source rows before the vertical pass, or what the horizontal pass made of them.
    std::vector<uint8_t> ring_;
    int ring_rows_ = 0;
    int ring_row_bytes_ = 0;
    size_t ring_stride_ = 0;
    std::vector<const uint8_t*> taps_;

    // The vector loops read beyond the last tap. The outputs from `direct_` on would do so beyond
    // the row, so the columns from `padded_first_` are copied to a place with room.
    int direct_ = 0;
    int padded_first_ = 0;
    std::vector<uint8_t> padded_;
    std::vector<uint8_t> finished_; // an output row with room for what is written beyond it
};

} // namespace yeoul::loader
