// Sizes in bytes as people write and read them.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace yeoul {

/// "15GiB", "1.5 GiB", "512MiB", "64KiB", "1000" (bytes), "1000B"; nothing for anything else, for
/// more than an int64_t and for what is no whole number of bytes.
std::optional<size_t> parse_bytes(std::string_view text);

/// "334.2 MiB": three to four digits in the unit that suits. Below 1 KiB "17 bytes".
std::string bytes_text(size_t bytes);

} // namespace yeoul
