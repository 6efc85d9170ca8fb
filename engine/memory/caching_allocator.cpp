#include "engine/memory/caching_allocator.h"

#include <cassert>
#include <new>
#include <utility>

namespace yeoul {

MemoryBlock& MemoryBlock::operator=(MemoryBlock&& other) noexcept {
    if (this == &other)
        return *this;
    reset();
    allocator_ = std::exchange(other.allocator_, nullptr);
    pool_ = other.pool_;
    stream_ = other.stream_;
    piece_ = std::exchange(other.piece_, {});
    bytes_ = std::exchange(other.bytes_, 0);
    others_ = std::move(other.others_);
    return *this;
}

void MemoryBlock::used_on(StreamRef stream) {
    YEOUL_REQUIRE(allocator_ != nullptr, "used_on: the block is empty");
    for (const StreamRef other : others_)
        if (other == stream)
            return;
    others_.push_back(stream);
}

void MemoryBlock::reset() noexcept {
    if (allocator_ == nullptr)
        return;
    allocator_->free(*this);
    detach();
}

void* MemoryBlock::detach() noexcept {
    void* pointer = data();
    allocator_ = nullptr;
    piece_ = {};
    bytes_ = 0;
    others_.clear();
    return pointer;
}

CachingAllocator::CachingAllocator(Device& device, Upstream& upstream, size_t limit_bytes)
    : device_(device), upstream_(upstream), events_(device), budget_(limit_bytes) {}

CachingAllocator::~CachingAllocator() {
    for (StreamPool* pool : pools_.all()) {
        assert(pool->policy.used_bytes() == 0 && "a block outlives its allocator");
        try {
            settle(*pool, true);
        } catch (const Error&) { // the device is lost, and its memory with it
        }
    }
    for (const auto& [address, owner] : segments_)
        upstream_.release(reinterpret_cast<void*>(address), // NOLINT(performance-*)
                          owner.bytes);
}

MemoryBlock CachingAllocator::allocate(size_t bytes, MemoryTag tag, StreamRef stream) {
    MemoryBlock block;
    if (bytes == 0)
        return block;
    StreamPool& pool = pools_.get(stream, tag);
    if (const std::optional<Piece> piece = take(pool, bytes))
        block.piece_ = *piece;
    else
        block.piece_ = find_more(pool, bytes);
    block.allocator_ = this;
    block.pool_ = &pool;
    block.stream_ = stream.handle();
    block.bytes_ = bytes;
    return block;
}

std::optional<CachingAllocator::Piece> CachingAllocator::take(StreamPool& pool, size_t bytes) {
    std::lock_guard lock(pool.mutex);
    std::optional<Piece> piece = pool.policy.take(bytes);
    if (piece)
        pool.count_allocation();
    return piece;
}

void CachingAllocator::free(MemoryBlock& block) noexcept {
    StreamPool& pool = *block.pool_;
    const bool shared = !block.others_.empty();
    std::optional<std::list<StreamPool::Guard>> guarded(std::in_place);
    if (shared)
        guarded = guard(block);
    std::lock_guard lock(pool.mutex);
    // After `detach` and `release` what is there may be another's.
    if (!pool.policy.is_used(block.piece_)) {
        ++pool.bad_frees;
        return;
    }
    ++pool.frees;
    if (guarded && guarded->empty()) {
        pool.policy.put(block.piece_);
        return;
    }
    pool.policy.hold(block.piece_);
    if (guarded)
        pool.guards.splice(pool.guards.end(), *guarded);
    else
        ++pool.lost_blocks;
}

// Without the lock: recording calls the device. One guard, or none where the host has no memory for
// it: then the streams were waited for. Nothing when nobody can say any more when they are done.
std::optional<std::list<StreamPool::Guard>>
CachingAllocator::guard(const MemoryBlock& block) noexcept {
    try {
        try {
            std::list<StreamPool::Guard> guarded;
            StreamPool::Guard& one = guarded.emplace_back(StreamPool::Guard{block.piece_, {}});
            one.events.reserve(block.others_.size());
            for (const StreamRef stream : block.others_) {
                one.events.push_back(events_.take());
                device_.record(*one.events.back(), stream);
            }
            return guarded;
        } catch (const std::bad_alloc&) {
            for (const StreamRef stream : block.others_)
                device_.synchronize(stream);
            return std::list<StreamPool::Guard>{};
        }
    } catch (const std::exception&) {
        return {};
    }
}

void CachingAllocator::release(void* data) {
    if (data == nullptr)
        return;
    const auto address = reinterpret_cast<uintptr_t>(data);
    StreamPool* pool = nullptr;
    {
        std::lock_guard lock(mutex_);
        const auto after = segments_.upper_bound(address);
        if (after != segments_.begin() &&
            address - std::prev(after)->first < std::prev(after)->second.bytes)
            pool = std::prev(after)->second.pool;
        else
            ++strangers_;
    }
    YEOUL_REQUIRE(pool != nullptr, "release: " << data << " is not memory of this allocator ("
                                               << device_.properties().kind << ", "
                                               << device_.properties().name << ")");
    {
        std::lock_guard lock(pool->mutex);
        if (const std::optional<Piece> piece = pool->policy.find(address)) {
            pool->policy.put(*piece);
            ++pool->frees;
            return;
        }
        ++pool->bad_frees;
    }
    throw Error(ErrorCode::invalid_argument,
                (std::ostringstream() << "release: " << data
                                      << " does not start a block in use: freed before, or a "
                                         "pointer into a block")
                    .str());
}

void CachingAllocator::retire(StreamRef stream) {
    pools_.retire(stream);
    // Another thread may be about to record an event on it.
    std::unique_lock lock(mutex_);
    settled_.wait(lock, [&] { return in_transit_ == 0; });
}

void CachingAllocator::refuse(StreamPool& pool, size_t bytes) {
    {
        std::lock_guard lock(pool.mutex);
        ++pool.ooms;
    }
    const AllocatorStats now = stats();
    std::ostringstream where;
    where << name(pool.tag) << " on " << device_.properties().name << ": "
          << now.total.allocated_bytes << " in use, "
          << now.total.free_bytes() + now.total.held_bytes << " cached (largest free block "
          << now.total.largest_free_bytes << "), " << now.total.reserved_bytes << " reserved";
    if (now.limit_bytes != SIZE_MAX)
        where << " of the " << now.limit_bytes << " allowed";
    throw OutOfMemory(bytes, where.str());
}

} // namespace yeoul
