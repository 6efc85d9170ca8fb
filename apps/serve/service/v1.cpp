// POST /v1/embed, /v1/tag, /v1/classify: a photo's bytes as the body, or a form with many.
#include <algorithm>

#include "apps/serve/service/context.h"
#include "apps/serve/service/parameters.h"
#include "apps/serve/service/photo_job.h"
#include "apps/serve/wire/header_value.h"
#include "apps/serve/wire/multipart.h"

namespace yeoul::serve {
namespace {

struct EmbedCall {
    EmbedParameters parameters;
    std::vector<Photo> photos;
    std::vector<std::string> names; // of the photos of a form; empty for a single body
    bool form = false;
};

std::string numbers(const std::vector<std::pair<const char*, double>>& values) {
    std::string json = "{";
    for (const auto& [key, value] : values) {
        char text[64];
        std::snprintf(text, sizeof text, "%s\"%s\":%.3f", json.size() > 1 ? "," : "", key, value);
        json += text;
    }
    return json + '}';
}

/// The members of one photo's answer, without braces.
std::string members(const Result& result, bool base64) {
    const StageTimes& times = result.times;
    return "\"embedding\":" + vector_json(result.embedding, base64) +
           ",\"width\":" + std::to_string(result.width) +
           ",\"height\":" + std::to_string(result.height) +
           ",\"format\":" + json_string(result.format) +
           ",\"batch\":" + std::to_string(result.batch) + ",\"timing_ms\":" +
           numbers({{"decode", times.read_ms + times.decode_ms},
                    {"preprocess", times.preprocess_ms},
                    {"queue", times.queue_ms},
                    {"compute", times.compute_ms},
                    {"total", times.total_ms}});
}

std::string error_members(const ItemError& error) {
    return "\"error\":{\"code\":" + json_string(name(error.code)) +
           ",\"message\":" + json_string(error.message) + '}';
}

bool is_photo(const FormPart& part) {
    return part.has_filename || part.content_type.starts_with("image/") ||
           part.content_type == "application/octet-stream";
}

EmbedCall read_form(const HttpRequest& request, size_t most_photos) {
    EmbedCall call{.form = true};
    const std::string boundary = multipart_boundary(request.head.header("Content-Type"));
    // A form may hold options beside its photos.
    for (const FormPart& part : parse_multipart(request.body, boundary, most_photos + 16)) {
        if (!is_photo(part)) {
            YEOUL_REQUIRE(part.data.size() <= 256,
                          "the form field '" << part.name << "' has " << part.data.size()
                                             << " bytes and no filename; a photo needs one");
            set_parameter(call.parameters, part.name,
                          std::string(part.data.begin(), part.data.end()));
            continue;
        }
        call.photos.push_back(Photo::bytes({part.data.begin(), part.data.end()}));
        call.names.push_back(part.filename.empty() ? part.name : part.filename);
    }
    return call;
}

EmbedCall read_call(Call& call, const ServiceOptions& options) {
    const std::string type = parse_header_value(call.request.head.header("Content-Type")).value;
    EmbedCall read;
    if (type == "multipart/form-data") {
        read = read_form(call.request, options.most_photos);
    } else {
        // curl --data-binary names a form's type where nobody names another.
        const bool bytes = type.empty() || type.starts_with("image/") ||
                           type == "application/octet-stream" ||
                           type == "application/x-www-form-urlencoded";
        if (!bytes)
            throw HttpError(415, "unsupported_type",
                            "the Content-Type is '" + type +
                                "'; send a photo's bytes as image/jpeg, or a multipart/form-data "
                                "with several");
        YEOUL_REQUIRE(!call.request.body.empty(),
                      "the body is empty; send a photo's bytes, or a multipart/form-data");
        read.photos.push_back(Photo::bytes(std::move(call.request.body)));
    }
    for (const auto& [name, value] : call.query)
        set_parameter(read.parameters, name, value);
    require_model(read.parameters.model, options.model_name);
    return read;
}

HttpReply single_reply(const Result& result, bool base64, const std::string& head) {
    if (result.error)
        throw Error(result.error->code, result.error->message);
    return {.body = head + members(result, base64) + '}'};
}

HttpReply form_reply(const std::vector<Result>& results, const std::vector<std::string>& names,
                     bool base64, const std::string& head) {
    HttpReply reply{.body = head + "\"results\":["};
    for (size_t i = 0; i < results.size(); ++i)
        reply.body +=
            (i ? ",{\"name\":" : "{\"name\":") + json_string(names[i]) + ',' +
            (results[i].error ? error_members(*results[i].error) : members(results[i], base64)) +
            '}';
    reply.body += "]}";
    return reply;
}

void embed(Context& context, Call call) {
    EmbedCall read = read_call(call, context.options);
    const std::string head = "{\"model\":" + json_string(context.options.model_name) +
                             ",\"dim\":" + std::to_string(context.engine.load()->info().dim) + ',';
    run_photo_job(context, std::move(call),
                  {.photos = std::move(read.photos),
                   .normalize = read.parameters.normalize,
                   .schedule = read.parameters.schedule},
                  [head, names = std::move(read.names), form = read.form,
                   base64 = read.parameters.base64](const std::vector<Result>& results) {
                      return form ? form_reply(results, names, base64, head)
                                  : single_reply(results.front(), base64, head);
                  });
}

/// Until a model with labels or classes is served.
void refuse_ability(Context& context, Call) {
    throw HttpError(501, "not_supported",
                    "the model '" + context.options.model_name +
                        "' gives vectors only: it has no labels and no classes; use /v1/embed");
}

} // namespace

std::vector<Route> v1_routes() {
    return {{"POST", "/v1/embed", embed},
            {"POST", "/v1/tag", refuse_ability},
            {"POST", "/v1/classify", refuse_ability}};
}

} // namespace yeoul::serve
