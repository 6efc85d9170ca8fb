#include "loader/image.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "loader/exif.h"
#include "tests/loader/test_image_files.h"
#include "yeoul/error.h"

using namespace yeoul;
using namespace yeoul::loader;
using namespace yeoul::test;

namespace {

void check_format_against_pillow(ImageFormat format, size_t at_least) {
    if (!decoded_as_pillow(format)) {
        MESSAGE("skipped: this build decodes " << name(format) << " by stb_image or not at all");
        return;
    }
    size_t count = 0;
    for (const GoldenImage& golden : golden_images()) {
        if (golden.format() != format)
            continue;
        ++count;
        CAPTURE(golden.name);
        const Image image = decode(golden.encoded, golden.options());
        CHECK(image.format == format);
        CHECK(image.width == golden.width);
        CHECK(image.height == golden.height);
        CHECK(image.warning.empty() == !golden.warns);
        CHECK(difference(image.rgb, golden.rgb, golden.width) == "equal");
    }
    CHECK(count >= at_least);
}

} // namespace

TEST_CASE("image: JPEG pixels equal Pillow's") {
    check_format_against_pillow(ImageFormat::jpeg, 50);
}

TEST_CASE("image: PNG pixels equal Pillow's") {
    check_format_against_pillow(ImageFormat::png, 40);
}

TEST_CASE("image: WebP pixels equal Pillow's") {
    check_format_against_pillow(ImageFormat::webp, 9);
}

TEST_CASE("image: BMP and PNM pixels equal Pillow's") {
    check_format_against_pillow(ImageFormat::bmp, 26);
    check_format_against_pillow(ImageFormat::pnm, 10);
}

TEST_CASE("image: HEIC gives the picture that was encoded, within its loss") {
    if (!decoded(ImageFormat::heif)) {
        MESSAGE("skipped: this build has no libheif");
        return;
    }
    const GoldenImage golden = golden_image("photo.heic");
    const Image image = decode(golden.encoded);
    REQUIRE(image.width == golden.width);
    REQUIRE(image.height == golden.height);
    double sum = 0;
    for (size_t i = 0; i < golden.rgb.size(); ++i)
        sum += std::abs(image.rgb[i] - golden.rgb[i]);
    // Quality 95 at 4:4:4: a swapped channel, a shifted row or another range gives above 10.
    CHECK(sum / static_cast<double>(golden.rgb.size()) < 2.0);
}

TEST_CASE("image: transparent HEIC on white, or its colours alone") {
    if (!decoded(ImageFormat::heif)) {
        MESSAGE("skipped: this build has no libheif");
        return;
    }
    const GoldenImage golden = golden_image("photo_alpha.heic"); // opaque to the right
    const Image colours = decode(golden.encoded);
    const Image seen = decode(golden.encoded, {.alpha_on_white = true});
    REQUIRE(colours.rgb.size() == golden.rgb.size());
    REQUIRE(seen.rgb.size() == golden.rgb.size());
    double sum = 0, sum_on_white = 0;
    for (size_t i = 0; i < golden.rgb.size(); ++i) {
        const int alpha = static_cast<int>(i / 3) % golden.width * 255 / 63;
        const double on_white = (golden.rgb[i] * alpha + 255.0 * (255 - alpha)) / 255;
        sum += std::abs(colours.rgb[i] - golden.rgb[i]);
        sum_on_white += std::abs(seen.rgb[i] - on_white);
    }
    CHECK(sum / static_cast<double>(golden.rgb.size()) < 2.0);
    CHECK(sum_on_white / static_cast<double>(golden.rgb.size()) < 2.0);
}

