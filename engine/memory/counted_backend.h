// A backend that counts what can hold a whole device up.
#pragma once

#include <atomic>
#include <memory>

#include "kernels/forwarding_device.h"

namespace yeoul {

/// The innermost of an engine's backends: whatever takes memory of the device is seen here, through
/// an allocator or past it. Nothing an engine does waits for the whole device but for giving memory
/// back (on CUDA: cudaFree, cudaFreeHost); `Device` has no other call that would.
class CountedBackend final : public ForwardingBackend {
public:
    explicit CountedBackend(std::unique_ptr<Backend> inner)
        : ForwardingBackend(*inner), owned_(std::move(inner)) {}

    /// Of device and pinned memory, since the start.
    uint64_t allocations() const { return allocations_; }
    uint64_t synchronizations() const { return releases_; }

    void* allocate(size_t bytes) override {
        allocations_ += bytes > 0;
        return ForwardingBackend::allocate(bytes);
    }
    void release(void* data) noexcept override {
        releases_ += data != nullptr;
        ForwardingBackend::release(data);
    }
    void* allocate_pinned(size_t bytes) override {
        allocations_ += bytes > 0;
        return ForwardingBackend::allocate_pinned(bytes);
    }
    void release_pinned(void* data) noexcept override {
        releases_ += data != nullptr;
        ForwardingBackend::release_pinned(data);
    }

private:
    std::unique_ptr<Backend> owned_;
    std::atomic<uint64_t> allocations_ = 0, releases_ = 0;
};

} // namespace yeoul
