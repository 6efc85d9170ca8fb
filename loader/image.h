// Photos: what a file is, and its pixels exactly as Pillow gives them after `convert("RGB")`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace yeoul::loader {

enum class ImageFormat { unknown, jpeg, png, webp, heif, bmp, pnm };
std::string_view name(ImageFormat format); // "jpeg"

struct DecodeOptions {
    int64_t max_pixels = 178'956'970; // Pillow's limit; larger is refused before decoding
    bool exif_rotate = false;
    /// PNG and WebP: lay transparent pixels on white, as transformers does since version 5. Off:
    /// keep the colours under them, as Pillow's convert("RGB") does.
    bool alpha_on_white = false;
    bool fast = false; // JPEG at 1/2, 1/4 or 1/8 scale where twice the target size remains
};

struct ImageHeader {
    ImageFormat format = ImageFormat::unknown;
    int width = 0, height = 0; // as stored, before any EXIF rotation
    int exif_orientation = 1;  // 1 to 8
};

struct Image {
    int width = 0, height = 0;
    std::vector<uint8_t> rgb; // (height, width, 3)
    ImageFormat format = ImageFormat::unknown;
    /// Where Pillow's own result is questionable and was followed: "16-bit grey clipped to 255".
    std::string warning;
};

/// By content, never by name.
ImageFormat sniff(std::span<const uint8_t> encoded);

/// Reads only the header. Throws as `decode`.
ImageHeader read_header(std::span<const uint8_t> encoded);

/// Throws `Error`: `bad_image` (not a complete, valid image; says what it starts with when it is no
/// image at all), `unsupported_image` (a format this build does not decode, with what to do),
/// `image_too_large` (with the pixel count and the limit).
Image decode(std::span<const uint8_t> encoded, const DecodeOptions& options = {});

/// Extensions that a folder scan takes, lower case with the dot, of the formats this build decodes.
std::span<const std::string_view> known_extensions();

/// "libjpeg-turbo 2.1.5", "libpng 1.6.39", ...: for `doctor` and --version.
std::vector<std::string> decoder_versions();

} // namespace yeoul::loader
