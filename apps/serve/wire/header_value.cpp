#include "apps/serve/wire/header_value.h"

#include <algorithm>

namespace yeoul::serve {
namespace {

/// Takes a token or a quoted string off the front of `text`.
std::string take_word(std::string_view& text) {
    std::string word;
    if (!text.starts_with('"')) {
        const size_t end = std::min(text.find(';'), text.size());
        word = trimmed(text.substr(0, end));
        text.remove_prefix(end);
        return word;
    }
    text.remove_prefix(1);
    while (!text.empty() && text.front() != '"') {
        // Browsers write a quote as %22 and leave backslashes of Windows paths as they are.
        if (text.starts_with("\\\"") || text.starts_with("\\\\"))
            text.remove_prefix(1);
        word += text.front();
        text.remove_prefix(1);
    }
    text.remove_prefix(std::min(text.find(';'), text.size()));
    return word;
}

} // namespace

std::string lower_case(std::string_view text) {
    std::string lower(text);
    for (char& c : lower)
        if (c >= 'A' && c <= 'Z')
            c = static_cast<char>(c - 'A' + 'a');
    return lower;
}

std::string_view trimmed(std::string_view text) {
    const size_t begin = text.find_first_not_of(" \t");
    if (begin == std::string_view::npos)
        return {};
    return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

HeaderValue parse_header_value(std::string_view text) {
    HeaderValue parsed;
    const size_t end = std::min(text.find(';'), text.size());
    parsed.value = lower_case(trimmed(text.substr(0, end)));
    text.remove_prefix(end);
    while (text.starts_with(';')) {
        text.remove_prefix(1);
        const size_t equals = text.find('=');
        if (equals == std::string_view::npos || equals > text.find(';'))
            break;
        const std::string name = lower_case(trimmed(text.substr(0, equals)));
        text = text.substr(equals + 1);
        text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
        parsed.parameters.emplace(name, take_word(text));
    }
    return parsed;
}

} // namespace yeoul::serve
