// JSON text to a plain value, stricter than most readers: depth, size and duplicate names are
// checked, because the files come from strangers. The parser behind it stays in json.cpp.
// Destroying a value takes no memory, which nlohmann's does: where none is left, that ends a
// process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace yeoul::loader {

class Json {
public:
    using Array = std::vector<Json>;
    using Member = std::pair<std::string, Json>;
    using Object = std::vector<Member>; // in the order of the text

    Json() = default;
    template <class T>
    explicit Json(T value) : value_(std::move(value)) {}

    bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
    // nullptr when the value is of another kind. An integer beyond int64_t is a double.
    const bool* boolean() const { return std::get_if<bool>(&value_); }
    const int64_t* integer() const { return std::get_if<int64_t>(&value_); }
    const std::string* string() const { return std::get_if<std::string>(&value_); }
    const Array* array() const { return std::get_if<Array>(&value_); }
    const Object* object() const { return std::get_if<Object>(&value_); }
    Array* array() { return std::get_if<Array>(&value_); }
    Object* object() { return std::get_if<Object>(&value_); }
    /// True for integers too.
    bool is_number() const;
    double number() const;

    /// nullptr when this is no object or has no such member. Linear in the members.
    const Json* find(std::string_view key) const;

    /// Short, for messages: `"768"`, `3.5`, `null`, `an object`.
    std::string describe() const;

private:
    std::variant<std::monostate, bool, int64_t, double, std::string, Array, Object> value_;
};

/// A safetensors header of 100 MB holds about 8 million; each takes 40 bytes.
constexpr size_t kMostJsonValues = 10'000'000;

/// Throws `Error`, code `model`, with `label`, line and column: text that is not exactly one JSON
/// value, names that occur twice in one object, more than 32 levels or `most_values`.
Json parse_json(std::string_view text, const std::string& label,
                size_t most_values = kMostJsonValues);

/// A JSON string literal. Bytes that are not UTF-8 become U+FFFD.
std::string json_quote(std::string_view text);

/// For messages: in quotes, control characters escaped, cut to 120 bytes.
std::string in_quotes(std::string_view text);

} // namespace yeoul::loader
