#include "apps/serve/wire/bounded_json.h"

#include <yeoul/error.h>

namespace yeoul::serve {
namespace {

using nlohmann::json;

constexpr int kMostDepth = 32;
constexpr int64_t kMostValues = 1'000'000;

} // namespace

json parse_bounded_json(std::string_view text) {
    int64_t values = 0;
    const auto count = [&](int depth, json::parse_event_t, json&) {
        YEOUL_REQUIRE(depth <= kMostDepth, "the JSON is nested deeper than " << kMostDepth);
        YEOUL_REQUIRE(++values <= kMostValues, "the JSON has over "
                                                   << kMostValues
                                                   << " values; send tensors as binary data");
        return true;
    };
    try {
        return json::parse(text.begin(), text.end(), count);
    } catch (const json::exception& error) {
        // "[json.exception.parse_error.101] parse error at line 1, column 2: ..."
        const std::string_view what = error.what();
        throw Error(ErrorCode::invalid_argument,
                    "the body is no JSON: " + std::string(what.substr(what.find("] ") + 2)));
    }
}

std::string text_member(const json& object, const char* key, std::string fallback) {
    const auto found = object.find(key);
    if (found == object.end() || found->is_null())
        return fallback;
    YEOUL_REQUIRE(found->is_string(), "'" << key << "' must be a string");
    return found->get<std::string>();
}

} // namespace yeoul::serve
