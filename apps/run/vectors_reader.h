// Vectors that were written earlier, by this program or another.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace yeoul::run {

struct Vectors {
    std::vector<float> values;      // (rows, dim)
    std::vector<std::string> paths; // of the photos; empty where the file does not say
    int rows = 0, dim = 0;

    const float* row(int i) const { return values.data() + static_cast<size_t>(i) * dim; }
};

/// A .npy matrix, or the tensor `image_embeds` (or the only one) of a .safetensors. Throws `Error`:
/// `not_found`, and `invalid_argument` or `model` naming what is wrong with the file.
Vectors read_vectors(const std::filesystem::path& file);

/// "0.95": a cosine above 0 and at most 1. Throws `Error`, code `invalid_argument`.
double parse_cosine(const std::string& text, const std::string& label);

} // namespace yeoul::run
