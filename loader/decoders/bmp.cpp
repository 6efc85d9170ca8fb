// BMP, as Pillow reads it (Pillow, BmpImagePlugin.py): which masks it knows, and that only masks
// make an alpha channel, never the fourth byte of 32 bits without them. Palettes are stb_image's;
// it fills missing pixels and palette entries with whatever is there, so the header is checked
// here.
#include <algorithm>
#include <array>
#include <iterator>
#include <sstream>
#include <vector>

#include "loader/decoders/alpha.h"
#include "loader/decoders/decoders.h"
#include "loader/decoders/stb.h"

namespace yeoul::loader {
namespace {

constexpr uint32_t kRaw = 0, kBitfields = 3;
constexpr size_t kFileHeaderBytes = 14;
constexpr uint32_t kHeaders[] = {40, 52, 56, 64, 108, 124};
using Masks = std::array<uint32_t, 4>; // red, green, blue, alpha

struct BmpHeader {
    int width = 0, height = 0, bits = 0;
    bool bottom_up = true;
    uint32_t header_bytes = 0, compression = kRaw, pixel_offset = 0;
    Masks masks{}; // with bit fields

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
    } else if (std::find(std::begin(kHeaders), std::end(kHeaders), bmp.header_bytes) !=
               std::end(kHeaders)) {
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
    bmp.bottom_up = height >= 0;
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
    const bool rare = bmp.header_bytes == 12 || bmp.header_bytes == 52 || bmp.header_bytes == 64;
    if (rare && bmp.bits <= 8)
        throw_unsupported("BMP with a header of " + std::to_string(bmp.header_bytes) +
                          " bytes and a palette is not supported; convert it to PNG");
    if (bmp.compression == kBitfields) {
        // After a 40-byte header, and inside of the longer ones: the same place.
        require_bytes(encoded, kFileHeaderBytes + 52);
        for (int c = 0; c < 3; ++c)
            bmp.masks[c] = read_le32(fields + 40 + 4 * c);
        if (bmp.header_bytes >= 56)
            bmp.masks[3] = read_le32(fields + 52);
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

/// Where the channels of a pixel of 3 or 4 bytes lie; alpha -1: there is none.
struct ByteLayout {
    int red = 2, green = 1, blue = 0, alpha = -1;
};
[[noreturn]] void throw_unusual_layout(const BmpHeader& bmp) {
    throw_unsupported("BMP with an unusual " + std::to_string(bmp.bits) +
                      "-bit layout is not supported; convert it to PNG");
}

ByteLayout byte_layout(const BmpHeader& bmp) {
    const bool blue_first =
        bmp.masks[0] == 0xFF0000 && bmp.masks[1] == 0xFF00 && bmp.masks[2] == 0xFF;
    if (bmp.compression == kRaw || (bmp.bits == 24 && blue_first))
        return {};
    const struct {
        Masks masks;
        ByteLayout layout;
    } kKnown[] = {{{0xFF0000, 0xFF00, 0xFF, 0}, {2, 1, 0, -1}},
                  {{0xFF000000, 0xFF0000, 0xFF00, 0}, {3, 2, 1, -1}},
                  {{0xFF000000, 0xFF00, 0xFF, 0}, {3, 1, 0, -1}},
                  {{0xFF000000, 0xFF0000, 0xFF00, 0xFF}, {3, 2, 1, 0}},
                  {{0xFF, 0xFF00, 0xFF0000, 0xFF000000}, {0, 1, 2, 3}},
                  {{0xFF0000, 0xFF00, 0xFF, 0xFF000000}, {2, 1, 0, 3}},
                  {{0xFF000000, 0xFF00, 0xFF, 0xFF0000}, {3, 1, 0, 2}},
                  {{0, 0, 0, 0}, {2, 1, 0, 3}}};
    for (const auto& [masks, layout] : kKnown)
        if (bmp.bits == 32 && masks == bmp.masks)
            return layout;
    throw_unusual_layout(bmp);
}

/// Pillow widens `bits` bits to 8 by value * 255 / the largest, cut to an integer.
uint8_t widen(uint32_t value, int bits) {
    const uint32_t largest = (1u << bits) - 1;
    return static_cast<uint8_t>((value & largest) * 255 / largest);
}

/// Red of 5, green of `green_bits` and blue of 5 bits in 16.
void convert_words(const uint8_t* x, int count, int green_bits, uint8_t* rgb) {
    for (int i = 0; i < count; ++i, x += 2, rgb += 3) {
        const uint32_t word = read_le16(x);
        rgb[0] = widen(word >> (5 + green_bits), 5);
        rgb[1] = widen(word >> 5, green_bits);
        rgb[2] = widen(word, 5);
    }
}

void convert_bytes(const uint8_t* x, int count, int pixel_bytes, ByteLayout layout,
                   bool alpha_on_white, uint8_t* rgb) {
    for (int i = 0; i < count; ++i, x += pixel_bytes, rgb += 3) {
        rgb[0] = x[layout.red];
        rgb[1] = x[layout.green];
        rgb[2] = x[layout.blue];
        if (alpha_on_white && layout.alpha >= 0)
            lay_on_white(rgb, x[layout.alpha]);
    }
}

int green_bits(const BmpHeader& bmp) {
    const auto is = [&](uint32_t red, uint32_t green, uint32_t blue) {
        return bmp.masks[0] == red && bmp.masks[1] == green && bmp.masks[2] == blue;
    };
    if (bmp.compression == kRaw || is(0x7C00, 0x3E0, 0x1F))
        return 5;
    if (is(0xF800, 0x7E0, 0x1F))
        return 6;
    throw_unusual_layout(bmp);
}

/// Pixels of 16, 24 or 32 bits.
void push_colours(Bytes encoded, const BmpHeader& bmp, bool alpha_on_white, RowSink& sink) {
    const bool words = bmp.bits == 16;
    const int green = words ? green_bits(bmp) : 0, pixel_bytes = bmp.bits / 8;
    const ByteLayout layout = words ? ByteLayout{} : byte_layout(bmp);
    const Region region = sink.begin(bmp.width, bmp.height, ImageFormat::bmp);
    const int count = region.right - region.left;
    std::vector<uint8_t> rgb(size_t(std::max(count, 0)) * 3);
    for (int y = region.top; y < region.bottom; ++y) {
        const int row = bmp.bottom_up ? bmp.height - 1 - y : y;
        const uint8_t* x =
            &encoded[bmp.pixel_offset + bmp.stride() * row + size_t(region.left) * pixel_bytes];
        if (words)
            convert_words(x, count, green, rgb.data());
        else
            convert_bytes(x, count, pixel_bytes, layout, alpha_on_white, rgb.data());
        sink.row(y, rgb.data());
    }
}

} // namespace

ImageHeader read_bmp_header(Bytes encoded) {
    const BmpHeader bmp = parse(encoded);
    return {ImageFormat::bmp, bmp.width, bmp.height, 1};
}

RowsResult decode_bmp_rows(Bytes encoded, const ImageHeader& header, bool alpha_on_white,
                           RowSink& sink) {
    const BmpHeader bmp = parse(encoded);
    check_pixels(encoded, bmp);
    if (bmp.bits > 8) {
        push_colours(encoded, bmp, alpha_on_white, sink);
        return {};
    }
    const StbPixels pixels = decode_with_stb(encoded, header, "BMP");
    push_rows(pixels.get(), header.width, header.height, ImageFormat::bmp, sink);
    return {};
}

} // namespace yeoul::loader
