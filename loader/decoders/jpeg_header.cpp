// JPEG markers up to the first scan (ITU-T T.81, annex B), as Pillow walks them.
#include <algorithm>
#include <optional>
#include <sstream>
#include <string_view>

#include "loader/decoders/decoders.h"
#include "loader/exif.h"

namespace yeoul::loader {
namespace {

constexpr int kStartOfScan = 0xDA, kEndOfImage = 0xD9, kApp1 = 0xE1;

bool is_frame(int marker) {
    // 0xC4, 0xC8 and 0xCC lie in the range of the frame headers and are tables.
    return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
}

bool stands_alone(int marker) {
    return marker == 0x01 || (marker >= 0xD0 && marker <= 0xD8);
}

bool starts_with(Bytes bytes, std::string_view prefix) {
    return bytes.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), bytes.begin());
}

void read_frame(int marker, Bytes segment, ImageHeader& header) {
    if (segment.size() < 6)
        throw_bad("JPEG whose frame header is too short; the file is damaged, export it again");
    const int precision = segment[0], components = segment[5];
    header.height = static_cast<int>(read_be16(&segment[1]));
    header.width = static_cast<int>(read_be16(&segment[3]));
    const bool decodable =
        marker == 0xC0 || marker == 0xC1 || marker == 0xC2 || marker == 0xC9 || marker == 0xCA;
    std::ostringstream what;
    if (!decodable)
        what << "JPEG coded as SOF" << marker - 0xC0 << " (lossless or hierarchical)";
    else if (precision != 8)
        what << "JPEG with " << precision << " bits per sample";
    else if (components != 1 && components != 3 && components != 4)
        what << "JPEG with " << components << " colour components";
    if (!what.str().empty())
        throw_unsupported(what.str() + " is not supported; convert it to a usual 8-bit JPEG");
    if (header.width == 0 || header.height == 0) {
        std::ostringstream size;
        size << "JPEG of " << header.width << "x" << header.height
             << " pixels; the file is damaged, export it again";
        throw_bad(size.str());
    }
}

} // namespace

ImageHeader read_jpeg_header(Bytes encoded) {
    constexpr std::string_view kExif{"Exif\0\0", 6};
    constexpr std::string_view kXmp{"http://ns.adobe.com/xap/1.0/\0", 29};
    ImageHeader header;
    header.format = ImageFormat::jpeg;
    std::optional<int> exif, xmp;
    bool has_exif = false;
    size_t at = 2;
    for (;;) {
        // Bytes between segments are skipped, and a marker may be preceded by any number of 0xFF.
        while (at < encoded.size() && encoded[at] != 0xFF)
            ++at;
        while (at < encoded.size() && encoded[at] == 0xFF)
            ++at;
        if (at >= encoded.size())
            throw_bad("truncated JPEG: the file ends before the first scan; copy it again");
        const int marker = encoded[at++];
        if (marker == 0 || stands_alone(marker))
            continue;
        if (marker == kStartOfScan || marker == kEndOfImage)
            break;
        if (encoded.size() - at < 2)
            throw_bad("truncated JPEG: the file ends inside its header; copy it again");
        const size_t length = read_be16(&encoded[at]);
        if (length < 2)
            throw_bad("JPEG with an impossible segment length; the file is damaged, export it "
                      "again");
        if (length > encoded.size() - at)
            throw_bad("truncated JPEG: the file ends inside its header; copy it again");
        const Bytes segment = encoded.subspan(at + 2, length - 2);
        at += length;
        if (is_frame(marker)) {
            read_frame(marker, segment, header);
        } else if (marker == kApp1 && !has_exif && starts_with(segment, kExif)) {
            has_exif = true;
            exif = exif_orientation(segment);
        } else if (marker == kApp1 && !xmp && starts_with(segment, kXmp)) {
            xmp = xmp_orientation(segment.subspan(kXmp.size()));
        }
    }
    if (header.width == 0)
        throw_bad("JPEG without a frame header; the file is damaged, export it again");
    header.exif_orientation = exif ? *exif : xmp.value_or(1);
    return header;
}

} // namespace yeoul::loader
