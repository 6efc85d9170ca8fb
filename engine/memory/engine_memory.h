// An engine's memory: one caching allocator for the device's and one for pinned memory, and views
// of them by what they are for.
#pragma once

#include <mutex>
#include <string>

#include "engine/memory/allocated_device.h"
#include "engine/models/model.h"

namespace yeoul {

class EngineMemory {
public:
    /// `device`, which outlives it, may be dry: the books are then those of a start-up on the real
    /// one. `listener` outlives it, too.
    explicit EngineMemory(Device& device, MemoryListener* listener = nullptr)
        : listener_(listener), upstream_(device), pinned_upstream_(device),
          shared_(*this, upstream_, pinned_), pinned_shared_(*this, pinned_upstream_, device_),
          home_(device), device_(device, shared_), pinned_(device, pinned_shared_),
          weights_(view(device, MemoryTag::weights)), lanes_(view(device, MemoryTag::activations)),
          labels_(view(device, MemoryTag::labels)), workspace_(view(device, MemoryTag::workspace)) {
    }

    const CachingAllocator& device() const { return device_; }
    const CachingAllocator& pinned() const { return pinned_; }
    /// What weights come from, what each compute stream holds, label matrices, and what a search
    /// for duplicates takes.
    Device& weights() { return weights_; }
    Device& lanes() { return lanes_; }
    Device& labels() { return labels_; }
    Device& workspace() { return workspace_; }

    size_t reserved_bytes() const {
        return device_.stats().total.reserved_bytes + pinned_.stats().total.reserved_bytes;
    }
    /// Of both together, at most at a time.
    size_t peak_bytes() const {
        const std::lock_guard lock(mutex_);
        return both_.peak_bytes();
    }

    /// Throws `invalid_argument` when more is in use.
    void set_limits(size_t device_bytes, size_t pinned_bytes) {
        device_.set_limit(device_bytes);
        pinned_.set_limit(pinned_bytes);
    }
    /// For both together, where they are one memory. Throws `invalid_argument` when more is held.
    void set_common_limit(size_t bytes) {
        const std::lock_guard lock(mutex_);
        YEOUL_REQUIRE(both_.set_limit(bytes), "limit is " << bytes
                                                          << " bytes, must be at least the "
                                                          << both_.reserved_bytes() << " held");
    }
    /// Everything down to the blocks, as JSON.
    std::string snapshot() const {
        return "{\"device\": " + device_.snapshot() + ", \"pinned\": " + pinned_.snapshot() + "}";
    }
    /// Gives back what nobody uses.
    void empty_cache() {
        device_.empty_cache();
        pinned_.empty_cache();
    }

private:
    /// Draws on what both allocators may hold together. Before it refuses, the other one gives back
    /// what nobody uses.
    class SharedUpstream final : public Upstream {
    public:
        SharedUpstream(EngineMemory& memory, Upstream& inner, CachingAllocator& other)
            : memory_(memory), inner_(inner), other_(other) {}
        void* allocate(size_t bytes) override;
        void release(void* data, size_t bytes) noexcept override;

    private:
        EngineMemory& memory_;
        Upstream& inner_;
        CachingAllocator& other_;
    };

    AllocatedDevice view(Device& device, MemoryTag tag) {
        return {device, {device_, tag}, {pinned_, MemoryTag::staging}, home_, listener_};
    }
    bool take(size_t bytes) {
        const std::lock_guard lock(mutex_);
        return both_.take(bytes);
    }
    void put(size_t bytes) {
        const std::lock_guard lock(mutex_);
        both_.put(bytes);
    }

    MemoryListener* listener_;
    mutable std::mutex mutex_; // guards what follows; no other lock is taken with it
    Budget both_{SIZE_MAX};
    DeviceUpstream upstream_;
    PinnedUpstream pinned_upstream_;
    SharedUpstream shared_, pinned_shared_;
    Stream home_; // of everything that is there from start to end
    CachingAllocator device_, pinned_;
    AllocatedDevice weights_, lanes_, labels_, workspace_;
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
