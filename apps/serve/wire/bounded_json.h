// JSON from clients, with a limit to what it may grow to in memory.
#pragma once

#include <span>
#include <string_view>

#include <nlohmann/json.hpp>

namespace yeoul::serve {

/// Throws `Error`, code `invalid_argument`: no JSON, nested deeper than 32, or more than a million
/// values (a body of "[[],[],..." takes thirty times its size in memory).
nlohmann::json parse_bounded_json(std::string_view text);

/// The text of a member that is a string; `fallback` when it is absent or null. Throws as above
/// when it is something else.
std::string text_member(const nlohmann::json& object, const char* key, std::string fallback);

} // namespace yeoul::serve
