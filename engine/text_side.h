// The text side of an engine: encoder and labels in force, on memory of their own.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "engine/labels.h"
#include "engine/memory/engine_memory.h"
#include "engine/text_encoder.h"

namespace yeoul {

/// Label matrices come and go while photos are served, so its memory has no part in the promise
/// that photos take nothing.
struct TextSide {
    /// `device` is the backend or a dry view of it: then it only knows what it would hold.
    TextSide(Backend& backend, Device& device, const std::filesystem::path& directory,
             Numerics numerics, const std::vector<int>& batches, int dim);

    size_t reserved_bytes() const {
        return memory.device().stats().total.reserved_bytes +
               memory.pinned().stats().total.reserved_bytes;
    }

    EngineMemory memory;
    std::unique_ptr<TextEncoder> encoder;
    Tagger tagger;
    std::mutex replacing; // labels are replaced by one at a time
};

} // namespace yeoul
