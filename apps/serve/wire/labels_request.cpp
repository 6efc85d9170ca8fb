#include "apps/serve/wire/labels_request.h"

#include "apps/serve/wire/bounded_json.h"

namespace yeoul::serve {
namespace {

using nlohmann::json;

std::vector<std::string> texts(const json& list, const char* key) {
    YEOUL_REQUIRE(list.is_array(), "'" << key << "' must be a list of strings");
    std::vector<std::string> all;
    for (const json& item : list) {
        YEOUL_REQUIRE(item.is_string(), "'" << key << "' has " << item.dump().substr(0, 80)
                                            << " at place " << all.size() + 1
                                            << ", which is no string");
        all.push_back(item.get<std::string>());
    }
    return all;
}

} // namespace

Labels parse_labels_request(std::string_view body) {
    const json request = parse_bounded_json(body);
    YEOUL_REQUIRE(request.is_object() && request.contains("labels"),
                  "the request must be an object with 'labels'");
    for (const auto& [key, value] : request.items())
        YEOUL_REQUIRE(key == "labels" || key == "template" || key == "templates",
                      "'" << key << "' is not known; known are labels, template and templates");
    YEOUL_REQUIRE(!request.contains("template") || !request.contains("templates"),
                  "give either 'template' or 'templates'");
    Labels labels{.names = texts(request["labels"], "labels")};
    if (request.contains("templates"))
        labels.templates = texts(request["templates"], "templates");
    else if (request.contains("template"))
        labels.templates = {text_member(request, "template", labels.templates.front())};
    return labels;
}

} // namespace yeoul::serve
