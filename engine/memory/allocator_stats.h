// What the caching allocator says about itself.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace yeoul {

/// What memory is for. A tag has segments of its own, since its blocks live equally long.
enum class MemoryTag : uint8_t {
    weights,     // of a model: as long as it is loaded
    activations, // arenas and photo slots of a compute stream
    workspace,   // scratch of vendor libraries and searches
    staging,     // source images of any size, ring
    labels,      // label matrices, duplicate blocks: replaced while serving
};
inline constexpr int kMemoryTags = 5;

constexpr std::string_view name(MemoryTag tag) {
    constexpr std::string_view kNames[] = {"weights", "activations", "workspace", "staging",
                                           "labels"};
    return kNames[static_cast<int>(tag)];
}

struct MemoryCounts {
    size_t reserved_bytes = 0;  // in segments that upstream gave
    size_t allocated_bytes = 0; // of these, in use
    size_t held_bytes = 0;      // freed, and another stream may still be at it
    size_t idle_bytes = 0;      // in segments that nobody uses: what `empty_cache` gives back
    size_t largest_free_bytes = 0;
    /// The sum over streams of each one's own peak: exact for one stream, an upper bound for more.
    size_t peak_allocated_bytes = 0;
    uint64_t allocations = 0, frees = 0, ooms = 0;

    size_t free_bytes() const { return reserved_bytes - allocated_bytes - held_bytes; }
    /// Share of the reserved bytes that is free and yet useless to a request of its size.
    double fragmentation() const {
        return reserved_bytes == 0 ? 0
                                   : static_cast<double>(free_bytes() - largest_free_bytes) /
                                         static_cast<double>(reserved_bytes);
    }
};

struct AllocatorStats {
    MemoryCounts total;
    std::array<MemoryCounts, kMemoryTags> by_tag;
    size_t limit_bytes = 0, peak_reserved_bytes = 0;
    uint64_t upstream_allocations = 0, upstream_releases = 0;
    uint64_t retries = 0;     // requests that gave back all that was idle and asked again
    uint64_t events = 0;      // made so far; they are used again
    uint64_t bad_frees = 0;   // refused: not ours, twice
    uint64_t lost_blocks = 0; // whose event could not be recorded: never handed out again
};

} // namespace yeoul
