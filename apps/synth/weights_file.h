// model.safetensors, drawn by several threads straight into the file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "apps/synth/clip_tensors.h"
#include "apps/synth/model_directory.h"

namespace yeoul::synth {

/// The size of the file. At most a few MB of the weights are in memory at a time. Throws `Error`:
/// `io`, or `cancelled` when `options.stop` was requested.
int64_t write_weights_file(const std::vector<TensorDraw>& tensors, const DirectoryOptions& options,
                           const std::filesystem::path& file);

} // namespace yeoul::synth
