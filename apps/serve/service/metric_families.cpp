#include "apps/serve/service/metric_families.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <unistd.h>

#include <sys/resource.h>

#include <prometheus/text_serializer.h>

namespace yeoul::serve {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;

const std::vector<double> kSeconds = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                      0.25,   0.5,   1,      2.5,   5,    10,    30};
const std::vector<double> kBatchSizes = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024};
constexpr const char* kStages[] = {"decode",  "queue", "h2d",      "preprocess",
                                   "compute", "d2h",   "serialize"};
// What a photo can fail with.
constexpr ErrorCode kPhotoCodes[] = {
    ErrorCode::not_found,       ErrorCode::bad_image,         ErrorCode::unsupported_image,
    ErrorCode::image_too_large, ErrorCode::deadline_exceeded, ErrorCode::queue_full,
    ErrorCode::out_of_memory,   ErrorCode::non_finite,        ErrorCode::device_lost,
    ErrorCode::cancelled,       ErrorCode::internal};

void raise_to(prometheus::Counter& counter, double value) {
    counter.Increment(std::max(0.0, value - counter.Value()));
}

double resident_bytes() {
    long pages = 0, resident = 0;
    std::ifstream("/proc/self/statm") >> pages >> resident;
    return static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

double open_files() {
    std::error_code error;
    const std::filesystem::directory_iterator files("/proc/self/fd", error);
    return error ? 0 : static_cast<double>(std::distance(begin(files), end(files)));
}

double cpu_seconds() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

} // namespace

prometheus::Family<prometheus::Counter>& Metrics::Families::counters(const char* name,
                                                                     const char* help) {
    return BuildCounter().Name(name).Help(help).Register(registry_);
}
prometheus::Family<prometheus::Gauge>& Metrics::Families::gauges(const char* name,
                                                                 const char* help) {
    return BuildGauge().Name(name).Help(help).Register(registry_);
}
prometheus::Family<prometheus::Histogram>& Metrics::Families::histograms(const char* name,
                                                                         const char* help) {
    return BuildHistogram().Name(name).Help(help).Register(registry_);
}

Metrics::Families::Families(const std::string& model, const std::vector<std::string>& routes)
    : requests_(counters("yeoul_requests_total", "Requests by route and HTTP status")),
      model_info_(gauges("yeoul_model_info", "The model and the device it runs on")),
      replays_(counters("yeoul_graph_replays_total", "Forward passes by the batch size captured")),
      padded_rows_(counters("yeoul_padded_rows_total",
                            "Rows of forward passes that held no photo, by batch size")),
      memory_allocated_(gauges("yeoul_memory_allocated_bytes",
                               "What the engine uses of what it has reserved, by what it is for")),
      memory_reserved_(gauges("yeoul_memory_reserved_bytes", "What the engine has reserved")),
      memory_peak_(gauges("yeoul_memory_peak_bytes", "The most that was allocated at a time")) {
    gauges("yeoul_build_info", "The version of the program")
        .Add({{"version", std::string(version())}})
        .Set(1);
    auto& durations = histograms("yeoul_request_duration_seconds",
                                 "From a request's head to its reply, by route; without those "
                                 "that were refused before their body was read");
    for (const std::string& route : routes) {
        requests_.Add({{"route", route}, {"status", "200"}});
        request_seconds_[route] = &durations.Add({{"route", route}}, kSeconds);
    }
    auto& stages = histograms("yeoul_stage_duration_seconds",
                              "Time of one photo in each stage; compute contains the copies h2d "
                              "and d2h, which are not timed apart and stay at zero");
    for (const char* stage : kStages)
        stage_seconds_[stage] = &stages.Add({{"stage", stage}}, kSeconds);
    auto& failures = counters("yeoul_failures_total", "Photos that failed, by code");
    for (ErrorCode code : kPhotoCodes)
        failures_[std::string(name(code))] = &failures.Add({{"code", std::string(name(code))}});
    images_ = &counters("yeoul_images_total", "Photos answered, failed ones too").Add({});
    batches_ = &counters("yeoul_batches_total", "Forward passes").Add({});
    batch_size_ = &histograms("yeoul_batch_size", "Size of the forward pass that a photo was in")
                       .Add({}, kBatchSizes);
    ready_ = &gauges("yeoul_model_ready", "1 when photos are taken").Add({});
    queue_depth_ =
        &gauges("yeoul_queue_depth", "Photos that wait to be decoded or computed").Add({});
    queued_bytes_ = &gauges("yeoul_queue_bytes", "Encoded bytes of photos not answered").Add({});
    in_flight_ = &gauges("yeoul_in_flight_images", "Photos submitted and not answered").Add({});
    connections_ = &gauges("yeoul_connections", "Open connections").Add({});
    refused_connections_ =
        &counters("yeoul_refused_connections_total", "Connections over the limit").Add({});
    buffered_bytes_ =
        &gauges("yeoul_buffered_bytes", "Bodies that are being read or answered").Add({});
    auto& memory = gauges("yeoul_memory_bytes", "What the engine holds, by what it is for");
    for (const char* tag : {"weights", "activations", "staging"})
        memory_bytes_[tag] = &memory.Add({{"tag", tag}});
    for (const char* tag : {"weights", "activations", "workspace", "staging", "labels"})
        for (const char* pinned : {"false", "true"})
            for (auto* family : {&memory_allocated_, &memory_reserved_, &memory_peak_})
                family->Add({{"tag", tag}, {"pinned", pinned}});
    device_allocations_ = &counters("yeoul_device_allocations_since_ready_total",
                                    "Allocations of device and pinned memory while serving: 0 but "
                                    "for new labels and large searches for duplicates")
                               .Add({});
    device_synchronizations_ =
        &counters("yeoul_device_synchronizations_since_ready_total",
                  "Calls while serving that wait for a whole GPU: memory given back to it")
             .Add({});
    add_process();
    add_triton(model);
}

