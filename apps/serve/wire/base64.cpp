#include "apps/serve/wire/base64.h"

#include <algorithm>
#include <array>

#include <yeoul/error.h>

namespace yeoul::serve {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr uint8_t kNone = 0xFF;

constexpr std::array<uint8_t, 256> inverse_alphabet() {
    std::array<uint8_t, 256> values{};
    values.fill(kNone);
    for (size_t i = 0; i < kAlphabet.size(); ++i)
        values[static_cast<uint8_t>(kAlphabet[i])] = static_cast<uint8_t>(i);
    return values;
}
constexpr std::array<uint8_t, 256> kValues = inverse_alphabet();

[[noreturn]] void refuse(size_t place, const char* what) {
    throw Error(ErrorCode::invalid_argument,
                "the base64 text is damaged at character " + std::to_string(place) + ": " + what);
}

uint8_t value_at(std::string_view text, size_t place) {
    const uint8_t value = kValues[static_cast<uint8_t>(text[place])];
    if (value == kNone)
        refuse(place, "it is not of the base64 alphabet");
    return value;
}

bool starts_with_any_case(std::string_view text, std::string_view lower) {
    return text.size() >= lower.size() &&
           std::equal(lower.begin(), lower.end(), text.begin(), [](char want, char c) {
               return want == (c >= 'A' && c <= 'Z' ? c + 32 : c);
           });
}

} // namespace

std::vector<uint8_t> decode_base64(std::string_view text) {
    const size_t all = text.size();
    for (int i = 0; i < 2 && all % 4 == 0 && text.ends_with('='); ++i)
        text.remove_suffix(1);
    if (text.size() % 4 == 1)
        refuse(all, "it ends in the middle of a byte");
    std::vector<uint8_t> bytes(text.size() / 4 * 3 + (text.size() % 4 ? text.size() % 4 - 1 : 0));
    uint8_t* out = bytes.data();
    size_t place = 0;
    for (; place + 4 <= text.size(); place += 4) {
        const uint32_t group = value_at(text, place) << 18 | value_at(text, place + 1) << 12 |
                               value_at(text, place + 2) << 6 | value_at(text, place + 3);
        *out++ = static_cast<uint8_t>(group >> 16);
        *out++ = static_cast<uint8_t>(group >> 8);
        *out++ = static_cast<uint8_t>(group);
    }
    uint32_t rest = 0;
    for (size_t i = place; i < text.size(); ++i)
        rest = rest << 6 | value_at(text, i);
    const size_t digits = text.size() - place;
    const bool stray = (digits == 2 && (rest & 0xF)) || (digits == 3 && (rest & 0x3));
    if (stray)
        refuse(all, "it ends in the middle of a byte");
    if (digits == 2)
        *out++ = static_cast<uint8_t>(rest >> 4);
    if (digits == 3) {
        *out++ = static_cast<uint8_t>(rest >> 10);
        *out++ = static_cast<uint8_t>(rest >> 2);
    }
    return bytes;
}

std::string encode_base64(std::span<const uint8_t> bytes) {
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    for (size_t i = 0; i < bytes.size(); i += 3) {
        const size_t left = std::min<size_t>(3, bytes.size() - i);
        const uint32_t group =
            bytes[i] << 16 | (left > 1 ? bytes[i + 1] << 8 : 0) | (left > 2 ? bytes[i + 2] : 0);
        text += kAlphabet[group >> 18];
        text += kAlphabet[group >> 12 & 63];
        text += left > 1 ? kAlphabet[group >> 6 & 63] : '=';
        text += left > 2 ? kAlphabet[group & 63] : '=';
    }
    return text;
}

std::vector<uint8_t> decode_data_uri(std::string_view uri) {
    YEOUL_REQUIRE(!starts_with_any_case(uri, "http:") && !starts_with_any_case(uri, "https:"),
                  "addresses are not fetched here; send the photo itself as data:image/jpeg;"
                  "base64,...");
    YEOUL_REQUIRE(starts_with_any_case(uri, "data:"),
                  "'" << uri.substr(0, 20) << "' is no photo; send data:image/jpeg;base64,...");
    const size_t comma = uri.find(',');
    YEOUL_REQUIRE(comma != std::string_view::npos,
                  "the data URI has no comma; send data:image/jpeg;base64,...");
    const std::string_view type = uri.substr(0, comma);
    YEOUL_REQUIRE(type.size() >= 7 && starts_with_any_case(type.substr(type.size() - 7), ";base64"),
                  "the data URI is not of base64; send data:image/jpeg;base64,...");
    return decode_base64(uri.substr(comma + 1));
}

} // namespace yeoul::serve
