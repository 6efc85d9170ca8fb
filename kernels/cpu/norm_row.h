// Layer norm of one row, for the ops that have it inside a loop of their own.
#pragma once

namespace yeoul::cpu {

/// row = (row - mean) / sqrt(var + eps) * weight + bias, in place. A row whose variance is not
/// finite becomes NaN, so that an overflow cannot pass for a number.
void normalize_row(float* row, const float* weight, const float* bias, int dim, float eps);

} // namespace yeoul::cpu
