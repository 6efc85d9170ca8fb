// JPEG by libjpeg-turbo's jpeglib API, with Pillow's settings (Pillow,
// src/libImaging/JpegDecode.c): the slow integer DCT, fancy upsampling, warnings ignored, and a
// source that suspends where the file ends. That source is what tells a file without its end marker
// from one cut in half.
#ifdef YEOUL_WITH_JPEG

#include <algorithm>
#include <array>
#include <cstdio>
#include <vector>

// jpeglib.h needs <cstdio> before it.
#include <jerror.h>
#include <jpeglib.h>

#include "loader/decoders/decoders.h"
#include "loader/decoders/long_jump.h"

#define YEOUL_STRING_(x) #x
#define YEOUL_STRING(x) YEOUL_STRING_(x)

namespace yeoul::loader {
namespace {

// A real progressive file has about 10 scans; each further one makes the decoder walk all
// coefficients again, so that a few kilobytes could hold a core for minutes.
constexpr int kMaxScans = 500;
constexpr int kRowsPerCall = 16;

struct Source : jpeg_source_mgr {
    bool ran_out = false; // the library asked for bytes past the end of the file
};

struct Errors : jpeg_error_mgr {
    LongJump jump;
    int code = 0;
};

[[noreturn]] void jump_out(j_common_ptr codec) {
    auto* errors = static_cast<Errors*>(codec->err);
    errors->code = errors->msg_code;
    char text[JMSG_LENGTH_MAX];
    errors->format_message(codec, text);
    std::snprintf(errors->jump.message, sizeof errors->jump.message, "%s", text);
    std::longjmp(errors->jump.target, 1);
}

void stop_too_many_scans(j_common_ptr codec) {
    auto* decoder = reinterpret_cast<j_decompress_ptr>(codec);
    if (decoder->input_scan_number <= kMaxScans)
        return;
    auto* errors = static_cast<Errors*>(codec->err);
    errors->code = 0;
    std::snprintf(errors->jump.message, sizeof errors->jump.message, "more than %d scans",
                  kMaxScans);
    std::longjmp(errors->jump.target, 1);
}

boolean suspend(j_decompress_ptr decoder) {
    static_cast<Source*>(decoder->src)->ran_out = true;
    return FALSE;
}

void skip_bytes(j_decompress_ptr decoder, long count) {
    auto* source = static_cast<Source*>(decoder->src);
    if (count <= 0)
        return;
    const size_t step = std::min(static_cast<size_t>(count), source->bytes_in_buffer);
    source->next_input_byte += step;
    source->bytes_in_buffer -= step;
}

class JpegDecoder {
public:
    explicit JpegDecoder(Bytes encoded) {
        codec_.err = jpeg_std_error(&errors_);
        errors_.error_exit = jump_out;
        errors_.output_message = [](j_common_ptr) {};
        if (!completes(errors_.jump, [this] { jpeg_create_decompress(&codec_); }))
            fail();
        source_.init_source = [](j_decompress_ptr) {};
        source_.fill_input_buffer = suspend;
        source_.skip_input_data = skip_bytes;
        source_.resync_to_restart = jpeg_resync_to_restart;
        source_.term_source = [](j_decompress_ptr) {};
        source_.next_input_byte = encoded.data();
        source_.bytes_in_buffer = encoded.size();
        codec_.src = &source_;
        progress_.progress_monitor = stop_too_many_scans;
        codec_.progress = &progress_;
    }
    ~JpegDecoder() { jpeg_destroy_decompress(&codec_); }
    JpegDecoder(const JpegDecoder&) = delete;
    JpegDecoder& operator=(const JpegDecoder&) = delete;

    void read_header() {
        int state = JPEG_SUSPENDED;
        call([&] {
            do
                state = jpeg_read_header(&codec_, FALSE);
            while (state == JPEG_HEADER_TABLES_ONLY);
        });
        if (state != JPEG_HEADER_OK)
            throw_truncated("inside the header");
    }

