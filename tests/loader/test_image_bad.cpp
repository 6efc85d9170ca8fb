// Bytes that are no photo, or half of one: an Error with the right code, never a crash.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>

#include "tests/loader/test_image_files.h"
#include "yeoul/error.h"

using namespace yeoul;
using namespace yeoul::loader;
using namespace yeoul::test;

namespace {

std::vector<uint8_t> bytes(std::string_view text) {
    return {text.begin(), text.end()};
}

void put_be16(std::vector<uint8_t>& data, size_t at, int value) {
    data[at] = static_cast<uint8_t>(value >> 8);
    data[at + 1] = static_cast<uint8_t>(value);
}
void put_be32(std::vector<uint8_t>& data, size_t at, uint32_t value) {
    put_be16(data, at, static_cast<int>(value >> 16));
    put_be16(data, at + 2, static_cast<int>(value & 0xFFFF));
}
void put_le32(std::vector<uint8_t>& data, size_t at, uint32_t value) {
    for (int i = 0; i < 4; ++i)
        data[at + i] = static_cast<uint8_t>(value >> 8 * i);
}

size_t find(const std::vector<uint8_t>& data, std::string_view what, size_t from = 0) {
    const auto found =
        std::search(data.begin() + static_cast<ptrdiff_t>(from), data.end(), what.begin(),
                    what.end(), [](uint8_t a, char b) { return a == static_cast<uint8_t>(b); });
    REQUIRE(found != data.end());
    return static_cast<size_t>(found - data.begin());
}

/// The frame header of a JPEG: baseline or progressive.
size_t find_frame(const std::vector<uint8_t>& data) {
    for (size_t i = 2; i + 1 < data.size(); i += 2 + (size_t{data[i + 2]} << 8) + data[i + 3])
        if (data[i + 1] == 0xC0 || data[i + 1] == 0xC2)
            return i;
    FAIL("no frame header");
    return 0;
}

uint32_t crc32(const uint8_t* data, size_t size) {
    uint32_t crc = ~0u;
    for (size_t i = 0; i < size; ++i) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; ++bit)
            crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
    }
    return ~crc;
}

std::vector<uint8_t> png_of_size(uint32_t width, uint32_t height) {
    auto data = golden_image("png_rgb8.png").encoded;
    put_be32(data, 16, width);
    put_be32(data, 20, height);
    put_be32(data, 29, crc32(&data[12], 17));
    return data;
}

std::vector<uint8_t> jpeg_of_size(const char* file, int width, int height) {
    auto data = golden_image(file).encoded;
    const size_t frame = find_frame(data);
    put_be16(data, frame + 5, height);
    put_be16(data, frame + 7, width);
    return data;
}

} // namespace

TEST_CASE("image: every prefix of a photo is refused, unless Pillow takes it, too") {
    int asked = 0;
    for (const GoldenImage& golden : golden_images()) {
        if (golden.accepted_cut < 0 || !decoded(golden.format()))
            continue;
        ++asked;
        const bool as_pillow = decoded_as_pillow(golden.format());
        for (size_t size = 0; size < golden.encoded.size(); ++size) {
            const std::vector<uint8_t> part(golden.encoded.begin(),
                                            golden.encoded.begin() + static_cast<ptrdiff_t>(size));
            CAPTURE(golden.name);
            CAPTURE(size);
            const std::string result = outcome(part);
            const int cut = static_cast<int>(golden.encoded.size() - size);
            if (result == "pixels") {
                REQUIRE((cut <= golden.accepted_cut || !as_pillow));
                if (as_pillow)
                    REQUIRE(decode(part).rgb == golden.rgb);
            } else {
                REQUIRE(starts_with(result, "bad_image: "));
            }
        }
    }
    CHECK(asked >= 5);
}

