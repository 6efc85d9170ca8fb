// PNG chunks (PNG specification, third edition, 5.3): the size, and the orientation wherever the
// file keeps it.
#include <algorithm>
#include <optional>
#include <sstream>
#include <string_view>

#include "loader/decoders/decoders.h"
#include "loader/decoders/png_chunks.h"
#include "loader/exif.h"

namespace yeoul::loader {
namespace {

bool valid_depth(int colour, int depth) {
    switch (colour) {
    case 0:
        return depth == 1 || depth == 2 || depth == 4 || depth == 8 || depth == 16;
    case 3:
        return depth == 1 || depth == 2 || depth == 4 || depth == 8;
    case 2:
    case 4:
    case 6:
        return depth == 8 || depth == 16;
    default:
        return false;
    }
}

std::optional<int> chunk_orientation(std::string_view type, Bytes data, bool& is_exif) {
    // Uncompressed international text: keyword, NUL, two zero flags, language, translation, text.
    constexpr std::string_view kXmp{"XML:com.adobe.xmp\0\0\0\0\0", 22};
    if (type == "eXIf") {
        is_exif = true;
        return exif_orientation(data);
    }
    if (type == "iTXt" && data.size() > kXmp.size() &&
        std::equal(kXmp.begin(), kXmp.end(), data.begin()))
        return xmp_orientation(data.subspan(kXmp.size()));
    return std::nullopt;
}

} // namespace

ImageHeader read_png_header(Bytes encoded) {
    if (encoded.size() < kSignatureBytes + kChunkOverhead + 13)
        throw_bad("truncated PNG: the file ends inside its header; copy it again");
    const uint8_t* first = &encoded[kSignatureBytes];
    if (read_be32(first) != 13 || !std::equal(first + 4, first + 8, "IHDR"))
        throw_bad("PNG that does not begin with its header chunk; the file is damaged, export it "
                  "again");
    const uint32_t width = read_be32(first + 8), height = read_be32(first + 12);
    const int depth = first[16], colour = first[17];
    std::ostringstream what;
    if (width == 0 || height == 0 || width > INT32_MAX || height > INT32_MAX)
        what << "PNG of " << width << "x" << height << " pixels";
    else if (!valid_depth(colour, depth))
        what << "PNG of colour type " << colour << " with " << depth << " bits";
    if (!what.str().empty())
        throw_bad(what.str() + "; the file is damaged, export it again");

    ImageHeader header;
    header.format = ImageFormat::png;
    header.width = static_cast<int>(width);
    header.height = static_cast<int>(height);
    std::optional<int> exif, xmp;
    size_t at = kSignatureBytes;
    while (encoded.size() - at >= kChunkOverhead) {
        const size_t length = read_be32(&encoded[at]);
        if (length > encoded.size() - at - kChunkOverhead)
            break;
        const std::string_view type(reinterpret_cast<const char*>(&encoded[at + 4]), 4);
        bool is_exif = false;
        if (const auto found = chunk_orientation(type, encoded.subspan(at + 8, length), is_exif))
            (is_exif ? exif : xmp) = found;
        at += kChunkOverhead + length;
    }
    header.exif_orientation = exif ? *exif : xmp.value_or(1);
    return header;
}

} // namespace yeoul::loader
