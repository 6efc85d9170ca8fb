// PNG by libpng, which only undoes compression and filters here: samples become RGB by Pillow's
// rules (Pillow, PngImagePlugin.py, `_MODES`, then convert("RGB")).
#ifdef YEOUL_WITH_PNG

#include <png.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <vector>

#include "loader/decoders/alpha.h"
#include "loader/decoders/decoders.h"
#include "loader/decoders/long_jump.h"

namespace yeoul::loader {
namespace {

struct Reader {
    Bytes encoded;
    size_t at = 0;
};

[[noreturn]] void jump_out(png_structp png, png_const_charp message) {
    auto* jump = static_cast<LongJump*>(png_get_error_ptr(png));
    std::snprintf(jump->message, sizeof jump->message, "%s", message);
    std::longjmp(jump->target, 1);
}

void ignore_warning(png_structp, png_const_charp) {}

void read_bytes(png_structp png, png_bytep out, size_t count) {
    auto* reader = static_cast<Reader*>(png_get_io_ptr(png));
    if (count > reader->encoded.size() - reader->at)
        png_error(png, "the file ends early");
    std::memcpy(out, &reader->encoded[reader->at], count);
    reader->at += count;
}

/// tRNS: an alpha for each index of a palette, or the one colour that is not seen.
struct Transparency {
    bool by_index = false, by_key = false;
    std::array<uint8_t, 256> alpha = opaque();
    std::array<uint8_t, 3> key{};

    static std::array<uint8_t, 256> opaque() {
        std::array<uint8_t, 256> all{};
        all.fill(255);
        return all;
    }
};

class PngDecoder {
public:
    explicit PngDecoder(Bytes encoded) : reader_{encoded} {
        png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, &jump_, jump_out, ignore_warning);
        info_ = png_ ? png_create_info_struct(png_) : nullptr;
        if (!info_) {
            png_destroy_read_struct(&png_, nullptr, nullptr);
            throw OutOfMemory(0, "a PNG decoder");
        }
    }
    ~PngDecoder() { png_destroy_read_struct(&png_, &info_, nullptr); }
    PngDecoder(const PngDecoder&) = delete;
    PngDecoder& operator=(const PngDecoder&) = delete;

