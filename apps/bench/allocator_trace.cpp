#include "apps/bench/allocator_trace.h"

#include <algorithm>
#include <fstream>
#include <memory>
#include <sstream>
#include <utility>

#include "loader/line_reader.h"

namespace yeoul::bench {
namespace {

bool read_tag(std::string_view word, MemoryTag& tag) {
    for (int i = 0; i < kMemoryTags; ++i)
        if (name(static_cast<MemoryTag>(i)) == word) {
            tag = static_cast<MemoryTag>(i);
            return true;
        }
    return false;
}

} // namespace

Trace read_trace(const std::string& file) {
    std::ifstream in(file);
    YEOUL_REQUIRE(in, "--trace is '" << file << "', which cannot be read");
    std::ostringstream text;
    text << in.rdbuf();
    const std::string all = text.str();
    Trace trace;
    std::vector<size_t> live;
    size_t sum = 0;
    for (loader::LineReader lines(all); lines.next();) {
        TraceStep step;
        const std::string_view what = lines.word();
        bool good = lines.read(step.block) && step.block >= 0;
        if (good && what == "a") {
            good = lines.read(step.bytes) && read_tag(lines.word(), step.tag) &&
                   lines.read(step.stream) && step.bytes > 0 &&
                   step.bytes <= BlockPolicy::kMaxBytes && step.stream >= 0 &&
                   step.stream < StreamPools::kStreams && step.block == trace.blocks;
            if (good) {
                live.push_back(step.bytes);
                ++trace.blocks;
                trace.streams = std::max(trace.streams, step.stream + 1);
                sum += step.bytes;
                trace.peak_bytes = std::max(trace.peak_bytes, sum);
            }
        } else {
            good = good && what == "f" && step.block < trace.blocks && live[step.block] > 0;
            if (good)
                sum -= std::exchange(live[step.block], 0);
        }
        YEOUL_REQUIRE(good && lines.at_end(),
                      "--trace is '" << file << "', whose line " << lines.number() << " is '"
                                     << lines.line()
                                     << "'; must be 'a ID BYTES TAG STREAM', ids from 0 on, or "
                                        "'f ID' of a live one");
        trace.steps.push_back(step);
    }
    YEOUL_REQUIRE(trace.blocks > 0, "--trace is '" << file << "', which holds no step");
    return trace;
}

ReplayResult replay_dry(const Trace& trace, Device& device) {
    DryUpstream upstream;
    std::vector<std::unique_ptr<Stream>> streams;
    for (int i = 0; i < trace.streams; ++i)
        streams.push_back(std::make_unique<Stream>(device));
    CachingAllocator allocator(device, upstream);
    std::vector<MemoryBlock> blocks(trace.blocks);
    ReplayResult result;
    size_t asked = 0;
    for (const TraceStep& step : trace.steps) {
        MemoryBlock& block = blocks[step.block];
        if (step.bytes > 0) {
            block = allocator.allocate(step.bytes, step.tag, *streams[step.stream]);
            asked += step.bytes;
        } else {
            asked -= block.bytes();
            block.reset();
        }
        const auto reserved = static_cast<double>(allocator.stats().total.reserved_bytes);
        if (reserved > 0)
            result.mean_waste += 1 - static_cast<double>(asked) / reserved;
    }
    result.mean_waste /= static_cast<double>(trace.steps.size());
    result.stats = allocator.stats();
    result.peak_waste = 1 - static_cast<double>(trace.peak_bytes) /
                                static_cast<double>(result.stats.peak_reserved_bytes);
    return result;
}

} // namespace yeoul::bench