    void start(int denominator) {
        codec_.scale_num = 1;
        codec_.scale_denom = static_cast<unsigned>(denominator);
        codec_.out_color_space = codec_.num_components == 4 ? JCS_CMYK : JCS_RGB;
        boolean started = FALSE;
        call([&] { started = jpeg_start_decompress(&codec_); });
        if (!started)
            throw_truncated("before its last scan ends");
    }

    void crop(unsigned& left, unsigned& width) {
        call([&] { jpeg_crop_scanline(&codec_, &left, &width); });
    }

    void skip(int rows) {
        if (rows > 0)
            call([&] { jpeg_skip_scanlines(&codec_, static_cast<JDIMENSION>(rows)); });
    }

    /// At least one row.
    int read(JSAMPARRAY rows, int count) {
        int got = 0;
        call([&] {
            got = static_cast<int>(
                jpeg_read_scanlines(&codec_, rows, static_cast<JDIMENSION>(count)));
        });
        if (got == 0)
            throw_truncated("at row " + std::to_string(codec_.output_scanline) + " of " +
                            std::to_string(codec_.output_height));
        return got;
    }

    /// Bytes cannot hold the picture: each block of the first scan takes one bit or more where it
    /// is Huffman-coded, so the claimed size can be refused before memory is taken for it.
    bool too_short_for_its_size() const {
        if (codec_.arith_code || codec_.Ss != 0)
            return false;
        uint64_t blocks = 0;
        for (int i = 0; i < codec_.comps_in_scan; ++i)
            blocks += uint64_t{codec_.cur_comp_info[i]->width_in_blocks} *
                      codec_.cur_comp_info[i]->height_in_blocks;
        return blocks > uint64_t{source_.bytes_in_buffer} * 8;
    }

    [[noreturn]] void throw_truncated(const std::string& where) const {
        throw_bad("truncated JPEG: the file ends " + where + "; copy it again");
    }

    /// In pixels of the output.
    int mcu_width() const {
#if JPEG_LIB_VERSION >= 70
        return codec_.max_h_samp_factor * codec_.min_DCT_h_scaled_size;
#else
        return codec_.max_h_samp_factor * codec_.min_DCT_scaled_size;
#endif
    }
    bool has_multiple_scans() {
        return jpeg_has_multiple_scans(&codec_);
    }
    const jpeg_decompress_struct& state() const {
        return codec_;
    }
    bool ran_out() const {
        return source_.ran_out;
    }

private:
    template <class Call>
    void call(const Call& function) {
        if (!completes(errors_.jump, function))
            fail();
    }

    [[noreturn]] void fail() const {
        const std::string text = errors_.jump.message;
        switch (errors_.code) {
        case JERR_OUT_OF_MEMORY:
            throw OutOfMemory(0, "a JPEG decoder");
        case JERR_SOF_UNSUPPORTED:
        case JERR_BAD_PRECISION:
        case JERR_ARITH_NOTIMPL:
        case JERR_CCIR601_NOTIMPL:
        case JERR_FRACT_SAMPLE_NOTIMPL:
        case JERR_CONVERSION_NOTIMPL:
        case JERR_NOT_COMPILED:
            throw_unsupported("JPEG variant that is not supported (" + text +
                              "); convert it to a usual 8-bit JPEG");
        default:
            throw_bad("damaged JPEG (" + text + "); export it again");
        }
    }

    jpeg_decompress_struct codec_{};
    Errors errors_{};
    Source source_{};
    jpeg_progress_mgr progress_{};
};

/// Pillow's CMYK to RGB, after the inversion of all four that it applies to every JPEG. Both
/// together: red = K - (255 - C) * K / 255 with the stored values, rounded as MULDIV255.
void cmyk_to_rgb(const uint8_t* cmyk, int width, uint8_t* rgb) {
    for (int x = 0; x < width; ++x, cmyk += 4, rgb += 3) {
        const unsigned key = cmyk[3];
        for (int c = 0; c < 3; ++c) {
            const unsigned product = (255u - cmyk[c]) * key + 128;
            rgb[c] = static_cast<uint8_t>(key - (((product >> 8) + product) >> 8));
        }
    }
}

int fast_denominator(int width, int height, int scale_target) {
    if (scale_target <= 0)
        return 1;
    const int64_t shortest = std::min(width, height);
    for (const int denominator : {8, 4, 2})
        if ((shortest + denominator - 1) / denominator >= int64_t{2} * scale_target)
            return denominator;
    return 1;
}

/// Rows of `decoder` from where it stands to region.bottom, columns cropped.
class RowReader {
public:
    RowReader(JpegDecoder& decoder, int first_column, int columns, Region region)
        : decoder_(decoder), components_(decoder.state().output_components),
          offset_(size_t(region.left - first_column) * components_),
          width_(region.right - region.left), stride_(size_t(columns) * components_),
          samples_(stride_ * kRowsPerCall) {
        for (int i = 0; i < kRowsPerCall; ++i)
            rows_[i] = samples_.data() + stride_ * i;
        if (components_ == 4)
            rgb_.resize(size_t(width_) * 3);
    }