    void read_header() {
        call([this] {
            png_set_read_fn(png_, &reader_, read_bytes);
            // The caller holds the size against its own limit.
            png_set_user_limits(png_, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
            // Pillow refuses a chunk with a wrong check sum, text and profiles included; their
            // content is of no use here, so it is never unpacked.
            png_set_crc_action(png_, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
            png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
            png_read_info(png_, info_);
            png_set_packing(png_);
            png_read_update_info(png_, info_);
        });
    }

    void read_row(uint8_t* row) {
        call([&] { png_read_row(png_, row, nullptr); });
    }

    int width() const { return static_cast<int>(png_get_image_width(png_, info_)); }
    int height() const { return static_cast<int>(png_get_image_height(png_, info_)); }
    int colour() const { return png_get_color_type(png_, info_); }
    bool interlaced() const { return png_get_interlace_type(png_, info_) != PNG_INTERLACE_NONE; }
    size_t row_bytes() const { return png_get_rowbytes(png_, info_); }

    /// Deflate makes at most 1,032 bytes of one (zlib, "Maximum Expansion Factor"), so a claimed
    /// size can be refused before memory is taken for it. The filter bytes are left out, and the
    /// bits of a narrow row counted without padding: the passes of an interlaced file have less.
    bool too_short_for_its_size() const {
        const uint64_t bits = uint64_t{png_get_bit_depth(png_, info_)} *
                              png_get_channels(png_, info_) * png_get_image_width(png_, info_) *
                              png_get_image_height(png_, info_);
        return bits / 8 / 1032 > reader_.encoded.size();
    }

    /// What the file says of transparency beside an alpha channel.
    Transparency transparency() {
        Transparency found;
        png_bytep alphas = nullptr;
        png_color_16p key = nullptr;
        int count = 0;
        png_uint_32 there = 0;
        call([&] { there = png_get_tRNS(png_, info_, &alphas, &count, &key); });
        if (there == 0)
            return found;
        if (colour() == PNG_COLOR_TYPE_PALETTE) {
            found.by_index = true;
            std::copy_n(alphas, std::min(count, 256), found.alpha.begin());
            return found;
        }
        // Pillow holds the low byte of the key against the 8-bit sample, whatever the depth.
        found.by_key = true;
        const bool grey = colour() == PNG_COLOR_TYPE_GRAY;
        found.key = {static_cast<uint8_t>(grey ? key->gray : key->red),
                     static_cast<uint8_t>(grey ? key->gray : key->green),
                     static_cast<uint8_t>(grey ? key->gray : key->blue)};
        return found;
    }

    /// Black where the palette has no entry, as in Pillow.
    std::array<uint8_t, 256 * 3> palette() {
        std::array<uint8_t, 256 * 3> colours{};
        png_colorp entries = nullptr;
        int count = 0;
        call([&] { png_get_PLTE(png_, info_, &entries, &count); });
        for (int i = 0; i < std::min(count, 256); ++i) {
            colours[3 * i] = entries[i].red;
            colours[3 * i + 1] = entries[i].green;
            colours[3 * i + 2] = entries[i].blue;
        }
        return colours;
    }

private:
    template <class Call>
    void call(const Call& function) {
        if (completes(jump_, function))
            return;
        const std::string text = jump_.message;
        if (reader_.at == reader_.encoded.size() || text == "the file ends early")
            throw_bad("truncated PNG (" + text + "); copy it again");
        if (text == "Out of memory" || text.find("out of memory") != std::string::npos)
            throw OutOfMemory(0, "a PNG decoder");
        throw_bad("damaged PNG (" + text + "); export it again");
    }

    LongJump jump_{};
    Reader reader_;
    png_structp png_ = nullptr;
    png_infop info_ = nullptr;
};

/// Samples of a row, one byte each below 16 bits and big-endian pairs at 16, to RGB.
class RowConverter {
public:
    RowConverter(int colour, int depth, const std::array<uint8_t, 256 * 3>& colours,
                 const Transparency& transparency, bool alpha_on_white)
        : bytes_per_sample_(depth == 16 ? 2 : 1), colours_(colours), transparency_(transparency) {
        const bool has_alpha = (colour & PNG_COLOR_MASK_ALPHA) != 0;
        is_rgb_ = colour == PNG_COLOR_TYPE_RGB || colour == PNG_COLOR_TYPE_RGB_ALPHA;
        pixel_bytes_ = ((is_rgb_ ? 3 : 1) + (has_alpha ? 1 : 0)) * bytes_per_sample_;
        alpha_at_ = has_alpha ? pixel_bytes_ - bytes_per_sample_ : 0;
        on_white_ = alpha_on_white && (has_alpha || transparency.by_index || transparency.by_key);
        clips_ = colour == PNG_COLOR_TYPE_GRAY && depth == 16;
        if (colour != PNG_COLOR_TYPE_PALETTE && !is_rgb_)
            fill_grey(depth);
    }

    bool clips() const { return clips_; }

    /// `count` pixels from column `first`; `step` pixels of the output apart.
    void convert(const uint8_t* row, int first, int count, uint8_t* rgb, int step) const {
        const uint8_t* x = row + size_t(first) * pixel_bytes_;
        for (int i = 0; i < count; ++i, x += pixel_bytes_, rgb += size_t(3) * step) {
            if (is_rgb_) {
                rgb[0] = x[0];
                rgb[1] = x[bytes_per_sample_];
                rgb[2] = x[2 * bytes_per_sample_];
            } else {
                // 16-bit grey without alpha is clipped, not shifted: Pillow's I;16 to RGB.
                const unsigned index = clips_ && x[0] != 0 ? 255 : x[clips_ ? 1 : 0];
                std::memcpy(rgb, &colours_[index * 3], 3);
            }
            if (on_white_)
                lay_on_white(rgb, alpha(x, rgb));
        }
    }

private:
    uint8_t alpha(const uint8_t* x, const uint8_t* rgb) const {
        if (alpha_at_ > 0)
            return x[alpha_at_]; // the high byte of 16 bits
        if (transparency_.by_index)
            return transparency_.alpha[x[0]];
        return std::equal(transparency_.key.begin(), transparency_.key.end(), rgb) ? 0 : 255;
    }

    void fill_grey(int depth) {
        const int scale = depth >= 8 ? 1 : 255 / ((1 << depth) - 1);
        for (int i = 0; i < 256; ++i)
            for (int c = 0; c < 3; ++c)
                colours_[3 * i + c] = static_cast<uint8_t>(i * scale);
    }

    int bytes_per_sample_, pixel_bytes_ = 1, alpha_at_ = 0;
    bool is_rgb_ = false, clips_ = false, on_white_ = false;
    std::array<uint8_t, 256 * 3> colours_;
    Transparency transparency_;
};

struct Pass {
    int x0, y0, x_step, y_step;
};
constexpr Pass kAdam7[] = {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4},
                           {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}};

void decode_interlaced(PngDecoder& decoder, const RowConverter& converter, Region region,
                       uint8_t* samples, RowSink& sink) {
    const int width = region.right - region.left, height = region.bottom - region.top;
    std::vector<uint8_t> rgb(size_t(width) * height * 3);
    for (const Pass& pass : kAdam7) {
        if (pass.x0 >= decoder.width())
            continue; // an empty pass has no rows in the file
        const int first = std::max(0, (region.left - pass.x0 + pass.x_step - 1) / pass.x_step);
        const int last =
            region.right <= pass.x0 ? 0 : (region.right - pass.x0 + pass.x_step - 1) / pass.x_step;
        for (int y = pass.y0; y < decoder.height(); y += pass.y_step) {
            decoder.read_row(samples);
            if (y < region.top || y >= region.bottom || first >= last)
                continue;
            const int x = pass.x0 + first * pass.x_step - region.left;
            converter.convert(samples, first, last - first,
                              &rgb[(size_t(y - region.top) * width + x) * 3], pass.x_step);
        }
    }
    for (int y = 0; y < height; ++y)
        sink.row(region.top + y, rgb.data() + size_t(y) * width * 3);
}

} // namespace

RowsResult decode_png_rows(Bytes encoded, const ImageHeader& header, bool alpha_on_white,
                           RowSink& sink) {
    PngDecoder decoder(encoded);
    decoder.read_header();
    if (decoder.width() != header.width || decoder.height() != header.height)
        throw_bad("PNG with two header chunks that disagree; the file is damaged, export it again");
    if (decoder.too_short_for_its_size())
        throw_bad("truncated PNG: " + std::to_string(encoded.size()) + " bytes cannot hold " +
                  std::to_string(header.width) + "x" + std::to_string(header.height) +
                  " pixels; copy it again");
    const int depth = encoded[24];
    const RowConverter converter(decoder.colour(), depth, decoder.palette(), decoder.transparency(),
                                 alpha_on_white);
    const Region region = sink.begin(header.width, header.height, ImageFormat::png);
    std::vector<uint8_t> samples(decoder.row_bytes());
    if (decoder.interlaced()) {
        decode_interlaced(decoder, converter, region, samples.data(), sink);
    } else {
        const int width = region.right - region.left;
        std::vector<uint8_t> rgb(size_t(std::max(width, 0)) * 3);
        // All rows are read: a file that ends below the region is refused, too.
        for (int y = 0; y < header.height; ++y) {
            decoder.read_row(samples.data());
            if (y < region.top || y >= region.bottom)
                continue;
            converter.convert(samples.data(), region.left, width, rgb.data(), 1);
            sink.row(y, rgb.data());
        }
    }
    return {converter.clips() ? "16-bit grey clipped to 255, as Pillow does" : ""};
}

std::string png_version() {
    return std::string("libpng ") + png_get_libpng_ver(nullptr);
}

} // namespace yeoul::loader

#endif
