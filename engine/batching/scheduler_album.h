// A request inside the scheduler, and the scheduler's clock.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <vector>

#include "engine/batching/scheduler.h"

namespace yeoul {

/// Of the clock that the policy is told.
inline int64_t nanoseconds(std::chrono::steady_clock::time_point time) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
}

inline int64_t now_ns() {
    return nanoseconds(std::chrono::steady_clock::now());
}

/// A request on its way. It holds itself until its last photo is answered.
struct Scheduler::Album {
    Request request;
    OnDone on_done;
    std::chrono::steady_clock::time_point submitted = std::chrono::steady_clock::now();
    std::vector<Item> items;
    std::vector<Result> results; // one writer each, until it is finished
    std::atomic<bool> cancelled = false;
    std::shared_ptr<Album> self;

    std::mutex mutex; // guards what follows; on_item is called by one thread at a time
    size_t remaining = 0;

    std::mutex stop_mutex; // guards what follows; no callback of the caller runs under it
    bool finished = false;
    std::optional<std::stop_callback<std::function<void()>>> on_stop;
};

} // namespace yeoul
