// An engine on a device: what a start-up prepared, and the scheduler. `Engine` is this on a device
// by name.
#pragma once

#include <memory>
#include <optional>

#include <yeoul/engine.h>

#include "engine/batching/scheduler.h"
#include "engine/memory/counted_backend.h"
#include "engine/startup.h"
#include "engine/telemetry/traced.h"

namespace yeoul {

/// What only measurements ask for.
struct MeasuringOptions {
    std::vector<int> batches = {}; // the very sizes that get a graph
    bool full_batches = false;     // as of PolicyConfig
    /// Hears what is asked of the session's memory, and outlives it.
    MemoryListener* listener = nullptr;
};

class Session {
public:
    /// Throws as `Engine::open`. `options.device` is not looked at.
    Session(std::unique_ptr<Backend> backend, const EngineOptions& options,
            const MeasuringOptions& measuring = {});
    ~Session();
    /// For measuring: an instance beside `first`, which outlives it and was opened with the same
    /// options. It shares the device and the weights, without text; memory, streams, threads and
    /// queue are its own. `measuring.batches` are some of `first`'s, or none for all of them.
    /// Throws `OutOfMemory`.
    Session(Session& first, const EngineOptions& options, const MeasuringOptions& measuring = {});

    void submit(Request request, Scheduler::OnDone on_done);
    // As of `Engine`:
    std::vector<std::vector<float>> embed_text(const std::vector<std::string>& texts);
    void set_labels(const Labels& labels);
    std::vector<std::vector<Tag>> tag(const std::vector<std::vector<float>>& embeddings, int count);
    Duplicates duplicates(const std::vector<std::vector<float>>& embeddings, double threshold);

    bool ready() const { return scheduler_->ready(); }
    const ModelInfo& info() const { return prepared_.opened.info; }
    const DeviceInfo& device() const { return device_; }
    EngineStats stats() const;
    std::string memory_snapshot() const;
    const Prepared& prepared() const { return prepared_; }

private:
    void start(const EngineOptions& options, const PlanRequest& request, bool full_batches);
    void tell_memory() const;
    TextSide& text() const;
    /// Runs what is asked of the device beside photos. A lost device ends all, and what the host
    /// has no memory for is an `Error` too.
    template <class Call>
    auto beside_photos(Call call);

    std::filesystem::path trace_path_; // empty: nothing is traced
    std::function<void(LogLevel, std::string_view)> log_;
    Trace trace_;
    std::shared_ptr<Backend> backend_;
    CountedBackend* counted_ = nullptr; // of backend_
    Prepared prepared_;
    std::optional<PlacedWeights> placed_; // of ops that are made while it serves
    DeviceInfo device_;
    double load_seconds_ = 0;
    uint64_t ready_allocations_ = 0, ready_synchronizations_ = 0;
    std::unique_ptr<TracedStages> traced_stages_;
    std::unique_ptr<Scheduler> scheduler_; // last: it ends before what it uses
};

} // namespace yeoul
