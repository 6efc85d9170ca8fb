// Golden models: small checkpoints with the tensors that transformers computes after every block
// (tests/golden/clip), and their forward pass through a backend of ours.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "engine/models/clip.h"
#include "loader/safetensors.h"
#include "tests/support/metrics.h"

namespace yeoul::test {

std::filesystem::path golden_root(); // tests/golden
/// Directories of tests/golden/clip, sorted.
std::vector<std::filesystem::path> golden_clip_models();

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

/// fp32 values of a view, as the host reads it.
std::vector<float> to_floats(const View& view);

} // namespace yeoul::test
