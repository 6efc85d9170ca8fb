#include "apps/serve/wire/target.h"

#include <algorithm>

#include <yeoul/error.h>

namespace yeoul::serve {
namespace {

int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/// RFC 9112, 3.2.2: a client may send the absolute form to a server too.
std::string_view without_origin(std::string_view target) {
    for (std::string_view scheme : {"http://", "https://"})
        if (target.starts_with(scheme)) {
            target.remove_prefix(scheme.size());
            const size_t slash = target.find('/');
            return slash == std::string_view::npos ? "/" : target.substr(slash);
        }
    return target;
}

} // namespace

std::string percent_decoded(std::string_view text, bool plus_is_space) {
    std::string decoded;
    decoded.reserve(text.size());
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '+' && plus_is_space) {
            decoded += ' ';
        } else if (text[i] != '%') {
            decoded += text[i];
        } else {
            const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
            const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
            YEOUL_REQUIRE(high >= 0 && low >= 0,
                          "the address has a % without two hex digits: '" << text << "'");
            decoded += static_cast<char>(high << 4 | low);
            i += 2;
        }
    }
    return decoded;
}

Target parse_target(std::string_view target) {
    target = without_origin(target);
    YEOUL_REQUIRE(target.starts_with('/'), "the address '" << target << "' has no path");
    Target parsed;
    const size_t question = std::min(target.find('?'), target.size());
    std::string_view path = target.substr(1, question - 1);
    std::string_view query = target.substr(std::min(question + 1, target.size()));
    while (!path.empty() || parsed.segments.empty()) {
        const size_t slash = std::min(path.find('/'), path.size());
        parsed.segments.push_back(percent_decoded(path.substr(0, slash), false));
        if (slash == path.size())
            break;
        path.remove_prefix(slash + 1);
        if (path.empty()) // a trailing slash is an empty last segment
            parsed.segments.emplace_back();
    }
    while (!query.empty()) {
        const size_t end = std::min(query.find('&'), query.size());
        const std::string_view pair = query.substr(0, end);
        const size_t equals = std::min(pair.find('='), pair.size());
        if (!pair.empty())
            parsed.query.emplace_back(
                percent_decoded(pair.substr(0, equals), true),
                percent_decoded(pair.substr(std::min(equals + 1, pair.size())), true));
        query.remove_prefix(std::min(end + 1, query.size()));
    }
    return parsed;
}

} // namespace yeoul::serve
