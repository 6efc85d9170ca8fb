// One compute stream with everything a forward pass on it needs: activations, a captured graph per
// batch size, and the stream that carries results back. Lanes of an engine share the model and the
// slots.
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "engine/batching/stages.h"
#include "engine/labels.h"
#include "engine/models/model.h"

namespace yeoul {

/// Device and pinned memory of a lane, and nothing else: a plan makes it on dry memory.
struct LaneMemory {
    /// Batches in flight, and one whose results are being read.
    static constexpr int kPieces = 3;

    /// Everything comes from `memory`, a view of the device that computes. `host`: device pointers
    /// can be read by the host, so nothing is carried back. `tags`: results may have tags.
    LaneMemory(Device& memory, size_t arena_bytes, int capacity, int dim, bool host, bool tags);

    /// Of results: norms (capacity), then vectors (batch, dim), both fp32; behind them the tags of
    /// the batch.
    size_t embeds_offset, output_bytes;
    size_t arena_bytes;
    DeviceMemory arena, index, outputs;
    struct Piece {
        PinnedMemory index;
        DeviceMemory outputs;
        PinnedMemory host_outputs; // none where the host reads `outputs`
    };
    std::vector<Piece> pieces;
};

/// The graphs of a lane that tag as well, for one set of labels; it lives until the last batch
/// that was launched with it is answered.
struct TagGraphs {
    std::shared_ptr<const LabelSet> labels;
    DeviceMemory arena;                         // of the tags alone
    std::vector<std::unique_ptr<Graph>> graphs; // of the lane's batches
};

/// Batches go in by `launch` and come out by `wait`, oldest first; one thread launches and one
/// waits, and the caller sees to it that a batch is waited for after it was launched. Once made it
/// allocates nothing.
class Lane {
public:
    static constexpr int kInFlight = LaneMemory::kPieces - 1;

    /// Captures a graph for each of `batches` (ascending). `slots` (slots, height, width, 3) u8.
    /// Its own memory comes from `memory`, a view of the same device.
    /// `tags`: batches may be tagged once there are labels.
    Lane(Backend& backend, Device& memory, VisionModel& model, const View& slots,
         const std::vector<int>& batches, bool tags = false);
    ~Lane();

    const std::vector<int>& batches() const { return batches_; }
    StreamRef stream() const { return compute_; }

    /// Microseconds of one replay. Nothing is in flight. For start-up.
    double measure_us(int bucket);
    /// Drops the graphs of all batches but these.
    void keep(const std::vector<int>& batches);

    /// Captures what tags by `labels`, with memory from `memory`. On any thread, one at a time;
    /// batches go on meanwhile.
    std::shared_ptr<const TagGraphs> capture_tags(std::shared_ptr<const LabelSet> labels,
                                                  Device& memory) const;
    /// Batches launched from here on are tagged by them.
    void use(std::shared_ptr<const TagGraphs> tagging) noexcept;

    /// Enqueues the pass for `slots`, at most batches()[bucket] of them; rows beyond them are
    /// padding. `tags`: with the graphs last given to `use`. Waits for nothing, except to drain the
    /// stream before it throws.
    void launch(int bucket, std::span<const int> slots, bool tags = false);

    /// The oldest batch not waited for; it may throw what went wrong on the device. What it points
    /// at is valid until the next `wait`: at most kInFlight batches are launched meanwhile.
    BatchOutput wait();

    size_t activation_bytes() const { return memory_.arena_bytes; }

private:
    struct Outputs {
        VisionModel::Output vectors;
        LabelSet::Output tags;
    };
    /// Where a pass of `batch` photos puts its results in `base`, `kept` tags of each.
    Outputs outputs(void* base, int batch, int kept) const;
    size_t result_bytes(int batch, int kept) const;
    std::unique_ptr<Graph> capture(int batch, StreamRef stream, const TagGraphs* tagging) const;
    void warm_up();
    void enqueue(int bucket, std::span<const int> slots, int piece);
    void drain() noexcept;

    Backend& backend_;
    VisionModel& model_;
    View slots_;
    std::vector<int> batches_;
    LaneMemory memory_;
    struct InFlight {
        Event start, stop, done;
        int batch = 0;
        std::shared_ptr<const TagGraphs> tagging; // none: without tags
        explicit InFlight(Device& device) : start(device), stop(device), done(device) {}
    };
    std::vector<std::unique_ptr<InFlight>> in_flight_; // in the pieces
    int launched_ = 0, waited_ = 0;                    // pieces, in turn
    std::mutex tagging_mutex_;                         // guards what follows
    std::shared_ptr<const TagGraphs> tagging_;
    std::vector<std::unique_ptr<Graph>> graphs_;
    Stream back_, compute_; // last: they are drained before the memory goes
};

} // namespace yeoul
