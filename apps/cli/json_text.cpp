#include "apps/cli/json_text.h"

#include <charconv>
#include <cmath>

#include "loader/json.h"

namespace yeoul::cli {

void append_number(std::string& text, float value) {
    char digits[32];
    const auto [end, error] = std::to_chars(digits, digits + sizeof digits, value);
    text.append(digits, end);
}

std::string json_array(std::span<const float> values) {
    // Written in place: a vector of 512 numbers is what a server says thousands of times a second.
    constexpr size_t kLongest = sizeof "-1.17549435e-38,"; // of one number and its comma
    std::string json(2 + kLongest * values.size(), '[');
    char* at = json.data() + 1;
    for (const float value : values) {
        at = std::to_chars(at, at + kLongest, value).ptr;
        *at++ = ',';
    }
    at -= !values.empty(); // the last comma
    *at++ = ']';
    json.resize(static_cast<size_t>(at - json.data()));
    return json;
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

JsonObject& JsonObject::exact(std::string_view key, double value) {
    if (!std::isfinite(value))
        return raw(key, "null");
    char digits[32]; // at most 24: "-2.2250738585072014e-308"
    const auto [end, error] = std::to_chars(digits, digits + sizeof digits, value);
    return raw(key, {digits, end});
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
