#include "loader/decoders/row_sink.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "tests/loader/test_image_files.h"
#include "yeoul/error.h"

using namespace yeoul;
using namespace yeoul::loader;
using namespace yeoul::test;

namespace {

/// Collects a rectangle given in parts of the size, and checks the order of the calls.
class RegionSink : public RowSink {
public:
    explicit RegionSink(uint32_t seed) : seed_(seed) {}

    Region begin(int width, int height, ImageFormat) override {
        REQUIRE(!begun);
        begun = true;
        full_width = width;
        full_height = height;
        const int x0 = draw(width), x1 = draw(width), y0 = draw(height), y1 = draw(height);
        region = {std::min(y0, y1), std::max(y0, y1) + 1, std::min(x0, x1), std::max(x0, x1) + 1};
        next_row_ = region.top;
        return region;
    }
    void row(int y, const uint8_t* rgb) override {
        REQUIRE(begun);
        REQUIRE(y == next_row_++);
        pixels.insert(pixels.end(), rgb, rgb + (region.right - region.left) * 3);
    }
    bool complete() const { return begun && next_row_ == region.bottom; }

    bool begun = false;
    int full_width = 0, full_height = 0;
    Region region{};
    std::vector<uint8_t> pixels;

private:
    int draw(int below) {
        seed_ = seed_ * 1664525 + 1013904223;
        return static_cast<int>((seed_ >> 8) % static_cast<uint32_t>(below));
    }
    uint32_t seed_;
    int next_row_ = 0;
};

class WholeSink : public RowSink {
public:
    Region begin(int width, int height, ImageFormat) override {
        image.width = width;
        image.height = height;
        image.rgb.reserve(size_t(width) * height * 3);
        return {0, height, 0, width};
    }
    void row(int, const uint8_t* rgb) override {
        image.rgb.insert(image.rgb.end(), rgb, rgb + size_t(image.width) * 3);
    }
    Image image;
};

std::vector<uint8_t> cut_out(const Image& image, Region region) {
    std::vector<uint8_t> part;
    for (int y = region.top; y < region.bottom; ++y) {
        const auto row = image.rgb.begin() + (ptrdiff_t{y} * image.width + region.left) * 3;
        part.insert(part.end(), row, row + (region.right - region.left) * 3);
    }
    return part;
}

} // namespace

TEST_CASE("decoders: any rectangle equals that part of the whole photo") {
    for (const GoldenImage& golden : golden_images()) {
        if (!decoded(golden))
            continue;
        const Image whole = decode(golden.encoded, golden.options());
        for (uint32_t seed = 1; seed <= 40; ++seed) {
            RegionSink sink(seed * 7919);
            decode_rows(golden.encoded, golden.options(), 0, sink);
            CAPTURE(golden.name);
            CAPTURE(sink.region.top);
            CAPTURE(sink.region.bottom);
            CAPTURE(sink.region.left);
            CAPTURE(sink.region.right);
            REQUIRE(sink.full_width == whole.width);
            REQUIRE(sink.full_height == whole.height);
            REQUIRE(sink.complete());
            REQUIRE(difference(sink.pixels, cut_out(whole, sink.region),
                               sink.region.right - sink.region.left) == "equal");
        }
    }
}

TEST_CASE("decoders: fast JPEG keeps twice the target, and its rectangles are parts of it") {
    if (!decoded_as_pillow(ImageFormat::jpeg)) {
        MESSAGE("skipped: stb_image does not scale");
        return;
    }
    DecodeOptions fast;
    fast.fast = true;
    for (const char* file :
         {"jpeg_444.jpg", "jpeg_420.jpg", "jpeg_422.jpg", "jpeg_411.jpg", "jpeg_odd_31.jpg",
          "jpeg_grey.jpg", "jpeg_cmyk.jpg", "jpeg_restart.jpg", "jpeg_420_progressive.jpg"}) {
        const GoldenImage golden = golden_image(file);
        const int shortest = std::min(golden.width, golden.height);
        for (const int target : {1, 2, 3, 5, 7, 10, 11, 12, 20, 30}) {
            WholeSink whole;
            decode_rows(golden.encoded, fast, target, whole);
            CAPTURE(golden.name);
            CAPTURE(target);
            const int got = std::min(whole.image.width, whole.image.height);
            CHECK((got == shortest || got >= 2 * target));
            // At 1/8 the next smaller scale does not exist; else it would go below the target.
            CHECK((got <= (shortest + 7) / 8 || got / 2 < 2 * target));
            for (uint32_t seed = 1; seed <= 20; ++seed) {
                RegionSink sink(seed * 104729);
                decode_rows(golden.encoded, fast, target, sink);
                REQUIRE(sink.complete());
                REQUIRE(difference(sink.pixels, cut_out(whole.image, sink.region),
                                   sink.region.right - sink.region.left) == "equal");
            }
        }
    }
}

TEST_CASE("decoders: the target size changes nothing without the fast option") {
    const GoldenImage golden = golden_image("jpeg_420.jpg");
    WholeSink whole;
    decode_rows(golden.encoded, {}, 1, whole);
    CHECK(whole.image.width == golden.width);
}

TEST_CASE("decoders: a JPEG cut below the wanted rows is refused as Pillow refuses it") {
    class TopSink : public RowSink {
    public:
        Region begin(int width, int, ImageFormat) override { return {0, 3, 0, width}; }
        void row(int, const uint8_t*) override {}
    };
    for (const char* file : {"jpeg_restart.jpg", "jpeg_420.jpg", "jpeg_grey.jpg", "jpeg_cmyk.jpg",
                             "jpeg_420_progressive.jpg", "png_rgb8.png", "bmp_24.bmp", "ppm.ppm"}) {
        const GoldenImage golden = golden_image(file);
        CAPTURE(golden.name);
        TopSink whole;
        CHECK_NOTHROW(decode_rows(golden.encoded, {}, 0, whole));
        TopSink cut;
        const auto part = std::span(golden.encoded).first(golden.encoded.size() * 7 / 8);
        CHECK_THROWS_WITH_AS(decode_rows(part, {}, 0, cut), doctest::Contains("truncated"), Error);
    }
}

TEST_CASE("decoders: what the sink throws arrives") {
    class Refuser : public RowSink {
    public:
        explicit Refuser(bool at_begin) : at_begin_(at_begin) {}
        Region begin(int width, int height, ImageFormat) override {
            if (at_begin_)
                throw std::runtime_error("no");
            return {0, height, 0, width};
        }
        void row(int y, const uint8_t*) override {
            if (y == 5)
                throw std::runtime_error("no");
        }

    private:
        bool at_begin_;
    };
    for (const char* file : {"jpeg_420.jpg", "jpeg_cmyk.jpg", "png_rgb8.png",
                             "png_rgb8_interlaced.png", "bmp_24.bmp", "exif_6.upright.jpg"})
        for (const bool at_begin : {false, true}) {
            Refuser sink(at_begin);
            const GoldenImage golden = golden_image(file);
            CHECK_THROWS_AS(decode_rows(golden.encoded, golden.options(), 0, sink),
                            std::runtime_error);
        }
}
