// A world for the policy: a device, decoding threads and callers that do as a seed says, and every
// promise of the policy checked at each step.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/batching/policy.h"

namespace yeoul::test {

struct WorldPlan {
    uint64_t seed = 0;
    int albums = 20;
    bool faults = true; // decodes that fail, times that are not as estimated
    bool cancels = true;
    bool deadlines = true; // some of them past, negative or absurd
    int end = 0;           // 1: close() on the way, 2: abort() on the way
};

struct WorldReport {
    int photos = 0, refused = 0, computed = 0, failed = 0, late = 0, cancelled = 0;
    std::vector<std::string> broken; // promises
};

WorldReport live(const batching::PolicyConfig& config, const batching::CostTable& table,
                 const WorldPlan& plan);

} // namespace yeoul::test
