// The photos of tests/golden/images with what Pillow made of them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "loader/image.h"

namespace yeoul::test {

struct GoldenImage {
    std::string name; // "jpeg_420_17x15.jpg"
    int width = 0, height = 0;
    int orientation = 1;
    int accepted_cut = -1; // bytes that Pillow can do without at the end; -1: not asked
    bool warns = false;
    bool upright = false; // width, height and rgb are after the EXIF rotation
    std::vector<uint8_t> encoded, rgb;

    loader::ImageFormat format() const;
    loader::DecodeOptions options() const;
};

/// All of them, in the order of the manifest. A missing file fails the test.
std::vector<GoldenImage> golden_images();
GoldenImage golden_image(std::string_view name);

/// False where this build leaves the format out or decodes it by stb_image, whose pixels are not
/// Pillow's; the test then says so with a MESSAGE.
bool decoded_as_pillow(loader::ImageFormat format);
bool decoded(loader::ImageFormat format);
/// The same for one photo: stb_image knows neither arithmetic coding nor a missing end marker.
bool decoded(const GoldenImage& golden);

/// "equal", or where the first difference lies, the largest one and their number.
std::string difference(const std::vector<uint8_t>& x, const std::vector<uint8_t>& y, int width);

/// "bad_image: ..." of the error that decoding throws; "pixels" when it throws none.
std::string outcome(const std::vector<uint8_t>& encoded, const loader::DecodeOptions& options = {});
bool starts_with(std::string_view text, std::string_view prefix);

} // namespace yeoul::test
