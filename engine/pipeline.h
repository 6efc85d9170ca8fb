// The stages of a photo's way on one device: the intake, and a lane per compute stream.
#pragma once

#include <memory>
#include <vector>

#include "engine/batching/stages.h"
#include "engine/intake.h"
#include "engine/lane.h"

namespace yeoul {

class Pipeline final : public Stages {
public:
    /// Graphs of `batches` on each of `streams` lanes; `shape.slots` photo slots. Memory comes from
    /// `memory`, a view of the device.
    Pipeline(Backend& backend, Device& memory, VisionModel& model, const std::vector<int>& batches,
             int streams, const IntakeShape& shape, const loader::Preprocessor& preprocessor,
             const loader::DecodeOptions& decode);

    Intake& intake() { return intake_; }
    const std::vector<std::unique_ptr<Lane>>& lanes() const { return lanes_; }

    std::string prepare(const Photo& photo, int slot, Result& result) override {
        return intake_.prepare(photo, slot, result);
    }
    void launch(int stream, int bucket, std::span<const int> slots) override {
        intake_.order_before(slots, lanes_[stream]->stream());
        lanes_[stream]->launch(bucket, slots);
    }
    BatchOutput wait(int stream) override { return lanes_[stream]->wait(); }

private:
    Intake intake_;
    std::vector<std::unique_ptr<Lane>> lanes_;
};

} // namespace yeoul
