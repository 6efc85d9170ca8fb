// An engine's memory: one caching allocator for the device's and one for pinned memory, and views
// of them by what they are for.
#pragma once

#include "engine/memory/allocated_device.h"
#include "engine/models/model.h"

namespace yeoul {

class EngineMemory {
public:
    /// `device`, which outlives it, may be dry: the books are then those of a start-up on the real
    /// one.
    explicit EngineMemory(Device& device)
        : upstream_(device), pinned_upstream_(device), home_(device), device_(device, upstream_),
          pinned_(device, pinned_upstream_),
          weights_(device, {device_, MemoryTag::weights}, {pinned_, MemoryTag::staging}, home_),
          lanes_(device, {device_, MemoryTag::activations}, {pinned_, MemoryTag::staging}, home_) {}

    const CachingAllocator& device() const { return device_; }
    const CachingAllocator& pinned() const { return pinned_; }
    /// What weights come from, and what each compute stream holds.
    Device& weights() { return weights_; }
    Device& lanes() { return lanes_; }

    /// Throws `invalid_argument` when more is in use.
    void set_limits(size_t device_bytes, size_t pinned_bytes) {
        device_.set_limit(device_bytes);
        pinned_.set_limit(pinned_bytes);
    }
    /// Gives back what nobody uses.
    void empty_cache() {
        device_.empty_cache();
        pinned_.empty_cache();
    }

private:
    DeviceUpstream upstream_;
    PinnedUpstream pinned_upstream_;
    Stream home_; // of everything that is there from start to end
    CachingAllocator device_, pinned_;
    AllocatedDevice weights_, lanes_;
};

/// While it lives, ops take their weights' memory from a view of the backend's.
class PlacedWeights {
public:
    PlacedWeights(Backend& backend, Device& memory) : backend_(backend) {
        backend.place_weights(memory);
    }
    ~PlacedWeights() { backend_.place_weights(backend_); }
    PlacedWeights(const PlacedWeights&) = delete;
    PlacedWeights& operator=(const PlacedWeights&) = delete;

private:
    Backend& backend_;
};

/// Makes the model of `directory` with its weights in `memory`, which outlives it, and gives the
/// staging back. On dry memory it reads the model's description, not its weights, and the model
/// only knows its sizes. `weight_bytes` is taken in one piece for all weights before: what such a
/// dry run allocated packs them without a gap; 0 takes pieces as they are asked for. Throws as
/// `open_model`, and `OutOfMemory`.
OpenedModel load_model(const std::filesystem::path& directory, Backend& backend,
                       EngineMemory& memory, Numerics numerics, const ChooseBatches& choose_batches,
                       size_t weight_bytes);

} // namespace yeoul
