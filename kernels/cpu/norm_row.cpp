#include "kernels/cpu/norm_row.h"

#include <cmath>
#include <limits>

#include "kernels/cpu/lane_sum.h"

namespace yeoul::cpu {
void normalize_row(float* row, const float* weight, const float* bias, int dim, float eps) {
    const float mean = lane_sum(dim, [&](int i) { return row[i]; }) / static_cast<float>(dim);
    const float variance = lane_sum(dim, [&](int i) { return (row[i] - mean) * (row[i] - mean); }) /
                           static_cast<float>(dim);
    const float scale = std::isfinite(variance) ? 1.0F / std::sqrt(variance + eps)
                                                : std::numeric_limits<float>::quiet_NaN();
    for (int i = 0; i < dim; ++i)
        row[i] = (row[i] - mean) * scale * weight[i] + bias[i];
}

} // namespace yeoul::cpu
