// The text side of an engine: encoder and labels in force.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "engine/labels.h"
#include "engine/memory/engine_memory.h"
#include "engine/text_encoder.h"

namespace yeoul {

struct TextSide {
    /// `memory` outlives it, and so do all that share its labels. On dry memory it only knows what
    /// it would hold. `weight_bytes` as of `load_model`.
    TextSide(Backend& backend, EngineMemory& memory, const std::filesystem::path& directory,
             Numerics numerics, const std::vector<int>& batches, int dim, size_t weight_bytes);

    EngineMemory& memory;
    std::unique_ptr<TextEncoder> encoder;
    Tagger tagger;
    std::mutex replacing; // labels are replaced by one at a time
};

} // namespace yeoul
