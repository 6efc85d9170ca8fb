// A device whose memory is numbers: what a start-up would take is known before the first byte.
#pragma once

#include "engine/memory/upstream.h"
#include "kernels/forwarding_device.h"

namespace yeoul {

/// A dry view of `device` (`DeviceProperties::dry`), without end. Streams and events are the
/// device's. For one thread at a time.
class DryDevice final : public ForwardingDevice<> {
public:
    explicit DryDevice(Device& device)
        : ForwardingDevice(device), properties_(device.properties()) {
        properties_.host_memory = false;
        properties_.dry = true;
    }

    const DeviceProperties& properties() const override { return properties_; }
    void* allocate(size_t bytes) override { return bytes > 0 ? memory_.allocate(bytes) : nullptr; }
    void release(void*) noexcept override {}
    void* allocate_pinned(size_t bytes) override {
        return bytes > 0 ? pinned_.allocate(bytes) : nullptr;
    }
    void release_pinned(void*) noexcept override {}
    void copy(void*, const void*, size_t, CopyKind, StreamRef) override {}
    void zero(void*, size_t, StreamRef) override {}

private:
    DeviceProperties properties_;
    DryUpstream memory_, pinned_;
};

} // namespace yeoul
