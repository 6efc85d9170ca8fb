// multipart/form-data (RFC 7578, RFC 2046 section 5.1).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace yeoul::serve {

struct FormPart {
    std::string name;
    std::string filename; // as sent; it is a label and no path of this machine
    std::string content_type;
    bool has_filename = false;
    std::span<const uint8_t> data; // in the body that was parsed
};

/// The boundary that a Content-Type names. Throws `Error`, code `invalid_argument`, when there is
/// none or it is none (RFC 2046: 1 to 70 characters).
std::string multipart_boundary(std::string_view content_type);

/// The parts of a body, in order. Throws `Error`, code `invalid_argument`: no boundary, a part
/// without a head or a name, an unknown transfer encoding, a missing end, over `most_parts`.
std::vector<FormPart> parse_multipart(std::span<const uint8_t> body, std::string_view boundary,
                                      size_t most_parts);

} // namespace yeoul::serve
