// stb_image, for the formats that no library of this build decodes.
#pragma once

#include <cstdint>
#include <memory>

#include "loader/decoders/decoders.h"

namespace yeoul::loader {

struct StbFree {
    void operator()(uint8_t* pixels) const;
};
using StbPixels = std::unique_ptr<uint8_t, StbFree>;

/// (height, width, channels), 3 for RGB or 4 for RGBA. `what` names the format in the message of a
/// `bad_image`.
StbPixels decode_with_stb(Bytes encoded, const ImageHeader& header, const char* what,
                          int channels = 3);

} // namespace yeoul::loader
