// File names and messages as a terminal may show them.
#pragma once

#include <string>
#include <string_view>

namespace yeoul::cli {

/// Control characters escaped, "\n" and "\x1b": a file name must not steer the terminal or end a
/// line. UTF-8 stays as it is.
std::string printable(std::string_view text);

} // namespace yeoul::cli
