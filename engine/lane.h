// One compute stream with everything a forward pass on it needs: activations, photo slots, staging
// and a captured graph per batch size. Lanes of an engine share the model.
#pragma once

#include <memory>
#include <vector>

#include "engine/lane_memory.h"

namespace yeoul {

/// Used by one thread at a time. Once made it allocates nothing.
class Lane {
public:
    /// Captures a graph for each of `batches` (ascending, starting with 1). Everything it holds
    /// comes from `memory`, a view of the same device.
    Lane(Backend& backend, Device& memory, VisionModel& model, const std::vector<int>& batches);
    ~Lane();

    int capacity() const { return batches_.back(); }
    /// Host pixels (image_height, image_width, 3) of photo i, i < capacity(), to be filled before
    /// `run`.
    uint8_t* staging(int i) const;

    struct Row {
        const float* embedding; // (dim), valid until the next `run`
        float norm;             // of it; not finite when the row is not
        int batch;              // of the graph that computed it
        float compute_ms;       // of that graph
    };
    /// Computes the photos staged at `photos` and waits. Returns a row for each, in that order.
    /// Any number up to the capacity: it is split into the planned batch sizes, largest first.
    const std::vector<Row>& run(const std::vector<int>& photos);

    size_t activation_bytes() const { return shape_.arena_bytes; }
    size_t slot_bytes() const { return shape_.slots_bytes(); }
    size_t staging_bytes() const { return shape_.staging_bytes(); }

private:
    VisionModel::Input input(int batch) const;
    VisionModel::Output output(int batch) const;
    void capture(int batch);
    void warm_up();
    void enqueue(const std::vector<int>& photos);

    Backend& backend_;
    VisionModel& model_;
    std::vector<int> batches_;
    LaneShape shape_;
    LaneMemory memory_;
    std::vector<Row> rows_;
    std::vector<std::unique_ptr<Event>> starts_, stops_; // of the launches of a run, in order
    std::vector<std::unique_ptr<Graph>> graphs_;         // one per batch of batches_
    Stream stream_; // last: it is drained before the memory goes
};

} // namespace yeoul
