// Safetensors files made by hand, right and wrong.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "loader/safetensors.h"

namespace yeoul::loader {

inline std::string safetensors_image(std::string_view header, std::string_view data) {
    const uint64_t length = header.size();
    std::string image(8, '\0');
    std::memcpy(image.data(), &length, 8);
    return image.append(header).append(data);
}

/// The copy on the heap ends exactly where the image ends, so AddressSanitizer sees a byte too far.
inline std::vector<std::byte> exact_bytes(std::string_view image) {
    const auto* first = reinterpret_cast<const std::byte*>(image.data());
    return {first, first + image.size()};
}

inline std::string_view text_of(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

} // namespace yeoul::loader
