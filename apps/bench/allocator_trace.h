// A recorded trace of requests for memory (allocator_record.h), and its replay.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/memory/caching_allocator.h"

namespace yeoul::bench {

struct TraceStep {
    int block = 0;    // ids are dense, in the order of allocation
    size_t bytes = 0; // 0: the block is freed
    MemoryTag tag{};
    int stream = 0;
};
struct Trace {
    std::vector<TraceStep> steps;
    int blocks = 0, streams = 0;
    size_t peak_bytes = 0; // asked for and not freed, at most
};

/// Lines `a ID BYTES TAG STREAM` and `f ID`; # begins a comment. Throws `Error`, code
/// `invalid_argument`, naming file and line.
Trace read_trace(const std::string& file);

struct ReplayResult {
    AllocatorStats stats; // when the last step is done
    /// Of the largest reservation, the share that was never in use; and the mean over all steps of
    /// the reserved bytes that nobody had asked for.
    double peak_waste = 0, mean_waste = 0;
};
/// Without memory: an allocator on a dry upstream. The same numbers everywhere.
ReplayResult replay_dry(const Trace& trace, Device& device);

} // namespace yeoul::bench
