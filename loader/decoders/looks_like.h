// What bytes that are no photo of ours look like, for the one sentence that the user reads.
#pragma once

#include <cstdint>
#include <span>

namespace yeoul::loader {

/// Throws `unsupported_image` for a picture of another format and `bad_image` for anything else,
/// saying what the bytes begin with and what to do.
[[noreturn]] void throw_unknown_format(std::span<const uint8_t> encoded);

} // namespace yeoul::loader
