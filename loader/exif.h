// The one thing that decoding needs from EXIF and XMP: which way up the camera was held.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace yeoul::loader {

/// Tag 0x0112 of the first directory (EXIF 2.32, 4.6.4 A). `tiff` starts at "II" or "MM", or at
/// "Exif\0\0" before it. Nothing when the tag is absent or the block is damaged; a value outside
/// 1 to 8 counts as 1, as for Pillow's exif_transpose.
std::optional<int> exif_orientation(std::span<const uint8_t> tiff);

/// tiff:Orientation of an XMP packet, which Pillow reads where EXIF has no orientation.
std::optional<int> xmp_orientation(std::span<const uint8_t> packet);

} // namespace yeoul::loader
