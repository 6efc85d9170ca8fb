// NumPy's .npy, version 1.0, little-endian float32 matrices.
#pragma once

#include <filesystem>
#include <span>
#include <vector>

namespace yeoul::loader {

/// Writes (rows, dim). Written beside `file` and renamed. Throws `Error`: `io`, and
/// `invalid_argument` when `values` are not rows x dim.
void write_npy(const std::filesystem::path& file, std::span<const float> values, int rows, int dim);

struct Matrix {
    std::vector<float> values; // (rows, dim)
    int rows = 0, dim = 0;
};
/// Reads a matrix of float32 or float16 in C order. Throws `Error`: `not_found`, and
/// `invalid_argument` naming what it is instead.
Matrix read_npy(const std::filesystem::path& file);

} // namespace yeoul::loader
