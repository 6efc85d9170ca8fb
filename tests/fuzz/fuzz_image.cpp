// Any bytes through the photo decoders: pixels or an item's error, nothing else.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "loader/decoders/row_sink.h"
#include "loader/image.h"
#include "yeoul/error.h"

using namespace yeoul;
using namespace yeoul::loader;

namespace {

/// Wants a rectangle inside of the photo, and touches each byte it is given.
class MiddleSink : public RowSink {
public:
    Region begin(int width, int height, ImageFormat) override {
        region_ = {height / 4, height - height / 4, width / 4, width - width / 4};
        return region_;
    }
    void row(int y, const uint8_t* rgb) override {
        if (y < region_.top || y >= region_.bottom)
            std::abort();
        for (int i = 0; i < (region_.right - region_.left) * 3; ++i)
            sum_ = sum_ * 31 + rgb[i];
    }
    unsigned sum() const { return sum_; }

private:
    Region region_{};
    unsigned sum_ = 0;
};

bool is_item_code(ErrorCode code) {
    return code == ErrorCode::bad_image || code == ErrorCode::unsupported_image ||
           code == ErrorCode::image_too_large || code == ErrorCode::out_of_memory;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    DecodeOptions options;
    options.max_pixels = 1 << 20;
    options.exif_rotate = true;
    options.fast = size % 2 == 1;
    options.alpha_on_white = size % 3 == 1;
    const std::span<const uint8_t> encoded(data, size);
    try {
        MiddleSink sink;
        decode_rows(encoded, options, 16, sink);
        volatile unsigned keep = sink.sum();
        static_cast<void>(keep);
    } catch (const Error& error) {
        if (!is_item_code(error.code()))
            std::abort();
    }
    return 0;
}
