#include "apps/serve/service/kserve_model.h"

#include <chrono>
#include <cmath>

#include <nlohmann/json.hpp>

namespace yeoul::serve {
namespace {

using nlohmann::json;

void send(const Call& call, const json& body) {
    call.respond.send({.body = body.dump(-1, ' ', false, json::error_handler_t::replace)});
}

int dim(const Context& context) {
    return context.engine.load()->info().dim;
}

void server(Context&, Call call) {
    // perf_analyzer reads `extensions` without looking whether it is there.
    send(call, {{"name", "yeoul"},
                {"version", std::string(version())},
                {"extensions",
                 {"binary_tensor_data", "model_configuration", "model_repository", "parameters",
                  "schedule_policy", "statistics"}}});
}

void live(Context&, Call call) {
    send(call, {{"live", true}});
}

void ready(Context& context, Call call) {
    HttpReply reply{.body = R"({"ready":true})"};
    if (!context.ready())
        reply = error_reply(503, "not_ready", "the model is not ready");
    call.respond.send(std::move(reply));
}

void model_ready(Context& context, Call call) {
    require_version(context, call);
    ready(context, std::move(call));
}

void model_names(Context& context, Call call) {
    send(call, {{"models", json::array({context.options.model_name})}});
}

void metadata(Context& context, Call call) {
    require_version(context, call);
    const json input = {{"name", kInputName}, {"datatype", "BYTES"}, {"shape", {-1, 1}}};
    const json output = {
        {"name", kOutputName}, {"datatype", "FP32"}, {"shape", {-1, dim(context)}}};
    send(call, {{"name", context.options.model_name},
                {"versions", json::array({"1"})},
                {"platform", "yeoul_safetensors"},
                {"inputs", json::array({input})},
                {"outputs", json::array({output})}});
}

/// The part of Triton's ModelConfig that its clients read. Keys that change what they do
/// (ensembles, sequences, response caches) are left out.
void config(Context& context, Call call) {
    require_version(context, call);
    const json input = {{"name", kInputName},
                        {"data_type", "TYPE_STRING"},
                        {"dims", json::array({1})},
                        {"optional", false}};
    const json output = {
        {"name", kOutputName}, {"data_type", "TYPE_FP32"}, {"dims", json::array({dim(context)})}};
    send(call, {{"name", context.options.model_name},
                {"platform", "yeoul_safetensors"},
                {"backend", "yeoul"},
                {"max_batch_size", context.options.most_photos},
                {"input", json::array({input})},
                {"output", json::array({output})},
                {"dynamic_batching", json::object()},
                {"model_transaction_policy", {{"decoupled", false}}}});
}

json duration(int64_t count, double ms) {
    return {{"count", count}, {"ns", std::llround(ms * 1e6)}};
}

void statistics(Context& context, Call call) {
    require_version(context, call);
    const PhotoTotals totals = context.metrics.totals();
    const int64_t good = totals.photos - totals.failed;
    json batches = json::array();
    for (const auto& [size, photos] : totals.photos_by_batch) {
        // Stage times are kept per photo, so that a batch's are means.
        const int64_t count = (photos + size - 1) / size;
        const double share =
            totals.photos ? static_cast<double>(photos) / static_cast<double>(totals.photos) : 0;
        batches.push_back(
            {{"batch_size", size},
             {"compute_input", duration(count, share * (totals.decode_ms + totals.preprocess_ms))},
             {"compute_infer", duration(count, share * totals.compute_ms)},
             {"compute_output", duration(count, share * totals.serialize_ms)}});
    }
    // Triton counts requests, and perf_analyzer ends when the counts of two stages differ.
    const StageTimes& mean = totals.of_requests;
    // It reads cache_hit and cache_miss without looking whether they are there.
    const json inference = {
        {"success", duration(totals.requests_ok, totals.request_ms)},
        {"fail", duration(totals.requests_failed, totals.failed_request_ms)},
        {"queue", duration(totals.requests_ok, mean.queue_ms)},
        {"compute_input", duration(totals.requests_ok, mean.decode_ms + mean.preprocess_ms)},
        {"compute_infer", duration(totals.requests_ok, mean.compute_ms)},
        {"compute_output", duration(totals.requests_ok, totals.serialize_ms)},
        {"cache_hit", duration(0, 0)},
        {"cache_miss", duration(0, 0)}};
    const json model = {{"name", context.options.model_name},
                        {"version", "1"},
                        {"last_inference", totals.last_photo_ms_since_epoch},
                        {"inference_count", good},
                        {"execution_count", context.engine.load()->stats().batches},
                        {"inference_stats", inference},
                        {"batch_stats", batches},
                        {"memory_usage", json::array()}};
    send(call, {{"model_stats", json::array({model})}});
}

/// Triton's reply is a bare array.
void repository_index(Context& context, Call call) {
    const json model = {{"name", context.options.model_name},
                        {"version", "1"},
                        {"state", context.ready() ? "READY" : "UNAVAILABLE"},
                        {"reason", context.ready() ? "" : "not ready"}};
    send(call, json::array({model}));
}

void refuse_loading(Context&, Call) {
    throw HttpError(501, "not_supported",
                    "models are not loaded or unloaded while serving; start another engine-serve");
}

} // namespace

void require_version(const Context& context, const Call& call) {
    if (!call.captured.empty() && call.captured[0] != context.options.model_name)
        throw HttpError(404, "model_not_found",
                        "the model '" + call.captured[0] + "' is not served here; this is '" +
                            context.options.model_name + "'");
    if (call.captured.size() > 1 && call.captured[1] != "1")
        throw HttpError(404, "model_not_found",
                        "the version '" + call.captured[1] +
                            "' of the model is not served here; "
                            "this is 1");
}

std::vector<Route> kserve_model_routes() {
    std::vector<Route> routes = {
        {.method = "GET", .pattern = "/v2", .handle = server, .needs_engine = false},
        {.method = "GET",
         .pattern = "/v2/health/live",
         .handle = live,
         .needs_engine = false,
         .needs_key = false},
        {.method = "GET",
         .pattern = "/v2/health/ready",
         .handle = ready,
         .needs_engine = false,
         .needs_key = false},
        {.method = "GET", .pattern = "/v2/models", .handle = model_names, .needs_engine = false},
        {.method = "GET", .pattern = "/v2/models/stats", .handle = statistics},
        {.method = "POST",
         .pattern = "/v2/repository/index",
         .handle = repository_index,
         .needs_engine = false},
        {.method = "POST",
         .pattern = "/v2/repository/models/{}/load",
         .handle = refuse_loading,
         .needs_engine = false},
        {.method = "POST",
         .pattern = "/v2/repository/models/{}/unload",
         .handle = refuse_loading,
         .needs_engine = false}};
    for (const std::string prefix : {"/v2/models/{}", "/v2/models/{}/versions/{}"}) {
        routes.push_back({"GET", prefix, metadata});
        routes.push_back({"GET", prefix + "/config", config});
        routes.push_back({"GET", prefix + "/stats", statistics});
        routes.push_back({.method = "GET",
                          .pattern = prefix + "/ready",
                          .handle = model_ready,
                          .needs_engine = false});
    }
    return routes;
}

} // namespace yeoul::serve
