// Load on something that answers photos: callers that wait for their answer, or photos that arrive
// when they arrive.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <yeoul/engine.h>

#include "engine/batching/arrivals.h"

namespace yeoul::bench {

class LoadTarget {
public:
    virtual ~LoadTarget() = default;
    /// `done` is called once, from any thread.
    virtual void submit(Photo photo, std::function<void(const Result&)> done) = 0;
};

struct LoadPlan {
    std::vector<Photo> photos; // sent in turn
    /// Closed loop: so many callers, each of which sends its next photo when the last is answered.
    int clients = 0;
    /// Open loop, when there are no clients.
    std::vector<batching::AlbumArrival> arrivals = {};
    double warmup_seconds = 1, seconds = 10;
};

struct LoadResult {
    int64_t answered = 0, failed = 0; // in the measured time
    std::string first_failure;
    /// Of photos that got a vector; from the first one's answer to the last's, so that whole passes
    /// are counted. 0: there were too few.
    double per_second = 0;
    /// Of photos that got a vector: from sending, in an open loop from when it was due to be sent.
    std::vector<double> latencies_ms;
    double device_share = 0; // of the measured time, in which at least one pass ran
};

/// Returns when everything sent is answered.
LoadResult put_load(LoadTarget& target, const LoadPlan& plan);

/// Of at least one value; `share` in [0, 1].
double percentile(std::vector<double> values, double share);

} // namespace yeoul::bench
