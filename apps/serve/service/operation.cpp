// GET /metrics, /v1/stats and the live page.
#include "apps/cli/engine_flags.h"
#include "apps/cli/json_text.h"
#include "apps/serve/service/context.h"
#include "apps/serve/service/page.h"
#include "apps/serve/service/photo_job.h"

namespace yeoul::serve {
namespace {

using cli::JsonObject;

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

std::string model_json(const Context& context) {
    PhotoEngine* engine = context.engine;
    JsonObject model;
    model.text("name", context.options.model_name);
    if (!engine)
        return model.str();
    const ModelInfo& info = engine->info();
    return model.text("family", info.family)
        .number("dim", info.dim)
        .number("image_width", info.image_width)
        .number("image_height", info.image_height)
        .number("parameters", info.parameters)
        .exact("gflop", info.gflop)
        .raw("device", cli::device_json(engine->device()))
        .str();
}

std::string photos_json(const PhotoTotals& totals) {
    JsonObject batches;
    for (const auto& [size, photos] : totals.photos_by_batch)
        batches.number(std::to_string(size), photos);
    const std::string stages = JsonObject()
                                   .exact("decode", totals.decode_ms)
                                   .exact("preprocess", totals.preprocess_ms)
                                   .exact("queue", totals.queue_ms)
                                   .exact("compute", totals.compute_ms)
                                   .exact("serialize", totals.serialize_ms)
                                   .str();
    return JsonObject()
        .number("answered", totals.photos)
        .number("failed", totals.failed)
        .number("in_flight", totals.in_flight)
        .raw("by_batch_size", batches.str())
        .raw("stage_ms_sums", stages)
        .str();
}

std::string buckets_json(const EngineStats& engine) {
    return cli::json_list(engine.buckets, [](const EngineStats::Bucket& bucket) {
        return JsonObject()
            .number("batch", bucket.batch)
            .exact("us", bucket.us)
            .number("replays", bucket.replays)
            .number("photos", bucket.photos)
            .str();
    });
}

std::string memory_json(const EngineStats& engine) {
    return cli::json_list(engine.memory, [](const MemoryUse& use) {
        return JsonObject()
            .text("tag", use.tag)
            .boolean("pinned", use.pinned)
            .number("allocated_bytes", use.allocated_bytes)
            .number("reserved_bytes", use.reserved_bytes)
            .number("peak_bytes", use.peak_bytes)
            .str();
    });
}

std::string gpu_json(const std::optional<GpuUse>& use) {
    if (!use)
        return "null";
    std::vector<std::string> throttled;
    for (const ThrottleReason& reason : kThrottleReasons)
        if (use->throttle_reasons & reason.bit)
            throttled.push_back(reason.name);
    return JsonObject()
        .exact("utilization", use->utilization)
        .number("used_bytes", use->used_bytes)
        .number("total_bytes", use->total_bytes)
        .exact("watts", use->watts)
        .exact("limit_watts", use->limit_watts)
        .exact("sm_hertz", use->sm_hertz)
        .raw("throttled", cli::json_list(throttled, json_string))
        .str();
}

/// How many there are; GET /v1/labels names them.
std::string labels_json(const Context& context) {
    PhotoEngine* engine = context.engine;
    const auto labels = context.labels.labels();
    return JsonObject()
        .boolean("possible", engine && engine->has_text())
        .number("count", labels ? static_cast<int64_t>(labels->names.size()) : 0)
        .raw("templates", labels ? cli::json_list(labels->templates, json_string) : "[]")
        .str();
}

std::string latency_json(const Context& context, Clock::time_point now) {
    const auto latency = context.metrics.latencies().percentiles(now, kWindow);
    return JsonObject()
        .number("window_s", kWindow.count())
        .number("requests", latency.requests)
        .exact("p50", latency.p50_ms)
        .exact("p95", latency.p95_ms)
        .exact("p99", latency.p99_ms)
        .str();
}

void stats(Context& context, Call call) {
    const Clock::time_point now = Clock::now();
    const PhotoTotals totals = context.metrics.totals();
    const EngineStats engine = engine_stats(context);
    const ServerCounts counts = context.server_counts();
    const std::string requests = JsonObject()
                                     .number("ok", totals.requests_ok)
                                     .number("failed", totals.requests_failed)
                                     .str();
    const std::string queue =
        JsonObject().number("waiting", engine.waiting).number("bytes", engine.queued_bytes).str();
    const std::string bytes = JsonObject()
                                  .number("weights", engine.weight_bytes)
                                  .number("activations", engine.activation_bytes)
                                  .number("staging", engine.staging_bytes)
                                  .str();
    JsonObject failures;
    for (const auto& [code, count] : context.metrics.failures())
        failures.number(code, count);
    JsonObject body;
    body.text("version", version())
        .text("state", state_name(context.state))
        .exact("uptime_s", std::chrono::duration<double>(now - context.started).count())
        .raw("model", model_json(context))
        .raw("photos", photos_json(totals))
        .raw("requests", requests)
        .raw("latency_ms", latency_json(context, now))
        .number("batches", engine.batches)
        .raw("queue", queue)
        .raw("buckets", buckets_json(engine))
        .raw("failures", failures.str())
        .raw("memory_bytes", bytes)
        .raw("memory", memory_json(engine))
        .number("device_allocations_since_ready", engine.device_allocations_since_ready)
        .raw("gpu", gpu_json(context.metrics.gpu()))
        .raw("labels", labels_json(context))
        .number("connections", static_cast<int64_t>(counts.connections))
        .number("buffered_bytes", static_cast<int64_t>(counts.buffered_bytes));
    call.respond.send({.body = body.str()});
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
