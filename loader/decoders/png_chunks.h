// What a PNG file is made of (PNG specification, third edition, 5.2 and 5.3).
#pragma once

#include <cstddef>

namespace yeoul::loader {

inline constexpr size_t kSignatureBytes = 8;
inline constexpr size_t kChunkOverhead = 12; // length, type and check sum round a chunk's data

} // namespace yeoul::loader
