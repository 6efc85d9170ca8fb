// The descriptor table of `Resize` (kernels/ops.h): how photos of any size become slots in one
// launch.
//
// Planning a photo computes its windows and allocates; it belongs to the thread that decodes it. A
// launch's table is then copied together into pinned memory without an allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/ops.h"
#include "loader/resize.h"

namespace yeoul {

struct ResizeEntry;
struct ResizeTarget;

/// One photo's windows as the device reads them.
class PlannedResize {
public:
    /// Throws `Error`: `image_too_large` above Pillow's 178,956,970 pixels or a side of 4,194,304;
    /// `invalid_argument` for sizes, a window or a filter that have no meaning.
    PlannedResize(const loader::ResizePlan& plan, loader::Resample resample);

    /// The source rectangle that the window reads: all that needs to be on the device. Nothing when
    /// the window lies wholly outside.
    int top() const { return top_; }
    int left() const { return left_; }
    int rows() const { return task_.rows; }
    int columns() const { return task_.columns; }
    /// Of the window.
    int height() const { return height_; }
    int width() const { return width_; }
    size_t table_bytes() const { return words_.size() * sizeof(int32_t); }

private:
    friend void fill_resize_table(std::span<const ResizeEntry>, const ResizeTarget&, void*, size_t);

    ResizeTask task_; // without source, pitch and slot; offsets within words_
    std::vector<int32_t> words_;
    int top_ = 0, left_ = 0, height_ = 0, width_ = 0;
};

struct ResizeEntry {
    const PlannedResize* photo = nullptr;
    uint64_t source = 0; // byte offset of pixel (top(), left()) in the device's source buffer
    int pitch = 0;       // bytes from row to row, at least 3 * columns()
    int slot = 0;
};

/// What the entries must fit.
struct ResizeTarget {
    size_t source_bytes = 0; // of the device's source buffer
    int slots = 0, height = 0, width = 0;
};

size_t resize_table_bytes(std::span<const ResizeEntry> entries);

/// Writes resize_table_bytes(entries) bytes, 8-byte aligned, with the largest photo first. Throws
/// `invalid_argument` naming the entry and the value: no photo, a window that is not a slot's size,
/// a rectangle outside the source, a slot out of range or named twice, too little room.
void fill_resize_table(std::span<const ResizeEntry> entries, const ResizeTarget& target,
                       void* table, size_t bytes);

} // namespace yeoul
