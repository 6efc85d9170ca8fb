// A command that sends photos through the model: inputs, progress, signals, errors and exit code.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <yeoul/engine.h>

#include "apps/cli/engine_flags.h"
#include "apps/run/inputs.h"
#include "apps/run/rows.h"

namespace yeoul::run {

struct PhotoJob {
    const char* command; // its name, for the progress line
    const cli::EngineFlags& engine;
    const std::vector<std::string>& paths;
    Shard shard = {};
    std::string output = {}; // a file of vectors; empty: none
    bool normalize = false;
    bool text = false; // the model's text side is loaded, too
    int tags = 0;      // of each photo, see Request::tags

    /// With the model open and before the first photo.
    std::function<void(Engine&)> prepare = {};
    /// Rows for stdout; none where it gives nullptr.
    std::function<std::unique_ptr<RowFormat>(const std::vector<Input>&, const Engine&)> rows = {};
    /// Each photo's answer, in input order.
    std::function<void(const Input&, const Result&)> answer = {};
    /// Text for stdout when all photos are done; not after a stop.
    std::function<std::string(Engine&)> finish = {};
};

/// The exit code. Throws `Error` for what stops the whole job.
int run_photos(const PhotoJob& job);

} // namespace yeoul::run
