// GET /metrics, /v1/stats and the live page.
#include <nlohmann/json.hpp>

#include "apps/serve/service/context.h"
#include "apps/serve/service/page.h"

namespace yeoul::serve {
namespace {

using nlohmann::json;

constexpr auto kWindow = std::chrono::seconds(30); // of the latencies shown

EngineStats engine_stats(const Context& context) {
    PhotoEngine* engine = context.engine;
    return engine ? engine->stats() : EngineStats{};
}

const char* state_name(ServiceState state) {
    switch (state) {
    case ServiceState::loading:
        return "loading";
    case ServiceState::ready:
        return "ready";
    case ServiceState::draining:
        return "draining";
    case ServiceState::lost:
        return "device lost";
    }
    return "?";
}

json model_json(const Context& context) {
    PhotoEngine* engine = context.engine;
    json model = {{"name", context.options.model_name}};
    if (!engine)
        return model;
    const ModelInfo& info = engine->info();
    const DeviceInfo& device = engine->device();
    model["family"] = info.family;
    model["dim"] = info.dim;
    model["image_width"] = info.image_width;
    model["image_height"] = info.image_height;
    model["parameters"] = info.parameters;
    model["gflop"] = info.gflop;
    model["device"] = {{"kind", device.kind},         {"name", device.name},
                       {"dtype", name(device.dtype)}, {"threads", device.threads},
                       {"streams", device.streams},   {"batch_size", device.batch_size}};
    return model;
}

json photos_json(const PhotoTotals& totals) {
    json batches = json::object();
    for (const auto& [size, photos] : totals.photos_by_batch)
        batches[std::to_string(size)] = photos;
    return {{"answered", totals.photos},
            {"failed", totals.failed},
            {"in_flight", totals.in_flight},
            {"by_batch_size", batches},
            {"stage_ms_sums",
             {{"decode", totals.decode_ms},
              {"preprocess", totals.preprocess_ms},
              {"queue", totals.queue_ms},
              {"compute", totals.compute_ms},
              {"serialize", totals.serialize_ms}}}};
}

json buckets_json(const EngineStats& engine) {
    json buckets = json::array();
    for (const EngineStats::Bucket& bucket : engine.buckets)
        buckets.push_back({{"batch", bucket.batch},
                           {"us", bucket.us},
                           {"replays", bucket.replays},
                           {"photos", bucket.photos}});
    return buckets;
}

json memory_json(const EngineStats& engine) {
    json parts = json::array();
    for (const MemoryUse& use : engine.memory)
        parts.push_back({{"tag", use.tag},
                         {"pinned", use.pinned},
                         {"allocated_bytes", use.allocated_bytes},
                         {"reserved_bytes", use.reserved_bytes},
                         {"peak_bytes", use.peak_bytes}});
    return parts;
}

json gpu_json(const std::optional<GpuUse>& use) {
    if (!use)
        return nullptr;
    json throttled = json::array();
    for (const ThrottleReason& reason : kThrottleReasons)
        if (use->throttle_reasons & reason.bit)
            throttled.push_back(reason.name);
    return {{"utilization", use->utilization}, {"used_bytes", use->used_bytes},
            {"total_bytes", use->total_bytes}, {"watts", use->watts},
            {"limit_watts", use->limit_watts}, {"sm_hertz", use->sm_hertz},
            {"throttled", throttled}};
}

/// How many there are; GET /v1/labels names them.
json labels_json(const Context& context) {
    PhotoEngine* engine = context.engine;
    const auto labels = context.labels.labels();
    return {{"possible", engine && engine->has_text()},
            {"count", labels ? labels->names.size() : 0},
            {"templates", labels ? labels->templates : std::vector<std::string>{}}};
}

void stats(Context& context, Call call) {
    const Clock::time_point now = Clock::now();
    const PhotoTotals totals = context.metrics.totals();
    const EngineStats engine = engine_stats(context);
    const ServerCounts counts = context.server_counts();
    const auto latency = context.metrics.latencies().percentiles(now, kWindow);
    const json body = {
        {"version", std::string(version())},
        {"state", state_name(context.state)},
        {"uptime_s", std::chrono::duration<double>(now - context.started).count()},
        {"model", model_json(context)},
        {"photos", photos_json(totals)},
        {"requests", {{"ok", totals.requests_ok}, {"failed", totals.requests_failed}}},
        {"latency_ms",
         {{"window_s", kWindow.count()},
          {"requests", latency.requests},
          {"p50", latency.p50_ms},
          {"p95", latency.p95_ms},
          {"p99", latency.p99_ms}}},
        {"batches", engine.batches},
        {"queue", {{"waiting", engine.waiting}, {"bytes", engine.queued_bytes}}},
        {"buckets", buckets_json(engine)},
        {"failures", context.metrics.failures()},
        {"memory_bytes",
         {{"weights", engine.weight_bytes},
          {"activations", engine.activation_bytes},
          {"staging", engine.staging_bytes}}},
        {"memory", memory_json(engine)},
        {"device_allocations_since_ready", engine.device_allocations_since_ready},
        {"gpu", gpu_json(context.metrics.gpu())},
        {"labels", labels_json(context)},
        {"connections", counts.connections},
        {"buffered_bytes", counts.buffered_bytes}};
    call.respond.send({.body = body.dump(-1, ' ', false, json::error_handler_t::replace)});
}

void metrics(Context& context, Call call) {
    call.respond.send(
        {.content_type = "text/plain; version=0.0.4; charset=utf-8",
         .body = context.metrics.exposition(engine_stats(context), context.server_counts())});
}

void page(Context&, Call call) {
    HttpReply reply{.content_type = "text/html; charset=utf-8", .body = std::string(kPage)};
    reply.headers = {{"Content-Security-Policy",
                      "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
                      "connect-src 'self'; img-src blob: data:; base-uri 'none'; "
                      "form-action 'none'; frame-ancestors 'none'"},
                     {"X-Content-Type-Options", "nosniff"},
                     {"Referrer-Policy", "no-referrer"},
                     {"Cache-Control", "no-cache"}};
    call.respond.send(std::move(reply));
}

} // namespace

std::vector<Route> operation_routes() {
    return {{.method = "GET", .pattern = "/metrics", .handle = metrics, .needs_engine = false},
            {.method = "GET", .pattern = "/v1/stats", .handle = stats, .needs_engine = false},
            // Without a key it shows nothing but a field for one.
            {.method = "GET",
             .pattern = "/",
             .handle = page,
             .needs_engine = false,
             .needs_key = false}};
}

} // namespace yeoul::serve
