// POST /v1/embeddings: the shape of OpenAI's endpoint, with photos as data URIs.
#include "apps/cli/json_text.h"
#include "apps/serve/service/context.h"
#include "apps/serve/service/parameters.h"
#include "apps/serve/service/photo_job.h"
#include "apps/serve/wire/base64.h"
#include "apps/serve/wire/bounded_json.h"

namespace yeoul::serve {
namespace {

std::vector<Photo> read_photos(const Json& input) {
    std::vector<Photo> photos;
    const auto add = [&](const Json& item) {
        YEOUL_REQUIRE(item.string() != nullptr, "input " << photos.size()
                                                         << " is no string; send data:image/jpeg;"
                                                            "base64,...");
        try {
            photos.push_back(Photo::bytes(decode_data_uri(*item.string())));
        } catch (const Error& error) {
            throw Error(error.code(),
                        "input " + std::to_string(photos.size()) + ": " + error.what());
        }
    };
    if (const Json::Array* items = input.array())
        for (const Json& item : *items)
            add(item);
    else
        add(input);
    return photos;
}

void embeddings(Context& context, Call call) {
    const std::vector<uint8_t>& body = call.request.body;
    const Json request =
        parse_bounded_json({reinterpret_cast<const char*>(body.data()), body.size()});
    const Json* input = request.find("input");
    YEOUL_REQUIRE(input != nullptr, "the request must be an object with 'input'");
    require_model(text_member(request, "model", ""), context.options.model_name);
    const std::string modality = text_member(request, "modality", "image");
    YEOUL_REQUIRE(modality == "image", "modality is '" << modality << "', this model takes image");
    const bool base64 = is_base64(text_member(request, "encoding_format", "float"));
    const int dim = context.engine.load()->info().dim;
    if (const Json* asked = request.find("dimensions"); asked != nullptr && !asked->is_null())
        YEOUL_REQUIRE(asked->is_number() && asked->number() == dim,
                      "dimensions is " << asked->describe() << ", this model has " << dim);
    // Vectors of OpenAI's models have length 1, and clients take that for granted.
    bool normalize = true;
    if (const Json* asked = request.find("normalize")) {
        YEOUL_REQUIRE(asked->boolean() != nullptr, "normalize must be true or false");
        normalize = *asked->boolean();
    }
    PhotoJob job{.photos = read_photos(*input), .normalize = normalize};
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
    const std::string model = cli::JsonObject()
                                  .text("id", context.options.model_name)
                                  .text("object", "model")
                                  .number("created", 0)
                                  .text("owned_by", "yeoul")
                                  .str();
    call.respond.send(
        {.body = cli::JsonObject().text("object", "list").raw("data", "[" + model + "]").str()});
}

} // namespace

std::vector<Route> openai_routes() {
    return {{"POST", "/v1/embeddings", embeddings}, {"GET", "/v1/models", list_models}};
}

} // namespace yeoul::serve
