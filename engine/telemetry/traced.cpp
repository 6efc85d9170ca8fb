#include "engine/telemetry/traced.h"

#include <algorithm>

namespace yeoul {
namespace {

/// Events in flight; beyond them what is complete is collected on the way.
constexpr size_t kMostRunning = 1024;

/// Times between events are floats of ms, to 0.5 us within this and to 250 us after an hour: what
/// lies further from the event that others are timed from takes its place.
constexpr double kFarMs = 8192;

const char* text(CopyKind kind) {
    switch (kind) {
    case CopyKind::host_to_device:
        return "copy to device";
    case CopyKind::device_to_host:
        return "copy to host";
    case CopyKind::device_to_device:
        return "copy on device";
    }
    return "copy";
}

} // namespace

TracedBackend::TracedBackend(std::shared_ptr<Backend> inner, Trace& trace)
    : ForwardingBackend(*inner), owned_(std::move(inner)), trace_(trace),
      start_(std::make_unique<Event>(backend())) {
    const Stream stream(backend());
    backend().record(*start_, stream);
    backend().synchronize(stream);
    start_us_ = trace_.now_us();
}

TracedBackend::~TracedBackend() = default;

void TracedBackend::finish() {
    collect(true);
}

StreamRef TracedBackend::create_stream() {
    const StreamRef stream = ForwardingBackend::create_stream();
    const std::lock_guard lock(mutex_);
    rows_[stream.handle()] = "stream " + std::to_string(++streams_);
    return stream;
}

void TracedBackend::destroy_stream(StreamRef stream) noexcept {
    {
        const std::lock_guard lock(mutex_);
        rows_.erase(stream.handle());
    }
    ForwardingBackend::destroy_stream(stream);
}

std::unique_ptr<Event> TracedBackend::take_event() {
    if (free_events_.empty())
        return std::make_unique<Event>(backend());
    std::unique_ptr<Event> event = std::move(free_events_.front());
    free_events_.pop_front();
    return event;
}

template <class Enqueue>
void TracedBackend::traced(StreamRef stream, const char* name, size_t size, Enqueue enqueue) {
    Running running{{}, name, size, nullptr, nullptr};
    {
        const std::lock_guard lock(mutex_);
        if (!capturing_.contains(stream.handle())) {
            // The backend brings weights on a stream of its own.
            running.row = rows_.try_emplace(stream.handle(), "loading").first->second;
            running.start = take_event();
            running.stop = take_event();
        }
    }
    if (running.start)
        backend().record(*running.start, stream);
    enqueue();
    if (!running.start)
        return;
    backend().record(*running.stop, stream);
    bool full = false;
    {
        const std::lock_guard lock(mutex_);
        running_.push_back(std::move(running));
        full = running_.size() > kMostRunning;
    }
    if (full)
        collect(false);
}

void TracedBackend::copy(void* y, const void* x, size_t bytes, CopyKind kind, StreamRef stream) {
    traced(stream, text(kind), bytes, [&] { ForwardingBackend::copy(y, x, bytes, kind, stream); });
}

void TracedBackend::launch(Graph& graph, StreamRef stream) {
    traced(stream, "graph", 0, [&] { ForwardingBackend::launch(graph, stream); });
}

void TracedBackend::begin_capture(StreamRef stream) {
    ForwardingBackend::begin_capture(stream);
    const std::lock_guard lock(mutex_);
    capturing_.insert(stream.handle());
}

std::unique_ptr<Graph> TracedBackend::end_capture(StreamRef stream) {
    {
        const std::lock_guard lock(mutex_);
        capturing_.erase(stream.handle());
    }
    return ForwardingBackend::end_capture(stream);
}

void TracedBackend::abandon_capture(StreamRef stream) noexcept {
    {
        const std::lock_guard lock(mutex_);
        capturing_.erase(stream.handle());
    }
    ForwardingBackend::abandon_capture(stream);
}

// The complete ones, or all; a device that is lost leaves out what it did not finish.
void TracedBackend::collect(bool all) {
    const std::lock_guard lock(mutex_);
    std::deque<Running> still;
    for (Running& running : running_) {
        try {
            if (all)
                backend().synchronize(EventRef(*running.stop));
            else if (!backend().complete(*running.stop)) {
                still.push_back(std::move(running));
                continue;
            }
            const double start_ms = backend().elapsed_ms(*start_, *running.start);
            const double ms = backend().elapsed_ms(*running.start, *running.stop);
            const double start_us = start_us_ + 1e3 * start_ms;
            trace_.add({running.row, running.name, start_us, 1e3 * ms,
                        static_cast<int64_t>(running.size)});
            if (start_ms > kFarMs) {
                std::swap(start_, running.start);
                start_us_ = start_us;
            }
        } catch (const Error&) { // the engine tells
        }
        free_events_.push_back(std::move(running.start));
        free_events_.push_back(std::move(running.stop));
    }
    running_ = std::move(still);
}

std::string TracedStages::prepare(const Photo& photo, int slot, Result& result) {
    int row = 0;
    {
        const std::lock_guard lock(mutex_);
        if (idle_rows_.empty())
            idle_rows_.insert(++rows_);
        row = idle_rows_.extract(idle_rows_.begin()).value();
    }
    const double start_us = trace_.now_us();
    const auto ended = [&](const char* name) {
        trace_.add({"decoding " + std::to_string(row), name, start_us, trace_.now_us() - start_us});
        const std::lock_guard lock(mutex_);
        idle_rows_.insert(row);
    };
    try {
        std::string warning = inner_.prepare(photo, slot, result);
        ended("photo");
        return warning;
    } catch (...) {
        ended("photo that failed");
        throw;
    }
}

void TracedStages::launch(int stream, int bucket, std::span<const int> slots, bool tags) {
    const double start_us = trace_.now_us();
    { // before the launch: after it, nothing may fail
        const std::lock_guard lock(mutex_);
        launched_[stream].push_back({start_us, slots.size()});
    }
    try {
        inner_.launch(stream, bucket, slots, tags);
    } catch (...) {
        const std::lock_guard lock(mutex_);
        launched_[stream].pop_back();
        throw;
    }
}

BatchOutput TracedStages::wait(int stream) {
    Launched launched{};
    {
        const std::lock_guard lock(mutex_);
        launched = launched_[stream].front();
        launched_[stream].pop_front();
    }
    const BatchOutput output = inner_.wait(stream);
    trace_.add({"batches of lane " + std::to_string(stream + 1), "batch", launched.start_us,
                trace_.now_us() - launched.start_us, static_cast<int64_t>(launched.photos)});
    return output;
}

} // namespace yeoul