TEST_CASE("image: half a photo is called truncated") {
    for (const char* file :
         {"jpeg_420.jpg", "jpeg_grey.jpg", "jpeg_420_progressive.jpg", "jpeg_arithmetic.jpg",
          "png_rgb8.png", "png_rgb8_interlaced.png", "webp_lossy.webp", "webp_lossless.webp",
          "webp_animated.webp", "bmp_24.bmp", "ppm.ppm", "photo.heic"}) {
        GoldenImage golden = golden_image(file);
        if (!decoded(golden))
            continue;
        if (!decoded_as_pillow(golden.format()) && golden.format() == ImageFormat::png)
            continue; // stb_image has its own words
        golden.encoded.resize(golden.encoded.size() / 2);
        CAPTURE(golden.name);
        const std::string result = outcome(golden.encoded);
        CAPTURE(result);
        // The arithmetic decoder cannot stop and go on, and calls it suspension.
        const bool arithmetic = golden.name == "jpeg_arithmetic.jpg";
        CHECK(starts_with(result, "bad_image: "));
        CHECK((arithmetic || result.find("truncated") != std::string::npos));
    }
}

TEST_CASE("image: random damage gives pixels or an error with an item's code") {
    uint32_t state = 12345;
    const auto draw = [&](size_t below) {
        state = state * 1664525 + 1013904223;
        return size_t{state >> 4} % below;
    };
    DecodeOptions options;
    options.max_pixels = 1 << 20;
    for (const GoldenImage& golden : golden_images()) {
        for (int round = 0; round < 30; ++round) {
            auto damaged = golden.encoded;
            const size_t flips = 1 + draw(4);
            for (size_t i = 0; i < flips; ++i)
                damaged[draw(damaged.size())] ^= static_cast<uint8_t>(1 << draw(8));
            options.exif_rotate = round % 2 == 1;
            const std::string result = outcome(damaged, options);
            CAPTURE(golden.name);
            CAPTURE(result);
            REQUIRE((result == "pixels" || starts_with(result, "bad_image: ") ||
                     starts_with(result, "unsupported_image: ") ||
                     starts_with(result, "image_too_large: ") ||
                     starts_with(result, "out_of_memory: ")));
        }
    }
}

TEST_CASE("image: what is no photo is named in one sentence") {
    const struct {
        std::vector<uint8_t> data;
        std::string_view result;
    } kCases[] = {
        {{}, "bad_image: the file is empty; copy it again"},
        {{0xFF}, "bad_image: not a photo: starts with the bytes FF; give a JPEG"},
        {bytes("x"), "bad_image: not a photo: looks like text; give a JPEG"},
        {bytes("hello, this is text\n"), "bad_image: not a photo: looks like text; give a JPEG"},
        {bytes("GIF89a........"), "unsupported_image: looks like a GIF, which is not supported"},
        {{'I', 'I', '*', 0, 8, 0, 0, 0}, "unsupported_image: looks like a TIFF"},
        {bytes("....ftypavif...."), "unsupported_image: looks like an AVIF"},
        {bytes("....ftypisom...."), "bad_image: not a photo: looks like an MP4"},
        {bytes("%PDF-1.7"), "bad_image: not a photo: looks like a PDF"},
        {bytes("PK\3\4...."), "bad_image: not a photo: looks like a ZIP"},
        {bytes("<!DOCTYPE html>"), "bad_image: not a photo: looks like an HTML page"},
        {std::vector<uint8_t>(64), "bad_image: not a photo: all 64 bytes are zero"},
        {{1, 2, 3, 4, 5, 6, 7, 8, 9},
         "bad_image: not a photo: starts with the bytes 01 02 03 04 05 06 07 08; give"},
        {bytes("P1\n2 2\n0 1 1 0\n"), "unsupported_image: PNM of kind P1"},
        {bytes("P5\n2 2\n65535\n........"), "unsupported_image: PNM with 16 bits"},
        {bytes("P5\n2 2 0\n...."), "bad_image: PNM of 2x2 pixels up to 0"},
        {bytes("P6\n-2 2 255\n...."), "bad_image: PNM with a damaged header"},
    };
    for (const auto& c : kCases) {
        const std::string result = outcome(c.data);
        CAPTURE(result);
        CHECK(starts_with(result, c.result));
        CHECK(std::count(result.begin(), result.end(), '\n') == 0);
        CHECK(sniff(c.data) ==
              (result.find("PNM") != std::string::npos && result.find("give") == std::string::npos
                   ? ImageFormat::pnm
                   : ImageFormat::unknown));
        CHECK_THROWS_AS(read_header(c.data), Error);
    }
}

