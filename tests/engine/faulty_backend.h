// A backend that counts what is taken of it and runs out of memory when told to.
#pragma once

#include <atomic>
#include <functional>

#include "kernels/forwarding_device.h"

namespace yeoul::test {

class FaultyBackend final : public ForwardingBackend {
public:
    explicit FaultyBackend(Backend& inner) : ForwardingBackend(inner) {}

    /// Asked with the number of this allocation, of device or pinned memory, from 1.
    std::function<bool(int call)> fails = [](int) { return false; };
    std::atomic<int> calls{0}, live_blocks{0}, live_streams{0}, live_events{0};

    void* allocate(size_t bytes) override {
        return count(bytes, [&] { return ForwardingBackend::allocate(bytes); });
    }
    void release(void* data) noexcept override {
        live_blocks -= data != nullptr;
        ForwardingBackend::release(data);
    }
    void* allocate_pinned(size_t bytes) override {
        return count(bytes, [&] { return ForwardingBackend::allocate_pinned(bytes); });
    }
    void release_pinned(void* data) noexcept override {
        live_blocks -= data != nullptr;
        ForwardingBackend::release_pinned(data);
    }
    StreamRef create_stream() override {
        const StreamRef stream = ForwardingBackend::create_stream();
        ++live_streams;
        return stream;
    }
    void destroy_stream(StreamRef stream) noexcept override {
        --live_streams;
        ForwardingBackend::destroy_stream(stream);
    }
    EventRef create_event() override {
        const EventRef event = ForwardingBackend::create_event();
        ++live_events;
        return event;
    }
    void destroy_event(EventRef event) noexcept override {
        --live_events;
        ForwardingBackend::destroy_event(event);
    }

private:
    template <class Allocate>
    void* count(size_t bytes, Allocate allocate) {
        if (bytes == 0)
            return nullptr;
        if (fails(++calls))
            throw OutOfMemory(bytes, "a test");
        void* data = allocate();
        ++live_blocks;
        return data;
    }
};

} // namespace yeoul::test
