// What sessions ask of their memory, as the lines of a trace.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "engine/memory/memory_listener.h"

namespace yeoul::bench {

class TraceRecorder final : public MemoryListener {
public:
    void allocated(const void* data, size_t bytes, MemoryTag tag,
                   StreamRef stream) noexcept override;
    void released(const void* data, MemoryTag tag) noexcept override;

    /// As `read_trace` reads it. Throws `Error`, code `internal`, when a step is missing.
    std::string text() const;

private:
    mutable std::mutex mutex_; // guards what follows
    std::string text_;
    int next_ = 0;
    std::map<std::pair<MemoryTag, const void*>, int> live_;
    std::map<void*, int> streams_; // by first use; a handle that comes again has the same number
    bool complete_ = true;
};

} // namespace yeoul::bench