TEST_CASE("image: a wrong signature in front of another photo is an error") {
    const auto png = golden_image("png_rgb8.png").encoded;
    for (const std::string_view head : {"\xFF\xD8\xFF\xE0", "RIFF....WEBPVP8 ", "BM", "P6\n"}) {
        auto data = png;
        std::copy(head.begin(), head.end(), data.begin());
        const std::string result = outcome(data);
        CAPTURE(result);
        CHECK((starts_with(result, "bad_image: ") || starts_with(result, "unsupported_image: ")));
    }
}

TEST_CASE("image: a size above the limit is refused with both numbers") {
    const std::string kSays = "900000000 pixels, above the limit of 178956970; shrink it";
    const auto check = [&](const std::vector<uint8_t>& data) {
        const std::string result = outcome(data);
        CAPTURE(result);
        CHECK(starts_with(result, "image_too_large: "));
        CHECK(result.find("30000x30000") != std::string::npos);
        CHECK(result.find(kSays) != std::string::npos);
    };
    check(png_of_size(30000, 30000));
    check(jpeg_of_size("jpeg_420.jpg", 30000, 30000));
    check(jpeg_of_size("jpeg_420_progressive.jpg", 30000, 30000));
    check(bytes("P6\n30000 30000\n255\n"));
    auto bmp = golden_image("bmp_24.bmp").encoded;
    put_le32(bmp, 18, 30000);
    put_le32(bmp, 22, 30000);
    check(bmp);
    if (decoded(ImageFormat::webp)) {
        auto webp = golden_image("webp_animated.webp").encoded;
        const size_t canvas = find(webp, "VP8X") + 12;
        for (const size_t at : {canvas, canvas + 3}) {
            webp[at] = 29999 & 255;
            webp[at + 1] = 29999 >> 8;
        }
        check(webp);
    }
    if (decoded(ImageFormat::heif)) {
        auto heic = golden_image("photo.heic").encoded;
        const size_t extents = find(heic, "ispe") + 8;
        put_be32(heic, extents, 30000);
        put_be32(heic, extents + 4, 30000);
        const std::string result = outcome(heic);
        CAPTURE(result);
        CHECK(starts_with(result, "image_too_large: "));
    }
}

TEST_CASE("image: the limit counts pixels, and the limit itself is allowed") {
    const GoldenImage golden = golden_image("ppm.ppm");
    DecodeOptions options;
    options.max_pixels = int64_t{golden.width} * golden.height;
    CHECK(outcome(golden.encoded, options) == "pixels");
    --options.max_pixels;
    CHECK(starts_with(outcome(golden.encoded, options), "image_too_large: pnm of 53x41 is 2173 "));
}

TEST_CASE("image: a small file cannot claim a large picture") {
    // Within the pixel limit, so only the number of bytes tells.
    const std::vector<uint8_t> kLarge[] = {
        png_of_size(13000, 13000), jpeg_of_size("jpeg_420.jpg", 13000, 13000),
        jpeg_of_size("jpeg_420_progressive.jpg", 13000, 13000), bytes("P6\n13000 13000\n255\n")};
    for (const auto& data : kLarge) {
        const std::string result = outcome(data);
        CAPTURE(result);
        if (!decoded_as_pillow(sniff(data)))
            continue;
        CHECK(starts_with(result, "bad_image: truncated "));
        CHECK(result.find("13000x13000") != std::string::npos);
    }
}

