// POST /v1/embeddings: the shape of OpenAI's endpoint, with photos as data URIs.
#include "apps/serve/service/context.h"
#include "apps/serve/service/parameters.h"
#include "apps/serve/service/photo_job.h"
#include "apps/serve/wire/base64.h"
#include "apps/serve/wire/bounded_json.h"

namespace yeoul::serve {
namespace {

using nlohmann::json;

std::vector<Photo> read_photos(const json& input) {
    std::vector<Photo> photos;
    const auto add = [&](const json& item) {
        YEOUL_REQUIRE(item.is_string(), "input " << photos.size()
                                                 << " is no string; send data:image/jpeg;"
                                                    "base64,...");
        try {
            photos.push_back(Photo::bytes(decode_data_uri(item.get_ref<const std::string&>())));
        } catch (const Error& error) {
            throw Error(error.code(),
                        "input " + std::to_string(photos.size()) + ": " + error.what());
        }
    };
    if (!input.is_array())
        add(input);
    else
        for (const json& item : input)
            add(item);
    return photos;
}

void embeddings(Context& context, Call call) {
    const std::vector<uint8_t>& body = call.request.body;
    const json request =
        parse_bounded_json({reinterpret_cast<const char*>(body.data()), body.size()});
    YEOUL_REQUIRE(request.is_object() && request.contains("input"),
                  "the request must be an object with 'input'");
    require_model(text_member(request, "model", ""), context.options.model_name);
    const std::string modality = text_member(request, "modality", "image");
    YEOUL_REQUIRE(modality == "image", "modality is '" << modality << "', this model takes image");
    const bool base64 = is_base64(text_member(request, "encoding_format", "float"));
    const int dim = context.engine.load()->info().dim;
    if (const auto asked = request.find("dimensions"); asked != request.end() && !asked->is_null())
        YEOUL_REQUIRE(*asked == dim,
                      "dimensions is " << asked->dump() << ", this model has " << dim);
    // Vectors of OpenAI's models have length 1, and clients take that for granted.
    bool normalize = true;
    if (const auto asked = request.find("normalize"); asked != request.end()) {
        YEOUL_REQUIRE(asked->is_boolean(), "normalize must be true or false");
        normalize = asked->get<bool>();
    }
    PhotoJob job{.photos = read_photos(request["input"]), .normalize = normalize};
    call.request.body.clear();
    run_photo_job(context, std::move(call), std::move(job),
                  [base64, model = context.options.model_name](const Answers& answers) {
                      const std::vector<Result>& results = answers.results;
                      require_all(results, [](size_t i) { return "input " + std::to_string(i); });
                      HttpReply reply{.body = "{\"object\":\"list\",\"data\":["};
                      for (size_t i = 0; i < results.size(); ++i)
                          reply.body +=
                              std::string(i ? "," : "") +
                              "{\"object\":\"embedding\",\"index\":" + std::to_string(i) +
                              ",\"embedding\":" + vector_json(results[i].embedding, base64) + '}';
                      reply.body += "],\"model\":" + json_string(model) +
                                    ",\"usage\":{\"prompt_tokens\":0,\"total_tokens\":0}}";
                      return reply;
                  });
}

/// OpenAI's clients list the models first.
void list_models(Context& context, Call call) {
    const json model = {{"id", context.options.model_name},
                        {"object", "model"},
                        {"created", 0},
                        {"owned_by", "yeoul"}};
    call.respond.send({.body = json{{"object", "list"}, {"data", json::array({model})}}.dump()});
}

} // namespace

std::vector<Route> openai_routes() {
    return {{"POST", "/v1/embeddings", embeddings}, {"GET", "/v1/models", list_models}};
}

} // namespace yeoul::serve
