// The stages of a photo's way on one device: the intake, and a lane per compute stream.
#pragma once

#include <memory>
#include <vector>

#include "engine/batching/stages.h"
#include "engine/intake.h"
#include "engine/lane.h"

namespace yeoul {

/// What a pipeline asks of its device's memory.
struct PipelineShape {
    IntakeShape intake;
    int streams = 1, capacity = 1, dim = 0; // capacity: photos of the largest batch
    size_t arena_bytes = 0;                 // of a stream
    bool tags = false;                      // photos may be tagged

    /// `threads` decode. Slots hold four batches per stream and a photo per decoding thread.
    static PipelineShape of(const VisionModel& model, const DeviceProperties& device, int capacity,
                            int streams, int threads, bool tags);
};

/// The memory of a pipeline, taken in the same order; for plans.
struct PipelineMemory {
    PipelineMemory(Device& memory, const PipelineShape& shape);
    IntakeMemory intake;
    std::vector<LaneMemory> lanes;
};

class Pipeline final : public Stages {
public:
    /// Graphs of `batches`, up to shape.capacity, on each lane. Memory comes from `memory`, a view
    /// of the device.
    Pipeline(Backend& backend, Device& memory, VisionModel& model, const std::vector<int>& batches,
             const PipelineShape& shape, const loader::Preprocessor& preprocessor,
             const loader::DecodeOptions& decode);

    /// Batches launched from here on are tagged by `labels`, on every lane, or, when it throws, on
    /// none. On any thread, one at a time. Memory comes from `memory`.
    void use_labels(const std::shared_ptr<const LabelSet>& labels, Device& memory);

    Intake& intake() { return intake_; }
    const std::vector<std::unique_ptr<Lane>>& lanes() const { return lanes_; }

    std::string prepare(const Photo& photo, int slot, Result& result) override {
        return intake_.prepare(photo, slot, result);
    }
    void launch(int stream, int bucket, std::span<const int> slots, bool tags) override {
        intake_.order_before(slots, lanes_[stream]->stream());
        lanes_[stream]->launch(bucket, slots, tags);
    }
    BatchOutput wait(int stream) override { return lanes_[stream]->wait(); }

private:
    Intake intake_;
    std::vector<std::unique_ptr<Lane>> lanes_;
};

} // namespace yeoul
