#include "kernels/cpu/norm_row.h"

#include <array>
#include <cmath>
#include <limits>

namespace yeoul::cpu {
namespace {

// Partial sums side by side: without them the compiler may not use vector instructions, since that
// changes the order of additions.
constexpr int kLanes = 16;

template <class F>
float sum(int count, F term) {
    std::array<float, kLanes> partial{};
    int i = 0;
    for (; i + kLanes <= count; i += kLanes)
        for (int lane = 0; lane < kLanes; ++lane)
            partial[lane] += term(i + lane);
    for (int lane = 0; i < count; ++i, ++lane)
        partial[lane] += term(i);
    float total = 0;
    for (float value : partial)
        total += value;
    return total;
}

} // namespace

void normalize_row(float* row, const float* weight, const float* bias, int dim, float eps) {
    const float mean = sum(dim, [&](int i) { return row[i]; }) / static_cast<float>(dim);
    const float variance = sum(dim, [&](int i) { return (row[i] - mean) * (row[i] - mean); }) /
                           static_cast<float>(dim);
    const float scale = std::isfinite(variance) ? 1.0F / std::sqrt(variance + eps)
                                                : std::numeric_limits<float>::quiet_NaN();
    for (int i = 0; i < dim; ++i)
        row[i] = (row[i] - mean) * scale * weight[i] + bias[i];
}

} // namespace yeoul::cpu
