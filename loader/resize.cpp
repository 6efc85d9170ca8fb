#include "loader/resize.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include <yeoul/error.h>

#include "loader/row_resizer.h"

namespace yeoul::loader {
namespace {

/// A side that keeps weights and ring under 150 MB at 224 outputs; also what keeps every product of
/// sides far from overflow.
constexpr int kLongestSide = 1 << 22;

double box(double x) {
    return x > -0.5 && x <= 0.5 ? 1.0 : 0.0;
}

double triangle(double x) {
    x = std::abs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

double hamming(double x) {
    x = std::abs(x);
    if (x == 0.0)
        return 1.0;
    if (x >= 1.0)
        return 0.0;
    x *= M_PI;
    return std::sin(x) / x * (0.54 + 0.46 * std::cos(x));
}

/// Keys' kernel with a = -0.5, in Pillow's order of operations.
double cubic(double x) {
    constexpr double a = -0.5;
    x = std::abs(x);
    if (x < 1.0)
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    if (x < 2.0)
        return (((x - 5) * x + 8) * x - 4) * a;
    return 0.0;
}

double sinc(double x) {
    if (x == 0.0)
        return 1.0;
    x *= M_PI;
    return std::sin(x) / x;
}

double lanczos(double x) {
    return x >= -3.0 && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0;
}

struct Filter {
    double (*weight)(double);
    double support;
};

Filter filter(Resample resample) {
    switch (resample) {
    case Resample::box:
        return {box, 0.5};
    case Resample::bilinear:
        return {triangle, 1.0};
    case Resample::hamming:
        return {hamming, 1.0};
    case Resample::bicubic:
        return {cubic, 2.0};
    case Resample::lanczos:
        return {lanczos, 3.0};
    case Resample::nearest:
        break;
    }
    throw Error(ErrorCode::invalid_argument,
                "resample is " + std::to_string(static_cast<int>(resample)) +
                    ", must be 1 (lanczos), 2 (bilinear), 3 (bicubic), 4 (box) or 5 (hamming)");
}

/// Pillow's rounding: half away from zero.
int32_t fixed_point(double weight) {
    return static_cast<int32_t>((weight < 0 ? -0.5 : 0.5) + weight * (1 << kWeightBits));
}

int floor_half(int value) {
    return value >= 0 ? value / 2 : -((1 - value) / 2);
}

} // namespace

ResizeWindow make_resize_window(int in, int out, int first, int count, Resample resample,
                                double extent) {
    YEOUL_REQUIRE(in > 0 && out > 0, "a resize from " << in << " to " << out
                                                      << " pixels, both must "
                                                      << "be at least 1");
    YEOUL_REQUIRE(first >= 0 && count > 0 && count <= out - first,
                  "the outputs from " << first << ", " << count << " of them, are not within 0 to "
                                      << out);
    YEOUL_REQUIRE(extent >= 0 && extent <= in,
                  "an extent of " << extent << " pixels is not within 0 to " << in);
    const Filter kernel = filter(resample);
    ResizeWindow window;
    window.in = in;
    window.out = out;
    window.begin.resize(count);
    window.size.resize(count);
    if (in == out && extent == 0) { // Pillow leaves the pass out
        window.taps = 1;
        window.weights.assign(count, 1 << kWeightBits);
        for (int i = 0; i < count; ++i) {
            window.begin[i] = first + i;
            window.size[i] = 1;
        }
        window.first_input = first;
        window.last_input = first + count;
        return window;
    }

    const double scale = (extent > 0 ? extent : in) / out;
    const double filter_scale = std::max(scale, 1.0);
    const double support = kernel.support * filter_scale, inverse = 1.0 / filter_scale;
    for (int i = 0; i < count; ++i) {
        const double center = (first + i + 0.5) * scale;
        window.begin[i] = std::max(static_cast<int>(center - support + 0.5), 0);
        window.size[i] = std::min(static_cast<int>(center + support + 0.5), in) - window.begin[i];
        window.taps = std::max(window.taps, window.size[i]);
    }
    window.first_input = window.begin.front();
    window.last_input = window.begin.back() + window.size.back();

    window.weights.resize(static_cast<size_t>(count) * window.taps);
    std::vector<double> exact(window.taps);
    for (int i = 0; i < count; ++i) {
        const double center = (first + i + 0.5) * scale;
        double sum = 0.0;
        for (int tap = 0; tap < window.size[i]; ++tap) {
            exact[tap] = kernel.weight((tap + window.begin[i] - center + 0.5) * inverse);
            sum += exact[tap];
        }
        int32_t* weights = window.weights.data() + static_cast<size_t>(i) * window.taps;
        for (int tap = 0; tap < window.size[i]; ++tap)
            weights[tap] = fixed_point(sum != 0.0 ? exact[tap] / sum : exact[tap]);
    }
    return window;
}

ResizePlan plan_resize(const Preprocessor& preprocessor, int in_height, int in_width) {
    YEOUL_REQUIRE(in_height > 0 && in_width > 0, "a photo of " << in_width << " x " << in_height
                                                               << " pixels has nothing to resize");
    if (std::max(in_height, in_width) > kLongestSide)
        throw Error(ErrorCode::image_too_large,
                    "a photo of " + std::to_string(in_width) + " x " + std::to_string(in_height) +
                        " pixels has a side above " + std::to_string(kLongestSide) +
                        ": cut it into parts");
    ResizePlan plan;
    plan.in_height = plan.out_height = in_height;
    plan.in_width = plan.out_width = in_width;
    if (preprocessor.resize == Preprocessor::Resize::exact) {
        plan.out_height = preprocessor.resize_height;
        plan.out_width = preprocessor.resize_width;
    } else if (preprocessor.resize == Preprocessor::Resize::shortest_edge) {
        // transformers' get_resize_output_image_size: one division in double, then truncation.
        const int edge = preprocessor.shortest_edge;
        const int shortest = std::min(in_height, in_width);
        const double longest =
            static_cast<double>(int64_t{edge} * std::max(in_height, in_width)) / shortest;
        if (longest >= std::numeric_limits<int>::max())
            throw Error(ErrorCode::image_too_large,
                        "a photo of " + std::to_string(in_width) + " x " +
                            std::to_string(in_height) +
                            " pixels is too narrow for a shortest edge of " + std::to_string(edge) +
                            ": cut it into parts");
        plan.out_height = in_width <= in_height ? static_cast<int>(longest) : edge;
        plan.out_width = in_width <= in_height ? edge : static_cast<int>(longest);
    }
    plan.height = preprocessor.center_crop ? preprocessor.crop_height : plan.out_height;
    plan.width = preprocessor.center_crop ? preprocessor.crop_width : plan.out_width;
    plan.top = floor_half(plan.out_height - plan.height);
    plan.left = floor_half(plan.out_width - plan.width);
    return plan;
}

bool vertical_pass_first(const ResizePlan& plan) {
    const int64_t rows_lost = int64_t{plan.in_height} - plan.out_height;
    const int64_t columns_lost = int64_t{plan.in_width} - plan.out_width;
    return plan.columns_change() && rows_lost > 0 && rows_lost > 2 * columns_lost;
}

void resize(const uint8_t* x, const ResizePlan& plan, Resample resample, uint8_t* y) {
    RowResizer resizer(plan, resample, y);
    for (int row = resizer.top(); row < resizer.bottom(); ++row)
        resizer.row(row, x + (static_cast<size_t>(row) * plan.in_width + resizer.left()) * 3);
}

} // namespace yeoul::loader
