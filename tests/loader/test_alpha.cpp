#include <doctest/doctest.h>

#include <algorithm>
#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

#include "loader/image.h"
#include "tests/loader/test_image_files.h"

using namespace yeoul::loader;
using namespace yeoul::test;

namespace {

std::string fnv1a64(const std::vector<uint8_t>& bytes) {
    uint64_t value = 0xcbf29ce484222325u;
    for (const uint8_t byte : bytes)
        value = (value ^ byte) * 0x100000001b3u;
    char text[17];
    std::snprintf(text, sizeof text, "%016" PRIx64, value);
    return text;
}

} // namespace

TEST_CASE("image: transparency is laid on white as transformers does, to the byte") {
    const std::string folder = std::string(YEOUL_SOURCE_DIR) + "/tests/golden/alpha/";
    std::ifstream expected(folder + "expected.txt");
    std::string name, hash;
    int width = 0, height = 0, count = 0;
    while (expected >> name >> width >> height >> hash) {
        CAPTURE(name);
        std::ifstream file(folder + name, std::ios::binary);
        const std::vector<uint8_t> encoded{std::istreambuf_iterator<char>(file), {}};
        if (!decoded_as_pillow(sniff(encoded)))
            continue; // stb_image, or nothing
        ++count;
        const Image image = decode(encoded, {.alpha_on_white = true});
        CHECK(image.width == width);
        CHECK(image.height == height);
        CHECK(fnv1a64(image.rgb) == hash);
    }
    if (decoded_as_pillow(ImageFormat::png) && decoded_as_pillow(ImageFormat::webp))
        CHECK(count == 46);
    else
        MESSAGE("skipped in part: this build decodes PNG or WebP by stb_image or not at all");
}

TEST_CASE("image: transparent grey on white, without the libraries too") {
    std::ifstream file(std::string(YEOUL_SOURCE_DIR) + "/tests/golden/alpha/grey_alpha_8.png",
                       std::ios::binary);
    const std::vector<uint8_t> encoded{std::istreambuf_iterator<char>(file), {}};
    const Image image = decode(encoded, {.alpha_on_white = true});
    REQUIRE(image.width == 256);
    for (int alpha = 0; alpha < 256; alpha += 15)
        for (int value = 0; value < 256; value += 15) {
            const double exact = (value * alpha + 255.0 * (255 - alpha)) / 255;
            CHECK(std::abs(image.rgb[(size_t(alpha) * 256 + value) * 3] - exact) <= 0.51);
        }
}
