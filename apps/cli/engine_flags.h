// The flags that open an engine, shared by the commands.
#pragma once

#include <string>

#include <yeoul/engine.h>

#include "apps/cli/command_line.h"
#include "apps/cli/console.h"

namespace yeoul::cli {

struct EngineFlags {
    std::string model;
    std::string device = "auto", precision = "auto", decode = "exact", alpha = "white";
    int batch_size = 0, streams = 1, threads = 0;
    size_t budget = 0;
    int64_t max_pixels = EngineOptions{}.max_pixels;
    bool exif_rotate = false;
    std::string trace;
    bool quiet = false, verbose = false;

    void add_model(Command& command);
    void add_device(Command& command);
    void add_photos(Command& command);
    void add_verbosity(Command& command);

    Verbosity verbosity() const;
    /// Finds the bundled model when none is named. `console` outlives the engine.
    EngineOptions options(Console& console) const;
};

/// "auto", "fp32", "bf16" or "fp16".
Precision parse_precision(const std::string& name);

/// "clip from apps/demo/model: 224x224 photos to 512 numbers, 87.8 M parameters"
std::string describe_model(const ModelInfo& info);
/// "cpu AMD EPYC, fp32, 2 threads, batches of up to 8"
std::string describe_device(const DeviceInfo& device);
/// The same as a JSON object.
std::string device_json(const DeviceInfo& device);

} // namespace yeoul::cli
