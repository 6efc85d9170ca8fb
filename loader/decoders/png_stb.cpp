// PNG by stb_image, for builds without libpng: 16 bits are cut to 8, check sums are not looked at.
#ifndef YEOUL_WITH_PNG

#include <string_view>
#include <vector>

#include "loader/decoders/alpha.h"
#include "loader/decoders/decoders.h"
#include "loader/decoders/png_chunks.h"
#include "loader/decoders/stb.h"

namespace yeoul::loader {
namespace {

constexpr size_t kPaletteBytes = 768;

bool is_chunk(Bytes encoded, size_t at, std::string_view type) {
    return std::string_view(reinterpret_cast<const char*>(&encoded[at + 4]), 4) == type;
}

/// Where the first chunk of the type begins; where the last one does, when there is none.
/// stb_image allocates what a chunk claims before it looks for its bytes, so that is checked here.
size_t find_chunk(Bytes encoded, std::string_view type) {
    size_t at = kSignatureBytes;
    for (;;) {
        if (encoded.size() - at < kChunkOverhead ||
            read_be32(&encoded[at]) > encoded.size() - at - kChunkOverhead)
            throw_bad("truncated PNG: the file ends inside a chunk; copy it again");
        if (is_chunk(encoded, at, type) || is_chunk(encoded, at, "IEND"))
            return at;
        at += kChunkOverhead + read_be32(&encoded[at]);
    }
}

/// stb_image leaves colours without an entry uninitialized; Pillow gives black.
std::vector<uint8_t> with_whole_palette(Bytes encoded) {
    const size_t at = find_chunk(encoded, "PLTE");
    const size_t length = read_be32(&encoded[at]);
    std::vector<uint8_t> whole(encoded.begin(), encoded.end());
    if (!is_chunk(encoded, at, "PLTE") || length >= kPaletteBytes)
        return whole;
    whole[at + 2] = kPaletteBytes >> 8;
    whole[at + 3] = kPaletteBytes & 255;
    whole.insert(whole.begin() + static_cast<ptrdiff_t>(at + 8 + length), kPaletteBytes - length,
                 0);
    return whole;
}

} // namespace

RowsResult decode_png_rows(Bytes encoded, const ImageHeader& header, bool alpha_on_white,
                           RowSink& sink) {
    constexpr int kPalette = 3;
    const int depth = encoded[24], colour = encoded[25];
    find_chunk(encoded, "IEND");
    const int channels = alpha_on_white ? 4 : 3;
    const StbPixels pixels =
        colour == kPalette ? decode_with_stb(with_whole_palette(encoded), header, "PNG", channels)
                           : decode_with_stb(encoded, header, "PNG", channels);
    if (alpha_on_white)
        flatten(pixels.get(), size_t(header.width) * header.height);
    push_rows(pixels.get(), header.width, header.height, ImageFormat::png, sink);
    const bool is_grey16 = depth == 16 && colour == 0;
    return {is_grey16 ? "16-bit grey shifted to 8 bits by stb_image; Pillow clips it" : ""};
}

std::string png_version() {
    return "";
}

} // namespace yeoul::loader

#endif
