// A device and decoders that take their time and compute nothing: what is left is the scheduler.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "engine/batching/cost_table.h"
#include "engine/batching/stages.h"

namespace yeoul::bench {

/// A pass takes what `table` says, one pass at a time on each stream; a photo takes `decode_ns` of
/// a decoding thread's time. 0: no time at all, not even a clock is read.
class EmptyStages final : public Stages {
public:
    EmptyStages(const batching::CostTable& table, int streams, int dim, int64_t decode_ns,
                bool takes_time);

    std::string prepare(const Photo& photo, int slot, Result& result) override;
    void launch(int stream, int bucket, std::span<const int> slots, bool tags) override;
    BatchOutput wait(int stream) override;

private:
    struct Lane {
        std::mutex mutex;            // guards what follows
        std::deque<int64_t> ends_ns; // of the passes launched and not waited for
        int64_t free_ns = 0;         // when the last of them ends
    };

    batching::CostTable table_;
    int64_t decode_ns_;
    bool takes_time_;
    std::vector<std::unique_ptr<Lane>> lanes_;
    std::vector<float> embeds_, norms_; // of the largest batch; never changes
};

} // namespace yeoul::bench
