// JPEG by stb_image, for builds without libjpeg-turbo: other rounding than Pillow's, no EXIF of its
// own, no word about missing bytes.
#ifndef YEOUL_WITH_JPEG

#include <numeric>

#include "loader/decoders/decoders.h"
#include "loader/decoders/stb.h"

namespace yeoul::loader {
namespace {

constexpr int kMaxScans = 500;

/// stb_image 2.27 writes past its tables when a Huffman table names more than 256 codes.
void check_huffman_tables(Bytes segment) {
    constexpr size_t kCounts = 16;
    while (!segment.empty()) {
        const size_t codes = segment.size() <= kCounts
                                 ? SIZE_MAX
                                 : std::accumulate(&segment[1], &segment[1] + kCounts, size_t{0});
        if (codes > 256 || codes > segment.size() - 1 - kCounts)
            throw_bad("damaged JPEG (impossible Huffman table); export it again");
        segment = segment.subspan(1 + kCounts + codes);
    }
}

/// All segments, those between scans included: what stb_image takes on trust.
void check_segments(Bytes encoded) {
    constexpr int kHuffmanTables = 0xC4, kEndOfImage = 0xD9, kStartOfScan = 0xDA;
    int scans = 0;
    size_t at = 2;
    for (;;) {
        // Within a scan 0xFF is followed by 0 or by a restart marker.
        while (at + 1 < encoded.size() &&
               (encoded[at] != 0xFF || encoded[at + 1] == 0xFF || encoded[at + 1] == 0 ||
                (encoded[at + 1] >= 0xD0 && encoded[at + 1] <= 0xD8)))
            ++at;
        if (encoded.size() < at + 4 && (encoded.size() < at + 2 || encoded[at + 1] != kEndOfImage))
            throw_bad("truncated JPEG: the file has no end marker; copy it again");
        const int marker = encoded[at + 1];
        if (marker == kEndOfImage)
            return;
        const size_t length = read_be16(&encoded[at + 2]);
        if (length < 2 || length > encoded.size() - at - 2)
            throw_bad("truncated JPEG: the file ends inside a segment; copy it again");
        if (marker == 0xC9 || marker == 0xCA)
            throw_unsupported("JPEG with arithmetic coding is not decoded by this build; convert "
                              "the photo, or build with -DYEOUL_JPEG=ON");
        if (marker == kHuffmanTables)
            check_huffman_tables(encoded.subspan(at + 4, length - 2));
        if (marker == kStartOfScan && ++scans > kMaxScans)
            throw_bad("damaged JPEG (more than 500 scans); export it again");
        at += 2 + length;
    }
}

} // namespace

RowsResult decode_jpeg_rows(Bytes encoded, const ImageHeader& header, int, RowSink& sink) {
    check_segments(encoded);
    const StbPixels pixels = decode_with_stb(encoded, header, "JPEG");
    push_rows(pixels.get(), header.width, header.height, ImageFormat::jpeg, sink);
    return {};
}

std::string jpeg_version() {
    return "";
}

} // namespace yeoul::loader

#endif
