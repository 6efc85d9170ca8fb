// From a photo as the caller has it to the pixels a model takes.
#pragma once

#include <yeoul/engine.h>

#include "loader/image.h"
#include "loader/preprocessor.h"

namespace yeoul {

/// Reads, decodes and resizes into y (output_height, output_width, 3) u8. Fills format, size and
/// stage times of `result`. Throws `Error` with an item's code; the message does not name the
/// photo. Returns a warning, or nothing.
std::string prepare_photo(const Photo& photo, const loader::Preprocessor& preprocessor,
                          const loader::DecodeOptions& options, uint8_t* y, Result& result);

} // namespace yeoul
