#include "loader/preprocess.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <cmath>
#include <cstring>
#include <optional>
#include <utility>

#include "loader/decoders/row_sink.h"
#include "loader/row_resizer.h"

namespace yeoul::loader {
namespace {

using Clock = std::chrono::steady_clock;

/// Of a photo as it would be decoded at full scale.
struct FullSize {
    int width, height;
    bool rotated;
};

/// What a side of `full` pixels takes up in a JPEG decoded at a fraction of its scale, where it
/// gave `decoded` = ceil(full / denominator) pixels. 0 for all of them. Taking them all would shift
/// the right edge by up to one pixel of the photo: 2.7 instead of 0.8 levels of drift on a fine
/// texture.
double shown_extent(int full, int decoded) {
    const int denominator = static_cast<int>(std::lround(static_cast<double>(full) / decoded));
    return full == decoded * denominator ? 0 : static_cast<double>(full) / denominator;
}

/// Resizes the rows as they come, or hands them on.
class ResizingSink : public RowSink {
public:
    /// `full_size`: of the photo when `begin` may be given a smaller one, from which the target
    /// must not be computed.
    ResizingSink(const Preprocessor& preprocessor, std::optional<FullSize> full_size, uint8_t* y,
                 const TakeSource& take)
        : preprocessor_(preprocessor), full_size_(full_size), y_(y), take_(take) {}

    Region begin(int width, int height, ImageFormat format) override {
        const auto start = Clock::now();
        result.format = format;
        result.width = full_size_ ? full_size_->width : width;
        result.height = full_size_ ? full_size_->height : height;
        ResizePlan plan = plan_resize(preprocessor_, result.height, result.width);
        plan.in_width = width;
        plan.in_height = height;
        if (full_size_ && !full_size_->rotated) {
            plan.extent_width = shown_extent(full_size_->width, width);
            plan.extent_height = shown_extent(full_size_->height, height);
        }
        if (take_)
            target_ = take_(plan);
        result.resized = target_.data == nullptr;
        if (!result.resized)
            return {target_.top, target_.top + target_.rows, target_.left,
                    target_.left + target_.columns};
        resizer_.emplace(plan, preprocessor_.resample, y_);
        resize_time_ += Clock::now() - start;
        return {resizer_->top(), resizer_->bottom(), resizer_->left(), resizer_->right()};
    }

    void row(int y, const uint8_t* rgb) override {
        if (target_.data) {
            std::memcpy(target_.data + target_.pitch * (y - target_.top), rgb,
                        size_t{3} * target_.columns);
            return;
        }
        const auto start = Clock::now();
        resizer_->row(y, rgb);
        resize_time_ += Clock::now() - start;
    }

    bool complete() const { return target_.data || (resizer_ && resizer_->complete()); }
    Clock::duration resize_time() const { return resize_time_; }

    Preprocessed result;

private:
    const Preprocessor& preprocessor_;
    std::optional<FullSize> full_size_;
    uint8_t* y_;
    const TakeSource& take_;
    SourceTarget target_;
    std::optional<RowResizer> resizer_;
    Clock::duration resize_time_{};
};

double milliseconds(Clock::duration duration) {
    return std::chrono::duration<double, std::milli>(duration).count();
}

/// The shortest edge that a JPEG scaled while decoding must leave twice.
int scale_target(const Preprocessor& preprocessor) {
    switch (preprocessor.resize) {
    case Preprocessor::Resize::shortest_edge:
        return preprocessor.shortest_edge;
    case Preprocessor::Resize::exact:
        return std::max(preprocessor.resize_height, preprocessor.resize_width);
    case Preprocessor::Resize::none:
        break;
    }
    return 0;
}

FullSize full_size(std::span<const uint8_t> encoded, const DecodeOptions& options) {
    const ImageHeader header = read_header(encoded);
    if (options.exif_rotate && header.exif_orientation >= 5) // these swap the sides
        return {header.height, header.width, true};
    return {header.width, header.height, options.exif_rotate && header.exif_orientation > 1};
}

} // namespace

Preprocessed preprocess(std::span<const uint8_t> encoded, const Preprocessor& preprocessor,
                        const DecodeOptions& options, uint8_t* y, const TakeSource& take) {
    const auto start = Clock::now();
    std::optional<FullSize> full;
    const int target = options.fast ? scale_target(preprocessor) : 0;
    if (target > 0)
        full = full_size(encoded, options);
    ResizingSink sink(preprocessor, full, y, take);
    DecodeOptions decode_options = options;
    decode_options.fast = target > 0;
    sink.result.warning = decode_rows(encoded, decode_options, target, sink).warning;
    assert(sink.complete());
    const auto total = Clock::now() - start;
    sink.result.resize_ms = milliseconds(sink.resize_time());
    sink.result.decode_ms = milliseconds(total - sink.resize_time());
    return std::move(sink.result);
}

bool preprocess_pixels(const uint8_t* rgb, int height, int width, const Preprocessor& preprocessor,
                       uint8_t* y, const TakeSource& take) {
    const ResizePlan plan = plan_resize(preprocessor, height, width);
    const SourceTarget target = take ? take(plan) : SourceTarget{};
    if (!target.data) {
        resize(rgb, plan, preprocessor.resample, y);
        return true;
    }
    const size_t pitch = size_t{3} * width;
    for (int row = 0; row < target.rows; ++row)
        std::memcpy(target.data + target.pitch * row,
                    rgb + pitch * (target.top + row) + size_t{3} * target.left,
                    size_t{3} * target.columns);
    return false;
}

} // namespace yeoul::loader
