// Names of this program's functions, static ones too, by address.
#pragma once

#include <string>

namespace simt::detail {

/// As the linker names it; empty where the program is stripped.
std::string symbol_of(const void* address);
/// For people: "namespace::function(arguments)".
std::string readable(const std::string& symbol);
/// The readable function and the offset in it.
std::string readable_address(const void* address);

} // namespace simt::detail
