#include "engine/memory/stream_pools.h"

namespace yeoul {

StreamPool& StreamPools::make(void* stream, MemoryTag tag) {
    std::lock_guard lock(mutex_);
    Slot& own = slot(stream);
    const bool is_new = own.stream.load() != stream;
    std::atomic<StreamPool*>& place = own.pools[static_cast<int>(tag)];
    if (StreamPool* made_meanwhile = place.load())
        return *made_meanwhile;
    int number = -1;
    for (const auto& other : own.pools)
        if (StreamPool* pool = other.load())
            number = pool->number;
    StreamPool* pool = nullptr;
    for (const auto& candidate : pools_) {
        std::lock_guard pool_lock(candidate->mutex);
        if (candidate->stream == nullptr && candidate->tag == tag)
            pool = candidate.get();
    }
    if (pool == nullptr) {
        pools_.push_back(std::make_unique<StreamPool>());
        pool = pools_.back().get();
        pool->tag = tag;
    }
    {
        std::lock_guard pool_lock(pool->mutex);
        pool->stream = stream;
        pool->number = number >= 0 ? number : numbers_++;
    }
    place.store(pool, std::memory_order_release);
    own.stream.store(stream, std::memory_order_release);
    live_streams_ += is_new; // nothing above may throw any more
    return *pool;
}

// Called with the lock. A free slot is claimed by the caller, who stores the key and counts the
// stream last.
StreamPools::Slot& StreamPools::slot(void* stream) {
    Slot* free = nullptr;
    for (size_t i = start(stream), seen = 0; seen < kSlots; i = (i + 1) % kSlots, ++seen) {
        Slot& candidate = slots_[i];
        const void* key = candidate.stream.load();
        if (key == stream)
            return candidate;
        if (free == nullptr && (key == nullptr || key == gone()))
            free = &candidate;
        if (key == nullptr)
            break;
    }
    YEOUL_REQUIRE(live_streams_ < kStreams && free != nullptr,
                  "an allocator serves " << kStreams << " streams at a time; retire one first");
    return *free;
}

void StreamPools::retire(StreamRef stream) {
    std::lock_guard lock(mutex_);
    for (Slot& own : slots_) {
        if (own.stream.load() != stream.handle())
            continue;
        own.stream.store(gone(), std::memory_order_release);
        --live_streams_;
        for (auto& place : own.pools) {
            StreamPool* pool = place.exchange(nullptr);
            if (pool == nullptr)
                continue;
            std::lock_guard pool_lock(pool->mutex);
            pool->stream = nullptr;
        }
        return;
    }
}

std::vector<StreamPool*> StreamPools::all() const {
    std::lock_guard lock(mutex_);
    std::vector<StreamPool*> all;
    for (const auto& pool : pools_)
        all.push_back(pool.get());
    return all;
}

} // namespace yeoul
