// Binary PGM and PPM (netpbm, pgm(5) and ppm(5)): stb_image reads the samples but neither scales by
// the largest value nor notices a short file, so both are done here.
#include <array>
#include <cmath>
#include <sstream>

#include "loader/decoders/decoders.h"
#include "loader/decoders/stb.h"

namespace yeoul::loader {
namespace {

struct PnmHeader {
    int width = 0, height = 0, largest = 0, channels = 0;
    size_t pixels_at = 0;
};

bool is_space(uint8_t c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/// The next number; `at` ends behind the one space that follows it.
int read_number(Bytes encoded, size_t& at) {
    const auto more = [&] { return at < encoded.size(); };
    while (more() && (is_space(encoded[at]) || encoded[at] == '#')) {
        if (encoded[at] == '#')
            while (more() && encoded[at] != '\n' && encoded[at] != '\r')
                ++at;
        else
            ++at;
    }
    int64_t value = 0;
    int digits = 0;
    while (more() && encoded[at] >= '0' && encoded[at] <= '9' && digits < 10) {
        value = value * 10 + (encoded[at++] - '0');
        ++digits;
    }
    if (!more())
        throw_bad("truncated PNM: the file ends inside its header; copy it again");
    if (digits == 0 || !is_space(encoded[at]) || value > INT32_MAX)
        throw_bad("PNM with a damaged header; export it again");
    ++at;
    return static_cast<int>(value);
}

PnmHeader parse(Bytes encoded) {
    const char kind = static_cast<char>(encoded[1]);
    if (kind != '5' && kind != '6')
        throw_unsupported(std::string("PNM of kind P") + kind +
                          " (text or bitmap) is not supported; convert it to PNG");
    PnmHeader pnm;
    pnm.channels = kind == '6' ? 3 : 1;
    size_t at = 2;
    pnm.width = read_number(encoded, at);
    pnm.height = read_number(encoded, at);
    pnm.largest = read_number(encoded, at);
    pnm.pixels_at = at;
    if (pnm.width == 0 || pnm.height == 0 || pnm.largest == 0 || pnm.largest > 65535) {
        std::ostringstream message;
        message << "PNM of " << pnm.width << "x" << pnm.height << " pixels up to " << pnm.largest
                << "; the file is damaged, export it again";
        throw_bad(message.str());
    }
    if (pnm.largest > 255)
        throw_unsupported("PNM with 16 bits per sample is not supported; convert it to PNG");
    return pnm;
}

} // namespace

ImageHeader read_pnm_header(Bytes encoded) {
    const PnmHeader pnm = parse(encoded);
    return {ImageFormat::pnm, pnm.width, pnm.height, 1};
}

RowsResult decode_pnm_rows(Bytes encoded, const ImageHeader& header, RowSink& sink) {
    const PnmHeader pnm = parse(encoded);
    const size_t samples = size_t(pnm.width) * pnm.height;
    if (samples * pnm.channels > encoded.size() - pnm.pixels_at)
        throw_bad("truncated PNM: " + std::to_string(encoded.size()) + " bytes do not hold " +
                  std::to_string(pnm.width) + "x" + std::to_string(pnm.height) +
                  " pixels; copy it again");
    const StbPixels pixels = decode_with_stb(encoded, header, "PNM");
    if (pnm.largest != 255) {
        // Pillow: min(255, round(value / largest * 255)), halves to even.
        std::array<uint8_t, 256> table;
        for (int i = 0; i < 256; ++i)
            table[i] = static_cast<uint8_t>(
                std::fmin(255.0, std::nearbyint(double(i) / pnm.largest * 255)));
        for (size_t i = 0; i < samples * 3; ++i)
            pixels.get()[i] = table[pixels.get()[i]];
    }
    push_rows(pixels.get(), header.width, header.height, ImageFormat::pnm, sink);
    return {};
}

} // namespace yeoul::loader
