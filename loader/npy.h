// NumPy's .npy, version 1.0, little-endian float32 matrices.
#pragma once

#include <filesystem>
#include <span>

namespace yeoul::loader {

/// Writes (rows, dim). Written beside `file` and renamed. Throws `Error`: `io`, and
/// `invalid_argument` when `values` are not rows x dim.
void write_npy(const std::filesystem::path& file, std::span<const float> values, int rows, int dim);

} // namespace yeoul::loader
