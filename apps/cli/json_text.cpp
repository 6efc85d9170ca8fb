#include "apps/cli/json_text.h"

#include <charconv>

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

} // namespace yeoul::cli
