// The memory plan: what an engine will hold, before the first byte is asked for.
//
// It is the start-up itself, run on a dry device (dry_device.h): the same model loads and the same
// lanes ask the same allocators. What the allocators then hold is therefore not an estimate; it is
// to the byte what they hold once the engine is ready. What the driver adds on a GPU is one.
#pragma once

#include <algorithm>
#include <optional>

#include "engine/buckets.h"
#include "engine/memory/engine_memory.h"

namespace yeoul {

struct PlanRequest {
    std::filesystem::path model = {};
    Numerics numerics = {};
    int batch_size = 0; // 0: the device's default
    int streams = 1, threads = 1;
    size_t budget_bytes = 0; // 0: what the device has free
    /// The very sizes that get a graph, for measuring; none: chosen.
    std::vector<int> batches = {};
    /// Hears what the engine takes, not what is only planned; for measuring.
    MemoryListener* listener = nullptr;
    bool text = false; // the text side as well
};

struct PlanLine {
    enum class Owner { ours, driver };

    std::string what;
    std::optional<MemoryTag> tag; // of ours
    Owner owner = Owner::ours;
    bool pinned = false; // host memory that copies use; else device memory
    size_t bytes = 0;
    bool estimated = false;
    /// Taken when the device was opened: its free memory is without it, a budget is with it.
    bool taken = false;
};

struct PlanBucket {
    int batch = 0;
    size_t activation_bytes = 0; // of one stream
};

struct MemoryPlan {
    std::string device; // its kind
    int batch_size = 0, streams = 0;
    std::vector<PlanLine> lines;
    std::vector<PlanBucket> buckets; // their graphs share the arena of the largest
    BucketChoice choice;             // the same, with what they should cost

    // What the two allocators hold once the engine is ready, and at most until then.
    size_t device_bytes = 0, pinned_bytes = 0;
    size_t peak_device_bytes = 0, peak_pinned_bytes = 0;
    size_t weight_bytes = 0;        // of device_bytes
    size_t packed_weight_bytes = 0; // what the weights ask for, one behind the other
    size_t peak_bytes = 0;          // of both together

    bool host_memory = false; // pinned memory and the device's are one and count together
    bool budget_given = false;
    /// Given; else what is free and what was taken when the device was opened.
    size_t budget_bytes = 0;
    /// The largest batch size up to the planned one that fits; 0: none does.
    int largest_batch = 0;
    size_t least_bytes = 0; // that batches of 1 need
    size_t bare_bytes = 0;  // of least_bytes: weights, and what the driver adds

    /// Of the text side, on memory of its own, before any labels are set; and of what the budget
    /// counts, at most while it is loaded.
    size_t text_device_bytes = 0, text_pinned_bytes = 0, text_peak_bytes = 0;
    size_t packed_text_bytes = 0; // what its weights ask for, one behind the other
    size_t free_bytes = 0;        // of the device, before the plan was made

    size_t owned_bytes() const {
        return device_bytes + pinned_bytes + text_device_bytes + text_pinned_bytes;
    }
    size_t driver_bytes() const;
    size_t taken_bytes() const; // of driver_bytes: what was taken when the device was opened
    /// What the process holds on the device, at most, while the engine starts and serves; it is
    /// the least budget that is accepted. The text side is loaded when all else is there.
    size_t needed_bytes() const {
        const size_t before = host_memory ? peak_bytes : peak_device_bytes;
        return std::max(before, photo_bytes() + text_peak_bytes) + driver_bytes();
    }
    /// What the budget leaves for the text side, labels and searches for duplicates.
    size_t rest_bytes() const { return budget_bytes - photo_bytes() - driver_bytes(); }
    bool fits() const { return needed_bytes() <= budget_bytes; }
    /// One sentence for a plan that does not fit: what is needed, what there is, what would fit.
    std::string refusal() const;
    /// One sentence for a start-up that was refused memory although the plan fits.
    std::string shortage(const std::string& problem) const;

private:
    /// What the budget counts of what photos need.
    size_t photo_bytes() const { return device_bytes + (host_memory ? pinned_bytes : 0); }
};

/// Reads the description of the model, not its weights. Makes streams and events of `backend`, and
/// kernels and plans of its libraries; takes none of its memory. Throws as `open_model`.
MemoryPlan plan_memory(Backend& backend, const PlanRequest& request);

} // namespace yeoul
