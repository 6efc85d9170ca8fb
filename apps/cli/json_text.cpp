#include "apps/cli/json_text.h"

#include <charconv>

#include "loader/json.h"

namespace yeoul::cli {

void append_number(std::string& text, float value) {
    char digits[32];
    const auto [end, error] = std::to_chars(digits, digits + sizeof digits, value);
    text.append(digits, end);
}

std::string json_array(std::span<const float> values) {
    std::string json = "[";
    for (size_t i = 0; i < values.size(); ++i) {
        if (i)
            json += ',';
        append_number(json, values[i]);
    }
    return json + ']';
}

JsonObject& JsonObject::text(std::string_view key, std::string_view value) {
    return raw(key, loader::json_quote(value));
}

JsonObject& JsonObject::number(std::string_view key, int64_t value) {
    return raw(key, std::to_string(value));
}

JsonObject& JsonObject::real(std::string_view key, double value) {
    std::string digits;
    append_number(digits, static_cast<float>(value));
    return raw(key, digits);
}

JsonObject& JsonObject::boolean(std::string_view key, bool value) {
    return raw(key, value ? "true" : "false");
}

JsonObject& JsonObject::raw(std::string_view key, std::string_view json) {
    body_ += (body_.empty() ? "" : ", ") + loader::json_quote(key) + ": ";
    body_ += json;
    return *this;
}

} // namespace yeoul::cli
