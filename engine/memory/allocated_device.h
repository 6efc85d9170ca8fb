// A device whose memory comes from the caching allocator, for code that knows only `Device`: lanes,
// and the weights of ops.
#pragma once

#include "engine/memory/caching_allocator.h"

namespace yeoul {

/// `allocate` serves from `device_memory` and `allocate_pinned` from `pinned_memory`, for one tag
/// and stream each; all else is the device's. As with any device, what is released is handed out
/// again at once, to the same stream: wait for other streams before.
/// A stream that is destroyed here is retired in both allocators.
class AllocatedDevice final : public Device {
public:
    struct Source {
        CachingAllocator& allocator;
        MemoryTag tag;
    };
    /// All outlive it, and `stream` is live while it allocates.
    AllocatedDevice(Device& device, Source device_memory, Source pinned_memory, StreamRef stream)
        : device_(device), memory_(device_memory), pinned_(pinned_memory), stream_(stream) {}

    const DeviceProperties& properties() const override { return device_.properties(); }
    void* allocate(size_t bytes) override {
        return memory_.allocator.allocate(bytes, memory_.tag, stream_).detach();
    }
    void release(void* data) noexcept override { release(memory_.allocator, data); }
    void* allocate_pinned(size_t bytes) override {
        return pinned_.allocator.allocate(bytes, pinned_.tag, stream_).detach();
    }
    void release_pinned(void* data) noexcept override { release(pinned_.allocator, data); }

    StreamRef create_stream() override { return device_.create_stream(); }
    void destroy_stream(StreamRef stream) noexcept override {
        try {
            device_.synchronize(stream);
        } catch (const Error&) { // work that failed is done too
        }
        memory_.allocator.retire(stream);
        pinned_.allocator.retire(stream);
        device_.destroy_stream(stream);
    }
    void synchronize(StreamRef stream) override { device_.synchronize(stream); }
    EventRef create_event() override { return device_.create_event(); }
    void destroy_event(EventRef event) noexcept override { device_.destroy_event(event); }
    void record(EventRef event, StreamRef stream) override { device_.record(event, stream); }
    void wait(EventRef event, StreamRef stream) override { device_.wait(event, stream); }
    void synchronize(EventRef event) override { device_.synchronize(event); }
    bool complete(EventRef event) override { return device_.complete(event); }
    float elapsed_ms(EventRef start, EventRef stop) override {
        return device_.elapsed_ms(start, stop);
    }
    void copy(void* y, const void* x, size_t bytes, CopyKind kind, StreamRef stream) override {
        device_.copy(y, x, bytes, kind, stream);
    }
    void zero(void* y, size_t bytes, StreamRef stream) override { device_.zero(y, bytes, stream); }
    void begin_capture(StreamRef stream) override { device_.begin_capture(stream); }
    std::unique_ptr<Graph> end_capture(StreamRef stream) override {
        return device_.end_capture(stream);
    }
    void abandon_capture(StreamRef stream) noexcept override { device_.abandon_capture(stream); }
    void launch(Graph& graph, StreamRef stream) override { device_.launch(graph, stream); }

private:
    static void release(CachingAllocator& allocator, void* data) noexcept {
        try {
            allocator.release(data);
        } catch (const Error&) { // counted there as a bad free
        }
    }

    Device& device_;
    Source memory_, pinned_;
    StreamRef stream_;
};

} // namespace yeoul
