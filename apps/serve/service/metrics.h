// What the service counts, for /metrics, /v1/stats and KServe's statistics. Every family is there
// with zeros from the start, so that a rate() over it never misses its first step.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <yeoul/engine.h>

#include "apps/serve/http/message.h"
#include "apps/serve/http/server.h"
#include "apps/serve/service/gpu_monitor.h"

namespace yeoul::serve {

/// Latencies of the last requests.
class LatencyWindow {
public:
    void add(Clock::time_point now, double ms);
    struct Percentiles {
        int64_t requests = 0;
        double p50_ms = 0, p95_ms = 0, p99_ms = 0;
    };
    /// Of what was added in the `length` before `now`, as far as the window remembers.
    Percentiles percentiles(Clock::time_point now, Clock::duration length) const;

private:
    static constexpr size_t kRemembered = 8192;
    struct Sample {
        Clock::time_point at;
        double ms;
    };
    mutable std::mutex mutex_;
    std::vector<Sample> samples_;
    size_t next_ = 0;
};

/// Why requests for photos failed, in Triton's words.
enum class FailureReason { rejected, canceled, backend, other };
inline constexpr size_t kFailureReasons = 4;

/// Sums over photos since the start.
struct PhotoTotals {
    int64_t requests_ok = 0, requests_failed = 0;               // of the routes that take photos
    std::array<int64_t, kFailureReasons> failed_by_reason = {}; // requests, by `FailureReason`
    int64_t photos = 0, failed = 0, in_flight = 0;
    double decode_ms = 0, preprocess_ms = 0, queue_ms = 0, compute_ms = 0, serialize_ms = 0,
           request_ms = 0, failed_request_ms = 0; // of requests that were answered well, and not
    StageTimes of_requests; // that were answered well: sums of the means over a request's photos
    int64_t last_photo_ms_since_epoch = 0;
    std::map<int, int64_t> photos_by_batch; // photos that were computed in a batch of that size
};

class Metrics {
public:
    Metrics(std::string model_name, const std::vector<std::string>& routes);
    ~Metrics();
    Metrics(const Metrics&) = delete;
    Metrics& operator=(const Metrics&) = delete;

    void request_done(const std::string& route, int status, double ms);
    /// Before its body was read: counted, but its time says nothing.
    void request_refused(const std::string& route, int status);
    void photos_begun(size_t count);
    /// What ends `photos_begun`: the engine's answers, or that it did not take them.
    void photos_refused(size_t count);
    void photos_done(const std::vector<Result>& results);
    /// A request for photos was answered; `mean` is over its photos, `total_ms` since its head was
    /// read.
    void photo_request_done(std::optional<FailureReason> failure, const StageTimes& mean,
                            double serialize_ms, double total_ms);
    /// A request for photos had no room: its body was not read.
    void photos_rejected();
    void ready(bool now, const ModelInfo* info, const DeviceInfo* device);

    /// From here on the exposition tells what `gpu` says.
    void watch(std::unique_ptr<GpuMonitor> gpu);
    std::optional<GpuUse> gpu() const; // empty while none is watched

    PhotoTotals totals() const;
    const LatencyWindow& latencies() const { return latencies_; }
    /// Failures of photos by the name of their code, zeros included.
    std::map<std::string, int64_t> failures() const;

    /// The exposition text, version 0.0.4, brought up to what `stats` and `counts` say.
    std::string exposition(const EngineStats& stats, const ServerCounts& counts);

private:
    class Families;
    std::shared_ptr<const GpuMonitor> monitor() const;
    mutable std::mutex mutex_; // guards the totals; threads of the engine wait for it
    PhotoTotals totals_;
    LatencyWindow latencies_;
    std::mutex scrape_mutex_;               // one scrape at a time; the driver may take its time
    std::shared_ptr<const GpuMonitor> gpu_; // guarded by mutex_
    std::unique_ptr<Families> families_;
};

} // namespace yeoul::serve
