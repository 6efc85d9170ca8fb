#include "loader/image.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "loader/decoders/decoders.h"
#include "loader/decoders/looks_like.h"
#include "loader/decoders/rotate.h"
#include "loader/decoders/row_sink.h"

namespace yeoul::loader {
namespace {

bool has(Bytes bytes, size_t at, std::string_view wanted) {
    return bytes.size() >= at + wanted.size() &&
           std::equal(wanted.begin(), wanted.end(), bytes.begin() + at,
                      [](char a, uint8_t b) { return static_cast<uint8_t>(a) == b; });
}

bool is_heic(Bytes bytes) {
    if (!has(bytes, 4, "ftyp") || bytes.size() < 12)
        return false;
    constexpr std::string_view kMajor[] = {"heic", "heix", "hevc", "hevx", "heim", "heis"};
    for (const std::string_view brand : kMajor)
        if (has(bytes, 8, brand))
            return true;
    if (!has(bytes, 8, "mif1") && !has(bytes, 8, "msf1"))
        return false;
    // The general brands hold any codec; the compatible ones, from byte 16, say which.
    const size_t end = std::min<size_t>(read_be32(bytes.data()), bytes.size());
    for (size_t at = 16; at + 4 <= end; at += 4)
        for (const std::string_view brand : kMajor)
            if (has(bytes, at, brand))
                return true;
    return false;
}

bool is_pnm(Bytes bytes) {
    return bytes.size() >= 3 && bytes[0] == 'P' && bytes[1] >= '1' && bytes[1] <= '6' &&
           (bytes[2] == ' ' || bytes[2] == '#' || (bytes[2] >= '\t' && bytes[2] <= '\r'));
}

RowsResult decode_unrotated(Bytes encoded, const ImageHeader& header, const DecodeOptions& options,
                            int scale_target, RowSink& sink) {
    switch (header.format) {
    case ImageFormat::jpeg:
        return decode_jpeg_rows(encoded, header, scale_target, sink);
    case ImageFormat::png:
        return decode_png_rows(encoded, header, options.alpha_on_white, sink);
    case ImageFormat::webp:
        return decode_webp_rows(encoded, header, options.alpha_on_white, sink);
    case ImageFormat::heif:
        return decode_heif_rows(encoded, header, options, sink);
    case ImageFormat::bmp:
        return decode_bmp_rows(encoded, header, options.alpha_on_white, sink);
    case ImageFormat::pnm:
        return decode_pnm_rows(encoded, header, sink);
    case ImageFormat::unknown:
        break;
    }
    throw_unknown_format(encoded);
}

class ImageSink : public RowSink {
public:
    explicit ImageSink(Image& image) : image_(image) {}

    Region begin(int width, int height, ImageFormat format) override {
        image_.width = width;
        image_.height = height;
        image_.format = format;
        image_.rgb.resize(size_t(width) * height * 3);
        return {0, height, 0, width};
    }
    void row(int y, const uint8_t* rgb) override {
        const size_t row_bytes = size_t(image_.width) * 3;
        std::memcpy(&image_.rgb[row_bytes * y], rgb, row_bytes);
    }

private:
    Image& image_;
};

constexpr std::string_view kExtensions[] = {
    ".jpg",  ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".pgm", ".ppm", ".pnm",
#ifdef YEOUL_WITH_WEBP
    ".webp",
#endif
#ifdef YEOUL_WITH_HEIF
    ".heic", ".heif",
#endif
};

} // namespace

std::string_view name(ImageFormat format) {
    constexpr std::string_view kNames[] = {"unknown", "jpeg", "png", "webp", "heif", "bmp", "pnm"};
    return kNames[static_cast<int>(format)];
}

ImageFormat sniff(std::span<const uint8_t> encoded) {
    using namespace std::string_view_literals;
    if (has(encoded, 0, "\xFF\xD8\xFF"sv))
        return ImageFormat::jpeg;
    if (has(encoded, 0, "\x89PNG\r\n\x1A\n"sv))
        return ImageFormat::png;
    if (has(encoded, 0, "RIFF"sv) && has(encoded, 8, "WEBP"sv))
        return ImageFormat::webp;
    if (is_heic(encoded))
        return ImageFormat::heif;
    if (has(encoded, 0, "BM"sv) && encoded.size() >= 18 && encoded[15] == 0 && encoded[16] == 0)
        return ImageFormat::bmp;
    if (is_pnm(encoded))
        return ImageFormat::pnm;
    return ImageFormat::unknown;
}

ImageHeader read_header(std::span<const uint8_t> encoded) {
    switch (sniff(encoded)) {
    case ImageFormat::jpeg:
        return read_jpeg_header(encoded);
    case ImageFormat::png:
        return read_png_header(encoded);
    case ImageFormat::webp:
        return read_webp_header(encoded);
    case ImageFormat::heif:
        return read_heif_header(encoded);
    case ImageFormat::bmp:
        return read_bmp_header(encoded);
    case ImageFormat::pnm:
        return read_pnm_header(encoded);
    case ImageFormat::unknown:
        break;
    }
    throw_unknown_format(encoded);
}

void check_size(ImageFormat format, int width, int height, int64_t max_pixels) {
    const int64_t pixels = int64_t{width} * height;
    if (pixels > max_pixels)
        throw Error(ErrorCode::image_too_large,
                    std::string(name(format)) + " of " + std::to_string(width) + "x" +
                        std::to_string(height) + " is " + std::to_string(pixels) +
                        " pixels, above the limit of " + std::to_string(max_pixels) +
                        "; shrink it or raise --max-pixels");
}

void push_rows(const uint8_t* rgb, int width, int height, ImageFormat format, RowSink& sink) {
    const Region region = sink.begin(width, height, format);
    for (int y = region.top; y < region.bottom; ++y)
        sink.row(y, rgb + (size_t(width) * y + region.left) * 3);
}

RowsResult decode_rows(std::span<const uint8_t> encoded, const DecodeOptions& options,
                       int scale_target, RowSink& sink) {
    const ImageHeader header = read_header(encoded);
    check_size(header.format, header.width, header.height, options.max_pixels);
    const int target = options.fast ? scale_target : 0;
    if (!options.exif_rotate || header.exif_orientation == 1)
        return decode_unrotated(encoded, header, options, target, sink);
    RotatingSink rotating(header.exif_orientation, sink);
    RowsResult result = decode_unrotated(encoded, header, options, target, rotating);
    rotating.finish();
    return result;
}

Image decode(std::span<const uint8_t> encoded, const DecodeOptions& options) {
    Image image;
    ImageSink sink(image);
    image.warning = decode_rows(encoded, options, 0, sink).warning;
    return image;
}

std::span<const std::string_view> known_extensions() {
    return kExtensions;
}

std::vector<std::string> decoder_versions() {
    std::vector<std::string> versions;
    for (const std::string& version :
         {jpeg_version(), png_version(), webp_version(), heif_version(), stb_version()})
        if (!version.empty())
            versions.push_back(version);
    return versions;
}

} // namespace yeoul::loader
