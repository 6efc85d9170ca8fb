#include "apps/serve/service/metrics.h"

#include <algorithm>

#include "apps/serve/service/metric_families.h"

namespace yeoul::serve {

void LatencyWindow::add(Clock::time_point now, double ms) {
    const std::lock_guard lock(mutex_);
    if (samples_.size() < kRemembered)
        samples_.push_back({now, ms});
    else
        samples_[next_] = {now, ms};
    next_ = (next_ + 1) % kRemembered;
}

LatencyWindow::Percentiles LatencyWindow::percentiles(Clock::time_point now,
                                                      Clock::duration length) const {
    std::vector<double> recent;
    {
        const std::lock_guard lock(mutex_);
        for (const Sample& sample : samples_)
            if (now - sample.at <= length)
                recent.push_back(sample.ms);
    }
    Percentiles found{.requests = static_cast<int64_t>(recent.size())};
    if (recent.empty())
        return found;
    std::sort(recent.begin(), recent.end());
    const auto rank = [&](double share) {
        const auto last = static_cast<double>(recent.size() - 1);
        return recent[static_cast<size_t>(share * last + 0.5)];
    };
    found.p50_ms = rank(0.50);
    found.p95_ms = rank(0.95);
    found.p99_ms = rank(0.99);
    return found;
}

Metrics::Metrics(std::string model_name, const std::vector<std::string>& routes)
    : families_(std::make_unique<Families>(model_name, routes)) {}
Metrics::~Metrics() = default;

void Metrics::request_done(const std::string& route, int status, double ms) {
    families_->request_done(route, status, ms / 1e3);
}

void Metrics::request_refused(const std::string& route, int status) {
    families_->request_done(route, status, std::nullopt);
}

void Metrics::photos_rejected() {
    const std::lock_guard lock(mutex_);
    ++totals_.requests_failed;
    ++totals_.failed_by_reason[static_cast<size_t>(FailureReason::rejected)];
}

void Metrics::photos_begun(size_t count) {
    const std::lock_guard lock(mutex_);
    totals_.in_flight += static_cast<int64_t>(count);
}

void Metrics::photos_refused(size_t count) {
    const std::lock_guard lock(mutex_);
    totals_.in_flight -= static_cast<int64_t>(count);
}

void Metrics::photos_done(const std::vector<Result>& results) {
    for (const Result& result : results)
        families_->result_done(result);
    const std::lock_guard lock(mutex_);
    totals_.in_flight -= static_cast<int64_t>(results.size());
    totals_.last_photo_ms_since_epoch = std::chrono::duration_cast<std::chrono::milliseconds>(
                                            std::chrono::system_clock::now().time_since_epoch())
                                            .count();
    for (const Result& result : results) {
        ++totals_.photos;
        totals_.failed += result.error.has_value();
        totals_.decode_ms += result.times.read_ms + result.times.decode_ms;
        totals_.preprocess_ms += result.times.preprocess_ms;
        totals_.queue_ms += result.times.queue_ms;
        totals_.compute_ms += result.times.compute_ms;
        if (result.batch > 0)
            ++totals_.photos_by_batch[result.batch];
    }
}

void Metrics::photo_request_done(std::optional<FailureReason> failure, const StageTimes& mean,
                                 double serialize_ms, double total_ms) {
    families_->photo_request_done(serialize_ms / 1e3);
    latencies_.add(Clock::now(), total_ms);
    const std::lock_guard lock(mutex_);
    ++(failure ? totals_.requests_failed : totals_.requests_ok);
    if (failure) {
        ++totals_.failed_by_reason[static_cast<size_t>(*failure)];
        totals_.failed_request_ms += total_ms;
        return;
    }
    totals_.serialize_ms += serialize_ms;
    totals_.request_ms += total_ms;
    totals_.of_requests.decode_ms += mean.decode_ms;
    totals_.of_requests.preprocess_ms += mean.preprocess_ms;
    totals_.of_requests.queue_ms += mean.queue_ms;
    totals_.of_requests.compute_ms += mean.compute_ms;
}

void Metrics::ready(bool now, const ModelInfo* info, const DeviceInfo* device) {
    families_->ready(now, info, device);
}

void Metrics::watch(std::unique_ptr<GpuMonitor> gpu) {
    const std::lock_guard scrape(scrape_mutex_);
    families_->add_gpu(gpu->uuid());
    const std::lock_guard lock(mutex_);
    gpu_ = std::move(gpu);
}

std::shared_ptr<const GpuMonitor> Metrics::monitor() const {
    const std::lock_guard lock(mutex_);
    return gpu_;
}

std::optional<GpuUse> Metrics::gpu() const {
    const auto gpu = monitor();
    return gpu ? std::optional(gpu->read()) : std::nullopt;
}

PhotoTotals Metrics::totals() const {
    const std::lock_guard lock(mutex_);
    return totals_;
}

std::map<std::string, int64_t> Metrics::failures() const {
    return families_->failures();
}

std::string Metrics::exposition(const EngineStats& stats, const ServerCounts& counts) {
    const std::optional<GpuUse> use = gpu();
    const std::lock_guard scrape(scrape_mutex_); // two at once would count a step twice
    families_->refresh(totals(), stats, counts);
    if (use)
        families_->refresh_gpu(*use);
    return families_->text();
}

} // namespace yeoul::serve
