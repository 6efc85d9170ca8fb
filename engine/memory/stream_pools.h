// One pool of blocks per stream and tag, found without a lock.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <list>
#include <memory>
#include <mutex>
#include <vector>

#include "engine/memory/allocator_stats.h"
#include "engine/memory/block_policy.h"
#include "kernels/device.h"

namespace yeoul {

/// What a stream holds for one tag. Two streams share no line of it: each has its own lock.
struct alignas(128) StreamPool {
    /// A block that was freed while other streams may still be at it.
    struct Guard {
        BlockPolicy::Piece piece;
        std::vector<std::unique_ptr<Event>> events;
    };

    std::mutex mutex; // guards what follows, but for `tag`; held for a few instructions
    BlockPolicy policy;
    std::list<Guard> guards; // its nodes move without taking memory
    void* stream = nullptr;  // null: retired, its work is done
    int number = 0;          // of the stream, in the order of first use
    size_t peak_bytes = 0;
    uint64_t allocations = 0, frees = 0, ooms = 0, bad_frees = 0, lost_blocks = 0;
    MemoryTag tag{}; // never changes

    void count_allocation() {
        ++allocations;
        peak_bytes = std::max(peak_bytes, policy.used_bytes());
    }
};

/// Finding is wait-free. Pools are never destroyed before the table: a retired one serves the next
/// stream with what it holds.
class StreamPools {
public:
    /// Streams that may be live at a time.
    static constexpr int kStreams = 64;

    /// The pool of a live stream, made when there is none. Throws `invalid_argument` for one stream
    /// too many.
    StreamPool& get(StreamRef stream, MemoryTag tag) {
        if (StreamPool* pool = find(stream.handle(), tag))
            return *pool;
        return make(stream.handle(), tag);
    }
    /// Forgets a stream whose work is done.
    void retire(StreamRef stream);
    /// All pools, in the order of making.
    std::vector<StreamPool*> all() const;

private:
    static constexpr size_t kSlots = 2 * kStreams;
    struct Slot {
        std::atomic<void*> stream{nullptr};
        std::array<std::atomic<StreamPool*>, kMemoryTags> pools{};
    };

    static size_t start(const void* stream) {
        const auto bits = reinterpret_cast<uintptr_t>(stream);
        return ((bits >> 4) ^ (bits >> 11) ^ (bits >> 20)) % kSlots;
    }
    StreamPool* find(const void* stream, MemoryTag tag) const {
        for (size_t i = start(stream), seen = 0; seen < kSlots; i = (i + 1) % kSlots, ++seen) {
            const void* key = slots_[i].stream.load(std::memory_order_acquire);
            if (key == stream)
                return slots_[i].pools[static_cast<int>(tag)].load(std::memory_order_acquire);
            if (key == nullptr)
                return nullptr;
        }
        return nullptr;
    }
    StreamPool& make(void* stream, MemoryTag tag);
    Slot& slot(void* stream);
    /// The key of a slot whose stream was retired: a search goes on past it.
    void* gone() const { return const_cast<Slot*>(slots_.data()); }

    std::array<Slot, kSlots> slots_;
    mutable std::mutex mutex_; // guards what follows, and every change of slots_
    std::vector<std::unique_ptr<StreamPool>> pools_;
    int live_streams_ = 0, numbers_ = 0;
};

} // namespace yeoul
