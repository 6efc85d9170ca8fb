// Encoded bytes to the pixels a model takes: decode, resize, crop, in one pass over the rows.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "loader/image.h"
#include "loader/preprocessor.h"
#include "loader/resize.h"

namespace yeoul::loader {

struct Preprocessed {
    int width = 0, height = 0; // of the decoded photo
    ImageFormat format = ImageFormat::unknown;
    std::string warning;
    double decode_ms = 0, resize_ms = 0;
    bool resized = true; // false: y is untouched, the source pixels are where `TakeSource` said
};

/// A rectangle of a photo's pixels, and where somebody who resizes them himself wants it.
struct SourceTarget {
    uint8_t* data = nullptr; // of pixel (top, left); nullptr: nobody does
    int top = 0, left = 0, rows = 0, columns = 0;
    size_t pitch = 0; // bytes from row to row
};
/// Asked once per photo, when its size is known and before any pixel.
using TakeSource = std::function<SourceTarget(const ResizePlan&)>;

/// y (output_height, output_width, 3) RGB u8, equal to Pillow's decode, convert("RGB"), resize and
/// centre crop to the byte unless `options.fast`. Throws as `decode`.
/// JPEG rows go through the horizontal pass as they are decoded, and rows and columns outside the
/// crop are skipped, so a 12-megapixel photo never stands in memory whole.
Preprocessed preprocess(std::span<const uint8_t> encoded, const Preprocessor& preprocessor,
                        const DecodeOptions& options, uint8_t* y, const TakeSource& take = {});

/// The same from pixels (height, width, 3) RGB u8. Returns `Preprocessed::resized`.
bool preprocess_pixels(const uint8_t* rgb, int height, int width, const Preprocessor& preprocessor,
                       uint8_t* y, const TakeSource& take = {});

} // namespace yeoul::loader