TEST_CASE("image: zero and negative sizes are damage") {
    CHECK(starts_with(outcome(png_of_size(0, 5)), "bad_image: PNG of 0x5 pixels"));
    CHECK(starts_with(outcome(png_of_size(5, 0x80000000)), "bad_image: PNG of 5x2147483648"));
    CHECK(starts_with(outcome(jpeg_of_size("jpeg_420.jpg", 61, 0)), "bad_image: JPEG of 61x0"));
    auto bmp = golden_image("bmp_24.bmp").encoded;
    put_le32(bmp, 18, static_cast<uint32_t>(-53));
    CHECK(starts_with(outcome(bmp), "bad_image: BMP of -53x41"));
    put_le32(bmp, 18, 53);
    put_le32(bmp, 22, 0x80000000);
    CHECK(starts_with(outcome(bmp), "image_too_large: "));
}

TEST_CASE("image: a JPEG of thousands of scans is refused") {
    const auto data = golden_image("jpeg_420_progressive.jpg").encoded;
    size_t last = 0;
    for (size_t i = 0; i + 1 < data.size(); ++i)
        if (data[i] == 0xFF && data[i + 1] == 0xDA)
            last = i;
    std::vector<uint8_t> many(data.begin(), data.end() - 2);
    for (int i = 0; i < 3000; ++i)
        many.insert(many.end(), data.begin() + static_cast<ptrdiff_t>(last), data.end() - 2);
    many.insert(many.end(), {0xFF, 0xD9});
    const std::string result = outcome(many);
    CAPTURE(result);
    CHECK(starts_with(result, "bad_image: damaged JPEG (more than 500 scans)"));
}

TEST_CASE("image: JPEG variants outside of the common ones are unsupported") {
    auto data = golden_image("jpeg_444.jpg").encoded;
    const size_t frame = find_frame(data);
    data[frame + 1] = 0xC3;
    CHECK(starts_with(outcome(data), "unsupported_image: JPEG coded as SOF3"));
    data[frame + 1] = 0xC1;
    data[frame + 4] = 12;
    CHECK(starts_with(outcome(data), "unsupported_image: JPEG with 12 bits per sample"));
    data[frame + 4] = 8;
    data[frame + 9] = 2;
    CHECK(starts_with(outcome(data), "unsupported_image: JPEG with 2 colour components"));
}

TEST_CASE("image: a PNG or BMP with damage in it says so") {
    auto png = golden_image("png_rgb8.png").encoded;
    png[find(png, "IDAT") + 10] ^= 0x40;
    CHECK(starts_with(outcome(png), "bad_image: damaged PNG ("));
    auto bmp = golden_image("bmp_8_palette.bmp").encoded;
    // Pixels begin where the palette would: all its entries but 20 are gone.
    put_le32(bmp, 10, 14 + 40 + 20 * 4);
    CHECK(outcome(bmp).find("of a palette with 20; ") != std::string::npos);
    // A pixel that is no byte a channel, and one byte less than the last row.
    auto masked = golden_image("bmp_32_v5_bgra.bmp").encoded;
    put_le32(masked, 14 + 40, 0x3FF00000);
    CHECK(starts_with(outcome(masked), "unsupported_image: BMP with an unusual 32-bit layout"));
    masked = golden_image("bmp_32_v4_rgba.bmp").encoded;
    masked.pop_back();
    CHECK(starts_with(outcome(masked), "bad_image: truncated BMP"));
    auto rle = golden_image("bmp_8_palette.bmp").encoded;
    put_le32(rle, 30, 1);
    CHECK(starts_with(outcome(rle), "unsupported_image: BMP with compression 1"));
}

TEST_CASE("image: formats that this build leaves out say what to do") {
    for (const ImageFormat format : {ImageFormat::webp, ImageFormat::heif}) {
        if (decoded(format)) {
            MESSAGE("skipped: this build decodes " << name(format));
            continue;
        }
        const auto data =
            golden_image(format == ImageFormat::webp ? "webp_lossy.webp" : "photo.heic").encoded;
        const std::string result = outcome(data);
        CAPTURE(result);
        CHECK(starts_with(result, "unsupported_image: "));
        CHECK(result.find("convert the photo") != std::string::npos);
    }
}
