// Events that are used again, so that none is made once the engine is warm.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "kernels/device.h"

namespace yeoul {

class EventPool {
public:
    explicit EventPool(Device& device) : device_(device) {}

    std::unique_ptr<Event> take() {
        {
            std::lock_guard lock(mutex_);
            if (!spare_.empty()) {
                auto event = std::move(spare_.back());
                spare_.pop_back();
                return event;
            }
            spare_.reserve(made_ + 1); // so that giving back cannot fail
            ++made_;
        }
        try {
            return std::make_unique<Event>(device_);
        } catch (...) {
            std::lock_guard lock(mutex_);
            --made_;
            throw;
        }
    }
    /// Of this pool; it may have failed.
    void put(std::unique_ptr<Event> event) noexcept {
        std::lock_guard lock(mutex_);
        spare_.push_back(std::move(event));
    }
    uint64_t made() const {
        std::lock_guard lock(mutex_);
        return made_;
    }

private:
    Device& device_;
    mutable std::mutex mutex_;
    std::vector<std::unique_ptr<Event>> spare_;
    uint64_t made_ = 0;
};

} // namespace yeoul
