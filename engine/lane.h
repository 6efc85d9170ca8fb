// One compute stream with everything a forward pass on it needs: activations, a captured graph per
// batch size, and the stream that carries results back. Lanes of an engine share the model and the
// slots.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "engine/batching/stages.h"
#include "engine/models/model.h"

namespace yeoul {

/// Device and pinned memory of a lane, and nothing else: a plan makes it without a device.
struct LaneMemory {
    /// Batches in flight, and one whose results are being read.
    static constexpr int kPieces = 3;

    /// Everything comes from `memory`, a view of the device that computes. `host`: device pointers
    /// can be read by the host, so nothing is carried back.
    LaneMemory(Device& memory, size_t arena_bytes, int capacity, int dim, bool host);

    /// Of results: norms (capacity), then vectors (capacity, dim), both fp32.
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

/// Batches go in by `launch` and come out by `wait`, oldest first; one thread launches and one
/// waits, and the caller sees to it that a batch is waited for after it was launched. Once made it
/// allocates nothing.
class Lane {
public:
    static constexpr int kInFlight = LaneMemory::kPieces - 1;

    /// Captures a graph for each of `batches` (ascending). `slots` (slots, height, width, 3) u8.
    /// Its own memory comes from `memory`, a view of the same device.
    Lane(Backend& backend, Device& memory, VisionModel& model, const View& slots,
         const std::vector<int>& batches);
    ~Lane();

    const std::vector<int>& batches() const { return batches_; }
    StreamRef stream() const { return compute_; }

    /// Microseconds of one replay. Nothing is in flight. For start-up.
    double measure_us(int bucket);
    /// Drops the graphs of all batches but these.
    void keep(const std::vector<int>& batches);

    /// Enqueues the pass for `slots`, at most batches()[bucket] of them; rows beyond them are
    /// padding. Waits for nothing, except to drain the stream before it throws.
    void launch(int bucket, std::span<const int> slots);

    /// The oldest batch not waited for; it may throw what went wrong on the device. What it points
    /// at is valid until the next `wait`: at most kInFlight batches are launched meanwhile.
    BatchOutput wait();

    size_t activation_bytes() const { return memory_.arena_bytes; }

private:
    void capture(int batch);
    void warm_up();
    void enqueue(int bucket, std::span<const int> slots, int piece);
    void drain() noexcept;
    float* output(void* base, size_t offset) const {
        return reinterpret_cast<float*>(static_cast<std::byte*>(base) + offset);
    }

    Backend& backend_;
    VisionModel& model_;
    View slots_;
    std::vector<int> batches_;
    LaneMemory memory_;
    struct Times {
        Event start, stop, done;
        explicit Times(Device& device) : start(device), stop(device), done(device) {}
    };
    std::vector<std::unique_ptr<Times>> times_; // of the pieces
    int launched_ = 0, waited_ = 0;             // pieces, in turn
    std::vector<std::unique_ptr<Graph>> graphs_;
    Stream back_, compute_; // last: they are drained before the memory goes
};

} // namespace yeoul
