// How decoded pixels leave a decoder: row by row, and only the rectangle that somebody wants.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "loader/image.h"

namespace yeoul::loader {

/// Half-open: rows top to bottom - 1, columns left to right - 1.
struct Region {
    int top, bottom, left, right;
};

class RowSink {
public:
    virtual ~RowSink() = default;

    /// Once, before any row: the size of the photo as decoded (after any fast scaling and EXIF
    /// rotation). Returns the rectangle whose pixels are wanted.
    virtual Region begin(int width, int height, ImageFormat format) = 0;

    /// Rows in increasing order, region.top to region.bottom - 1; `rgb` points at column
    /// region.left, (right - left) pixels of 3 bytes.
    virtual void row(int y, const uint8_t* rgb) = 0;
};

struct RowsResult {
    std::string warning; // as Image::warning
};

/// Decodes into the sink; throws as `decode`, or what the sink throws. A photo that turns out to be
/// cut short throws after some of its rows were given: what the sink holds then is to be dropped.
/// `scale_target`: for options.fast, the shortest edge wanted (0: none); JPEG may then be decoded
/// at 1/2, 1/4 or 1/8 where at least twice that remains.
RowsResult decode_rows(std::span<const uint8_t> encoded, const DecodeOptions& options,
                       int scale_target, RowSink& sink);

} // namespace yeoul::loader
