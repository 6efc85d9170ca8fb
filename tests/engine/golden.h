// Golden models: small checkpoints with the tensors that transformers computes after every block
// (tests/golden/clip), and their forward pass through a backend of ours.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/models/clip.h"
#include "loader/safetensors.h"
#include "tests/support/metrics.h"

namespace yeoul::test {

std::filesystem::path golden_root(); // tests/golden
/// The golden models of a folder of tests/golden ("clip", "clip_text"), sorted.
std::vector<std::filesystem::path> golden_models(std::string_view folder);

struct Tensor {
    std::vector<int> shape;
    std::vector<float> values;
};
/// By name; observed tensors and goldens use the same names.
using Tensors = std::map<std::string, Tensor>;

/// A golden model as it is on disk, every part of which a test may change before it runs.
struct Golden {
    explicit Golden(const std::filesystem::path& directory);

    std::filesystem::path directory;
    loader::ModelConfig config;
    loader::Preprocessor preprocessor;
    loader::Safetensors weights;
    std::vector<uint8_t> pixels; // (photos, image_size, image_size, 3)
    int photos = 0;
    Tensors reference;
};

/// What the forward pass of one batch of all photos computes, by name, as fp32.
Tensors forward(const Golden& golden, Backend& backend, Numerics numerics);

/// By block: the distance of every tensor that both sides have, with the least cosine of its rows.
std::map<std::string, Distance> distances(const Tensors& seen, const Tensors& reference);

/// Norm of the difference over norm, photo by photo over all of a photo's values; the worst one.
double worst_relative_l2(const Tensor& tensor, const Tensor& reference, int photos);

/// What a tensor must keep to.
struct Gate {
    double least_cosine, most_max_over_rms;
    bool passes(const Distance& d) const {
        return d.finite && d.cosine >= least_cosine && d.max_over_rms <= most_max_over_rms;
    }
};
// fp32 on both sides. Sums of up to 3,072 products differ by their order: about
// sqrt(3072) * 2^-24 = 3e-6 relative to the sum of magnitudes, per layer; an order of magnitude
// above that still sees every real mistake (the least of the seven faults moves max/rms by 1e-2).
constexpr Gate kFp32Gate = {0.999999, 1e-4};
// fp16 storage: every stored value is off by up to 2^-11 of itself, some 7 times a block; the
// errors add like independent ones. The largest of a tensor's thousands of values is about 4
// deviations out: 4 * 2^-11 / sqrt(3) * sqrt(7 * 4 blocks) = 6e-3 of the rms, times what the layers
// amplify.
constexpr Gate kFp16Gate = {0.99999, 2e-2};

/// fp32 values of a view, as the host reads it.
std::vector<float> to_floats(const View& view);

} // namespace yeoul::test
