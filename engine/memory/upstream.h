// Where the caching allocator gets its segments.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/device.h"

namespace yeoul {

/// Called from any thread, never under a lock of the allocator.
class Upstream {
public:
    virtual ~Upstream() = default;
    /// At least 256-byte aligned; throws `OutOfMemory`. `bytes` is positive.
    virtual void* allocate(size_t bytes) = 0;
    virtual void release(void* data, size_t bytes) noexcept = 0;
};

/// The device's own memory.
class DeviceUpstream final : public Upstream {
public:
    explicit DeviceUpstream(Device& device) : device_(device) {}
    void* allocate(size_t bytes) override { return device_.allocate(bytes); }
    void release(void* data, size_t) noexcept override { device_.release(data); }

private:
    Device& device_;
};

/// Pinned host memory of the device.
class PinnedUpstream final : public Upstream {
public:
    explicit PinnedUpstream(Device& device) : device_(device) {}
    void* allocate(size_t bytes) override { return device_.allocate_pinned(bytes); }
    void release(void* data, size_t) noexcept override { device_.release_pinned(data); }

private:
    Device& device_;
};

/// Addresses without memory behind them. What a sequence of requests would reserve is known before
/// the first byte: give the same sequence to an allocator on this one and read its statistics.
/// For one thread.
class DryUpstream final : public Upstream {
public:
    void* allocate(size_t bytes) override {
        const uintptr_t address = next_;
        next_ += bytes;
        return reinterpret_cast<void*>(address); // NOLINT(performance-no-int-to-ptr)
    }
    void release(void*, size_t) noexcept override {}

private:
    uintptr_t next_ = uintptr_t{1} << 32;
};

} // namespace yeoul
