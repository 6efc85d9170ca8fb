// The caching allocator's books, read out.
#include <algorithm>
#include <sstream>

#include "engine/memory/caching_allocator.h"
#include "loader/json.h"

namespace yeoul {
namespace {

void add(MemoryCounts& sum, const MemoryCounts& part) {
    sum.reserved_bytes += part.reserved_bytes;
    sum.allocated_bytes += part.allocated_bytes;
    sum.held_bytes += part.held_bytes;
    sum.idle_bytes += part.idle_bytes;
    sum.largest_free_bytes = std::max(sum.largest_free_bytes, part.largest_free_bytes);
    sum.peak_allocated_bytes += part.peak_allocated_bytes;
    sum.allocations += part.allocations;
    sum.frees += part.frees;
    sum.ooms += part.ooms;
}

/// With the pool's lock.
MemoryCounts counts(const StreamPool& pool) {
    return {.reserved_bytes = pool.policy.reserved_bytes(),
            .allocated_bytes = pool.policy.used_bytes(),
            .held_bytes = pool.policy.held_bytes(),
            .idle_bytes = pool.policy.idle_bytes(),
            .largest_free_bytes = pool.policy.largest_free_bytes(),
            .peak_allocated_bytes = pool.peak_bytes,
            .allocations = pool.allocations,
            .frees = pool.frees,
            .ooms = pool.ooms};
}

void write(std::ostream& json, const MemoryCounts& counts) {
    json << "{\"reserved_bytes\": " << counts.reserved_bytes
         << ", \"allocated_bytes\": " << counts.allocated_bytes
         << ", \"held_bytes\": " << counts.held_bytes << ", \"idle_bytes\": " << counts.idle_bytes
         << ", \"largest_free_bytes\": " << counts.largest_free_bytes
         << ", \"fragmentation\": " << counts.fragmentation()
         << ", \"peak_allocated_bytes\": " << counts.peak_allocated_bytes
         << ", \"allocations\": " << counts.allocations << ", \"frees\": " << counts.frees
         << ", \"ooms\": " << counts.ooms << "}";
}

/// Its segments and their blocks, each [state, bytes].
void write(std::ostream& json, const BlockPolicy& policy) {
    json << "[";
    size_t open = SIZE_MAX;
    policy.visit([&](const BlockPolicy::BlockView& block) {
        if (block.segment != open)
            json << (open == SIZE_MAX ? "" : "]},") << "\n    {\"bytes\": " << block.of.bytes
                 << ", \"blocks\": [";
        else
            json << ", ";
        open = block.segment;
        constexpr std::string_view kStates[] = {"free", "used", "held"};
        json << "[\"" << kStates[static_cast<int>(block.state)] << "\", " << block.bytes << "]";
    });
    json << (open == SIZE_MAX ? "]" : "]}]");
}

} // namespace

AllocatorStats CachingAllocator::stats() const {
    AllocatorStats stats;
    for (StreamPool* pool : pools_.all()) {
        std::lock_guard lock(pool->mutex);
        const MemoryCounts part = counts(*pool);
        add(stats.total, part);
        add(stats.by_tag[static_cast<int>(pool->tag)], part);
        stats.bad_frees += pool->bad_frees;
        stats.lost_blocks += pool->lost_blocks;
    }
    stats.events = events_.made();
    std::lock_guard lock(mutex_);
    stats.limit_bytes = budget_.limit_bytes();
    stats.peak_reserved_bytes = budget_.peak_bytes();
    stats.upstream_allocations = upstream_allocations_;
    stats.upstream_releases = upstream_releases_;
    stats.retries = retries_;
    stats.bad_frees += strangers_;
    return stats;
}

std::string CachingAllocator::snapshot() const {
    const AllocatorStats now = stats();
    std::ostringstream json;
    json << "{\"device\": " << loader::json_quote(device_.properties().name)
         << ",\n \"limit_bytes\": ";
    if (now.limit_bytes == SIZE_MAX)
        json << "null";
    else
        json << now.limit_bytes;
    json << ", \"peak_reserved_bytes\": " << now.peak_reserved_bytes
         << ", \"upstream_allocations\": " << now.upstream_allocations
         << ", \"upstream_releases\": " << now.upstream_releases << ", \"retries\": " << now.retries
         << ", \"events\": " << now.events << ", \"bad_frees\": " << now.bad_frees
         << ", \"lost_blocks\": " << now.lost_blocks << ",\n \"total\": ";
    write(json, now.total);
    json << ",\n \"tags\": {";
    for (int tag = 0; tag < kMemoryTags; ++tag) {
        json << (tag ? ",\n  \"" : "\n  \"") << name(static_cast<MemoryTag>(tag)) << "\": ";
        write(json, now.by_tag[tag]);
    }
    json << "},\n \"pools\": [";
    std::string_view separator = "\n";
    for (StreamPool* pool : pools_.all()) {
        std::lock_guard lock(pool->mutex);
        json << separator << "  {\"stream\": ";
        if (pool->stream == nullptr)
            json << "null";
        else
            json << pool->number;
        json << ", \"tag\": \"" << name(pool->tag) << "\", \"segments\": ";
        write(json, pool->policy);
        json << "}";
        separator = ",\n";
    }
    json << "\n ]}\n";
    return json.str();
}

} // namespace yeoul
