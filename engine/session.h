// An engine on a device: memory, model, pipeline and scheduler, put together. `Engine` is this on a
// device by name.
#pragma once

#include <memory>

#include <yeoul/engine.h>

#include "engine/batching/scheduler.h"
#include "engine/memory/allocated_device.h"
#include "engine/models/model.h"
#include "engine/pipeline.h"

namespace yeoul {

/// The backend that `options` name, with its share of the threads. Throws as `make_backend`.
std::unique_ptr<Backend> open_backend(const EngineOptions& options);

class Session {
public:
    /// Throws as `Engine::open`. `options.device` is not looked at. `batches`, when given, are the
    /// very sizes that get a graph: for measuring.
    Session(std::unique_ptr<Backend> backend, const EngineOptions& options,
            const std::vector<int>& batches = {});

    void submit(Request request, Scheduler::OnDone on_done) {
        scheduler_->submit(std::move(request), std::move(on_done));
    }
    bool ready() const { return scheduler_->ready(); }
    const ModelInfo& info() const { return info_; }
    const DeviceInfo& device() const { return device_; }
    EngineStats stats() const;

private:
    /// The device's memory as the engine hands it out, by what it is for.
    struct Memory {
        explicit Memory(Backend& backend)
            : upstream(backend), pinned_upstream(backend), home(backend), device(backend, upstream),
              pinned(backend, pinned_upstream),
              weights(backend, {device, MemoryTag::weights}, {pinned, MemoryTag::staging}, home),
              lanes(backend, {device, MemoryTag::activations}, {pinned, MemoryTag::staging}, home) {
        }
        DeviceUpstream upstream;
        PinnedUpstream pinned_upstream;
        Stream home; // of everything that is there from start to end
        CachingAllocator device, pinned;
        AllocatedDevice weights, lanes;
    };
    void load(const EngineOptions& options, const std::vector<int>& batches);
    batching::CostTable make_pipeline(const EngineOptions& options, int threads, bool keep_all);

    std::unique_ptr<Backend> backend_;
    std::unique_ptr<Memory> memory_;
    std::unique_ptr<VisionModel> model_;
    std::vector<batching::BatchCost> proposed_;
    loader::Preprocessor preprocessor_;
    ModelInfo info_;
    DeviceInfo device_;
    double load_seconds_ = 0;
    std::unique_ptr<Pipeline> pipeline_;
    std::unique_ptr<Scheduler> scheduler_; // last: it ends before what it uses
};

} // namespace yeoul
