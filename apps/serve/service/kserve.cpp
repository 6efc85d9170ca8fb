// POST /v2/models/{}/infer: KServe V2, the Open Inference Protocol, with Triton's binary tensors.
#include <algorithm>

#include "apps/serve/service/context.h"
#include "apps/serve/service/kserve_model.h"
#include "apps/serve/service/parameters.h"
#include "apps/serve/service/photo_job.h"
#include "apps/serve/wire/base64.h"
#include "apps/serve/wire/infer_request.h"

namespace yeoul::serve {
namespace {

std::string shape_text(const std::vector<int64_t>& shape) {
    std::string text = "[";
    for (int64_t extent : shape)
        text += (text.size() > 1 ? "," : "") + std::to_string(extent);
    return text + ']';
}

/// A JSON string cannot hold a photo's bytes: it holds them in base64, as a data URI or bare.
std::vector<uint8_t> photo_of_text(const std::string& text, size_t index) {
    try {
        return text.starts_with("data:") ? decode_data_uri(text) : decode_base64(text);
    } catch (const Error& error) {
        throw Error(error.code(), std::string(kInputName) + "[" + std::to_string(index) +
                                      "]: " + error.what() +
                                      "; send photos as binary tensors or in base64");
    }
}

std::vector<Photo> photos_of(const InferRequest& request) {
    YEOUL_REQUIRE(request.inputs.size() == 1, "the request has "
                                                  << request.inputs.size()
                                                  << " inputs, this model takes 1: " << kInputName);
    const InferInput& input = request.inputs.front();
    YEOUL_REQUIRE(input.name.empty() || input.name == kInputName,
                  "input '" << input.name << "' is not known; this model takes " << kInputName);
    YEOUL_REQUIRE(input.datatype == "BYTES", "input '" << kInputName << "' has datatype "
                                                       << input.datatype
                                                       << ", this model takes BYTES");
    const bool fits = input.shape.size() == 1 || (input.shape.size() == 2 && input.shape[1] == 1);
    YEOUL_REQUIRE(fits, "input '" << kInputName << "' has shape " << shape_text(input.shape)
                                  << ", this model takes [-1,1]");
    std::vector<Photo> photos;
    for (const auto& element : input.elements)
        photos.push_back(Photo::bytes({element.begin(), element.end()}));
    for (const std::string& text : input.texts)
        photos.push_back(Photo::bytes(photo_of_text(text, photos.size())));
    return photos;
}

/// Triton's schedule policy extension: 1 is the highest priority, 0 the default.
Schedule schedule_of(const InferRequest& request) {
    Schedule schedule;
    if (request.priority > 1)
        schedule.priority = Priority::bulk;
    if (request.timeout_us > 0)
        schedule.timeout = std::chrono::microseconds(
            std::min<int64_t>(request.timeout_us, int64_t{24} * 3600 * 1'000'000));
    return schedule;
}

/// Whether the one output goes out as binary data.
bool binary_output(const InferRequest& request) {
    if (request.outputs.empty())
        return request.binary_outputs;
    for (const InferOutput& output : request.outputs) {
        YEOUL_REQUIRE(output.name == kOutputName, "output '" << output.name
                                                             << "' is not known; this model gives "
                                                             << kOutputName);
        YEOUL_REQUIRE(output.classification == 0, "output '"
                                                      << kOutputName
                                                      << "' is a vector, not classes; leave out "
                                                         "classification");
    }
    return request.outputs.front().binary.value_or(request.binary_outputs);
}

std::string tensor_json(const std::vector<Result>& results) {
    std::string data;
    for (const Result& result : results) {
        const std::string row = vector_json(result.embedding, false);
        data += (data.empty() ? "" : ",") + row.substr(1, row.size() - 2);
    }
    return "\"data\":[" + data + ']';
}

HttpReply infer_reply(const std::vector<Result>& results, const std::string& model,
                      const std::optional<std::string>& id, bool binary) {
    require_all(results,
                [](size_t i) { return std::string(kInputName) + "[" + std::to_string(i) + "]"; });
    const size_t dim = results.front().embedding.size();
    const size_t bytes = results.size() * dim * sizeof(float);
    std::string json = "{\"model_name\":" + json_string(model) + ",\"model_version\":\"1\"" +
                       (id ? ",\"id\":" + json_string(*id) : "") + ",\"outputs\":[{\"name\":\"" +
                       kOutputName + "\",\"datatype\":\"FP32\",\"shape\":[" +
                       std::to_string(results.size()) + ',' + std::to_string(dim) + "],";
    if (!binary)
        return {.body = json + tensor_json(results) + "}]}"};
    json += "\"parameters\":{\"binary_data_size\":" + std::to_string(bytes) + "}}]}";
    HttpReply reply{.content_type = "application/octet-stream"};
    reply.headers.push_back({"Inference-Header-Content-Length", std::to_string(json.size())});
    reply.body = std::move(json);
    reply.body.reserve(reply.body.size() + bytes);
    for (const Result& result : results)
        reply.body.append(reinterpret_cast<const char*>(result.embedding.data()),
                          result.embedding.size() * sizeof(float));
    return reply;
}

void infer(Context& context, Call call) {
    require_version(context, call);
    const InferRequest request = parse_infer_request(
        call.request.body, call.request.head.header("Inference-Header-Content-Length"));
    const bool binary = binary_output(request);
    PhotoJob job{.photos = photos_of(request), .schedule = schedule_of(request)};
    run_photo_job(
        context, std::move(call), std::move(job),
        [model = context.options.model_name, id = request.id, binary](const Answers& answers) {
            return infer_reply(answers.results, model, id, binary);
        });
}

} // namespace

std::vector<Route> kserve_routes() {
    std::vector<Route> routes = {{"POST", "/v2/models/{}/infer", infer},
                                 {"POST", "/v2/models/{}/versions/{}/infer", infer}};
    for (Route& route : kserve_model_routes())
        routes.push_back(std::move(route));
    return routes;
}

} // namespace yeoul::serve
