#include "apps/serve/wire/labels_request.h"

#include "apps/serve/wire/bounded_json.h"

namespace yeoul::serve {
namespace {

std::vector<std::string> texts(const Json& list, const char* key) {
    YEOUL_REQUIRE(list.array() != nullptr, "'" << key << "' must be a list of strings");
    std::vector<std::string> all;
    for (const Json& item : *list.array()) {
        YEOUL_REQUIRE(item.string() != nullptr, "'" << key << "' has " << item.describe()
                                                    << " at place " << all.size() + 1
                                                    << ", which is no string");
        all.push_back(*item.string());
    }
    return all;
}

} // namespace

Labels parse_labels_request(std::string_view body) {
    const Json request = parse_bounded_json(body);
    const Json* names = request.find("labels");
    YEOUL_REQUIRE(names != nullptr, "the request must be an object with 'labels'");
    for (const auto& [key, value] : *request.object())
        YEOUL_REQUIRE(key == "labels" || key == "template" || key == "templates",
                      "'" << key << "' is not known; known are labels, template and templates");
    const Json* templates = request.find("templates");
    const bool one = request.find("template") != nullptr;
    YEOUL_REQUIRE(!one || templates == nullptr, "give either 'template' or 'templates'");
    Labels labels{.names = texts(*names, "labels")};
    if (templates != nullptr)
        labels.templates = texts(*templates, "templates");
    else if (one)
        labels.templates = {text_member(request, "template", labels.templates.front())};
    return labels;
}

} // namespace yeoul::serve