void Metrics::Families::add_process() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    gauges("process_start_time_seconds", "Since the epoch")
        .Add({})
        .Set(std::chrono::duration<double>(now).count());
    resident_bytes_ = &gauges("process_resident_memory_bytes", "Resident memory").Add({});
    open_files_ = &gauges("process_open_fds", "Open file descriptors").Add({});
    cpu_seconds_ = &counters("process_cpu_seconds_total", "User and system time").Add({});
}

void Metrics::Families::add_triton(const std::string& model) {
    const prometheus::Labels labels = {{"model", model}, {"version", "1"}};
    const auto add = [&](const char* name, const char* help) {
        triton_counters_[name] = &counters(name, help).Add(labels);
    };
    add("nv_inference_request_success", "Requests answered with vectors");
    add("nv_inference_count", "Photos answered with vectors");
    add("nv_inference_exec_count", "Forward passes");
    add("nv_inference_request_duration_us", "Sum over requests that did not fail");
    // Triton's are times of requests: of one with many photos, the mean over them.
    add("nv_inference_queue_duration_us", "Sum over requests that did not fail");
    add("nv_inference_compute_input_duration_us",
        "Sum over requests that did not fail: decode and preprocess");
    add("nv_inference_compute_infer_duration_us", "Sum over requests that did not fail");
    add("nv_inference_compute_output_duration_us",
        "Sum over requests that did not fail: serialize");
    auto& failures = counters("nv_inference_request_failure", "Requests that failed");
    for (const char* reason : {"REJECTED", "CANCELED", "BACKEND", "OTHER"}) { // FailureReason
        prometheus::Labels with_reason = labels;
        with_reason["reason"] = reason;
        triton_failures_.push_back(&failures.Add(with_reason));
    }
    triton_pending_ =
        &gauges("nv_inference_pending_request_count", "Photos not answered yet").Add(labels);
}

void Metrics::Families::request_done(const std::string& route, int status,
                                     std::optional<double> seconds) {
    requests_.Add({{"route", route}, {"status", std::to_string(status)}}).Increment();
    const auto found = request_seconds_.find(route);
    if (seconds && found != request_seconds_.end())
        found->second->Observe(*seconds);
}

void Metrics::Families::result_done(const Result& result) {
    images_->Increment();
    const StageTimes& times = result.times;
    stage_seconds_.at("decode")->Observe((times.read_ms + times.decode_ms) / 1e3);
    if (result.error) {
        const auto found = failures_.find(std::string(name(result.error->code)));
        (found == failures_.end() ? failures_.at("internal") : found->second)->Increment();
        return;
    }
    stage_seconds_.at("preprocess")->Observe(times.preprocess_ms / 1e3);
    stage_seconds_.at("queue")->Observe(times.queue_ms / 1e3);
    stage_seconds_.at("compute")->Observe(times.compute_ms / 1e3);
    batch_size_->Observe(result.batch);
}

