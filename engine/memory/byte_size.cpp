#include "engine/memory/byte_size.h"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <utility>

namespace yeoul {
namespace {

constexpr std::pair<std::string_view, double> kUnits[] = {
    {"GiB", 0x1p30}, {"MiB", 0x1p20}, {"KiB", 0x1p10}, {"B", 1}};

} // namespace

std::optional<size_t> parse_bytes(std::string_view text) {
    double factor = 1;
    for (const auto& [unit, bytes] : kUnits)
        if (text.ends_with(unit)) {
            factor = bytes;
            text.remove_suffix(unit.size());
            break;
        }
    while (text.ends_with(' '))
        text.remove_suffix(1);
    double value = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value, std::chars_format::fixed);
    const double bytes = value * factor;
    if (error != std::errc() || stop != end || !(bytes >= 0 && bytes < 0x1p63) ||
        bytes != std::floor(bytes))
        return {};
    return static_cast<size_t>(bytes);
}

std::string bytes_text(size_t bytes) {
    for (const auto& [unit, factor] : kUnits)
        if (factor > 1 && static_cast<double>(bytes) >= factor) {
            char text[32];
            std::snprintf(text, sizeof text, "%.1f ", static_cast<double>(bytes) / factor);
            return std::string(text).append(unit);
        }
    return std::to_string(bytes) + " bytes";
}

} // namespace yeoul
