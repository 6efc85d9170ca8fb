// BMP: the header is read and checked here, because stb_image fills missing pixels and palette
// entries with whatever is there; the pixels are stb_image's, corrected where Pillow rounds
// otherwise.
#include <algorithm>
#include <array>
#include <bit>
#include <sstream>

#include "loader/decoders/decoders.h"
#include "loader/decoders/stb.h"

namespace yeoul::loader {
namespace {

constexpr uint32_t kRaw = 0, kBitfields = 3;
constexpr size_t kFileHeaderBytes = 14;

struct BmpHeader {
    int width = 0, height = 0, bits = 0;
    uint32_t header_bytes = 0, compression = kRaw, pixel_offset = 0;
    uint32_t masks[3] = {0x7C00, 0x3E0, 0x1F}; // the 16-bit layout without bit fields

    size_t row_bytes() const { return (size_t(width) * bits + 7) / 8; }
    size_t stride() const { return (row_bytes() + 3) & ~size_t{3}; }
};

void require_bytes(Bytes encoded, size_t count) {
    if (encoded.size() < count)
        throw_bad("truncated BMP: the file ends inside its header; copy it again");
}

BmpHeader parse(Bytes encoded) {
    require_bytes(encoded, kFileHeaderBytes + 12);
    BmpHeader bmp;
    bmp.pixel_offset = read_le32(&encoded[10]);
    bmp.header_bytes = read_le32(&encoded[14]);
    const uint8_t* fields = &encoded[kFileHeaderBytes];
    int64_t height = 0, width = 0;
    if (bmp.header_bytes == 12) {
        width = read_le16(fields + 4);
        height = read_le16(fields + 6);
        bmp.bits = static_cast<int>(read_le16(fields + 10));
    } else if (bmp.header_bytes == 40 || bmp.header_bytes == 56 || bmp.header_bytes == 108 ||
               bmp.header_bytes == 124) {
        require_bytes(encoded, kFileHeaderBytes + bmp.header_bytes);
        width = static_cast<int32_t>(read_le32(fields + 4));
        height = static_cast<int32_t>(read_le32(fields + 8));
        bmp.bits = static_cast<int>(read_le16(fields + 14));
        bmp.compression = read_le32(fields + 16);
    } else {
        throw_unsupported("BMP with a header of " + std::to_string(bmp.header_bytes) +
                          " bytes is not supported; convert it to PNG");
    }
    bmp.width = static_cast<int>(width);
    // Negative where the rows go from top to bottom.
    bmp.height = static_cast<int>(std::min<int64_t>(height < 0 ? -height : height, INT32_MAX));
    if (width <= 0 || height == 0) {
        std::ostringstream size;
        size << "BMP of " << width << "x" << height
             << " pixels; the file is damaged, export it again";
        throw_bad(size.str());
    }
    if (bmp.bits != 1 && bmp.bits != 4 && bmp.bits != 8 && bmp.bits != 16 && bmp.bits != 24 &&
        bmp.bits != 32)
        throw_bad("BMP with " + std::to_string(bmp.bits) +
                  " bits per pixel; the file is damaged, export it again");
    if (bmp.compression != kRaw && bmp.compression != kBitfields)
        throw_unsupported("BMP with compression " + std::to_string(bmp.compression) +
                          " is not supported; convert it to PNG");
    if (bmp.header_bytes == 12 && bmp.bits < 24)
        throw_unsupported("BMP of OS/2 with a palette is not supported; convert it to PNG");
    if (bmp.compression == kBitfields && bmp.bits == 16) {
        // After a 40-byte header, and inside of the longer ones: the same place.
        require_bytes(encoded, kFileHeaderBytes + 52);
        for (int c = 0; c < 3; ++c)
            bmp.masks[c] = read_le32(fields + 40 + 4 * c);
    }
    return bmp;
}

void check_pixels(Bytes encoded, const BmpHeader& bmp) {
    // The padding of the last row may be absent, as for Pillow.
    const size_t needed = (size_t(bmp.height) - 1) * bmp.stride() + bmp.row_bytes();
    if (bmp.pixel_offset > encoded.size() || needed > encoded.size() - bmp.pixel_offset)
        throw_bad("truncated BMP: " + std::to_string(encoded.size()) + " bytes do not hold " +
                  std::to_string(bmp.width) + "x" + std::to_string(bmp.height) +
                  " pixels; copy it again");
    if (bmp.bits > 8)
        return;
    const size_t palette_at = kFileHeaderBytes + bmp.header_bytes;
    const size_t colours = bmp.pixel_offset < palette_at ? 0 : (bmp.pixel_offset - palette_at) / 4;
    const int per_byte = 8 / bmp.bits, mask = (1 << bmp.bits) - 1;
    int largest = 0;
    for (int y = 0; y < bmp.height; ++y) {
        const uint8_t* row = &encoded[bmp.pixel_offset + y * bmp.stride()];
        for (int x = 0; x < bmp.width; ++x) {
            const int shift = 8 - bmp.bits * (x % per_byte + 1);
            largest = std::max(largest, row[x / per_byte] >> shift & mask);
        }
    }
    if (static_cast<size_t>(largest) >= colours)
        throw_bad("BMP that uses colour " + std::to_string(largest) + " of a palette with " +
                  std::to_string(colours) + "; the file is damaged, export it again");
}

/// stb_image widens 5 and 6 bits by repeating the upper ones, Pillow by value * 255 / 31 and
/// value * 255 / 63, cut to an integer. The upper bits of a widened value are the stored ones.
std::array<uint8_t, 256> widening(uint32_t mask) {
    const int bits = std::popcount(mask), largest = (1 << bits) - 1;
    std::array<uint8_t, 256> table;
    for (int i = 0; i < 256; ++i)
        table[i] = static_cast<uint8_t>((i >> (8 - bits)) * 255 / largest);
    return table;
}

void widen_as_pillow(const BmpHeader& bmp, uint8_t* rgb) {
    std::array<uint8_t, 256> tables[3];
    for (int c = 0; c < 3; ++c)
        tables[c] = widening(bmp.masks[c]);
    const size_t pixels = size_t(bmp.width) * bmp.height;
    for (size_t i = 0; i < pixels; ++i, rgb += 3)
        for (int c = 0; c < 3; ++c)
            rgb[c] = tables[c][rgb[c]];
}

} // namespace

ImageHeader read_bmp_header(Bytes encoded) {
    const BmpHeader bmp = parse(encoded);
    return {ImageFormat::bmp, bmp.width, bmp.height, 1};
}

RowsResult decode_bmp_rows(Bytes encoded, const ImageHeader& header, RowSink& sink) {
    const BmpHeader bmp = parse(encoded);
    check_pixels(encoded, bmp);
    if (bmp.bits == 16) {
        const auto is = [&](uint32_t red, uint32_t green, uint32_t blue) {
            return bmp.masks[0] == red && bmp.masks[1] == green && bmp.masks[2] == blue;
        };
        if (!is(0xF800, 0x7E0, 0x1F) && !is(0x7C00, 0x3E0, 0x1F))
            throw_unsupported("BMP with an unusual 16-bit layout is not supported; convert it to "
                              "PNG");
    }
    const StbPixels pixels = decode_with_stb(encoded, header, "BMP");
    if (bmp.bits == 16)
        widen_as_pillow(bmp, pixels.get());
    push_rows(pixels.get(), header.width, header.height, ImageFormat::bmp, sink);
    return {};
}

} // namespace yeoul::loader
