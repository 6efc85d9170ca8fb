// Preprocessor::normalization_table: the floats of transformers' NumPy code.
#include "loader/preprocessor.h"

namespace yeoul::loader {

// transformers, image_transforms.py: `rescale` multiplies in float64 and rounds once to float32;
// `normalize` rounds mean and std to float32, then subtracts and divides in float32.
std::array<std::array<float, 256>, 3> Preprocessor::normalization_table() const {
    std::array<std::array<float, 256>, 3> table;
    for (int channel = 0; channel < 3; ++channel) {
        const auto mean_f32 = static_cast<float>(mean[channel]);
        const auto std_f32 = static_cast<float>(std[channel]);
        for (int value = 0; value < 256; ++value) {
            auto x = static_cast<float>(rescale ? value * rescale_factor : value);
            if (normalize)
                x = (x - mean_f32) / std_f32;
            table[channel][value] = x;
        }
    }
    return table;
}

} // namespace yeoul::loader
