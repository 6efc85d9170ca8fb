// A device whose memory comes from the caching allocator, for code that knows only `Device`: lanes,
// and the weights of ops.
#pragma once

#include "engine/memory/caching_allocator.h"
#include "engine/memory/memory_listener.h"
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
    /// All outlive it, and `stream` is live while it allocates. Nobody need listen.
    AllocatedDevice(Device& device, Source device_memory, Source pinned_memory, StreamRef stream,
                    MemoryListener* listener = nullptr)
        : ForwardingDevice(device), memory_(device_memory), pinned_(pinned_memory), stream_(stream),
          listener_(listener) {}

    void* allocate(size_t bytes) override { return take(memory_, bytes); }
    void release(void* data) noexcept override { put(memory_, data); }
    void* allocate_pinned(size_t bytes) override { return take(pinned_, bytes); }
    void release_pinned(void* data) noexcept override { put(pinned_, data); }

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
    void* take(const Source& source, size_t bytes) {
        void* data = source.allocator.allocate(bytes, source.tag, stream_).detach();
        if (listener_ && data)
            listener_->allocated(data, bytes, source.tag, stream_);
        return data;
    }
    void put(const Source& source, void* data) noexcept {
        if (listener_ && data)
            listener_->released(data, source.tag);
        try {
            source.allocator.release(data);
        } catch (const Error&) { // counted there as a bad free
        }
    }

    Source memory_, pinned_;
    StreamRef stream_;
    MemoryListener* listener_;
};

} // namespace yeoul
