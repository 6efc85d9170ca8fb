// The caching allocator: device memory in blocks, by stream and tag, from segments that it keeps.
//
//   CachingAllocator allocator(device, upstream, budget_bytes);
//   MemoryBlock image = allocator.allocate(bytes, MemoryTag::staging, copy_stream);
//   image.used_on(compute_stream);   // work there reads it
//   image.reset();                   // or the end of its scope; no waiting
//
// A block belongs to the stream that it was asked for. Work enqueued on that stream before the
// block is freed may still be at it afterwards: the next owner on the same stream comes later in
// stream order. Other streams are named by `used_on`; the block is then handed out again only after
// an event on each of them is complete. Pinned memory that the host writes next is guarded in the
// same way, by `used_on` with its own stream.
//
// What serves a request, in this order: a free block of the same stream and tag (no call of device
// or upstream, one lock that no other stream takes); blocks whose events are complete by now; an
// idle segment of another tag or stream; a new segment, before which idle memory beyond a 32nd of
// the reserved bytes is given back; after all idle memory was given back, upstream once more; then
// `OutOfMemory`. Memory of a stream is given back after the stream has come to an event: that is
// the only waiting here, and it happens under no lock.
//
// Safe from any number of threads. While a stream is being captured only requests that hit may be
// made, since events cannot be waited for in a capture: allocate before.
#pragma once

#include <condition_variable>
#include <map>
#include <string>

#include "engine/memory/budget.h"
#include "engine/memory/event_pool.h"
#include "engine/memory/stream_pools.h"
#include "engine/memory/upstream.h"

namespace yeoul {

class CachingAllocator;

/// Owns a block; frees it without waiting. For one thread at a time. The allocator outlives it.
class MemoryBlock {
public:
    MemoryBlock() = default;
    MemoryBlock(MemoryBlock&& other) noexcept { *this = std::move(other); }
    MemoryBlock& operator=(MemoryBlock&& other) noexcept;
    ~MemoryBlock() { reset(); }

    explicit operator bool() const { return allocator_ != nullptr; }
    void* data() const { return reinterpret_cast<void*>(piece_.address); } // NOLINT(performance-*)
    /// As asked for.
    size_t bytes() const { return bytes_; }
    // Of a block that is not empty:
    CachingAllocator& allocator() const { return *allocator_; }
    StreamRef stream() const { return StreamRef(stream_); }
    MemoryTag tag() const { return pool_->tag; }

    /// Work enqueued on `stream` so far, or until this block is freed, is to be waited for. Throws
    /// `invalid_argument` for an empty block.
    void used_on(StreamRef stream);
    void reset() noexcept;
    /// Gives the block away; the new owner calls `CachingAllocator::release` with what is returned.
    /// Streams named by `used_on` are forgotten: wait for them first.
    void* detach() noexcept;

private:
    friend class CachingAllocator;
    CachingAllocator* allocator_ = nullptr;
    StreamPool* pool_ = nullptr;
    void* stream_ = nullptr;
    BlockPolicy::Piece piece_;
    size_t bytes_ = 0;
    std::vector<StreamRef> others_;
};

class CachingAllocator {
public:
    /// `device` makes the events; both outlive the allocator.
    CachingAllocator(Device& device, Upstream& upstream, size_t limit_bytes = SIZE_MAX);
    /// Blocks are gone by now and the work on them is done. Gives everything back.
    ~CachingAllocator();
    CachingAllocator(const CachingAllocator&) = delete;
    CachingAllocator& operator=(const CachingAllocator&) = delete;

    /// 256-byte aligned, contents undefined. 0 bytes gives an empty block. Throws `OutOfMemory`,
    /// which says what is in use, cached and allowed; `invalid_argument` for a 65th live stream.
    MemoryBlock allocate(size_t bytes, MemoryTag tag, StreamRef stream);
    /// Frees a detached block; nullptr does nothing. Throws `invalid_argument`, and changes
    /// nothing, for a pointer that is not from here (another device's, say), into a block, or freed
    /// before.
    void release(void* data);

    /// Forgets a stream before it is destroyed: its work is done. Blocks of it may still be freed.
    /// What it leaves serves other streams at once.
    void retire(StreamRef stream);
    /// Gives back every segment that nobody uses; returns their bytes. Waits for streams.
    size_t empty_cache();
    /// Gives back idle segments as far as needed. Throws `invalid_argument` when more than `bytes`
    /// is in use; the limit then stays.
    void set_limit(size_t bytes);

    /// Each stream's part is of one moment.
    AllocatorStats stats() const;
    /// Everything down to the blocks, as JSON. No addresses: the same calls give the same text.
    std::string snapshot() const;

private:
    friend class MemoryBlock;
    using Piece = BlockPolicy::Piece;
    struct Owner {
        size_t bytes;
        StreamPool* pool;
    };

    // caching_allocator.cpp: what every request goes through
    static std::optional<Piece> take(StreamPool& pool, size_t bytes);
    void free(MemoryBlock& block) noexcept;
    std::optional<std::list<StreamPool::Guard>> guard(const MemoryBlock& block) noexcept;
    [[noreturn]] void refuse(StreamPool& pool, size_t bytes);

    // allocator_growth.cpp: what happens when no free block is found
    Piece find_more(StreamPool& pool, size_t bytes);
    bool settle(StreamPool& pool, bool wait);
    std::optional<Piece> adopt(StreamPool& pool, size_t bytes);
    std::optional<Piece> move(const Segment& segment, StreamPool& from, StreamPool& to,
                              size_t bytes);
    std::optional<Piece> grow(StreamPool& pool, size_t bytes, size_t segment_bytes);
    std::optional<Piece> accept(StreamPool& pool, Segment segment, size_t bytes);
    size_t give_back(size_t least);
    bool await(void* stream);
    void trim(size_t segment_bytes);
    void end_transit();

    Device& device_;
    Upstream& upstream_;
    EventPool events_;
    StreamPools pools_;

    mutable std::mutex mutex_; // guards what follows; never taken together with a pool's
    Budget budget_;
    std::map<uintptr_t, Owner> segments_; // by address: whose a pointer is
    /// Calls that hold segments which are in no pool, or the name of another's stream.
    int in_transit_ = 0;
    std::condition_variable settled_; // none is
    uint64_t upstream_allocations_ = 0, upstream_releases_ = 0, retries_ = 0, strangers_ = 0;
};

} // namespace yeoul
