#include "apps/serve/wire/bounded_json.h"

#include <yeoul/error.h>

namespace yeoul::serve {

Json parse_bounded_json(std::string_view text) {
    constexpr size_t kMostValues = 1'000'000;
    try {
        return loader::parse_json(text, "the body", kMostValues);
    } catch (const Error& error) {
        throw Error(ErrorCode::invalid_argument, error.what());
    }
}

std::string text_member(const Json& object, const char* key, std::string fallback) {
    const Json* found = object.find(key);
    if (found == nullptr || found->is_null())
        return fallback;
    YEOUL_REQUIRE(found->string() != nullptr, "'" << key << "' must be a string");
    return *found->string();
}

} // namespace yeoul::serve
