// The target of a request: path and query (RFC 3986).
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace yeoul::serve {

struct Target {
    std::vector<std::string> segments; // "/v2/models/a%2Fb" is {"v2", "models", "a/b"}
    std::vector<std::pair<std::string, std::string>> query;
};

/// Each segment is decoded after the path was split, so that no encoded character becomes a
/// separator; nothing is normalized: "." and ".." are names like others. Throws `Error`, code
/// `invalid_argument`, for what is no path and for a broken percent sequence.
Target parse_target(std::string_view target);

/// "a%20b" and, in a form's query, "a+b". Throws as above.
std::string percent_decoded(std::string_view text, bool plus_is_space);

} // namespace yeoul::serve
