// JSON as text: results that are streamed one at a time, and objects whose order is kept.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace yeoul::cli {

/// "[0.1,-2]": the shortest text that reads back as the same float.
std::string json_array(std::span<const float> values);

/// The shortest text that reads back as the same float.
void append_number(std::string& text, float value);

/// {"key": value, ...} in the order of the calls. Unlike nlohmann's objects it can be destroyed
/// where no memory is left.
class JsonObject {
public:
    JsonObject& text(std::string_view key, std::string_view value);
    JsonObject& number(std::string_view key, int64_t value);
    /// A measurement, to the seven digits of a float.
    JsonObject& real(std::string_view key, double value);
    /// The shortest text that reads back as the same double; null for what is not finite.
    JsonObject& exact(std::string_view key, double value);
    JsonObject& boolean(std::string_view key, bool value);
    /// `json` is JSON.
    JsonObject& raw(std::string_view key, std::string_view json);
    std::string str() const { return "{" + body_ + "}"; }

private:
    std::string body_;
};

/// An array of what `to_json` gives for each, one a line.
template <class Items, class ToJson>
std::string json_list(const Items& items, ToJson to_json) {
    std::string list;
    for (const auto& item : items)
        list += (list.empty() ? "\n  " : ",\n  ") + to_json(item);
    return "[" + list + "]";
}

} // namespace yeoul::cli
