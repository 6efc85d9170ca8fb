// A photo's way into its slot: read, decode, resize, and onto the device.
//
// Where the device is the host, the pixels are resized straight into the slot. Elsewhere one of two
// ways brings them there:
//   1. the rectangle of source pixels that the crop reads goes to a block of pinned memory and over
//      the bus, and the device resizes: one launch for all photos that came meanwhile;
//   2. the decoding thread resizes and the slot's pixels go over the bus. So go photos whose
//      rectangle would take longer to copy than the device takes to compute a photo, and all photos
//      while the pinned memory is full.
// Both give the same bytes (loader/resize.h), so nobody can tell which one a photo went.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include <yeoul/engine.h>

#include "engine/memory/block_policy.h"
#include "engine/resize_table.h"
#include "kernels/ops.h"
#include "loader/image.h"
#include "loader/preprocess.h"
#include "loader/preprocessor.h"

namespace yeoul {

/// What the intake is to be. The plan needs no more than this.
struct IntakeShape {
    int slots = 1;
    int height = 0, width = 0; // of a slot
    bool host = true;          // the device is the host
    /// Pinned memory for source pixels, and as much on the device. 0: the host resizes everything.
    size_t ring_bytes = 0;

    size_t slot_bytes() const { return size_t{3} * height * width; }
};

/// Device and pinned memory of the intake: see LaneMemory.
struct IntakeMemory {
    /// Uploads in flight.
    static constexpr int kGroups = 4;
    /// Of one upload: more photos or larger tables wait for the next.
    static constexpr int kTasks = 64;
    static constexpr size_t kTableBytes = size_t{1} << 20;

    IntakeMemory(Device& memory, const IntakeShape& shape);

    DeviceMemory slots;
    PinnedMemory host_slots;   // what the host resized; none where it reaches `slots`
    PinnedMemory host_sources; // of source pixels, in pieces
    DeviceMemory sources;      // the same pieces at the same offsets
    struct Group {
        PinnedMemory host_table;
        DeviceMemory table;
    };
    std::vector<Group> groups;
};

/// Safe from any number of threads. Once made it allocates nothing on the device.
class Intake {
public:
    /// Memory comes from `memory`, a view of the device. The ring is not used where the device
    /// cannot resize.
    Intake(Backend& backend, Device& memory, const IntakeShape& shape,
           loader::Preprocessor preprocessor, loader::DecodeOptions decode);
    /// Nobody uses it any more. Waits for the uploads.
    ~Intake();

    /// (slots, height, width, 3) u8, on the device.
    View slots() const;
    /// Larger rectangles are resized on the host, and none above a quarter of the ring goes there.
    /// Before the first `prepare`.
    void set_most_source_bytes(size_t bytes) { most_source_bytes_ = bytes; }

    /// Brings `photo` on its way into `slot`, which nobody else uses and whose earlier photo was
    /// computed or given up. Fills format, size and stage times of `result`. Throws `Error` with an
    /// item's code; the message does not name the photo. Returns a warning, or nothing. Does not
    /// wait for the device, unless the slot's earlier photo was given up on its way there.
    std::string prepare(const Photo& photo, int slot, Result& result);

    /// Work enqueued on `stream` from here on finds in `slots` what was prepared for them. Enqueues
    /// uploads that are still to come; waits for one only when the bus is so far behind that
    /// kGroups of them are in flight.
    void order_before(std::span<const int> slots, StreamRef stream);

    struct Counts {
        int64_t device_resized = 0, host_resized = 0, uploads = 0;
    };
    Counts counts() const;

private:
    /// Prepared, and not yet enqueued.
    struct Upload {
        int slot;
        /// The source's rectangle and its place; none when the slot's pixels are in host_slots.
        std::optional<PlannedResize> plan;
        BlockPolicy::Piece source;
    };
    struct Group {
        std::unique_ptr<Event> done;
        uint64_t number = 0;         // of the upload that used it last
        std::vector<Upload> uploads; // whose sources are in use until it is done
    };
    static constexpr uint64_t kPending = UINT64_MAX, kFailed = UINT64_MAX - 1;

    uint8_t* host_slot(int slot) const;
    void vacate(int slot);
    loader::SourceTarget place_source(const loader::ResizePlan& plan, Upload& upload);
    std::optional<BlockPolicy::Piece> take_source(size_t bytes);
    void hand_over(Upload upload);
    void give_up(Upload& upload);
    // Under mutex_:
    void reclaim();
    Group* free_group();
    size_t next_group_size() const;
    void flush();
    void enqueue(Group& group);

    Backend& backend_;
    IntakeShape shape_;
    loader::Preprocessor preprocessor_;
    loader::DecodeOptions decode_;
    std::unique_ptr<Resize> resize_; // none: the host resizes everything
    IntakeMemory memory_;
    size_t most_source_bytes_ = SIZE_MAX;

    mutable std::mutex mutex_; // guards what follows; the device calls under it only enqueue
    BlockPolicy sources_;      // addresses are offsets into both halves of the ring
    std::vector<Upload> pending_;
    std::vector<ResizeEntry> entries_; // of the upload being enqueued
    std::vector<uint64_t> uploaded_;   // by slot: the upload that brought its photo, or kPending
    std::vector<Group> groups_;
    uint64_t uploads_ = 0;
    Counts counts_;

    Stream copy_; // last: it is drained before the memory goes
};

} // namespace yeoul
