// One photo format each: what its header says, and its rows. A format whose library is left out of
// the build is decoded by stb_image (JPEG, PNG) or refused as unsupported (WebP, HEIC).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "loader/decoders/row_sink.h"
#include "loader/image.h"
#include "yeoul/error.h"

namespace yeoul::loader {

using Bytes = std::span<const uint8_t>;

// Headers. They throw `bad_image` or `unsupported_image`, and allocate next to nothing.
ImageHeader read_jpeg_header(Bytes encoded);
ImageHeader read_png_header(Bytes encoded);
ImageHeader read_webp_header(Bytes encoded);
ImageHeader read_heif_header(Bytes encoded);
ImageHeader read_bmp_header(Bytes encoded);
ImageHeader read_pnm_header(Bytes encoded);

// Rows, unrotated. `header` is what the format's own read function gave, already held against
// `max_pixels`.
RowsResult decode_jpeg_rows(Bytes encoded, const ImageHeader& header, int scale_target,
                            RowSink& sink);
RowsResult decode_png_rows(Bytes encoded, const ImageHeader& header, bool alpha_on_white,
                           RowSink& sink);
RowsResult decode_webp_rows(Bytes encoded, const ImageHeader& header, bool alpha_on_white,
                            RowSink& sink);
/// Of the options `alpha_on_white`, and `max_pixels`: the coded picture may be larger than the part
/// of it that the header shows.
RowsResult decode_heif_rows(Bytes encoded, const ImageHeader& header, const DecodeOptions& options,
                            RowSink& sink);
RowsResult decode_bmp_rows(Bytes encoded, const ImageHeader& header, bool alpha_on_white,
                           RowSink& sink);
RowsResult decode_pnm_rows(Bytes encoded, const ImageHeader& header, RowSink& sink);

// "libpng 1.6.39"; empty where the library is left out.
std::string jpeg_version();
std::string png_version();
std::string webp_version();
std::string heif_version();
std::string stb_version();

/// Throws `image_too_large`.
void check_size(ImageFormat format, int width, int height, int64_t max_pixels);

/// Gives the wanted rows of a whole picture (height, width, 3) to the sink.
void push_rows(const uint8_t* rgb, int width, int height, ImageFormat format, RowSink& sink);

[[noreturn]] inline void throw_bad(const std::string& message) {
    throw Error(ErrorCode::bad_image, message);
}
[[noreturn]] inline void throw_unsupported(const std::string& message) {
    throw Error(ErrorCode::unsupported_image, message);
}

inline uint32_t read_be16(const uint8_t* p) {
    return uint32_t{p[0]} << 8 | p[1];
}
inline uint32_t read_be32(const uint8_t* p) {
    return read_be16(p) << 16 | read_be16(p + 2);
}
inline uint32_t read_le16(const uint8_t* p) {
    return uint32_t{p[1]} << 8 | p[0];
}
inline uint32_t read_le32(const uint8_t* p) {
    return read_le16(p + 2) << 16 | read_le16(p);
}

} // namespace yeoul::loader
