// Who hears what an engine asks of its memory: a recorder of traces.
#pragma once

#include <cstddef>

#include "engine/memory/allocator_stats.h"
#include "kernels/device.h"

namespace yeoul {

/// Called from any thread, in the order in which memory changes hands: a piece is given back here
/// before anybody else may get it. Pieces of one tag that are live do not overlap.
class MemoryListener {
public:
    virtual ~MemoryListener() = default;
    /// `bytes` is positive.
    virtual void allocated(const void* data, size_t bytes, MemoryTag tag,
                           StreamRef stream) noexcept = 0;
    virtual void released(const void* data, MemoryTag tag) noexcept = 0;
};

} // namespace yeoul