TEST_CASE("image: decoders without a library still give the picture") {
    for (const ImageFormat format : {ImageFormat::jpeg, ImageFormat::png}) {
        if (decoded_as_pillow(format))
            continue;
        // The one difference that stb_image is allowed is the rounding of chroma: mean below 3.
        for (const char* file : {"jpeg_444.jpg", "jpeg_420_progressive.jpg", "jpeg_grey.jpg",
                                 "png_rgb8_interlaced.png", "png_palette4.png",
                                 "png_palette_short.png", "png_la8.png"}) {
            const GoldenImage golden = golden_image(file);
            if (golden.format() != format)
                continue;
            CAPTURE(golden.name);
            const Image image = decode(golden.encoded);
            REQUIRE(image.rgb.size() == golden.rgb.size());
            double sum = 0;
            for (size_t i = 0; i < golden.rgb.size(); ++i)
                sum += std::abs(image.rgb[i] - golden.rgb[i]);
            CHECK(sum / static_cast<double>(golden.rgb.size()) < 3.0);
        }
    }
}

TEST_CASE("image: the header says format, stored size and orientation") {
    for (const GoldenImage& golden : golden_images()) {
        if (!decoded(golden.format()))
            continue;
        CAPTURE(golden.name);
        CHECK(sniff(golden.encoded) == golden.format());
        const ImageHeader header = read_header(golden.encoded);
        CHECK(header.format == golden.format());
        CHECK(header.exif_orientation == golden.orientation);
        const bool swapped = golden.upright && golden.orientation >= 5;
        CHECK(header.width == (swapped ? golden.height : golden.width));
        CHECK(header.height == (swapped ? golden.width : golden.height));
    }
}

TEST_CASE("image: orientation is followed only when asked for") {
    const GoldenImage upright = golden_image("exif_1.upright.jpg");
    for (int orientation = 2; orientation <= 8; ++orientation) {
        const GoldenImage turned =
            golden_image("exif_" + std::to_string(orientation) + ".upright.jpg");
        const Image image = decode(turned.encoded);
        CHECK(image.width == 39);
        CHECK(image.height == 22);
        if (decoded_as_pillow(ImageFormat::jpeg))
            CHECK(difference(image.rgb, upright.rgb, 39) == "equal");
    }
}

TEST_CASE("image: decoding twice gives the same bytes") {
    for (const GoldenImage& golden : golden_images())
        if (decoded(golden))
            CHECK(decode(golden.encoded).rgb == decode(golden.encoded).rgb);
}

TEST_CASE("image: every known extension is lower case, with its dot, and once") {
    std::set<std::string_view> seen;
    for (const std::string_view extension : known_extensions()) {
        CHECK(extension.size() >= 4);
        CHECK(extension[0] == '.');
        CHECK(std::none_of(extension.begin(), extension.end(),
                           [](char c) { return c >= 'A' && c <= 'Z'; }));
        CHECK(seen.insert(extension).second);
    }
    CHECK(seen.count(".jpg") == 1);
    CHECK(seen.count(".png") == 1);
}

TEST_CASE("image: decoder versions name a library and a number") {
    const auto versions = decoder_versions();
    CHECK(!versions.empty());
    for (const std::string& version : versions) {
        CAPTURE(version);
        const size_t space = version.find(' ');
        REQUIRE(space != std::string::npos);
        CHECK(version[space + 1] >= '0');
        CHECK(version[space + 1] <= '9');
    }
}

TEST_CASE("exif: orientation in either byte order, and nothing from damaged blocks") {
    const std::vector<uint8_t> little = {'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12,
                                         1,   3,   0,  1, 0, 0, 0, 6, 0, 0, 0};
    const std::vector<uint8_t> big = {'M',  'M', 0, 42, 0, 0, 0, 8, 0, 1, 1,
                                      0x12, 0,   3, 0,  0, 0, 1, 0, 8, 0, 0};
    CHECK(exif_orientation(little) == 6);
    CHECK(exif_orientation(big) == 8);
    for (size_t size = 0; size < little.size(); ++size)
        CHECK(!exif_orientation(std::span(little).first(size)).has_value());
    auto changed = little;
    changed[18] = 9;
    CHECK(exif_orientation(changed) == 1);
    changed = little;
    changed[4] = changed[5] = changed[6] = changed[7] = 0xFF;
    CHECK(!exif_orientation(changed).has_value());
    changed = little;
    changed[10] = 0x13;
    CHECK(!exif_orientation(changed).has_value());
}
