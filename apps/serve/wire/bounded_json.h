// JSON from clients, with a limit to what it may grow to in memory.
#pragma once

#include <string>
#include <string_view>

#include "loader/json.h"

namespace yeoul::serve {

using loader::Json;

/// Throws `Error`, code `invalid_argument`: no JSON, a name twice in one object, more than 32
/// levels or a million values (a body of "[[],[],..." takes thirty times its size in memory).
Json parse_bounded_json(std::string_view text);

/// The text of a member that is a string; `fallback` when it is absent or null. Throws as above
/// when it is something else.
std::string text_member(const Json& object, const char* key, std::string fallback);

} // namespace yeoul::serve
