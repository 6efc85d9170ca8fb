// The families of a GPU in /metrics: yeoul_gpu_*, and Triton's names for them.
#pragma once

#include <string>
#include <vector>

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>

#include "apps/serve/service/gpu_monitor.h"

namespace yeoul::serve {

/// They are in the registry from the start of this on: a server without a GPU has none.
class GpuFamilies {
public:
    GpuFamilies(prometheus::Registry& registry, const std::string& uuid);
    void refresh(const GpuUse& use);

private:
    struct Value {
        prometheus::Gauge* gauge;
        double (*of)(const GpuUse& use);
    };
    std::vector<Value> values_;
    std::vector<prometheus::Gauge*> throttling_; // as `kThrottleReasons`
    std::vector<prometheus::Counter*> joules_;
};

} // namespace yeoul::serve
