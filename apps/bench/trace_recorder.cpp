#include "apps/bench/trace_recorder.h"

#include <exception>

#include <yeoul/error.h>

namespace yeoul::bench {

void TraceRecorder::allocated(const void* data, size_t bytes, MemoryTag tag,
                              StreamRef stream) noexcept {
    const std::lock_guard lock(mutex_);
    try {
        const auto [place, fresh] =
            streams_.emplace(stream.handle(), static_cast<int>(streams_.size()));
        complete_ &= live_.emplace(std::pair(tag, data), next_).second;
        text_ += "a " + std::to_string(next_++) + ' ' + std::to_string(bytes) + ' ';
        text_ += name(tag);
        text_ += ' ' + std::to_string(place->second) + '\n';
    } catch (const std::exception&) { // no memory for the books
        complete_ = false;
    }
}

void TraceRecorder::released(const void* data, MemoryTag tag) noexcept {
    const std::lock_guard lock(mutex_);
    try {
        const auto found = live_.find({tag, data});
        complete_ &= found != live_.end();
        if (found == live_.end())
            return;
        text_ += "f " + std::to_string(found->second) + '\n';
        live_.erase(found);
    } catch (const std::exception&) {
        complete_ = false;
    }
}

std::string TraceRecorder::text() const {
    const std::lock_guard lock(mutex_);
    if (!complete_)
        throw Error(ErrorCode::internal, "the trace misses a step");
    return text_;
}

} // namespace yeoul::bench
