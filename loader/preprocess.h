// Encoded bytes to the pixels a model takes: decode, resize, crop, in one pass over the rows.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "loader/image.h"
#include "loader/preprocessor.h"

namespace yeoul::loader {

struct Preprocessed {
    int width = 0, height = 0; // of the decoded photo
    ImageFormat format = ImageFormat::unknown;
    std::string warning;
    double decode_ms = 0, resize_ms = 0;
};

/// y (output_height, output_width, 3) RGB u8, equal to Pillow's decode, convert("RGB"), resize and
/// centre crop to the byte unless `options.fast`. Throws as `decode`.
/// JPEG rows go through the horizontal pass as they are decoded, and rows and columns outside the
/// crop are skipped, so a 12-megapixel photo never stands in memory whole.
Preprocessed preprocess(std::span<const uint8_t> encoded, const Preprocessor& preprocessor,
                        const DecodeOptions& options, uint8_t* y);

/// The same from pixels (height, width, 3) RGB u8.
void preprocess_pixels(const uint8_t* rgb, int height, int width, const Preprocessor& preprocessor,
                       uint8_t* y);

} // namespace yeoul::loader
