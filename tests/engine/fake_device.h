// A device without work behind it: a stream is a count of what was enqueued and of what is done,
// which the test moves. And an upstream that fails when told to.
#pragma once

#include <atomic>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <mutex>

#include "engine/memory/block_policy.h"
#include "engine/memory/upstream.h"

namespace yeoul::test {

constexpr size_t kPage = BlockPolicy::kPage;

/// Memory, copies and graphs are not asked for. Safe from several threads.
class FakeDevice final : public Device {
public:
    struct Queue {
        std::atomic<int> enqueued{0}, done{0};
        std::atomic<bool> capturing{false};
        void finish() { done = enqueued.load(); }
    };
    struct Mark {
        std::atomic<Queue*> queue{nullptr};
        std::atomic<int> place{0};
    };
    static Queue& queue(StreamRef stream) { return *static_cast<Queue*>(stream.handle()); }
    static Mark& mark(EventRef event) { return *static_cast<Mark*>(event.handle()); }

    /// Called before each event call, without a lock of ours.
    std::function<void()> on_call = [] {};
    std::atomic<bool> lost{false};
    std::atomic<int> records{0}, waits{0}, synchronizes{0}, events{0};

    const DeviceProperties& properties() const override { return properties_; }
    size_t free_bytes() const override { return 0; }
    StreamRef create_stream() override { return StreamRef(new Queue); }
    void destroy_stream(StreamRef stream) noexcept override { delete &queue(stream); }
    void synchronize(StreamRef stream) override { queue(stream).finish(); }
    EventRef create_event() override {
        call();
        ++events;
        return EventRef(new Mark);
    }
    void destroy_event(EventRef event) noexcept override {
        --events;
        delete &mark(event);
    }
    void record(EventRef event, StreamRef stream) override {
        call();
        ++records;
        mark(event).queue = &queue(stream);
        mark(event).place = ++queue(stream).enqueued;
    }
    void wait(EventRef, StreamRef stream) override {
        call();
        refuse_capture(stream);
        ++waits;
        ++queue(stream).enqueued;
    }
    void synchronize(EventRef event) override {
        call();
        ++synchronizes;
        if (Queue* recorded = mark(event).queue) {
            refuse_capture(StreamRef(recorded));
            int done = recorded->done;
            while (done < mark(event).place &&
                   !recorded->done.compare_exchange_weak(done, mark(event).place)) {
            }
        }
    }
    bool complete(EventRef event) override {
        call();
        const Queue* recorded = mark(event).queue;
        return recorded == nullptr || recorded->done >= mark(event).place;
    }

    void* allocate(size_t) override { unexpected(); }
    void release(void*) noexcept override {}
    void* allocate_pinned(size_t) override { unexpected(); }
    void release_pinned(void*) noexcept override {}
    float elapsed_ms(EventRef, EventRef) override { unexpected(); }
    void copy(void*, const void*, size_t, CopyKind, StreamRef) override { unexpected(); }
    void zero(void*, size_t, StreamRef) override { unexpected(); }
    void begin_capture(StreamRef stream) override { queue(stream).capturing = true; }
    std::unique_ptr<Graph> end_capture(StreamRef) override { unexpected(); }
    void abandon_capture(StreamRef stream) noexcept override { queue(stream).capturing = false; }
    void launch(Graph&, StreamRef) override { unexpected(); }

private:
    void call() {
        on_call();
        if (lost)
            throw Error(ErrorCode::device_lost, "the device is lost");
    }
    static void refuse_capture(StreamRef stream) {
        if (queue(stream).capturing)
            throw Error(ErrorCode::invalid_argument, "the stream is capturing");
    }
    [[noreturn]] static void unexpected() {
        throw Error(ErrorCode::internal, "not a call that an allocator makes");
    }
    DeviceProperties properties_{.kind = "fake", .name = "a fake", .isa = "none"};
};

/// Host memory that is really there, so that AddressSanitizer sees what is outside of it.
class FailingUpstream final : public Upstream {
public:
    /// Asked with the number of this call, from 1, and its bytes; true has it fail.
    std::function<bool(int call, size_t bytes)> fails = [](int, size_t) { return false; };
    /// Called before each call, without a lock of ours.
    std::function<void()> on_call = [] {};

    ~FailingUpstream() override {
        for (const auto& [data, bytes] : live_)
            std::free(data);
    }
    void* allocate(size_t bytes) override {
        on_call();
        std::lock_guard lock(mutex_);
        if (fails(++calls_, bytes))
            throw OutOfMemory(bytes, "a test");
        void* data = std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
        if (data == nullptr)
            throw OutOfMemory(bytes, "this machine");
        try {
            live_[data] = bytes;
        } catch (...) {
            std::free(data);
            throw;
        }
        live_bytes_ += bytes;
        return data;
    }
    void release(void* data, size_t bytes) noexcept override {
        on_call();
        std::lock_guard lock(mutex_);
        const auto found = live_.find(data);
        if (found == live_.end() || found->second != bytes)
            std::abort(); // not ours, twice, or of another size
        live_bytes_ -= bytes;
        live_.erase(found);
        std::free(data);
    }
    int calls() const { return calls_; }
    size_t live_bytes() const {
        std::lock_guard lock(mutex_);
        return live_bytes_;
    }

private:
    mutable std::recursive_mutex mutex_; // `fails` may ask for live_bytes()
    std::map<void*, size_t> live_;
    size_t live_bytes_ = 0;
    std::atomic<int> calls_{0};
};

} // namespace yeoul::test