    void read_to(int bottom, RowSink* sink) {
        while (static_cast<int>(decoder_.state().output_scanline) < bottom) {
            const int y = static_cast<int>(decoder_.state().output_scanline);
            const int got = decoder_.read(rows_.data(), std::min(kRowsPerCall, bottom - y));
            for (int i = 0; sink && i < got; ++i) {
                const uint8_t* pixels = rows_[i] + offset_;
                if (components_ == 4) {
                    cmyk_to_rgb(pixels, width_, rgb_.data());
                    pixels = rgb_.data();
                }
                sink->row(y + i, pixels);
            }
        }
    }

private:
    JpegDecoder& decoder_;
    int components_;
    size_t offset_;
    int width_;
    size_t stride_;
    std::vector<uint8_t> samples_, rgb_;
    std::array<JSAMPROW, kRowsPerCall> rows_{};
};

} // namespace

RowsResult decode_jpeg_rows(Bytes encoded, const ImageHeader& header, int scale_target,
                            RowSink& sink) {
    JpegDecoder decoder(encoded);
    decoder.read_header();
    const jpeg_decompress_struct& state = decoder.state();
    if (static_cast<int>(state.image_width) != header.width ||
        static_cast<int>(state.image_height) != header.height)
        throw_bad("JPEG with two frame headers that disagree; the file is damaged, export it "
                  "again");
    if (decoder.too_short_for_its_size())
        throw_bad("truncated JPEG: " + std::to_string(encoded.size()) + " bytes cannot hold " +
                  std::to_string(header.width) + "x" + std::to_string(header.height) +
                  " pixels; copy it again");
    decoder.start(fast_denominator(header.width, header.height, scale_target));
    const int width = static_cast<int>(state.output_width);
    const int height = static_cast<int>(state.output_height);
    const Region region = sink.begin(width, height, ImageFormat::jpeg);

    // One more column of MCUs on each side: at the edge of a cropped row the upsampling filter
    // has no neighbour and gives other values than in the whole row.
    const int mcu = decoder.mcu_width();
    const int left = std::max(0, region.left / mcu * mcu - mcu);
    const int right = std::min(width, (region.right + mcu - 1) / mcu * mcu + mcu);
    unsigned first_column = 0, columns = static_cast<unsigned>(width);
    if (right - left < width && region.left < region.right) {
        first_column = static_cast<unsigned>(left);
        columns = static_cast<unsigned>(right - left);
        decoder.crop(first_column, columns);
    }
    RowReader reader(decoder, static_cast<int>(first_column), static_cast<int>(columns), region);
    if (region.top < region.bottom)
        decoder.skip(region.top);
    reader.read_to(region.bottom, &sink);
    // Pillow refuses a file that ends below the region, too. Skipping to the very end would not
    // look at the bytes, so the last row is read; a file of many scans was read whole by start().
    if (!decoder.has_multiple_scans()) {
        decoder.skip(height - 1 - static_cast<int>(state.output_scanline));
        reader.read_to(height, nullptr);
    }
    // The skipping code does not look at suspension, but the source remembers.
    if (decoder.ran_out())
        decoder.throw_truncated("before its last row");
    return {};
}

std::string jpeg_version() {
    return "libjpeg-turbo " YEOUL_STRING(LIBJPEG_TURBO_VERSION);
}

} // namespace yeoul::loader

#endif
