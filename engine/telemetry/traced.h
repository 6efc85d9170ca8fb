// A backend and stages that say to a trace what they do. Without a trace neither is there.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "engine/batching/stages.h"
#include "engine/telemetry/trace.h"
#include "kernels/forwarding_device.h"

namespace yeoul {

/// Each copy and each launch of a graph between two events of its stream. A stream is a row, by the
/// order of its creation. The events cost a few microseconds each on a GPU.
class TracedBackend final : public ForwardingBackend {
public:
    TracedBackend(std::shared_ptr<Backend> inner, Trace& trace);
    ~TracedBackend() override;

    /// Adds what ran to the trace. Nothing is enqueued any more. Waits for the device.
    void finish();

    StreamRef create_stream() override;
    void destroy_stream(StreamRef stream) noexcept override;
    void copy(void* y, const void* x, size_t bytes, CopyKind kind, StreamRef stream) override;
    void begin_capture(StreamRef stream) override;
    std::unique_ptr<Graph> end_capture(StreamRef stream) override;
    void abandon_capture(StreamRef stream) noexcept override;
    void launch(Graph& graph, StreamRef stream) override;

private:
    struct Running {
        std::string row;
        const char* name;
        size_t size;
        std::unique_ptr<Event> start, stop;
    };
    template <class Enqueue>
    void traced(StreamRef stream, const char* name, size_t size, Enqueue enqueue);
    std::unique_ptr<Event> take_event();
    void collect(bool all);

    std::shared_ptr<Backend> owned_;
    Trace& trace_;
    std::mutex mutex_; // guards what follows
    std::map<void*, std::string> rows_;
    std::set<void*> capturing_;
    std::deque<Running> running_;
    std::deque<std::unique_ptr<Event>> free_events_;
    std::unique_ptr<Event> start_; // that the others are timed from
    double start_us_ = 0;          // the trace's time then
    int streams_ = 0;
};

/// Decoding by thread, and each batch from its launch until its results are there.
class TracedStages final : public Stages {
public:
    TracedStages(Stages& inner, Trace& trace) : inner_(inner), trace_(trace) {}

    std::string prepare(const Photo& photo, int slot, Result& result) override;
    void launch(int stream, int bucket, std::span<const int> slots, bool tags) override;
    BatchOutput wait(int stream) override;

private:
    struct Launched {
        double start_us;
        size_t photos;
    };
    Stages& inner_;
    Trace& trace_;
    std::mutex mutex_;                             // guards what follows
    std::map<int, std::deque<Launched>> launched_; // by stream, the oldest first
    std::set<int> idle_rows_;                      // of decoding, lowest first
    int rows_ = 0;
};

} // namespace yeoul
