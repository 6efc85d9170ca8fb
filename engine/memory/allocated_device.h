// A device whose memory comes from the caching allocator, for code that knows only `Device`: lanes,
// and the weights of ops.
#pragma once

#include "engine/memory/caching_allocator.h"
#include "kernels/forwarding_device.h"

namespace yeoul {

/// `allocate` serves from `device_memory` and `allocate_pinned` from `pinned_memory`, for one tag
/// and stream each; all else is the device's. As with any device, what is released is handed out
/// again at once, to the same stream: wait for other streams before.
/// A stream that is destroyed here is retired in both allocators.
class AllocatedDevice final : public ForwardingDevice<> {
public:
    struct Source {
        CachingAllocator& allocator;
        MemoryTag tag;
    };
    /// All outlive it, and `stream` is live while it allocates.
    AllocatedDevice(Device& device, Source device_memory, Source pinned_memory, StreamRef stream)
        : ForwardingDevice(device), memory_(device_memory), pinned_(pinned_memory),
          stream_(stream) {}

    void* allocate(size_t bytes) override {
        return memory_.allocator.allocate(bytes, memory_.tag, stream_).detach();
    }
    void release(void* data) noexcept override { release(memory_.allocator, data); }
    void* allocate_pinned(size_t bytes) override {
        return pinned_.allocator.allocate(bytes, pinned_.tag, stream_).detach();
    }
    void release_pinned(void* data) noexcept override { release(pinned_.allocator, data); }

    void destroy_stream(StreamRef stream) noexcept override {
        try {
            device().synchronize(stream);
        } catch (const Error&) { // work that failed is done too
        }
        memory_.allocator.retire(stream);
        pinned_.allocator.retire(stream);
        device().destroy_stream(stream);
    }

private:
    static void release(CachingAllocator& allocator, void* data) noexcept {
        try {
            allocator.release(data);
        } catch (const Error&) { // counted there as a bad free
        }
    }

    Source memory_, pinned_;
    StreamRef stream_;
};

} // namespace yeoul
