// POST /v1/embed, /v1/tag, /v1/duplicates: a photo's bytes as the body, or a form with many.
#include <algorithm>
#include <array>

#include "apps/serve/service/context.h"
#include "apps/serve/service/parameters.h"
#include "apps/serve/service/photo_job.h"
#include "apps/serve/service/photo_json.h"
#include "apps/serve/wire/header_value.h"
#include "apps/serve/wire/multipart.h"

namespace yeoul::serve {
namespace {

using Names = std::span<const std::string_view>;

constexpr std::array<std::string_view, 8> kEmbedParameters = {
    "normalize", "encoding_format", "tags",     "duplicates",
    "threshold", "model",           "priority", "timeout_ms"};
constexpr std::array<std::string_view, 4> kTagParameters = {"top_k", "model", "priority",
                                                            "timeout_ms"};
constexpr std::array<std::string_view, 4> kDuplicatesParameters = {"threshold", "model", "priority",
                                                                   "timeout_ms"};

struct PhotoCall {
    PhotoParameters parameters;
    std::vector<Photo> photos;
    std::vector<std::string> names; // of the photos of a form; empty for a single body
    bool form = false;
};

bool is_photo(const FormPart& part) {
    return part.has_filename || part.content_type.starts_with("image/") ||
           part.content_type == "application/octet-stream";
}

void read_form(const HttpRequest& request, size_t most_photos, Names known, PhotoCall& call) {
    const std::string boundary = multipart_boundary(request.head.header("Content-Type"));
    // A form may hold options beside its photos.
    for (const FormPart& part : parse_multipart(request.body, boundary, most_photos + 16)) {
        if (!is_photo(part)) {
            YEOUL_REQUIRE(part.data.size() <= 256,
                          "the form field '" << part.name << "' has " << part.data.size()
                                             << " bytes and no filename; a photo needs one");
            set_parameter(call.parameters, known, part.name,
                          std::string(part.data.begin(), part.data.end()));
            continue;
        }
        call.photos.push_back(Photo::bytes({part.data.begin(), part.data.end()}));
        call.names.push_back(part.filename.empty() ? part.name : part.filename);
    }
}

void read_body(HttpRequest& request, const std::string& type, PhotoCall& call) {
    // curl --data-binary names a form's type where nobody names another.
    const bool bytes = type.empty() || type.starts_with("image/") ||
                       type == "application/octet-stream" ||
                       type == "application/x-www-form-urlencoded";
    if (!bytes)
        throw HttpError(415, "unsupported_type",
                        "the Content-Type is '" + type +
                            "'; send a photo's bytes as image/jpeg, or a multipart/form-data with "
                            "several");
    YEOUL_REQUIRE(!request.body.empty(),
                  "the body is empty; send a photo's bytes, or a multipart/form-data");
    call.photos.push_back(Photo::bytes(std::move(request.body)));
}

PhotoCall read_call(Call& call, const ServiceOptions& options, Names known,
                    const PhotoParameters& defaults) {
    const std::string type = parse_header_value(call.request.head.header("Content-Type")).value;
    PhotoCall read{.parameters = defaults, .form = type == "multipart/form-data"};
    if (read.form)
        read_form(call.request, options.most_photos, known, read);
    else
        read_body(call.request, type, read);
    for (const auto& [name, value] : call.query)
        set_parameter(read.parameters, known, name, value);
    require_model(read.parameters.model, options.model_name);
    YEOUL_REQUIRE(read.form || !read.parameters.threshold,
                  "one photo has no duplicates; send several as multipart/form-data");
    return read;
}

HttpReply single_reply(const Result& result, const PhotoShape& shape, const std::string& head) {
    if (result.error)
        throw Error(result.error->code, result.error->message);
    return {.body = head + photo_members(result, shape) + '}'};
}

HttpReply form_reply(const Answers& answers, const std::vector<std::string>& names,
                     const PhotoShape& shape, std::optional<double> threshold,
                     const std::string& head) {
    HttpReply reply{.body = head + "\"results\":["};
    for (size_t i = 0; i < names.size(); ++i) {
        const Result& result = answers.results[i];
        reply.body += (i ? ",{\"name\":" : "{\"name\":") + json_string(names[i]) + ',' +
                      (result.error ? error_members(*result.error) : photo_members(result, shape)) +
                      '}';
    }
    reply.body += ']';
    if (threshold)
        reply.body += ',' + duplicates_member(answers.duplicates, *threshold);
    reply.body += '}';
    return reply;
}

void answer(Context& context, Call call, PhotoCall read, bool embedding) {
    const PhotoParameters parameters = read.parameters;
    const PhotoShape shape{
        .embedding = embedding, .base64 = parameters.base64, .tags = parameters.tags > 0};
    std::string head = "{\"model\":" + json_string(context.options.model_name) + ',';
    if (embedding)
        head += "\"dim\":" + std::to_string(context.engine.load()->info().dim) + ',';
    run_photo_job(context, std::move(call),
                  {.photos = std::move(read.photos),
                   .normalize = parameters.normalize,
                   .tags = parameters.tags,
                   .threshold = parameters.threshold,
                   .schedule = parameters.schedule},
                  [head, shape, names = std::move(read.names), form = read.form,
                   threshold = parameters.threshold](const Answers& answers) {
                      return form ? form_reply(answers, names, shape, threshold, head)
                                  : single_reply(answers.results.front(), shape, head);
                  });
}

void embed(Context& context, Call call) {
    PhotoCall read = read_call(call, context.options, kEmbedParameters, {});
    answer(context, std::move(call), std::move(read), true);
}

void tag(Context& context, Call call) {
    PhotoCall read = read_call(call, context.options, kTagParameters, {.tags = kDefaultTags});
    answer(context, std::move(call), std::move(read), false);
}

void duplicates(Context& context, Call call) {
    PhotoCall read =
        read_call(call, context.options, kDuplicatesParameters, {.threshold = kDefaultThreshold});
    answer(context, std::move(call), std::move(read), false);
}

/// Until a classification model is served.
void refuse_classes(Context& context, Call) {
    throw HttpError(501, "not_supported",
                    "the model '" + context.options.model_name + "' (" +
                        context.engine.load()->info().family +
                        ") has no classes of its own; give it labels and use /v1/tag");
}

} // namespace

std::vector<Route> v1_routes() {
    std::vector<Route> routes = {{"POST", "/v1/embed", embed},
                                 {"POST", "/v1/tag", tag},
                                 {"POST", "/v1/duplicates", duplicates},
                                 {"POST", "/v1/classify", refuse_classes}};
    for (Route& route : routes) // which is quick, and does not queue behind JSON
        route.large_bodies = &Context::form_jobs;
    return routes;
}

} // namespace yeoul::serve
