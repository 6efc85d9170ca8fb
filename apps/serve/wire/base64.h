// Base64 as in RFC 4648, section 4.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace yeoul::serve {

/// Padding may be left out; nothing else may: no line breaks, no URL alphabet, no bits behind the
/// last byte. Throws `Error`, code `invalid_argument`, with the place of the first wrong character.
std::vector<uint8_t> decode_base64(std::string_view text);

std::string encode_base64(std::span<const uint8_t> bytes);

/// The bytes of "data:image/jpeg;base64,/9j/..." (RFC 2397), whatever type it names: the engine
/// looks at the bytes. An http(s) address is refused with the reason: nothing is fetched here.
/// Throws `Error`, code `invalid_argument`.
std::vector<uint8_t> decode_data_uri(std::string_view uri);

} // namespace yeoul::serve
