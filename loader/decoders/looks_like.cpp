#include "loader/decoders/looks_like.h"

#include <algorithm>
#include <cstdio>
#include <string>
#include <string_view>

#include "loader/decoders/decoders.h"

namespace yeoul::loader {
namespace {

using namespace std::string_view_literals;

struct Signature {
    size_t at;
    std::string_view bytes;
    std::string_view what;
    bool is_picture;
};

constexpr Signature kSignatures[] = {
    {0, "GIF87a"sv, "a GIF", true},
    {0, "GIF89a"sv, "a GIF", true},
    {0, "II*\0"sv, "a TIFF or a raw camera file", true},
    {0, "MM\0*"sv, "a TIFF or a raw camera file", true},
    {0, "II+\0"sv, "a BigTIFF", true},
    {4, "ftypavif"sv, "an AVIF", true},
    {4, "ftypavis"sv, "an AVIF", true},
    {4, "ftypcrx "sv, "a raw camera file", true},
    {0, "\xFF\x0A"sv, "a JPEG XL", true},
    {0, "\0\0\0\x0CJXL \r\n\x87\n"sv, "a JPEG XL", true},
    {0, "\0\0\0\x0CjP  \r\n\x87\n"sv, "a JPEG 2000", true},
    {0, "\xFF\x4F\xFF\x51"sv, "a JPEG 2000", true},
    {0, "8BPS"sv, "a Photoshop file", true},
    {0, "\0\0\1\0"sv, "an icon (ICO)", true},
    {0, "qoif"sv, "a QOI", true},
    {0, "#?RADIANCE"sv, "a Radiance HDR", true},
    {0, "v/1\1"sv, "an OpenEXR", true},
    {0, "P7\n"sv, "a PAM", true},
    {0, "<svg"sv, "an SVG drawing", true},
    {0, "%PDF-"sv, "a PDF", false},
    {0, "PK\3\4"sv, "a ZIP archive", false},
    {0, "\x1F\x8B"sv, "a gzip archive", false},
    {0, "Rar!"sv, "a RAR archive", false},
    {0, "7z\xBC\xAF"sv, "a 7z archive", false},
    {0,
     "\x7F"
     "ELF"sv,
     "a program", false},
    {4, "ftyp"sv, "an MP4 or QuickTime video", false},
    {4, "moov"sv, "a QuickTime video", false},
    {0, "\x1A\x45\xDF\xA3"sv, "a Matroska or WebM video", false},
    {8, "AVI "sv, "an AVI video", false},
    {8, "WAVE"sv, "a WAV sound", false},
    {0, "ID3"sv, "an MP3", false},
    {0, "OggS"sv, "an Ogg file", false},
    {0, "<!DOCTYPE"sv, "an HTML page (a failed download?)", false},
    {0, "<!doctype"sv, "an HTML page (a failed download?)", false},
    {0, "<html"sv, "an HTML page (a failed download?)", false},
    {0, "<?xml"sv, "an XML document", false},
    {0, "version https://git-lfs"sv, "a Git LFS pointer (run git lfs pull)", false},
};

bool is_text(std::span<const uint8_t> bytes) {
    return std::all_of(bytes.begin(), bytes.end(), [](uint8_t c) {
        // The bytes from 0xF5 and two others never occur in UTF-8.
        return c == '\n' || c == '\r' || c == '\t' ||
               (c >= 0x20 && c != 0x7F && c != 0xC0 && c != 0xC1 && c < 0xF5);
    });
}

std::string hexadecimal(std::span<const uint8_t> bytes) {
    std::string text;
    for (const uint8_t c : bytes) {
        char digits[4];
        std::snprintf(digits, sizeof digits, "%s%02X", text.empty() ? "" : " ", c);
        text += digits;
    }
    return text;
}

} // namespace

void throw_unknown_format(std::span<const uint8_t> encoded) {
    if (encoded.empty())
        throw_bad("the file is empty; copy it again");
    for (const Signature& known : kSignatures) {
        if (encoded.size() < known.at + known.bytes.size() ||
            !std::equal(known.bytes.begin(), known.bytes.end(), encoded.begin() + known.at,
                        [](char a, uint8_t b) { return static_cast<uint8_t>(a) == b; }))
            continue;
        if (known.is_picture)
            throw_unsupported("looks like " + std::string(known.what) +
                              ", which is not supported; convert it to JPEG or PNG");
        throw_bad("not a photo: looks like " + std::string(known.what) +
                  "; give a JPEG, PNG, WebP, HEIC, BMP or PNM file");
    }
    const auto head = encoded.first(std::min<size_t>(encoded.size(), 8));
    if (std::all_of(encoded.begin(), encoded.end(), [](uint8_t c) { return c == 0; }))
        throw_bad("not a photo: all " + std::to_string(encoded.size()) +
                  " bytes are zero (a failed copy?); copy it again");
    if (is_text(encoded.first(std::min<size_t>(encoded.size(), 256))))
        throw_bad("not a photo: looks like text; give a JPEG, PNG, WebP, HEIC, BMP or PNM file");
    throw_bad("not a photo: starts with the bytes " + hexadecimal(head) +
              "; give a JPEG, PNG, WebP, HEIC, BMP or PNM file");
}

} // namespace yeoul::loader
