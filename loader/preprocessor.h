// How a model wants its photos: preprocessor_config.json, or "image_processor" in
// processor_config.json.
#pragma once

#include <array>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace yeoul::loader {

/// Pillow's numbers.
enum class Resample { nearest = 0, lanczos = 1, bilinear = 2, bicubic = 3, box = 4, hamming = 5 };

struct Preprocessor {
    enum class Resize { none, shortest_edge, exact };
    Resize resize = Resize::shortest_edge;
    int shortest_edge = 224;                     // of Resize::shortest_edge
    int resize_height = 224, resize_width = 224; // of Resize::exact
    Resample resample = Resample::bicubic;       // bicubic and bilinear are supported
    bool center_crop = true;
    int crop_height = 224, crop_width = 224;
    bool rescale = true;
    double rescale_factor = 1.0 / 255.0;
    bool normalize = true;
    std::array<double, 3> mean{0.48145466, 0.4578275, 0.40821073};
    std::array<double, 3> std{0.26862954, 0.26130258, 0.27577711};
    /// What was absent and took its default, or was resolved from a legacy form: for `inspect`.
    std::vector<std::string> notes;

    /// Of the pixels that reach the model. Equal for every photo, or the files were refused.
    int output_height() const { return center_crop ? crop_height : resize_height; }
    int output_width() const { return center_crop ? crop_width : resize_width; }

    /// table[channel][value]: rescale and normalize of an 8-bit value, bit-equal to what
    /// transformers' PIL backend computes in NumPy.
    std::array<std::array<float, 256>, 3> normalization_table() const;
};

/// Reads `preprocessor_config.json` or `processor_config.json` of a directory, both forms of sizes
/// (int and object). `Error`, code `model`: neither file, broken JSON, a resample or a step that is
/// not supported, sizes that leave the output size open.
Preprocessor read_preprocessor(const std::filesystem::path& directory);
Preprocessor parse_preprocessor(std::string_view json, const std::string& label);

} // namespace yeoul::loader
