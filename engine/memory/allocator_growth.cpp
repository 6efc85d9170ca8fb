// The caching allocator's way to more memory. Rule throughout: take what you need out of the books
// under the lock, call device and upstream without it, then book the outcome.
#include <new>
#include <utility>

#include "engine/memory/caching_allocator.h"

namespace yeoul {
namespace {

void* pointer(uintptr_t address) {
    return reinterpret_cast<void*>(address); // NOLINT(performance-no-int-to-ptr)
}

/// Runs `end` when the scope is left.
template <class End>
class Finally {
public:
    explicit Finally(End end) : end_(std::move(end)) {}
    ~Finally() { end_(); }
    Finally(const Finally&) = delete;
    Finally& operator=(const Finally&) = delete;

private:
    End end_;
};

} // namespace

CachingAllocator::Piece CachingAllocator::find_more(StreamPool& pool, size_t bytes) {
    if (bytes > BlockPolicy::kMaxBytes)
        refuse(pool, bytes);
    if (settle(pool, false))
        if (const auto piece = take(pool, bytes))
            return *piece;
    if (const auto piece = adopt(pool, bytes))
        return *piece;
    const size_t segment_bytes = BlockPolicy::segment_bytes(bytes);
    trim(segment_bytes);
    if (const auto piece = grow(pool, bytes, segment_bytes))
        return *piece;

    {
        std::lock_guard lock(mutex_);
        ++retries_;
    }
    for (StreamPool* other : pools_.all())
        settle(*other, true);
    if (const auto piece = take(pool, bytes))
        return *piece;
    give_back(SIZE_MAX);
    {
        std::unique_lock lock(mutex_); // what others are giving back counts too
        settled_.wait(lock, [&] { return in_transit_ == 0; });
    }
    // To the granule: under a tight limit the rest of a page is what is missing.
    if (const auto piece = grow(pool, bytes, BlockPolicy::rounded(bytes)))
        return *piece;
    refuse(pool, bytes);
}

/// Puts blocks back whose events are complete, or waits for all. True when there was one.
bool CachingAllocator::settle(StreamPool& pool, bool wait) {
    std::list<StreamPool::Guard> guards;
    {
        std::lock_guard lock(pool.mutex);
        if (pool.guards.empty())
            return false;
        guards.swap(pool.guards);
    }
    bool any = false;
    const Finally restore([&] { // also when the device is lost
        std::lock_guard lock(pool.mutex);
        pool.guards.splice(pool.guards.end(), guards);
    });
    for (auto guard = guards.begin(); guard != guards.end();) {
        std::vector<std::unique_ptr<Event>>& events = guard->events;
        while (!events.empty()) {
            if (wait)
                device_.synchronize(EventRef(*events.back()));
            else if (!device_.complete(*events.back()))
                break;
            events_.put(std::move(events.back()));
            events.pop_back();
        }
        if (!events.empty()) {
            ++guard;
            continue;
        }
        {
            std::lock_guard lock(pool.mutex);
            pool.policy.put(guard->piece);
        }
        any = true;
        guard = guards.erase(guard);
    }
    return any;
}

/// A segment that other streams or tags have no use for, at most twice what would be asked for.
std::optional<CachingAllocator::Piece> CachingAllocator::adopt(StreamPool& pool, size_t bytes) {
    const size_t least = BlockPolicy::rounded(bytes), most = 2 * BlockPolicy::segment_bytes(bytes);
    {
        std::lock_guard lock(mutex_);
        ++in_transit_;
    }
    const Finally end([&] { end_transit(); });
    void* own = nullptr;
    {
        std::lock_guard lock(pool.mutex);
        own = pool.stream;
    }
    const std::vector<StreamPool*> all = pools_.all();
    for (const bool ordered : {true, false}) { // first those that need no waiting
        for (StreamPool* other : all) {
            std::optional<Segment> segment;
            void* stream = nullptr;
            if (other == &pool)
                continue;
            {
                std::lock_guard lock(other->mutex);
                stream = other->stream;
                if ((stream == nullptr || stream == own) == ordered)
                    segment = other->policy.take_out(least, most);
            }
            if (!segment)
                continue;
            try {
                if (!ordered) {
                    std::unique_ptr<Event> event = events_.take();
                    device_.record(*event, StreamRef(stream));
                    device_.wait(*event, StreamRef(own));
                    events_.put(std::move(event)); // the wait is for this record, not a later one
                }
                return move(*segment, *other, pool, bytes);
            } catch (const std::exception&) { // a capture, or the host has no memory for it
                std::lock_guard lock(other->mutex);
                other->policy.put_back(*segment);
            }
        }
    }
    return {};
}

/// What `from` took out becomes `to`'s, or, when it throws std::bad_alloc, not.
std::optional<CachingAllocator::Piece>
CachingAllocator::move(const Segment& segment, StreamPool& from, StreamPool& to, size_t bytes) {
    const auto belongs_to = [&](StreamPool& pool) {
        std::lock_guard lock(mutex_);
        segments_.at(segment.address).pool = &pool;
    };
    belongs_to(to); // first: from `accept` on its blocks may be freed
    std::optional<Piece> piece;
    try {
        piece = accept(to, segment, bytes);
    } catch (...) {
        belongs_to(from);
        throw;
    }
    std::lock_guard lock(from.mutex);
    from.policy.forget(segment);
    return piece;
}

std::optional<CachingAllocator::Piece> CachingAllocator::grow(StreamPool& pool, size_t bytes,
                                                              size_t segment_bytes) {
    {
        std::unique_lock lock(mutex_);
        while (!budget_.take(segment_bytes)) {
            if (in_transit_ == 0)
                return {};
            settled_.wait(lock);
        }
    }
    void* data = nullptr;
    try {
        data = upstream_.allocate(segment_bytes);
        {
            std::lock_guard lock(mutex_);
            segments_.insert({reinterpret_cast<uintptr_t>(data), {segment_bytes, &pool}});
            ++upstream_allocations_;
        }
        return accept(pool, {reinterpret_cast<uintptr_t>(data), segment_bytes}, bytes);
    } catch (const std::exception& error) {
        {
            std::lock_guard lock(mutex_);
            segments_.erase(reinterpret_cast<uintptr_t>(data));
        }
        if (data != nullptr)
            upstream_.release(data, segment_bytes);
        {
            std::lock_guard lock(mutex_);
            budget_.put(segment_bytes);
        }
        if (dynamic_cast<const OutOfMemory*>(&error) == nullptr &&
            dynamic_cast<const std::bad_alloc*>(&error) == nullptr)
            throw; // not a matter of bytes: a lost device
        return {};
    }
}

// In one step, so that no other thread of this stream takes it first.
std::optional<CachingAllocator::Piece> CachingAllocator::accept(StreamPool& pool, Segment segment,
                                                                size_t bytes) {
    std::lock_guard lock(pool.mutex);
    pool.policy.add(segment);
    try {
        const std::optional<Piece> piece = pool.policy.take(bytes);
        pool.count_allocation();
        return piece;
    } catch (const std::bad_alloc&) { // of the host: the segment is in the books, and idle
        return {};
    }
}

void CachingAllocator::trim(size_t segment_bytes) {
    size_t idle_bytes = 0;
    for (StreamPool* pool : pools_.all()) {
        std::lock_guard lock(pool->mutex);
        idle_bytes += pool->policy.idle_bytes();
    }
    size_t surplus = 0;
    {
        std::lock_guard lock(mutex_);
        surplus = budget_.surplus(idle_bytes, segment_bytes);
    }
    if (surplus > 0)
        give_back(surplus);
}

/// Idle segments of at least so many bytes together, or all; how many bytes it was.
size_t CachingAllocator::give_back(size_t least) {
    struct Taken {
        StreamPool* pool = nullptr;
        void* stream = nullptr;
        Segment segment;
    };
    {
        std::lock_guard lock(mutex_);
        ++in_transit_;
    }
    const Finally end([&] { end_transit(); });
    std::vector<Taken> taken;
    size_t sum = 0;
    for (StreamPool* pool : pools_.all()) {
        std::lock_guard lock(pool->mutex);
        while (sum < least) {
            try {
                taken.emplace_back();         // before the segment leaves the books
            } catch (const std::bad_alloc&) { // what was taken so far is given back
                least = sum;
                break;
            }
            const std::optional<Segment> segment = pool->policy.take_out(0, SIZE_MAX);
            if (!segment) {
                taken.pop_back();
                break;
            }
            taken.back() = {pool, pool->stream, *segment};
            sum += segment->bytes;
        }
    }
    size_t returned = 0;
    void* done = nullptr; // the pools of a stream are neighbours as a rule
    for (const Taken& each : taken) {
        // Work enqueued before the blocks were freed may still be at them.
        if (each.stream != nullptr && each.stream != done) {
            if (!await(each.stream)) {
                std::lock_guard lock(each.pool->mutex);
                each.pool->policy.put_back(each.segment);
                continue;
            }
            done = each.stream;
        }
        {
            std::lock_guard lock(each.pool->mutex);
            each.pool->policy.forget(each.segment);
        }
        {
            std::lock_guard lock(mutex_); // upstream may give the address to another thread
            segments_.erase(each.segment.address);
        }
        upstream_.release(pointer(each.segment.address), each.segment.bytes);
        {
            std::lock_guard lock(mutex_);
            budget_.put(each.segment.bytes);
            ++upstream_releases_;
        }
        returned += each.segment.bytes;
    }
    return returned;
}

/// False when the stream cannot be waited for: it is being captured, the device is lost, or the
/// host has no memory for an event.
bool CachingAllocator::await(void* stream) {
    try {
        std::unique_ptr<Event> event = events_.take();
        device_.record(*event, StreamRef(stream));
        device_.synchronize(EventRef(*event));
        events_.put(std::move(event));
        return true;
    } catch (const std::exception&) {
        return false;
    }
}

void CachingAllocator::end_transit() {
    {
        std::lock_guard lock(mutex_);
        --in_transit_;
    }
    settled_.notify_all();
}

size_t CachingAllocator::empty_cache() {
    for (StreamPool* pool : pools_.all())
        settle(*pool, false);
    return give_back(SIZE_MAX);
}

void CachingAllocator::set_limit(size_t bytes) {
    size_t reserved = 0;
    {
        std::lock_guard lock(mutex_);
        reserved = budget_.reserved_bytes();
    }
    if (bytes < reserved)
        give_back(reserved - bytes);
    std::lock_guard lock(mutex_);
    YEOUL_REQUIRE(budget_.set_limit(bytes), "limit is " << bytes << " bytes, must be at least the "
                                                        << budget_.reserved_bytes()
                                                        << " in segments that are in use");
}

} // namespace yeoul
