// Writes a model directory with seeded random weights.
#pragma once

#include <cstdint>
#include <filesystem>
#include <stop_token>
#include <string>

#include "loader/model_config.h"

namespace yeoul::synth {

enum class WeightFormat { fp32, fp16, bf16 };

struct DirectoryOptions {
    uint64_t seed = 0;
    WeightFormat format = WeightFormat::fp32;
    bool force = false;        // replace the files of a directory that is not empty
    int threads = 1;           // the bytes are the same for any number
    std::stop_token stop = {}; // leaves nothing when it is requested in time
    std::string label;         // goes into the metadata: "clip-vit-base-patch32"
};

struct WrittenDirectory {
    int64_t parameters = 0, bytes = 0; // `bytes` of model.safetensors
};

/// config.json, preprocessor_config.json and model.safetensors of a `clip_vision_model` with
/// projection, for transformers' CLIPVisionModelWithProjection. Written beside `directory` and
/// renamed, so that no half model is left. Throws `Error`: `invalid_argument` when `directory`
/// exists and is not empty, `io` with the reason when it cannot be written, `cancelled` after a
/// stop.
WrittenDirectory write_clip_directory(const loader::ClipVisionConfig& config,
                                      const DirectoryOptions& options,
                                      const std::filesystem::path& directory);

} // namespace yeoul::synth