void Metrics::Families::photo_request_done(double serialize_seconds) {
    stage_seconds_.at("serialize")->Observe(serialize_seconds);
}

void Metrics::Families::ready(bool now, const ModelInfo* info, const DeviceInfo* device) {
    ready_->Set(now ? 1 : 0);
    if (info && device)
        model_info_
            .Add({{"family", info->family},
                  {"device", device->kind},
                  {"processor", device->name},
                  {"dtype", std::string(name(device->dtype))}})
            .Set(1);
}

void Metrics::Families::refresh(const PhotoTotals& totals, const EngineStats& stats,
                                const ServerCounts& counts) {
    raise_to(*batches_, static_cast<double>(stats.batches));
    raise_to(*refused_connections_, static_cast<double>(counts.refused_too_many));
    in_flight_->Set(static_cast<double>(totals.in_flight));
    queue_depth_->Set(static_cast<double>(stats.waiting));
    queued_bytes_->Set(static_cast<double>(stats.queued_bytes));
    for (const EngineStats::Bucket& bucket : stats.buckets) {
        const prometheus::Labels size = {{"batch", std::to_string(bucket.batch)}};
        raise_to(replays_.Add(size), static_cast<double>(bucket.replays));
        raise_to(padded_rows_.Add(size),
                 static_cast<double>(bucket.batch * bucket.replays - bucket.photos));
    }
    connections_->Set(static_cast<double>(counts.connections));
    buffered_bytes_->Set(static_cast<double>(counts.buffered_bytes));
    refresh_memory(stats);
    refresh_process();
    refresh_triton(totals, stats);
}

void Metrics::Families::refresh_memory(const EngineStats& stats) {
    memory_bytes_["weights"]->Set(static_cast<double>(stats.weight_bytes));
    memory_bytes_["activations"]->Set(static_cast<double>(stats.activation_bytes));
    memory_bytes_["staging"]->Set(static_cast<double>(stats.staging_bytes));
    for (const MemoryUse& use : stats.memory) {
        const prometheus::Labels part = {{"tag", use.tag},
                                         {"pinned", use.pinned ? "true" : "false"}};
        memory_allocated_.Add(part).Set(static_cast<double>(use.allocated_bytes));
        memory_reserved_.Add(part).Set(static_cast<double>(use.reserved_bytes));
        memory_peak_.Add(part).Set(static_cast<double>(use.peak_bytes));
    }
    raise_to(*device_allocations_, static_cast<double>(stats.device_allocations_since_ready));
    raise_to(*device_synchronizations_,
             static_cast<double>(stats.device_synchronizations_since_ready));
}

void Metrics::Families::refresh_process() {
    resident_bytes_->Set(resident_bytes());
    open_files_->Set(open_files());
    raise_to(*cpu_seconds_, cpu_seconds());
}

void Metrics::Families::refresh_triton(const PhotoTotals& totals, const EngineStats& stats) {
    const auto raise = [this](const char* name, double value) {
        raise_to(*triton_counters_[name], value);
    };
    raise("nv_inference_request_success", static_cast<double>(totals.requests_ok));
    for (size_t reason = 0; reason < kFailureReasons; ++reason)
        raise_to(*triton_failures_[reason], static_cast<double>(totals.failed_by_reason[reason]));
    raise("nv_inference_count", static_cast<double>(totals.photos - totals.failed));
    raise("nv_inference_exec_count", static_cast<double>(stats.batches));
    raise("nv_inference_request_duration_us", totals.request_ms * 1e3);
    const StageTimes& mean = totals.of_requests;
    raise("nv_inference_queue_duration_us", mean.queue_ms * 1e3);
    raise("nv_inference_compute_input_duration_us", (mean.decode_ms + mean.preprocess_ms) * 1e3);
    raise("nv_inference_compute_infer_duration_us", mean.compute_ms * 1e3);
    raise("nv_inference_compute_output_duration_us", totals.serialize_ms * 1e3);
    triton_pending_->Set(static_cast<double>(totals.in_flight));
}

void Metrics::Families::add_gpu(const std::string& uuid) {
    gpu_.emplace(registry_, uuid);
}

std::string Metrics::Families::text() const {
    return prometheus::TextSerializer().Serialize(registry_.Collect());
}

std::map<std::string, int64_t> Metrics::Families::failures() const {
    std::map<std::string, int64_t> counts;
    for (const auto& [code, counter] : failures_)
        counts[code] = static_cast<int64_t>(counter->Value());
    return counts;
}

} // namespace yeoul::serve
