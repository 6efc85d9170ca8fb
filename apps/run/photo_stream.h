// Many photos through an engine with bounded memory, answered in input order.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include <yeoul/engine.h>

#include "apps/run/inputs.h"

namespace yeoul::run {

struct StreamOptions {
    bool normalize = false;
    int tags = 0; // of each photo, see Request::tags
    std::stop_token stop;
};

/// Called on the calling thread, in input order. After a stop the photos answered are a prefix of
/// the inputs.
using OnResult = std::function<void(const Input& input, const Result& result)>;
/// Called on the calling thread a few times a second, with the photos finished so far.
using OnTick = std::function<void(size_t finished)>;

/// Keeps two windows of photos in the engine, so that one is decoded while the tail of the other is
/// computed.
void stream_photos(Engine& engine, const std::vector<Input>& inputs, const StreamOptions& options,
                   const OnResult& on_result, const OnTick& on_tick);

} // namespace yeoul::run
