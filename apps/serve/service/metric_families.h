// The metric families of /metrics in prometheus-cpp's registry.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include "apps/serve/service/gpu_families.h"
#include "apps/serve/service/metrics.h"

namespace yeoul::serve {

/// The names are fixed: dashboards rely on them. `nv_*` are Triton's
/// (its docs/user_guide/metrics.md), for dashboards and autoscalers made for it.
class Metrics::Families {
public:
    Families(const std::string& model, const std::vector<std::string>& routes);

    void request_done(const std::string& route, int status, std::optional<double> seconds);
    void result_done(const Result& result);
    void photo_request_done(double serialize_seconds);
    void ready(bool now, const ModelInfo* info, const DeviceInfo* device);
    /// Brings up to date what others count.
    void refresh(const PhotoTotals& totals, const EngineStats& stats, const ServerCounts& counts);
    void add_gpu(const std::string& uuid);
    void refresh_gpu(const GpuUse& use) { gpu_->refresh(use); }
    std::string text() const;
    std::map<std::string, int64_t> failures() const;

private:
    using Counter = prometheus::Counter;
    using Gauge = prometheus::Gauge;
    using Histogram = prometheus::Histogram;

    prometheus::Family<Counter>& counters(const char* name, const char* help);
    prometheus::Family<Gauge>& gauges(const char* name, const char* help);
    prometheus::Family<Histogram>& histograms(const char* name, const char* help);
    void add_process();
    void refresh_memory(const EngineStats& stats);
    void refresh_process();
    void add_triton(const std::string& model);
    void refresh_triton(const PhotoTotals& totals, const EngineStats& stats);

    prometheus::Registry registry_;
    prometheus::Family<Counter>& requests_;
    prometheus::Family<Gauge>& model_info_;
    prometheus::Family<Counter>& replays_;
    prometheus::Family<Counter>& padded_rows_;
    prometheus::Family<Gauge>& memory_allocated_; // these: by tag, and whether it is pinned
    prometheus::Family<Gauge>& memory_reserved_;
    prometheus::Family<Gauge>& memory_peak_;
    std::map<std::string, Histogram*> request_seconds_; // by route
    std::map<std::string, Histogram*> stage_seconds_;   // by stage
    std::map<std::string, Counter*> failures_;          // by code
    Counter *images_, *batches_, *refused_connections_, *cpu_seconds_;
    Histogram* batch_size_;
    Gauge *ready_, *queue_depth_, *queued_bytes_, *in_flight_, *connections_, *buffered_bytes_,
        *resident_bytes_, *open_files_;
    std::map<std::string, Gauge*> memory_bytes_; // by tag
    Counter* device_allocations_;
    Counter* device_synchronizations_;
    std::map<std::string, Counter*> triton_counters_; // by name
    std::vector<Counter*> triton_failures_;           // by `FailureReason`
    Gauge* triton_pending_;
    std::optional<GpuFamilies> gpu_;
};

} // namespace yeoul::serve
