#include "loader/row_resizer.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace yeoul::loader {
namespace {

/// Which part of the window [offset, offset + extent) lies inside [0, out).
struct Inside {
    int first, count;
    Inside(int offset, int extent, int out)
        : first(std::max(offset, 0)), count(std::max(std::min(offset + extent, out) - first, 0)) {}
};

size_t round_up(size_t bytes, size_t unit) {
    return (bytes + unit - 1) / unit * unit;
}

} // namespace

RowResizer::RowResizer(const ResizePlan& plan, Resample resample, uint8_t* y,
                       const ResizePasses& passes)
    : passes_(passes), columns_change_(plan.columns_change()), rows_change_(plan.rows_change()),
      vertical_first_(vertical_pass_first(plan)) {
    const Inside rows(plan.top, plan.height, plan.out_height);
    const Inside columns(plan.left, plan.width, plan.out_width);
    if (rows.count < plan.height || columns.count < plan.width)
        std::memset(y, 0, static_cast<size_t>(plan.height) * plan.width * 3);
    if (rows.count == 0 || columns.count == 0)
        return;
    horizontal_ = AxisWeights(make_resize_window(plan.in_width, plan.out_width, columns.first,
                                                 columns.count, resample, plan.extent_width));
    vertical_ = AxisWeights(make_resize_window(plan.in_height, plan.out_height, rows.first,
                                               rows.count, resample, plan.extent_height));
    y_stride_ = static_cast<size_t>(plan.width) * 3;
    y_ = y + (rows.first - plan.top) * y_stride_ + (columns.first - plan.left) * 3;
    row_bytes_ = columns.count * 3;

    ring_rows_ = vertical_.window.taps;
    ring_row_bytes_ = vertical_first_ ? (right() - left()) * 3 : row_bytes_;
    ring_stride_ =
        round_up(static_cast<size_t>(ring_row_bytes_) + kWriteSlackBytes, kRowChunkBytes);
    ring_.resize(ring_rows_ * ring_stride_);
    taps_.resize(static_cast<size_t>(vertical_.groups) * kTapGroup);
    if (!columns_change_)
        return;

    const auto& begin = horizontal_.window.begin;
    const int padded_taps = horizontal_.groups * kTapGroup;
    padded_first_ = left();
    if (vertical_first_) {
        finished_.resize(static_cast<size_t>(row_bytes_) + kWriteSlackBytes);
    } else {
        direct_ = columns.count;
        while (direct_ > 0 &&
               (begin[direct_ - 1] + padded_taps - right()) * 3 + kReadSlackBytes > 0)
            --direct_;
        if (direct_ < columns.count)
            padded_first_ = begin[direct_];
    }
    padded_.resize(static_cast<size_t>(begin.back() - padded_first_ + padded_taps) * 3 +
                   kReadSlackBytes);
}

void RowResizer::row(int index, const uint8_t* x) {
    assert(index >= top() && index < bottom());
    if (columns_change_ && !vertical_first_)
        resize_columns(x, ring_row(index));
    else
        std::memcpy(ring_row(index), x, static_cast<size_t>(ring_row_bytes_));
    const ResizeWindow& window = vertical_.window;
    while (!complete() && window.begin[next_] + window.size[next_] <= index + 1)
        write_row(next_++);
}

void RowResizer::resize_columns(const uint8_t* x, uint8_t* y) {
    passes_.horizontal(x, left(), horizontal_, 0, direct_, y);
    if (direct_ == horizontal_.count())
        return;
    std::memcpy(padded_.data(), x + static_cast<size_t>(padded_first_ - left()) * 3,
                static_cast<size_t>(right() - padded_first_) * 3);
    passes_.horizontal(padded_.data(), padded_first_, horizontal_, direct_, horizontal_.count(), y);
}

void RowResizer::write_row(int output) {
    uint8_t* y = y_ + output * y_stride_;
    const int begin = vertical_.window.begin[output];
    if (!rows_change_) {
        std::memcpy(y, ring_row(begin), static_cast<size_t>(row_bytes_));
        return;
    }
    for (int tap = 0; tap < static_cast<int>(taps_.size()); ++tap)
        taps_[tap] = ring_row(begin + tap);
    if (!vertical_first_) {
        passes_.vertical(taps_.data(), vertical_, output, row_bytes_, y);
        return;
    }
    passes_.vertical(taps_.data(), vertical_, output, ring_row_bytes_, padded_.data());
    passes_.horizontal(padded_.data(), left(), horizontal_, 0, horizontal_.count(),
                       finished_.data());
    std::memcpy(y, finished_.data(), static_cast<size_t>(row_bytes_));
}

size_t RowResizer::memory_bytes() const {
    size_t bytes = ring_.capacity() + padded_.capacity() + finished_.capacity() +
                   taps_.capacity() * sizeof taps_[0];
    for (const AxisWeights* axis : {&horizontal_, &vertical_})
        bytes += axis->packed.capacity() * sizeof(int16_t) +
                 axis->window.weights.capacity() * sizeof(int32_t) +
                 (axis->window.begin.capacity() + axis->window.size.capacity()) * sizeof(int);
    return bytes;
}

} // namespace yeoul::loader
