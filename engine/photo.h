// From a photo as the caller has it to the pixels a model takes.
#pragma once

#include <yeoul/engine.h>

#include "loader/image.h"
#include "loader/preprocess.h"
#include "loader/preprocessor.h"

namespace yeoul {

struct PreparedPhoto {
    std::string warning; // or nothing
    bool resized = true; // false: `take` got the source pixels, y is untouched
};

/// Reads, decodes and resizes into y (output_height, output_width, 3) u8, or hands the source
/// pixels to `take`. Fills format, size and stage times of `result`. Throws `Error` with an item's
/// code; the message does not name the photo.
PreparedPhoto prepare_photo(const Photo& photo, const loader::Preprocessor& preprocessor,
                            const loader::DecodeOptions& options, uint8_t* y, Result& result,
                            const loader::TakeSource& take = {});

} // namespace yeoul
