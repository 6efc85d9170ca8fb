#include "apps/serve/service/kserve_model.h"

#include <chrono>
#include <cmath>

#include "apps/cli/json_text.h"
#include "apps/serve/service/photo_job.h"

namespace yeoul::serve {
namespace {

using cli::JsonObject;

void send(const Call& call, std::string body) {
    call.respond.send({.body = std::move(body)});
}

std::string only(const std::string& item) {
    return '[' + item + ']';
}

int dim(const Context& context) {
    return context.engine.load()->info().dim;
}

void server(Context&, Call call) {
    // perf_analyzer reads `extensions` without looking whether it is there.
    send(call, JsonObject()
                   .text("name", "yeoul")
                   .text("version", version())
                   .raw("extensions",
                        R"(["binary_tensor_data", "model_configuration", "model_repository", )"
                        R"("parameters", "schedule_policy", "statistics"])")
                   .str());
}

void live(Context&, Call call) {
    send(call, R"({"live":true})");
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
    send(call, JsonObject().raw("models", only(json_string(context.options.model_name))).str());
}

void metadata(Context& context, Call call) {
    require_version(context, call);
    const std::string input = JsonObject()
                                  .text("name", kInputName)
                                  .text("datatype", "BYTES")
                                  .raw("shape", "[-1,1]")
                                  .str();
    const std::string output = JsonObject()
                                   .text("name", kOutputName)
                                   .text("datatype", "FP32")
                                   .raw("shape", "[-1," + std::to_string(dim(context)) + ']')
                                   .str();
    send(call, JsonObject()
                   .text("name", context.options.model_name)
                   .raw("versions", R"(["1"])")
                   .text("platform", "yeoul_safetensors")
                   .raw("inputs", only(input))
                   .raw("outputs", only(output))
                   .str());
}

/// The part of Triton's ModelConfig that its clients read. Keys that change what they do
/// (ensembles, sequences, response caches) are left out.
void config(Context& context, Call call) {
    require_version(context, call);
    const std::string input = JsonObject()
                                  .text("name", kInputName)
                                  .text("data_type", "TYPE_STRING")
                                  .raw("dims", "[1]")
                                  .boolean("optional", false)
                                  .str();
    const std::string output = JsonObject()
                                   .text("name", kOutputName)
                                   .text("data_type", "TYPE_FP32")
                                   .raw("dims", only(std::to_string(dim(context))))
                                   .str();
    send(call, JsonObject()
                   .text("name", context.options.model_name)
                   .text("platform", "yeoul_safetensors")
                   .text("backend", "yeoul")
                   .number("max_batch_size", static_cast<int64_t>(context.options.most_photos))
                   .raw("input", only(input))
                   .raw("output", only(output))
                   .raw("dynamic_batching", "{}")
                   .raw("model_transaction_policy", R"({"decoupled": false})")
                   .str());
}

std::string duration(int64_t count, double ms) {
    return JsonObject().number("count", count).number("ns", std::llround(ms * 1e6)).str();
}

/// Stage times are kept per photo, so that a batch's are means.
std::string batch_stats(const PhotoTotals& totals) {
    return cli::json_list(totals.photos_by_batch, [&](const std::pair<const int, int64_t>& batch) {
        const auto& [size, photos] = batch;
        const int64_t count = (photos + size - 1) / size;
        const double share =
            totals.photos ? static_cast<double>(photos) / static_cast<double>(totals.photos) : 0;
        const double input_ms = share * (totals.decode_ms + totals.preprocess_ms);
        return JsonObject()
            .number("batch_size", size)
            .raw("compute_input", duration(count, input_ms))
            .raw("compute_infer", duration(count, share * totals.compute_ms))
            .raw("compute_output", duration(count, share * totals.serialize_ms))
            .str();
    });
}

void statistics(Context& context, Call call) {
    require_version(context, call);
    const PhotoTotals totals = context.metrics.totals();
    // Triton counts requests, and perf_analyzer ends when the counts of two stages differ.
    const int64_t requests = totals.requests_ok;
    const StageTimes& mean = totals.of_requests;
    // It reads cache_hit and cache_miss without looking whether they are there.
    const std::string inference =
        JsonObject()
            .raw("success", duration(requests, totals.request_ms))
            .raw("fail", duration(totals.requests_failed, totals.failed_request_ms))
            .raw("queue", duration(requests, mean.queue_ms))
            .raw("compute_input", duration(requests, mean.decode_ms + mean.preprocess_ms))
            .raw("compute_infer", duration(requests, mean.compute_ms))
            .raw("compute_output", duration(requests, totals.serialize_ms))
            .raw("cache_hit", duration(0, 0))
            .raw("cache_miss", duration(0, 0))
            .str();
    const std::string model = JsonObject()
                                  .text("name", context.options.model_name)
                                  .text("version", "1")
                                  .number("last_inference", totals.last_photo_ms_since_epoch)
                                  .number("inference_count", totals.photos - totals.failed)
                                  .number("execution_count", context.engine.load()->stats().batches)
                                  .raw("inference_stats", inference)
                                  .raw("batch_stats", batch_stats(totals))
                                  .raw("memory_usage", "[]")
                                  .str();
    send(call, JsonObject().raw("model_stats", only(model)).str());
}

/// Triton's reply is a bare array.
void repository_index(Context& context, Call call) {
    const bool ready = context.ready();
    send(call, only(JsonObject()
                        .text("name", context.options.model_name)
                        .text("version", "1")
                        .text("state", ready ? "READY" : "UNAVAILABLE")
                        .text("reason", ready ? "" : "not ready")
                        .str()));
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
