// EXIF orientations 2 to 8, between a decoder and the sink that wants the upright photo.
#pragma once

#include <cstdint>
#include <vector>

#include "loader/decoders/row_sink.h"

namespace yeoul::loader {

/// Turns as PIL.ImageOps.exif_transpose. Keeps the wanted rectangle only, and gives its rows to
/// `target` in `finish`, which follows the last row.
class RotatingSink : public RowSink {
public:
    RotatingSink(int orientation, RowSink& target) : orientation_(orientation), target_(target) {}

    Region begin(int width, int height, ImageFormat format) override;
    void row(int y, const uint8_t* rgb) override;
    void finish();

private:
    bool swaps_axes() const { return orientation_ >= 5; }
    bool flips_columns() const; // of the stored photo
    bool flips_rows() const;

    int orientation_;
    RowSink& target_;
    Region wanted_{}, stored_{};  // the same pixels, upright and as stored
    std::vector<uint8_t> pixels_; // stored_, 3 bytes a pixel
};

} // namespace yeoul::loader
