// Values of header fields: "form-data; name=\"photo\"; filename=\"cat.jpg\"" (RFC 9110, 5.6).
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace yeoul::serve {

struct HeaderValue {
    std::string value;                             // "form-data", in lower case
    std::map<std::string, std::string> parameters; // names in lower case
};

/// Reads what can be read: a broken parameter ends the list.
HeaderValue parse_header_value(std::string_view text);

std::string lower_case(std::string_view text);
std::string_view trimmed(std::string_view text);

} // namespace yeoul::serve
